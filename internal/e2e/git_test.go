package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
)

func following(ref v1alpha1.Ref) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) { a.Spec.Source.Ref = &ref }
}

// TestRefs: an App follows a branch, a tag, a range of versions or a commit.
func TestRefs(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	write := func(value string) {
		w.repo.Write(map[string]string{"branch/c.yaml": configMap("branch", value), "tag/c.yaml": configMap("tag", value),
			"semver/c.yaml": configMap("semver", value), "commit/c.yaml": configMap("commit", value)})
	}
	write("1")
	first := w.repo.Commit("1")
	w.repo.Tag("stable")
	w.repo.AnnotatedTag("v1.0.0", "one")
	w.run()
	apps := map[string]*v1alpha1.App{
		"branch": w.app("branch", "branch", ns, following(v1alpha1.Ref{Branch: "main"})),
		"tag":    w.app("tag", "tag", ns, following(v1alpha1.Ref{Tag: "stable"})),
		"semver": w.app("semver", "semver", ns, following(v1alpha1.Ref{Semver: "1.x"})),
		"commit": w.app("commit", "commit", ns, following(v1alpha1.Ref{Commit: first})),
	}
	for _, app := range apps {
		w.ready(app, first)
	}
	write("2")
	second := w.push(apps["branch"], "2")
	w.ready(apps["branch"], second)
	for _, name := range []string{"tag", "semver", "commit"} {
		if now := w.get(apps[name]); now.Status.Source.Commit != first {
			t.Errorf("App %s is at %s", name, now.Status.Source.Revision)
		}
	}
	w.repo.Tag("stable")
	w.repo.Tag("v1.2.0")
	w.repo.Tag("v2.0.0")
	w.refresh(apps["branch"])
	if now := w.ready(apps["semver"], second); now.Status.Source.Revision != "v1.2.0@"+second[:8] {
		t.Errorf("the revision is %s", now.Status.Source.Revision)
	}
	w.ready(apps["tag"], second)
	w.has(ns, "commit", "1")
}

// TestGitGoesWrong: whatever happens to the repository, the App says what and
// where, what runs goes on running and is healed, and all is well when it is
// repaired.
func TestGitGoesWrong(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	var down atomic.Bool
	w.git = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
		})
	}
	empty := gittest.NewIn(t, w.repo.Root, "empty.git")
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "1")})
	w.repo.Commit("1")
	w.repo.Branch("side").Write(map[string]string{"app/c.yaml": configMap("config", "2")})
	commit := w.repo.Commit("2")
	w.run()
	app := w.ready(w.app("app", "app", ns, following(v1alpha1.Ref{Branch: "side"})), commit)
	heals := func(value string) {
		t.Helper()
		w.patch(cmNamed(ns, "config"), "meddler", `{"data":{"value":"drifted"}}`)
		w.has(ns, "config", value)
	}

	w.says(w.app("wrong-branch", "app", ns, following(v1alpha1.Ref{Branch: "no-such"})), "RefNotFound", "no-such")
	fresh := w.app("empty", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = strings.TrimSuffix(w.url, "repo.git") + "empty.git" })
	w.says(fresh, "RepositoryEmpty", "push a commit")
	w.says(w.app("unreachable", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = "http://127.0.0.1:1/repo.git" }), "HostUnreachable", "127.0.0.1:1")
	w.says(w.app("not-there", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = strings.TrimSuffix(w.url, "repo.git") + "other.git" }), "RepositoryNotFound", "other.git")
	local := url.URL{Scheme: "file", Path: w.repo.Dir()}
	w.says(w.app("local", "app", ns, func(a *v1alpha1.App) { a.Spec.Source.Repo = local.String() }), "LocalRepositoryNotAllowed", "--allow-local-repositories")

	// The branch is deleted: what ran goes on.
	w.repo.DeleteBranch("side")
	w.refresh(app)
	w.says(app, "RefNotFound", "side", "keeps running")
	heals("2")

	// It comes back with a history that was rewritten.
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "3")})
	commit = w.repo.ForcePush("3")
	w.refresh(app)
	w.ready(app, commit)
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config", "4")})
	commit = w.repo.ForcePush("4")
	w.refresh(app)
	w.ready(app, commit)
	w.has(ns, "config", "4")

	// The host does not answer.
	down.Store(true)
	w.refresh(app)
	w.says(app, "HostUnreachable", "keeps running")
	heals("4")
	down.Store(false)
	w.refresh(app)
	w.ready(app, commit)

	// The one that was empty gets its first commit.
	empty.Write(map[string]string{"app/c.yaml": configMap("of-empty", "1")})
	commit = empty.Commit("1")
	w.refresh(fresh)
	w.ready(fresh, commit)
}

// TestBadCommit: a commit that can't be rendered is an error with file and line;
// what ran before goes on running.
func TestBadCommit(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 2, "1")})
	first := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	w.repo.Write(map[string]string{"app/c.yaml": configMap("config-0", "2") + "---\nkind: ConfigMap\nmetadata: {name: half}\n"})
	commit := w.push(app, "half an object")
	w.judged(commit)
	w.says(app, "InvalidObject", "app/c.yaml:")
	if now := w.get(app); now.Status.Source.Commit != first {
		t.Errorf("the status says that %s runs", now.Status.Source.Commit)
	}
	w.has(ns, "config-1", "1")

	// A restart finds the same, also how what runs is doing.
	before := w.get(app)
	if o := before.Status.Objects; o.Total != 2 || o.Healthy != 2 || before.Status.Health != v1alpha1.HealthHealthy {
		t.Errorf("what runs is %+v, %s", o, before.Status.Health)
	}
	w.abide.stop()
	since := now()
	w.repo.Write(map[string]string{"README": "hello"})
	commit = w.repo.Commit("nothing of the App")
	w.run()
	w.judged(commit)
	if got := without(w.writes(since), "gitrefs"); len(got) != 0 {
		t.Errorf("after a restart with nothing changed, abide sent %q, and the status is %+v", got, w.get(app).Status)
	}

	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 2, "1")})
	w.push(app, "as it was")
	w.ready(app, first)
}
