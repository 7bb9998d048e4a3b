package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/sandboxtest"
)

// push commits what was written, and has the controller look at once.
func (w *world) push(app *v1alpha1.App, message string) (commit string) {
	w.t.Helper()
	commit = w.repo.Commit(message)
	w.refresh(app)
	return commit
}

// find reads a ConfigMap, nil if there is none.
func (w *world) find(namespace, name string) *corev1.ConfigMap {
	w.t.Helper()
	var cm corev1.ConfigMap
	if !w.exists(&cm, namespace, name) {
		return nil
	}
	return &cm
}

// exists reads an object into o, and tells whether there is one.
func (w *world) exists(o client.Object, namespace, name string) bool {
	w.t.Helper()
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return err == nil
}

// has waits until a ConfigMap has a value.
func (w *world) has(namespace, name, value string) *corev1.ConfigMap {
	w.t.Helper()
	var cm *corev1.ConfigMap
	eventually(w.t, name+" has the value "+value, func() error {
		if cm = w.find(namespace, name); cm == nil || cm.Data["value"] != value {
			return fmt.Errorf("it is %+v", cm)
		}
		return nil
	})
	return cm
}

// gone waits until an object does not exist.
func (w *world) gone(o client.Object, namespace, name string) {
	w.t.Helper()
	eventually(w.t, name+" is gone", func() error {
		if w.exists(o, namespace, name) {
			return fmt.Errorf("it is there: %v", o.GetFinalizers())
		}
		return nil
	})
}

// patch changes an object as a person with another field manager would.
func (w *world) patch(o client.Object, manager, merge string) {
	w.t.Helper()
	must(w.t, w.client.Patch(w.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(merge)), client.FieldOwner(manager)))
}

func cmNamed(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// says waits until the App's Ready condition has a reason and a message with
// all of the words.
func (w *world) says(app *v1alpha1.App, reason string, words ...string) string {
	w.t.Helper()
	var message string
	eventually(w.t, "App "+app.Name+" says "+reason+" with "+strings.Join(words, ", "), func() error {
		c := meta.FindStatusCondition(w.get(app).Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason {
			return fmt.Errorf("it says %+v", c)
		}
		for _, word := range words {
			if !strings.Contains(c.Message, word) {
				return fmt.Errorf("it says %q, without %q", c.Message, word)
			}
		}
		message = c.Message
		return nil
	})
	return message
}

// state waits until the App has a state.
func (w *world) state(app *v1alpha1.App, state v1alpha1.State) *v1alpha1.App {
	w.t.Helper()
	var now *v1alpha1.App
	eventually(w.t, "App "+app.Name+" is "+string(state), func() error {
		if now = w.get(app); now.Status.State != state {
			return fmt.Errorf("it is %+v", now.Status)
		}
		return nil
	})
	return now
}

// waits waits until a plan of the App waits at a gate.
func (w *world) waits(app *v1alpha1.App, gate string) *v1alpha1.PlanStatus {
	w.t.Helper()
	var p *v1alpha1.PlanStatus
	eventually(w.t, "the plan of App "+app.Name+" waits at "+gate, func() error {
		s := w.get(app).Status
		if p = s.Plan; p == nil || p.Gate != gate {
			return fmt.Errorf("its plan is %+v, its state %s: %+v", p, s.State, s.Conditions)
		}
		return nil
	})
	return p
}

// approve lets a plan go on.
func (w *world) approve(app *v1alpha1.App, digest string) {
	w.t.Helper()
	must(w.t, w.client.Create(w.t.Context(), &v1alpha1.Approval{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, GenerateName: app.Name + "-"},
		Spec:       v1alpha1.ApprovalSpec{App: app.Name, Plan: digest, By: "tester"},
	}))
}

// pause pauses an App.
func (w *world) pause(app *v1alpha1.App, reason string) *v1alpha1.Pause {
	w.t.Helper()
	p := &v1alpha1.Pause{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name},
		Spec:       v1alpha1.PauseSpec{By: "tester", Reason: reason},
	}
	must(w.t, w.client.Create(w.t.Context(), p))
	return p
}

func (w *world) delete(o client.Object, opts ...client.DeleteOption) {
	w.t.Helper()
	must(w.t, client.IgnoreNotFound(w.client.Delete(w.t.Context(), o, opts...)))
}

// judged waits until every App is known to have been judged at a commit.
func (w *world) judged(commit string) {
	w.t.Helper()
	eventually(w.t, "the ref is judged up to "+commit, func() error {
		var refs v1alpha1.GitRefList
		must(w.t, w.client.List(w.t.Context(), &refs, client.InNamespace(w.own)))
		for i := range refs.Items {
			if strings.TrimSuffix(refs.Items[i].URL, ".git") == strings.TrimSuffix(w.url, ".git") && refs.Items[i].Judged == commit {
				return nil
			}
		}
		return fmt.Errorf("the records are %+v", refs.Items)
	})
}

// writes are the requests of the controller since a time that can change
// something, dry runs among them, as "verb resource/subresource name".
func (w *world) writes(since time.Time) []string {
	w.t.Helper()
	var out []string
	for _, e := range w.requests(since) {
		if e.Verb != "get" && e.Verb != "list" {
			out = append(out, describe(e))
		}
	}
	return out
}

func describe(e sandboxtest.AuditEvent) string {
	r := e.Resource
	if e.Subresource != "" {
		r += "/" + e.Subresource
	}
	if strings.Contains(e.URI, "dryRun=") {
		r += " (dry run)"
	}
	return e.Verb + " " + r + " " + e.Name
}

// split parts the writes that are about objects of Apps from those that are about
// abide's own records.
func split(writes []string) (toObjects, records []string) {
	for _, s := range writes {
		_, rest, _ := strings.Cut(s, " ")
		resource, _, _ := strings.Cut(rest, " ")
		switch {
		case slices.Contains([]string{"apps", "inventories", "gitrefs", "events", "repositories", "releases", "healthrules"}, strings.TrimSuffix(resource, "/status")),
			strings.Contains(s, " secrets abide-manifests-"), strings.Contains(s, " secrets abide-release-key"):
			records = append(records, s)
		default:
			toObjects = append(toObjects, s)
		}
	}
	return toObjects, records
}

// about are the strings with a word in them.
func about(list []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !strings.Contains(s, word) })
}

// now is a time before which the audit log's clock lies for everything that has
// been answered.
func now() time.Time { return time.Now() }

// inNamespace makes an App elsewhere than in abide's own namespace.
func inNamespace(ns string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) { a.Namespace = ns }
}

// configMaps makes the manifests of many ConfigMaps.
func configMaps(prefix string, n int, value string) string {
	var s strings.Builder
	for i := range n {
		s.WriteString("---\n" + configMap(fmt.Sprintf("%s-%d", prefix, i), value))
	}
	return s.String()
}

// annotated is a ConfigMap with one annotation.
func annotated(name, value, annotation, is string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  annotations:\n    %s: %s\ndata:\n  value: %q\n", name, annotation, is, value)
}

// appManifest is the manifest of an App.
func appManifest(namespace, name, url, path, target string) string {
	return fmt.Sprintf("apiVersion: abide.dev/v1alpha1\nkind: App\nmetadata:\n  namespace: %s\n  name: %s\nspec:\n  source:\n    repo: %s\n    path: %s\n  target:\n    namespace: %s\n",
		namespace, name, url, path, target)
}

// ended waits until a process has ended.
func (p *process) ended(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		t.Fatalf("the controller has not ended within %s", within)
	}
}
