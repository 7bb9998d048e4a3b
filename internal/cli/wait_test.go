package cli

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
)

const (
	commitA = "aaaaaaaa1111111111111111111111111111aaaa"
	commitB = "bbbbbbbb2222222222222222222222222222bbbb"
	repoURL = "https://example.com/team/config.git"
)

func testApp(name, state string, change ...func(*v1alpha1.App)) v1alpha1.App {
	app := v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: 1}}
	app.Spec.Source.Repo = repoURL
	app.Status.State = v1alpha1.State(state)
	app.Status.ObservedGeneration = 1
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "X", Message: "is " + state}
	if state == "InSync" {
		c.Status = metav1.ConditionTrue
	}
	app.Status.Conditions = []metav1.Condition{c}
	for _, f := range change {
		f(&app)
	}
	return app
}

func onBranch(b string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) { a.Spec.Source.Ref = &v1alpha1.Ref{Branch: b} }
}

func ofRepo(url string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) { a.Spec.Source.Repo = url }
}

func record(follows, ref string, commits ...string) *v1alpha1.GitRef {
	return &v1alpha1.GitRef{
		ObjectMeta: metav1.ObjectMeta{Name: follows + ref}, URL: repoURL, Follows: follows, Ref: ref,
		Judged: commits[0], Recent: commits,
	}
}

func TestJudge(t *testing.T) {
	const main = "refs/heads/main"
	tests := []struct {
		why     string
		commit  string
		repo    string
		refs    []*v1alpha1.GitRef
		apps    []v1alpha1.App
		judged  int
		waiting string // empty: not waiting
		never   string
		failed  string
	}{
		{why: "the ref stands there", commit: commitA,
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, judged: 1},
		{why: "a short hash is enough", commit: commitA[:7],
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, judged: 1},
		{why: "the ref is beyond it", commit: commitA,
			refs: []*v1alpha1.GitRef{record("default branch", main, commitB, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, judged: 1},
		{why: "the ref is not there yet", commit: commitB,
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, waiting: "no ref"},
		{why: "the same branch under two names is waited for twice", commit: commitB,
			refs:   []*v1alpha1.GitRef{record("default branch", main, commitB), record("branch main", main, commitA)},
			apps:   []v1alpha1.App{testApp("a", "InSync"), testApp("b", "InSync", onBranch("main"))},
			judged: 1, waiting: "branch main"},
		{why: "another branch never has the commit, and is not waited for", commit: commitB,
			refs:   []*v1alpha1.GitRef{record("default branch", main, commitB), record("branch old", "refs/heads/old", commitA)},
			apps:   []v1alpha1.App{testApp("a", "InSync"), testApp("b", "InSync", onBranch("old"))},
			judged: 1},
		{why: "an App that is so new that nothing is known of its ref", commit: commitB,
			refs:   []*v1alpha1.GitRef{record("default branch", main, commitB)},
			apps:   []v1alpha1.App{testApp("a", "InSync"), testApp("b", "", onBranch("main"))},
			judged: 1, waiting: "shop/b has not been looked at"},
		{why: "other repositories are not meant", commit: commitA,
			refs:   []*v1alpha1.GitRef{record("default branch", main, commitA)},
			apps:   []v1alpha1.App{testApp("a", "InSync"), testApp("b", "", ofRepo("https://example.com/other.git"))},
			judged: 1},
		{why: "a repository may be spelt another way", commit: commitA, repo: "https://EXAMPLE.com/team/config",
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, judged: 1},
		{why: "nobody has that repository", commit: commitA, repo: "https://example.com/none",
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA)}, apps: []v1alpha1.App{testApp("web", "InSync")}, never: "no App here has"},
		{why: "there is nothing", commit: commitA, never: "no Apps"},
		{why: "a repository that can't be read", commit: commitA, repo: repoURL,
			apps: []v1alpha1.App{testApp("web", "Failed")}, waiting: "no ref", failed: "web"},
		{why: "the commit is known, and nobody here follows it", commit: commitA,
			refs: []*v1alpha1.GitRef{record("default branch", main, commitA), record("branch old", "refs/heads/old", commitB)},
			apps: []v1alpha1.App{testApp("web", "InSync", onBranch("old"))}, judged: 1, never: "no App here follows"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			refs := objects[*v1alpha1.GitRef]{}
			for _, r := range tt.refs {
				refs[client.ObjectKeyFromObject(r)] = r
			}
			v := judge(tt.commit, tt.repo, refs, tt.apps)
			if len(v.judged) != tt.judged {
				t.Errorf("judged are %v", v.judged)
			}
			if !strings.Contains(v.waiting, tt.waiting) || (tt.waiting == "") != (v.waiting == "") {
				t.Errorf("it waits for %q", v.waiting)
			}
			if !strings.Contains(v.never, tt.never) || (tt.never == "") != (v.never == "") {
				t.Errorf("never: %q", v.never)
			}
			if name := nameOf(v.failed); name != tt.failed {
				t.Errorf("failed is %q", name)
			}
		})
	}
}

func nameOf(a *v1alpha1.App) string {
	if a == nil {
		return ""
	}
	return a.Name
}

func TestReadiness(t *testing.T) {
	judged := map[follow]bool{{access.Canonical(repoURL), "default branch"}: true}
	stale := func(a *v1alpha1.App) { a.Generation = 2 }
	tests := []struct {
		why    string
		app    v1alpha1.App
		total  int
		busy   int
		failed string
	}{
		{"ready", testApp("web", "InSync"), 1, 0, ""},
		{"ready by a status of the spec before", testApp("web", "InSync", stale), 1, 1, ""},
		{"at work", testApp("web", "Progressing"), 1, 1, ""},
		{"waiting for a person", testApp("web", "Waiting"), 1, 1, ""},
		{"failed", testApp("web", "Failed"), 1, 1, "web"},
		{"failed with the spec before", testApp("web", "Failed", stale), 1, 1, ""},
		{"follows something else", testApp("web", "Failed", onBranch("old")), 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			r := readiness(objects[*v1alpha1.App]{client.ObjectKeyFromObject(&tt.app): &tt.app}, judged)
			if r.total != tt.total || len(r.busy) != tt.busy || nameOf(r.failed) != tt.failed {
				t.Errorf("got %d in all, %d busy, failed %q", r.total, len(r.busy), nameOf(r.failed))
			}
		})
	}
}

func TestSimilarNames(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"web", "web", true}, {"wbe", "web", true}, {"webshop", "web", true}, {"payments", "paymnets", true}, {"api", "web", false},
	} {
		if got := similar(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}
