package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/plan"
)

// changeLog prints one line for each thing that happens. It is safe for
// concurrent use.
type changeLog struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
}

func newChangeLog(out io.Writer) *changeLog { return &changeLog{out: out, now: time.Now} }

func (l *changeLog) say(app, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if app != "" {
		app += ": "
	}
	fmt.Fprintf(l.out, "%s  %s%s\n", l.now().Format("15:04:05"), app, fmt.Sprintf(format, args...))
}

// shown is how many objects of one run are named.
const shown = 12

// verbs are how the actions of a plan look when they are done.
var verbs = map[plan.Action]string{
	plan.Create: "created", plan.Update: "updated", plan.Heal: "healed", plan.Adopt: "adopted",
	plan.Convert: "taken over", plan.Take: "taken over",
}

// outcome prints what a run changed.
func (l *changeLog) outcome(app object.App, out *pipeline.Outcome) {
	n := 0
	line := func(verb string, k object.Key, by string) {
		if n++; n <= shown {
			l.say(app.Name, "%-8s %s%s", verb, k, by)
		}
	}
	by := map[object.Key]string{}
	for i := range out.Healed {
		if h := &out.Healed[i]; h.By != "" {
			by[h.Key] = "  (" + h.By + " had changed it)"
		}
	}
	for i := range out.Applied {
		k := object.KeyOf(out.Applied[i].Live)
		line(verbs[out.Applied[i].Action], k, by[k])
	}
	for _, k := range out.Deleted {
		line("deleted", k, "")
	}
	if n > shown {
		l.say(app.Name, "… and %d more objects", n-shown)
	}
}

// show prints the state of Apps as it changes, until the watch or the context
// ends. done tells that there is nothing more to show.
func (u *up) show(ctx context.Context, events <-chan watch.Event, running <-chan error, seen map[string]*v1alpha1.App) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return true, ended(ctx, ctx.Err())
		case err := <-running:
			if ctx.Err() != nil {
				return true, ended(ctx, ctx.Err())
			}
			return true, fmt.Errorf("the controller has stopped: %w", err)
		case e, ok := <-events:
			if !ok {
				return false, nil
			}
			app, isApp := e.Object.(*v1alpha1.App)
			if !isApp || e.Type == watch.Deleted {
				continue
			}
			u.state(seen[app.Name], app)
			seen[app.Name] = app
			if !u.once {
				continue
			}
			if done, err := u.settled(seen); done {
				return true, err
			}
		}
	}
}

// state prints what is new of an App.
func (u *up) state(old, app *v1alpha1.App) {
	ready := meta.FindStatusCondition(app.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return
	}
	if old == nil || old.Status.Source.Commit != app.Status.Source.Commit {
		if s := app.Status.Source; s.Commit != "" {
			u.out.say(app.Name, "%s by %s: %s", s.Revision, s.Author, s.Subject)
		}
	}
	if old != nil {
		was := meta.FindStatusCondition(old.Status.Conditions, v1alpha1.ConditionReady)
		if was != nil && was.Message == ready.Message && old.Status.State == app.Status.State && old.Status.Health == app.Status.Health {
			return
		}
	}
	u.out.say(app.Name, "%s, %s: %s", app.Status.State, app.Status.Health, ready.Message)
}

// settled tells, for --once, whether all Apps are ready or one has failed.
func (u *up) settled(seen map[string]*v1alpha1.App) (bool, error) {
	for i := range u.apps {
		app := seen[u.apps[i].Name]
		if app == nil || app.Status.ObservedGeneration != app.Generation {
			return false, nil
		}
		ready := meta.FindStatusCondition(app.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case app.Status.State == v1alpha1.StateFailed || app.Status.State == v1alpha1.StateWaiting || app.Status.Health == v1alpha1.HealthDegraded:
			return true, fmt.Errorf("App %s: %s", app.Name, ready.Message)
		case ready == nil || ready.Status != metav1.ConditionTrue:
			return false, nil
		}
	}
	return true, nil
}
