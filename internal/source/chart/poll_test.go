package chart_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"abide.dev/abide/internal/source/chart"
)

func TestOneLookForAllNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		const names = 2000
		for n := range names {
			p.Follow(fmt.Sprintf("app%04d", n), chart.Want{Ref: web})
		}
		if got := p.told(); len(got) != names {
			t.Fatalf("told %d names", len(got))
		}
		i := p.shelf.at(web)
		start := i.count()
		if start > 2 { // names may have come while the first look began
			t.Errorf("%d looks at the start", start)
		}
		for n := range names {
			p.Follow(fmt.Sprintf("app%04d", n), chart.Want{Ref: web})
		}
		p.expectTold(t, "what was followed already is followed again")
		if n := i.count(); n != start {
			t.Errorf("%d looks because of wants that were there", n-start)
		}
		time.Sleep(50*time.Minute + time.Second)
		if n := i.count() - start; n != 10 {
			t.Errorf("%d looks in ten intervals of five minutes", n)
		}
		if n := len(i.now().fetched); n != 1 {
			t.Errorf("fetched %d times, and there is one revision", n)
		}
		p.expect(t, "app0042", "at first", digestOf("1"), "", digestOf("1"))
		p.expectTold(t, "nothing changed")
		i.publish("2")
		time.Sleep(5 * time.Minute)
		if got := p.told(); len(got) != names {
			t.Errorf("told %d names of the new revision", len(got))
		}
		p.expect(t, "app1999", "a new revision", digestOf("2"), "", digestOf("2"))
		if s, _ := p.State("app0000"); s.ObservedAt != i.now().looks[len(i.now().looks)-1] {
			t.Errorf("observed at %v, and looked at %v", s.ObservedAt, i.now().looks[len(i.now().looks)-1])
		}
		for n := range names {
			p.Forget(fmt.Sprintf("app%04d", n))
		}
		before := i.count()
		time.Sleep(240 * time.Hour)
		if n := i.count(); n != before {
			t.Errorf("%d looks at what nobody follows", n-before)
		}
		if _, ok := p.State("app0000"); ok {
			t.Error("what was forgotten has a state")
		}
	})
}

func TestPollJitter(t *testing.T) {
	for _, tt := range []struct {
		random float64
		want   time.Duration
	}{{0, 270 * time.Second}, {0.5, 300 * time.Second}, {0.999999, 330 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost(t, chart.PollerOptions{Jitter: func() float64 { return tt.random }})
			p.Follow("a", chart.Want{Ref: web})
			time.Sleep(6 * time.Minute)
			if got := p.shelf.at(web).gaps(1)[0].Round(time.Second); got != tt.want {
				t.Errorf("with %v the second look came after %v, want %v", tt.random, got, tt.want)
			}
		})
	}
}

func TestPollBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{MaxBackoff: time.Minute})
		i := p.shelf.at(web)
		other := chart.Ref{Repo: "https://charts.example/other", Name: "db"}
		p.Follow("a", chart.Want{Ref: web})
		p.Follow("b", chart.Want{Ref: other})
		p.expectTold(t, "at first", "a", "b")
		i.fail(silence())
		time.Sleep(5 * time.Minute)
		p.expectTold(t, "an error appeared", "a")
		p.expect(t, "a", "a host that does not answer", digestOf("1"), chart.HostUnreachable, digestOf("1"))
		n := i.count()
		time.Sleep(4 * time.Minute)
		want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}
		if got := i.gaps(n); !slices.Equal(got, want) {
			t.Errorf("tried after %v, want %v", got, want)
		}
		p.expectTold(t, "the same error again")
		i.fail(&chart.Error{Kind: chart.FetchTimeout, Problem: "no answer"})
		time.Sleep(time.Minute)
		p.expectTold(t, "another error", "a")
		i.fail(nil)
		n = i.count()
		<-p.Refresh("a").Done() // it does not wait for the backoff
		if got := i.count(); got != n+1 {
			t.Errorf("%d looks by a refresh", got-n)
		}
		p.expectTold(t, "the error went", "a")
		p.expect(t, "a", "afterwards", digestOf("1"), "", digestOf("1"))
		time.Sleep(10*time.Minute + time.Second)
		if got := i.gaps(n + 1); !slices.Equal(got, []time.Duration{5 * time.Minute, 5 * time.Minute}) {
			t.Errorf("after the recovery it is looked at after %v", got)
		}
	})
}

// An error that a host answered with costs little, so it is asked again at the
// interval; the last good revision can be read meanwhile.
func TestPollErrorsKeepTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		p.Follow("a", chart.Want{Ref: web})
		p.told()
		i.fail(&chart.Error{Kind: chart.VersionNotFound, Problem: "no version in 1.x"})
		time.Sleep(15*time.Minute + time.Second)
		p.expectTold(t, "the version went", "a")
		p.expect(t, "a", "the version went", digestOf("1"), chart.VersionNotFound, digestOf("1"))
		if got := i.gaps(1); !slices.Equal(got, []time.Duration{5 * time.Minute, 5 * time.Minute, 5 * time.Minute}) {
			t.Errorf("looked at after %v", got)
		}
	})
}

func TestPollRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		db := web
		db.Name = "db"
		one, two := as("team/one", "p1"), as("team/two", "p2")
		p.Follow("web-one", chart.Want{Ref: web, Credentials: one, Interval: time.Minute})
		p.Follow("web-two", chart.Want{Ref: web, Credentials: two, Interval: time.Minute})
		p.Follow("db-one", chart.Want{Ref: db, Credentials: one, Interval: time.Hour})
		p.expectTold(t, "at first", "db-one", "web-one", "web-two")
		for _, r := range []chart.Ref{web, db} {
			p.shelf.at(r).set(func(i *item) { i.refuse["p1"] = denial() })
		}
		time.Sleep(time.Minute)
		p.expectTold(t, "one was refused, and so it is for its other chart", "db-one", "web-one")
		p.expect(t, "web-one", "refused", digestOf("1"), chart.AuthenticationFailed, "")
		p.expect(t, "db-one", "refused", digestOf("1"), chart.AuthenticationFailed, "")
		p.expect(t, "web-two", "another identity", digestOf("1"), "", digestOf("1"))
		_, _, err := p.Tree(t.Context(), "web-one")
		if r, ok := err.(interface{ Reason() string }); !ok || r.Reason() != "AuthenticationFailed" {
			t.Errorf("reading says %v", err)
		}
		// Silence does not open what a refusal closed.
		p.shelf.at(web).set(func(i *item) { i.refuse["p1"] = silence() })
		time.Sleep(time.Minute)
		p.expect(t, "web-one", "refused, then silent", digestOf("1"), chart.HostUnreachable, "")
		p.expectTold(t, "another error", "web-one")
		for _, r := range []chart.Ref{web, db} {
			p.shelf.at(r).set(func(i *item) { i.refuse["p1"] = nil })
		}
		time.Sleep(time.Minute)
		p.expectTold(t, "taken again", "db-one", "web-one")
		p.expect(t, "web-one", "taken again", digestOf("1"), "", digestOf("1"))
		p.expect(t, "db-one", "taken again", digestOf("1"), "", digestOf("1"))
	})
}

// A chart that alone is refused does not close the others, nor make them be
// looked at without end.
func TestPollRefusalOfOneChart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		db := web
		db.Name = "db"
		p.shelf.at(db).fail(denial())
		p.Follow("web", chart.Want{Ref: web})
		p.Follow("db", chart.Want{Ref: db})
		time.Sleep(20*time.Minute + time.Second)
		p.expect(t, "web", "the other was refused", digestOf("1"), "", digestOf("1"))
		p.expect(t, "db", "refused", "", chart.AuthenticationFailed, "")
		if a, b := p.shelf.at(web).count(), p.shelf.at(db).count(); a > 7 || b > 7 {
			t.Errorf("%d and %d looks in four intervals", a, b)
		}
	})
}

func TestPollNewCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		db := web
		db.Name = "db"
		p.Follow("a", chart.Want{Ref: web, Credentials: as("team/s", "old")})
		p.Follow("b", chart.Want{Ref: db, Credentials: as("team/s", "old")})
		p.Follow("c", chart.Want{Ref: web, Credentials: as("team/other", "c")})
		p.expectTold(t, "at first", "a", "b", "c")
		// A look with the old ones hangs.
		i.set(func(i *item) { i.takes = time.Hour })
		asked := p.Refresh("a")
		synctest.Wait()
		i.set(func(i *item) { i.takes = time.Second })
		p.Follow("a", chart.Want{Ref: web, Credentials: as("team/s", "new")})
		p.expect(t, "a", "nothing was seen with the new ones", digestOf("1"), "", "")
		select {
		case <-asked.Done():
			t.Error("the look that was cancelled counts as the one that was asked for")
		default:
		}
		time.Sleep(time.Second)
		<-asked.Done()
		p.expect(t, "a", "they are used", digestOf("1"), "", digestOf("1"))
		if i.now().cancelled != 1 || i.now().passwords[len(i.now().passwords)-1] != "new" {
			t.Errorf("%d looks cancelled, passwords %v", i.now().cancelled, i.now().passwords)
		}
		if got := p.shelf.at(db).now().passwords; got[len(got)-1] != "new" {
			t.Errorf("the other chart of the repository was looked at with %v", got)
		}
		p.expectTold(t, "it can be read again", "a", "b")
		// Equal wants do not bring the old ones back.
		n := i.count()
		p.Follow("a", chart.Want{Ref: web, Credentials: as("team/s", "new")})
		p.Follow("b", chart.Want{Ref: db, Credentials: as("team/s", "old")})
		if i.count() != n {
			t.Error("looked again for an equal want")
		}
		i.set(func(i *item) { i.refuse["newest"] = denial() })
		p.Follow("a", chart.Want{Ref: web, Credentials: as("team/s", "newest")})
		time.Sleep(time.Second)
		p.expect(t, "a", "they are refused", digestOf("1"), chart.AuthenticationFailed, "")
		p.expect(t, "c", "another identity", digestOf("1"), "", digestOf("1"))
	})
}

// A look that credentials made void must not be taken for one with those of
// now, although they are the same again.
func TestPollCredentialsThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		i.set(func(i *item) { i.takes = time.Minute })
		for _, password := range []string{"a", "b", "a"} {
			p.Follow("a", chart.Want{Ref: web, Credentials: as("s", password)})
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		p.expect(t, "a", "at last", digestOf("1"), "", digestOf("1"))
		if got := p.logged(); strings.Contains(got, "cancel") {
			t.Errorf("logged %s", got)
		}
	})
}

func TestPollChangedWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		p.Follow("a", chart.Want{Ref: web, Credentials: as("one", "p1")})
		p.told()
		p.shelf.at(web).set(func(i *item) { i.takes = time.Second })
		p.Follow("a", chart.Want{Ref: web, Credentials: as("two", "p2")})
		p.expect(t, "a", "another identity: what was seen stays, and is not read", digestOf("1"), "", "")
		before := len(p.shelf.at(web).now().fetched)
		time.Sleep(time.Second)
		if n := len(p.shelf.at(web).now().fetched) - before; n != 1 {
			t.Errorf("fetched %d times as the other identity, want once", n)
		}
		p.expect(t, "a", "it was accepted", digestOf("1"), "", digestOf("1"))
		p.expectTold(t, "it can be read", "a")
		newer := web
		newer.Version = "2.x"
		p.shelf.at(newer).set(func(i *item) { i.takes, i.digest = time.Second, digestOf("2") })
		p.Follow("a", chart.Want{Ref: newer, Credentials: as("two", "p2")})
		p.expect(t, "a", "another range: nothing is known", "", "", "")
		time.Sleep(time.Second)
		p.expect(t, "a", "another range", digestOf("2"), "", digestOf("2"))
		n := p.shelf.at(web).count()
		time.Sleep(time.Hour)
		if p.shelf.at(web).count() != n {
			t.Error("the range before is still looked at")
		}
		// Who joins what is known is told.
		p.told()
		p.Follow("b", chart.Want{Ref: newer, Credentials: as("two", "p2")})
		p.expectTold(t, "joined", "b")
		p.expect(t, "b", "joined", digestOf("2"), "", digestOf("2"))
	})
}

func TestPollInvalidRef(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		p.Follow("a", chart.Want{Ref: chart.Ref{Repo: "https://user:s3cret@charts.example", Name: "web"}})
		p.expectTold(t, "the URL is not valid", "a")
		p.expect(t, "a", "the URL is not valid", "", chart.URLInvalid, "")
		<-p.Refresh("a", "nobody").Done()
		<-p.RefreshRepo("https://user:s3cret@charts.example").Done()
		_, _, err := p.Tree(t.Context(), "a")
		wantKind(t, err, chart.URLInvalid, "Secret")
		_, _, err = p.Tree(t.Context(), "nobody")
		if r, ok := err.(interface{ Reason() string }); !ok || r.Reason() != "NotFetchedYet" {
			t.Errorf("reading what nobody follows says %v", err)
		}
		p.Follow("a", chart.Want{Ref: web})
		p.expectTold(t, "it is now", "a")
		p.expect(t, "a", "it is now", digestOf("1"), "", digestOf("1"))
		p.Follow("a", chart.Want{Ref: chart.Ref{Repo: web.Repo, Name: "web", Version: "one?"}})
		p.expect(t, "a", "the version is not valid", "", chart.VersionInvalid, "")
		n := p.shelf.at(web).count()
		time.Sleep(time.Hour)
		if p.shelf.at(web).count() != n {
			t.Error("what was followed before is still looked at")
		}
	})
}

// Equal content is no new revision; other content is one, also of an exact
// version, which is then logged as a warning.
func TestPollNewRevisions(t *testing.T) {
	for _, tt := range []struct {
		version string
		change  func(*item)
		told    bool
		log     string
		why     string
	}{
		{"1.x", func(i *item) { i.version, i.digest = "1.1.0", digestOf("2") }, true, "level=INFO", "a newer version in the range"},
		{"1.0.0", func(i *item) { i.digest = digestOf("2") }, true, "level=WARN", "an exact version that was published again"},
		{"latest", func(i *item) { i.digest = digestOf("2") }, true, "level=INFO", "a tag that moved"},
		{"1.x", func(i *item) { i.version = "1.0.0+b1" }, false, "", "the same content under another version"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost(t, chart.PollerOptions{})
			ref := chart.Ref{Repo: "oci://registry.example/charts", Name: "web", Version: tt.version}
			i := p.shelf.at(ref)
			p.Follow("a", chart.Want{Ref: ref})
			p.expectTold(t, tt.why, "a")
			p.logged()
			i.set(tt.change)
			time.Sleep(5 * time.Minute)
			if got := p.told(); (got != nil) != tt.told {
				t.Errorf("%s: told %v", tt.why, got)
			}
			p.expect(t, "a", tt.why, i.now().digest, "", i.now().digest)
			if s, _ := p.State("a"); s.Revision.Version != i.now().version {
				t.Errorf("%s: the state says %s, want %s", tt.why, s.Revision.Version, i.now().version)
			}
			if got := p.logged(); tt.log == "" && got != "" || !strings.Contains(got, tt.log) || strings.Contains(got, "s3cret") {
				t.Errorf("%s: logged %s", tt.why, got)
			}
		})
	}
}

// A revision counts when it was fetched: until then the one before stays.
func TestPollRevisionThatCannotBeFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		p.Follow("a", chart.Want{Ref: web})
		p.told()
		i.publish("2")
		i.set(func(i *item) {
			i.fetchErr, i.missing = &chart.Error{Kind: chart.ChartNotFound, Problem: "its archive is not there"}, digestOf("2")
		})
		time.Sleep(5 * time.Minute)
		p.expectTold(t, "the archive is not there yet", "a")
		p.expect(t, "a", "the archive is not there yet", digestOf("1"), chart.ChartNotFound, digestOf("1"))
		i.set(func(i *item) { i.fetched = nil })
		time.Sleep(2 * time.Hour)
		if n := len(i.now().fetched); n < 5 || n > 16 {
			t.Errorf("fetching was tried %d times in two hours", n)
		}
		gaps := i.gaps(2)
		if gaps[0] != 5*time.Second || slices.Max(gaps) != 5*time.Minute {
			t.Errorf("looked at after %v", gaps)
		}
		p.expectTold(t, "the same error")
		n := len(i.now().fetched)
		<-p.Refresh("a").Done()
		if len(i.now().fetched) != n+1 {
			t.Errorf("a refresh tried to fetch %d times", len(i.now().fetched)-n)
		}
		i.fail(denial())
		<-p.Refresh("a").Done()
		p.expect(t, "a", "refused", digestOf("1"), chart.AuthenticationFailed, "")
		i.fail(nil)
		<-p.Refresh("a").Done()
		p.expect(t, "a", "taken again, and still not there", digestOf("1"), chart.ChartNotFound, digestOf("1"))
		p.told()
		i.publish("3")
		time.Sleep(5 * time.Minute) // another revision does not wait for the pause of the one before
		p.expectTold(t, "another revision", "a")
		p.expect(t, "a", "another revision", digestOf("3"), "", digestOf("3"))
	})
}

// When reading shows that the repository has something else by now, it is
// looked at without waiting for the interval.
func TestPollTreeThatIsGone(t *testing.T) {
	for _, tt := range []struct {
		kind  chart.Kind
		looks int
	}{{chart.DigestMismatch, 1}, {chart.ChartNotFound, 1}, {chart.AuthenticationFailed, 1}, {chart.HostUnreachable, 0}, {chart.CacheFailed, 0}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost(t, chart.PollerOptions{})
			i := p.shelf.at(web)
			p.Follow("a", chart.Want{Ref: web})
			p.told()
			n := i.count()
			i.set(func(i *item) { i.fetchErr = &chart.Error{Kind: tt.kind, Problem: "it is so"} })
			_, _, err := p.Tree(t.Context(), "a")
			wantKind(t, err, tt.kind, "it is so")
			if got := i.count() - n; got != tt.looks {
				t.Errorf("%s: %d looks, want %d", tt.kind, got, tt.looks)
			}
		})
	}
}
