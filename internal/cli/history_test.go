package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/plan"
)

// rel is a release that failed, with everything in it.
func rel() *v1alpha1.Release {
	at := func(s int) *metav1.MicroTime {
		t := metav1.NewMicroTime(noon.Add(-time.Hour + time.Duration(s)*time.Second))
		return &t
	}
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-7"},
		Spec: v1alpha1.ReleaseSpec{
			App: "web", Number: 7, DesiredHash: "x", Outcome: v1alpha1.OutcomeRolledBack, Trigger: v1alpha1.TriggerCommit,
			Message: "it was not through within 10m0s: waiting until Deployment.apps shop/web is healthy: 0 of 2 Pods are ready",
			Source: v1alpha1.SourceStatus{
				Commit: commitA, Revision: "main@aaaaaaaa", Subject: "Show the banner", Author: "Ada Example <ada@example.com>", Committer: "Grace <grace@example.com>",
			},
			StartedAt: at(0), FinishedAt: at(600), Manifests: []string{"m"},
			Plan: v1alpha1.ReleasePlan{
				Digest: "sha256:0123", Create: 1, Update: 1, Delete: 2,
				Objects: []v1alpha1.ReleaseObject{
					{Object: "ConfigMap shop/new", Action: "create", Result: v1alpha1.ResultApplied, Took: 12},
					{Object: "Deployment.apps shop/web", Action: "update", Wave: 1, Result: v1alpha1.ResultFailed, Message: "the server refuses it", FieldCount: 4, Fields: []v1alpha1.FieldChange{
						{Path: "spec.replicas", From: "1", To: "2"}, {Path: "spec.paused", From: "true"}, {Path: "metadata.labels.x", To: "y"},
					}},
					{Object: "ConfigMap shop/old", Action: "delete"},
				},
			},
			Gates: []v1alpha1.PassedGate{{Gate: "DeletionBudget", By: "alice", Message: "it would delete 2 of 4 objects", Reason: "meant so"}},
			Hooks: []v1alpha1.HookRun{
				{Hook: "Job.batch shop/migrate", Object: "Job.batch shop/migrate-7-abc", When: "pre-sync", Outcome: v1alpha1.OutcomeSucceeded},
				{Hook: "Job.batch shop/sorry", Object: "Job.batch shop/sorry-7-abc", When: "sync-fail", Outcome: v1alpha1.OutcomeFailed, Message: "BackoffLimitExceeded"},
			},
			HealCount: 3,
			Heals: []v1alpha1.HealRecord{{At: *at(700), Object: "ConfigMap shop/a", By: "kubectl-edit",
				Fields: []v1alpha1.FieldChange{{Path: "data.x", From: "by\x1b[31m hand", To: "1"}}}},
		},
	}
}

// TestReleaseWords compares what abide show and history say with golden files.
func TestReleaseWords(t *testing.T) {
	var out bytes.Buffer
	printRelease(&out, style{}, rel(), noon)
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("what a manager wrote reaches the terminal: %q", out.String())
	}
	golden(t, "testdata/release/show.txt", out.String())

	out.Reset()
	running, back, rejected := rel(), rel(), rel()
	running.Spec.Number, running.Spec.Outcome, running.Spec.FinishedAt, running.Spec.Message = 10, v1alpha1.OutcomeRunning, nil, ""
	running.Spec.Plan = v1alpha1.ReleasePlan{Update: 1}
	back.Spec.Number, back.Spec.Outcome, back.Spec.Trigger, back.Spec.RollbackTo, back.Spec.By = 9, v1alpha1.OutcomeSucceeded, v1alpha1.TriggerRollback, 5, "alice"
	rejected.Spec.Number, rejected.Spec.Outcome, rejected.Spec.StartedAt = 8, v1alpha1.OutcomeRejected, nil
	printHistory(Streams{Out: &out}, []v1alpha1.Release{*running, *back, *rejected, *rel()}, noon)
	golden(t, "testdata/release/history.txt", out.String())
}

// TestParseRelease: how people name a release.
func TestParseRelease(t *testing.T) {
	for arg, want := range map[string]releaseRef{"web": {"web", 0}, "web#7": {"web", 7}, "a-1#12": {"a-1", 12}} {
		if got, err := parseRelease(arg); err != nil || got != want {
			t.Errorf("%s: %v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{"", "#7", "web#", "web#0", "web#-1", "web#x", "web#1#2"} {
		if got, err := parseRelease(arg); err == nil || !isUsage(err) {
			t.Errorf("%q: %v, %v", arg, got, err)
		}
	}
}

func isUsage(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.code == exitUsage
}

// TestSetsDiffer: what differs between two releases.
func TestSetsDiffer(t *testing.T) {
	cm := func(name, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{"v": value},
		}}
	}
	d := setsDiffer([]*unstructured.Unstructured{cm("same", "1"), cm("changed", "1"), cm("gone", "1")},
		[]*unstructured.Unstructured{cm("same", "1"), cm("changed", "2"), cm("new", "1")}, plan.NewRedactor([]byte("key")))
	var got []string
	for i := range d.Objects {
		got = append(got, string(d.Objects[i].Action)+" "+d.Objects[i].Object)
	}
	if diff := cmp.Diff([]string{"update ConfigMap changed", "create ConfigMap new", "delete ConfigMap gone"}, got); diff != "" || d.Unchanged != 1 {
		t.Errorf("%d unchanged, %s", d.Unchanged, diff)
	}
	if f := d.Objects[0].Fields; len(f) != 1 || f[0].Path != "data.v" {
		t.Errorf("fields: %+v", f)
	}
}
