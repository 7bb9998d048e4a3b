package plan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/object"
)

func TestGates(t *testing.T) {
	usual := Budget{MaxObjects: 5, MaxPercent: 25}
	deletes := func(n int) []Step {
		var out []Step
		for i := range n {
			out = append(out, Step{Action: Delete, Key: object.Key{Kind: "ConfigMap", Namespace: "n", Name: fmt.Sprint("c", i)}})
		}
		return out
	}
	kind := func(a Action, group, kind string) []Step {
		return []Step{{Action: a, Key: object.Key{Group: group, Kind: kind, Name: "x"}}}
	}
	tests := map[string]struct {
		steps       []Step
		owned       int
		budget      Budget
		userDeletes bool
		want        []string
		why         string
	}{
		"nothing":                        {nil, 100, usual, false, nil, ""},
		"5 of 5":                         {deletes(5), 5, usual, false, nil, "not more than 5"},
		"6 of 6":                         {deletes(6), 6, usual, false, []string{GateBudget}, "more than 5, and all"},
		"6 of 100":                       {deletes(6), 100, usual, false, nil, "not more than a quarter"},
		"25 of 100":                      {deletes(25), 100, usual, false, nil, "a quarter, not more"},
		"26 of 100":                      {deletes(26), 100, usual, false, []string{GateBudget}, "26 %"},
		"6 of 24":                        {deletes(6), 24, usual, false, nil, "exactly a quarter"},
		"6 of 23":                        {deletes(6), 23, usual, false, []string{GateBudget}, "a little more than a quarter"},
		"no budget at all":               {deletes(1), 1000, Budget{}, false, []string{GateBudget}, "every delete is asked for"},
		"any share":                      {deletes(6), 6, Budget{5, 100}, false, nil, "all is not more than all"},
		"a person deletes the App":       {deletes(26), 26, usual, true, nil, "that is the approval"},
		"what is kept or forgotten":      {append(kind(Keep, "", "Namespace"), kind(Forget, "", "Namespace")...), 2, Budget{}, false, nil, "it stays in the cluster"},
		"a Namespace":                    {kind(Delete, "", "Namespace"), 100, usual, false, []string{GateProtected}, "whatever the budget"},
		"a definition":                   {kind(Delete, "apiextensions.k8s.io", "CustomResourceDefinition"), 100, usual, false, []string{GateProtected}, "its instances go with it"},
		"a volume":                       {kind(Delete, "", "PersistentVolume"), 100, usual, false, []string{GateProtected}, "data"},
		"a claim":                        {kind(Delete, "", "PersistentVolumeClaim"), 100, usual, false, []string{GateProtected}, "data"},
		"an App":                         {kind(Delete, "abide.dev", "App"), 100, usual, false, []string{GateProtected}, "all it owns goes with it"},
		"a claim, as a person deletes":   {kind(Delete, "", "PersistentVolumeClaim"), 1, usual, true, []string{GateProtected}, "deleting an App is no word on its data"},
		"a Namespace that is applied":    {kind(Update, "", "Namespace"), 1, usual, false, nil, "it is not deleted"},
		"another tool's object":          {kind(Convert, "", "ConfigMap"), 1, usual, false, []string{GateTracked}, "two tools would fight"},
		"nobody's object":                {kind(Adopt, "", "ConfigMap"), 1, usual, false, nil, "nobody minds"},
		"a claim and too many and taken": {append(append(deletes(9), kind(Delete, "", "PersistentVolumeClaim")...), kind(Convert, "", "Secret")...), 10, usual, false, []string{GateProtected, GateBudget, GateTracked}, "each is said"},
	}
	for name, tc := range tests {
		p := Plan{Steps: tc.steps, Owned: tc.owned}
		var got []string
		for _, g := range p.Gates(tc.budget, tc.userDeletes) {
			got = append(got, g.Reason)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (%s): %s", name, tc.why, diff)
		}
	}
}

func TestGateMessages(t *testing.T) {
	p := Plan{Owned: 8}
	for i := range 6 {
		p.Steps = append(p.Steps, Step{Action: Delete, Key: object.Key{Kind: "PersistentVolumeClaim", Namespace: "n", Name: fmt.Sprint("c", i)}})
	}
	p.Steps = append(p.Steps, Step{Action: Convert, Why: "Helm release a/b tracks it", Key: object.Key{Group: "apps", Kind: "Deployment", Namespace: "n", Name: "d"}})
	const three = "PersistentVolumeClaim n/c0, PersistentVolumeClaim n/c1, PersistentVolumeClaim n/c2 and 3 more"
	want := []Gate{
		{GateProtected, "it would delete " + three},
		{GateBudget, "it would delete 6 of 8 objects (" + three + "), and the budget is 5 objects or 25 %"},
		{GateTracked, "it would take over Deployment.apps n/d (Helm release a/b tracks it)"},
	}
	if diff := cmp.Diff(want, p.Gates(Budget{5, 25}, false)); diff != "" {
		t.Error(diff)
	}
}
