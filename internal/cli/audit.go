package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"abide.dev/abide/internal/audit"
)

type auditOptions struct {
	target
	offline, partial bool
	app              string
	since            time.Duration
	now              func() time.Time
}

func newAudit(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Read and verify the audit log",
		Long: "Read and verify the audit log, which the controller writes with --audit-log: a line for every\n" +
			"change, each with the hash of the one before.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditVerify(s), newAuditShow(s))
	return c
}

func newAuditVerify(s Streams) *cobra.Command {
	var o auditOptions
	c := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Say whether a line of the audit log was altered, removed or moved",
		Long: "Say whether a line of the audit log was altered, removed or moved, and which. The end of the\n" +
			"log is compared with the head that the controller keeps in the cluster, so that a tail that\n" +
			"was cut is found too; --offline leaves that out. Files of several controllers or of one that\n" +
			"was rotated are given together, in any order; - is the standard input.\n\n" +
			"It exits with 1 if anything is wrong.",
		Example: "  abide audit verify /var/log/abide/audit.jsonl\n  abide audit verify audit-1.jsonl audit-2.jsonl --offline",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return runAuditVerify(c.Context(), s, o, args)
		},
	}
	o.clusterFlags(c)
	o.ownNamespaceFlag(c)
	c.Flags().BoolVar(&o.offline, "offline", false, "do not ask the cluster for the head: a tail that was cut is not found")
	c.Flags().BoolVar(&o.partial, "partial", false, "the files need not have the beginning of the log")
	return c
}

func runAuditVerify(ctx context.Context, s Streams, o auditOptions, files []string) error {
	var head *audit.Head
	if !o.offline {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		h, err := o.head(ctx, s)
		if err != nil {
			return fmt.Errorf("the head of the audit log in the cluster: %w; --offline verifies without it", err)
		}
		head = &h
	}
	v := audit.NewVerifier(head)
	if err := eachSegment(s, files, v.Read); err != nil {
		return err
	}
	r := v.Report(o.partial)
	for _, f := range r.Findings {
		fmt.Fprintln(s.Out, clean(f.String()))
	}
	if len(r.Findings) > 0 {
		return &exitError{exitFailed, fmt.Errorf("the audit log is not as it was written: %s", count(len(r.Findings), "finding"))}
	}
	text := fmt.Sprintf("%s, entries %d to %d: each is as it was written", count(int(r.Lines), "line"), r.First, r.Last.Seq)
	switch {
	case head == nil:
		text += ", as far as can be told without the head"
	case r.Newer > 0:
		text += fmt.Sprintf("; the last %d are newer than the head in the cluster", r.Newer)
	default:
		text += ", and the last one is the newest"
	}
	fmt.Fprintln(s.Out, text)
	return nil
}

// head asks the cluster for the head.
func (o *auditOptions) head(ctx context.Context, s Streams) (audit.Head, error) {
	c, err := o.connect(s.Err)
	if err != nil {
		return audit.Head{}, err
	}
	kube, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return audit.Head{}, err
	}
	h, err := (&audit.ConfigMap{Client: kube, Namespace: o.abideNamespace}).Head(ctx)
	if err == nil && h.Seq == 0 {
		err = fmt.Errorf("there is none in namespace %s: the controller there has not written an audit log, or --abide-namespace is another", o.abideNamespace)
	}
	return h, c.explain(err)
}

// eachSegment reads files in the order in which their parts were written.
func eachSegment(s Streams, files []string, read func(io.Reader) error) error {
	if len(files) == 1 {
		if files[0] == "-" {
			return read(s.In)
		}
		f, err := os.Open(files[0])
		if err != nil {
			return err
		}
		defer f.Close()
		return read(f)
	}
	type part struct {
		audit.Segment
		f *os.File
	}
	var parts []part
	for _, name := range files {
		if name == "-" {
			return &exitError{exitUsage, errors.New("the standard input can't be one of several files")}
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		segments, err := audit.Segments(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, g := range segments {
			parts = append(parts, part{g, f})
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.First, b.First) })
	for _, p := range parts {
		if err := read(io.NewSectionReader(p.f, p.Offset, p.Length)); err != nil {
			return fmt.Errorf("%s: %w", p.f.Name(), err)
		}
	}
	return nil
}

func newAuditShow(s Streams) *cobra.Command {
	o := auditOptions{now: time.Now}
	c := &cobra.Command{
		Use:     "show FILE...",
		Short:   "Print the audit log for people",
		Long:    "Print the audit log for people, an entry a paragraph. It does not verify anything.",
		Example: "  abide audit show audit.jsonl --app shop/web --since 24h",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return eachSegment(s, args, func(r io.Reader) error { return o.show(s, r) })
		},
	}
	c.Flags().StringVar(&o.app, "app", "", "entries of one App only: `NAMESPACE/NAME`")
	c.Flags().DurationVar(&o.since, "since", 0, "entries of the last `time` only, such as 24h")
	return c
}

func (o *auditOptions) show(s Streams, r io.Reader) error {
	st := styleOf(s.Out)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var e audit.Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(s.Out, st.red("a line that is no entry"))
			continue
		}
		at, err := time.Parse(time.RFC3339, e.Time)
		if o.app != "" && e.App != o.app || o.since > 0 && err == nil && o.now().Sub(at) > o.since {
			continue
		}
		printEntry(s.Out, st, &e)
	}
	return lines.Err()
}

func printEntry(w io.Writer, st style, e *audit.Entry) {
	what := []string{st.dim(clean(e.Time)), st.bold(clean(string(e.Kind))), clean(e.App)}
	if e.Release > 0 {
		what = append(what, fmt.Sprintf("release %d", e.Release))
	}
	if e.Outcome != "" {
		what = append(what, st.outcome(clean(e.Outcome)))
	}
	if e.Commit != "" {
		what = append(what, "commit "+clean(short(e.Commit)))
	}
	if e.Author != "" {
		what = append(what, "by "+clean(personName(e.Author)))
	}
	if e.By != "" {
		what = append(what, "asked for by "+clean(e.By))
	}
	fmt.Fprintln(w, strings.Join(slices.DeleteFunc(what, func(t string) bool { return t == "" }), "  "))
	for _, g := range e.Gates {
		fmt.Fprintf(w, "    %s let through by %s  %s\n", clean(g.Gate), clean(g.By), clean(g.Reason))
	}
	if e.Message != "" {
		fmt.Fprintf(w, "    %s\n", clean(e.Message))
	}
	for _, o := range e.Objects {
		line := fmt.Sprintf("    %s %s", clean(o.Action), clean(o.Object))
		if o.By != "" {
			line += ", changed by " + clean(o.By)
		}
		if o.Message != "" {
			line += ": " + clean(o.Message)
		}
		fmt.Fprintln(w, line)
	}
}
