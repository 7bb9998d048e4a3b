package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/plan"
)

func secretNamed(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "namespace": "shop"},
		"data": map[string]any{"password": "aHVudGVyMg=="},
	}}
}

// TestEntries: what a run did is on record, with whom it was let through by, and
// nothing of what objects hold; the same is not said at each try.
func TestEntries(t *testing.T) {
	app := object.App{Namespace: "shop", Name: "web"}
	rel := &v1alpha1.ReleaseSpec{
		Number: 7, Trigger: v1alpha1.TriggerCommit, Source: v1alpha1.SourceStatus{Commit: "c", Author: "Ada <a@example.org>"},
		Plan:  v1alpha1.ReleasePlan{Digest: "sha256:1"},
		Gates: []v1alpha1.PassedGate{{Gate: "DeletionBudget", By: "alice", Reason: "meant so"}}, Outcome: v1alpha1.OutcomeSucceeded,
	}
	key := object.KeyOf(secretNamed("healed"))
	out := &pipeline.Outcome{
		Record: rel, Ended: []*v1alpha1.ReleaseSpec{rel},
		Applied: []apply.Result{
			{Item: apply.Item{Action: plan.Update}, Live: secretNamed("s")},
			{Item: apply.Item{Action: plan.Heal}, Live: secretNamed("healed")},
		},
		Healed:  []pipeline.Heal{{Key: key, By: "meddler", After: secretNamed("healed")}},
		Deleted: []object.Key{object.KeyOf(secretNamed("gone"))},
	}
	got, _ := entriesOf(app, out, told{})
	base := of(app, rel)
	heal, sync, end := base, base, base
	heal.Kind, heal.Objects = KindHeal, []Object{{Object: "Secret shop/healed", Action: "heal", By: "meddler"}}
	sync.Kind, sync.Objects = KindSync, []Object{{Object: "Secret shop/s", Action: "update"}, {Object: "Secret shop/gone", Action: "delete"}}
	end.Kind, end.Outcome = KindRelease, "Succeeded"
	if d := cmp.Diff([]Entry{heal, sync, end}, got); d != "" {
		t.Error(d)
	}
	if base.Gates[0] != (Gate{"DeletionBudget", "alice", "meant so"}) || base.Author != "Ada <a@example.org>" {
		t.Errorf("%+v", base)
	}
	if b, _ := json.Marshal(got); strings.Contains(string(b), "aHVu") {
		t.Errorf("a value of a Secret is on record: %s", b)
	}

	kinds := func(list []Entry) (out []Kind) {
		for _, e := range list {
			out = append(out, e.Kind)
		}
		return out
	}
	step := func(why string, out *pipeline.Outcome, before told, want ...Kind) told {
		t.Helper()
		list, after := entriesOf(app, out, before)
		if !slices.Equal(kinds(list), want) {
			t.Errorf("%s: %v, want %v", why, kinds(list), want)
		}
		return after
	}
	failed := &pipeline.Outcome{State: v1alpha1.StateFailed, Reason: "X", Message: "no", Err: errors.New("no")}
	well := &pipeline.Outcome{State: v1alpha1.StateInSync}
	waits := &pipeline.Outcome{Waiting: &v1alpha1.PlanStatus{Digest: "d", Gate: "DeletionBudget"}}
	held := &pipeline.Outcome{State: v1alpha1.StatePinned, Pinned: &v1alpha1.PinnedStatus{To: 3, By: "alice"}}
	m := step("it fails", failed, told{}, KindFailed)
	m = step("it fails once more", failed, m)
	m = step("it is well", well, m)
	m = step("it fails again", failed, m, KindFailed)
	m = step("a plan waits", waits, m, KindWaits)
	m = step("it still does", waits, m)
	m = step("it is held", held, m, KindPinned)
	m = step("it still is", held, m)
	m = step("it is not any more", well, m, KindUnpin)
	step("nothing", well, m)
	refused := &pipeline.Outcome{
		State: v1alpha1.StateFailed, Reason: pipeline.ReasonApplyFailed, Message: "refused", Err: errors.New("refused"),
		Trouble: []pipeline.Trouble{{Key: key, Reason: pipeline.ReasonApplyFailed, Message: "refused"}},
	}
	another := *refused
	another.Trouble = append([]pipeline.Trouble{{Key: object.KeyOf(secretNamed("another")), Reason: pipeline.ReasonApplyFailed, Message: "refused"}}, refused.Trouble...)
	m = step("an object is refused", refused, m, KindFailed, KindFailed)
	m = step("it is tried again", refused, m)
	m = step("it is about to be", &pipeline.Outcome{Passing: true, State: v1alpha1.StateProgressing}, m)
	m = step("and again", refused, m)
	m = step("another one is refused too", &another, m, KindFailed)
	step("it is tried again", &another, m)
	step("it is gone", &pipeline.Outcome{Finished: true}, m, KindRemoved)

	// What a status has told was said by whoever wrote that.
	said := toldBy(&v1alpha1.AppStatus{
		Plan: &v1alpha1.PlanStatus{Digest: "d"}, Pinned: &v1alpha1.PinnedStatus{To: 3},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionSynced, Status: metav1.ConditionFalse, Reason: pipeline.ReasonApplyFailed, Message: "refused"}},
	})
	step("after a restart a plan still waits", waits, said)
	step("after a restart it is still held", held, said)
	step("after a restart it is held no more", well, said, KindUnpin)
	m = step("after a restart it still fails", refused, told{failure: said.failure})
	step("and another object too", &another, m, KindFailed)

	many := &pipeline.Outcome{}
	for i := range 2*maxObjects + 1 {
		many.Deleted = append(many.Deleted, object.KeyOf(secretNamed(fmt.Sprint(i))))
	}
	step("more objects than an entry holds", many, told{}, KindSync, KindSync, KindSync)
}
