package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type showOptions struct {
	target
	output formatFlag
	now    func() time.Time
}

func newShow(s Streams) *cobra.Command {
	o := showOptions{now: time.Now}
	c := &cobra.Command{
		Use:   "show APP[#N]",
		Short: "Show a release: what it set out to change, and what became of it",
		Long: "Show a release, the newest if there is no number: its commit, who let its plan through, each\n" +
			"object with the fields that changed, its hooks, and what has been healed since. Values of\n" +
			"Secrets are short hashes, equal for equal values.",
		Example:           "  abide show web#7\n  abide show web -o yaml",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE: o.forRelease(s, func(ctx context.Context, cn *conn, ref releaseRef) error {
			r, err := releaseOf(ctx, cn, ref)
			if err != nil {
				return err
			}
			if o.output.format != asTable {
				return printObjects(s.Out, o.output.format, []client.Object{r}, true)
			}
			printRelease(s.Out, styleOf(s.Out), r, o.now())
			return nil
		}),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.output.add(c, asYAML, asJSON)
	return c
}

// printRelease says in words what a release was.
func printRelease(w io.Writer, st style, rel *v1alpha1.Release, now time.Time) {
	r := &rel.Spec
	head := outcomeInWords(r.Outcome)
	if t := took(r, now); t != "" {
		head += ", " + map[bool]string{true: "for ", false: "after "}[r.FinishedAt == nil] + t
	}
	fmt.Fprintf(w, "Release %s: %s\n\n", st.bold(fmt.Sprintf("%s/%s#%d", rel.Namespace, r.App, r.Number)), st.outcomeIs(r.Outcome, head))
	row := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			fmt.Fprintf(w, "%s%s\n", st.dim(fmt.Sprintf("%-10s", name)), clean(text))
		}
	}
	row("trigger", trigger(r))
	row("commit", strings.TrimSpace(r.Source.Revision+"  "+r.Source.Subject))
	if people := r.Source.Author; people != "" {
		if r.Source.Committer != "" && r.Source.Committer != people {
			people += ", committed by " + r.Source.Committer
		}
		row("", people)
	}
	row("chart", r.Source.Chart)
	if r.StartedAt != nil {
		row("begun", r.StartedAt.UTC().Format(time.RFC3339)+", "+ago(now, r.StartedAt.Time))
	}
	row("plan", r.Plan.Digest)
	for _, g := range r.Gates {
		row("let by", strings.TrimSpace(cmp.Or(g.By, "nobody")+": "+g.Gate+", "+g.Message+"  "+g.Reason))
	}
	row("kept", map[bool]string{true: "abide manifests " + fmt.Sprintf("%s#%d", r.App, r.Number), false: ""}[len(r.Manifests) > 0])
	if r.Message != "" {
		fmt.Fprintf(w, "\n%s\n  %s\n", st.bold("What is to say of it"), cleanLines(r.Message))
	}
	printHooks(w, st, r)
	printChanges(w, st, r)
	printHeals(w, st, r)
}

func (st style) outcomeIs(o v1alpha1.Outcome, text string) string {
	switch o {
	case v1alpha1.OutcomeSucceeded:
		return st.green(text)
	case v1alpha1.OutcomeFailed, v1alpha1.OutcomeRolledBack:
		return st.red(text)
	case v1alpha1.OutcomeRunning:
		return st.cyan(text)
	}
	return st.yellow(text)
}

func printHooks(w io.Writer, st style, r *v1alpha1.ReleaseSpec) {
	if len(r.Hooks) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", st.bold("Hooks"))
	for _, h := range r.Hooks {
		fmt.Fprintf(w, "  %-11s %s  %s", clean(h.When), clean(h.Object), st.outcomeIs(h.Outcome, outcomeInWords(h.Outcome)))
		if h.Message != "" {
			fmt.Fprintf(w, ": %s", clean(h.Message))
		}
		fmt.Fprintln(w)
	}
}

func printChanges(w io.Writer, st style, r *v1alpha1.ReleaseSpec) {
	if len(r.Plan.Objects) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", st.bold("Changes"))
	for i := range r.Plan.Objects {
		o := &r.Plan.Objects[i]
		mark, paint := "~", st.yellow
		switch o.Action {
		case "create":
			mark, paint = "+", st.green
		case "delete":
			mark, paint = "-", st.red
		}
		line := paint(fmt.Sprintf("%s %s %s", mark, clean(o.Action), clean(o.Object)))
		tail := o.Result
		switch {
		case o.Result == "":
			tail = "not done"
		case o.Took > 0:
			tail += fmt.Sprintf(" in %d ms", o.Took)
		}
		if o.Wave != 0 {
			tail += fmt.Sprintf(", wave %d", o.Wave)
		}
		fmt.Fprintf(w, "  %s  %s\n", line, st.dim(clean(tail)))
		if o.Message != "" {
			fmt.Fprintf(w, "      %s\n", st.red(clean(o.Message)))
		}
		printFieldChanges(w, st, o.Fields)
		if more := int(o.FieldCount) - len(o.Fields); more > 0 {
			fmt.Fprintf(w, "      and %s more\n", count(more, "field"))
		}
	}
}

func printFieldChanges(w io.Writer, st style, fields []v1alpha1.FieldChange) {
	for _, f := range fields {
		text := clean(f.From) + st.dim(" → ") + clean(f.To)
		switch {
		case f.From == "":
			text = st.green("+ " + clean(f.To))
		case f.To == "":
			text = st.red("- " + clean(f.From))
		}
		fmt.Fprintf(w, "      %s  %s\n", st.cyan(clean(f.Path)), text)
	}
}

func printHeals(w io.Writer, st style, r *v1alpha1.ReleaseSpec) {
	if len(r.Heals) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", st.bold("Healed since"))
	if more := r.HealCount - int64(len(r.Heals)); more > 0 {
		fmt.Fprintf(w, "  %s before these\n", count(int(more), "heal"))
	}
	for _, h := range r.Heals {
		fmt.Fprintf(w, "  %s  %s", h.At.UTC().Format(time.RFC3339), clean(h.Object))
		if h.By != "" {
			fmt.Fprintf(w, ", changed by %s", clean(h.By))
		}
		fmt.Fprintln(w)
		printFieldChanges(w, st, h.Fields)
	}
}
