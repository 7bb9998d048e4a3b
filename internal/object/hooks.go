package object

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// Phase is a part of the life of an App or of a release in which hooks run.
type Phase string

// The phases.
const (
	PreSync    Phase = "pre-sync"    // before anything is applied
	Sync       Phase = "sync"        // with the objects of its wave
	PostSync   Phase = "post-sync"   // when all is applied and healthy
	SyncFail   Phase = "sync-fail"   // when the release has failed
	PreDelete  Phase = "pre-delete"  // before what the App owns is removed
	PostDelete Phase = "post-delete" // when nothing of it is left
)

// Hook says when an object runs that is no lasting part of an App.
type Hook struct {
	// Events are phases of abide's, or Helm's own names of those that it alone
	// tells apart (pre-install, pre-upgrade, test and so on).
	Events []string
	// Serial: hooks of one wave run one after the other, as Helm runs them.
	Serial bool
	// OnSuccess and OnFailure remove what has run once its phase is over. What
	// neither removes stays until the next release.
	OnSuccess, OnFailure bool
	// Finish lets a run end by itself before a newer release begins.
	Finish bool
}

// Occasion is what decides which events come to pass in a phase.
type Occasion struct {
	First    bool // the App has had no release that succeeded
	Rollback bool // an earlier release is put back
	Tests    bool // the tests of a chart are wanted
}

// Runs tells whether the hook runs in a phase. A rollback runs none but those
// that Helm has for it: what prepared a release once must not do so again.
func (h *Hook) Runs(p Phase, o Occasion) bool {
	has := func(event string) bool { return slices.Contains(h.Events, event) }
	before, after := string(PreSync), string(PostSync)
	switch p {
	case PreSync:
		switch {
		case o.Rollback:
			return has("pre-rollback")
		case o.First:
			return has(before) || has("pre-install")
		}
		return has(before) || has("pre-upgrade")
	case PostSync:
		switch {
		case o.Tests && has("test"):
			return true
		case o.Rollback:
			return has("post-rollback")
		case o.First:
			return has(after) || has("post-install")
		}
		return has(after) || has("post-upgrade")
	case Sync:
		return has(string(Sync)) && !o.Rollback
	}
	return has(string(p))
}

// The annotations of others that say the same as abide's
// (https://argo-cd.readthedocs.io/en/stable/user-guide/resource_hooks/,
// https://helm.sh/docs/topics/charts_hooks/).
const (
	argoWave   = "argocd.argoproj.io/sync-wave"
	argoHook   = "argocd.argoproj.io/hook"
	argoDelete = "argocd.argoproj.io/hook-delete-policy"
	helmHook   = "helm.sh/hook"
	helmWeight = "helm.sh/hook-weight"
	helmDelete = "helm.sh/hook-delete-policy"
)

var argoPhases = map[string]string{
	"PreSync": string(PreSync), "Sync": string(Sync), "PostSync": string(PostSync), "SyncFail": string(SyncFail),
	"PreDelete": string(PreDelete), "PostDelete": string(PostDelete),
}

// helmEvents are those that Helm knows; crd-install is one of the past, of which
// it makes an ordinary object.
var helmEvents = map[string]string{
	"pre-install": "pre-install", "post-install": "post-install",
	"pre-upgrade": "pre-upgrade", "post-upgrade": "post-upgrade",
	"pre-rollback": "pre-rollback", "post-rollback": "post-rollback",
	"pre-delete": string(PreDelete), "post-delete": string(PostDelete),
	"test": "test", "test-success": "test",
}

var phases = []string{string(PreSync), string(Sync), string(PostSync), string(SyncFail), string(PreDelete), string(PostDelete)}

// bound of a wave, so that any two can be compared and counted.
const maxWave = 1_000_000

// waveOf reads the wave of an object. Where several annotations say one, abide's
// own counts, then Argo CD's, then Helm's, which only hooks have.
func waveOf(u *unstructured.Unstructured, hook bool) (int, error) {
	a := u.GetAnnotations()
	names := []string{v1alpha1.AnnotationWave, argoWave}
	if hook {
		names = append(names, helmWeight)
	}
	for _, name := range names {
		v := strings.TrimSpace(a[name])
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n > maxWave || n < -maxWave {
			return 0, fmt.Errorf("annotation %s is %q; it takes a whole number between %d and %d, in quotes", name, v, -maxWave, maxWave)
		}
		return n, nil
	}
	return 0, nil
}

// list splits what an annotation says, separated by commas.
func list(v string) []string {
	var out []string
	for s := range strings.SplitSeq(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// hookOf reads whether an object is a hook: nil if it is not. abide's own
// annotation counts, then Argo CD's, then Helm's. skip tells that Argo CD would
// not apply it at all.
func hookOf(u *unstructured.Unstructured) (h *Hook, skip bool, err error) {
	a := u.GetAnnotations()
	policy := ""
	switch {
	case a[v1alpha1.AnnotationHook] != "":
		h = &Hook{}
		for _, e := range list(a[v1alpha1.AnnotationHook]) {
			if !slices.Contains(phases, e) {
				return nil, false, fmt.Errorf("annotation %s has %q; it takes %s, separated by commas", v1alpha1.AnnotationHook, e, strings.Join(phases, ", "))
			}
			h.Events = append(h.Events, e)
		}
		policy = a[v1alpha1.AnnotationHookDelete]
		for _, p := range list(policy) {
			if !slices.Contains([]string{"hook-succeeded", "hook-failed", "before-hook-creation", "never"}, p) {
				return nil, false, fmt.Errorf("annotation %s has %q; it takes hook-succeeded, hook-failed, before-hook-creation or never", v1alpha1.AnnotationHookDelete, p)
			}
		}
	case a[argoHook] != "":
		h = &Hook{}
		for _, e := range list(a[argoHook]) {
			if e == "Skip" {
				return nil, true, nil
			}
			phase, ok := argoPhases[e]
			if !ok {
				return nil, false, fmt.Errorf("annotation %s has %q; it takes PreSync, Sync, PostSync, SyncFail, PreDelete, PostDelete or Skip", argoHook, e)
			}
			h.Events = append(h.Events, phase)
		}
		policy = strings.NewReplacer("HookSucceeded", "hook-succeeded", "HookFailed", "hook-failed").Replace(a[argoDelete])
	case a[helmHook] != "":
		h = &Hook{Serial: true}
		for _, e := range list(strings.ToLower(a[helmHook])) {
			if event, ok := helmEvents[e]; ok {
				h.Events = append(h.Events, event)
			}
		}
		if len(h.Events) == 0 { // crd-install, or a name that Helm does not know
			return nil, false, nil
		}
		policy = a[helmDelete]
	default:
		return nil, false, nil
	}
	policies := list(policy)
	h.OnSuccess = slices.Contains(policies, "hook-succeeded")
	h.OnFailure = slices.Contains(policies, "hook-failed")
	switch v := a[v1alpha1.AnnotationHookSuperseded]; v {
	case "", "delete":
	case "finish":
		h.Finish = true
	default:
		return nil, false, fmt.Errorf("annotation %s is %q; it takes \"finish\" or \"delete\"", v1alpha1.AnnotationHookSuperseded, v)
	}
	return h, false, nil
}

// renamed are the kinds that run once: each run has a name of its own.
var renamed = map[schema.GroupKind]bool{
	{Kind: "Pod"}:                               true,
	{Group: "batch", Kind: "Job"}:               true,
	{Group: "argoproj.io", Kind: "Workflow"}:    true,
	{Group: "argoproj.io", Kind: "AnalysisRun"}: true,
	{Group: "tekton.dev", Kind: "TaskRun"}:      true,
	{Group: "tekton.dev", Kind: "PipelineRun"}:  true,
}

// maxRunName leaves room for what controllers append to the name of a Job or a
// Pod, which has 63 characters.
const maxRunName = 52

// RunName is the name of what a hook runs as in one phase of one release. It
// hangs on nothing else, so that a run is never created twice. Kinds that others
// refer to by name, such as a ConfigMap, keep theirs.
func RunName(k Key, p Phase, app App, release int64) string {
	if !renamed[k.GroupKind()] {
		return k.Name
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", app, k, p, release))
	suffix := fmt.Sprintf("-%d-%s", release, hex.EncodeToString(sum[:3]))
	base := strings.TrimRight(k.Name, "-.")
	if most := maxRunName - len(suffix); len(base) > most {
		base = strings.TrimRight(base[:most], "-.")
	}
	return base + suffix
}
