package render_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/mount"
)

// TestMounts: a render works in a mount as in a repository, a walk of the root
// does not enter one, and nothing leads from one tree into another.
func TestMounts(t *testing.T) {
	lib := memtree.New(map[string]memtree.Node{
		"k/kustomization.yaml":    memtree.File("resources: [../base]\nnamePrefix: k-\n"),
		"base/kustomization.yaml": memtree.File("resources: [r.yaml]\n"),
		"base/r.yaml":             memtree.File(configMap("r")),
		"climb/kustomization.yaml": memtree.File(
			"resources: [../../base]\n"),
		"plain/p.yaml": memtree.File(configMap("p")),
		"bad/p.yaml":   memtree.Link("../../app/a.yaml"),
	})
	root := memtree.New(map[string]memtree.Node{
		"app/a.yaml":                memtree.File(configMap("a")),
		"base/kustomization.yaml":   memtree.File("resources: [../app/a.yaml]\n"),
		"$lib/x.yaml":               memtree.File(configMap("shadowed")),
		"reach/kustomization.yaml":  memtree.File("resources: [../$lib/base]\n"),
		"linked/kustomization.yaml": memtree.File("resources: [l]\n"),
		"linked/l":                  memtree.Link("../$lib/base"),
		"folder/l.yaml":             memtree.Link("../$lib/base/r.yaml"),
	})
	tree := mount.New(root, map[string]snapshot.Tree{"lib": lib})
	for path, want := range map[string][]string{
		"$lib/k":     {"k-r@$lib/base/r.yaml:1"},
		"$lib/plain": {"p@$lib/plain/p.yaml:1"},
		"app":        {"a@app/a.yaml:1"},
	} {
		res, err := render.Render(context.Background(), tree, render.Request{Path: path})
		alike(t, tree, render.Request{Path: path}, res, err)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if d := cmp.Diff(want, summary(res)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	for path, why := range map[string]string{
		"$lib/climb": "a kustomization of a mount that leads out of it",
		"$lib/bad":   "a link out of a mount",
		"reach":      "a kustomization that names a mount",
		"linked":     "a kustomization that names a link into a mount",
		"folder":     "a link into a mount",
	} {
		res, err := render.Render(context.Background(), tree, render.Request{Path: path})
		alike(t, tree, render.Request{Path: path}, res, err)
		if err == nil {
			t.Errorf("%s: %v", why, summary(res))
			continue
		}
		wantReason(t, err, fault.EscapesRepository)
	}
}
