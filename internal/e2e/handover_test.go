package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/object"
)

// owner waits until a ConfigMap belongs to an App and is still the object it
// was.
func (w *world) owner(ns, name string, app *v1alpha1.App, was *corev1.ConfigMap) {
	w.t.Helper()
	want := app.Namespace + "/" + app.Name
	eventually(w.t, name+" belongs to "+want, func() error {
		cm := w.find(ns, name)
		if cm == nil {
			w.t.Fatalf("%s was deleted on the way", name)
		}
		if cm.UID != was.UID {
			w.t.Fatalf("%s was deleted and created again", name)
		}
		if got := cm.Annotations[v1alpha1.AnnotationOwner]; got != want {
			return fmt.Errorf("it belongs to %s", got)
		}
		return nil
	})
}

// TestMove: an object that moves from one App to another in one commit is
// handed over, whatever the other one is doing.
func TestMove(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	second := gittest.NewIn(t, w.repo.Root, "second.git")
	secondURL := w.url[:len(w.url)-len(w.repo.Name)] + "second.git"
	w.repo.Write(map[string]string{
		"a/keep.yaml": configMap("a-keep", "1"), "a/move.yaml": configMap("move", "1") + "---\n" + annotated("once", "1", v1alpha1.AnnotationApply, "create-only"),
		"a/far.yaml": configMap("far", "1"), "a/paused.yaml": configMap("paused", "1"), "a/broken.yaml": configMap("broken", "1"),
		"b/keep.yaml": configMap("b-keep", "1"), "p/keep.yaml": configMap("p-keep", "1"), "f/keep.yaml": configMap("f-keep", "1"),
	})
	commit := w.repo.Commit("all with a")
	second.Write(map[string]string{"app/keep.yaml": configMap("s-keep", "1")})
	secondCommit := second.Commit("one")
	w.run()
	a, b, p, f := w.app("a", "a", ns), w.app("b", "b", ns), w.app("p", "p", ns), w.app("f", "f", ns)
	s := w.app("s", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = secondURL })
	for _, app := range []*v1alpha1.App{a, b, p, f} {
		w.ready(app, commit)
	}
	w.ready(s, secondCommit)
	was := map[string]*corev1.ConfigMap{}
	for _, name := range []string{"move", "once", "far", "paused", "broken"} {
		was[name] = w.find(ns, name)
	}

	// Both have it: the second one says so, and the first keeps it.
	second.Write(map[string]string{"app/far.yaml": configMap("far", "2")})
	second.Commit("it is here too")
	w.refresh(s)
	w.says(s, "OwnedByAnotherApp", "far", "App "+w.own+"/a owns it")
	w.owner(ns, "far", a, was["far"])

	w.patch(cmNamed(ns, "once"), "somebody", `{"data":{"value":"theirs"}}`)
	pause := w.pause(p, "holiday")
	w.state(p, v1alpha1.StatePaused)
	w.repo.Remove("a/move.yaml", "a/far.yaml", "a/paused.yaml")
	w.repo.Write(map[string]string{"b/move.yaml": configMap("move", "2") + "---\n" + annotated("once", "2", v1alpha1.AnnotationApply, "create-only"), "p/move.yaml": configMap("paused", "2")})
	w.push(a, "three leave a")
	w.owner(ns, "move", b, was["move"])
	w.has(ns, "move", "2")
	w.owner(ns, "once", b, was["once"])
	w.has(ns, "once", "theirs") // it is only ever created
	w.owner(ns, "far", s, was["far"])
	w.says(a, "WaitingForHandover", "paused", "App "+w.own+"/p", "Paused")
	w.owner(ns, "paused", a, was["paused"])
	w.delete(pause)
	w.owner(ns, "paused", p, was["paused"])
	w.ready(a, "")

	// One that can't be rendered may want it, or not: nobody can tell.
	w.repo.Remove("a/broken.yaml")
	w.repo.Write(map[string]string{"f/move.yaml": configMap("broken", "2"), "f/keep.yaml": "a: b: c\n"})
	w.push(a, "one leaves for an App that fails")
	w.says(f, "InvalidYAML")
	w.says(a, "WaitingForHandover", "broken", "App "+w.own+"/f", "fails")
	w.owner(ns, "broken", a, was["broken"])
	w.repo.Write(map[string]string{"f/keep.yaml": configMap("f-keep", "2")})
	w.push(f, "repaired")
	w.owner(ns, "broken", f, was["broken"])
	for _, app := range []*v1alpha1.App{a, b, p, f, s} {
		w.ready(app, "")
	}
	w.ownedOnce()
}

// ownedOnce checks that each object is in one inventory.
func (w *world) ownedOnce() {
	w.t.Helper()
	var l v1alpha1.InventoryList
	must(w.t, w.client.List(w.t.Context(), &l))
	seen := map[object.Key]string{}
	for _, inv := range l.Items {
		for i := range inv.Entries {
			k := object.EntryKey(&inv.Entries[i])
			if other, twice := seen[k]; twice {
				w.t.Errorf("%s is in the inventories of %s and %s", k, other, inv.App)
			}
			seen[k] = inv.App
		}
	}
}

// TestRename: an App that is renamed in Git, by the App that makes Apps, takes
// over all that the App of the old name had. The old one is an App, and so waits
// for an approval.
func TestRename(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"apps/old.yaml": appManifest(w.own, "old", w.url, "app", ns), "app/config.yaml": configMaps("config", 3, "1"),
	})
	commit := w.repo.Commit("an App of Apps")
	w.run()
	parent := w.ready(w.app("parent", "apps", w.own), commit)
	old := &v1alpha1.App{}
	if !w.exists(old, w.own, "old") || old.Status.State != v1alpha1.StateInSync {
		t.Fatalf("the parent is ready, and its App is not: %+v", old.Status)
	}
	was := []*corev1.ConfigMap{w.find(ns, "config-0"), w.find(ns, "config-1"), w.find(ns, "config-2")}

	w.repo.Remove("apps/old.yaml")
	w.repo.Write(map[string]string{"apps/new.yaml": appManifest(w.own, "new", w.url, "app", ns)})
	w.push(parent, "renamed")
	p := w.waits(parent, "ProtectedKinds")
	fresh := &v1alpha1.App{}
	fresh.Namespace, fresh.Name = w.own, "new"
	w.says(fresh, "OwnedByAnotherApp", "App "+w.own+"/old owns it")
	w.approve(parent, p.Digest)
	for i, cm := range was {
		w.owner(ns, fmt.Sprintf("config-%d", i), fresh, cm)
	}
	w.gone(&v1alpha1.App{}, w.own, "old")
	w.ready(fresh, "")
	w.ready(parent, "")
	w.ownedOnce()
}

// TestTakeoverWhileDead: an App was deleted, and another one came in its place,
// while no controller ran: the one that is going waits for the one that comes.
func TestTakeoverWhileDead(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 3, "1")})
	commit := w.repo.Commit("three")
	w.run()
	old := w.ready(w.app("old", "app", ns), commit)
	was := []*corev1.ConfigMap{w.find(ns, "config-0"), w.find(ns, "config-1"), w.find(ns, "config-2")}
	w.abide.kill()
	w.delete(old)
	fresh := w.app("new", "app", ns)
	w.run()
	for i, cm := range was {
		w.owner(ns, fmt.Sprintf("config-%d", i), fresh, cm)
	}
	w.gone(&v1alpha1.App{}, w.own, "old")
	w.ready(fresh, commit)
	w.ownedOnce()
}
