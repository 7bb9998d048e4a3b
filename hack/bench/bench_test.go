package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRequests(t *testing.T) {
	line := func(stage, verb, who string) string {
		return `{"stage":"` + stage + `","verb":"` + verb + `","user":{"username":"` + who + `"}}` + "\n"
	}
	log := filepath.Join(t.TempDir(), "audit.log")
	first := line("ResponseComplete", "patch", user) +
		line("ResponseComplete", "patch", "somebody") +
		line("ResponseStarted", "watch", user) +
		line("ResponseComplete", "watch", user) // the same watch, at its end
	if err := os.WriteFile(log, []byte(first+`{"stage":"Resp`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, next, err := requests(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"patch": 1, "watch": 1}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if next != int64(len(first)) {
		t.Errorf("goes on from %d, want %d: a line that is being written is for the next time", next, len(first))
	}
	if err := os.WriteFile(log, []byte(first+line("ResponseComplete", "get", user)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err = requests(log, next); err != nil || len(got) != 1 || got["get"] != 1 {
		t.Errorf("from there on: %v, %v", got, err)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("bench reads /proc")
	}
	if n, err := memory(os.Getpid()); err != nil || n <= 0 {
		t.Errorf("memory is %d, %v", n, err)
	}
	if _, err := processor(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	got := table([]result{{
		scenario: scenario{name: "small"},
		sync:     phase{took: 1234 * time.Millisecond, requests: map[string]int{"patch": 20, "get": 1}},
		commits:  []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond},
		drifts:   []time.Duration{time.Millisecond},
		commit:   phase{requests: map[string]int{"patch": 9}},
		peak:     5 << 20,
	}})
	for _, want := range []string{
		"|  | small |\n| --- | --- |\n",
		"| first sync: time | 1.23s |",
		"| first sync: requests | 21: get 1, patch 20 |",
		"| commit to live: median | 2ms |",
		"| commit to live: slowest | 3ms |",
		"| a commit and a drift: requests | 3.0 on average (9: patch 9 in all) |",
		"| idle: requests | 0 |",
		"| peak anonymous memory | 5 MiB |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
