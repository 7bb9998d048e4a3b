package cli

import (
	"fmt"
	"time"

	"abide.dev/abide/api/v1alpha1"
)

// releaseInShort says in a line how a release is.
func releaseInShort(app *v1alpha1.App, r *v1alpha1.ReleaseStatus, now time.Time) string {
	t := fmt.Sprintf("%s#%d  %s", app.Name, r.Number, outcomeInWords(r.Outcome))
	if r.StartedAt != nil {
		t += ", begun " + ago(now, r.StartedAt.Time)
	}
	if r.Message != "" {
		t += ": " + r.Message
	}
	return t
}

func outcomeInWords(o v1alpha1.Outcome) string {
	switch o {
	case v1alpha1.OutcomeRunning:
		return "under way"
	case v1alpha1.OutcomeSucceeded:
		return "succeeded"
	case v1alpha1.OutcomeFailed:
		return "failed"
	case v1alpha1.OutcomeSuperseded:
		return "superseded"
	case v1alpha1.OutcomeRolledBack:
		return "failed and rolled back"
	case v1alpha1.OutcomeRejected:
		return "rejected"
	}
	return string(o)
}

// pinnedInShort says in a line what an App is held at.
func pinnedInShort(p *v1alpha1.PinnedStatus, now time.Time) string {
	by := "abide itself"
	if p.By != "" {
		by = p.By
	}
	t := fmt.Sprintf("at release %d, by %s", p.To, by)
	if p.Since != nil {
		t += ", " + ago(now, p.Since.Time)
	}
	if p.Reason != "" {
		t += ": " + p.Reason
	}
	return t
}
