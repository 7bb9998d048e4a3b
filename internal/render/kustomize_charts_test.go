package render_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

// TestChartsOfKustomizationsMatchCommand compares kustomizations with
// helmCharts with what the two commands print on a checkout. Where they fail,
// abide must.
func TestChartsOfKustomizationsMatchCommand(t *testing.T) {
	bin, helmBin := kustomizeCommand(t), helmCommand(t)
	for _, a := range archives(t, "charts") {
		dir := a.checkout(t)
		disk, err := dirtree.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { disk.Close() })
		tree := memtree.New(a.nodes)
		for _, build := range a.builds {
			t.Run(a.name+"/"+build, func(t *testing.T) {
				want, failed := runKustomize(t, bin, dir, build, "--enable-helm", "--helm-command", helmBin)
				if a.fails[build] != (failed != "") {
					t.Fatalf("that the command fails is %v: %s", failed != "", failed)
				}
				for name, res := range map[string]*render.Result{
					"memory": mustRender(t, tree, build, failed != ""),
					"disk":   mustRender(t, disk, build, failed != ""),
				} {
					if failed != "" {
						if len(res.Objects) > 0 {
							t.Errorf("%s: the command fails and abide does not; it says:\n%s", name, failed)
						}
						continue
					}
					if d := cmp.Diff(string(want), printed(t, res)); d != "" {
						t.Errorf("%s: not what the command prints (-command +abide):\n%s", name, d)
					}
				}
			})
		}
	}
}

const chartOfOne = "apiVersion: v2\nname: one\nversion: 1.0.0\n"

// TestChartsOfKustomizationsAreRefused has what the command would render, and
// abide must not, and what is explained better than by the command.
func TestChartsOfKustomizationsAreRefused(t *testing.T) {
	one := "helmCharts: [{name: one}]\n"
	for name, tt := range map[string]struct {
		files  map[string]string
		reason string
		file   string
		says   string
	}{
		"another Secret each time": {
			map[string]string{"charts/one/templates/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: {{ randAlphaNum 20 }}}"},
			fault.UnstableRender, "charts/one/templates/s.yaml", "randAlphaNum",
		},
		"another hook each time, which is an object here": {
			map[string]string{"charts/one/templates/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {helm.sh/hook: pre-install}}\nstringData: {a: {{ randAlphaNum 20 }}}"},
			fault.UnstableRender, "charts/one/templates/s.yaml", "randAlphaNum",
		},
		"another name each time": {
			map[string]string{"kustomization.yaml": "helmCharts: [{name: one, nameTemplate: 'x-{{ randAlpha 5 | lower }}'}]"},
			fault.UnstableRender, "kustomization.yaml", "releaseName",
		},
		"a name that is none": {
			map[string]string{"kustomization.yaml": "helmCharts: [{name: one, releaseName: Not_A_Name}]"},
			fault.InvalidHelmOptions, "kustomization.yaml", `helmCharts "one"`,
		},
		"a name that takes what the machine has": {
			map[string]string{"kustomization.yaml": `helmCharts: [{name: one, nameTemplate: '{{ env "HOME" }}'}]`, "charts/one/templates/s.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {a: {{ .Release.Name }}}"},
			fault.InvalidHelmOptions, "", "",
		},
		"a flag for a name": {
			map[string]string{"kustomization.yaml": "helmCharts: [{name: one, releaseName: --post-renderer=/bin/sh}]"},
			fault.InvalidKustomization, "kustomization.yaml", "begins with -",
		},
		"no name": {
			map[string]string{"kustomization.yaml": "helmCharts: [{version: 1.0.0}]"},
			fault.InvalidKustomization, "kustomization.yaml", "has no name",
		},
		"two namespaces for what is rendered once": {
			map[string]string{
				"kustomization.yaml": "resources: [a, b]", "a/kustomization.yaml": "namespace: a\nresources: [../base]",
				"b/kustomization.yaml": "namespace: b\nresources: [../base]", "base/kustomization.yaml": one,
				"base/charts/one/Chart.yaml": chartOfOne, "base/charts/one/values.yaml": "{}",
			},
			fault.InvalidKustomization, "base/kustomization.yaml", `namespaces "a" and "b"`,
		},
		"a chart for a plugin": {
			map[string]string{"kustomization.yaml": "generators: [g.yaml]", "g.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\nname: one\n"},
			fault.HelmNotSupported, "g.yaml", "list it under helmCharts",
		},
		"a template that fails": {
			map[string]string{"charts/one/templates/s.yaml": "\n{{ fail \"too bad\" }}"},
			fault.HelmFailed, "charts/one/templates/s.yaml", "too bad",
		},
		"a chart that links out of the repository": {
			map[string]string{"charts/one/templates/link:s.yaml": "../../../../etc/passwd"},
			fault.EscapesRepository, "charts/one/templates/s.yaml", "",
		},
		"values nested too deep": {
			map[string]string{"charts/one/values.yaml": strings.Repeat("{a: ", 400) + strings.Repeat("}", 400)},
			fault.TooDeep, "charts/one/values.yaml", "",
		},
		"names of folders made up for the library": {
			map[string]string{"kustomization.yaml": "resources: ['$helm-charts']\nhelmCharts: [{name: one}]", "$helm-charts/kustomization.yaml": "resources: [x.yaml]", "$helm-charts/x.yaml": someConfigMap},
			fault.KustomizeFailed, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{
				"kustomization.yaml": one, "charts/one/Chart.yaml": chartOfOne, "charts/one/values.yaml": "a: 1\n",
				"charts/one/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}",
			}
			maps.Copy(files, tt.files)
			nodes := map[string]memtree.Node{}
			for p, text := range files {
				if dir, link, ok := strings.Cut(p, "link:"); ok {
					nodes[dir+link] = memtree.Link(text)
				} else {
					nodes[p] = memtree.File(text)
				}
			}
			tree, req := memtree.New(nodes), render.Request{Path: "."}
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			e := wantReason(t, err, tt.reason)
			if tt.file != "" && e.File != tt.file || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("want %s to say %q, got: %v", tt.file, tt.says, err)
			}
		})
	}
}

// TestOriginsOfChartsInKustomizations: an object names the template that it is
// written in.
func TestOriginsOfChartsInKustomizations(t *testing.T) {
	tree := memtree.FromText(map[string]string{
		"kustomization.yaml": "namePrefix: p-\nhelmCharts: [{name: one}]\n", "charts/one/Chart.yaml": chartOfOne, "charts/one/values.yaml": "a: 1\n",
		"charts/one/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
	})
	res, err := render.Render(context.Background(), tree, render.Request{Path: "."})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Objects[0].Origin.File; got != "charts/one/templates/c.yaml" || res.Objects[0].GetName() != "p-c" {
		t.Errorf("%s is said to be in %s", res.Objects[0].GetName(), got)
	}
}
