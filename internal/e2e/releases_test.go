package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/release"
)

// TestRecords: each attempt is on record: what made it, what it changed field by
// field, what came of each object, and what was healed since. Values of Secrets are
// not; what is kept is bounded, and outlives the App.
func TestRecords(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	secret := func(value string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: " + value + "}\n"
	}
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1"), "app/s.yaml": secret("hunter1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns, func(a *v1alpha1.App) { a.Spec.HistoryLimit = new(int32(2)) })
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "1"), "app/s.yaml": secret("hunter2")})
	commit := w.push(app, "two")
	rel := w.outcome(app, 2, v1alpha1.OutcomeSucceeded)
	if s := rel.Source; s.Commit != commit || s.Subject != "two" || !strings.HasPrefix(s.Author, "Ada ") || !strings.HasPrefix(s.Committer, "Grace ") {
		t.Errorf("its source: %+v", s)
	}
	if p := rel.Plan; rel.Trigger != v1alpha1.TriggerCommit || p.Create != 1 || p.Update != 2 || p.Delete != 0 || !strings.HasPrefix(p.Digest, "sha256:") || len(p.Objects) != 3 {
		t.Errorf("its plan: %+v", p)
	}
	at := func(name string) v1alpha1.ReleaseObject {
		i := slices.IndexFunc(rel.Plan.Objects, func(o v1alpha1.ReleaseObject) bool { return o.Object == name })
		if i < 0 {
			t.Fatalf("%s is not on record: %+v", name, rel.Plan.Objects)
		}
		return rel.Plan.Objects[i]
	}
	a := at("ConfigMap " + ns + "/a")
	if a.Action != "update" || a.Result != v1alpha1.ResultApplied || a.At == nil || a.FieldCount != 1 || a.Fields[0] != (v1alpha1.FieldChange{Path: "data.value", From: "1", To: "2"}) {
		t.Errorf("what it did to a: %+v", a)
	}
	if b := at("ConfigMap " + ns + "/b"); b.Action != "create" || b.Result != v1alpha1.ResultApplied {
		t.Errorf("what it did to b: %+v", b)
	}
	s := at("Secret " + ns + "/s")
	if len(s.Fields) != 1 || s.Fields[0].Path != "data.password" || s.Fields[0].From == s.Fields[0].To || !strings.HasPrefix(s.Fields[0].To, "<secret ") {
		t.Errorf("what it did to the Secret: %+v", s)
	}

	w.patch(cmNamed(ns, "a"), "meddler", `{"data":{"value":"by hand"}}`)
	eventually(t, "the heal is on record", func() error {
		list := w.releases(app)
		if rel = list[len(list)-1]; rel.HealCount == 0 {
			return fmt.Errorf("the newest is %+v", rel)
		}
		return nil
	})
	if h := rel.Heals[0]; h.By != "meddler" || h.Object != "ConfigMap "+ns+"/a" || h.Fields[0] != (v1alpha1.FieldChange{Path: "data.value", From: "by hand", To: "2"}) {
		t.Errorf("the heal: %+v", h)
	}
	whole, err := json.Marshal(w.releases(app))
	must(t, err)
	if strings.Contains(string(whole), "hunter") || strings.Contains(string(whole), "aHVudGVy") {
		t.Errorf("a value of a Secret is on record: %s", whole)
	}

	for i := range 3 {
		w.repo.Write(map[string]string{"app/a.yaml": configMap("a", fmt.Sprint("next", i))})
		w.push(app, "next")
		w.outcome(app, int64(3+i), v1alpha1.OutcomeSucceeded)
	}
	eventually(t, "two releases are kept", func() error {
		list, kept := w.releases(app), w.kept()
		if len(list) != 2 || list[0].Number != 4 || len(kept) != 2 {
			return fmt.Errorf("there are %+v and %v", list, kept)
		}
		return nil
	})
	// What was there once is shared, not kept twice.
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "next1")})
	w.push(app, "back")
	w.outcome(app, 6, v1alpha1.OutcomeSucceeded)

	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	if list := w.releases(app); len(list) == 0 || list[len(list)-1].Trigger != v1alpha1.TriggerDelete || list[len(list)-1].Outcome != v1alpha1.OutcomeSucceeded {
		t.Errorf("after the App is gone there are %+v", list)
	}
}

// kept are the names of the Secrets that hold manifests.
func (w *world) kept() []string {
	w.t.Helper()
	var l corev1.SecretList
	must(w.t, w.client.List(w.t.Context(), &l, client.InNamespace(w.own)))
	var out []string
	for i := range l.Items {
		if l.Items[i].Type == release.SecretType {
			out = append(out, l.Items[i].Name)
		}
	}
	return out
}
