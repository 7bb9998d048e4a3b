package main

import (
	"fmt"
	"strings"
	"time"
)

// goal is a figure that must not be exceeded.
type goal struct {
	name    string
	most    float64
	unit    string
	measure func(r result) float64
}

// unmeasured is the figure of a goal that a scenario does not have.
const unmeasured = -1

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quotient(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func perUnit(sum, n int) float64 { return float64(sum) / float64(max(1, n)) }

// goals are what abide must hold on two processors that it shares with the API
// server, at every size that is measured.
var goals = []goal{
	{"first sync, to a bare client with the same requests", 1.5, "×", func(r result) float64 { return quotient(r.synced, r.yard.same.took) }},
	{"first sync, requests for each object", 2, "", func(r result) float64 {
		return perUnit(r.first.requests.count(aboutObject.writes), r.scenario.objects())
	}},
	{"commit to live, median", 120, "ms", func(r result) float64 { return milliseconds(median(r.live)) }},
	{"commit to live, to a fetch and three writes", 2, "×", func(r result) float64 {
		return quotient(median(r.live), median(sums(r.yard.fetches, r.yard.writes)))
	}},
	{"a commit, processor without git", 40, "ms", func(r result) float64 {
		return milliseconds(r.commits.abide.own) / float64(max(1, len(r.live)))
	}},
	{"a commit, processor with git", 80, "ms", func(r result) float64 {
		return milliseconds(r.commits.abide.processor()) / float64(max(1, len(r.live)))
	}},
	{"a commit, requests to the changed object", 2, "", func(r result) float64 {
		return perUnit(r.commits.requests.count(aboutObject.asks), len(r.live))
	}},
	{"a commit, writes of records of the App and the ref", 6, "", func(r result) float64 {
		return perUnit(r.commits.requests.count(aboutApp.writes), len(r.live))
	}},
	{"drift, a changed object, median", 50, "ms", func(r result) float64 { return milliseconds(median(r.changed)) }},
	{"drift, a deleted object, median", 50, "ms", func(r result) float64 { return milliseconds(median(r.deleted)) }},
	{"drift, requests to objects", 1, "", func(r result) float64 {
		return perUnit(r.drift.requests.count(aboutObject.asks), r.drifts())
	}},
	{"events that are not drift, requests", 0, "", func(r result) float64 { return float64(len(r.foreign.requests)) }},
	{"idle, requests that are no watch", 0, "", func(r result) float64 {
		return float64(r.idle.requests.count(func(q request) bool { return !q.watch() }))
	}},
	{"idle, processor in a minute", 200, "ms", func(r result) float64 {
		return milliseconds(r.idle.abide.processor()) / max(1, r.idle.took.Minutes())
	}},
	{"restart, writes", 0, "", func(r result) float64 { return float64(r.restart.requests.count(request.write)) }},
	{"restart, a drift made before it is healed after", 5000, "ms", func(r result) float64 { return milliseconds(r.restartHeal) }},
	{"peak anonymous memory, 500 Apps and fewer", 120, "MiB", func(r result) float64 {
		if r.scenario.apps > 500 {
			return unmeasured
		}
		return float64(r.peak) / (1 << 20)
	}},
	{"peak anonymous memory, 2,000 Apps and fewer", 200, "MiB", func(r result) float64 { return float64(r.peak) / (1 << 20) }},
}

// targets writes how the figures stand to the goals; those that are missed are
// set in bold.
func (p page) targets(w *strings.Builder) {
	rows := make([]row, len(goals))
	for i, g := range goals {
		rows[i] = row{g.name + ": at most " + amount(g.most, g.unit), func(r result) string {
			v := g.measure(r)
			if v == unmeasured {
				return "–"
			}
			s := amount(v, g.unit)
			if v > g.most {
				return "**" + s + "**"
			}
			return s
		}}
	}
	w.WriteString("## Goals\n\nWhat is missed stands in bold.\n\n")
	p.table(w, rows)
}

// amount is a number with its unit, as exact as it makes sense.
func amount(v float64, unit string) string {
	s := fmt.Sprintf("%.2f", v)
	if v >= 100 {
		s = fmt.Sprintf("%.0f", v)
	}
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	if unit == "" || unit == "×" {
		return s + unit
	}
	return s + " " + unit
}
