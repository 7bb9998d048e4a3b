package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// median of a list; 0 of an empty one.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}

// sums adds two lists, one by one.
func sums(a, b []time.Duration) []time.Duration {
	out := make([]time.Duration, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] + b[i]
	}
	return out
}

// short rounds to three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// spread is the median and the slowest.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "–"
	}
	return short(median(all)) + ", at most " + short(slices.Max(all))
}

func ratio(a, b time.Duration) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<19)>>20) }

// each is a share, such as a cost for each of some commits.
func each(sum, n int) string {
	if n == 0 {
		return "–"
	}
	s := fmt.Sprintf("%.1f", float64(sum)/float64(n))
	return strings.TrimSuffix(s, ".0")
}

// named lists what was counted, the most frequent first.
func named(byName map[string]int) string {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if byName[a] != byName[b] {
			return byName[b] - byName[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", byName[name], name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
