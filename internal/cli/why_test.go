package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// as names an App of full.
func as(namespace, name string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) { a.Namespace, a.Name = namespace, name }
}

// waitsFor makes an App wait for others: name, minutes ago, what is missing.
func waitsFor(app string, minutes int, message string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) {
		since := metav1.NewTime(noon.Add(-time.Duration(minutes) * time.Minute))
		a.Status.WaitsFor = append(a.Status.WaitsFor, v1alpha1.WaitsFor{App: app, Since: &since, Message: message})
		state(v1alpha1.StateWaiting, "WaitingForDependency", "waits for App "+app+", which "+message)(a)
	}
}

func progressing(note, message string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) {
		is(metav1.ConditionFalse, "Progressing", note+": "+message)(a)
		a.Status.Health = v1alpha1.HealthProgressing
		a.Status.Objects.Attention = []v1alpha1.ObjectNote{{Object: note, Reason: "Progressing", Message: message}}
	}
}

// TestWhyWords compares what abide why says of Apps with golden files.
func TestWhyWords(t *testing.T) {
	planned := func(a *v1alpha1.App) {
		state(v1alpha1.StateWaiting, "DeletionBudget", "the plan waits for an approval")(a)
		a.Status.Plan = &v1alpha1.PlanStatus{Digest: "sha256:ab", Gate: "DeletionBudget", Message: "it would delete 7 of 10 objects, and the budget is 5 objects or 25 %"}
	}
	deleted := func(a *v1alpha1.App) {
		at := metav1.NewTime(noon.Add(-3 * time.Minute))
		a.DeletionTimestamp = &at
		state(v1alpha1.StateDeleting, "Pruning", "waiting until ConfigMap shop/web is gone")(a)
	}
	tests := []struct {
		name string
		apps []*v1alpha1.App // the first is asked about
	}{
		{"ready", []*v1alpha1.App{full()}},
		{"chain", []*v1alpha1.App{
			full(waitsFor("shop/api", 4, "waits itself for shop/db")),
			full(as("shop", "api"), waitsFor("shop/db", 6, "is not ready yet")),
			full(as("shop", "db"), progressing("StatefulSet.apps shop/db", "1 of 3 replicas are ready")),
		}},
		{"several", []*v1alpha1.App{
			full(waitsFor("shop/api", 4, "is degraded"), waitsFor("data/db", 24*60, "has failed")),
			full(as("shop", "api"), func(a *v1alpha1.App) {
				progressing("Deployment.apps shop/api", "its image can't be pulled")(a)
				a.Status.Health, a.Status.Objects.Attention[0].Reason = v1alpha1.HealthDegraded, "Degraded"
			}),
			full(as("data", "db"), state(v1alpha1.StateFailed, "InvalidYAML", "db/db.yaml:7: does not parse")),
		}},
		{"missing", []*v1alpha1.App{full(waitsFor("shop/db", 4, "does not exist: create it, or take it out of spec.dependsOn"))}},
		{"not-allowed", []*v1alpha1.App{full(waitsFor("secret/db", 4,
			"does not exist, or does not let Apps of namespace shop depend on it: ask whoever looks after namespace secret to add shop to its spec.allowedDependents"))}},
		{"unread", []*v1alpha1.App{full(waitsFor("secret/db", 4, "is not ready yet"))}},
		{"approval", []*v1alpha1.App{full(waitsFor("shop/db", 4, "waits for an approval")), full(as("shop", "db"), planned)}},
		{"approval-of-its-own", []*v1alpha1.App{full(planned)}},
		{"paused", []*v1alpha1.App{
			full(waitsFor("shop/db", 4, "is paused")),
			full(as("shop", "db"), state(v1alpha1.StatePaused, "Paused", "paused by grace: the sale is on; abide resume db -n shop lets it go on")),
		}},
		{"kinds", []*v1alpha1.App{full(state(v1alpha1.StateWaiting, "KindUnknown", "the API server has no kind Database.example.com/v1 (Database shop/db needs it): install its definition"))}},
		{"failed", []*v1alpha1.App{full(state(v1alpha1.StateFailed, "InvalidYAML", "apps/web/web.yaml:7: does not parse; put the text in quotes"))}},
		{"circle", []*v1alpha1.App{full(state(v1alpha1.StateFailed, "DependencyCycle", "the dependencies go in a circle: shop/web → shop/db → shop/web: take one out of spec.dependsOn"))}},
		{"condition", []*v1alpha1.App{
			full(waitsFor("shop/db", 4, "is ready, and does not meet the condition yet: app.status.objects.total > 3")), full(as("shop", "db")),
		}},
		{"over", []*v1alpha1.App{full(waitsFor("shop/db", 4, "is not ready yet")), full(as("shop", "db"))}},
		{"loop", []*v1alpha1.App{
			full(waitsFor("shop/db", 4, "waits itself for shop/web")), full(as("shop", "db"), waitsFor("shop/web", 4, "waits itself for shop/db")),
		}},
		{"deleted", []*v1alpha1.App{
			full(as("shop", "db"), waitsFor("shop/web", 3, "depends on it, is being deleted too, and goes first"), deleted),
			full(deleted),
		}},
		{"release", []*v1alpha1.App{full(state(v1alpha1.StateProgressing, "Applying", "applying"), func(a *v1alpha1.App) {
			a.Status.Release = &v1alpha1.ReleaseStatus{Number: 3, Outcome: v1alpha1.OutcomeRunning, Message: "waiting until Job.batch shop/migrate has run"}
		})}},
		{"no-controller", []*v1alpha1.App{full(func(a *v1alpha1.App) { a.Status = v1alpha1.AppStatus{} })}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := chain(tt.apps[0], reader(tt.apps))
			if err != nil {
				t.Fatal(err)
			}
			e := explainer{now: noon, namespace: tt.apps[0].Namespace}
			golden(t, filepath.Join("testdata", "why", tt.name+".txt"), e.paragraph(l)+"\n")
		})
	}
}

// reader reads Apps as the API server would show them to somebody who may not
// read the namespace secret.
func reader(apps []*v1alpha1.App) func(object.App) (*v1alpha1.App, error) {
	return func(id object.App) (*v1alpha1.App, error) {
		r := schema.GroupResource{Group: v1alpha1.Group, Resource: "apps"}
		if id.Namespace == "secret" {
			return nil, apierrors.NewForbidden(r, id.Name, nil)
		}
		for _, a := range apps {
			if a.Namespace == id.Namespace && a.Name == id.Name {
				return a, nil
			}
		}
		return nil, apierrors.NewNotFound(r, id.Name)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

// For programs there is the sentence, and each App of the chain.
func TestWhyJSON(t *testing.T) {
	apps := []*v1alpha1.App{
		full(waitsFor("shop/db", 4, "is not ready yet")),
		full(as("shop", "db"), progressing("StatefulSet.apps shop/db", "1 of 3 replicas are ready")),
	}
	l, err := chain(apps[0], reader(apps))
	if err != nil {
		t.Fatal(err)
	}
	e := explainer{now: noon, namespace: "shop"}
	var out bytes.Buffer
	if err := printValue(&out, asJSON, whyAnswer{Says: e.paragraph(l), link: *l}); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "why", "json.txt"), out.String())
}

// Apps that wait for many others are read once each, and not without end.
func TestWhyIsBounded(t *testing.T) {
	reads := 0
	l, err := chain(full(waitsFor("shop/a", 1, "is not ready yet")), func(id object.App) (*v1alpha1.App, error) {
		reads++
		return full(as(id.Namespace, id.Name), waitsFor(id.Namespace+"/"+id.Name+"a", 1, "is not ready yet")), nil
	})
	if err != nil || reads >= longestChain {
		t.Errorf("it read %d Apps, %v", reads, err)
	}
	e := explainer{now: noon, namespace: "shop"}
	if p := e.paragraph(l); strings.Count(p, "which") != reads+1 {
		t.Errorf("it says %q", p)
	}
}
