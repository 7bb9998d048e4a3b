package object

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHookRules: what makes an object a hook, and its wave, in abide's words, Argo
// CD's and Helm's.
func TestHookRules(t *testing.T) {
	for _, row := range []struct {
		why, annotations string
		want             Rules
		err              string
	}{
		{"a wave", `{abide.dev/wave: "3"}`, Rules{Wave: 3}, ""},
		{"Argo CD's wave", `{argocd.argoproj.io/sync-wave: "-5"}`, Rules{Wave: -5}, ""},
		{"ours has the say", `{argocd.argoproj.io/sync-wave: "-5", abide.dev/wave: "1"}`, Rules{Wave: 1}, ""},
		{"a weight is for hooks alone", `{helm.sh/hook-weight: "4"}`, Rules{}, ""},
		{"no number", `{abide.dev/wave: first}`, Rules{}, `annotation abide.dev/wave is "first"; it takes a whole number`},
		{"out of bounds", `{abide.dev/wave: "99999999"}`, Rules{}, "takes a whole number"},
		{"two phases", `{abide.dev/hook: "pre-sync, post-sync"}`, Rules{Hook: &Hook{Events: []string{"pre-sync", "post-sync"}}}, ""},
		{"no phase", `{abide.dev/hook: presync}`, Rules{}, `annotation abide.dev/hook has "presync"; it takes pre-sync, sync`},
		{"removed when it succeeded", `{abide.dev/hook: sync, abide.dev/hook-delete: hook-succeeded}`, Rules{Hook: &Hook{Events: []string{"sync"}, OnSuccess: true}}, ""},
		{"no policy", `{abide.dev/hook: sync, abide.dev/hook-delete: always}`, Rules{}, `abide.dev/hook-delete has "always"`},
		{"let finish", `{abide.dev/hook: sync, abide.dev/hook-superseded: finish}`, Rules{Hook: &Hook{Events: []string{"sync"}, Finish: true}}, ""},
		{"no answer", `{abide.dev/hook: sync, abide.dev/hook-superseded: wait}`, Rules{}, `it takes "finish" or "delete"`},
		{"Argo CD's", `{argocd.argoproj.io/hook: "PreSync,SyncFail", argocd.argoproj.io/hook-delete-policy: "HookSucceeded,HookFailed"}`,
			Rules{Hook: &Hook{Events: []string{"pre-sync", "sync-fail"}, OnSuccess: true, OnFailure: true}}, ""},
		{"Argo CD's, left out", `{argocd.argoproj.io/hook: Skip}`, Rules{Ignore: true}, ""},
		{"a phase that Argo CD does not have", `{argocd.argoproj.io/hook: Presync}`, Rules{}, "it takes PreSync"},
		{"Helm's", `{helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-weight: "-2", helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"}`,
			Rules{Wave: -2, Hook: &Hook{Events: []string{"pre-install", "pre-upgrade"}, Serial: true, OnSuccess: true}}, ""},
		{"Helm's test of old", `{helm.sh/hook: test-success}`, Rules{Hook: &Hook{Events: []string{"test"}, Serial: true}}, ""},
		{"a hook of Helm's past is an object", `{helm.sh/hook: crd-install}`, Rules{}, ""},
		{"to be made anew", `{abide.dev/on-immutable: replace}`, Rules{Recreate: "replace"}, ""},
		{"a mistake in it", `{abide.dev/on-immutable: "yes"}`, Rules{}, `it takes "fail" or "replace"`},
	} {
		got, err := RulesOf(object(t, "{apiVersion: batch/v1, kind: Job, metadata: {name: c, annotations: "+row.annotations+"}}"))
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: %v, want %q", row.why, err, row.err)
			}
			continue
		}
		if d := cmp.Diff(row.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", row.why, err, d)
		}
	}
}

// TestRuns: which hooks run when.
func TestRuns(t *testing.T) {
	first, later, back := Occasion{First: true}, Occasion{}, Occasion{Rollback: true}
	for _, row := range []struct {
		event string
		phase Phase
		o     Occasion
		want  bool
	}{
		{"pre-sync", PreSync, first, true}, {"pre-sync", PreSync, later, true}, {"pre-sync", PreSync, back, false}, {"pre-sync", PostSync, later, false},
		{"pre-install", PreSync, first, true}, {"pre-install", PreSync, later, false}, {"pre-upgrade", PreSync, first, false}, {"pre-upgrade", PreSync, later, true},
		{"pre-rollback", PreSync, back, true}, {"pre-rollback", PreSync, later, false}, {"post-rollback", PostSync, back, true},
		{"post-install", PostSync, first, true}, {"post-install", PostSync, later, false}, {"post-upgrade", PostSync, later, true}, {"post-sync", PostSync, back, false},
		{"test", PostSync, later, false}, {"test", PostSync, Occasion{Tests: true}, true}, {"test", PreSync, Occasion{Tests: true}, false},
		{"sync", Sync, later, true}, {"sync", Sync, back, false}, {"sync-fail", SyncFail, back, true},
		{"pre-delete", PreDelete, later, true}, {"post-delete", PostDelete, later, true}, {"pre-delete", PreSync, later, false},
	} {
		h := Hook{Events: []string{row.event}}
		if got := h.Runs(row.phase, row.o); got != row.want {
			t.Errorf("%s in phase %s, %+v: %v", row.event, row.phase, row.o, got)
		}
	}
}

// TestRunName: a run has a name that hangs on App, hook, phase and release, and on
// nothing else, and that Kubernetes takes.
func TestRunName(t *testing.T) {
	app := App{Namespace: "shop", Name: "web"}
	k := Key{Group: "batch", Kind: "Job", Namespace: "shop", Name: strings.Repeat("migrate-", 20)}
	names := map[string]string{}
	for why, name := range map[string]string{
		"":                 RunName(k, PreSync, app, 7),
		"another release":  RunName(k, PreSync, app, 8),
		"another phase":    RunName(k, PostSync, app, 7),
		"another App":      RunName(k, PreSync, App{Namespace: "shop", Name: "api"}, 7),
		"another name":     RunName(Key{Group: "batch", Kind: "Job", Namespace: "shop", Name: "x"}, PreSync, app, 7),
		"a very old App":   RunName(k, PreSync, app, 1<<40),
		"another, as long": RunName(Key{Group: "batch", Kind: "Job", Namespace: "shop", Name: k.Name + "x"}, PreSync, app, 7),
	} {
		if other, ok := names[name]; ok {
			t.Errorf("%q and %q have one name, %s", why, other, name)
		}
		names[name] = why
		if len(name) > maxRunName || strings.Contains(name, "--") || strings.HasPrefix(name, "-") {
			t.Errorf("%s: %s", why, name)
		}
	}
	if got := RunName(Key{Kind: "ConfigMap", Name: "settings"}, PreSync, app, 7); got != "settings" {
		t.Errorf("what others refer to by name is called %s", got)
	}
}
