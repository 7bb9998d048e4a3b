package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/sources"
)

// elsewhere allows and follows in memory.
type elsewhere struct {
	without   map[render.Remote]error
	err       error // of looking
	missing   map[string]error
	told      bool
	following []string
}

func (e *elsewhere) Remotes(_ context.Context, _ object.App, named []render.Remote) (list []sources.Remote, without map[render.Remote]error, err error) {
	for _, s := range named {
		if e.without[s] == nil {
			list = append(list, sources.Remote{Name: s.Name()})
		}
	}
	return list, e.without, e.err
}

func (e *elsewhere) FollowRemotes(_ object.App, list []sources.Remote) {
	e.following = nil
	for _, r := range list {
		e.following = append(e.following, r.Name)
	}
}

func (e *elsewhere) KeepRemotes(_ object.App, names []string) {
	e.following = slices.DeleteFunc(e.following, func(n string) bool { return !slices.Contains(names, n) })
}

func (e *elsewhere) RemoteErr(_ context.Context, _ object.App, name string) (bool, error) {
	return e.told, e.missing[name]
}

func base(name string) render.Remote {
	return render.Remote{Kind: remote.Git, URL: "https://example.com/" + name}
}

var (
	shop   = object.App{Namespace: "web", Name: "shop"}
	shopIs = &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "shop"}}
)

// TestRemotesNeed: what one need lacks is its own error; what is wrong with what
// is not needed is nobody's.
func TestRemotesNeed(t *testing.T) {
	a, b := base("a"), base("b")
	broken := errors.New("broken")
	var told interface{ Awaited() bool }
	for _, tt := range []struct {
		why   string
		e     elsewhere
		need  render.Remote
		want  string
		comes bool // the App is woken when it is had
	}{
		{"it is followed", elsewhere{}, a, "", false},
		{"it is refused", elsewhere{without: map[render.Remote]error{a: &access.NotAllowedError{Remote: a}}}, a, "not allowed", true},
		{"its Secret is gone", elsewhere{without: map[render.Remote]error{a: &access.CredentialsError{Repository: "web/a", Problem: "no Secret"}}}, a, "https://example.com/a: Repository web/a: no Secret", false},
		{"the Secret of another is gone", elsewhere{without: map[render.Remote]error{b: &access.CredentialsError{}}}, a, "", false},
		{"it cannot be had", elsewhere{missing: map[string]error{a.Name(): broken}, told: true}, a, "https://example.com/a: broken", true},
		{"what was had is lost, which nobody will tell", elsewhere{missing: map[string]error{a.Name(): broken}}, a, "broken", false},
		{"nothing can be looked up", elsewhere{err: broken}, a, "broken", false},
	} {
		r := &Remotes{Repositories: &tt.e, Sources: &tt.e}
		err := r.Need(t.Context(), shopIs, []render.Remote{tt.need})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.why, err)
		}
		if comes := errors.As(err, &told) && told.Awaited(); comes != tt.comes {
			t.Errorf("%s: awaited %v", tt.why, comes)
		}
	}
}

// TestRemotesUsed: what a render has not used is followed no longer, at once.
func TestRemotesUsed(t *testing.T) {
	a, b := base("a"), base("b")
	e := &elsewhere{}
	r := &Remotes{Repositories: e, Sources: e}
	for _, s := range []render.Remote{a, b} {
		if err := r.Need(t.Context(), shopIs, []render.Remote{s}); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.following) != 2 {
		t.Fatalf("what one render lacked after the other is not all followed: %v", e.following)
	}
	if dropped := r.Used(shop, []render.Remote{b}); !slices.Equal(dropped, []render.Remote{a}) || !slices.Equal(e.following, []string{b.Name()}) {
		t.Errorf("dropped %v, following %v", dropped, e.following)
	}
	if dropped := r.Used(shop, []render.Remote{b}); len(dropped) > 0 {
		t.Errorf("again dropped %v", dropped)
	}
	e.without = map[render.Remote]error{b: &access.CredentialsError{}}
	if list, err := r.Wants(t.Context(), shopIs); err != nil || len(list) != 0 {
		t.Errorf("what lost its Secret is wanted as %v: %v", list, err)
	}
	e.without = nil
	if list, err := r.Wants(t.Context(), shopIs); err != nil || len(list) != 1 {
		t.Errorf("when it is back: %v: %v", list, err)
	}
	r.Forget(shop)
	if list, err := r.Wants(t.Context(), shopIs); err != nil || len(list) != 0 || len(r.apps) != 0 {
		t.Errorf("of a forgotten App is held %v: %v", list, err)
	}
}

// TestRemotesBound: commits that do not render, each with other names, do not use
// up the bound for the one that does.
func TestRemotesBound(t *testing.T) {
	e := &elsewhere{}
	r := &Remotes{Repositories: e, Sources: e}
	kept := base("kept")
	if err := r.Need(t.Context(), shopIs, []render.Remote{kept}); err != nil {
		t.Fatal(err)
	}
	r.Used(shop, []render.Remote{kept})
	var last []render.Remote
	for commit := range 8 {
		last = nil
		for i := range 100 {
			last = append(last, base(fmt.Sprintf("%d/%d", commit, i)))
		}
		if err := r.Need(t.Context(), shopIs, last); err != nil {
			t.Fatalf("commit %d: %v", commit, err)
		}
		if len(e.following) > maxRemotes {
			t.Fatalf("%d are followed", len(e.following))
		}
	}
	for _, s := range append(last, kept) {
		if !slices.Contains(e.following, s.Name()) {
			t.Fatalf("%s is not followed", s)
		}
	}
	many := make([]render.Remote, maxRemotes)
	for i := range many {
		many[i] = base(fmt.Sprint(i))
	}
	if err := r.Need(t.Context(), shopIs, many); err == nil {
		t.Error("more than the bound are followed")
	}
}
