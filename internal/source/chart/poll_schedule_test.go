package chart_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"abide.dev/abide/internal/source/chart"
)

func refOn(host, name string) chart.Ref {
	return chart.Ref{Repo: "https://" + host + "/charts", Name: name}
}

func TestPollHostsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{Parallel: 4})
		var bad []*item
		good := p.shelf.at(refOn("good.example", "web"))
		p.Follow("good", chart.Want{Ref: refOn("good.example", "web"), Interval: 10 * time.Second})
		from := good.count()
		for n := range 20 { // five hosts that say nothing for a minute
			ref := refOn(fmt.Sprintf("silent%d.example", n%5), fmt.Sprintf("c%d", n))
			i := p.shelf.at(ref)
			i.set(func(i *item) { i.err, i.takes = silence(), time.Minute })
			bad = append(bad, i)
			p.Follow(fmt.Sprintf("bad%d", n), chart.Want{Ref: ref, Interval: 10 * time.Second})
		}
		time.Sleep(3*time.Minute + time.Second) // new hosts have to show themselves first
		p.Follow("late", chart.Want{Ref: refOn("late.example", "web")})
		p.expect(t, "late", "a host that is new", digestOf("1"), "", digestOf("1"))
		most := 0
		for range 60 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			running := 0
			for _, i := range bad {
				running += i.now().running
			}
			most = max(most, running)
		}
		if gaps := good.gaps(from); len(gaps) < 77 || slices.Max(gaps) != 10*time.Second {
			t.Errorf("the good host is looked at after %v", gaps)
		}
		if most == 0 || most > 2 {
			t.Errorf("%d of 4 looks were at hosts that hang", most)
		}
		p.expect(t, "good", "meanwhile", digestOf("1"), "", digestOf("1"))
	})
}

func TestPollOneHostGetsHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{Parallel: 4})
		p.Follow("first", chart.Want{Ref: refOn("slow.example", "first")}) // it answers
		synctest.Wait()
		var all []*item
		for n := range 6 {
			ref := refOn("slow.example", fmt.Sprintf("c%d", n))
			i := p.shelf.at(ref)
			i.set(func(i *item) { i.takes = time.Minute })
			all = append(all, i)
			p.Follow(fmt.Sprintf("slow%d", n), chart.Want{Ref: ref, Interval: time.Hour})
		}
		synctest.Wait()
		p.Follow("other", chart.Want{Ref: refOn("other.example", "web")})
		p.expect(t, "other", "beside a slow host", digestOf("1"), "", digestOf("1"))
		for range 3 {
			running := 0
			for _, i := range all {
				running += i.now().running
			}
			if running != 2 {
				t.Errorf("%d looks at one host, want 2 of 4", running)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		for n, i := range all {
			if i.count() != 1 {
				t.Errorf("slow%d was looked at %d times", n, i.count())
			}
		}
	})
}

func TestPollLooksAreCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		i.set(func(i *item) { i.takes = 24 * time.Hour })
		p.Follow("a", chart.Want{Ref: web})
		p.Follow("b", chart.Want{Ref: web})
		synctest.Wait()
		asked := p.Refresh("a") // of a look that will not be
		p.Forget("a")
		synctest.Wait()
		if i.now().cancelled != 0 {
			t.Error("cancelled, and b still follows it")
		}
		p.Follow("b", chart.Want{Ref: refOn("other.example", "web")})
		synctest.Wait()
		if i.now().cancelled != 1 || i.now().running != 0 {
			t.Errorf("%d looks were cancelled, %d run, and nobody follows it", i.now().cancelled, i.now().running)
		}
		<-asked.Done()
		p.Follow("a", chart.Want{Ref: web})
		synctest.Wait()
		waiting := p.Refresh("a")
		p.stop() // returns when the looks are over
		if i.now().cancelled != 2 || i.now().running != 0 {
			t.Errorf("%d looks were cancelled, %d run after the end", i.now().cancelled, i.now().running)
		}
		<-waiting.Done()
		<-p.Refresh("a").Done()
		if s, _ := p.State("a"); s.Err != nil {
			t.Errorf("the end is taken for an error: %v", s.Err)
		}
	})
}

func TestPollRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{})
		i := p.shelf.at(web)
		i.set(func(i *item) { i.takes = time.Minute })
		p.Follow("a", chart.Want{Ref: web})
		p.Follow("b", chart.Want{Ref: web})
		time.Sleep(30 * time.Second) // a look is half way
		i.publish("2")
		r := p.Refresh("a", "b", "nobody")
		if n := p.shelf.expiries(); n != 1 {
			t.Errorf("%d times expired, want once before the look", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		select {
		case <-r.Done():
			t.Error("done with a look that had begun before")
		default:
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-r.Done():
		default:
			t.Error("not done after the look")
		}
		if n := i.count(); n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
		p.expect(t, "a", "refreshed", digestOf("2"), "", digestOf("2"))
	})
}

func TestPollRefreshRepo(t *testing.T) {
	refs := map[string]chart.Ref{
		"http-web":  refOn("charts.example", "web"),
		"http-db":   refOn("charts.example", "db"),
		"other":     refOn("other.example", "web"),
		"deeper":    {Repo: "https://charts.example/charts/more", Name: "web"},
		"oci-web":   {Repo: "oci://registry.example/team/charts", Name: "web"},
		"oci-db":    {Repo: "oci://registry.example/team/charts/db"},
		"oci-other": {Repo: "oci://registry.example/team/charts2", Name: "web"},
	}
	for _, tt := range []struct {
		url    string
		looked []string
		asked  int // repositories that are asked anew
		why    string
	}{
		{"HTTPS://Charts.Example:443/charts/", []string{"http-db", "http-web"}, 1, "a chart repository, however it is written"},
		{"oci://registry.example/team/charts", []string{"oci-db", "oci-web"}, 2, "what is below a path of a registry"},
		{"oci://registry.example/team/charts/web", []string{"oci-web"}, 1, "one repository of a registry"},
		{"https://nobody.example", nil, 0, "a repository that nobody follows"},
		{"charts", nil, 0, "no URL"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost(t, chart.PollerOptions{})
			before := map[string]int{}
			for name, ref := range refs {
				p.Follow(name, chart.Want{Ref: ref})
				p.Follow(name+"-again", chart.Want{Ref: ref, Credentials: as("other", "p")})
			}
			for name, ref := range refs {
				before[name] = p.shelf.at(ref).count()
			}
			<-p.RefreshRepo(tt.url).Done()
			var looked []string
			for name, ref := range refs {
				if p.shelf.at(ref).count() == before[name]+2 { // for each identity
					looked = append(looked, name)
				} else if p.shelf.at(ref).count() != before[name] {
					t.Errorf("%s: %s was looked at %d times", tt.why, name, p.shelf.at(ref).count()-before[name])
				}
			}
			slices.Sort(looked)
			if !slices.Equal(looked, tt.looked) {
				t.Errorf("%s: looked at %v, want %v", tt.why, looked, tt.looked)
			}
			if n := p.shelf.expiries(); n != tt.asked {
				t.Errorf("%s: %d repositories were expired, want %d", tt.why, n, tt.asked)
			}
		})
	}
}

// Charts of one repository that are due at about the same time are looked at
// together: their index is asked for once.
func TestPollNeighboursTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		turn := 0
		p := newPost(t, chart.PollerOptions{Jitter: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			turn++
			return float64(turn%10) / 10
		}})
		for n := range 20 {
			p.Follow(fmt.Sprintf("n%d", n), chart.Want{Ref: refOn("charts.example", fmt.Sprintf("c%d", n))})
		}
		far := chart.Ref{Repo: "https://charts.example/else", Name: "c0"}
		p.Follow("far", chart.Want{Ref: far, Interval: 6 * time.Minute})
		time.Sleep(time.Hour)
		synctest.Wait()
		first := p.shelf.at(refOn("charts.example", "c0")).now().looks
		for n := range 20 {
			if got := p.shelf.at(refOn("charts.example", fmt.Sprintf("c%d", n))).now().looks; !slices.Equal(got, first) {
				t.Errorf("c%d was looked at on its own: %v", n, got)
			}
		}
		if n := len(first); n < 12 || n > 15 {
			t.Errorf("%d looks in twelve intervals", n)
		}
		if n := p.shelf.at(far).count(); n > 12 {
			t.Errorf("another repository was looked at %d times in ten intervals", n)
		}
	})
}

func TestPollShortestIntervalCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, chart.PollerOptions{Interval: time.Hour})
		i := p.shelf.at(web)
		rate := func(why string, want int) {
			t.Helper()
			n := i.count()
			time.Sleep(2 * time.Hour)
			if got := i.count() - n; got != want {
				t.Errorf("%s: %d looks in two hours, want %d", why, got, want)
			}
		}
		p.Follow("slow", chart.Want{Ref: web})
		p.Follow("between", chart.Want{Ref: refOn("between.example", "web"), Interval: 20 * time.Minute})
		time.Sleep(time.Second)
		rate("the default", 2)
		p.Follow("fast", chart.Want{Ref: web, Interval: time.Minute})
		rate("a shorter one", 120)
		p.Follow("fast", chart.Want{Ref: web, Interval: 30 * time.Minute})
		time.Sleep(time.Hour)
		rate("the same name wants a longer one", 4)
		p.Forget("fast")
		time.Sleep(time.Hour)
		rate("it is gone", 2)
		p.Follow("hasty", chart.Want{Ref: web, Interval: time.Nanosecond})
		rate("none is shorter than a second", 7200)
	})
}

// Notify is called by one goroutine, with sorted names, and may use the Poller.
func TestPollNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *post
		var mu sync.Mutex
		ready := make(chan struct{})
		p = newPost(t, chart.PollerOptions{Notify: func(names []string) {
			<-ready
			if !mu.TryLock() {
				t.Error("called while it was being called")
				return
			}
			defer mu.Unlock()
			if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
				t.Errorf("told %v", names)
			}
			for _, name := range names {
				p.State(name)
				p.Tree(t.Context(), name)
				p.Follow(name+"+", chart.Want{Ref: refOn("more.example", "web")})
				if len(name) > 5 {
					p.Forget(name)
				}
			}
			time.Sleep(time.Second)
		}})
		close(ready)
		for n := range 30 {
			p.Follow(fmt.Sprintf("n%02d", n), chart.Want{Ref: refOn(fmt.Sprintf("h%d.example", n%7), "web")})
		}
		time.Sleep(time.Minute)
		if got := p.told(); len(got) < 60 {
			t.Errorf("told %d names", len(got))
		}
	})
}
