package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/remote"
)

var lib = render.Remote{Kind: remote.Git, URL: "https://example.com/lib"}

// brought is what becomes of what a render needs.
type brought struct {
	err     error
	dropped []render.Remote
	then    func() // when something is dropped
}

func (b *brought) Need(context.Context, *v1alpha1.App, []render.Remote) error { return b.err }

func (b *brought) Used(object.App, []render.Remote) []render.Remote {
	if b.then != nil {
		b.then()
	}
	return b.dropped
}

type byRule bool

func (byRule) Error() string  { return "refused" }
func (d byRule) Denied() bool { return bool(d) }
func (byRule) Awaited() bool  { return true }
func (byRule) Reason() string { return "Refused" }

// TestNeed: a render says best that a rule refuses what it names, and nothing
// else: its hint helps nobody whose URL is refused for its form.
func TestNeed(t *testing.T) {
	one, two := []render.Remote{lib}, []render.Remote{lib, {Kind: remote.Git, URL: "https://example.com/b"}}
	for _, tt := range []struct {
		why     string
		comes   error
		missing []render.Remote
		coming  bool
		render  bool // the error of the render stands
	}{
		{"nothing is missing", nil, nil, false, true},
		{"it is on its way", nil, one, true, true},
		{"a rule refuses it", byRule(true), one, false, true},
		{"its form is refused", byRule(false), one, false, false},
		{"a rule refuses one of two", byRule(true), two, false, false},
		{"it cannot be had", errors.New("no host"), one, false, false},
	} {
		r := &run{Pipeline: &Pipeline{Remotes: &brought{err: tt.comes}}}
		var err error = &render.Error{Reason: fault.RemoteBaseNotAllowed, Remotes: tt.missing}
		if coming := r.need(t.Context(), &err); coming != tt.coming {
			t.Errorf("%s: coming %v", tt.why, coming)
		}
		if e := (*render.Error)(nil); errors.As(err, &e) != tt.render {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

// at is a source that stands somewhere.
type at struct {
	moved
	head Head
}

func (a *at) Head(object.App) Head { return a.head }

// TestUsed: what a run does not use any more is no part of what it concludes, nor
// is what is wrong with it.
func TestUsed(t *testing.T) {
	gone := errors.New("the base is gone")
	before := Head{At: At{"2", "envs=1 " + lib.Name() + "=7"}, Err: gone}
	for _, tt := range []struct {
		why     string
		dropped []render.Remote
		now     Head
		want    At
		err     error
	}{
		{"all is used", nil, before, before.At, gone},
		{"the base is not", []render.Remote{lib}, Head{At: At{"2", "envs=1"}}, At{"2", "envs=1"}, nil},
		{"nor has it ever been seen", []render.Remote{lib, {Kind: remote.File, URL: "https://example.com/x.yaml"}}, Head{At: At{"2", "envs=1"}}, At{"2", "envs=1"}, nil},
		{"another commit has come as well", []render.Remote{lib}, Head{At: At{"3", "envs=1"}}, before.At, gone},
		{"so has another source", []render.Remote{lib}, Head{At: At{"2", "envs=2"}}, before.At, gone},
	} {
		src := &at{head: before}
		r := &run{Pipeline: &Pipeline{
			Source: src, Claims: claims.New(func(object.App) {}), Log: slog.New(slog.DiscardHandler),
			Remotes: &brought{dropped: tt.dropped, then: func() { src.head = tt.now }},
		}, app: &v1alpha1.App{}}
		r.out.Head = before
		d := &desiredState{at: before.At}
		r.want(d)
		if r.out.Head.At != tt.want || d.at != tt.want || !errors.Is(r.out.Head.Err, tt.err) {
			t.Errorf("%s: the run is at %+v with %v, what it wants at %+v", tt.why, r.out.Head.At, r.out.Head.Err, d.at)
		}
	}
}

// TestAdvanceBeside: a commit that changes nothing of an App does not hide that
// something beside it has moved.
func TestAdvanceBeside(t *testing.T) {
	for beside, want := range map[string]bool{"x=1": true, "x=2": false} {
		app := object.App{Namespace: "web", Name: "shop"}
		p := &Pipeline{Source: &at{head: Head{At: At{"2", beside}}}, Claims: claims.New(func(object.App) {})}
		p.memory(app).desired = &desiredState{at: At{"1", "x=1"}}
		if got := p.Advance(app, "1", "2"); got != want {
			t.Errorf("at %s it advances: %v", beside, got)
		}
	}
}

// TestOwnRender: what is rendered with something beside the repository shares
// neither results nor a process with other namespaces.
func TestOwnRender(t *testing.T) {
	r := &run{app: &v1alpha1.App{}}
	if r.ownRender() {
		t.Error("a repository alone is not shared")
	}
	r.out.Head.Beside = lib.Name() + "=1"
	if !r.ownRender() {
		t.Error("what a kustomization takes from elsewhere is shared")
	}
}
