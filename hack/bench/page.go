package main

import (
	"fmt"
	"strings"
	"time"
)

// page is what bench says in the end.
type page struct {
	began         time.Time
	took          time.Duration
	version       string
	machine, load string
	skipped       []string
	results       []result
}

func (p page) String() string {
	var w strings.Builder
	w.WriteString("# Benchmarks\n\n<!-- Written by make bench. -->\n\n")
	fmt.Fprintf(&w, "Measured on %s in %s with\n`%s`\non %s,\nshared by abide, git, the API server, etcd, their clients and the bench itself; the load\naverage was %s before it began.\n\n",
		p.began.UTC().Format("2006-01-02 15:04 UTC"), p.took.Round(time.Second), p.version, p.machine, p.load)
	w.WriteString(howToRead)
	if len(p.skipped) > 0 {
		w.WriteString("Not measured in this run: " + strings.Join(p.skipped, "; ") + ".\n\n")
	}
	p.targets(&w)
	w.WriteString(whereItGoes)
	for _, t := range []struct {
		title string
		rows  []row
	}{
		{"First sync", firstSyncRows}, {"Commit to live", commitRows}, {"Drift", driftRows},
		{"Nothing to do", quietRows}, {"Restart", restartRows}, {"Memory and machine", memoryRows},
	} {
		w.WriteString("## " + t.title + "\n\n")
		p.table(&w, t.rows)
	}
	p.requests(&w)
	return w.String()
}

const howToRead = `Beside each figure stands a yardstick from the same run and the same API server:

- *the same requests*: a bare client with everything in memory that sends, at once for each
  step, the dry runs, the creates of one record per App, the applies, an update and a
  status-like patch of each record;
- *applies alone*: it sends the applies and nothing else. For both, a sweep over 1, 2, 4, 8,
  16 and 32 parallel requests with a sample of the objects picks the parallelism; the best of
  three full runs (two, where they take over 20 s) counts, into namespaces of their own;
- *fetch and three writes*: one ` + "`git fetch`" + ` of the same commit over smart HTTP, then a dry run, an
  apply and the update of a record, one after the other.

Times of commits run from the end of the push, with the refresh of the Repository sent at once
(all Apps are judged), to the new value in a watch; those of drifts from the sending of the
foreign write to the healed object in a watch. Requests are those of abide's own user in the
audit log. Processor time and anonymous memory are those of abide and every process below it, its
render workers counted as abide.

`

// whereItGoes explains the figures that may be missed on a machine as small as
// this one.
const whereItGoes = `### Where a first sync spends its time

On two processors the API server, etcd, abide and the bench compete for every cycle, so a first
sync takes as long as all of them compute together: its ratio follows the row *ratio of all
processor time* below. With one large App it is close to that of the bare client. With many small
ones there is more to do than the bare client does, for each App:

- four writes of custom resources (the App itself, its finalizer, its inventory, its status), of
  which the bare client has none: its records are ConfigMaps. A custom resource costs the API
  server two to three times as much, for its schema, its CEL rules and the fields it keeps track of;
- the events of two watches: of the objects, which make drift visible, and of the App;
- a render in a process of its own (two to three milliseconds more than in abide itself, for a
  dozen files), and a hash and a fingerprint of each object;
- the record of a release, once when it begins to be applied and, where its objects take a while
  to be healthy, once more, and a Secret with what was rendered; a line of the audit log;
- an Event, which is sent later, at ten a second.

What would bring it down further: a finalizer that the API server sets itself when an App is
created (an admission policy that changes objects), and records of a built-in kind, which would
give up their validation and ` + "`kubectl explain`" + `. A profile of each side: ` + "`go run ./hack/bench -profiles DIR`" + `.

### Where memory goes

The peak is that of the first sync. The controller collects garbage when its heap has grown to one
and three quarters of what lives in it, the processes that render at twice, and these are counted
as well; *when idle* below is nearer to what is held. GOGC in the environment of the controller sets
another percentage than 75. What would bring it down further: records of objects in fewer
allocations, and no render process that is kept ready.

`

// row is one line of a table.
type row struct {
	name string
	cell func(r result) string
}

func (p page) table(w *strings.Builder, rows []row) {
	line := func(first string, cell func(result) string) {
		w.WriteString("| " + first + " |")
		for _, r := range p.results {
			w.WriteString(" " + cell(r) + " |")
		}
		w.WriteString("\n")
	}
	line("", func(r result) string { return r.scenario.name })
	line("---", func(result) string { return "---" })
	for _, row := range rows {
		line(row.name, row.cell)
	}
	w.WriteString("\n")
}

func bareProcessor(which func(result) bare) func(result) string {
	return func(r result) string { return short(which(r).client) + "; " + short(which(r).server) }
}

func everything(request) bool { return true }

// processor is the time that abide took, and git's share of it.
func processor(c cost) string {
	return fmt.Sprintf("%s (git %s)", short(c.abide.processor()), short(c.abide.below))
}

func processorEach(c cost, n int) string {
	if n == 0 {
		return "–"
	}
	d := time.Duration(n)
	return fmt.Sprintf("%s (git %s)", short(c.abide.processor()/d), short(c.abide.below/d))
}

var firstSyncRows = []row{
	{"last App made", func(r result) string { return short(r.created) }},
	{"last object present", func(r result) string { return short(r.lastObject) }},
	{"every App has been Synced", func(r result) string { return short(r.synced) }},
	{"all Apps Ready", func(r result) string { return short(r.ready) }},
	{"bare client, the same requests", func(r result) string {
		return fmt.Sprintf("%s (%d parallel)", short(r.yard.same.took), r.yard.same.workers)
	}},
	{"bare client, applies alone", func(r result) string {
		return fmt.Sprintf("%s (%d parallel)", short(r.yard.applies.took), r.yard.applies.workers)
	}},
	{"**ratio**: Synced / the same requests", func(r result) string { return ratio(r.synced, r.yard.same.took) }},
	{"ratio: last object / the same requests", func(r result) string { return ratio(r.lastObject, r.yard.same.took) }},
	{"ratio: last object / applies alone", func(r result) string { return ratio(r.lastObject, r.yard.applies.took) }},
	{"requests for each object", func(r result) string {
		return each(r.first.requests.count(aboutObject.writes), r.scenario.objects())
	}},
	{"writes of records and Events for each App", func(r result) string {
		return each(r.first.requests.count(aboutApp.writes), r.scenario.apps)
	}},
	{"processor of abide until all are Ready", func(r result) string { return processor(r.converging) }},
	{"processor of API server and etcd meanwhile", func(r result) string { return short(r.converging.server) }},
	{"bare client, the same requests: its processor; API server and etcd", bareProcessor(func(r result) bare { return r.yard.same })},
	{"bare client, applies alone: its processor; API server and etcd", bareProcessor(func(r result) bare { return r.yard.applies })},
	{"ratio of all processor time, to the same requests", func(r result) string {
		return ratio(r.converging.abide.processor()+r.converging.server, r.yard.same.processor())
	}},
}

var commitRows = []row{
	{"one object of one App: live", func(r result) string { return spread(r.live) }},
	{"one `git fetch`", func(r result) string { return spread(r.yard.fetches) }},
	{"three bare writes", func(r result) string { return spread(r.yard.writes) }},
	{"**ratio** of the medians: live / fetch and three writes", func(r result) string {
		return ratio(median(r.live), median(sums(r.yard.fetches, r.yard.writes)))
	}},
	{"requests to objects, each commit", func(r result) string {
		return each(r.commits.requests.count(aboutObject.asks), len(r.live))
	}},
	{"requests for records and Events of the App and the ref, each commit", func(r result) string {
		return each(r.commits.requests.count(aboutApp.asks), len(r.live))
	}},
	{"requests that answer the refresh of the Repository, each commit", func(r result) string {
		return each(r.commits.requests.count(aboutRepository.asks), len(r.live))
	}},
	{"processor, each commit", func(r result) string { return processorEach(r.commits, len(r.live)) }},
	{"processor of API server and etcd, each commit", func(r result) string { return short(r.commits.server / time.Duration(max(1, len(r.live)))) }},
	{"a commit that touches nothing: judged", func(r result) string { return spread(r.nothing) }},
	{"its requests, each", func(r result) string { return each(len(r.untouch.requests), len(r.nothing)) }},
	{"its processor, each", func(r result) string { return processorEach(r.untouch, len(r.nothing)) }},
}

var driftRows = []row{
	{"a changed object is healed", func(r result) string { return spread(r.changed) }},
	{"a deleted object is back", func(r result) string { return spread(r.deleted) }},
	{"one bare apply", func(r result) string { return spread(r.yard.applied) }},
	{"drifts", func(r result) string { return fmt.Sprint(r.drifts()) }},
	{"requests to objects, each drift", func(r result) string {
		return each(r.drift.requests.count(aboutObject.asks), r.drifts())
	}},
	{"requests for records and Events, each drift", func(r result) string {
		return each(r.drift.requests.count(aboutApp.asks), r.drifts())
	}},
	{"processor, each drift", func(r result) string { return processorEach(r.drift, r.drifts()) }},
}

var quietRows = []row{
	{"idle for", func(r result) string { return short(r.idle.took) }},
	{"idle: requests", func(r result) string { return named(r.idle.requests.byName()) }},
	{"idle: processor", func(r result) string { return processor(r.idle) }},
	{"idle: processor of API server and etcd", func(r result) string { return short(r.idle.server) }},
	{"events that are not drift", func(r result) string { return fmt.Sprint(r.scenario.probes) }},
	{"their requests", func(r result) string { return named(r.foreign.requests.byName()) }},
	{"their processor", func(r result) string { return processor(r.foreign) }},
}

var restartRows = []row{
	{"nothing changed: last request after", func(r result) string { return short(r.restartQuiet) }},
	{"writes", func(r result) string { return fmt.Sprint(r.restart.requests.count(request.write)) }},
	{"lists", func(r result) string { return fmt.Sprint(r.restart.requests.count(request.list)) }},
	{"all requests", func(r result) string { return fmt.Sprint(r.restart.requests.count(everything)) }},
	{"processor", func(r result) string { return processor(r.restart) }},
	{"a drift made while abide was down: healed after", func(r result) string { return short(r.restartHeal) }},
}

var memoryRows = []row{
	{"peak anonymous memory of abide, its workers and git", func(r result) string { return mebibytes(r.peak) }},
	{"when idle", func(r result) string { return mebibytes(r.idle.abide.memory) }},
	{"after a restart", func(r result) string { return mebibytes(r.restart.abide.memory) }},
	{"peak of the whole sandbox, yardsticks included", func(r result) string { return mebibytes(r.serverPeak) }},
	{"the machine's processor time that went to other programs", func(r result) string { return fmt.Sprintf("%d %%", r.others) }},
}

// requests lists every request by verb and resource.
func (p page) requests(w *strings.Builder) {
	w.WriteString("## Requests by verb and resource\n\n")
	for _, r := range p.results {
		w.WriteString("### " + r.scenario.name + "\n\n")
		for _, m := range []struct {
			name string
			cost cost
		}{
			{"first sync", r.first}, {"idle", r.idle}, {"events that are not drift", r.foreign},
			{fmt.Sprintf("%d commits that touch one object", len(r.live)), r.commits},
			{fmt.Sprintf("%d commits that touch nothing", len(r.nothing)), r.untouch},
			{fmt.Sprintf("%d drifts", r.drifts()), r.drift},
			{"restart with nothing changed", r.restart},
		} {
			w.WriteString("- " + m.name + ": " + named(m.cost.requests.byName()) + "\n")
		}
		w.WriteString("\n")
	}
}
