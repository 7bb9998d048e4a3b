package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
)

// fullDisk puts a git program before the real one that finds the disk of the
// controller's cache full as long as the file exists that it returns.
func (w *world) fullDisk() (while string) {
	w.t.Helper()
	real, err := exec.LookPath("git")
	must(w.t, err)
	dir := w.t.TempDir()
	while = filepath.Join(dir, "full")
	script := fmt.Sprintf(`#!/bin/sh
case "$1 $HOME" in
"fetch %[1]s"/*|"init %[1]s"/*|"repack %[1]s"/*)
	if [ -e %[2]s ]; then
		echo "fatal: unable to write loose object file: No space left on device" >&2
		echo "fatal: unpack-objects failed" >&2
		exit 128
	fi
esac
exec %[3]s "$@"
`, w.cache, while, real)
	must(w.t, os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700))
	w.t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return while
}

// often has every repository of the world looked at often.
func (w *world) often() {
	w.t.Helper()
	r := w.repository("often", strings.TrimSuffix(w.url, "/"+w.repo.Name), nil)
	w.patch(r, "tester", `{"spec":{"interval":"5s"}}`)
}

// TestFaultDiskFull: without room for the cache, an App says so and where; what
// is there goes on being read, applied and healed; and with room again all goes
// on by itself.
func TestFaultDiskFull(t *testing.T) {
	w := newWorld(t)
	full := w.fullDisk()
	ns := w.sandbox.Namespace(t)
	other := gittest.NewIn(t, w.repo.Root, "other.git")
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "1")})
	commit := w.repo.Commit("1")
	other.Write(map[string]string{"app/c.yaml": configMap("other", "1"), "late/c.yaml": configMap("late", "1")})
	second := other.Commit("1")
	from := func(a *v1alpha1.App) { a.Spec.Source.Repo = strings.TrimSuffix(w.url, "repo.git") + "other.git" }
	w.run()
	w.often()
	app := w.ready(w.app("app", "app", ns), commit)
	w.ready(w.app("other", "app", ns, from), second)

	must(t, os.WriteFile(full, nil, 0o600))
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "2")})
	commit = w.push(app, "2")
	w.says(app, "CacheFailed", w.cache, "is full", "keeps running")
	w.logged("level=WARN", w.url, "is full")
	w.ready(w.app("late", "late", ns, from), second)
	for _, name := range []string{"config", "other"} {
		w.patch(cmNamed(ns, name), "meddler", `{"data":{"value":"drifted"}}`)
		w.has(ns, name, "1")
	}
	if lines := w.lines("thrown away"); len(lines) != 0 {
		t.Errorf("a good mirror was thrown away: %q", lines)
	}

	must(t, os.Remove(full))
	w.ready(app, commit)
	w.has(ns, "config", "2")
}

// TestFaultMirror: a mirror that is damaged in one way or another is made anew
// by itself, which the log says; and a remote that is damaged is not fetched over
// and over.
func TestFaultMirror(t *testing.T) {
	w := newWorld(t)
	var spoil faults
	w.git = spoil.wrap
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "0")})
	commit := w.repo.Commit("0")
	w.run()
	w.often()
	app := w.ready(w.app("app", "app", ns), commit)
	uid, h := w.find(ns, "config").UID, w.follow(ns)
	for i, damage := range []struct {
		name    string
		restart bool
		do      func(mirror string)
	}{
		{"packs garbled", false, func(m string) { w.eachFile(m, "objects/pack/*.pack", garble) }},
		{"packs cut", true, func(m string) {
			w.eachFile(m, "objects/pack/*.pack", func(b []byte) []byte { return b[:len(b)/2] })
		}},
		{"objects gone", false, func(m string) { must(t, os.RemoveAll(filepath.Join(m, "objects"))) }},
		{"HEAD gone", true, func(m string) { must(t, os.Remove(filepath.Join(m, "HEAD"))) }},
		{"refs gone", true, func(m string) { must(t, os.RemoveAll(filepath.Join(m, "refs"))) }},
		{"packed refs garbled", false, func(m string) {
			must(t, os.WriteFile(filepath.Join(m, "packed-refs"), []byte("garbage\n"), 0o600))
		}},
	} {
		value := fmt.Sprint(i + 1)
		h.reset()
		mirrors, _ := filepath.Glob(filepath.Join(w.cache, "git", "mirrors", "*"))
		if len(mirrors) != 1 {
			t.Fatalf("%s: there are the mirrors %q", damage.name, mirrors)
		}
		before := len(w.lines("a mirror is thrown away"))
		if damage.restart {
			w.abide.stop()
		}
		damage.do(mirrors[0])
		if damage.restart {
			w.run()
		}
		w.repo.Write(map[string]string{"app/c.yaml": configMap("config", value)})
		commit := w.push(app, value)
		w.ready(app, commit)
		h.was(t, map[string]string{"config": "MODIFIED " + value})
		// After a restart what is damaged need not be in the way.
		if n := len(w.lines("a mirror is thrown away")) - before; n > 1 || n == 0 && !damage.restart {
			t.Errorf("%s: the log says %d times that a mirror is thrown away", damage.name, n)
		}
	}
	if w.find(ns, "config").UID != uid {
		t.Error("the object was deleted and created again")
	}

	before := len(w.lines("a mirror is thrown away"))
	spoil.begin(w.spoilPacks(func(rw http.ResponseWriter, _ *http.Request, answer []byte) { rw.Write(garblePack(answer)) }))
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "last")})
	commit = w.push(app, "last")
	w.says(app, "RepositoryMalformed", "git fsck")
	w.refresh(app)
	spoil.storm(t, 4, 0)
	if lines := w.lines("a mirror is thrown away"); len(lines) != before {
		t.Errorf("a good mirror was thrown away for a bad remote: %q", lines)
	}
	spoil.end()
	w.refresh(app)
	w.ready(app, commit)
}

func garble(b []byte) []byte {
	for i := 12; i < len(b)-20; i++ {
		b[i] ^= 0x55
	}
	return b
}

// garblePack changes the pack in an answer of git-upload-pack, and leaves the
// packets whole that it comes in (gitprotocol-common, pkt-line; the pack is what
// is in side band 1).
func garblePack(answer []byte) []byte {
	seen := 0
	for rest := answer; len(rest) >= 4; {
		n, err := strconv.ParseUint(string(rest[:4]), 16, 16)
		if err != nil || int(n) > len(rest) {
			break
		}
		line := rest[4:max(n, 4)]
		if len(line) > 1 && line[0] == 1 {
			for i := range line[1:] {
				if seen++; seen > 12 {
					line[1+i] ^= 0x55
				}
			}
		}
		rest = rest[max(n, 4):]
	}
	return answer
}

// eachFile changes files of a mirror, of which there must be some.
func (w *world) eachFile(mirror, pattern string, change func([]byte) []byte) {
	w.t.Helper()
	names, _ := filepath.Glob(filepath.Join(mirror, filepath.FromSlash(pattern)))
	if len(names) == 0 {
		w.t.Fatalf("the mirror has no %s", pattern)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		must(w.t, err)
		must(w.t, os.Remove(name)) // it is open, and can't be written to
		must(w.t, os.WriteFile(name, change(b), 0o400))
	}
}

// spoilPacks has the answers of the Git server that hold a pack written by send.
func (w *world) spoilPacks(send func(rw http.ResponseWriter, r *http.Request, answer []byte)) func(http.ResponseWriter, *http.Request) bool {
	server, err := gitserver.New(gitserver.Options{Root: w.repo.Root})
	must(w.t, err)
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if gitPhase(r) != phaseFetch {
			return false
		}
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, r)
		rw.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		body := rec.Body.Bytes()
		if !bytes.Contains(body, []byte("packfile\n")) {
			rw.Write(body)
			return true
		}
		send(rw, r, body)
		return true
	}
}

// TestFaultGitHangs: a Git host hangs in the middle of a fetch, and another time
// before it has said a word. Meanwhile other repositories are followed and what
// runs is healed, and when the host is back so is its App.
func TestFaultGitHangs(t *testing.T) {
	w := newWorld(t)
	var hang faults
	w.git = hang.wrap
	ns := w.sandbox.Namespace(t)
	other := gittest.NewIn(t, t.TempDir(), "other.git")
	server, err := gitserver.New(gitserver.Options{Root: other.Root})
	must(t, err)
	elsewhere := httptest.NewServer(server)
	t.Cleanup(elsewhere.Close)
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "0")})
	commit := w.repo.Commit("0")
	other.Write(map[string]string{"app/c.yaml": configMap("other", "0")})
	second := other.Commit("0")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	theirs := w.ready(w.app("other", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = elsewhere.URL + "/other.git" }), second)

	for i, hangs := range []func(reached func()) func(http.ResponseWriter, *http.Request) bool{w.hangsInPack, hangsAtOnce} {
		before, value := fmt.Sprint(i), fmt.Sprint(i+1)
		reached := make(chan struct{})
		hang.begin(hangs(sync.OnceFunc(func() { close(reached) })))
		w.repo.Write(map[string]string{"app/c.yaml": configMap("config", value)})
		commit = w.push(app, value)
		<-reached
		other.Write(map[string]string{"app/c.yaml": configMap("other", value)})
		second = other.Commit(value)
		w.refresh(theirs)
		w.ready(theirs, second)
		w.patch(cmNamed(ns, "config"), "meddler", `{"data":{"value":"drifted"}}`)
		w.has(ns, "config", before)

		hang.end()
		hang.cut() // as when the host is started again
		w.ready(app, commit)
		w.has(ns, "config", value)
	}
}

// hangsInPack is a Git server that sends half of a pack and then nothing more.
func (w *world) hangsInPack(reached func()) func(http.ResponseWriter, *http.Request) bool {
	return w.spoilPacks(func(rw http.ResponseWriter, r *http.Request, answer []byte) {
		rw.Write(answer[:(bytes.Index(answer, []byte("packfile\n"))+len(answer))/2])
		rw.(http.Flusher).Flush()
		reached()
		<-r.Context().Done()
	})
}

// hangsAtOnce is a server that takes requests and never answers.
func hangsAtOnce(reached func()) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, r *http.Request) bool {
		reached()
		<-r.Context().Done()
		return refuse(rw, r)
	}
}
