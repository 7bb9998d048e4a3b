package main

import (
	"strings"
	"testing"
	"time"
)

func TestPage(t *testing.T) {
	const ms = time.Millisecond
	record := request{verb: "patch", group: "abide.dev", resource: "apps/status", code: 200}
	dry := request{verb: "patch", resource: "configmaps", dryRun: true, code: 200}
	apply := request{verb: "patch", resource: "configmaps", code: 200}
	r := result{
		scenario: scenario{name: "small", shape: overlays{10}, apps: 2, probes: 2},
		synced:   3 * time.Second, lastObject: 2 * time.Second,
		first:      cost{requests: repeat(20, dry, apply)},
		converging: cost{abide: usage{own: time.Second, below: 500 * ms}},
		live:       []time.Duration{30 * ms, 10 * ms, 20 * ms},
		commits:    cost{requests: repeat(3, dry, apply, record, record)},
		peak:       5 << 20,
		changed:    []time.Duration{70 * ms},
		yard: yardsticks{
			same: bare{workers: 4, took: 2 * time.Second}, applies: bare{workers: 8, took: time.Second},
			fetches: []time.Duration{5 * ms, 5 * ms, 5 * ms}, writes: []time.Duration{5 * ms, 5 * ms, 5 * ms},
		},
	}
	got := page{machine: "a machine", version: "abide v1", skipped: []string{"large"}, results: []result{r}}.String()
	for _, want := range []string{
		"`abide v1`\non a machine",
		"Not measured in this run: large.",
		"|  | small |\n| --- | --- |\n",
		"| bare client, the same requests | 2.00 s (4 parallel) |",
		"| **ratio**: Synced / the same requests | 1.50 |",
		"| ratio: last object / applies alone | 2.00 |",
		"| requests for each object | 2 |",
		"| processor of abide until all are Ready | 1.50 s (git 500.0 ms) |",
		"| one object of one App: live | 20.0 ms, at most 30.0 ms |",
		"| **ratio** of the medians: live / fetch and three writes | 2.00 |",
		"| requests to objects, each commit | 2 |",
		"| requests for records and Events of the App and the ref, each commit | 2 |",
		"| idle: requests | none |",
		"| first sync, to a bare client with the same requests: at most 1.5× | 1.5× |",
		"| a commit, requests to the changed object: at most 2 | 2 |",
		"| peak anonymous memory of abide, its workers and git | 5 MiB |",
		"- 3 commits that touch one object: 6 patch apps/status, 3 patch configmaps, 3 patch configmaps (dry run)\n",
		"| drift, a changed object, median: at most 50 ms | **70 ms** |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func repeat(n int, of ...request) tally {
	var out tally
	for range n {
		out = append(out, of...)
	}
	return out
}
