package render_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

const canary = "canary-from-outside"

// chartPlaces are where a chart has a file or a folder that is read.
var chartPlaces = []string{
	"Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json", ".helmignore", "README.md", "requirements.yaml",
	"templates/x.yaml", "templates/_x.tpl", "templates/sub", "templates", "crds/x.yaml", "crds", "files/x", "files",
	"charts/sub", "charts/sub.tgz", "charts", "charts/sub/Chart.yaml", "charts/sub/values.yaml", "charts/sub/templates/x.yaml", "charts/sub/charts",
}

// linked is a folder in which a place is a link.
type linked struct {
	files map[string]string
	place string
	req   render.Request
}

// linkedFolders has a folder for each place of a chart, of Jsonnet and of
// manifests in which something is read.
func linkedFolders() map[string]linked {
	out := map[string]linked{}
	chart := map[string]string{
		"app/Chart.yaml": chartYAML, "app/templates/a.yaml": configMap("a") + "data: {{ (.Files.Glob \"**\").AsConfig | nindent 2 }}\n",
		"app/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
	}
	for _, place := range chartPlaces {
		out["chart: "+place] = linked{files: chart, place: "app/" + place, req: render.Request{Path: "app"}}
	}
	values := &helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "v.yaml", Optional: false}}}
	out["chart: a values file"] = linked{files: chart, place: "v.yaml", req: render.Request{Path: "app", Helm: values}}
	values = &helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "envs/v.yaml", Optional: false}}}
	out["chart: the folder of values files"] = linked{files: chart, place: "envs", req: render.Request{Path: "app", Helm: values}}
	out["the path of the App"] = linked{files: map[string]string{"a.yaml": configMap("a")}, place: "app", req: render.Request{Path: "app"}}
	out["a folder in that path"] = linked{files: map[string]string{"a.yaml": configMap("a")}, place: "apps", req: render.Request{Path: "apps/app"}}

	for name, text := range map[string]string{
		"import": "import 'x.libsonnet'", "importstr": "importstr 'x.libsonnet'", "importbin": "importbin 'x.libsonnet'", "a folder of imports": "import 'x.libsonnet/y'",
	} {
		out["jsonnet: "+name] = linked{files: map[string]string{"app/m.jsonnet": text}, place: "app/x.libsonnet", req: render.Request{Path: "app"}}
		library := render.Request{Path: "app", Jsonnet: &jsonnet.Options{LibraryPaths: []string{"lib"}}}
		out["jsonnet: "+name+" of a library"] = linked{files: map[string]string{"app/m.jsonnet": text}, place: "lib/x.libsonnet", req: library}
		out["jsonnet: a library path, "+name] = linked{files: map[string]string{"app/m.jsonnet": text}, place: "lib", req: library}
	}
	out["jsonnet: a file"] = linked{files: map[string]string{"app/m.jsonnet": "{}"}, place: "app/x.jsonnet", req: render.Request{Path: "app"}}
	out["manifests: a file"] = linked{files: map[string]string{"app/a.yaml": configMap("a")}, place: "app/x.yaml", req: render.Request{Path: "app"}}
	out["manifests: a folder"] = linked{files: map[string]string{"app/a.yaml": configMap("a")}, place: "app/x", req: render.Request{Path: "app"}}
	out["manifests: a kustomization"] = linked{files: map[string]string{"app/a.yaml": configMap("a")}, place: "app/kustomization.yaml", req: render.Request{Path: "app"}}
	return out
}

// inMemory and onDisk make trees of a folder and where its place leads.
func (l linked) inMemory(target string) snapshot.Tree {
	nodes := map[string]memtree.Node{".git/config": memtree.File(canary)}
	for name, text := range l.files {
		nodes[name] = memtree.File(text)
	}
	for name := range nodes {
		if name == l.place || strings.HasPrefix(name, l.place+"/") {
			delete(nodes, name)
		}
	}
	nodes[l.place] = memtree.Link(target)
	return memtree.New(nodes)
}

func (l linked) onDisk(t *testing.T, dir, target string) snapshot.Tree {
	t.Helper()
	l.files = merged(l.files, map[string]string{".git/config": canary})
	for name, text := range l.files {
		if name != l.place && !strings.HasPrefix(name, l.place+"/") {
			write(t, filepath.Join(dir, name), text)
		}
	}
	at := filepath.Join(dir, l.place)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
	tree, err := dirtree.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func merged(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLinksLeadNowhere puts a link out of the tree, to itself and into Git's own
// folder in every place that is read, in a snapshot and in a working copy. What
// is outside is really there, and would do as whatever is asked for.
func TestLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	for _, name := range []string{"Chart.yaml", "app", "v.yaml", "y", "x.libsonnet", "a.yaml"} {
		write(t, filepath.Join(outside, name), canary)
	}
	for name, l := range linkedFolders() {
		up := strings.Repeat("../", strings.Count(l.place, "/")+1)
		for way, target := range map[string]string{
			"an absolute link": outside, "an absolute link to a file": filepath.Join(outside, "v.yaml"),
			"a link above": up + "../../.." + outside, "a link to itself": filepath.Base(l.place),
			"a link into Git's folder": strings.TrimPrefix(up, "../") + ".git/config", "a link to nothing": "nothing-here",
		} {
			if name == "manifests: a folder" && way == "a link to nothing" {
				continue // it is left out, since its name is that of no manifest
			}
			t.Run(name+", "+way, func(t *testing.T) {
				for _, tree := range []snapshot.Tree{l.inMemory(target), l.onDisk(t, t.TempDir(), target)} {
					res, err := render.Render(context.Background(), tree, l.req)
					alike(t, tree, l.req, res, err)
					switch e := wantAny(t, err); e.Reason {
					case fault.EscapesRepository, fault.LinkLoop, fault.ForbiddenPath, fault.PathNotFound:
						if strings.Contains(e.Error(), canary) {
							t.Errorf("it was read: %v", e)
						}
					default:
						t.Errorf("%s: %v", e.Reason, e)
					}
				}
			})
		}
	}
}

// TestLinksThatMultiply has folders that each have two links to the next one, so
// that there are more ways than anybody can go, and no loop.
func TestLinksThatMultiply(t *testing.T) {
	lattice := func(in string, leaf memtree.Node) map[string]memtree.Node {
		nodes := map[string]memtree.Node{in + "/a": memtree.Link(strings.Repeat("../", strings.Count(in, "/")+1) + "l00"), "l60/x": leaf}
		for i := range 60 {
			for _, side := range []string{"a", "b"} {
				nodes[fmt.Sprintf("l%02d/%s", i, side)] = memtree.Link(fmt.Sprintf("../l%02d", i+1))
			}
		}
		return nodes
	}
	chart := lattice("app/files", memtree.File("x"))
	chart["app/Chart.yaml"] = memtree.File(chartYAML)
	large := lattice("app/files", memtree.File(strings.Repeat("x", 1<<20)))
	large["app/Chart.yaml"] = memtree.File(chartYAML)
	for name, nodes := range map[string]map[string]memtree.Node{
		"manifests": lattice("app", memtree.File("x")), "a chart": chart, "a chart, with a large file": large,
	} {
		t.Run(name, func(t *testing.T) {
			tree, req := memtree.New(nodes), render.Request{Path: "app"}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			res, err := render.Render(ctx, tree, req)
			alike(t, tree, req, res, err)
			wantReason(t, err, fault.TooLarge)
		})
	}
}
