package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
)

// reverting is a user with a git of his own, and an App whose second release is a
// bad one.
type reverting struct {
	t        *testing.T
	repo     *gittest.Repo
	app      *v1alpha1.App
	releases []v1alpha1.ReleaseSpec
	// config is the user's own configuration of git.
	config string
	tmp    string
}

// newReverting commits the good files, and the bad ones in their place.
func newReverting(t *testing.T, good, bad map[string]string) *reverting {
	t.Helper()
	r := &reverting{t: t, repo: gittest.New(t), app: full(), config: filepath.Join(t.TempDir(), "gitconfig"), tmp: t.TempDir()}
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": r.config, "GIT_TERMINAL_PROMPT": "0", "TMPDIR": r.tmp,
	} {
		t.Setenv(name, value)
	}
	r.configure("[user]\n\tname = Ada\n\temail = ada@example.org\n")
	r.repo.Write(good)
	first := r.repo.Commit("one")
	for name := range good {
		r.repo.Remove(name)
	}
	r.repo.Write(bad)
	second := r.repo.Commit("two")
	r.app.Spec.Source = v1alpha1.Source{Repo: r.repo.Dir(), Path: "web"}
	r.releases = []v1alpha1.ReleaseSpec{
		{Number: 2, Outcome: v1alpha1.OutcomeSucceeded, Source: v1alpha1.SourceStatus{Commit: second}},
		{Number: 1, Outcome: v1alpha1.OutcomeSucceeded, Source: v1alpha1.SourceStatus{Commit: first}},
	}
	return r
}

var one, two = map[string]string{"web/a.yaml": "one"}, map[string]string{"web/a.yaml": "two"}

func (r *reverting) configure(text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.config, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// serve has the App follow the repository over HTTP.
func (r *reverting) serve(o gitserver.Options, wrap func(http.Handler) http.Handler) {
	r.t.Helper()
	o.Root, o.AllowPush = r.repo.Root, true
	s, err := gitserver.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	var h http.Handler = s
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(h)
	r.t.Cleanup(server.Close)
	r.app.Spec.Source.Repo = server.URL + "/" + r.repo.Name
}

// try reverts to the first release, and sees that no clone stays behind.
func (r *reverting) try(o rollbackOptions) (string, error) {
	r.t.Helper()
	var out bytes.Buffer
	err := revert(r.t.Context(), Streams{Out: &out, Err: &out}, r.app, &r.releases[1], r.releases, o)
	if left, _ := os.ReadDir(r.tmp); len(left) > 0 {
		r.t.Errorf("it leaves %v behind", left)
	}
	return out.String(), err
}

// back tries, and wants a file of the branch to be what it was.
func (r *reverting) back(branch, file, content string, o rollbackOptions) string {
	r.t.Helper()
	out, err := r.try(o)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	if got := r.repo.Git("show", branch+":"+file); got != content {
		r.t.Errorf("%s of %s is %q, want %q", file, branch, got, content)
	}
	return out
}

// refused tries, and wants an error with a text and every branch to be as it was.
func (r *reverting) refused(text string, o rollbackOptions) {
	r.t.Helper()
	before := r.repo.Git("for-each-ref")
	if out, err := r.try(o); err == nil || !strings.Contains(err.Error(), text) {
		r.t.Errorf("it says %v, want %q\n%s", err, text, out)
	}
	if after := r.repo.Git("for-each-ref"); after != before {
		r.t.Errorf("the repository had\n%s\nand has\n%s", before, after)
	}
}

// program is an executable that leaves a mark when it is run.
func program(t *testing.T, name, mark string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte("#!/bin/sh\necho "+filepath.Base(name)+" >>"+mark+"\ncat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestRevertRunsNothing: a repository can't have a program run on the user's
// machine, not even one that the user has told git of.
func TestRevertRunsNothing(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	attributes := map[string]string{
		".gitattributes": "* filter=evil diff=evil merge=evil\n",
		".gitmodules":    "[submodule \"sub\"]\n\tpath = web/sub\n\turl = ext::sh -c touch% " + mark + "\n\tfetchRecurseSubmodules = true\n",
		"web/a.yaml":     "one",
	}
	r := newReverting(t, attributes, attributes)
	r.repo.Submodule("web/sub", strings.Repeat("1", 40)).Symlink("web/link", mark).Write(two)
	r.releases[0].Source.Commit = r.repo.Commit("three")

	hooks := filepath.Join(dir, "hooks")
	if err := os.Mkdir(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-push", "post-checkout", "post-index-change", "reference-transaction"} {
		program(t, filepath.Join(hooks, h), mark)
	}
	evil := program(t, filepath.Join(dir, "evil"), mark)
	r.configure(fmt.Sprintf("[core]\n\thooksPath = %s\n\tfsmonitor = %s\n[filter \"evil\"]\n\tclean = %[2]s\n\tsmudge = %[2]s\n\trequired = true\n"+
		"[diff]\n\texternal = %[2]s\n[diff \"evil\"]\n\tcommand = %[2]s\n\ttextconv = %[2]s\n[merge \"evil\"]\n\tdriver = %[2]s\n"+
		"[submodule]\n\trecurse = true\n[fetch]\n\trecurseSubmodules = true\n[push]\n\trecurseSubmodules = on-demand\n", hooks, evil))
	r.serve(gitserver.Options{}, nil)
	r.back("main", "web/a.yaml", "one", rollbackOptions{})
	if what, err := os.ReadFile(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has run %s (%v)", strings.Fields(string(what)), err)
	}
	if tree := r.repo.Git("ls-tree", "-r", "--name-only", "main"); strings.Contains(tree, "sub") || strings.Contains(tree, "link") {
		t.Errorf("the folder is not as it was: %s", tree)
	}
}

// TestRevertHostileRecord: what a record gives for a commit is never an option of
// git, and what an address names never a program.
func TestRevertHostileRecord(t *testing.T) {
	r := newReverting(t, one, two)
	mark := filepath.Join(t.TempDir(), "mark")
	for _, commit := range []string{"", "--upload-pack=touch " + mark + ";", "main", "HEAD", strings.Repeat("a", 39), strings.Repeat("A", 40)} {
		r.releases[1].Source.Commit = commit
		r.refused("was made from no commit", rollbackOptions{})
	}
	r.releases[1].Source.Commit = strings.Repeat("e", 40)
	r.refused("is not in the repository any more", rollbackOptions{})
	for _, repo := range []string{"ext::touch " + mark, "--upload-pack=touch " + mark, "ssh://-oProxyCommand=touch%20" + mark + "/x"} {
		r.app.Spec.Source.Repo = repo
		r.refused("git clone", rollbackOptions{})
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program was run: %v", err)
	}
}

// TestRevertTreeWithGit: a tree that has git's own folder in it is refused.
func TestRevertTreeWithGit(t *testing.T) {
	r := newReverting(t, one, two)
	blob := r.repo.Git("rev-parse", "main:web/a.yaml")
	tree := func(mode, kind, hash, name string) string {
		entry := filepath.Join(t.TempDir(), "entry")
		if err := os.WriteFile(entry, []byte(mode+" "+kind+" "+hash+"\t"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return r.repo.Git("-c", "alias.entry=!git mktree <"+entry, "entry")
	}
	hook := tree("100755", "blob", blob, "post-index-change")
	evil := tree("40000", "tree", tree("40000", "tree", tree("40000", "tree", hook, "hooks"), ".git"), "web")
	r.releases[1].Source.Commit = r.repo.Git("commit-tree", "-m", "evil", evil)
	r.repo.Git("update-ref", "refs/heads/evil", r.releases[1].Source.Commit)
	r.repo.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	r.refused("paths there that git does not check out", rollbackOptions{})
}

// TestRevertLeavesOwnRepository: where a hook or an alias of git runs abide, the
// repository that it runs in is not touched.
func TestRevertLeavesOwnRepository(t *testing.T) {
	r := newReverting(t, one, two)
	own := gittest.New(t)
	own.Write(map[string]string{"mine.yaml": "mine"}).Commit("mine")
	refs := own.Git("for-each-ref")
	index := filepath.Join(t.TempDir(), "index")
	for name, value := range map[string]string{
		"GIT_DIR": own.Dir(), "GIT_WORK_TREE": t.TempDir(), "GIT_INDEX_FILE": index, "GIT_PREFIX": "web/",
		"GIT_OBJECT_DIRECTORY": filepath.Join(own.Dir(), "objects"), "GIT_NAMESPACE": "x", "GIT_GLOB_PATHSPECS": "1",
	} {
		t.Setenv(name, value)
	}
	r.back("main", "web/a.yaml", "one", rollbackOptions{})
	if _, err := os.Stat(index); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the user's own index was written: %v", err)
	}
	if now := own.Git("for-each-ref"); now != refs {
		t.Errorf("the user's own repository had %s and has %s", refs, now)
	}
}

// TestRevertOfSettings: no setting of the user's git changes what is done.
func TestRevertOfSettings(t *testing.T) {
	r := newReverting(t, map[string]string{"web/a.yaml": "one", "old/b.yaml": "the same"}, map[string]string{"web/a.yaml": "two", "new/b.yaml": "the same"})
	r.configure("[clone]\n\tdefaultRemoteName = upstream\n[log]\n\tfollow = true\n\tshowSignature = true\n[color]\n\tui = always\n[diff]\n\trenames = copies\n\tnoprefix = true\n[push]\n\tfollowTags = true\n\tdefault = nothing\n")
	out := r.back("main", "web/a.yaml", "one", rollbackOptions{})
	if !strings.Contains(out, "stay as they are: new, old\n") {
		t.Errorf("a renamed file has changed in both places: %s", out)
	}
	if m := r.repo.Git("log", "-1", "--format=%B", "main"); strings.Contains(m, "\x1b") || !strings.Contains(m, " two\n") {
		t.Errorf("the message is %q", m)
	}
}

// TestRevertLiteralPath: a path that looks like a pattern means itself alone.
func TestRevertLiteralPath(t *testing.T) {
	r := newReverting(t, map[string]string{"w*/a": "one", "web/a": "one", ":(top)/a": "one", ".x/a": "one"}, map[string]string{"w*/a": "two", "web/a": "two", ":(top)/a": "two", ".x/a": "two"})
	r.app.Spec.Source.Path = "w*"
	r.back("main", "w*/a", "one", rollbackOptions{})
	r.app.Spec.Source.Path = ":(top)"
	r.back("main", ":(top)/a", "one", rollbackOptions{})
	r.app.Spec.Source.Path = "./.x/"
	r.back("main", ".x/a", "one", rollbackOptions{})
	if got := r.repo.Git("show", "main:web/a"); got != "two" {
		t.Errorf("another folder has become %q", got)
	}
	r.app.Spec.Source.Path = "" // all of it
	r.back("main", "web/a", "one", rollbackOptions{})
}

// TestRevertPathElsewhere: an App that had another path then has nothing deleted.
func TestRevertPathElsewhere(t *testing.T) {
	r := newReverting(t, map[string]string{"old/a.yaml": "one"}, two)
	r.refused("has no web, so App web had another spec.source.path then", rollbackOptions{})
}

// TestRevertNewBranch: the branch for a pull request is a new one; one that is there
// would get all that the followed one has.
func TestRevertNewBranch(t *testing.T) {
	r := newReverting(t, one, two)
	r.repo.Git("update-ref", "refs/heads/production", r.releases[1].Source.Commit)
	r.refused("has a branch production already", rollbackOptions{branch: "production"})
	r.refused("has a branch main already", rollbackOptions{branch: "main"})
	for _, bad := range []string{"a b", ":main", "x..y", "a~1"} {
		r.refused("not a name that Git allows", rollbackOptions{branch: bad})
	}
	r.back("revert/x", "web/a.yaml", "one", rollbackOptions{branch: "revert/x"})
}

// TestRevertTooLate: nothing is pushed over what somebody has pushed meanwhile, and
// once more does it.
func TestRevertTooLate(t *testing.T) {
	r := newReverting(t, one, two)
	var once sync.Once
	var theirs string
	r.serve(gitserver.Options{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Query().Get("service") == "git-receive-pack" {
				once.Do(func() { theirs = r.repo.Write(map[string]string{"web/b.yaml": "theirs"}).Commit("theirs") })
			}
			next.ServeHTTP(w, q)
		})
	})
	if out, err := r.try(rollbackOptions{}); err == nil || !strings.Contains(err.Error(), "run it again") || out != "" {
		t.Errorf("it says %v: %s", err, out)
	}
	if head := r.repo.Head("main"); head != theirs {
		t.Errorf("main is at %s, and not at what somebody pushed, %s", head, theirs)
	}
	r.back("main", "web/a.yaml", "one", rollbackOptions{})
	if r.repo.Git("rev-parse", "main~1") != theirs {
		t.Error("it is not on top of what somebody pushed")
	}
}

// TestRevertCredentials: they are the user's own.
func TestRevertCredentials(t *testing.T) {
	r := newReverting(t, one, two)
	secret := rand.Text()
	r.serve(gitserver.Options{Username: "ada", Password: secret}, nil)
	r.refused("git clone", rollbackOptions{})
	r.configure("[credential]\n\thelper = \"!f() { echo username=ada; echo password=" + secret + "; }; f\"\n")
	r.back("main", "web/a.yaml", "one", rollbackOptions{})
}

// TestRevertFetchesLittle: of a large repository no more is fetched than what is put
// back.
func TestRevertFetchesLittle(t *testing.T) {
	large := make([]byte, 1<<20)
	_, _ = rand.Read(large)
	good := map[string]string{"other/large": hex.EncodeToString(large), "web/a.yaml": "one"}
	bad := map[string]string{"other/large": good["other/large"] + "x", "web/a.yaml": "two"}
	r := newReverting(t, good, bad)
	var sent atomic.Int64
	r.serve(gitserver.Options{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			next.ServeHTTP(counting{w, &sent}, q)
		})
	})
	r.back("main", "web/a.yaml", "one", rollbackOptions{})
	if n := sent.Load(); n == 0 || n > 1<<18 {
		t.Errorf("%d bytes were fetched", n)
	}
}

// counting counts the bytes of an answer.
type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func (c counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// TestRevertText: what others wrote reaches neither the terminal nor the message
// as more than text, and a chart's version is said to be none of it.
func TestRevertText(t *testing.T) {
	r := newReverting(t, map[string]string{"web/a": "one", "\x1b[31mred/a": "one"}, map[string]string{"web/a": "two", "\x1b[31mred/a": "two"})
	r.releases[1].Source.Subject = "one\x1b[31m\n\nSigned-off-by: somebody"
	r.releases[1].Source.Chart = "shop 1.2"
	r.app.Spec.Source.Chart = &v1alpha1.ChartSource{Repo: "oci://example.org/shop"}
	out := r.back("main", "web/a", "one", rollbackOptions{reason: "it is red\x1b[31m\nCo-authored-by: nobody"})
	m := r.repo.Git("log", "-1", "--format=%B", "main")
	if strings.Contains(out+m, "\x1b") || strings.Contains(m, "\nSigned-off-by") || strings.Contains(m, "\nCo-authored-by") {
		t.Errorf("it says %q\nin %q", out, m)
	}
	if !strings.Contains(out, "at release 1 it was shop 1.2") {
		t.Errorf("it does not say what the chart was: %s", out)
	}
}
