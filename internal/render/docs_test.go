package render_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/snapshot/memtree"
)

// documented is an App as docs/rendering.md has it, as far as it says how to
// render.
type documented struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		Source struct{ Repo, Path string } `json:"source"`
		Render struct {
			overlay.Options `json:",inline"`
			Jsonnet         *struct {
				LibraryPaths []string
				ExtVars      []variable
				TLAs         []variable
			} `json:"jsonnet"`
			Substitute *struct{ Variables map[string]string } `json:"substitute"`
		} `json:"render"`
	} `json:"spec"`
}

type variable struct {
	Name, Value string
	Code        bool
}

func named(list []variable) map[string]jsonnet.Var {
	out := map[string]jsonnet.Var{}
	for _, v := range list {
		out[v.Name] = jsonnet.Var{Value: v.Value, Code: v.Code}
	}
	return out
}

// request is what the controller makes of such an App.
func (d documented) request() render.Request {
	r := d.Spec.Render
	req := render.Request{Path: d.Spec.Source.Path, Overlay: &r.Options}
	if j := r.Jsonnet; j != nil {
		req.Jsonnet = &jsonnet.Options{LibraryPaths: j.LibraryPaths, ExtVars: named(j.ExtVars), TLAs: named(j.TLAs)}
	}
	if s := r.Substitute; s != nil {
		req.Substitute = &substitute.Options{Variables: map[string]substitute.Variable{}}
		for name, value := range s.Variables {
			req.Substitute.Variables[name] = substitute.Variable{Value: value}
		}
	}
	return req
}

// section returns what the page has below a heading, up to the next one.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(page, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the page has no section %s", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// appIn returns the App in a section.
func appIn(t *testing.T, text string) documented {
	t.Helper()
	_, block, ok := strings.Cut(text, "\n    apiVersion: abide.dev/v1alpha1\n")
	if !ok {
		t.Fatal("the section has no App")
	}
	var lines strings.Builder
	lines.WriteString("apiVersion: abide.dev/v1alpha1\n")
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, "    ") {
			break
		}
		lines.WriteString(line[4:])
	}
	var app documented
	if err := yaml.UnmarshalStrict([]byte(lines.String()), &app); err != nil {
		t.Fatal(err)
	}
	return app
}

// TestExamples renders the examples of docs/rendering.md with the files that
// lie here and the App that stands there.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rendering.md"))
	if err != nil {
		t.Fatal(err)
	}
	for file, heading := range map[string]string{
		"jsonnet.txtar":    "Jsonnet",
		"overlay.txtar":    "Patches over any renderer",
		"substitute.txtar": "Variables",
	} {
		t.Run(heading, func(t *testing.T) {
			text := section(t, string(page), heading)
			if !strings.Contains(text, "(../internal/render/testdata/docs/"+file+")") {
				t.Errorf("the section does not link %s", file)
			}
			ar, err := txtar.ParseFile(filepath.Join("testdata", "docs", file))
			if err != nil {
				t.Fatal(err)
			}
			files, want := map[string]string{}, ""
			for _, f := range ar.Files {
				if f.Name == "WANT" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = string(f.Data)
			}
			tree, req := memtree.FromText(files), appIn(t, text).request()
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			if err != nil {
				t.Fatal(err)
			}
			got, err := res.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, string(got)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestPlaceholdersInDocs: each row of the table of variables is as it says.
func TestPlaceholdersInDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rendering.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := section(t, string(page), "Variables")
	for _, part := range []string{"`${TAG:-1.27}`", "`$(date)`", "`1.10` is 1.1", "`${q}${N}${q}`"} {
		if !strings.Contains(text, part) {
			t.Errorf("the section does not have %s", part)
		}
	}
	tree := memtree.FromText(map[string]string{"a.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n  a: ${TAG:-1.27}x\n  b: $(date) $S\n  c: ${V}\n  d: ${q}${V}${q}\n  e: \"${V}\"\n  f: ${T}\n"})
	res, err := render.Render(context.Background(), tree, render.Request{Path: ".", Substitute: variables("V", "1.10", "q", `"`, "T", "true")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": "1.27x", "b": "$(date) $S", "c": 1.1, "d": "1.10", "e": 1.1, "f": true}
	if d := cmp.Diff(want, res.Objects[0].Object["spec"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
