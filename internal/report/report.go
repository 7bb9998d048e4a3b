// Package report turns the outcome of a run into what people and machines read:
// the status of an App, and one line for its events. It is a function of
// values: the caller writes the result, once.
package report

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
)

// ReasonInvalidHealthRule is the reason of the Healthy condition when a health rule
// of the App itself is wrong.
const ReasonInvalidHealthRule = "InvalidHealthRule"

// Status returns the status that an App has after a run. old is not changed;
// times of transition are kept where nothing changed, so that a status that
// says the same is equal.
func Status(app *v1alpha1.App, old v1alpha1.AppStatus, out *pipeline.Outcome, sum pipeline.Summary, now metav1.Time) v1alpha1.AppStatus {
	s := *old.DeepCopy()
	if s.ObservedGeneration != app.Generation {
		s.Source.Renderer = "" // of what the App was before; a run that renders says it again
	}
	s.ObservedGeneration = app.Generation
	s.State = out.State
	s.Objects = sum.Objects
	s.Objects.Attention = nil
	for _, n := range sum.Objects.Attention {
		n.Message = object.Shorten(n.Message)
		s.Objects.Attention = append(s.Objects.Attention, n)
	}
	s.Health = sum.Health
	if sum.Objects.Total == 0 && out.State != v1alpha1.StateInSync {
		s.Health = v1alpha1.HealthUnknown
	}
	if sum.WrongRule != "" {
		s.Health = health.Worse(s.Health, v1alpha1.HealthUnknown)
	}
	s.Plan = nil
	if out.Waiting != nil {
		p := *out.Waiting
		p.Message = object.Shorten(p.Message)
		s.Plan = &p
	}
	s.WaitsFor = waitsFor(out, old.WaitsFor, now)
	if out.Desired != "" && out.Desired != old.DesiredHash {
		// The newest commit that changed what the App should be: a commit that
		// left it as it was is not noted.
		s.DesiredHash = out.Desired
		renderer := s.Source.Renderer
		s.Source = out.Head.Status()
		s.Source.Renderer = renderer
	}
	if out.Renderer != "" {
		s.Source.Renderer = out.Renderer
	}
	if out.Complete && out.Brought != "" {
		s.AppliedHash = out.Brought
	}
	if out.Release != nil {
		s.Release = out.Release.DeepCopy()
		s.Release.Message = object.Shorten(s.Release.Message)
	}
	switch {
	case out.Pinned != nil:
		s.Pinned = out.Pinned.DeepCopy()
	case out.Unpinned || out.State == v1alpha1.StateInSync:
		s.Pinned = nil
	}
	for _, c := range conditions(out, &s, sum) {
		c.ObservedGeneration = app.Generation
		c.Message = object.Shorten(c.Message)
		c.LastTransitionTime = now
		meta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}

// maxWaits is how many Apps that come first a status names.
const maxWaits = 8

// waitsFor keeps since when an App waits for another one, whatever that lacks.
func waitsFor(out *pipeline.Outcome, old []v1alpha1.WaitsFor, now metav1.Time) []v1alpha1.WaitsFor {
	var list []v1alpha1.WaitsFor
	for _, w := range out.WaitsFor[:min(len(out.WaitsFor), maxWaits)] {
		w.Message, w.Since = object.Shorten(w.Message), now.DeepCopy()
		for i := range old {
			if old[i].App == w.App && old[i].Since != nil {
				w.Since = old[i].Since.DeepCopy()
			}
		}
		list = append(list, w)
	}
	return list
}

func conditions(out *pipeline.Outcome, s *v1alpha1.AppStatus, sum pipeline.Summary) []metav1.Condition {
	synced := metav1.Condition{Type: v1alpha1.ConditionSynced, Status: metav1.ConditionFalse, Reason: out.Reason, Message: out.Message}
	if out.State == v1alpha1.StateInSync {
		synced.Status = metav1.ConditionTrue
	}
	healthy := metav1.Condition{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionFalse, Reason: string(s.Health)}
	switch s.Health {
	case v1alpha1.HealthHealthy, v1alpha1.HealthSuspended:
		healthy.Status = metav1.ConditionTrue
		healthy.Message = fmt.Sprintf("%d of %d objects healthy", sum.Objects.Healthy, sum.Objects.Total)
	case v1alpha1.HealthUnknown:
		healthy.Status = metav1.ConditionUnknown
		healthy.Message = "not known yet"
	}
	if sum.Sickest != nil {
		healthy.Message = sum.Sickest.Object + ": " + sum.Sickest.Message
	}
	if sum.WrongRule != "" {
		healthy.Reason, healthy.Message = ReasonInvalidHealthRule, sum.WrongRule
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	switch {
	case synced.Status != metav1.ConditionTrue:
		ready.Reason, ready.Message = synced.Reason, synced.Message
	case healthy.Status != metav1.ConditionTrue:
		ready.Reason, ready.Message = healthy.Reason, healthy.Message
	default:
		ready.Status = metav1.ConditionTrue
		ready.Reason = "Ready"
		ready.Message = fmt.Sprintf("%s in sync and healthy", objects(sum.Objects.Total))
	}
	return []metav1.Condition{ready, synced, healthy}
}

// Event is one line on what a run did, empty if it did nothing that a person
// would look for later.
func Event(out *pipeline.Outcome) (reason, message string, warning bool) {
	var parts []string
	if list := unhealed(out); len(list) > 0 {
		parts = append(parts, "applied "+keys(len(list), func(i int) object.Key { return list[i] }))
	}
	if n := len(out.Healed); n > 0 {
		by := ""
		if out.Healed[0].By != "" {
			by = " (last changed by " + out.Healed[0].By + ")"
		}
		parts = append(parts, "healed "+keys(n, func(i int) object.Key { return out.Healed[i].Key })+by)
	}
	if n := len(out.Deleted); n > 0 {
		parts = append(parts, "deleted "+keys(n, func(i int) object.Key { return out.Deleted[i] }))
	}
	if n := len(out.Orphaned); n > 0 {
		parts = append(parts, "left behind "+keys(n, func(i int) object.Key { return out.Orphaned[i] }))
	}
	switch {
	case out.Err != nil:
		return out.Reason, object.Shorten(strings.Join(append(parts, out.Message), "; ")), true
	case len(parts) == 0:
		return "", "", false
	}
	reason = "Synced"
	if len(out.Healed) > 0 && len(out.Healed) == len(out.Applied) && len(out.Deleted) == 0 {
		reason = "Healed"
	}
	if len(out.Orphaned) > 0 {
		reason = "Orphaned"
	}
	at := ""
	if out.Head.Commit != "" {
		at = " at " + out.Head.Status().Revision
	}
	return reason, object.Shorten(strings.Join(parts, ", ") + at), false
}

// unhealed are the keys of what was applied for another reason than a heal.
func unhealed(out *pipeline.Outcome) []object.Key {
	healed := map[object.Key]bool{}
	for i := range out.Healed {
		healed[out.Healed[i].Key] = true
	}
	var list []object.Key
	for i := range out.Applied {
		if k := object.KeyOf(out.Applied[i].Live); !healed[k] {
			list = append(list, k)
		}
	}
	return list
}

// keys names up to three objects.
func keys(n int, at func(int) object.Key) string {
	const most = 3
	var names []string
	for i := range min(n, most) {
		names = append(names, at(i).String())
	}
	s := strings.Join(names, ", ")
	if n > most {
		s += fmt.Sprintf(" and %d more", n-most)
	}
	return s
}

func objects(n int32) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}
