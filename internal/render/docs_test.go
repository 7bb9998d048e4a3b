package render_test

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/mount"
)

// requestOf is how an App of docs/rendering.md is rendered.
func requestOf(app v1alpha1.App) render.Request {
	r := app.Spec.Render
	req := render.Request{Path: app.Spec.Source.Path, Overlay: &overlay.Options{
		NamePrefix: r.NamePrefix, NameSuffix: r.NameSuffix, Labels: r.Labels, Annotations: r.Annotations,
	}}
	for _, p := range r.Patches {
		req.Overlay.Patches = append(req.Overlay.Patches, overlay.Patch{Patch: p.Patch, Target: &overlay.Selector{Kind: p.Target.Kind, Name: p.Target.Name}})
	}
	for _, i := range r.Images {
		req.Overlay.Images = append(req.Overlay.Images, overlay.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
	}
	for _, n := range r.Replicas {
		req.Overlay.Replicas = append(req.Overlay.Replicas, overlay.Replica{Name: n.Name, Count: int64(n.Count)})
	}
	if j := r.Jsonnet; j != nil {
		req.Jsonnet = &jsonnet.Options{ExtVars: named(j.ExtVars), TLAs: named(j.TLAs)}
		for _, p := range j.LibraryPaths {
			if root, ok := strings.CutPrefix(p, "/"); ok {
				req.Jsonnet.LibraryPaths = append(req.Jsonnet.LibraryPaths, root)
			} else {
				req.Jsonnet.LibraryPaths = append(req.Jsonnet.LibraryPaths, path.Join(req.Path, p))
			}
		}
	}
	if s := r.Substitute; s != nil {
		req.Substitute = &substitute.Options{Variables: map[string]substitute.Variable{}}
		for name, value := range s.Variables {
			req.Substitute.Variables[name] = substitute.Variable{Value: value}
		}
	}
	return req
}

func named(list []v1alpha1.JsonnetVariable) map[string]jsonnet.Var {
	out := map[string]jsonnet.Var{}
	for _, v := range list {
		out[v.Name] = jsonnet.Var{Value: v.Value, Code: v.Code != nil && *v.Code}
	}
	return out
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
func appIn(t *testing.T, text string) v1alpha1.App {
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
	var app v1alpha1.App
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
			tree, req := memtree.FromText(files), requestOf(appIn(t, text))
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, printed(t, res)); d != "" {
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

// TestRemotesInDocs renders the kustomization of docs/rendering.md with what its
// URLs name.
func TestRemotesInDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rendering.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(section(t, string(page), "Remote bases"), "    # app/kustomization.yaml\n")
	if !ok {
		t.Fatal("the section has no kustomization")
	}
	block, _, _ = strings.Cut(block, "\n\n")
	ar, err := txtar.ParseFile(filepath.Join("testdata", "docs", "remotes.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]map[string]string{"app": {"app/kustomization.yaml": strings.ReplaceAll("\n"+block+"\n", "\n    ", "\n")}, "bases": {}, "files": {}}
	want := ""
	for _, f := range ar.Files {
		top, rest, _ := strings.Cut(f.Name, "/")
		switch top {
		case "WANT":
			want = string(f.Data)
		case "app":
			trees[top][f.Name] = string(f.Data)
		default:
			trees[top][rest] = string(f.Data)
		}
	}
	bases := remote.Spec{Kind: remote.Git, URL: "https://github.com/example/bases", Ref: "v1.4"}
	file := remote.Spec{Kind: remote.File, URL: "https://example.com/crds/shop.yaml"}
	tree := mount.New(memtree.FromText(trees["app"]), map[string]snapshot.Tree{
		bases.Name(): memtree.FromText(trees["bases"]), file.Name(): memtree.FromText(trees["files"]),
	})
	req := render.Request{Path: "app"}
	res, err := render.Render(t.Context(), tree, req)
	alike(t, tree, req, res, err)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, printed(t, res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
