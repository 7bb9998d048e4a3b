package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// full is an App that is as it should be.
func full(change ...func(*v1alpha1.App)) *v1alpha1.App {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web", Generation: 2, CreationTimestamp: metav1.NewTime(noon.Add(-72 * time.Hour)),
	}}
	app.Spec.Source = v1alpha1.Source{Repo: repoURL, Path: "apps/web", Ref: &v1alpha1.Ref{Branch: "main"}}
	date := metav1.NewTime(noon.Add(-3 * time.Hour))
	app.Status = v1alpha1.AppStatus{
		ObservedGeneration: 2, State: v1alpha1.StateInSync, Health: v1alpha1.HealthHealthy,
		DesiredHash: "1", AppliedHash: "1",
		Source: v1alpha1.SourceStatus{
			Commit: commitA, Ref: "refs/heads/main", Revision: "main@aaaaaaaa", Renderer: "kustomize",
			Author: "Ada Example <ada@example.com>", Date: &date, Subject: "Show the banner",
		},
		Objects: v1alpha1.ObjectsStatus{Total: 4, InSync: 4, Healthy: 4},
	}
	is(metav1.ConditionTrue, "Ready", "4 objects in sync and healthy")(app)
	for _, f := range change {
		f(app)
	}
	return app
}

func is(status metav1.ConditionStatus, reason, message string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) {
		a.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message,
			LastTransitionTime: metav1.NewTime(noon.Add(-5 * time.Minute)),
		}}
	}
}

func state(s v1alpha1.State, reason, message string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) {
		a.Status.State = s
		is(metav1.ConditionFalse, reason, message)(a)
	}
}

// TestStatusWords compares what abide status says of Apps with golden files.
func TestStatusWords(t *testing.T) {
	pause := &v1alpha1.Pause{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon.Add(-20 * time.Minute))},
		Spec:       v1alpha1.PauseSpec{By: "grace", Reason: "the sale is on"},
	}
	tests := []struct {
		name  string
		app   *v1alpha1.App
		pause *v1alpha1.Pause
	}{
		{"ready", full(), nil},
		{"degraded", full(is(metav1.ConditionFalse, "Degraded", "Deployment.apps shop/web: its image can't be pulled"), func(a *v1alpha1.App) {
			a.Status.Health = v1alpha1.HealthDegraded
			a.Status.Objects.Healthy = 3
			a.Status.Objects.Attention = []v1alpha1.ObjectNote{{Object: "Deployment.apps shop/web", Reason: "Degraded", Message: "its image can't be pulled"}}
		}), nil},
		{"failed", full(state(v1alpha1.StateFailed, "InvalidYAML", "apps/web/web.yaml:7: does not parse; put the text in quotes"), func(a *v1alpha1.App) {
			a.Status.Objects.InSync = 4
		}), nil},
		{"waiting", full(state(v1alpha1.StateWaiting, "DeletionBudget", "the plan waits for an approval"), func(a *v1alpha1.App) {
			a.Status.DesiredHash = "2"
			a.Status.Plan = &v1alpha1.PlanStatus{
				Digest: "sha256:" + strings.Repeat("ab", 32), Commit: commitB, Gate: "DeletionBudget",
				Message: "it would delete 7 of 10 objects, and the budget is 5 objects or 25 %", Update: 1, Delete: 7,
			}
		}), nil},
		{"paused", full(state(v1alpha1.StatePaused, "Paused", "paused by grace: the sale is on; 1 object would change")), pause},
		{"waiting-for-apps", full(waitsFor("shop/db", 4, "is not ready yet")), nil},
		{"drifted", full(state(v1alpha1.StateDrifted, "Drifted", "ConfigMap shop/web: it was changed by somebody, and spec.sync.heal is off")), nil},
		{"unreachable", full(state(v1alpha1.StateFailed, "RemoteUnreachable", "https://example.com/team/config.git does not answer; what the last good commit says keeps running")), nil},
		{"new", full(func(a *v1alpha1.App) {
			a.Status, a.CreationTimestamp = v1alpha1.AppStatus{}, metav1.NewTime(noon.Add(-time.Second))
		}), nil},
		{"no-controller", full(func(a *v1alpha1.App) { a.Status = v1alpha1.AppStatus{} }), nil},
		{"no-controller-any-more", full(func(a *v1alpha1.App) {
			changed := metav1.NewTime(noon.Add(-10 * time.Minute))
			a.Generation = 3
			a.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: &changed}}
		}), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			printStatus(&out, style{}, facts{app: tt.app, pause: tt.pause, now: noon})
			file := filepath.Join("testdata", "status", tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// Text from Git and from the cluster can't speak to the terminal.
func TestStatusIsCleaned(t *testing.T) {
	evil := "\x1b[2J\x1b]0;x\x07\u202e\u009b31m"
	app := full(state(v1alpha1.StateFailed, "X", "m"+evil), func(a *v1alpha1.App) {
		a.Status.Source.Subject = "s" + evil
		a.Status.Source.Author = "a" + evil
		a.Spec.Source.Repo = "r" + evil
		a.Status.Objects.Attention = []v1alpha1.ObjectNote{{Object: "o" + evil, Reason: "r" + evil, Message: "m" + evil}}
		a.Status.Plan = &v1alpha1.PlanStatus{Gate: "g" + evil, Message: "m" + evil, Digest: "d" + evil, Commit: "c" + evil}
	})
	var out bytes.Buffer
	printStatus(&out, style{}, facts{app: app, now: noon, pause: &v1alpha1.Pause{Spec: v1alpha1.PauseSpec{By: evil, Reason: evil}}})
	if strings.ContainsAny(out.String(), "\x1b\x07\u202e\u009b") {
		t.Errorf("got %q", out.String())
	}
}

// Colour marks words, and changes none of them.
func TestStatusColours(t *testing.T) {
	var plain, coloured bytes.Buffer
	printStatus(&plain, style{}, facts{app: full(), now: noon})
	printStatus(&coloured, style{on: true}, facts{app: full(), now: noon})
	if plain.String() == coloured.String() {
		t.Error("there is no colour")
	}
	bare := coloured.String()
	for {
		i := strings.Index(bare, "\x1b[")
		if i < 0 {
			break
		}
		bare = bare[:i] + bare[i+strings.IndexByte(bare[i:], 'm')+1:]
	}
	if d := cmp.Diff(plain.String(), bare); d != "" {
		t.Error(d)
	}
}

func TestNoColourWhereNobodyLooks(t *testing.T) {
	if styleOf(&bytes.Buffer{}).on {
		t.Error("a buffer is no terminal")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if styleOf(f).on {
		t.Error("a file is no terminal")
	}
}
