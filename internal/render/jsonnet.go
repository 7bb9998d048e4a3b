package render

import (
	"context"
	"path"
	"slices"
	"strings"

	"abide.dev/abide/internal/render/ignore"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/snapshot"
)

// jsonnetFile returns the name of the first Jsonnet file of a folder that is to
// be evaluated; empty if there is none.
func jsonnetFile(entries []snapshot.Entry, shown string, stack ignore.Stack) string {
	for _, e := range entries {
		if !isJsonnet(e) {
			continue
		}
		if m, ok := stack.Match(path.Join(shown, e.Name), false); !ok || !m.Ignored {
			return e.Name
		}
	}
	return ""
}

func isJsonnet(e snapshot.Entry) bool {
	if strings.HasPrefix(e.Name, ".") || !jsonnet.IsFileName(e.Name) {
		return false
	}
	return e.Kind == snapshot.File || e.Kind == snapshot.Executable || e.Kind == snapshot.Symlink
}

// jsonnetFolder reads a folder that has a Jsonnet file, called name: all of
// them first, then the manifests beside them.
func (w *walker) jsonnetFolder(ctx context.Context, real, shown, name string, entries []snapshot.Entry, stack ignore.Stack) error {
	if w.small {
		return errNotSmall
	}
	if len(w.open) == 1 {
		w.res.Renderer, w.res.Why = Jsonnet, "there is a "+name+" in it"
	}
	w.jsonnet = jsonnet.New(w.tree, shown, w.req.Jsonnet, w.req.Limits)
	defer func() { w.jsonnet = nil }()
	before := len(w.res.Objects)
	var others []snapshot.Entry
	for _, e := range byPath(entries) {
		if !isJsonnet(e) {
			others = append(others, e)
			continue
		}
		if err := w.entry(ctx, real, shown, e, stack); err != nil {
			return err
		}
	}
	for _, e := range others {
		if at := path.Join(shown, e.Name); manifest.IsManifestName(e.Name) && w.jsonnet.Imported(at) {
			w.res.Ignored = append(w.res.Ignored, Ignored{Path: at, Reason: "it is imported by Jsonnet"})
			continue
		}
		if err := w.entry(ctx, real, shown, e, stack); err != nil {
			return err
		}
	}
	settings := func(o Object) bool {
		if !jsonnet.IsSettings(o) {
			return false
		}
		w.res.Ignored = append(w.res.Ignored, Ignored{Path: o.Origin.File, Line: o.Origin.Line, Reason: "the settings of a Tanka environment"})
		return true
	}
	w.res.Objects = append(w.res.Objects[:before], slices.DeleteFunc(w.res.Objects[before:], settings)...)
	return nil
}

// evaluate adds the objects of one Jsonnet file.
func (r *renderer) evaluate(ctx context.Context, with *jsonnet.Renderer, file string) error {
	objects, err := with.File(ctx, file)
	if err != nil {
		return err
	}
	return r.add(file, objects)
}

// jsonnetAlone renders a path that names a Jsonnet file.
func (r *renderer) jsonnetAlone(ctx context.Context, file string) error {
	if r.small {
		return errNotSmall
	}
	r.res.Renderer, r.res.Why = Jsonnet, "it is a Jsonnet file"
	return r.evaluate(ctx, jsonnet.New(r.tree, path.Dir(file), r.req.Jsonnet, r.req.Limits), file)
}
