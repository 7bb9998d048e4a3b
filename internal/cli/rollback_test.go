package cli

import (
	"bytes"
	"strings"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
)

// TestChooseRelease: which release a rollback goes back to, and what is said where
// there is none.
func TestChooseRelease(t *testing.T) {
	rel := func(n int64, o v1alpha1.Outcome, hash, commit string, kept bool) v1alpha1.ReleaseSpec {
		r := v1alpha1.ReleaseSpec{Number: n, Outcome: o, DesiredHash: hash, Source: v1alpha1.SourceStatus{Commit: commit}}
		if kept {
			r.Manifests = []string{"m"}
		}
		return r
	}
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	releases := []v1alpha1.ReleaseSpec{
		rel(6, v1alpha1.OutcomeFailed, "bad", c, true),
		rel(5, v1alpha1.OutcomeSucceeded, "now", b, true),
		rel(4, v1alpha1.OutcomeFailed, "worse", a, true),
		rel(3, v1alpha1.OutcomeSucceeded, "lost", a, false),
		rel(2, v1alpha1.OutcomeSucceeded, "good", a, true),
		rel(1, v1alpha1.OutcomeSuperseded, "first", b, true),
	}
	for _, row := range []struct {
		to    string
		force bool
		want  int64
		err   string
	}{
		{"", false, 2, ""},
		{"5", false, 5, ""},
		{"#3", false, 3, ""},
		{"aaaaaaa", false, 3, ""},
		{"aaaaaaa", true, 4, ""},
		{"4", true, 4, ""},
		{"4", false, 0, "release web#4 failed, so it is not known to be good"},
		{"1", false, 0, "superseded"},
		{"17", false, 0, "App web has no release 17"},
		{"ccccccc", false, 0, "no release ccccccc that succeeded"},
		{"main", false, 0, "--to takes the number of a release"},
	} {
		app := full()
		app.Status.DesiredHash, app.Status.AppliedHash = "bad", "now"
		o := rollbackOptions{to: row.to, force: row.force}
		got, err := o.choose(app, releases, nil)
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("--to %q: %v, want %q", row.to, err, row.err)
			}
		case err != nil || got.Number != row.want:
			t.Errorf("--to %q: %+v, %v; want release %d", row.to, got, err, row.want)
		}
	}
	o := rollbackOptions{}
	if _, err := o.choose(full(), releases[:1], nil); err == nil || !strings.Contains(err.Error(), "no earlier release") {
		t.Errorf("with nothing to go back to: %v", err)
	}
}

// TestRevert: Git is put back by a commit on top, with all that is beside the
// folder as it is; nothing of the repository is run on the user's machine.
func TestRevert(t *testing.T) {
	t.Setenv("GIT_AUTHOR_NAME", "Ada")
	t.Setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
	t.Setenv("GIT_COMMITTER_NAME", "Ada")
	t.Setenv("GIT_COMMITTER_EMAIL", "ada@example.org")
	repo := gittest.New(t)
	repo.Write(map[string]string{"web/a.yaml": "one", "web/gone.yaml": "one", "base/x.yaml": "one", ".gitattributes": "*.yaml filter=evil\n"})
	good := repo.Commit("one")
	repo.Write(map[string]string{"web/a.yaml": "two", "web/new.yaml": "two", "base/x.yaml": "two"})
	repo.Remove("web/gone.yaml")
	bad := repo.Commit("a banner")
	app := full()
	app.Spec.Source = v1alpha1.Source{Repo: repo.Dir(), Path: "web", Ref: &v1alpha1.Ref{Branch: "main"}}
	releases := []v1alpha1.ReleaseSpec{
		{Number: 2, Outcome: v1alpha1.OutcomeFailed, Message: "nobody buys", Source: v1alpha1.SourceStatus{Commit: bad}},
		{Number: 1, Outcome: v1alpha1.OutcomeSucceeded, Source: v1alpha1.SourceStatus{Commit: good, Subject: "one"}},
	}
	try := func(o rollbackOptions) (string, error) {
		var out bytes.Buffer
		err := revert(t.Context(), Streams{Out: &out, Err: &out}, app, &releases[1], releases, o)
		return out.String(), err
	}
	files := func(branch string) string {
		var all []string
		for _, f := range strings.Fields(repo.Git("ls-tree", "-r", "--name-only", branch)) {
			all = append(all, f+"="+repo.Git("show", branch+":"+f))
		}
		return strings.Join(all, " ")
	}

	out, err := try(rollbackOptions{branch: "revert-banner", reason: "the shop is empty"})
	if err != nil || !strings.Contains(out, "pull request from revert-banner") || !strings.Contains(out, "stay as they are: base") {
		t.Fatalf("%v: %s", err, out)
	}
	if repo.Head("main") != bad {
		t.Error("the followed branch has moved")
	}
	want := ".gitattributes=*.yaml filter=evil base/x.yaml=two web/a.yaml=one web/gone.yaml=one"
	if got := files("revert-banner"); got != want {
		t.Errorf("the branch has %s\nwant %s", got, want)
	}
	m := repo.Git("log", "-1", "--format=%an%n%B", "revert-banner")
	for _, text := range []string{"Ada\n", "Revert web to " + good[:8], "the shop is empty", "goes back to its release 1 (" + good[:8] + " one)", "release 2 failed: nobody buys", " a banner"} {
		if !strings.Contains(m, text) {
			t.Errorf("the message does not say %q:\n%s", text, m)
		}
	}

	if out, err := try(rollbackOptions{}); err != nil || files("main") != want {
		t.Errorf("%v: %s; main has %s", err, out, files("main"))
	}
	if out, err := try(rollbackOptions{}); err != nil || !strings.Contains(out, "nothing to revert") {
		t.Errorf("once more: %v: %s", err, out)
	}

	for why, change := range map[string]func(){
		"follows no branch but a tag": func() { app.Spec.Source.Ref = &v1alpha1.Ref{Tag: "v1"} },
		"is a chart and no folder":    func() { app.Spec.Source = v1alpha1.Source{Chart: &v1alpha1.ChartSource{Repo: "oci://x"}} },
		"git clone":                   func() { app.Spec.Source = v1alpha1.Source{Repo: "ext::touch " + t.TempDir() + "/run", Path: "web"} },
	} {
		change()
		if _, err := try(rollbackOptions{}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
