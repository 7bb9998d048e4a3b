package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page returns the reference of a command and all below it as Markdown.
func Page(root *cobra.Command) string {
	root.InitDefaultCompletionCmd()
	root.DisableAutoGenTag = true
	var b strings.Builder
	b.WriteString("# The command line\n\n")
	b.WriteString("<!-- Written by hack/clidocs from the commands themselves: make generate. -->\n\n")
	fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(root.Long))
	b.WriteString("All commands work as `kubectl abide …` too, once a link named `kubectl-abide` to abide\nis in the PATH.\n\n")
	b.WriteString("| command | |\n| --- | --- |\n")
	for _, c := range commands(root) {
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", c.CommandPath(), anchor(c), cell(c.Short))
	}
	for _, c := range commands(root) {
		section(&b, c)
	}
	return b.String()
}

// commands are those that people see, in the order of their names.
func commands(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if c.Name() != "help" && !c.Hidden {
			out = append(out, c)
		}
	}
	return out
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func section(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "%s\n\n```\n%s\n```\n", prose(text), c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(b, "\nFor example:\n\n```\n%s\n```\n", dedent(c.Example))
	}
	if subs := commands(c); len(subs) > 0 {
		b.WriteString("\n")
		for _, s := range subs {
			fmt.Fprintf(b, "- `%s`: %s\n", s.CommandPath(), s.Short)
		}
	}
	flags(b, c)
}

func flags(b *strings.Builder, c *cobra.Command) {
	var rows []string
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name
		if kind != "" {
			name += " " + kind
		}
		name += "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0s" {
			usage += " (default `" + portable(d) + "`)"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |\n", name, cell(usage)))
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| flag | |\n| --- | --- |\n%s", strings.Join(rows, ""))
	}
}

// portable leaves out of a default what depends on the machine.
func portable(d string) string {
	if tmp := strings.TrimSuffix(os.TempDir(), "/"); tmp != "" {
		d = strings.Replace(d, tmp, "$TMPDIR", 1)
	}
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		d = strings.Replace(d, home, "~", 1)
	}
	return d
}

// prose makes Markdown of a help text: what is indented in it is code.
func prose(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, "  ") {
			paragraphs[i] = "```\n" + dedent(p) + "\n```"
			continue
		}
		paragraphs[i] = strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(p)
	}
	return strings.Join(paragraphs, "\n\n")
}

func dedent(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "  ")
	}
	return strings.Join(lines, "\n")
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}
