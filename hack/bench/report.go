package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table is the results as Markdown.
func table(all []result) string {
	var w strings.Builder
	row := func(name string, cell func(r result) string) {
		w.WriteString("| " + name + " |")
		for _, r := range all {
			w.WriteString(" " + cell(r) + " |")
		}
		w.WriteString("\n")
	}
	row("", func(r result) string { return r.scenario.name })
	row("---", func(result) string { return "---" })
	row("first sync: time", func(r result) string { return short(r.sync.took) })
	row("first sync: requests", func(r result) string { return verbs(r.sync.requests) })
	row("first sync: processor", func(r result) string { return short(r.sync.processor) })
	row("commit to live: median", func(r result) string { return short(median(r.commits)) })
	row("commit to live: slowest", func(r result) string { return short(slices.Max(r.commits)) })
	row("drift to healed: median", func(r result) string { return short(median(r.drifts)) })
	row("a commit and a drift: requests", func(r result) string {
		return fmt.Sprintf("%.1f on average (%s in all)", float64(total(r.commit.requests))/float64(len(r.commits)), verbs(r.commit.requests))
	})
	row("idle: for", func(r result) string { return short(r.idle.took) })
	row("idle: requests", func(r result) string { return verbs(r.idle.requests) })
	row("idle: processor", func(r result) string { return short(r.idle.processor) })
	row("peak anonymous memory", func(r result) string { return fmt.Sprintf("%d MiB", r.peak>>20) })
	return w.String()
}

// heading says where and when the figures were measured.
func heading(ctx context.Context, bin string) (string, error) {
	version, err := exec.CommandContext(ctx, filepath.Join(bin, "abide"), "version").Output()
	if err != nil {
		return "", fmt.Errorf("abide version: %w", err)
	}
	var w strings.Builder
	w.WriteString("# Benchmarks\n\n<!-- Written by make bench. -->\n\n")
	fmt.Fprintf(&w, "Measured on %s with `%s`\non %s, %d processors, %s/%s, %s, shared with the API server.\n\n",
		time.Now().UTC().Format(time.DateOnly), strings.Join(strings.Fields(string(version)), " "),
		model(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	w.WriteString("Times are from the request until the API has the result, requests are the\ncontroller's own by the API server's audit log (a watch counts once, when it\nstarts), processor time and memory include the programs that it starts.\n\n")
	return w.String(), nil
}

// model is the name of the processor, as far as Linux says it.
func model() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "an unknown processor"
}

// short rounds to three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func total(byVerb map[string]int) int {
	n := 0
	for _, c := range byVerb {
		n += c
	}
	return n
}

// verbs is the sum and its parts.
func verbs(byVerb map[string]int) string {
	var parts []string
	for _, verb := range slices.Sorted(maps.Keys(byVerb)) {
		parts = append(parts, fmt.Sprintf("%s %d", verb, byVerb[verb]))
	}
	if len(parts) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %s", total(byVerb), strings.Join(parts, ", "))
}
