package report

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
)

var (
	now   = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	later = metav1.NewTime(now.Add(time.Hour))
	web   = &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 4}}
)

func summary(total, healthy int32, h v1alpha1.Health, sickest *v1alpha1.ObjectNote) pipeline.Summary {
	s := pipeline.Summary{Health: h, Sickest: sickest}
	s.Objects = v1alpha1.ObjectsStatus{Total: total, InSync: total, Healthy: healthy}
	return s
}

func wrongRule(s pipeline.Summary) pipeline.Summary {
	s.WrongRule = "column 9"
	return s
}

func TestConditions(t *testing.T) {
	sick := &v1alpha1.ObjectNote{Object: "Deployment.apps shop/web", Reason: "Degraded", Message: "no image"}
	tests := map[string]struct {
		out    pipeline.Outcome
		sum    pipeline.Summary
		health v1alpha1.Health
		want   []string // Ready, Synced, Healthy
	}{
		"in sync and healthy": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "2 objects as Git says"},
			summary(2, 2, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"True Ready: 2 objects in sync and healthy", "True InSync: 2 objects as Git says", "True Healthy: 2 of 2 objects healthy"},
		},
		"in sync, and on its way": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			summary(2, 1, v1alpha1.HealthProgressing, &v1alpha1.ObjectNote{Object: "Job.batch shop/j", Message: "runs"}), v1alpha1.HealthProgressing,
			[]string{"False Progressing: Job.batch shop/j: runs", "True InSync: m", "False Progressing: Job.batch shop/j: runs"},
		},
		"in sync, and sick": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			summary(2, 1, v1alpha1.HealthDegraded, sick), v1alpha1.HealthDegraded,
			[]string{"False Degraded: Deployment.apps shop/web: no image", "True InSync: m", "False Degraded: Deployment.apps shop/web: no image"},
		},
		"in sync, and suspended": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			summary(2, 2, v1alpha1.HealthSuspended, nil), v1alpha1.HealthSuspended,
			[]string{"True Ready: 2 objects in sync and healthy", "True InSync: m", "True Suspended: 2 of 2 objects healthy"},
		},
		"no objects at all": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			summary(0, 0, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"True Ready: 0 objects in sync and healthy", "True InSync: m", "True Healthy: 0 of 0 objects healthy"},
		},
		"before the first apply": {
			pipeline.Outcome{State: v1alpha1.StateProgressing, Reason: "Fetching", Message: "fetching"},
			summary(0, 0, v1alpha1.HealthHealthy, nil), v1alpha1.HealthUnknown,
			[]string{"False Fetching: fetching", "False Fetching: fetching", "Unknown Unknown: not known yet"},
		},
		"failed, and what runs is well": {
			pipeline.Outcome{State: v1alpha1.StateFailed, Reason: "ApplyFailed", Message: "no", Err: errors.New("no")},
			summary(2, 2, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"False ApplyFailed: no", "False ApplyFailed: no", "True Healthy: 2 of 2 objects healthy"},
		},
		"drifted": {
			pipeline.Outcome{State: v1alpha1.StateDrifted, Reason: "Drifted", Message: "d"},
			summary(2, 2, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"False Drifted: d", "False Drifted: d", "True Healthy: 2 of 2 objects healthy"},
		},
		"waiting": {
			pipeline.Outcome{State: v1alpha1.StateWaiting, Reason: "DeletionBudget", Message: "w"},
			summary(2, 2, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"False DeletionBudget: w", "False DeletionBudget: w", "True Healthy: 2 of 2 objects healthy"},
		},
		"paused": {
			pipeline.Outcome{State: v1alpha1.StatePaused, Reason: "Paused", Message: "p"},
			summary(2, 1, v1alpha1.HealthDegraded, sick), v1alpha1.HealthDegraded,
			[]string{"False Paused: p", "False Paused: p", "False Degraded: Deployment.apps shop/web: no image"},
		},
		"deleting": {
			pipeline.Outcome{State: v1alpha1.StateDeleting, Reason: "Deleting", Message: "x"},
			summary(2, 2, v1alpha1.HealthHealthy, nil), v1alpha1.HealthHealthy,
			[]string{"False Deleting: x", "False Deleting: x", "True Healthy: 2 of 2 objects healthy"},
		},
		"a rule of its own is wrong": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			wrongRule(summary(2, 2, v1alpha1.HealthHealthy, nil)), v1alpha1.HealthUnknown,
			[]string{"False InvalidHealthRule: column 9", "True InSync: m", "Unknown InvalidHealthRule: column 9"},
		},
		"a rule is wrong, and an object sick": {
			pipeline.Outcome{State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"},
			wrongRule(summary(2, 1, v1alpha1.HealthDegraded, sick)), v1alpha1.HealthDegraded,
			[]string{"False InvalidHealthRule: column 9", "True InSync: m", "False InvalidHealthRule: column 9"},
		},
		"a rule is wrong, and it fails": {
			pipeline.Outcome{State: v1alpha1.StateFailed, Reason: "ApplyFailed", Message: "no", Err: errors.New("no")},
			wrongRule(summary(2, 1, v1alpha1.HealthProgressing, sick)), v1alpha1.HealthUnknown,
			[]string{"False ApplyFailed: no", "False ApplyFailed: no", "Unknown InvalidHealthRule: column 9"},
		},
	}
	for name, tc := range tests {
		s := Status(web, v1alpha1.AppStatus{}, &tc.out, tc.sum, now)
		var got []string
		for _, c := range s.Conditions {
			got = append(got, string(c.Status)+" "+c.Reason+": "+c.Message)
			if c.ObservedGeneration != 4 || !c.LastTransitionTime.Equal(&now) {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if s.Health != tc.health || s.State != tc.out.State || s.ObservedGeneration != 4 {
			t.Errorf("%s: %s, %s, generation %d", name, s.State, s.Health, s.ObservedGeneration)
		}
		if s.Conditions[0].Type != "Ready" || s.Conditions[1].Type != "Synced" || s.Conditions[2].Type != "Healthy" {
			t.Errorf("%s: %v", name, s.Conditions)
		}
	}
}

func inSync() *pipeline.Outcome {
	return &pipeline.Outcome{
		State: v1alpha1.StateInSync, Reason: "InSync", Message: "as Git says", Desired: "hash1", Brought: "hash1", Complete: true, Renderer: "kustomize",
		Head: pipeline.Head{At: pipeline.At{Commit: "1111111111"}, Ref: "refs/heads/main", Author: pipeline.Person{Name: "A", Email: "a@example.com"}, Subject: "one", Date: now.Time},
	}
}

// TestNoChurn: a run that finds everything as it was says so in equal words, and
// nothing is written.
func TestNoChurn(t *testing.T) {
	sum := summary(2, 1, v1alpha1.HealthDegraded, &v1alpha1.ObjectNote{Object: "x", Message: strings.Repeat("é", 2000)})
	sum.Objects.Attention = []v1alpha1.ObjectNote{{Object: "x", Message: strings.Repeat("é", 2000)}}
	out := inSync()
	out.Waiting = &v1alpha1.PlanStatus{Digest: "d", Message: strings.Repeat("é", 2000)}
	first := Status(web, v1alpha1.AppStatus{}, out, sum, now)
	kept := first.DeepCopy()
	second := Status(web, first, out, sum, later)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same again: %s", diff)
	}
	out.State, out.Reason = v1alpha1.StateFailed, "X"
	out.Waiting = nil
	third := Status(web, first, out, sum, later)
	if diff := cmp.Diff(*kept, first); diff != "" {
		t.Errorf("the old status is changed: %s", diff)
	}
	if third.Plan != nil {
		t.Error("a plan waits that no longer does")
	}
	for _, c := range third.Conditions {
		changed := c.Type == v1alpha1.ConditionSynced
		if c.LastTransitionTime.Equal(&later) != changed {
			t.Errorf("%s: transition at %s", c.Type, c.LastTransitionTime)
		}
	}
}

// TestSource: the commit in the status is the newest that changed what the App
// should be.
func TestSource(t *testing.T) {
	sum := summary(1, 1, v1alpha1.HealthHealthy, nil)
	first := Status(web, v1alpha1.AppStatus{}, inSync(), sum, now)
	date := metav1.NewTime(now.Time)
	want := v1alpha1.SourceStatus{Commit: "1111111111", Ref: "refs/heads/main", Revision: "main@11111111",
		Author: "A <a@example.com>", Subject: "one", Date: &date, Renderer: "kustomize"}
	if diff := cmp.Diff(want, first.Source); diff != "" {
		t.Error(diff)
	}
	if first.DesiredHash != "hash1" || first.AppliedHash != "hash1" {
		t.Errorf("%q, %q", first.DesiredHash, first.AppliedHash)
	}
	same := inSync()
	same.Head = pipeline.Head{At: pipeline.At{Commit: "2222222222"}, Ref: "refs/heads/main", Subject: "two"}
	if diff := cmp.Diff(first, Status(web, first, same, sum, later)); diff != "" {
		t.Errorf("a commit that leaves the App as it was is noted: %s", diff)
	}
	next := inSync()
	next.Head, next.Desired, next.Complete = same.Head, "hash2", false
	s := Status(web, first, next, sum, later)
	if s.Source.Commit != "2222222222" || s.Source.Subject != "two" || s.Source.Date != nil || s.DesiredHash != "hash2" {
		t.Errorf("%+v", s)
	}
	if s.AppliedHash != "hash1" {
		t.Errorf("%q was applied in full, and has not been", s.AppliedHash)
	}
	unknown := inSync()
	unknown.Head, unknown.Desired, unknown.Brought, unknown.Renderer = same.Head, "", "", ""
	s = Status(web, first, unknown, sum, later)
	if diff := cmp.Diff(first.Source, s.Source); diff != "" || s.DesiredHash != "hash1" || s.AppliedHash != "hash1" {
		t.Errorf("a run that does not know what is desired says so: %s", diff)
	}
}

func TestRevision(t *testing.T) {
	for _, tc := range []struct{ ref, commit, want string }{
		{"refs/heads/main", "1234567890", "main@12345678"},
		{"refs/heads/a/b", "1234567890", "a/b@12345678"},
		{"refs/tags/v1.2", "1234567890", "v1.2@12345678"},
		{"1234567890", "1234567890", "12345678"},
		{"", "1234567890", "12345678"},
		{"refs/heads/main", "123", "main@123"},
	} {
		if got := pipeline.Revision(tc.ref, tc.commit); got != tc.want {
			t.Errorf("%s at %s: %q, want %q", tc.ref, tc.commit, got, tc.want)
		}
	}
}

func TestShorten(t *testing.T) {
	fits := strings.Repeat("a", object.MaxText)
	if object.Shorten(fits) != fits {
		t.Error("what fits is cut")
	}
	if got := object.Shorten("a\xffb"); got != "a?b" {
		t.Errorf("%q: the API takes only UTF-8", got)
	}
	for pad := range 4 {
		long := strings.Repeat("a", pad) + strings.Repeat("😀", object.MaxText)
		got := object.Shorten(long)
		if len(got) > object.MaxText || len(got) < object.MaxText-6 || !utf8.ValidString(got) || !strings.HasSuffix(got, "😀…") {
			t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
		}
	}
}

// TestEverythingIsBounded: what a status is made of comes from commits, API
// servers and objects, all of them foreign.
func TestEverythingIsBounded(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	out := inSync()
	out.State, out.Message = v1alpha1.StateWaiting, huge
	out.Head.Author.Name, out.Head.Subject = huge, huge
	out.Waiting = &v1alpha1.PlanStatus{Message: huge}
	note := v1alpha1.ObjectNote{Object: "x", Message: huge}
	sum := summary(5, 0, v1alpha1.HealthDegraded, &note)
	sum.Objects.Attention = []v1alpha1.ObjectNote{note, note, note, note, note}
	s := Status(web, v1alpha1.AppStatus{}, out, sum, now)
	texts := []string{s.Source.Author, s.Source.Subject, s.Plan.Message}
	for _, n := range s.Objects.Attention {
		texts = append(texts, n.Message)
	}
	for _, c := range s.Conditions {
		texts = append(texts, c.Message)
	}
	for i, text := range texts {
		if len(text) > object.MaxText {
			t.Errorf("text %d has %d bytes", i, len(text))
		}
	}
	if len(out.Waiting.Message) != len(huge) || len(note.Message) != len(huge) || len(sum.Objects.Attention[0].Message) != len(huge) {
		t.Error("the outcome is changed")
	}
}

// TestRendererOfAnotherSpec: what an App was rendered by before its spec changed
// says nothing of what it is now.
func TestRendererOfAnotherSpec(t *testing.T) {
	old := v1alpha1.AppStatus{ObservedGeneration: web.Generation - 1, Source: v1alpha1.SourceStatus{Renderer: "helm"}}
	out := &pipeline.Outcome{State: v1alpha1.StateFailed, Reason: "HostUnreachable", Message: "no", Err: errors.New("no")}
	if s := Status(web, old, out, pipeline.Summary{}, now); s.Source.Renderer != "" {
		t.Errorf("it is said to be rendered by %s", s.Source.Renderer)
	}
	old.ObservedGeneration = web.Generation
	if s := Status(web, old, out, pipeline.Summary{}, now); s.Source.Renderer != "helm" {
		t.Errorf("a failure made it %q", s.Source.Renderer)
	}
}

func TestEvent(t *testing.T) {
	key := func(name string) object.Key { return object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name} }
	applied := func(names ...string) []apply.Result {
		var out []apply.Result
		for _, n := range names {
			u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
			u.SetNamespace("shop")
			u.SetName(n)
			out = append(out, apply.Result{Live: u})
		}
		return out
	}
	head := pipeline.Head{At: pipeline.At{Commit: "1234567890"}, Ref: "refs/heads/main"}
	failure := errors.New("no")
	tests := map[string]struct {
		out             pipeline.Outcome
		reason, message string
		warning         bool
	}{
		"nothing":     {pipeline.Outcome{Head: head, State: v1alpha1.StateInSync, Reason: "InSync", Message: "m"}, "", "", false},
		"one applied": {pipeline.Outcome{Head: head, Applied: applied("a")}, "Synced", "applied ConfigMap shop/a at main@12345678", false},
		"many applied": {pipeline.Outcome{Head: head, Applied: applied("a", "b", "c", "d", "e")},
			"Synced", "applied ConfigMap shop/a, ConfigMap shop/b, ConfigMap shop/c and 2 more at main@12345678", false},
		"applied and deleted": {pipeline.Outcome{Head: head, Applied: applied("a"), Deleted: []object.Key{key("b")}},
			"Synced", "applied ConfigMap shop/a, deleted ConfigMap shop/b at main@12345678", false},
		"healed": {pipeline.Outcome{Head: head, Applied: applied("a"), Healed: []pipeline.Heal{{Key: key("a"), By: "kubectl-edit"}}},
			"Healed", "healed ConfigMap shop/a (last changed by kubectl-edit) at main@12345678", false},
		"healed, and nobody knows whom from": {pipeline.Outcome{Head: head, Applied: applied("a"), Healed: []pipeline.Heal{{Key: key("a")}}},
			"Healed", "healed ConfigMap shop/a at main@12345678", false},
		"healed and applied": {pipeline.Outcome{Head: head, Applied: applied("a", "b"), Healed: []pipeline.Heal{{Key: key("a")}}},
			"Synced", "applied ConfigMap shop/b, healed ConfigMap shop/a at main@12345678", false},
		"healed and deleted": {pipeline.Outcome{Head: head, Applied: applied("a"), Healed: []pipeline.Heal{{Key: key("a")}}, Deleted: []object.Key{key("b")}},
			"Synced", "healed ConfigMap shop/a, deleted ConfigMap shop/b at main@12345678", false},
		"orphaned":                   {pipeline.Outcome{Orphaned: []object.Key{key("a")}}, "Orphaned", "left behind ConfigMap shop/a", false},
		"failed":                     {pipeline.Outcome{Head: head, Err: failure, Reason: "ApplyFailed", Message: "no"}, "ApplyFailed", "no", true},
		"failed after it did a part": {pipeline.Outcome{Head: head, Err: failure, Reason: "PruneFailed", Message: "no", Applied: applied("a")}, "PruneFailed", "applied ConfigMap shop/a; no", true},
	}
	for name, tc := range tests {
		reason, message, warning := Event(&tc.out)
		if reason != tc.reason || message != tc.message || warning != tc.warning {
			t.Errorf("%s: %q, %q, %t", name, reason, message, warning)
		}
	}
	long := &pipeline.Outcome{Err: failure, Reason: "X", Message: strings.Repeat("x", 1<<16)}
	if _, m, _ := Event(long); len(m) > object.MaxText {
		t.Errorf("%d bytes: the API takes 1024", len(m))
	}
}

// Since when an App waits for another one does not change with what that lacks.
func TestWaitsFor(t *testing.T) {
	app := &v1alpha1.App{}
	at := func(minutes int) metav1.Time {
		return metav1.NewTime(time.Date(2026, 3, 4, 10, minutes, 0, 0, time.UTC))
	}
	waits := func(names ...string) *pipeline.Outcome {
		out := &pipeline.Outcome{State: v1alpha1.StateWaiting}
		for _, n := range names {
			out.WaitsFor = append(out.WaitsFor, v1alpha1.WaitsFor{App: n, Message: "is " + strings.Repeat("x", 2*1024)})
		}
		return out
	}
	s := Status(app, v1alpha1.AppStatus{}, waits("x/a"), pipeline.Summary{}, at(1))
	s = Status(app, s, waits("x/b", "x/a"), pipeline.Summary{}, at(2))
	if len(s.WaitsFor) != 2 || s.WaitsFor[0].Since.Minute() != 2 || s.WaitsFor[1].Since.Minute() != 1 {
		t.Errorf("it waits for %+v", s.WaitsFor)
	}
	if n := len(s.WaitsFor[0].Message); n > 1024 {
		t.Errorf("a message has %d bytes", n)
	}
	if again := Status(app, s, waits("x/b", "x/a"), pipeline.Summary{}, at(3)); !cmp.Equal(s, again) {
		t.Error("a status that says the same is not equal")
	}
	if most := Status(app, s, waits(strings.Split("abcdefghijkl", "")...), pipeline.Summary{}, at(3)); len(most.WaitsFor) != 8 {
		t.Errorf("it names %d, and the API takes 8", len(most.WaitsFor))
	}
	if s = Status(app, s, &pipeline.Outcome{State: v1alpha1.StateInSync}, pipeline.Summary{}, at(4)); s.WaitsFor != nil {
		t.Errorf("it waits no longer, and says %+v", s.WaitsFor)
	}
}
