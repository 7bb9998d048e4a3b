package source_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/git"
)

// The Hub with the real git and a real server: what a webhook wakes.
func TestHubOverHTTP(t *testing.T) {
	repo := gittest.New(t)
	first := repo.Write(map[string]string{"app/config.yaml": "a: 1", "other": "x"}).Commit("first subject")
	server, err := gitserver.New(gitserver.Options{Root: repo.Root, Username: "u", Password: "right-one"})
	if err != nil {
		t.Fatal(err)
	}
	running, err := server.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Close)
	url := running.URL + "/repo.git"
	dir := t.TempDir()
	hub := startHub(t, dir)
	good := source.Credentials{ID: "good", Value: git.Credentials{Username: "u", Password: "right-one"}}
	bad := source.Credentials{ID: "bad", Value: git.Credentials{Username: "u", Password: "wr0ng-one"}}
	hub.Follow("app", source.Want{URL: url, Credentials: good})
	hub.Follow("stranger", source.Want{URL: url, Credentials: bad})
	<-hub.RefreshURL(url).Done()

	state, _ := hub.State("app")
	if state.Err != nil || state.Revision.Hash != first || state.Commit.Subject != "first subject" || state.Revision.RefName != "refs/heads/main" {
		t.Fatalf("%+v", state)
	}
	snap, err := hub.Snapshot(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := snap.Tree.ReadFile("app/config.yaml"); err != nil || string(b) != "a: 1" {
		t.Errorf("%q, %v", b, err)
	}
	if s, _ := hub.State("stranger"); git.ReasonOf(s.Err) != "AuthenticationFailed" || s.Revision.Hash != "" || strings.Contains(s.Err.Error(), "wr0ng-one") {
		t.Errorf("%+v", s)
	}
	if _, err := hub.Snapshot(t.Context(), "stranger"); err == nil {
		t.Error("wrong credentials read the shared mirror")
	}

	second := repo.Write(map[string]string{"app/config.yaml": "a: 2"}).Commit("second")
	<-hub.RefreshApp("app").Done()
	if s, _ := hub.State("app"); s.Revision.Hash != second {
		t.Errorf("%+v", s)
	}
	changes, err := hub.ChangedPaths(t.Context(), "app", first)
	if err != nil || len(changes) != 1 || changes[0].Path != "app/config.yaml" {
		t.Errorf("%+v, %v", changes, err)
	}

	forced := repo.Write(map[string]string{"app/config.yaml": "a: 3"}).ForcePush("rewritten")
	<-hub.RefreshApp("app").Done()
	if s, _ := hub.State("app"); s.Revision.Hash != forced || s.Err != nil {
		t.Errorf("after a force push: %+v", s)
	}
	if b, err := snap.Tree.ReadFile("other"); err != nil || string(b) != "x" {
		t.Errorf("a snapshot from before the force push: %q, %v", b, err)
	}

	repo.Branch("spare")
	repo.SetDefault("spare")
	repo.DeleteBranch("main")
	hub.Follow("main", source.Want{URL: url, Credentials: good, Ref: source.Ref{Branch: "main"}})
	<-hub.RefreshURL(url).Done()
	if s, _ := hub.State("main"); !git.IsKind(s.Err, git.RefNotFound) {
		t.Errorf("a deleted branch: %+v", s)
	}
	if s, _ := hub.State("app"); s.Err != nil || s.Revision.RefName != "refs/heads/spare" {
		t.Errorf("the default branch moved: %+v", s)
	}
	running.Close()
	<-hub.RefreshURL(url).Done()
	if s, _ := hub.State("app"); git.ReasonOf(s.Err) != "HostUnreachable" || s.Revision.Hash != forced {
		t.Errorf("an unreachable host: %+v", s)
	}
	if snap, err := hub.Snapshot(t.Context(), "app"); err != nil || snap.Commit.Hash != forced {
		t.Errorf("an unreachable host stops reading: %v", err)
	}
}

// Files of the cache vanish or change under a running Hub.
func TestHubRepairsItsMirror(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, mirror string){
		"deleted": func(t *testing.T, mirror string) { os.RemoveAll(mirror) },
		"garbled": func(t *testing.T, mirror string) {
			packs, _ := filepath.Glob(filepath.Join(mirror, "objects", "pack", "*.pack"))
			if len(packs) == 0 {
				t.Fatal("no packs")
			}
			for _, p := range packs {
				b, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				for i := 12; i < len(b)-20; i++ {
					b[i] ^= 0x55
				}
				os.Remove(p)
				if err := os.WriteFile(p, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t)
			repo.Write(map[string]string{"a": "1"}).Commit("one")
			server, err := gitserver.New(gitserver.Options{Root: repo.Root})
			if err != nil {
				t.Fatal(err)
			}
			running, err := server.Listen("127.0.0.1:0", nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(running.Close)
			dir := t.TempDir()
			hub := startHub(t, dir)
			hub.Follow("app", source.Want{URL: running.URL + "/repo.git"})
			<-hub.RefreshApp("app").Done()
			mirrors, _ := filepath.Glob(filepath.Join(dir, "git", "mirrors", "*"))
			damage(t, mirrors[0])
			next := repo.Write(map[string]string{"a": "2"}).Commit("two")
			<-hub.RefreshApp("app").Done()
			deadline := time.Now().Add(20 * time.Second)
			for {
				snap, err := hub.Snapshot(t.Context(), "app")
				if err == nil {
					var b []byte
					if b, err = snap.Tree.ReadFile("a"); err == nil && string(b) == "2" && snap.Commit.Hash == next {
						return
					}
				}
				if time.Now().After(deadline) {
					state, _ := hub.State("app")
					t.Fatalf("not repaired: %v, state %+v", err, state)
				}
				<-hub.RefreshApp("app").Done()
			}
		})
	}
}

func startHub(t *testing.T, dir string) *source.Hub {
	t.Helper()
	store, err := git.New(git.Options{Dir: filepath.Join(dir, "git"), AllowAddresses: loopback})
	if err != nil {
		t.Fatal(err)
	}
	hub := source.NewHub(source.Options{Remotes: source.FromStore(store), Interval: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = hub.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait(); store.Close() })
	return hub
}

func BenchmarkCommitSeen(b *testing.B) {
	repo := gittest.New(b)
	repo.Write(map[string]string{"a": ""}).Commit("first")
	server, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		b.Fatal(err)
	}
	running, err := server.Listen("127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer running.Close()
	store, err := git.New(git.Options{Dir: b.TempDir(), AllowAddresses: loopback})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	hub := source.NewHub(source.Options{Remotes: source.FromStore(store), Interval: time.Hour})
	ctx, cancel := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = hub.Run(ctx) })
	defer done.Wait()
	defer cancel()
	hub.Follow("app", source.Want{URL: running.URL + "/repo.git"})
	<-hub.RefreshApp("app").Done()
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		want := repo.Write(map[string]string{"a": strings.Repeat("x", n)}).Commit("next")
		b.StartTimer()
		<-hub.RefreshApp("app").Done()
		if s, _ := hub.State("app"); s.Revision.Hash != want {
			b.Fatalf("%+v", s)
		}
	}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
