package depend

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

const (
	old   = "0000000000000000000000000000000000000000"
	now   = "1111111111111111111111111111111111111111"
	later = "2222222222222222222222222222222222222222"
)

// named is an App of a namespace that depends on others there.
func named(namespace, name string, on ...string) *v1alpha1.App {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 2}}
	for _, o := range on {
		d := v1alpha1.Dependency{Name: o}
		if ns, n, ok := strings.Cut(o, "/"); ok {
			d = v1alpha1.Dependency{Namespace: ns, Name: n}
		}
		app.Spec.DependsOn = append(app.Spec.DependsOn, d)
	}
	return app
}

// isReady makes an App say that all of it is applied and healthy.
func isReady(app *v1alpha1.App) {
	app.Status.ObservedGeneration, app.Status.State, app.Status.Health = app.Generation, v1alpha1.StateInSync, v1alpha1.HealthHealthy
	app.Status.DesiredHash, app.Status.AppliedHash = "h", "h"
	app.Status.Objects.Total = 2
	for _, kind := range []string{v1alpha1.ConditionSynced, v1alpha1.ConditionHealthy} {
		app.Status.Conditions = append(app.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, ObservedGeneration: app.Generation})
	}
}

// synced makes an App say that it is not as Git says.
func synced(state v1alpha1.State, reason string) func(*v1alpha1.App, *Stand) {
	return func(app *v1alpha1.App, _ *Stand) {
		app.Status.State = state
		app.Status.Conditions[0].Status, app.Status.Conditions[0].Reason = metav1.ConditionFalse, reason
	}
}

func TestWaits(t *testing.T) {
	spec := func(f func(*v1alpha1.App)) func(*v1alpha1.App, *Stand) {
		return func(a *v1alpha1.App, _ *Stand) { f(a) }
	}
	stand := func(f func(*Stand)) func(*v1alpha1.App, *Stand) {
		return func(_ *v1alpha1.App, s *Stand) { f(s) }
	}
	for _, row := range []struct {
		why       string
		change    func(db *v1alpha1.App, s *Stand)
		missing   bool
		elsewhere bool // in another namespace
		condition string
		since     string
		waits     string // what is said after "which"; empty: it is met
		passing   bool
	}{
		{why: "it is ready at the commit"},
		{why: "it does not exist", missing: true, waits: "does not exist: create it, or take it out of spec.dependsOn"},
		{why: "it is being deleted", change: spec(func(a *v1alpha1.App) { a.DeletionTimestamp = &metav1.Time{} }), waits: "is being deleted"},
		{why: "its newest spec has not been looked at", change: spec(func(a *v1alpha1.App) { a.Generation++ }),
			waits: "has not been looked at as it now is", passing: true},
		{why: "a condition is about an older spec", change: spec(func(a *v1alpha1.App) { a.Status.Conditions[1].ObservedGeneration-- }), waits: "is not ready yet"},
		{why: "it is not healthy", change: spec(func(a *v1alpha1.App) {
			a.Status.Health, a.Status.Conditions[1].Status = v1alpha1.HealthDegraded, metav1.ConditionFalse
		}), waits: "is degraded"},
		{why: "its health is not known", change: spec(func(a *v1alpha1.App) { a.Status.Conditions[1].Status = metav1.ConditionUnknown }), waits: "is not ready yet"},
		{why: "it has failed", change: synced(v1alpha1.StateFailed, "InvalidYAML"), waits: "has failed"},
		{why: "it is paused", change: synced(v1alpha1.StatePaused, "Paused"), waits: "is paused"},
		{why: "it has drifted", change: synced(v1alpha1.StateDrifted, "Drifted"), waits: "has drifted"},
		{why: "it is held at a release", change: synced(v1alpha1.StatePinned, "Pinned"), waits: "is held at a release"},
		{why: "it waits for another App", change: func(a *v1alpha1.App, s *Stand) {
			synced(v1alpha1.StateWaiting, "WaitingForDependency")(a, s)
			a.Status.WaitsFor = []v1alpha1.WaitsFor{{App: "shop/disk"}}
		}, waits: "waits itself for shop/disk"},
		{why: "it waits for somebody", change: func(a *v1alpha1.App, s *Stand) {
			synced(v1alpha1.StateWaiting, "DeletionBudget")(a, s)
			a.Status.Plan = &v1alpha1.PlanStatus{}
		}, waits: "waits for an approval"},
		{why: "what it no longer wants is still to be taken over, perhaps by the one that waits", change: synced(v1alpha1.StateWaiting, Handover)},
		{why: "the same, and something was not applied", change: func(a *v1alpha1.App, s *Stand) {
			synced(v1alpha1.StateWaiting, Handover)(a, s)
			a.Status.AppliedHash = "g"
		}, waits: "waits itself"},

		{why: "it has not looked at the commit", change: stand(func(s *Stand) { s.Told = old }), waits: "has not been looked at at commit 11111111 yet", passing: true},
		{why: "it has not been looked at since the start", change: stand(func(s *Stand) { s.Told = "" }), waits: "has not been looked at at commit 11111111 yet", passing: true},
		{why: "it is at the commit that first said this", change: stand(func(s *Stand) { s.Told = old }), since: old},
		{why: "it is beyond the commit", change: stand(func(s *Stand) { s.Told, s.Head, s.Judged = later, later, []string{later, now, old} })},
		{why: "the commit is behind it, and it has not looked at where the ref went back to",
			change: stand(func(s *Stand) { s.Told, s.Judged = later, []string{later, now, old} }), waits: "has not been looked at", passing: true},
		{why: "the same branch under another name", change: stand(func(s *Stand) { s.Follows, s.Told = "default branch", old }), waits: "has not been looked at", passing: true},
		{why: "a branch under another name that is not known yet", change: stand(func(s *Stand) { s.Follows, s.Ref, s.Told = "default branch", "", "" }),
			waits: "has not been looked at", passing: true},
		{why: "another branch has other commits", change: stand(func(s *Stand) { s.Follows, s.Ref, s.Told = "branch old", "refs/heads/old", old })},
		{why: "another repository has other commits", change: stand(func(s *Stand) { s.Repo, s.Told = "https://example.com/other", old })},
		{why: "a chart has no commits", change: stand(func(s *Stand) { *s = Stand{} })},
		{why: "held back by abide itself at a commit that it has looked at", change: spec(func(a *v1alpha1.App) { a.Status.Pinned = &v1alpha1.PinnedStatus{} }), waits: "is held at a release"},

		{why: "of another namespace, which allows nobody", elsewhere: true, waits: "does not exist, or does not let Apps of namespace shop depend on it: ask whoever looks after namespace data to add shop to its spec.allowedDependents"},
		{why: "of another namespace, which allows another one", elsewhere: true, change: spec(func(a *v1alpha1.App) { a.Spec.AllowedDependents = []string{"bar"} }), waits: "does not exist, or does not let"},
		{why: "of another namespace, and not there: no more is told than if it were not allowed", elsewhere: true, missing: true, waits: "does not exist, or does not let"},
		{why: "of another namespace, not allowed and being deleted", elsewhere: true, change: spec(func(a *v1alpha1.App) { a.DeletionTimestamp = &metav1.Time{} }), waits: "does not exist, or does not let"},
		{why: "of another namespace, which allows this one", elsewhere: true, change: spec(func(a *v1alpha1.App) { a.Spec.AllowedDependents = []string{"bar", "shop"} })},
		{why: "of another namespace, which allows all", elsewhere: true, change: spec(func(a *v1alpha1.App) { a.Spec.AllowedDependents = []string{"*"} })},

		{why: "its condition holds", condition: "app.status.objects.total > 1 && app.kind == 'App'"},
		{why: "its condition does not hold", condition: "app.status.objects.total > 2", waits: "is ready, and does not meet the condition yet: app.status.objects.total > 2"},
		{why: "its condition asks for what is not there", condition: "app.status.release.number > 2",
			waits: "is ready, and whether it meets the condition can't be told yet: condition (app.status.release.number > 2): no such key: release"},
	} {
		t.Run(row.why, func(t *testing.T) {
			namespace := "shop"
			if row.elsewhere {
				namespace = "data"
			}
			web, db := named("shop", "web", namespace+"/db"), named(namespace, "db")
			web.Spec.DependsOn[0].Condition = row.condition
			isReady(db)
			self := Stand{Repo: "https://example.com/x", Follows: "branch main", Ref: "refs/heads/main", Head: now}
			s := self
			s.Told, s.Judged = now, []string{now, old}
			if row.change != nil {
				row.change(db, &s)
			}
			if !row.elsewhere { // "" is the namespace of the App itself
				web.Spec.DependsOn[0].Namespace = ""
			}
			conditions, err := Conditions(web)
			if err != nil {
				t.Fatal(err)
			}
			v := Waits(Wish{App: web, Commit: now, Since: row.since, Conditions: conditions}, View{
				App: func(id object.App) *v1alpha1.App {
					if id != ID(db) {
						t.Errorf("asked for %s", id)
					}
					if row.missing {
						return nil
					}
					return db
				},
				Stand: func(app *v1alpha1.App) Stand {
					if app == web {
						return self
					}
					return s
				},
			})
			if row.waits == "" {
				if len(v.Waits) > 0 || v.Message != "" {
					t.Errorf("it waits: %+v", v)
				}
				return
			}
			if len(v.Waits) != 1 || v.Waits[0].App != namespace+"/db" || !strings.HasPrefix(v.Waits[0].Message, row.waits) {
				t.Errorf("it waits for %+v, want %q", v.Waits, row.waits)
			}
			if v.Passing != row.passing {
				t.Errorf("passing is %v", v.Passing)
			}
			if want := "waits for App " + namespace + "/db, which " + row.waits; !strings.HasPrefix(v.Message, want) {
				t.Errorf("it says %q, want %q", v.Message, want)
			}
		})
	}
}

// A wait is worth no word only if that is so of all that is waited for.
func TestWaitsForSeveral(t *testing.T) {
	web := named("shop", "web", "a", "b", "c")
	apps := map[object.App]*v1alpha1.App{}
	for _, n := range []string{"a", "c"} {
		app := named("shop", n)
		isReady(app)
		apps[ID(app)] = app
	}
	apps[object.App{Namespace: "shop", Name: "a"}].Generation++
	v := Waits(Wish{App: web, Commit: now}, View{
		App:   func(id object.App) *v1alpha1.App { return apps[id] },
		Stand: func(*v1alpha1.App) Stand { return Stand{} },
	})
	if len(v.Waits) != 2 || v.Passing {
		t.Errorf("it waits for %+v, passing %v", v.Waits, v.Passing)
	}
	if want := "waits for App shop/a, which has not been looked at as it now is; and for shop/b"; v.Message != want {
		t.Errorf("it says %q", v.Message)
	}
}

func TestConditions(t *testing.T) {
	web := named("shop", "web", "a", "data/db")
	web.Spec.DependsOn[1].Condition = "app.status.objects.total >> 3"
	_, err := Conditions(web)
	want := "spec.dependsOn: App data/db: condition (app.status.objects.total >> 3): column 27: "
	if e, ok := err.(*ConditionError); !ok || e.Reason() != "InvalidCondition" || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %s", err, want)
	}
	web.Spec.DependsOn[1].Condition = "true"
	list, err := Conditions(web)
	if err != nil || len(list) != 2 || list[0] != nil || list[1] == nil {
		t.Errorf("the conditions are %v, %v", list, err)
	}
}

// Whatever changes what is said of a dependency changes its facts: those that wait
// are woken by nothing else.
func TestFacts(t *testing.T) {
	same := func() *v1alpha1.App {
		app := named("shop", "db")
		isReady(app)
		return app
	}
	for _, row := range []struct {
		why    string
		change func(*v1alpha1.App)
		news   bool
	}{
		{"nothing", func(*v1alpha1.App) {}, false},
		{"counts", func(a *v1alpha1.App) { a.Status.Objects.Healthy++ }, false},
		{"a message", func(a *v1alpha1.App) { a.Status.Conditions[0].Message = "m" }, false},
		{"labels", func(a *v1alpha1.App) { a.Labels = map[string]string{"a": "b"} }, false},
		{"another App of that name", func(a *v1alpha1.App) { a.UID = "2" }, true},
		{"the spec", func(a *v1alpha1.App) { a.Generation++ }, true},
		{"it is looked at", func(a *v1alpha1.App) { a.Status.ObservedGeneration-- }, true},
		{"it is being deleted", func(a *v1alpha1.App) { a.DeletionTimestamp = &metav1.Time{} }, true},
		{"it is held", func(a *v1alpha1.App) { a.Status.Pinned = &v1alpha1.PinnedStatus{} }, true},
		{"it is not healthy", func(a *v1alpha1.App) { a.Status.Conditions[1].Status = metav1.ConditionFalse }, true},
		{"it fails", func(a *v1alpha1.App) { synced(v1alpha1.StateFailed, "X")(a, nil) }, true},
	} {
		now := same()
		row.change(now)
		if news := FactsOf(now) != FactsOf(same()); news != row.news {
			t.Errorf("%s: it is news: %v", row.why, news)
		}
	}
}
