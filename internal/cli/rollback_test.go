package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
		{"", false, 5, ""}, // what was applied in full before 6 went wrong
		{"5", false, 5, ""},
		{"#3", false, 3, ""},
		{"aaaaaaa", false, 3, ""},
		{"aaaaaaa", true, 4, ""},
		{"AAAAAAAA", false, 3, ""},
		{"web#5", false, 5, ""},
		{"api#5", false, 0, "--to takes the number of a release"},
		{"9", false, 0, "release web#9 is of an earlier App web"},
		{"4", true, 4, ""},
		{"4", false, 0, "release web#4 failed, so it is not known to be good"},
		{"1", false, 0, "release web#1 is superseded, so"},
		{"17", false, 0, "App web has no release 17"},
		{"ccccccc", false, 0, "no release ccccccc that succeeded"},
		{"main", false, 0, "--to takes the number of a release"},
	} {
		app := full()
		app.Status.DesiredHash, app.Status.AppliedHash = "bad", "now"
		o := rollbackOptions{to: row.to, force: row.force}
		got, err := o.choose(app, releases, []v1alpha1.ReleaseSpec{rel(9, v1alpha1.OutcomeSucceeded, "x", strings.Repeat("d", 40), true)})
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

// TestChooseForGit: Git is put back to what the App is held at, or to what it said
// before, whether or not that is kept.
func TestChooseForGit(t *testing.T) {
	releases := []v1alpha1.ReleaseSpec{
		{Number: 5, Outcome: v1alpha1.OutcomeSucceeded, DesiredHash: "good", RollbackTo: 2, Source: v1alpha1.SourceStatus{Commit: commitA}},
		{Number: 4, Outcome: v1alpha1.OutcomeSucceeded, DesiredHash: "bad", Source: v1alpha1.SourceStatus{Commit: commitB}},
		{Number: 3, Outcome: v1alpha1.OutcomeSucceeded, DesiredHash: "chart"},
		{Number: 2, Outcome: v1alpha1.OutcomeSucceeded, DesiredHash: "good", Source: v1alpha1.SourceStatus{Commit: commitA}},
		{Number: 1, Outcome: v1alpha1.OutcomeSucceeded, DesiredHash: "first", Source: v1alpha1.SourceStatus{Commit: commitA}},
	}
	app := full()
	app.Status.DesiredHash, app.Status.AppliedHash = "bad", "bad"
	o := rollbackOptions{git: true}
	if got, err := o.choose(app, releases[1:], nil); err != nil || got.Number != 2 {
		t.Errorf("not held: %+v, %v", got, err)
	}
	app.Status.AppliedHash, app.Status.Pinned = "good", &v1alpha1.PinnedStatus{To: 2, Skips: "bad", By: "ada"}
	if got, err := o.choose(app, releases, nil); err != nil || got.Number != 2 {
		t.Errorf("held at release 2: %+v, %v", got, err)
	}
}

// record writes a release as the controller would.
func (w *world) record(t *testing.T, app *v1alpha1.App, number int64, hash string, change ...func(*v1alpha1.ReleaseSpec)) {
	t.Helper()
	r := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: fmt.Sprintf("%s-%d", app.Name, number)},
		Spec: v1alpha1.ReleaseSpec{
			App: app.Name, AppUID: app.UID, Number: number, DesiredHash: hash, Trigger: v1alpha1.TriggerCommit, Outcome: v1alpha1.OutcomeSucceeded,
			Source: v1alpha1.SourceStatus{Commit: commitA, Revision: "main@aaaaaaaa", Subject: "No banner"}, Manifests: []string{"m"},
		},
	}
	for _, f := range change {
		f(&r.Spec)
	}
	if err := w.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// pinOf is the Pin of an App, nil if there is none.
func (w *world) pinOf(t *testing.T, app *v1alpha1.App) *v1alpha1.Pin {
	t.Helper()
	var p v1alpha1.Pin
	err := w.Get(t.Context(), client.ObjectKeyFromObject(app), &p)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// TestRollback: an App is held at a release in the name of whoever asks, instead of
// at another one, and nothing is written where that can't be.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "web", inSync, func(a *v1alpha1.App) { a.Status.DesiredHash, a.Status.AppliedHash = "bad", "bad" })
	w.abide(t, "rollback", "web").want(t, 1, "App web has no release yet")
	w.abide(t, "rollback", "wbe").want(t, 1, "there is web")
	w.record(t, app, 1, "earlier", func(r *v1alpha1.ReleaseSpec) { r.AppUID = "gone" })
	w.record(t, app, 2, "lost", func(r *v1alpha1.ReleaseSpec) { r.Manifests = nil })
	w.record(t, app, 3, "good")
	w.record(t, app, 4, "better", func(r *v1alpha1.ReleaseSpec) { r.Outcome = v1alpha1.OutcomeFailed })
	w.record(t, app, 5, "bad", func(r *v1alpha1.ReleaseSpec) { r.Source.Commit = commitB })

	w.abide(t, "rollback", "web", "--to", "1").want(t, 1, "release web#1 is of an earlier App web", "abide manifests web#1 -n "+w.ns)
	w.abide(t, "rollback", "web", "--to", "2").want(t, 1, "web#2 rendered is no longer kept", "--to 2 --git")
	w.abide(t, "rollback", "web", "--to", "4").want(t, 1, "release web#4 failed", "--force")
	w.abide(t, "rollback", "web", "--to", "x").want(t, 2, "--to takes")
	w.abide(t, "rollback", "web", "--branch", "x").want(t, 2, "--git")
	w.abide(t, "rollback", "web", "--reason", strings.Repeat("x", 1025)).want(t, 1, "1024")
	if p := w.pinOf(t, app); p != nil {
		t.Fatalf("it is held: %+v", p.Spec)
	}

	w.abide(t, "rollback", "web", "--reason", "the shop is empty").want(t, 0,
		"App web goes back to release 3: main@aaaaaaaa  No banner\n", "until Git says something new of it, or until: abide unpin web -n "+w.ns+"\n")
	first := w.pinOf(t, app)
	if want := (v1alpha1.PinSpec{Release: 3, Skips: "bad", By: "admin", Reason: "the shop is empty"}); first == nil || first.Spec != want {
		t.Fatalf("it is held: %+v, want %+v", first, want)
	}
	w.abide(t, "rollback", "web", "--to", "4", "--force").want(t, 0, "goes back to release 4")
	if p := w.pinOf(t, app); p == nil || p.UID == first.UID || p.Spec.Release != 4 {
		t.Errorf("it is held: %+v", p)
	}
	w.abide(t, "unpin", "web").want(t, 0, "App web goes on with what Git says")
	if p := w.pinOf(t, app); p != nil {
		t.Errorf("it is held: %+v", p.Spec)
	}
}

// TestRollbackForbidden: who may read an App and not hold it is told so, and who can.
func TestRollbackForbidden(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "web", inSync)
	w.record(t, app, 1, "good")
	role := untyped(t, fmt.Sprintf(`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"namespace": %q, "name": "reads"},
		"rules": [{"apiGroups": ["abide.dev"], "resources": ["apps", "releases"], "verbs": ["get", "list"]}]}`, w.ns))
	binding := untyped(t, fmt.Sprintf(`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"namespace": %q, "name": "reads"},
		"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}]}`, w.ns))
	for _, o := range []client.Object{role, binding} {
		if err := w.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	eve := []string{"-n", w.ns, "--kubeconfig", w.UserKubeconfig(t, "eve")}
	run(t, append([]string{"rollback", "web"}, eve...)...).want(t, 1, "you may not roll App web back", "abide-approver")
	w.abide(t, "rollback", "web").want(t, 0, "goes back to release 1")
	run(t, append([]string{"unpin", "web"}, eve...)...).want(t, 1, "you may not unpin App web", "whoever is admin of namespace "+w.ns)
	if w.pinOf(t, app) == nil {
		t.Error("it is not held any more")
	}
}

// TestUnpin: an App that is not held is left alone; one that has rolled back by
// itself is asked to look again, which has it try what it skipped.
func TestUnpin(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "web", inSync)
	w.abide(t, "unpin", "wbe").want(t, 1, "there is web")
	w.abide(t, "unpin", "web").want(t, 0, "App web is not held at a release")
	now := func() *v1alpha1.App {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(app), app); err != nil {
			t.Fatal(err)
		}
		return app
	}
	if a := now().Annotations; len(a) > 0 {
		t.Errorf("it was asked for something: %v", a)
	}
	app.Status.Pinned = &v1alpha1.PinnedStatus{To: 1, Skips: "bad", Reason: "release 2 failed"}
	w.write(t, app)
	w.abide(t, "unpin", "web").want(t, 0, "App web goes on with what Git says")
	if now().Annotations[v1alpha1.AnnotationRefresh] == "" {
		t.Errorf("it was not asked to look again: %v", app.Annotations)
	}
}

// TestRollbackWait: --wait ends when the App is as the release was, and as soon as it
// is sure that it will not be.
func TestRollbackWait(t *testing.T) {
	w := newWorld(t)
	before := w.app(t, "web", inSync, func(a *v1alpha1.App) { a.Status.DesiredHash = "bad" })
	to := &v1alpha1.ReleaseSpec{Number: 3}
	held := &v1alpha1.PinnedStatus{To: 3, By: "admin"}
	for _, row := range []struct {
		name   string
		change func(*v1alpha1.AppStatus)
		code   int
		text   string
	}{
		{"not looked at", func(*v1alpha1.AppStatus) {}, exitTimeout, "web is not back at release 3 after 500ms: InSync"},
		{"at another", func(s *v1alpha1.AppStatus) { s.State, s.Pinned = v1alpha1.StatePinned, &v1alpha1.PinnedStatus{To: 2} }, exitTimeout, "not back at release 3 after"},
		{"on the way", func(s *v1alpha1.AppStatus) { s.State, s.Pinned = v1alpha1.StateProgressing, held }, exitTimeout, "after 500ms: Progressing"},
		{"not healthy", func(s *v1alpha1.AppStatus) {
			s.State, s.Pinned, s.Health = v1alpha1.StatePinned, held, v1alpha1.HealthProgressing
		}, exitTimeout, "after 500ms: Pinned"},
		{"failed", func(s *v1alpha1.AppStatus) { s.State, s.Pinned = v1alpha1.StateFailed, held }, exitFailed, "web is not back at release 3: all is well"},
		{"waits", func(s *v1alpha1.AppStatus) { s.State, s.Pinned = v1alpha1.StateWaiting, held }, exitFailed, "web is not back at release 3"},
		{"newer", func(s *v1alpha1.AppStatus) { s.DesiredHash, s.Source.Revision = "mended", "main@cccccccc" }, exitFailed, "Git says something new of it, main@cccccccc"},
		{"back", func(s *v1alpha1.AppStatus) { s.State, s.Pinned = v1alpha1.StatePinned, held }, 0, "web is as release 3 was, and healthy"},
	} {
		app := before.DeepCopy()
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(app), app); err != nil {
			t.Fatal(err)
		}
		app.Status = *before.Status.DeepCopy()
		row.change(&app.Status)
		w.write(t, app)
		o := rollbackOptions{app: "web", limit: 500 * time.Millisecond, target: target{kubeconfig: w.Kubeconfig, namespace: w.ns}}
		c, err := o.connect(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if row.code == 0 || row.code == exitFailed {
			o.limit = time.Minute
		}
		var out bytes.Buffer
		err = o.await(t.Context(), Streams{Out: &out, Err: io.Discard}, c, before, to)
		var exit *exitError
		switch {
		case row.code == 0:
			if err != nil || !strings.Contains(out.String(), row.text) {
				t.Errorf("%s: %v: %s", row.name, err, out.String())
			}
		case !errors.As(err, &exit) || exit.code != row.code || !strings.Contains(err.Error(), row.text):
			t.Errorf("%s: %v, want %q", row.name, err, row.text)
		}
	}
}

// untyped is an object of a kind that has no Go type here.
func untyped(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &u
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
