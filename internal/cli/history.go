package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/release"
)

// releaseRef names a release as people write it: web#7, or web for the newest.
type releaseRef struct {
	app    string
	number int64 // 0 for the newest
}

func parseRelease(arg string) (releaseRef, error) {
	app, number, found := strings.Cut(arg, "#")
	if app == "" {
		return releaseRef{}, &exitError{exitUsage, fmt.Errorf("%q names no release: write APP#N, such as web#7", arg)}
	}
	if !found {
		return releaseRef{app: app}, nil
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return releaseRef{}, &exitError{exitUsage, fmt.Errorf("%q names no release: what follows the # is its number, such as web#7", arg)}
	}
	return releaseRef{app, n}, nil
}

// forRelease is the run of a command about one release, once it is connected; the
// context ends after the time that a request may take.
func (t *target) forRelease(s Streams, run func(context.Context, *conn, releaseRef) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ref, err := parseRelease(args[0])
		if err != nil {
			return err
		}
		cn, err := t.connect(s.Err)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), requestTime)
		defer cancel()
		return run(ctx, cn, ref)
	}
}

// records are the releases of an App that is there or was, the newest first.
func records(ctx context.Context, c *conn, app string) ([]v1alpha1.Release, error) {
	all, err := release.New(c, "", time.Now).List(ctx, object.App{Namespace: c.namespace, Name: app})
	if err != nil {
		return nil, c.explain(err)
	}
	if len(all) == 0 {
		if _, err := c.app(ctx, app); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("App %s has no release yet: abide why %s -n %s says what it waits for", app, app, c.namespace)
	}
	return all, nil
}

// releaseOf is one release.
func releaseOf(ctx context.Context, c *conn, ref releaseRef) (*v1alpha1.Release, error) {
	all, err := records(ctx, c, ref.app)
	if err != nil {
		return nil, err
	}
	if ref.number == 0 {
		return &all[0], nil
	}
	i := slices.IndexFunc(all, func(r v1alpha1.Release) bool { return r.Spec.Number == ref.number })
	if i < 0 {
		return nil, fmt.Errorf("App %s has no release %d on record: there are %s; abide history %s -n %s lists them", ref.app, ref.number, numbers(all), ref.app, c.namespace)
	}
	return &all[i], nil
}

func numbers(all []v1alpha1.Release) string {
	first, last := all[len(all)-1].Spec.Number, all[0].Spec.Number
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d to %d", first, last)
}

type historyOptions struct {
	target
	app    string
	output formatFlag
	now    func() time.Time
}

func newHistory(s Streams) *cobra.Command {
	o := historyOptions{now: time.Now}
	c := &cobra.Command{
		Use:   "history APP",
		Short: "List the releases of an App, the newest first",
		Long: "List the releases of an App, the newest first: what became of each, what made it, and how\n" +
			"much it changed. abide show APP#N has all of one. An App that is gone has a history for a\n" +
			"week more.",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE: o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error {
			ctx, cancel := context.WithTimeout(ctx, requestTime)
			defer cancel()
			all, err := records(ctx, cn, o.app)
			if err != nil {
				return err
			}
			if o.output.format == asTable {
				printHistory(s, all, o.now())
				return nil
			}
			objects := make([]client.Object, len(all))
			for i := range all {
				objects[i] = &all[i]
			}
			return printObjects(s.Out, o.output.format, objects, false)
		}),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.output.add(c, asName, asYAML, asJSON)
	return c
}

func printHistory(s Streams, all []v1alpha1.Release, now time.Time) {
	st := styleOf(s.Out)
	t := table{
		head: []string{"RELEASE", "OUTCOME", "TRIGGER", "COMMIT", "AUTHOR", "CHANGES", "AGE", "TOOK", "SUBJECT"},
		paint: func(row, column int, text string) string {
			if row < 0 || column != 1 {
				return text
			}
			return st.outcome(text)
		},
	}
	for i := range all {
		r := &all[i].Spec
		t.add(fmt.Sprintf("%s#%d", r.App, r.Number), string(r.Outcome), trigger(r), r.Source.Revision, personName(r.Source.Author),
			changes(&r.Plan), began(r, now), took(r, now), shorten(r.Source.Subject, 50))
	}
	t.print(s.Out, nil, true)
}

// trigger is why a release was made, and by whom if a person asked for it.
func trigger(r *v1alpha1.ReleaseSpec) string {
	text := string(r.Trigger)
	if r.RollbackTo > 0 {
		text += fmt.Sprintf(" to #%d", r.RollbackTo)
	}
	if r.By != "" {
		text += " by " + r.By
	}
	return text
}

// personName is the name in Name <email>.
func personName(person string) string {
	name, _, _ := strings.Cut(person, " <")
	return name
}

// changes counts what a plan changes: +2 ~1 -3.
func changes(p *v1alpha1.ReleasePlan) string {
	var parts []string
	for _, c := range []struct {
		mark string
		n    int32
	}{{"+", p.Create}, {"~", p.Update + p.Adopt}, {"-", p.Delete}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprint(c.mark, c.n))
		}
	}
	return strings.Join(parts, " ")
}

func began(r *v1alpha1.ReleaseSpec, now time.Time) string {
	switch {
	case r.StartedAt != nil:
		return age(now, r.StartedAt.Time)
	case r.FinishedAt != nil:
		return age(now, r.FinishedAt.Time)
	}
	return ""
}

// took is how long a release took, or has been under way.
func took(r *v1alpha1.ReleaseSpec, now time.Time) string {
	if r.StartedAt == nil {
		return ""
	}
	end := now
	if r.FinishedAt != nil {
		end = r.FinishedAt.Time
	}
	switch d := end.Sub(r.StartedAt.Time); {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	default:
		return duration.HumanDuration(d)
	}
}

// outcome colours an outcome.
func (st style) outcome(text string) string {
	switch v1alpha1.Outcome(text) {
	case v1alpha1.OutcomeSucceeded:
		return st.green(text)
	case v1alpha1.OutcomeFailed, v1alpha1.OutcomeRolledBack:
		return st.red(text)
	case v1alpha1.OutcomeRunning:
		return st.cyan(text)
	}
	return st.dim(text)
}
