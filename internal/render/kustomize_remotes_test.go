package render_test

import (
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/mount"
)

// elsewhere is what an archive names, in the two forms that it has.
type elsewhere struct {
	nodes    map[string]memtree.Node // for the command, all in one tree
	own      map[string]memtree.Node // for abide, without what is elsewhere
	vendored map[string]map[string]memtree.Node
}

var placeholder = regexp.MustCompile(`@(file:)?([a-z0-9]+)/(/?)([^@]*)@`)

// split makes the two forms of an archive.
func (a archive) split() elsewhere {
	e := elsewhere{map[string]memtree.Node{}, map[string]memtree.Node{}, map[string]map[string]memtree.Node{}}
	for name, n := range a.nodes {
		dir := path.Dir(name)
		paths := placeholder.ReplaceAllStringFunc(n.Content, func(s string) string {
			m := placeholder.FindStringSubmatch(s)
			there := path.Join("vendored", m[2], m[4])
			if m[1] == "" {
				rel, _ := filepath.Rel(dir, there)
				return rel
			}
			e.nodes[path.Join(dir, path.Base(there))] = a.nodes[there]
			return path.Base(there)
		})
		urls := n
		urls.Content = placeholder.ReplaceAllStringFunc(n.Content, func(s string) string {
			m := placeholder.FindStringSubmatch(s)
			if m[1] == "" {
				return "https://git.example/org/" + m[2] + "//" + m[4] + "?ref=v1"
			}
			return "https://files.example/" + m[2] + "/" + m[4]
		})
		n.Content = paths
		e.nodes[name] = n
		if rest, ok := strings.CutPrefix(name, "vendored/"); ok {
			repo, file, _ := strings.Cut(rest, "/")
			if e.vendored[repo] == nil {
				e.vendored[repo] = map[string]memtree.Node{}
			}
			e.vendored[repo][file] = urls
			continue
		}
		e.own[name] = urls
	}
	return e
}

// tree mounts what is asked for, as the sources of an App do.
func (e elsewhere) tree(t *testing.T, asked []render.Remote) snapshot.Tree {
	t.Helper()
	mounts := map[string]snapshot.Tree{}
	for _, s := range asked {
		repo := path.Base(s.URL)
		nodes := e.vendored[repo]
		if s.Kind == remote.File {
			repo, file, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://files.example/"), "/")
			nodes = map[string]memtree.Node{s.FileName(): e.vendored[repo][file]}
		}
		if nodes == nil {
			t.Fatalf("nobody has %s", s)
		}
		mounts[s.Name()] = memtree.New(nodes)
	}
	return mount.New(memtree.New(e.own), mounts)
}

// renderFollowing renders, and again with what it asked for, until it asks for
// nothing more.
func renderFollowing(t *testing.T, tree func(asked []render.Remote) snapshot.Tree, req render.Request) (*render.Result, error) {
	t.Helper()
	var asked []render.Remote
	for range 20 {
		now := tree(asked)
		res, err := render.Render(context.Background(), now, req)
		alike(t, now, req, res, err)
		var e *render.Error
		if err == nil || !asFault(err, &e) || len(e.Remotes) == 0 {
			return res, err
		}
		if e.Reason != fault.RemoteBaseNotAllowed {
			t.Errorf("reason %s: %v", e.Reason, err)
		}
		asked = append(asked, e.Remotes...)
	}
	t.Fatalf("it asks for ever: %v", asked)
	return nil, nil
}

func asFault(err error, into **render.Error) bool {
	e, ok := err.(*render.Error) //nolint:errorlint // a render gives these as they are
	*into = e
	return ok
}

// TestRemotesMatchVendored compares kustomizations with URLs with what the
// command prints for the same folders in the repository itself.
func TestRemotesMatchVendored(t *testing.T) {
	bin, helmBin := kustomizeCommand(t), helmCommand(t)
	for _, a := range archives(t, "remotes") {
		both := a.split()
		dir := archive{nodes: both.nodes}.checkout(t)
		for _, build := range a.builds {
			t.Run(build, func(t *testing.T) {
				want, failed := runKustomize(t, bin, dir, build, "--enable-helm", "--helm-command", helmBin)
				if a.fails[build] != (failed != "") {
					t.Fatalf("that the command fails is %v: %s", failed != "", failed)
				}
				asked := func(asked []render.Remote) snapshot.Tree { return both.tree(t, asked) }
				res, err := renderFollowing(t, asked, render.Request{Path: build, Text: true})
				if failed != "" {
					if err == nil {
						t.Errorf("the command fails and abide does not; it says:\n%s", failed)
					} else if strings.Contains(err.Error(), "$remote") {
						t.Errorf("the error has a name that nobody gave: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), printed(t, res)); d != "" {
					t.Errorf("not what the command prints (-command +abide):\n%s", d)
				}
				if len(res.Remotes) == 0 {
					t.Error("it does not say what it took from elsewhere")
				}
			})
		}
	}
}

// TestRemoteOrigins: annotations name repository and ref, as Kustomize has it,
// and so do the origins of objects.
func TestRemoteOrigins(t *testing.T) {
	const made = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
	e := elsewhere{
		own: map[string]memtree.Node{
			"app/kustomization.yaml": memtree.File("buildMetadata: [originAnnotations, transformerAnnotations]\nresources: ['https://git.example/org/lib//base?ref=v1', 'https://files.example/lib/file.yaml', own.yaml]\n"),
			"app/own.yaml":           memtree.File(fmt.Sprintf(made, "own")),
		},
		vendored: map[string]map[string]memtree.Node{"lib": {
			"base/kustomization.yaml": memtree.File("namePrefix: p-\nresources: [x.yaml]\nconfigMapGenerator: [{name: g, literals: [a=b], options: {disableNameSuffixHash: true}}]\n"),
			"base/x.yaml":             memtree.File(fmt.Sprintf(made, "x")),
			"file.yaml":               memtree.File(fmt.Sprintf(made, "f")),
		}},
	}
	res, err := renderFollowing(t, func(asked []render.Remote) snapshot.Tree { return e.tree(t, asked) }, render.Request{Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range res.Objects {
		got[o.GetName()] = o.GetAnnotations()["config.kubernetes.io/origin"] + o.Origin.File
	}
	want := map[string]string{
		"p-x": "path: base/x.yaml\nrepo: https://git.example/org/lib\nref: v1\nhttps://git.example/org/lib?ref=v1 //base/x.yaml",
		"p-g": "repo: https://git.example/org/lib\nref: v1\nconfiguredIn: base/kustomization.yaml\nconfiguredBy:\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n" +
			"https://git.example/org/lib?ref=v1 //base/kustomization.yaml",
		"f":   "repo: https://files.example/lib/file.yaml\nhttps://files.example/lib/file.yaml",
		"own": "path: own.yaml\napp/own.yaml",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("origins (-want +got):\n%s", d)
	}
	for _, o := range res.Objects {
		if text := o.GetAnnotations()["alpha.config.kubernetes.io/transformations"]; strings.Contains(text, "$remote") {
			t.Errorf("transformations name a mount:\n%s", text)
		}
	}
}

// TestRemotesNeeded: a render says all at once what it needs, and what of it is
// elsewhere in a way that cannot be fetched.
func TestRemotesNeeded(t *testing.T) {
	git := func(repo, ref string) render.Remote {
		return render.Remote{Kind: remote.Git, URL: "https://git.example/org/" + repo, Ref: ref}
	}
	for name, tt := range map[string]struct {
		files  map[string]string
		needs  []render.Remote
		reason string
		says   string
	}{
		"all of a tree of kustomizations": {
			map[string]string{
				"kustomization.yaml":   "resources: [a, 'https://git.example/org/one?ref=v1', 'https://git.example/org/one//deep?ref=v1']\ncomponents: ['https://git.example/org/two']",
				"a/kustomization.yaml": "resources: ['https://files.example/x.yaml']\npatches: [{path: 'https://files.example/p.yaml'}]\nhelmCharts: [{name: web, version: 1.0.0, repo: 'https://charts.example/'}, {name: oci, devel: true, repo: 'oci://registry.example/charts'}]",
			},
			[]render.Remote{
				git("one", "v1"), git("two", ""),
				{Kind: remote.File, URL: "https://files.example/x.yaml"}, {Kind: remote.File, URL: "https://files.example/p.yaml"},
				{Kind: remote.Chart, URL: "https://charts.example", Chart: "web", Version: "1.0.0"},
				{Kind: remote.Chart, URL: "oci://registry.example/charts", Chart: "oci", Version: ">0.0.0-0"},
			},
			fault.RemoteBaseNotAllowed, "--allow-remote-bases",
		},
		"of a folder of several": {
			map[string]string{"a/kustomization.yaml": "resources: ['https://git.example/org/one']", "b/x.yaml": someConfigMap},
			[]render.Remote{git("one", "")}, fault.RemoteBaseNotAllowed, "remoteBases",
		},
		"a file over http": {
			map[string]string{"kustomization.yaml": "resources: ['http://files.example/x.yaml']"},
			nil, fault.RemoteBaseNotAllowed, "over https only",
		},
		"a repository of the machine": {
			map[string]string{"kustomization.yaml": "resources: ['file:///etc//x']"},
			nil, fault.RemoteBaseNotAllowed, "local disk",
		},
		"credentials": {
			map[string]string{"kustomization.yaml": "resources: ['https://user:hunter2@git.example/org/x']"},
			nil, fault.RemoteBaseNotAllowed, "there are credentials",
		},
		"credentials of a chart": {
			map[string]string{"kustomization.yaml": "helmCharts: [{name: x, repo: 'https://user:hunter2@charts.example/'}]"},
			nil, fault.RemoteBaseNotAllowed, "credentials",
		},
		"a configuration of a plugin": {
			map[string]string{"kustomization.yaml": "resources: [x.yaml]\ntransformers: [p.yaml]", "x.yaml": someConfigMap, "p.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: https://files.example/x.yaml\n"},
			nil, fault.RemoteBaseNotAllowed, "copy it",
		},
		"a name that a mount has": {
			map[string]string{"kustomization.yaml": "resources: ['$" + git("one", "").Name() + "']"},
			nil, fault.PathNotFound, "does not exist",
		},
		"a name that a mount has, from above": {
			map[string]string{"kustomization.yaml": "resources: [a]", "a/kustomization.yaml": "resources: ['../$values/x.yaml']"},
			nil, fault.PathNotFound, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := memtree.FromText(tt.files)
			res, err := render.Render(context.Background(), tree, render.Request{Path: "."})
			alike(t, tree, render.Request{Path: "."}, res, err)
			e := wantReason(t, err, tt.reason)
			if d := cmp.Diff(tt.needs, e.Remotes); d != "" {
				t.Errorf("needs (-want +got):\n%s", d)
			}
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("want it to say %q: %v", tt.says, err)
			}
		})
	}
}

// TestHostileRemotes: what is elsewhere reaches nothing but itself, and asks for
// a bounded number of others.
func TestHostileRemotes(t *testing.T) {
	thousand := "resources:\n"
	for i := range 1000 {
		thousand += fmt.Sprintf("- https://git.example/org/repo%d\n", i)
	}
	first := "resources: ['https://git.example/org/one//base']"
	for name, tt := range map[string]struct {
		own    map[string]memtree.Node
		one    map[string]memtree.Node
		reason string
	}{
		"a thousand": {map[string]memtree.Node{"kustomization.yaml": memtree.File(thousand)}, nil, fault.TooLarge},
		"a path out of it": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: [../../app]")},
			fault.EscapesRepository},
		"a path into a mount beside it": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: ['../../$values/x.yaml']")},
			fault.EscapesRepository},
		"a link out of it": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: [x.yaml]"), "base/x.yaml": memtree.Link("../../app/r.yaml")},
			fault.EscapesRepository},
		"a link to the machine": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: [x.yaml]"), "base/x.yaml": memtree.Link("/etc/passwd")},
			fault.EscapesRepository},
		"its base is a link out of it": {nil, map[string]memtree.Node{"base": memtree.Link("../app")},
			fault.EscapesRepository},
		"its base is a file": {nil, map[string]memtree.Node{"base": memtree.File(someConfigMap)},
			fault.InvalidPath},
		"its base is not there": {nil, map[string]memtree.Node{"other": memtree.File(someConfigMap)},
			fault.PathNotFound},
		"Git's own folder": {map[string]memtree.Node{"kustomization.yaml": memtree.File("resources: ['https://git.example/org/one//.git']")}, map[string]memtree.Node{".git/kustomization.yaml": memtree.File("resources: [x]")},
			fault.ForbiddenPath},
		"itself": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: ['https://git.example/org/one//base']")},
			fault.KustomizationCycle},
		"itself under other names": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("resources: ['https://git.example/org/one//base?ref=x', 'https://git.example/org/one.git//base']")},
			fault.KustomizationCycle},
		"a plugin": {nil, map[string]memtree.Node{"base/kustomization.yaml": memtree.File("generators: [p.yaml]"), "base/p.yaml": memtree.File("apiVersion: x/v1\nkind: Exec\nmetadata: {name: x}")},
			fault.PluginNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			e := elsewhere{own: map[string]memtree.Node{"kustomization.yaml": memtree.File(first), "app/r.yaml": memtree.File(someConfigMap)},
				vendored: map[string]map[string]memtree.Node{"one": tt.one, "one.git": tt.one}}
			maps.Copy(e.own, tt.own)
			_, err := renderFollowing(t, func(asked []render.Remote) snapshot.Tree { return e.tree(t, asked) }, render.Request{Path: "."})
			wantReason(t, err, tt.reason)
		})
	}
}

// TestRemotesLeadOnForEver: a host that answers each URL with another one.
func TestRemotesLeadOnForEver(t *testing.T) {
	own := memtree.FromText(map[string]string{"kustomization.yaml": "resources: ['https://git.example/org/repo?ref=0']"})
	_, err := renderFollowing(t, func(asked []render.Remote) snapshot.Tree {
		mounts := map[string]snapshot.Tree{}
		for i, s := range asked {
			mounts[s.Name()] = memtree.FromText(map[string]string{"kustomization.yaml": fmt.Sprintf("resources: ['https://git.example/org/repo?ref=%d']", i+1)})
		}
		return mount.New(own, mounts)
	}, render.Request{Path: "."})
	wantReason(t, err, fault.TooDeep)
}

// TestRemoteTraceIsComplete: what comes, or changes, makes a trace invalid.
func TestRemoteTraceIsComplete(t *testing.T) {
	spec := render.Remote{Kind: remote.Git, URL: "https://git.example/org/one"}
	own := memtree.FromText(map[string]string{"kustomization.yaml": "resources: ['https://git.example/org/one']"})
	with := func(text string) snapshot.Tree {
		return mount.New(own, map[string]snapshot.Tree{spec.Name(): memtree.FromText(map[string]string{"kustomization.yaml": "resources: [x.yaml]", "x.yaml": text})})
	}
	valid := func(res *render.Result, tree snapshot.Tree) bool {
		ok, err := res.Trace.Valid(tree)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	res, err := render.Render(context.Background(), own, render.Request{Path: "."})
	if e := wantReason(t, err, fault.RemoteBaseNotAllowed); !slices.Equal(e.Remotes, []render.Remote{spec}) {
		t.Fatalf("needs %v", e.Remotes)
	}
	if valid(res, with(someConfigMap)) {
		t.Error("it is there now, and the trace is valid still")
	}
	if res, err = render.Render(context.Background(), with(someConfigMap), render.Request{Path: "."}); err != nil {
		t.Fatal(err)
	}
	if !valid(res, with(someConfigMap)) || valid(res, with(someConfigMap+"# changed")) || valid(res, own) {
		t.Error("the trace is valid for another content, or not for its own")
	}
}

// TestRemoteChartMatchesVendored compares a chart that is mounted with what the
// commands print for the same one where helm pull would have put it.
func TestRemoteChartMatchesVendored(t *testing.T) {
	bin, helmBin := kustomizeCommand(t), helmCommand(t)
	chart := map[string]memtree.Node{
		"Chart.yaml": memtree.File(chartOfOne), "values.yaml": memtree.File("a: 1\nb: 2\n"), "values-prod.yaml": memtree.File("a: 3\n"),
		"templates/c.yaml": memtree.File("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {v: '{{ .Values }}'}\n"),
	}
	for name, fields := range map[string]string{
		"its own values":      "",
		"values in line":      ", valuesInline: {b: 4}",
		"one of its files":    ", valuesFile: charts/one-1.0.0/one/values-prod.yaml",
		"a file of ours":      ", valuesFile: mine.yaml",
		"nothing but in line": ", valuesInline: {b: 4}, valuesMerge: replace",
	} {
		t.Run(name, func(t *testing.T) {
			own := map[string]memtree.Node{
				"kustomization.yaml": memtree.File("namespace: n1\nhelmCharts: [{name: one, version: 1.0.0, repo: 'https://charts.example'" + fields + "}]\n"),
				"mine.yaml":          memtree.File("a: 5\n"),
			}
			vendored := archive{nodes: maps.Clone(own)}
			for p, n := range chart {
				vendored.nodes["charts/one-1.0.0/one/"+p] = n
			}
			want, failed := runKustomize(t, bin, vendored.checkout(t), ".", "--enable-helm", "--helm-command", helmBin)
			if failed != "" {
				t.Fatal(failed)
			}
			res, err := renderFollowing(t, func(asked []render.Remote) snapshot.Tree {
				mounts := map[string]snapshot.Tree{}
				for _, s := range asked {
					mounts[s.Name()] = memtree.New(chart)
				}
				return mount.New(memtree.New(own), mounts)
			}, render.Request{Path: ".", Text: true})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), printed(t, res)); d != "" {
				t.Errorf("not what the command prints (-command +abide):\n%s", d)
			}
		})
	}
}
