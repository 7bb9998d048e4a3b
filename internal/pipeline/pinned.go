package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
)

// pin puts, in the place of what Git says, the release that the App is held at.
// That ends when Git says something else than what is skipped; what can't be read
// or rendered says nothing, so that a rollback needs no Git.
func (r *run) pin(ctx context.Context) bool {
	p := r.pinnedAt()
	if p == nil {
		return true
	}
	if r.desired != nil && (p.Skips != "" && r.desired.hash != p.Skips || p.By == "" && r.in.Manual) {
		r.out.Unpinned = true
		return true
	}
	if d := r.mem.pinned; d == nil || r.mem.pinnedTo != p.To || d.generation != r.app.Generation || len(d.unknown) > 0 {
		d, source, err := r.released(ctx, p.To)
		if err != nil {
			if !r.watch(ctx) {
				return false
			}
			return r.fail(ReasonPinFailed, fmt.Errorf("the App is held at release %d (%s), and that can't be read: %w; abide unpin %s -n %s goes back to what Git says", p.To, pinnedBy(p), err, r.id.Name, r.id.Namespace))
		}
		r.mem.pinned, r.mem.pinnedTo, r.mem.pinnedSource = d, p.To, source
	}
	r.pinned, r.pinnedSource, r.out.Pinned = p, r.mem.pinnedSource, p
	r.desired = r.mem.pinned
	r.desired.at = r.out.Head.At
	return true
}

// pinnedAt is what the App is held at by a person, or else by itself.
func (r *run) pinnedAt() *v1alpha1.PinnedStatus {
	if r.deleting {
		return nil
	}
	if p := r.in.Pin; p != nil {
		at := p.CreationTimestamp
		return &v1alpha1.PinnedStatus{To: p.Spec.Release, Skips: p.Spec.Skips, By: p.Spec.By, Reason: p.Spec.Reason, Since: &at}
	}
	if p := r.app.Status.Pinned; p != nil && p.By == "" {
		return p.DeepCopy()
	}
	return nil
}

func (r *run) pinnedTo() int64 {
	if r.pinned == nil {
		return 0
	}
	return r.pinned.To
}

// pinnedBy says who holds an App at a release, and why.
func pinnedBy(p *v1alpha1.PinnedStatus) string {
	m := "by abide itself"
	if p.By != "" {
		m = "by " + p.By
	}
	if p.Reason != "" {
		m += ": " + p.Reason
	}
	return m
}

// pinnedMessage says that an App is held at a release.
func (r *run) pinnedMessage() string {
	p := r.pinned
	m := fmt.Sprintf("held at release %d %s", p.To, pinnedBy(p))
	if p.Skips != "" {
		m += "; a commit that changes what Git says of the App ends it"
	}
	return m + fmt.Sprintf(", and so does abide unpin %s -n %s", r.id.Name, r.id.Namespace)
}

// released is what a release brought about.
func (r *run) released(ctx context.Context, number int64) (*desiredState, v1alpha1.SourceStatus, error) {
	rel, err := r.Releases.Read(ctx, r.id, number)
	if err != nil {
		return nil, v1alpha1.SourceStatus{}, err
	}
	if len(rel.Spec.Manifests) == 0 {
		return nil, rel.Spec.Source, errors.New("its manifests are no longer kept")
	}
	d, err := r.keptState(ctx, rel.Spec.Manifests)
	if err != nil {
		return nil, rel.Spec.Source, err
	}
	d.hash, d.renderer = rel.Spec.DesiredHash, rel.Spec.Source.Renderer
	return d, rel.Spec.Source, nil
}

// keptState makes of what is kept of a release what a plan needs.
func (r *run) keptState(ctx context.Context, names []string) (*desiredState, error) {
	objects, err := r.keptObjects(ctx, names)
	if err != nil {
		return nil, err
	}
	scopes, unknown, err := r.scopes(ctx, objects)
	if err != nil {
		return nil, err
	}
	d := &desiredState{generation: r.app.Generation, unknown: unknown, scopes: scopes, kept: names}
	if r.rendering, err = r.reduce(d, objects, nil); err != nil {
		return nil, err
	}
	return d, nil
}

// keptObjects reads what is kept of a release.
func (r *run) keptObjects(ctx context.Context, names []string) ([]render.Object, error) {
	objects, hooks, err := r.Releases.Manifests(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make([]render.Object, 0, len(objects)+len(hooks))
	for _, list := range [][]*unstructured.Unstructured{objects, hooks} {
		for _, u := range list {
			out = append(out, render.Object{Unstructured: u})
		}
	}
	return out, nil
}

// Status says where a source stands, for people.
func (h *Head) Status() v1alpha1.SourceStatus {
	s := v1alpha1.SourceStatus{Commit: h.Commit, Ref: h.Ref, Author: object.Shorten(h.Author.String()), Committer: object.Shorten(h.Committer.String()), Subject: object.Shorten(h.Subject)}
	if !h.Date.IsZero() {
		d := metav1.NewTime(h.Date).Rfc3339Copy()
		s.Date = &d
	}
	s.Revision = Revision(h.Ref, h.Commit)
	if c := h.Chart; c != nil {
		s.Chart, s.ChartDigest = object.Shorten(strings.TrimSpace(c.Name+" "+c.Version)), c.Digest
		if c.Alone {
			s.Commit, s.Revision = "", s.Chart
		}
	}
	for _, o := range h.Others {
		s.Others = append(s.Others, v1alpha1.NamedRevision{Name: o.Name, Commit: o.Commit, Revision: Revision(o.Ref, o.Commit)})
	}
	return s
}

// Revision is the short form of a ref and a commit: main@1a2b3c4d.
func Revision(ref, commit string) string {
	short := commit
	if len(short) > 8 {
		short = short[:8]
	}
	name := ref
	for _, p := range []string{"refs/heads/", "refs/tags/"} {
		name = strings.TrimPrefix(name, p)
	}
	if name == "" || name == commit {
		return short
	}
	return name + "@" + short
}
