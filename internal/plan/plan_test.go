package plan

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

var (
	web   = object.App{Namespace: "shop", Name: "web"}
	other = object.App{Namespace: "shop", Name: "other"}
	conf  = object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "c"}
)

// state is all that a plan knows of one object.
type state struct {
	desired  *Desired
	entry    *v1alpha1.InventoryEntry
	observed *Observed
	fact     *Fact
	wanted   bool // by the other App
	noHeal   bool
	noPrune  bool
}

func (s state) compute() Plan {
	in := Input{
		App: web, Prune: !s.noPrune, Heal: !s.noHeal,
		Inventory: map[object.Key]*v1alpha1.InventoryEntry{},
		Observed: func(k object.Key) (Observed, bool) {
			if s.observed == nil || k != conf {
				return Observed{}, false
			}
			return *s.observed, true
		},
		Facts: map[object.Key]Fact{},
		Wants: func(a object.App, k object.Key) bool { return a == other && k == conf && s.wanted },
	}
	if s.desired != nil {
		d := *s.desired
		d.Key = conf
		in.Desired = []Desired{d}
	}
	if s.entry != nil {
		in.Inventory[conf] = s.entry
	}
	if s.fact != nil {
		in.Facts[conf] = *s.fact
	}
	return Compute(in)
}

func TestCompute(t *testing.T) {
	const owns, letGo = "App shop/other owns it, and Git still has it there: remove it from one of the two", "App shop/other has let go of it"
	wants := func(hash string) *Desired { return &Desired{Hash: hash} }
	rules := func(hash string, r object.Rules) *Desired { return &Desired{Hash: hash, Rules: r} }
	entry := func(hash, fingerprint string) *v1alpha1.InventoryEntry {
		return &v1alpha1.InventoryEntry{UID: "u", Hash: hash, Fingerprint: fingerprint}
	}
	obs := func(o object.App, fingerprint string) *Observed {
		return &Observed{UID: "u", Owner: o, Fingerprint: fingerprint}
	}
	going := &Observed{UID: "u", Owner: web, Fingerprint: "f", Deleting: true}
	noPrune := &v1alpha1.InventoryEntry{UID: "u", Hash: "1", Flags: []string{v1alpha1.FlagNoPrune}}
	tests := map[string]struct {
		in   state
		want *Step // nil: none; the key is filled in
	}{
		"as it should be": {state{desired: wants("1"), entry: entry("1", "f"), observed: obs(web, "f")}, nil},
		"new":             {state{desired: wants("1")}, &Step{Action: Create, Hash: "1"}},
		"new, and read to be absent": {state{desired: wants("1"), fact: &Fact{}},
			&Step{Action: Create, Hash: "1"}},
		"written down, and never seen": {state{desired: wants("1"), entry: &v1alpha1.InventoryEntry{Hash: "1"}},
			&Step{Action: Create, Hash: "1"}},
		"written down, never seen, heal off": {state{desired: wants("1"), entry: &v1alpha1.InventoryEntry{Hash: "1"}, noHeal: true},
			&Step{Action: Create, Hash: "1"}},
		"changed in Git": {state{desired: wants("2"), entry: entry("1", "f"), observed: obs(web, "f")},
			&Step{Action: Update, Hash: "2", Before: "f"}},
		"changed in Git and by hand": {state{desired: wants("2"), entry: entry("1", "f"), observed: obs(web, "g"), noHeal: true},
			&Step{Action: Update, Hash: "2", Before: "g"}},
		"changed in Git and gone, heal off": {state{desired: wants("2"), entry: entry("1", "f"), noHeal: true},
			&Step{Action: Update, Hash: "2", Why: "it is gone"}},
		"changed by hand": {state{desired: wants("1"), entry: entry("1", "f"), observed: obs(web, "g")},
			&Step{Action: Heal, Hash: "1", Before: "g", Why: "it was changed"}},
		"changed by hand, heal off": {state{desired: wants("1"), entry: entry("1", "f"), observed: obs(web, "g"), noHeal: true},
			&Step{Action: Keep, Hash: "1", Before: "g", Why: "it was changed, and spec.sync.heal is off"}},
		"nothing of it is abide's any more": {state{desired: wants("1"), entry: entry("1", ""), observed: obs(web, "")},
			&Step{Action: Heal, Hash: "1", Why: "it was changed"}},
		"gone": {state{desired: wants("1"), entry: entry("1", "f")},
			&Step{Action: Heal, Hash: "1", Why: "it is gone"}},
		"gone, heal off": {state{desired: wants("1"), entry: entry("1", "f"), noHeal: true},
			&Step{Action: Keep, Hash: "1", Why: "it is gone, and spec.sync.heal is off"}},
		"being deleted": {state{desired: wants("2"), entry: entry("1", "f"), observed: going},
			&Step{Action: Keep, Hash: "2", Before: "f", Why: "it is being deleted; it is applied again once it is gone"}},

		"create-only, changed in Git and by hand": {state{desired: rules("2", object.Rules{CreateOnly: true}), entry: entry("1", "f"), observed: obs(web, "g")}, nil},
		"create-only, gone": {state{desired: rules("1", object.Rules{CreateOnly: true}), entry: entry("1", "f")},
			&Step{Action: Heal, Hash: "1", Why: "it is gone"}},
		"create-only, new": {state{desired: rules("1", object.Rules{CreateOnly: true})}, &Step{Action: Create, Hash: "1"}},
		"create-only, exists": {state{desired: rules("1", object.Rules{CreateOnly: true}), fact: &Fact{Exists: true, Fingerprint: "g"}},
			&Step{Action: Keep, Hash: "1", Before: "g", Why: "it exists already, and its annotation says only to create it"}},
		"create-only, exists by our own hand": {state{desired: rules("1", object.Rules{CreateOnly: true}), fact: &Fact{Exists: true, Owner: web}},
			&Step{Action: Adopt, Hash: "1"}},
		"ignored, and never ours": {state{desired: rules("1", object.Rules{Ignore: true})}, nil},
		"ignored from now on": {state{desired: rules("1", object.Rules{Ignore: true}), entry: entry("1", "f"), observed: obs(web, "g")},
			&Step{Action: Forget, Hash: "1", Why: "its annotation says to ignore it"}},

		"exists": {state{desired: wants("1"), fact: &Fact{Exists: true}},
			&Step{Action: Adopt, Hash: "1"}},
		"exists with our marks": {state{desired: wants("1"), fact: &Fact{Exists: true, Owner: web, TrackedBy: "x", Fingerprint: "g"}},
			&Step{Action: Adopt, Hash: "1", Before: "g"}},
		"exists, another tool's": {state{desired: wants("1"), fact: &Fact{Exists: true, TrackedBy: "Helm release a/b tracks it"}},
			&Step{Action: Convert, Hash: "1", Why: "Helm release a/b tracks it"}},
		"exists, of an App that wants it": {state{desired: wants("1"), fact: &Fact{Exists: true, Owner: other}, wanted: true},
			&Step{Action: Refuse, Hash: "1", Why: owns}},
		"exists, of an App that let go": {state{desired: wants("1"), fact: &Fact{Exists: true, Owner: other}},
			&Step{Action: Take, Hash: "1", Why: letGo}},
		"seen, of an App that wants it": {state{desired: wants("1"), observed: obs(other, "g"), wanted: true},
			&Step{Action: Refuse, Hash: "1", Before: "g", Why: owns}},
		"seen, of an App that let go": {state{desired: wants("1"), observed: obs(other, "g")},
			&Step{Action: Take, Hash: "1", Before: "g", Why: letGo}},
		"ours, and taken by an App that wants it": {state{desired: wants("1"), entry: entry("1", "f"), observed: obs(other, "g"), wanted: true},
			&Step{Action: Refuse, Hash: "1", Before: "g", Why: owns}},

		"no longer in Git": {state{entry: entry("1", "f"), observed: obs(web, "f")},
			&Step{Action: Delete, Before: "f"}},
		"no longer in Git, and not seen": {state{entry: entry("1", "f")}, // no proof that it is gone: a read tells
			&Step{Action: Delete}},
		"no longer in Git, being deleted": {state{entry: entry("1", "f"), observed: going},
			&Step{Action: Delete, Before: "f"}},
		"no longer in Git, prune off": {state{entry: entry("1", "f"), observed: obs(web, "f"), noPrune: true},
			&Step{Action: Keep, Before: "f", Why: "it is no longer in Git, and spec.sync.prune is off"}},
		"no longer in Git, never pruned": {state{entry: noPrune, observed: obs(web, "f")},
			&Step{Action: Forget, Before: "f", Why: "its annotation says never to prune it"}},
		"no longer in Git, never pruned, prune off": {state{entry: noPrune, noPrune: true},
			&Step{Action: Forget, Why: "its annotation says never to prune it"}},
		"no longer in Git, and another App has it": {state{entry: entry("1", "f"), observed: obs(other, "f")},
			&Step{Action: Forget, Before: "f", Why: "App shop/other owns it now"}},
		"not ours and not in Git": {state{observed: obs(web, "f")}, nil}, // labelled, and not in the inventory: never touched
	}
	for name, tc := range tests {
		p := tc.in.compute()
		var want []Step
		if tc.want != nil {
			tc.want.Key = conf
			want = []Step{*tc.want}
		}
		if diff := cmp.Diff(want, p.Steps); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestOrder(t *testing.T) {
	ns := object.Key{Kind: "Namespace", Name: "shop"}
	role := object.Key{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding", Namespace: "shop", Name: "r"}
	deploy := object.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "d"}
	hook := object.Key{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration", Name: "h"}
	b := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "b"}
	inOrder := []object.Key{ns, b, conf, role, deploy, hook}
	in := Input{
		App: web, Prune: true, Heal: true,
		Observed:  func(object.Key) (Observed, bool) { return Observed{}, false },
		Wants:     func(object.App, object.Key) bool { return false },
		Inventory: map[object.Key]*v1alpha1.InventoryEntry{},
	}
	var want []string
	for _, k := range inOrder {
		in.Desired = append(in.Desired, Desired{Key: k, Hash: "1"})
		want = append(want, "create "+k.String())
	}
	for _, k := range inOrder {
		k.Name += "-old"
		in.Inventory[k] = &v1alpha1.InventoryEntry{}
	}
	for _, k := range slices.Backward(inOrder) {
		k.Name += "-old"
		want = append(want, "delete "+k.String())
	}
	slices.Reverse(in.Desired)
	p := Compute(in)
	var got []string
	for _, s := range p.Steps {
		got = append(got, string(s.Action)+" "+s.Key.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("applies by stage, deletes in reverse after them: %s", diff)
	}
	if p.Owned != len(inOrder) {
		t.Errorf("%d owned before the plan, want %d", p.Owned, len(inOrder))
	}
}

func TestApplies(t *testing.T) {
	for a, want := range map[Action]bool{
		Create: true, Update: true, Heal: true, Adopt: true, Convert: true, Take: true,
		Refuse: false, Delete: false, Forget: false, Keep: false,
	} {
		if s := (Step{Action: a}); s.Applies() != want {
			t.Errorf("%s ends in an apply: %t", a, s.Applies())
		}
	}
}

func TestEmptyCountSelect(t *testing.T) {
	p := Plan{Steps: []Step{{Action: Keep}, {Action: Refuse}}}
	if !p.Empty() || p.Count(Keep, Refuse) != 2 {
		t.Errorf("steps that change nothing make no plan")
	}
	p.Steps = append(p.Steps, Step{Action: Forget, Hash: "x"})
	if p.Empty() {
		t.Error("what leaves the inventory is to be done")
	}
	p.Select(Forget)[0].Hash = "y"
	if p.Steps[2].Hash != "y" {
		t.Error("Select returns copies: what its callers change is lost")
	}
}

func TestDigest(t *testing.T) {
	make := func(f func(*Plan)) string {
		p := Plan{App: web, Owned: 3, Steps: []Step{
			{Key: conf, Action: Update, Hash: "1", Before: "f", Why: "x"},
			{Key: object.Key{Kind: "Secret", Namespace: "shop", Name: "s"}, Action: Delete, Before: "g"},
		}}
		f(&p)
		return p.Digest()
	}
	base := make(func(*Plan) {})
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(base) {
		t.Errorf("%q", base)
	}
	for name, f := range map[string]func(*Plan){
		"the App":         func(p *Plan) { p.App.Name = "web2" },
		"the group":       func(p *Plan) { p.Steps[0].Key.Group = "x" },
		"the kind":        func(p *Plan) { p.Steps[0].Key.Kind = "x" },
		"the namespace":   func(p *Plan) { p.Steps[0].Key.Namespace = "x" },
		"the name":        func(p *Plan) { p.Steps[0].Key.Name = "x" },
		"the action":      func(p *Plan) { p.Steps[0].Action = Heal },
		"the hash":        func(p *Plan) { p.Steps[0].Hash = "2" },
		"the fingerprint": func(p *Plan) { p.Steps[0].Before = "h" },
		"a step less":     func(p *Plan) { p.Steps = p.Steps[:1] },
		"a step more":     func(p *Plan) { p.Steps = append(p.Steps, Step{Key: conf, Action: Delete}) },
	} {
		if make(f) == base {
			t.Errorf("%s is not in the digest: an approval would hold for something else", name)
		}
	}
	for name, f := range map[string]func(*Plan){
		"the words":             func(p *Plan) { p.Steps[0].Why = "y" },
		"the number owned":      func(p *Plan) { p.Owned = 7 },
		"a step that is kept":   func(p *Plan) { p.Steps = append(p.Steps, Step{Key: conf, Action: Keep}) },
		"the same plan, at all": func(*Plan) {},
	} {
		if make(f) != base {
			t.Errorf("%s is in the digest: an approval would be void without a reason", name)
		}
	}
}

// TestDigestOfEqualInput: the plan of another commit that asks for the same is
// the same plan, whatever the order in which maps are walked.
func TestDigestOfEqualInput(t *testing.T) {
	want := ""
	for range 20 {
		p := Compute(thousand(50))
		if d := p.Digest(); want == "" {
			want = d
		} else if d != want {
			t.Fatal("equal inputs, and two digests")
		}
	}
}

func thousand(n int) Input {
	in := Input{
		App: web, Prune: true, Heal: true,
		Inventory: map[object.Key]*v1alpha1.InventoryEntry{},
		Wants:     func(object.App, object.Key) bool { return false },
	}
	seen := map[object.Key]Observed{}
	for i := range n {
		k := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("c%d", i)}
		e := &v1alpha1.InventoryEntry{UID: "u", Hash: "h", Fingerprint: "f"}
		in.Inventory[k] = e
		seen[k] = Observed{UID: "u", Fingerprint: "f", Owner: web}
		switch i % 10 {
		case 0: // to be deleted
		case 1:
			in.Desired = append(in.Desired, Desired{Key: k, Hash: "new"})
		default:
			in.Desired = append(in.Desired, Desired{Key: k, Hash: "h"})
		}
	}
	in.Observed = func(k object.Key) (Observed, bool) { o, ok := seen[k]; return o, ok }
	return in
}

func BenchmarkCompute1000(b *testing.B) {
	in := thousand(1000)
	b.ReportAllocs()
	for b.Loop() {
		if p := Compute(in); len(p.Steps) != 200 {
			b.Fatal(len(p.Steps))
		}
	}
}
