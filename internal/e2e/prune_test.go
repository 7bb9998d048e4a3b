package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"abide.dev/abide/api/v1alpha1"
)

// TestBudget: a plan that deletes more than the budget waits, for as long as it
// is that plan, and an approval lets through that plan and no other.
func TestBudget(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 12, "1"), "app/same.yaml": configMap("same", "1")})
	commit := w.repo.Commit("thirteen")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)

	// Five go without asking.
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 10, "1")})
	w.ready(app, w.push(app, "two go"))
	w.gone(&corev1.ConfigMap{}, ns, "config-11")

	since := now()
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 4, "2")})
	w.push(app, "six go, and the rest changes")
	first := w.waits(app, "DeletionBudget")
	if first.Delete != 6 || first.Update != 4 || !strings.HasPrefix(first.Digest, "sha256:") {
		t.Errorf("the plan is %+v", first)
	}
	w.says(app, "DeletionBudget", "abide approve app", "6 of 11 objects")
	if s := w.get(app); s.Status.State != v1alpha1.StateWaiting {
		t.Errorf("the state is %s", s.Status.State)
	}

	// What changes nothing of the App changes nothing of the plan.
	w.repo.Write(map[string]string{"README": "hello"})
	w.judged(w.push(app, "unrelated"))
	if p := w.waits(app, "DeletionBudget"); p.Digest != first.Digest {
		t.Error("an unrelated commit made another plan of it")
	}
	w.approve(app, "sha256:"+strings.Repeat("0", 64))

	// Nor does a drift of what the plan leaves as it is, which is healed.
	w.patch(cmNamed(ns, "same"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "same", "1")
	if p := w.waits(app, "DeletionBudget"); p.Digest != first.Digest {
		t.Error("a drift made another plan of it")
	}

	// Another plan needs another approval, and the first is of no use to it.
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 3, "2")})
	w.judged(w.push(app, "seven go"))
	second := w.waits(app, "DeletionBudget")
	if second.Digest == first.Digest || second.Delete != 7 {
		t.Errorf("the second plan is %+v, the first was %+v", second, first)
	}
	w.approve(app, first.Digest)
	w.repo.Write(map[string]string{"README": "hello again"})
	w.judged(w.push(app, "unrelated again"))
	if toObjects, _ := split(w.writes(since)); len(without(toObjects, " same")) != 0 {
		t.Errorf("before its approval, the plan sent %v", toObjects)
	}

	w.approve(app, second.Digest)
	w.ready(app, "")
	releases := w.releases(app)
	if r := releases[len(releases)-1]; len(r.Gates) != 1 || r.Gates[0].Gate != "DeletionBudget" || r.Gates[0].By != "tester" || r.Plan.Digest != second.Digest {
		t.Errorf("who let it through is not on record: %+v", r)
	}
	if r := releases[len(releases)-2]; r.Outcome != v1alpha1.OutcomeRejected || r.Plan.Digest != first.Digest {
		t.Errorf("the plan that was given up is not on record: %+v", r)
	}
	for i := range 10 {
		cm := w.find(ns, fmt.Sprintf("config-%d", i))
		if i < 3 && (cm == nil || cm.Data["value"] != "2") || i >= 3 && cm != nil {
			t.Errorf("after the approval, config-%d is %+v", i, cm)
		}
	}
}

func claim(name string) string {
	return "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: " + name + "}\nspec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}\n"
}

// TestProtected: some kinds are never deleted without an approval, be it one
// object of many; and an approved plan goes on to its end, also when a part of it
// takes its time.
func TestProtected(t *testing.T) {
	w := newWorld(t)
	ns, elsewhere := w.sandbox.Namespace(t), w.fresh("protected")
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 3, "1") + claim("claim") +
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + elsewhere + "}\n"})
	w.repo.Commit("all")
	w.run()
	app := w.app("app", "app", ns)
	w.state(app, v1alpha1.StateInSync)
	w.patch(cmNamed(ns, "config-2"), "tester", `{"metadata":{"finalizers":["example.org/slow"]}}`)

	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 2, "1")})
	w.push(app, "all but two go")
	p := w.waits(app, "ProtectedKinds")
	for _, word := range []string{"claim", elsewhere} {
		if !strings.Contains(p.Message, word) {
			t.Errorf("the message does not name %s: %s", word, p.Message)
		}
	}
	w.approve(app, p.Digest)
	// The config that is slow to go is in the same stage as the claim, and the
	// namespace comes after it: it must not be asked about again.
	w.says(app, "Pruning", "config-2")
	w.patch(cmNamed(ns, "config-2"), "tester", `{"metadata":{"finalizers":null}}`)
	w.gone(&corev1.PersistentVolumeClaim{}, ns, "claim")
	w.gone(&corev1.Namespace{}, "", elsewhere)
	w.ready(app, "")
}

// TestRules: what an object's own annotations, or its App, say about its life.
func TestRules(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	foreign := cmNamed(ns, "there-before")
	foreign.Data = map[string]string{"value": "theirs"}
	must(t, w.client.Create(t.Context(), foreign))
	files := func(value string) string {
		return "---\n" + configMap("plain", value) +
			"---\n" + annotated("never", value, v1alpha1.AnnotationPrune, "never") +
			"---\n" + annotated("once", value, v1alpha1.AnnotationApply, "create-only") +
			"---\n" + annotated("there-before", value, v1alpha1.AnnotationApply, "create-only") +
			"---\n" + annotated("replaced", value, v1alpha1.AnnotationApply, "replace") +
			"---\n" + annotated("ignored", value, v1alpha1.AnnotationApply, "ignore")
	}
	w.repo.Write(map[string]string{"app/config.yaml": files("1"), "off/config.yaml": configMaps("off", 2, "1")})
	commit := w.repo.Commit("all")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	off := w.ready(w.app("off", "off", ns, func(a *v1alpha1.App) { a.Spec.Sync.Prune = new(bool) }), commit)
	if w.find(ns, "ignored") != nil {
		t.Error("an object that is to be ignored was created")
	}
	if cm := w.find(ns, "there-before"); cm.Data["value"] != "theirs" || cm.Labels[v1alpha1.LabelApp] != "" {
		t.Errorf("an object that is only to be created, and existed, was changed: %+v", cm)
	}

	w.patch(cmNamed(ns, "replaced"), "meddler", `{"data":{"foreign":"field"}}`)
	w.patch(cmNamed(ns, "once"), "meddler", `{"data":{"value":"theirs"}}`)
	w.repo.Write(map[string]string{"app/config.yaml": files("2"), "off/config.yaml": configMaps("off", 1, "1")})
	w.ready(app, w.push(app, "new values"))
	if cm := w.find(ns, "replaced"); cm.Data["value"] != "2" || cm.Data["foreign"] != "" {
		t.Errorf("the object that is to be replaced has %v", cm.Data)
	}
	if cm := w.find(ns, "once"); cm.Data["value"] != "theirs" {
		t.Errorf("the object that is only to be created has %v", cm.Data)
	}
	// Without its label it looks as if it was gone, and is not: it is the App's
	// again, and as it was.
	w.patch(cmNamed(ns, "once"), "meddler", fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelApp))
	eventually(t, "the label is back", func() error {
		if cm := w.find(ns, "once"); cm == nil || cm.Labels[v1alpha1.LabelApp] == "" || cm.Data["value"] != "theirs" {
			return fmt.Errorf("it is %+v", cm)
		}
		return nil
	})
	w.ready(app, "")
	w.says(off, "Drifted", "off-1", "spec.sync.prune is off")
	if w.find(ns, "off-1") == nil {
		t.Error("with prune off, an object was removed")
	}

	w.repo.Write(map[string]string{"app/config.yaml": configMap("plain", "2")})
	w.ready(app, w.push(app, "only one stays"))
	w.gone(&corev1.ConfigMap{}, ns, "once")
	w.gone(&corev1.ConfigMap{}, ns, "replaced")
	for _, name := range []string{"never", "there-before"} {
		if w.find(ns, name) == nil {
			t.Errorf("%s was removed", name)
		}
	}
	if total := w.get(app).Status.Objects.Total; total != 1 {
		t.Errorf("the App owns %d objects, want 1", total)
	}
}

// TestSuspiciousRender: a folder that is gone, or empty, or has lost its
// kustomization, is a mistake until somebody says otherwise: nothing is pruned.
func TestSuspiciousRender(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	kustomization := "namePrefix: my-\nresources: [config.yaml]\n"
	w.repo.Write(map[string]string{
		"gone/config.yaml": configMap("gone", "1"), "empty/config.yaml": configMap("empty", "1"),
		"broken/config.yaml": configMap("broken", "1"),
		"kust/config.yaml":   configMap("kust", "1"), "kust/kustomization.yaml": kustomization,
	})
	commit := w.repo.Commit("all")
	w.run()
	apps := map[string]*v1alpha1.App{}
	for _, name := range []string{"gone", "empty", "broken", "kust"} {
		apps[name] = w.app(name, name, ns)
	}
	for _, app := range apps {
		w.ready(app, commit)
	}
	w.repo.Remove("gone", "empty/config.yaml", "kust/kustomization.yaml")
	w.repo.Write(map[string]string{"empty/README": "nothing here", "broken/config.yaml": "a: b: c\n"})
	w.judged(w.push(apps["gone"], "all wrong"))
	w.says(apps["gone"], "PathNotFound", "gone")
	w.says(apps["empty"], "NoObjects")
	w.says(apps["broken"], "InvalidYAML", "broken/config.yaml:1")
	w.says(apps["kust"], "WaitingForHandover", "my-kust", "fails")
	for _, name := range []string{"gone", "empty", "broken", "my-kust"} {
		if w.find(ns, name) == nil {
			t.Errorf("%s was removed", name)
		}
	}

	// The last good state is put right again when it comes back, and what was
	// meant is done when somebody says so.
	w.repo.Write(map[string]string{
		"gone/config.yaml": configMap("gone", "2"), "empty/config.yaml": configMap("empty", "2"),
		"broken/config.yaml": configMap("broken", "2"),
	})
	commit = w.push(apps["gone"], "repaired")
	for _, name := range []string{"gone", "empty", "broken"} {
		w.ready(apps[name], commit)
	}
	p := w.waits(apps["kust"], "RendererVanished")
	if w.find(ns, "my-kust") == nil {
		t.Error("what the kustomization made was removed without an approval")
	}
	w.approve(apps["kust"], p.Digest)
	w.ready(apps["kust"], "")
	w.gone(&corev1.ConfigMap{}, ns, "my-kust")
	if w.find(ns, "kust") == nil {
		t.Error("after the approval, the plain object is not there")
	}
}
