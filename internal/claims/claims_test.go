package claims

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/object"
)

var (
	mono  = Following{Repo: "https://git.example/mono", Ref: "branch main"}
	tag   = Following{Repo: mono.Repo, Ref: "tag v1"}
	other = Following{Repo: "https://git.example/other", Ref: "branch main"}
)

func app(name string) object.App { return object.App{Namespace: "n", Name: name} }

func conf(name string) object.Key { return object.Key{Kind: "ConfigMap", Namespace: "n", Name: name} }

func appKey(name string) object.Key {
	return object.Key{Group: "abide.dev", Kind: "App", Namespace: "n", Name: name}
}

// told collects who was notified.
type told []object.App

func (t *told) notify(a object.App) { *t = append(*t, a) }

// take returns who was told since the last call, in order.
func (t *told) take() []object.App {
	out := *t
	*t = nil
	slices.SortFunc(out, object.App.Compare)
	return out
}

func start(apps map[string]Following) (*Claims, *told) {
	t := &told{}
	c := New(t.notify)
	for a, f := range apps {
		c.Know(app(a), f)
	}
	return c, t
}

// at is a ref that stands at a commit.
func at(commit string) func() string { return func() string { return commit } }

// judged has an App looked at at a commit that its ref stands at.
func judged(c *Claims, name, commit string, wants ...object.Key) {
	c.Target(app(name), at(commit))
	c.Judge(app(name), Judgement{Commit: commit, Wants: wants})
}

func TestBarrier(t *testing.T) {
	tests := map[string]struct {
		do   func(*Claims)
		want []Blocker
		why  string
	}{
		"all judged": {func(c *Claims) { judged(c, "b", "1") }, nil, "nobody may still want anything"},
		"one not judged": {func(c *Claims) { c.Target(app("b"), at("1")) },
			[]Blocker{{App: app("b")}}, "it may want what is removed"},
		"just after a start": {func(*Claims) {},
			[]Blocker{{App: app("b")}}, "Apps are known before they are looked at"},
		"judged before the ref moved": {func(c *Claims) { judged(c, "b", "0"); c.Target(app("b"), at("1")) },
			[]Blocker{{App: app("b")}}, "the new commit may give it the object"},
		"its ref is moving": {func(c *Claims) { judged(c, "b", "1"); c.Moving(app("b")) },
			[]Blocker{{App: app("b")}}, "nobody knows yet where it stands"},
		"its ref moved to where it was": {func(c *Claims) { judged(c, "b", "1"); c.Moving(app("b")); c.Target(app("b"), at("1")) },
			nil, "it was judged there"},
		"failed": {func(c *Claims) {
			c.Target(app("b"), at("1"))
			c.Judge(app("b"), Judgement{Commit: "1", Failed: true})
		}, []Blocker{{App: app("b"), Failed: true}}, "what it wants can't be told"},
		"failed before the ref moved": {func(c *Claims) {
			c.Target(app("b"), at("0"))
			c.Judge(app("b"), Judgement{Commit: "0", Failed: true})
			c.Target(app("b"), at("1"))
		}, []Blocker{{App: app("b")}}, "the new commit may have repaired it"},
		"can't be fetched": {func(c *Claims) { c.Judge(app("b"), Judgement{Failed: true}) },
			[]Blocker{{App: app("b"), Failed: true}}, "it was looked at, in vain"},
		"paused": {func(c *Claims) {
			c.Target(app("b"), at("1"))
			c.Judge(app("b"), Judgement{Commit: "1", Paused: true})
		}, nil, "what it wants is known"},
		"being deleted": {func(c *Claims) { judged(c, "b", "1", conf("x")); c.Judge(app("b"), Judgement{}) },
			nil, "it wants nothing any more, at any commit"},
		"being deleted as the ref moves": {func(c *Claims) { c.Judge(app("b"), Judgement{}); c.Target(app("b"), at("2")) },
			nil, "it wants nothing any more, at any commit"},
		"forgotten": {func(c *Claims) { c.Forget(app("b")) }, nil, "it does not exist"},
		"moved to another repository": {func(c *Claims) { c.Know(app("b"), other) },
			nil, "it is no longer of this one"},
		"follows another ref now": {func(c *Claims) { judged(c, "b", "1"); c.Know(app("b"), tag) },
			[]Blocker{{App: app("b")}}, "it is still of this repository, and has to be looked at again"},
		"an App that does not exist yet": {func(c *Claims) { judged(c, "b", "1", appKey("child")) },
			[]Blocker{{App: app("child")}}, "Git says that it exists, and it may want what is removed"},
		"an App that exists": {func(c *Claims) { judged(c, "b", "1", appKey("a"), appKey("b")) },
			nil, "both are known"},
		"the App's own children": {func(c *Claims) { judged(c, "b", "1"); judged(c, "a", "1", appKey("child")) },
			[]Blocker{{App: app("child")}}, "what a parent hands to a new child is not removed before the child can take it"},
		"children of a paused App": {func(c *Claims) {
			c.Target(app("b"), at("1"))
			c.Judge(app("b"), Judgement{Commit: "1", Wants: []object.Key{appKey("child")}, Paused: true})
		}, nil, "it will not create them"},
		"children of an App that is deleted": {func(c *Claims) {
			judged(c, "b", "1", appKey("child"))
			c.Judge(app("b"), Judgement{})
		}, nil, "it will not create them"},
	}
	for name, tc := range tests {
		c, _ := start(map[string]Following{"a": mono, "b": mono, "elsewhere": other})
		judged(c, "a", "1")
		tc.do(c)
		if diff := cmp.Diff(tc.want, c.Barrier(app("a"))); diff != "" {
			t.Errorf("%s (%s): %s", name, tc.why, diff)
		}
	}
	c, _ := start(nil)
	if b := c.Barrier(app("nobody")); b != nil {
		t.Errorf("%v hold back an App that is not known", b)
	}
}

// TestMovesMeanwhile: where a ref stood before it moved does not pass for where
// it stands.
func TestMovesMeanwhile(t *testing.T) {
	c, _ := start(map[string]Following{"a": mono, "b": mono})
	judged(c, "a", "2")
	judged(c, "b", "1")
	stands := "1"
	c.Target(app("b"), func() string {
		was := stands
		if stands == "1" { // just after it was looked up
			c.Moving(app("b"))
			stands = "2"
		}
		return was
	})
	if d := cmp.Diff([]Blocker{{App: app("b")}}, c.Barrier(app("a"))); d != "" {
		t.Errorf("what b wants is not known at 2 (-want +got):\n%s", d)
	}
	judged(c, "b", "2")
	if got := c.Barrier(app("a")); len(got) > 0 {
		t.Errorf("after it was judged there: %v", got)
	}
}

func TestBarrierIsInOrder(t *testing.T) {
	c, _ := start(map[string]Following{"d": mono, "b": mono, "a": mono, "c": mono})
	judged(c, "a", "1", appKey("bb"))
	want := []Blocker{{App: app("b")}, {App: app("bb")}, {App: app("c")}, {App: app("d")}}
	if diff := cmp.Diff(want, c.Barrier(app("a"))); diff != "" {
		t.Error(diff)
	}
}

func TestWants(t *testing.T) {
	tests := map[string]struct {
		do   func(*Claims)
		want bool
		why  string
	}{
		"it does":        {func(c *Claims) { judged(c, "a", "1", conf("w"), conf("x"), conf("y")) }, true, "it is among its objects"},
		"it does not":    {func(c *Claims) { judged(c, "a", "1", conf("w"), conf("y")) }, false, "it is not"},
		"not judged":     {func(*Claims) {}, true, "nobody knows"},
		"the ref moved":  {func(c *Claims) { judged(c, "a", "0"); c.Target(app("a"), at("1")) }, true, "nobody knows yet"},
		"failed":         {func(c *Claims) { judged(c, "a", "1"); c.Judge(app("a"), Judgement{Commit: "1", Failed: true}) }, true, "nobody knows"},
		"paused":         {func(c *Claims) { c.Target(app("a"), at("1")); c.Judge(app("a"), Judgement{Commit: "1", Paused: true}) }, false, "it is known, and it is not among its objects"},
		"forgotten":      {func(c *Claims) { judged(c, "a", "1", conf("x")); c.Forget(app("a")) }, false, "it does not exist"},
		"being deleted":  {func(c *Claims) { judged(c, "a", "1", conf("x")); c.Judge(app("a"), Judgement{}) }, false, "who takes it over from the deleted App would wait for ever, and the App for him"},
		"follows anew":   {func(c *Claims) { judged(c, "a", "1"); c.Know(app("a"), tag) }, true, "what it wants there is not known"},
		"deleted, again": {func(c *Claims) { c.Judge(app("a"), Judgement{}); judged(c, "a", "1", conf("x")) }, true, "made anew under the same name"},
	}
	for name, tc := range tests {
		c, _ := start(map[string]Following{"a": mono})
		tc.do(c)
		if got := c.Wants(app("a"), conf("x")); got != tc.want {
			t.Errorf("%s: %t, want %t: %s", name, got, tc.want, tc.why)
		}
	}
}

func TestWanter(t *testing.T) {
	c, _ := start(map[string]Following{"a": mono, "c": mono, "b": other})
	if w, ok := c.Wanter(app("a"), conf("x")); ok {
		t.Errorf("%v wants what nobody has been judged to want", w)
	}
	judged(c, "a", "1", conf("x"))
	if w, ok := c.Wanter(app("a"), conf("x")); ok {
		t.Errorf("%v: the App itself is no taker", w)
	}
	judged(c, "c", "1", conf("w"), conf("x"))
	judged(c, "b", "1", conf("x"))
	if w, ok := c.Wanter(app("a"), conf("x")); !ok || w != (Taker{App: app("b")}) {
		t.Errorf("%v, %t: the first in order takes it, of any repository", w, ok)
	}
	c.Judge(app("b"), Judgement{Commit: "2", Failed: true})
	if w, ok := c.Wanter(app("a"), conf("x")); !ok || w != (Taker{app("b"), "Failed"}) {
		t.Errorf("%v, %t: what it wanted before it failed stands", w, ok)
	}
	c.Judge(app("b"), Judgement{Commit: "2", Wants: []object.Key{conf("x")}, Paused: true})
	if w, ok := c.Wanter(app("a"), conf("x")); !ok || w != (Taker{app("b"), "Paused"}) {
		t.Errorf("%v, %t: it wants it and does nothing", w, ok)
	}
	c.Judge(app("b"), Judgement{})
	if w, ok := c.Wanter(app("a"), conf("x")); !ok || w != (Taker{App: app("c")}) {
		t.Errorf("%v, %t: an App that is being deleted takes nothing", w, ok)
	}
	c.Forget(app("c"))
	if w, ok := c.Wanter(app("a"), conf("x")); ok {
		t.Errorf("%v is left", w)
	}
}

func TestReport(t *testing.T) {
	c, _ := start(map[string]Following{"a": mono, "b": mono, "c": tag, "d": other})
	report := func(name, commit string, want bool, why string) {
		t.Helper()
		if got := c.Report(app(name), commit); got != want {
			t.Errorf("report of %s at %s: complete is %t, want %t: %s", name, commit, got, want, why)
		}
	}
	report("nobody", "1", false, "not known")
	report("a", "1", false, "b is missing")
	report("a", "1", false, "said again")
	report("b", "1", true, "the last")
	report("b", "1", false, "once is enough")
	report("a", "1", false, "once is enough")
	report("c", "1", true, "another ref, alone on it")
	report("a", "2", false, "b is at 1")
	report("b", "3", false, "a is at 2")
	report("a", "3", true, "both at 3; nobody was at 2 together")
	report("a", "1", false, "b is at 3")
	report("b", "1", true, "the ref was set back")
	c.Know(app("e"), mono)
	report("e", "1", false, "it came later; that 1 is judged is known")
	report("e", "2", false, "the others are at 1")
}

// TestReportAfterTheLastOneLeft: the App that a ref still waits for goes, and
// nobody else has anything new to report.
func TestReportAfterTheLastOneLeft(t *testing.T) {
	for how, leave := range map[string]func(*Claims){
		"it is deleted":                              func(c *Claims) { c.Forget(app("slow")) },
		"it follows another ref":                     func(c *Claims) { c.Know(app("slow"), tag) },
		"its deletion begins, and may take for ever": func(c *Claims) { c.Judge(app("slow"), Judgement{}) },
	} {
		c, told := start(map[string]Following{"a": mono, "b": mono, "slow": mono})
		c.Report(app("a"), "1")
		c.Report(app("b"), "1")
		told.take()
		leave(c)
		who := told.take()
		if len(who) != 1 || who[0] != app("a") && who[0] != app("b") {
			t.Fatalf("%s: %v are told, want one of those left", how, who)
		}
		if !c.Report(who[0], "1") {
			t.Errorf("%s: every App that is left has been reported, and the ref is not judged", how)
		}
	}
}

func TestReportOfADeletedApp(t *testing.T) {
	c, _ := start(map[string]Following{"a": mono, "gone": mono})
	c.Judge(app("gone"), Judgement{})
	if c.Report(app("gone"), "1") {
		t.Error("the report of an App that is being deleted completes a ref")
	}
	if !c.Report(app("a"), "1") {
		t.Error("the ref waits for an App that is being deleted")
	}
	judged(c, "gone", "2") // made anew under the same name before anybody noticed
	if c.Report(app("a"), "2") {
		t.Error("the ref does not wait for an App that is back")
	}
	if !c.Report(app("gone"), "2") {
		t.Error("both have been reported")
	}
}

func TestWaitersAreTold(t *testing.T) {
	tests := map[string]struct {
		do   func(*Claims)
		want bool
		why  string
	}{
		"a judgement":        {func(c *Claims) { judged(c, "b", "1", conf("x")) }, true, "it may let go, or take"},
		"the same once more": {func(c *Claims) { c.Judge(app("c"), Judgement{Commit: "1", Wants: []object.Key{conf("c")}}) }, false, "two waiting Apps would wake each other for ever"},
		"other objects":      {func(c *Claims) { c.Judge(app("c"), Judgement{Commit: "1", Wants: []object.Key{conf("d")}}) }, true, "it may take now"},
		"a failure":          {func(c *Claims) { c.Judge(app("c"), Judgement{Commit: "1", Failed: true}) }, true, "the message of the one that waits changes"},
		"a pause": {func(c *Claims) {
			c.Judge(app("c"), Judgement{Commit: "1", Wants: []object.Key{conf("c")}, Paused: true})
		}, true, "the message of the one that waits changes"},
		"a deletion begins":     {func(c *Claims) { c.Judge(app("c"), Judgement{}) }, true, "it lets go of all it has"},
		"a deletion goes on":    {func(c *Claims) { c.Judge(app("gone"), Judgement{}) }, false, "it had let go before"},
		"an App comes":          {func(c *Claims) { c.Know(app("new"), mono) }, true, "a child that was waited for"},
		"an App goes":           {func(c *Claims) { c.Forget(app("b")) }, true, "it holds back nobody any more"},
		"one known is known":    {func(c *Claims) { c.Know(app("b"), mono) }, false, "nothing new"},
		"one unknown goes":      {func(c *Claims) { c.Forget(app("nobody")) }, false, "nothing new"},
		"one unknown is judged": {func(c *Claims) { c.Judge(app("nobody"), Judgement{Commit: "1"}) }, false, "nothing new"},
		"the ref comes back":    {func(c *Claims) { c.Target(app("late"), at("1")) }, true, "it has been judged at that commit"},
		"a report":              {func(c *Claims) { c.Report(app("c"), "1") }, false, "nobody waits for that"},
	}
	for name, tc := range tests {
		c, told := start(map[string]Following{"a": mono, "b": mono, "c": mono, "gone": mono, "late": mono})
		judged(c, "c", "1", conf("c"))
		c.Judge(app("gone"), Judgement{})
		judged(c, "late", "1")
		c.Target(app("late"), at("2"))
		c.Wait(app("a"))
		told.take()
		tc.do(c)
		if got := slices.Contains(told.take(), app("a")); got != tc.want {
			t.Errorf("%s: told is %t, want %t: %s", name, got, tc.want, tc.why)
		}
		if tc.want {
			judged(c, "b", "9")
			if slices.Contains(told.take(), app("a")) {
				t.Errorf("%s: told twice for one wait", name)
			}
		}
	}
}

func TestForgottenAppsAreNotTold(t *testing.T) {
	c, told := start(map[string]Following{"a": mono, "b": mono})
	c.Wait(app("a"))
	c.Forget(app("a"))
	judged(c, "b", "1")
	if got := told.take(); slices.Contains(got, app("a")) {
		t.Errorf("%v", got)
	}
	if len(c.waiting) != 0 {
		t.Error("it still waits")
	}
}

func TestNothingIsLeftOfForgottenApps(t *testing.T) {
	c, _ := start(nil)
	for i := range 100 {
		name := fmt.Sprint("a", i)
		c.Know(app(name), Following{Repo: fmt.Sprint(i % 7), Ref: "r"})
		judged(c, name, "1", appKey("child"))
		c.Report(app(name), "1")
		c.Wait(app(name))
	}
	for i := range 100 {
		c.Forget(app(fmt.Sprint("a", i)))
	}
	if len(c.apps)+len(c.repos)+len(c.refs)+len(c.waiting) != 0 {
		t.Errorf("left: %d Apps, %d repositories, %d refs, %d waiting", len(c.apps), len(c.repos), len(c.refs), len(c.waiting))
	}
}

// BenchmarkCommit is what one commit costs 10,000 Apps that follow one ref.
func BenchmarkCommit(b *testing.B) {
	const apps = 10_000
	c := New(func(object.App) {})
	names := make([]object.App, apps)
	for i := range names {
		names[i] = app(fmt.Sprint("a", i))
		c.Know(names[i], mono)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		commit := fmt.Sprint(n)
		for i, a := range names {
			c.Target(a, at(commit))
			c.Judge(a, Judgement{Commit: commit})
			if c.Report(a, commit) != (i == apps-1) {
				b.Fatal("complete too early, or not at all")
			}
		}
		if len(c.Barrier(names[0])) != 0 {
			b.Fatal("held back")
		}
	}
}

// TestFormerRepository: an App that leaves a repository lets go of nothing before
// those who stay there have been looked at, since they may take it over.
func TestFormerRepository(t *testing.T) {
	c := New(func(object.App) {})
	leaver, stayer := object.App{Namespace: "team", Name: "leaver"}, object.App{Namespace: "team", Name: "stayer"}
	old, chart := Following{Repo: "git", Ref: "main"}, Following{Repo: "charts", Ref: "web 1.x"}
	for _, app := range []object.App{leaver, stayer} {
		c.Know(app, old)
		c.Target(app, at("1"))
		c.Judge(app, Judgement{Commit: "1"})
	}
	c.Target(stayer, at("2"))
	c.Know(leaver, chart)
	c.Target(leaver, at("sha256:x"))
	c.Judge(leaver, Judgement{Commit: "sha256:x"})
	if b := c.Barrier(leaver); len(b) != 1 || b[0].App != stayer {
		t.Errorf("the barrier is %v, want the one that has not been looked at", b)
	}
	if b := c.Barrier(stayer); len(b) != 0 {
		t.Errorf("one that stays waits for %v", b)
	}
	c.Judge(stayer, Judgement{Commit: "2"})
	if b := c.Barrier(leaver); len(b) != 0 {
		t.Errorf("the barrier is %v, and all have been looked at", b)
	}
	c.Settled(leaver)
	c.Target(stayer, at("3"))
	if b := c.Barrier(leaver); len(b) != 0 {
		t.Errorf("it has let go of everything, and waits for %v", b)
	}
}
