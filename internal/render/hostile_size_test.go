package render_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

const giga = 1 << 30

// sparse is a tree with a file that claims to have a gigabyte, which is nowhere.
type sparse struct {
	snapshot.Tree
	file  string
	reads *int
}

func (s sparse) ReadFile(p string) ([]byte, error) {
	if p == s.file {
		*s.reads++
		return nil, &snapshot.TooLargeError{Path: p, Size: giga, Limit: 64 << 20}
	}
	return s.Tree.ReadFile(p)
}

// wantLarge wants an error that says which file is too large, and how large it is.
func wantLarge(t *testing.T, err error, file string, size int64) {
	t.Helper()
	e := wantReason(t, err, fault.TooLarge)
	var large *snapshot.TooLargeError
	if e.File != file || !errors.As(err, &large) || large.Size != size {
		t.Errorf("the error is about %s: %v", e.File, e)
	}
}

// TestHole has a file with a hole, which takes no place on disk, in a working copy.
func TestHole(t *testing.T) {
	const size = 65 << 20
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), configMap("a"))
	if err := os.Truncate(filepath.Join(dir, "a.yaml"), size); err != nil {
		t.Skip(err)
	}
	tree, err := dirtree.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	res, err := render.Render(context.Background(), tree, render.Request{Path: "."})
	alike(t, tree, render.Request{Path: "."}, res, err)
	wantLarge(t, err, "a.yaml", size)
}

// TestGigabyte has a file of a gigabyte in every place where one is read.
func TestGigabyte(t *testing.T) {
	chart := map[string]string{"Chart.yaml": chartYAML, "templates/a.yaml": configMap("a")}
	for name, row := range map[string]struct {
		files map[string]string
		big   string
		helm  *helm.Options
	}{
		"a manifest":          {files: map[string]string{"a.yaml": configMap("a")}, big: "b.yaml"},
		"an .abideignore":     {files: map[string]string{"a.yaml": configMap("a")}, big: ".abideignore"},
		"a kustomization":     {files: map[string]string{"a.yaml": configMap("a")}, big: "kustomization.yaml"},
		"a resource":          {files: map[string]string{"kustomization.yaml": "resources: [b.yaml]"}, big: "b.yaml"},
		"a generated value":   {files: map[string]string{"kustomization.yaml": "configMapGenerator: [{name: a, files: [b]}]"}, big: "b"},
		"a patch":             {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]", "a.yaml": configMap("a")}, big: "p.yaml"},
		"a template":          {files: chart, big: "templates/b.yaml"},
		"a file of a chart":   {files: chart, big: "files/b"},
		"an archive in one":   {files: chart, big: "charts/b.tgz"},
		"the values of one":   {files: chart, big: "values.yaml"},
		"a .helmignore":       {files: chart, big: ".helmignore"},
		"a values file":       {files: chart, big: "envs/prod.yaml", helm: &helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "envs/prod.yaml"}}}},
		"a Jsonnet file":      {files: map[string]string{"a.yaml": configMap("a")}, big: "m.jsonnet"},
		"what Jsonnet reads":  {files: map[string]string{"m.jsonnet": "importstr 'b'"}, big: "b"},
		"a link's other end":  {files: map[string]string{"a.yaml": configMap("a")}, big: "shared/b.yaml"},
		"an archive, named":   {files: map[string]string{"Chart.yaml": chartYAML}, big: "b.tgz"},
		"a file that is none": {files: map[string]string{"kustomization.yaml": "openapi: {path: s.json}\nresources: [a.yaml]", "a.yaml": configMap("a")}, big: "s.json"},
	} {
		t.Run(name, func(t *testing.T) {
			reads := 0
			tree := sparse{memtree.FromText(merged(row.files, map[string]string{row.big: ""})), row.big, &reads}
			req := render.Request{Path: ".", Helm: row.helm}
			if filepath.Ext(row.big) == ".tgz" && filepath.Dir(row.big) == "." {
				req.Path = row.big
			}
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			wantLarge(t, err, row.big, giga)
			if reads == 0 {
				t.Error("the file was not asked for, so the test proves nothing")
			}
		})
	}
}

// crowd is a tree with very many files in one folder, which are all the same.
type crowd struct {
	*memtree.Tree
	entries []snapshot.Entry
}

func newCrowd(n int, ext string) *crowd {
	c := &crowd{Tree: memtree.FromText(map[string]string{"app/a.yaml": configMap("a")})}
	for i := range n {
		c.entries = append(c.entries, snapshot.Entry{Name: fmt.Sprintf("f%07d%s", i, ext), Kind: snapshot.File, Hash: "1"})
	}
	return c
}

func (c *crowd) Hash() string { return fmt.Sprintf("%d files", len(c.entries)) }

func (c *crowd) Lookup(p string) (snapshot.Entry, error) {
	if dir, name := filepath.Split(p); dir == "app/" {
		i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Name >= name })
		if i == len(c.entries) || c.entries[i].Name != name {
			return snapshot.Entry{}, &fs.PathError{Op: "lookup", Path: p, Err: fs.ErrNotExist}
		}
		return snapshot.Entry{Name: name, Kind: snapshot.File, Hash: "1"}, nil
	}
	e, err := c.Tree.Lookup(p)
	e.Hash = c.Hash()
	return e, err
}

func (c *crowd) ReadDir(p string) ([]snapshot.Entry, error) {
	if p == "app" {
		return c.entries, nil
	}
	return c.Tree.ReadDir(p)
}

func (c *crowd) ReadFile(p string) ([]byte, error) {
	name := filepath.Base(p)
	return []byte(configMap(name[:len(name)-len(filepath.Ext(name))])), nil
}

// TestMillionFiles has a folder of a million manifests, and one of very many
// files of which none is.
func TestMillionFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it lists a million names several times")
	}
	tree := newCrowd(1_000_000, ".yaml")
	req := render.Request{Path: "app"}
	res, err := render.Render(context.Background(), tree, req)
	wantReason(t, err, fault.TooManyObjects)
	alike(t, tree, req, res, err)
	none := newCrowd(100_000, ".txt")
	res, err = render.Render(context.Background(), none, req)
	wantReason(t, err, fault.NoObjects)
	alike(t, none, req, res, err)
}
