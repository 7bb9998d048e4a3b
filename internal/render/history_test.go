package render_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/source/git"
)

// files is the content of a repository at one commit.
type files map[string]memtree.Node

// historyApps share bases, components, files and links, and some of them look
// for what is not there. The names of the rows are paths.
var historyApps = map[string]render.Request{
	"one":       {Path: "apps/one", Text: true},
	"one-file":  {Path: "apps/one/kustomization.yaml"},
	"two":       {Path: "./apps/two/"},
	"three":     {Path: "apps/three"},
	"three-sub": {Path: "apps/three/sub"},
	"four":      {Path: "apps/four", Text: true},
	"five":      {Path: "apps/five"},
	"six":       {Path: "apps/six"},
	"seven":     {Path: "apps/seven"},
	"base":      {Path: "shared/base"},
	"manifest":  {Path: "apps/three/a.yaml"},
	"nowhere":   {Path: "apps/none/at/all"},
	"shared":    {Path: "shared/files"},
	"tight":     {Path: "apps/three", Limits: render.Limits{FileBytes: 130, TotalBytes: 400, Objects: 3}},
	"eight":     {Path: "apps/eight", Jsonnet: &jsonnet.Options{LibraryPaths: []string{"shared/lib"}}},
	"patched":   {Path: "apps/three", Overlay: &overlay.Options{NamePrefix: "p-"}, Substitute: &substitute.Options{}},
	"all":       {Path: "apps"},
}

func historyBase() files {
	return files{
		"README.md":                        memtree.File("nobody renders this\n"),
		"shared/base/kustomization.yaml":   memtree.File("resources: [r.yaml]\nlabels: [{pairs: {team: a}}]\n"),
		"shared/base/r.yaml":               memtree.File(configMap("base")),
		"shared/comp/kustomization.yaml":   memtree.File("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n"),
		"shared/files/f.txt":               memtree.File("x\n"),
		"shared/files/s.yaml":              memtree.File(configMap("s")),
		"shared/files/k/k.yaml":            memtree.File(configMap("k")),
		"apps/one/kustomization.yaml":      memtree.File("resources: [../../shared/base]\nnamePrefix: one-\nconfigMapGenerator: [{name: g, files: [f.txt]}]\npatches: [{path: p.yaml}]\n"),
		"apps/one/f.txt":                   memtree.Link("../../shared/files/f.txt"),
		"apps/one/p.yaml":                  memtree.File("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\ndata: {patched: 'yes'}\n"),
		"apps/two/kustomization.yaml":      memtree.File("resources: [../../shared/base, more]\ncomponents: [../../shared/comp]\n"),
		"apps/two/more/kustomization.yaml": memtree.File("resources: [a.yaml]\n"),
		"apps/two/more/a.yaml":             memtree.File(configMap("more")),
		"apps/three/a.yaml":                memtree.File(configMap("a")),
		"apps/three/sub/b.yaml":            memtree.File(configMap("b")),
		"apps/three/sub/c.yaml":            memtree.File(configMap("c")),
		"apps/three/k/kustomization.yaml":  memtree.File("resources: [../../../shared/base]\nnamePrefix: k-\n"),
		"apps/four/s.yaml":                 memtree.Link("../../shared/files/s.yaml"),
		"apps/four/k":                      memtree.Link("../../shared/files/k"),
		"apps/five":                        memtree.Link("one"),
		"apps/six/kustomization.yaml":      memtree.File("resources: [missing.yaml]\n"),
		"apps/seven/deep/er/d.yaml":        memtree.File(configMap("deep")),
		"apps/seven/run.sh":                memtree.Exec("#!/bin/sh\n"),
		"apps/eight/m.jsonnet":             memtree.File("import 'l.libsonnet'"),
		"apps/eight/sub/n.jsonnet":         memtree.File(object("n")),
		"apps/eight/more.yaml":             memtree.File(configMap("more")),
		"shared/lib/l.libsonnet":           memtree.File(object("l")),
	}
}

// history makes commits out of random edits. The same seed makes the same ones.
type history struct {
	rng  *rand.Rand
	now  files
	past []files
	gone []files // folders and files that were taken away
	log  []string
}

func newHistory(seed uint64) *history {
	h := &history{rng: rand.New(rand.NewPCG(seed, 3)), now: historyBase()}
	h.past = append(h.past, maps.Clone(h.now))
	return h
}

// commit makes one to three edits and returns the files.
func (h *history) commit() files {
	h.log = nil
	edits := []func(){
		h.change, h.change, h.looked, h.looked, h.mode, h.asLink, h.link, h.link, h.moveFile, h.moveFolder,
		h.folderForFile, h.remove, h.bringBack, h.bringBack, h.restore, h.restore, h.restore, h.swap, h.unrelated,
	}
	for range 1 + h.rng.IntN(3) {
		if len(h.folders()) == 0 {
			h.now = historyBase() // too little is left to edit
		}
		edits[h.rng.IntN(len(edits))]()
	}
	if len(h.now) == 0 {
		h.now = historyBase() // Git has commits without files, memtree has not
	}
	h.past = append(h.past, maps.Clone(h.now))
	return h.past[len(h.past)-1]
}

func pick[T any](h *history, list []T) T { return list[h.rng.IntN(len(list))] }

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// say names a commit and what it did, for whoever reads of a failure.
func (h *history) say(seed uint64, n int) string {
	return fmt.Sprintf("seed %d, commit %d (%s)", seed, n, strings.Join(h.log, "; "))
}

func (h *history) paths() []string { return slices.Sorted(maps.Keys(h.now)) }

// folders are those that hold something, the root left out.
func (h *history) folders() []string {
	set := map[string]bool{}
	for p := range h.now {
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			set[d] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// put writes n at p, and takes away what cannot be beside it.
func (h *history) put(p string, n memtree.Node) {
	for q := range h.now {
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			delete(h.now, q)
		}
	}
	h.now[p] = n
}

// take removes p and all below it.
func (h *history) take(p string) files {
	out := files{}
	for q, n := range h.now {
		if q == p || strings.HasPrefix(q, p+"/") {
			out[q] = n
			delete(h.now, q)
		}
	}
	h.gone = append(h.gone, out)
	return out
}

func (h *history) content() memtree.Node {
	return pick(h, []memtree.Node{
		memtree.File(configMap("new")), memtree.File(configMap("a")), memtree.File(configMap("base")), memtree.File("{broken"),
		memtree.File(""), memtree.File("values: 1\n"), memtree.File(configMap("large") + "data: {a: " + strings.Repeat("x", 100) + "}\n"),
		memtree.File("resources: [r.yaml]\n"), memtree.File("resources: [a.yaml]\nnamePrefix: p-\n"), memtree.File("resources: [.]\n"),
		memtree.File("resources: [../../shared/base, missing.yaml]\n"), memtree.File("bases: [../base]\n"), memtree.File("*.yaml\n!a.yaml\n"), memtree.File("sub/\n"),
		memtree.File(object("j")), memtree.File("import 'l.libsonnet'"), memtree.File(configMap("${NAME:=x}")),
		memtree.Exec(configMap("a")), memtree.Submodule("0123456789012345678901234567890123456789"),
	})
}

func (h *history) change() {
	p := pick(h, h.paths())
	n := h.content()
	h.note("change %s to %q", p, n.Content)
	h.put(p, n)
}

// looked adds a file where renders look, mostly in vain.
func (h *history) looked() {
	dir := pick(h, append(h.folders(), ".", "apps/none", "apps/none/at"))
	p := path.Join(dir, pick(h, []string{
		"kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml", ".abideignore", ".abideignore", "missing.yaml", "a.yaml", "f.txt", "all", "r.yaml", "m.jsonnet", "l.libsonnet",
	}))
	n := h.content()
	h.note("put %s with %q", p, n.Content)
	h.put(p, n)
}

func (h *history) mode() {
	p := pick(h, h.paths())
	n := h.now[p]
	switch n.Kind {
	case snapshot.File:
		n.Kind = snapshot.Executable
	case snapshot.Executable:
		n.Kind = snapshot.File
	}
	h.note("mode of %s", p)
	h.now[p] = n
}

// asLink makes a file a link with the same content, and the other way round:
// their hashes are the same.
func (h *history) asLink() {
	p := pick(h, h.paths())
	n := h.now[p]
	switch {
	case n.Kind == snapshot.Symlink:
		n.Kind = snapshot.File
	case n.Kind == snapshot.File && n.Content != "" && len(n.Content) < 100:
		n.Kind = snapshot.Symlink
	}
	h.note("file or link at %s", p)
	h.now[p] = n
}

// link adds a link, or retargets one.
func (h *history) link() {
	var links []string
	for _, p := range h.paths() {
		if h.now[p].Kind == snapshot.Symlink {
			links = append(links, p)
		}
	}
	var p string
	if len(links) > 0 && h.rng.IntN(3) > 0 {
		p = pick(h, links)
	} else {
		p = path.Join(pick(h, h.folders()), pick(h, []string{"link", "link.yaml", "k", "kustomization.yaml", ".abideignore", "f.txt"}))
	}
	target := pick(h, []string{"../nothing", "/etc/passwd", "../../../../..", ".", "..", "link", "../link/../base"})
	if h.rng.IntN(4) > 0 { // to something that is there
		target = strings.Repeat("../", strings.Count(p, "/")) + pick(h, append(h.paths(), h.folders()...))
	}
	h.note("link %s to %s", p, target)
	h.put(p, memtree.Link(target))
}

func (h *history) moveFile() {
	p := pick(h, h.paths())
	to := path.Join(pick(h, append(h.folders(), ".")), pick(h, []string{path.Base(p), "moved.yaml", "a.yaml"}))
	n := h.now[p]
	h.note("move %s to %s", p, to)
	delete(h.now, p)
	h.put(to, n)
}

func (h *history) moveFolder() {
	dir := pick(h, h.folders())
	to := path.Join(pick(h, append(h.folders(), ".")), pick(h, []string{path.Base(dir), "moved", "base", "sub"}))
	if to == dir || strings.HasPrefix(to, dir+"/") || strings.HasPrefix(dir, to+"/") {
		return
	}
	h.note("move the folder %s to %s", dir, to)
	for p, n := range h.take(dir) {
		h.put(to+strings.TrimPrefix(p, dir), n)
	}
}

func (h *history) folderForFile() {
	dir := pick(h, h.folders())
	n := h.content()
	h.note("a file for the folder %s: %q", dir, n.Content)
	h.take(dir)
	h.put(dir, n)
}

func (h *history) remove() {
	p := pick(h, append(h.paths(), h.folders()...))
	h.note("remove %s", p)
	h.take(p)
}

// bringBack puts back what an earlier edit took away.
func (h *history) bringBack() {
	if len(h.gone) == 0 {
		return
	}
	for p, n := range pick(h, h.gone) {
		h.note("back with %s", p)
		h.put(p, n)
	}
}

// restore makes a folder, or all, what it was in some commit before, so that
// the repository does not end in ruins.
func (h *history) restore() {
	was := h.past[h.rng.IntN(len(h.past))]
	if h.rng.IntN(2) == 0 {
		was = h.past[0]
	}
	dir := pick(h, []string{"", "apps/", "shared/", "shared/base/", "apps/one/", "apps/two/", "apps/three/", "apps/four/", "apps/six/", "apps/eight/"})
	h.note("restore %q", dir)
	for p := range h.now {
		if strings.HasPrefix(p, dir) {
			delete(h.now, p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(was)) {
		if strings.HasPrefix(p, dir) {
			h.put(p, was[p])
		}
	}
}

// swap exchanges two files.
func (h *history) swap() {
	p, q := pick(h, h.paths()), pick(h, h.paths())
	h.note("swap %s and %s", p, q)
	h.now[p], h.now[q] = h.now[q], h.now[p]
}

func (h *history) unrelated() {
	h.note("the README")
	h.put("README.md", memtree.File(fmt.Sprint(h.rng.Uint64())))
}

// outcome is all that a caller sees of a render but its trace.
type outcome struct {
	Result render.Result
	Error  string
}

func outcomeOf(res *render.Result, err error) outcome {
	o := outcome{Result: *res}
	o.Result.Trace = nil
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

// follower does at each commit what the engine does: it asks the index whom the
// changes concern, and lets all others stand with the result they have.
type follower struct {
	cache    *render.Cache
	index    *render.Index[string]
	standing map[string]outcome
	traces   map[string]render.Trace // as the index has them

	hits, misses, spared int
}

func newFollower() *follower {
	return &follower{cache: render.NewCache(render.CacheLimits{}, render.Here), index: render.NewIndex[string](), standing: map[string]outcome{}, traces: map[string]render.Trace{}}
}

// commit takes a commit and compares what every App has with a fresh render.
func (f *follower) commit(t *testing.T, at string, tree snapshot.Tree, changed []render.Changed) {
	t.Helper()
	ctx, first := context.Background(), len(f.standing) == 0
	concerned := f.index.Concerned(changed)
	for _, name := range slices.Sorted(maps.Keys(historyApps)) {
		req := historyApps[name]
		res, err := render.Render(ctx, tree, req)
		fresh, trace := outcomeOf(res, err), res.Trace

		res, hit, err := f.cache.Get(ctx, "repository", tree, req)
		cached := outcomeOf(res, err)
		if d := cmp.Diff(fresh, cached, unexported); d != "" {
			t.Fatalf("%s: %s: the cache (a hit: %v) gives another result than a render (-render +cache):\n%s", at, name, hit, d)
		}
		if d := cmp.Diff(trace, res.Trace); d != "" {
			t.Fatalf("%s: %s: the cache (a hit: %v) gives another trace than a render (-render +cache):\n%s", at, name, hit, d)
		}
		if hit {
			f.hits++
		} else {
			f.misses++
		}
		if !first && !concerned[name] {
			f.spared++
			if d := cmp.Diff(f.standing[name], fresh, unexported); d != "" {
				t.Fatalf("%s: %s: the index does not find it, and its result changed (-before +now):\n%s\nchanges %+v", at, name, d, changed)
			}
			if ok, err := f.traces[name].Valid(tree); err != nil || !ok {
				t.Fatalf("%s: %s: the index does not find it, and its trace is not valid any more (%v)\nchanges %+v", at, name, err, changed)
			}
			continue // as in the engine: its trace in the index is that of its last run
		}
		f.standing[name] = fresh
		f.traces[name] = res.Trace
		f.index.Put(name, res.Trace)
	}
}

// FuzzHistory follows random histories with the cache and the index. A seed is
// a history; go test -fuzz=FuzzHistory follows others.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		h, apps := newHistory(seed), newFollower()
		apps.commit(t, "the first commit", memtree.New(h.now), nil)
		for n := range 25 {
			was := maps.Clone(h.now)
			now := h.commit()
			changed := changes(was, now)
			for i := range changed {
				changed[i].Top = top(was, now, changed[i].Path)
			}
			apps.commit(t, h.say(seed, n), memtree.New(now), changed)
		}
	})
}

// top is the first element of p that is no folder both before and after; empty
// if p is of the same kind.
func top(was, now files, p string) string {
	if was[p].Kind == now[p].Kind {
		return ""
	}
	isFolder := func(in files, dir string) bool {
		for q := range in {
			if strings.HasPrefix(q, dir+"/") {
				return true
			}
		}
		return false
	}
	for i := range len(p) {
		if p[i] == '/' && !(isFolder(was, p[:i]) && isFolder(now, p[:i])) {
			return p[:i]
		}
	}
	return p
}

// TestHistoryInGit does the same with real commits, which are fetched, read and
// compared as the engine does it.
func TestHistoryInGit(t *testing.T) {
	hits, misses, spared := 0, 0, 0
	for seed := range uint64(2) {
		repo, h := gittest.New(t), newHistory(1000+seed)
		var hashes, says []string
		was := files{}
		for n := range 20 {
			now := h.past[0]
			if n > 0 {
				now = h.commit()
			}
			hashes, says = append(hashes, commitTo(repo, was, now)), append(says, h.say(1000+seed, n))
			was = now
		}
		mirror := mirrorOf(t, repo)
		wants := make([]git.Want, len(hashes))
		for i, hash := range hashes {
			wants[i].Hash = hash
		}
		if err := mirror.Fetch(t.Context(), git.Credentials{}, wants...); err != nil {
			t.Fatal(err)
		}
		apps := newFollower()
		for i, hash := range hashes {
			tree, err := mirror.Snapshot(t.Context(), hash)
			if err != nil {
				t.Fatal(err)
			}
			if want := memtree.New(h.past[i]).Hash(); tree.Hash() != want {
				t.Fatalf("%s: the tree in Git is %s, in memory %s", says[i], tree.Hash(), want)
			}
			var changed []render.Changed
			if i > 0 {
				changed = changesInGit(t, mirror, hashes[i-1], hash)
			}
			apps.commit(t, says[i], tree, changed)
		}
		hits, misses, spared = hits+apps.hits, misses+apps.misses, spared+apps.spared
	}
	if hits < 200 || misses < 100 || spared < hits/4 {
		t.Errorf("histories that prove little: %d hits, %d misses, %d spared by the index", hits, misses, spared)
	}
}

// changesInGit is what the engine makes of the comparison of two commits.
func changesInGit(t *testing.T, m *git.Mirror, from, to string) []render.Changed {
	t.Helper()
	diff, err := m.ChangedPaths(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]render.Changed, len(diff))
	for i, c := range diff {
		out[i] = render.Changed{Path: c.Path, Listing: c.From.Kind != c.To.Kind, Top: c.Top}
	}
	return out
}

// commitTo commits the files to a repository that has those of was.
func commitTo(repo *gittest.Repo, was, now files) string {
	repo.Remove(slices.Collect(maps.Keys(was))...)
	for p, n := range now {
		switch n.Kind {
		case snapshot.Executable:
			repo.Executable(p, n.Content)
		case snapshot.Symlink:
			repo.Symlink(p, n.Content)
		case snapshot.Submodule:
			repo.Submodule(p, n.Content)
		default:
			repo.Write(map[string]string{p: n.Content})
		}
	}
	return repo.Commit("edits")
}

// mirrorOf serves a repository on loopback and returns an empty mirror of it.
func mirrorOf(t *testing.T, repo *gittest.Repo) *git.Mirror {
	t.Helper()
	server, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	running, err := server.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Close)
	store, err := git.New(git.Options{Dir: t.TempDir(), AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	u, err := store.Parse(running.URL + "/" + repo.Name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := store.Mirror(u)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
