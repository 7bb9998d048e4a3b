package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"
)

// format is what -o asks for.
type format string

// The formats; each command takes some of them.
const (
	asTable format = ""
	asWide  format = "wide"
	asName  format = "name"
	asYAML  format = "yaml"
	asJSON  format = "json"
)

// formatFlag is the flag -o, which takes some formats.
type formatFlag struct {
	format
	takes []format
}

func (f *formatFlag) String() string { return string(f.format) }
func (f *formatFlag) Type() string   { return "format" }

// Set checks the value, so that a wrong one is a wrong command line.
func (f *formatFlag) Set(v string) error {
	for _, t := range f.takes {
		if string(t) == v {
			f.format = t
			return nil
		}
	}
	return fmt.Errorf("it takes %s", f.list())
}

func (f *formatFlag) list() string {
	names := make([]string, len(f.takes))
	for i, t := range f.takes {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

func (f *formatFlag) add(c *cobra.Command, takes ...format) {
	f.takes = takes
	c.Flags().VarP(f, "output", "o", "output `format`: "+f.list())
	_ = c.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(f.list(), ", "), cobra.ShellCompDirectiveNoFileComp
	}) // the flag exists
}

// printValue prints a value as JSON or YAML.
func printValue(w io.Writer, f format, v any) error {
	if f == asYAML {
		b, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "    ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// document is an object as it is printed: with apiVersion and kind, without the
// record of who owns which field.
func document(o client.Object) (map[string]any, error) {
	gvk, err := apiutil.GVKForObject(o, scheme())
	if err != nil {
		return nil, err
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	m["apiVersion"], m["kind"] = gvk.GroupVersion().String(), gvk.Kind
	if md, ok := m["metadata"].(map[string]any); ok {
		delete(md, "managedFields")
		if md["creationTimestamp"] == nil {
			delete(md, "creationTimestamp")
		}
	}
	return m, nil
}

// printObjects prints objects as names, JSON or YAML. One that was asked for by
// its name stands alone, others are a list.
func printObjects(w io.Writer, f format, objects []client.Object, alone bool) error {
	if f == asName {
		for _, o := range objects {
			gvk, err := apiutil.GVKForObject(o, scheme())
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s.%s/%s\n", strings.ToLower(gvk.Kind), gvk.Group, o.GetName())
		}
		return nil
	}
	items := make([]any, len(objects))
	for i, o := range objects {
		d, err := document(o)
		if err != nil {
			return err
		}
		items[i] = d
	}
	if alone && len(items) == 1 {
		return printValue(w, f, items[0])
	}
	return printValue(w, f, map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
}

// itemsOf returns the objects of a list.
func itemsOf(l client.ObjectList) ([]client.Object, error) {
	raw, err := meta.ExtractList(l)
	if err != nil {
		return nil, err
	}
	out := make([]client.Object, 0, len(raw))
	for _, r := range raw {
		if o, ok := r.(client.Object); ok {
			out = append(out, o)
		}
	}
	return out, nil
}

// table is rows of text in columns that are as wide as they need to be.
type table struct {
	head []string
	rows [][]string
	// paint colours a cell, if it is set; row -1 is the head.
	paint func(row, column int, text string) string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

// print writes the table. widths carries the widths of the columns on to a
// table that continues this one; it may be nil.
func (t *table) print(w io.Writer, widths []int, head bool) []int {
	all := t.rows
	if head {
		all = append([][]string{t.head}, t.rows...)
	}
	if widths == nil {
		widths = make([]int, len(t.head))
	}
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for n, row := range all {
		if head {
			n--
		}
		var b strings.Builder
		for i, c := range row {
			text := c
			if t.paint != nil {
				text = t.paint(n, i, c)
			}
			b.WriteString(text)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+3))
			}
		}
		fmt.Fprintln(w, b.String())
	}
	return widths
}

// age is how long ago a time is, short as in kubectl's tables.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t))
}

// ago is how long ago a time is, in words.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -time.Minute:
		return "in the future, by this machine's clock"
	case d < 10*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// count is a number of things in words: 1 object, 2 objects.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	r := []rune(text)
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}
