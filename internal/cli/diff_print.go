package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/plan"
)

// printDifferences prints what would change, in the manner of a unified diff.
func printDifferences(w io.Writer, st style, app *v1alpha1.App, d *differences) {
	counts := map[plan.Action]int{}
	for i := range d.Objects {
		o := &d.Objects[i]
		counts[o.Action]++
		printDifference(w, st, o)
	}
	var parts []string
	for _, a := range []struct {
		action plan.Action
		word   string
	}{
		{plan.Create, "to create"}, {plan.Update, "to change"}, {plan.Adopt, "to adopt"}, {plan.Convert, "to take from another tool"},
		{plan.Take, "to take over"}, {plan.Delete, "to delete"}, {plan.Keep, "kept although not in Git"}, {plan.Forget, "left behind"},
	} {
		if n := counts[a.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.word))
		}
	}
	parts = append(parts, fmt.Sprintf("%d unchanged", d.Unchanged))
	fmt.Fprintf(w, "%s against %s: %s.\n", st.bold("App "+d.App), clean(d.From), strings.Join(parts, ", "))
	if d.Waiting != nil {
		fmt.Fprintln(w)
		printPlan(w, st, app)
		fmt.Fprintf(w, "  let it go on with: abide approve %s%s\n", app.Name, inNamespace(app))
	}
}

func printDifference(w io.Writer, st style, o *difference) {
	mark, paint := "~", st.yellow
	switch o.Action {
	case plan.Create:
		mark, paint = "+", st.green
	case plan.Delete:
		mark, paint = "-", st.red
	case plan.Keep, plan.Forget:
		mark, paint = " ", st.dim
	}
	head := fmt.Sprintf("%s %s %s", mark, o.Action, clean(o.Object))
	tail := ""
	if o.File != "" {
		tail = "  " + clean(o.File)
		if o.Line > 0 {
			tail += fmt.Sprintf(":%d", o.Line)
		}
	}
	fmt.Fprintf(w, "%s%s\n", st.bold(paint(head)), st.dim(tail))
	if o.Why != "" {
		fmt.Fprintf(w, "  %s\n", clean(o.Why))
	}
	if o.Error != "" {
		fmt.Fprintf(w, "  %s\n", st.red(cleanLines(o.Error)))
	}
	if o.Whole != nil {
		lines(w, st.green, "  + ", asText(o.Whole))
	}
	for i := range o.Fields {
		printField(w, st, &o.Fields[i])
	}
	fmt.Fprintln(w)
}

func printField(w io.Writer, st style, f *plan.FieldChange) {
	fmt.Fprintf(w, "  %s\n", st.cyan(clean(f.Path)))
	before, after := "", ""
	if f.Had {
		before = asText(f.Before)
	}
	if f.Has {
		after = asText(f.After)
	}
	if f.Had && f.Has && strings.Count(before, "\n")+strings.Count(after, "\n") > manyLines {
		printHunks(w, st, before, after)
		return
	}
	if f.Had {
		lines(w, st.red, "  - ", before)
	}
	if f.Has {
		lines(w, st.green, "  + ", after)
	}
}

// manyLines is how many lines two values may have that are shown whole.
const manyLines = 6

// printHunks prints texts of many lines by what differs in them.
func printHunks(w io.Writer, st style, before, after string) {
	hunks := string(diff.Diff("a", []byte(before), "b", []byte(after)))
	if i := strings.Index(hunks, "\n@@"); i >= 0 {
		hunks = hunks[i+1:] // what comes first names the files, which here are fields
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(hunks, "\n"), "\n") {
		paint := func(t string) string { return t }
		switch {
		case strings.HasPrefix(l, "@@"):
			paint = st.dim
		case strings.HasPrefix(l, "-"):
			paint = st.red
		case strings.HasPrefix(l, "+"):
			paint = st.green
		}
		fmt.Fprintf(w, "  %s\n", paint(clean(l)))
	}
}

func lines(w io.Writer, paint func(string) string, prefix, text string) {
	for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		fmt.Fprintln(w, paint(prefix+clean(l)))
	}
}

// asText is a value as people write it: a text of several lines as it is, all
// else as YAML, and in quotes what would not show otherwise.
func asText(v any) string {
	if s, ok := v.(string); ok {
		switch {
		case strings.Contains(strings.TrimSuffix(s, "\n"), "\n"):
			return s
		case strings.TrimSpace(s) != s:
			return strconv.Quote(s)
		}
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
