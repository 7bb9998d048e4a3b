package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

// fullDisk is a git program that finds the disk full, as long as there is a file,
// whenever it has something to write; in one of the ways that git says it.
func fullDisk(t *testing.T, says string) (program, while string) {
	t.Helper()
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, while = filepath.Join(dir, "git"), filepath.Join(dir, "full")
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %s ]; then case \"$1\" in fetch|init|repack) cat >/dev/null; printf '%%s\\n' %q >&2; exit 128;; esac; fi\nexec %s \"$@\"\n", while, says, real)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, while
}

// TestDiskFull: a full disk is called that, and costs no mirror; with room again,
// the next fetch goes on.
func TestDiskFull(t *testing.T) {
	for _, says := range []string{
		"fatal: unable to write loose object file: No space left on device\nfatal: unpack-objects failed",
		"fatal: failed to write to /cache/shallow.lock: No space left on device",
		"fatal: sha1 file 'objects/pack/tmp_pack_yuRNPT' write error. Out of diskspace\nfatal: index-pack failed",
		"fatal: cannot mkdir /cache/mirrors/x: Read-only file system",
		"fatal: write error: Disk quota exceeded\nfatal: fetch-pack: invalid index-pack output",
	} {
		t.Run(strings.Fields(says)[1], func(t *testing.T) {
			repo := gittest.New(t)
			first := repo.Write(map[string]string{"a": "1"}).Commit("one")
			url := serve(t, repo, gitserver.Options{}, nil)
			program, while := fullDisk(t, says)
			dir := t.TempDir()
			var log bytes.Buffer
			m := mirrorOf(t, newStore(t, git.Options{Dir: dir, GitPath: program, Logger: slog.New(slog.NewTextHandler(&log, nil))}), url)
			full := func(hash string) {
				t.Helper()
				os.WriteFile(while, nil, 0o600)
				err := m.Fetch(t.Context(), anonymous, git.Want{Hash: hash, Base: first})
				wantKind(t, err, git.CacheFailed)
				if !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "tmp_pack") {
					t.Errorf("it says %q", err)
				}
				os.Remove(while)
			}
			full(first)
			fetched(t, m, anonymous, "HEAD")
			second := repo.Write(map[string]string{"a": "2"}).Commit("two")
			full(second)
			if got := read(t, m, first, "a"); got != "1" {
				t.Errorf("what is there reads %q", got)
			}
			fetched(t, m, anonymous, "HEAD")
			if got := read(t, m, second, "a"); got != "2" {
				t.Errorf("with room again it reads %q", got)
			}
			if strings.Contains(log.String(), "thrown away") {
				t.Errorf("a mirror was thrown away:\n%s", &log)
			}
		})
	}
}

// TestDiskFullElsewhere: it is not abide's disk that a remote speaks of.
func TestDiskFullElsewhere(t *testing.T) {
	repo := gittest.New(t)
	hash := repo.Write(map[string]string{"a": "1"}).Commit("one")
	program, while := fullDisk(t, "remote: fatal: write error: No space left on device\nfatal: early EOF")
	m := mirrorOf(t, newStore(t, git.Options{GitPath: program}), serve(t, repo, gitserver.Options{}, nil))
	os.WriteFile(while, nil, 0o600)
	// init is stopped as well here, so that there is no kind for it.
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: hash}); err == nil || git.IsKind(err, git.CacheFailed) {
		t.Errorf("it is %v", err)
	}
}

// TestBadRemoteIsNotFetchedForEver: a remote that sends garbage is told apart
// from a mirror that is broken, also when the mirror is new.
func TestBadRemoteIsNotFetchedForEver(t *testing.T) {
	repo := gittest.New(t)
	hash := repo.Write(map[string]string{"a": strings.Repeat("2", 300)}).Commit("one")
	backend, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		backend.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if i := bytes.Index(body, []byte("PACK")); i >= 0 && r.Method == http.MethodPost {
			for j := i + 12; j < len(body)-8; j++ {
				body[j] ^= 0x55
			}
		}
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.Write(body)
	}))
	defer s.Close()
	var log bytes.Buffer
	m := mirrorOf(t, newStore(t, git.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}), s.URL+"/repo.git")
	for range 4 {
		err := m.Fetch(t.Context(), anonymous, git.Want{Hash: hash})
		if err == nil || git.IsKind(err, git.MirrorCorrupt) {
			t.Errorf("it is %v", err)
		}
	}
	if n := strings.Count(log.String(), "thrown away"); n > 1 {
		t.Errorf("the mirror was thrown away %d times:\n%s", n, &log)
	}
}

// halfPack is a server that sends half of each pack and then nothing more.
func halfPack(t *testing.T, repo *gittest.Repo) string {
	t.Helper()
	backend, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			backend.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		backend.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		i := bytes.Index(body, []byte("PACK"))
		if i < 0 {
			w.Write(body)
			return
		}
		w.Write(body[:i+(len(body)-i)/2])
		w.(http.Flusher).Flush()
		<-over
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	return s.URL + "/repo.git"
}

// TestStall: a host that hangs in the middle of a fetch is given up: when nothing
// has come for a while, and in any case at the time limit.
func TestStall(t *testing.T) {
	for name, limits := range map[string]git.Limits{
		"nothing comes": {StallTimeout: time.Second},
		"time limit":    {FetchTimeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t)
			hash := repo.Write(map[string]string{"a": strings.Repeat("some text\n", 3000)}).Commit("one")
			m := mirrorOf(t, newStore(t, git.Options{Limits: limits}), halfPack(t, repo))
			err := m.Fetch(t.Context(), anonymous, git.Want{Hash: hash})
			var e *git.Error
			if !errors.As(err, &e) || !e.NoAnswer() {
				t.Errorf("it is %v", err)
			}
		})
	}
}
