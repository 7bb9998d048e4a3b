package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/kustomize"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/spelling"
)

// root resolves the path of the request.
func (r *renderer) root() (string, snapshot.Kind, error) {
	p, kind, err := r.tree.Resolve(r.req.Path)
	if errors.Is(err, fs.ErrNotExist) && !isFault(err) {
		return "", 0, r.notFound()
	}
	if err != nil {
		return "", 0, fault.FromTree(r.req.Path, err)
	}
	if kind == snapshot.Submodule {
		return "", 0, fault.New(fault.SubmoduleNotSupported, r.req.Path, 0, "is a Git submodule").
			WithHint("make an App of the submodule's own repository")
	}
	return p, kind, nil
}

// maxSimilar is how many similar names a hint gives.
const maxSimilar = 3

// notFound names the nearest folder that exists and what in it has a name like
// the one that is missing.
func (r *renderer) notFound() error {
	e := fault.New(fault.PathNotFound, r.req.Path, 0, "there is no such path in the repository")
	e.Err = fs.ErrNotExist
	clean, err := snapshot.Clean(r.req.Path)
	if err != nil {
		return e
	}
	parent, missing := clean, ""
	for parent != "." {
		parent, missing = path.Dir(parent), path.Base(parent)
		real, kind, err := r.tree.Resolve(parent)
		if err != nil {
			continue
		}
		where := parent + "/"
		if parent == "." {
			where = "the root of the repository"
		}
		if kind == snapshot.Submodule {
			return e.WithHint("%s is a Git submodule: make an App of its own repository", parent)
		}
		if kind != snapshot.Dir {
			return e.WithHint("%s is no folder", parent)
		}
		entries, err := r.tree.ReadDir(real)
		if err != nil {
			return e
		}
		if like := similar(missing, entries); len(like) > 0 {
			return e.WithHint("%s has no %q; did you mean %s?", where, missing, strings.Join(like, " or "))
		}
		return e.WithHint("%s exists and has no %q", where, missing)
	}
	return e
}

// similar returns the names nearest to the missing one, best first.
func similar(missing string, entries []snapshot.Entry) []string {
	type scored struct {
		name string
		cost int
	}
	var found []scored
	for _, e := range entries {
		if len(e.Name) > 128 || len(missing) > 128 || strings.HasPrefix(e.Name, ".") {
			continue
		}
		cost := spelling.Distance(strings.ToLower(missing), strings.ToLower(e.Name))
		if cost <= 1+len(missing)/3 {
			found = append(found, scored{e.Name, cost})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].cost < found[j].cost })
	var names []string
	for _, f := range found[:min(len(found), maxSimilar)] {
		names = append(names, fmt.Sprintf("%q", f.name))
	}
	return names
}

// marker returns the name of the file that says what dir is: a kustomization
// or, where there is none, a Chart.yaml. It is empty if there is neither.
func (r *renderer) marker(dir string) (string, error) {
	for _, name := range append(kustomize.FileNames(), helm.ChartFile) {
		p := path.Join(dir, name)
		_, kind, err := r.tree.Resolve(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", fault.FromTree(p, err)
		case kind == snapshot.File || kind == snapshot.Executable:
			return name, nil
		}
	}
	return "", nil
}
