package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/ignore"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/kustomize"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/snapshot"
)

// maxFolderDepth bounds how deep folders are nested, links followed included.
const maxFolderDepth = 100

// maxFolders bounds how many folders are walked, one that several links lead to
// counted each time: a few links can be more ways than there is time for.
const maxFolders = 100_000

// folder reads the manifests below dir.
func (r *renderer) folder(ctx context.Context, dir string) error {
	w := &walker{renderer: r}
	stack, err := w.inherited(dir)
	if err != nil {
		return err
	}
	return w.walk(ctx, dir, dir, stack)
}

// walker reads a folder and those below it.
type walker struct {
	*renderer
	open    []string // resolved folders from the root of the walk to here
	folders int      // walked so far
	// jsonnet evaluates the files of the folder at hand, if it has any.
	jsonnet *jsonnet.Renderer
}

// inherited reads the .abideignore files of the folders above dir.
func (w *walker) inherited(dir string) (ignore.Stack, error) {
	var above []string
	for d := dir; d != "."; {
		d = path.Dir(d)
		above = append(above, d)
	}
	slices.Reverse(above)
	var stack ignore.Stack
	for _, d := range above {
		p := path.Join(d, ignore.FileName)
		real, kind, err := w.tree.Resolve(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (real != p || !isIgnoreFile(kind)) {
			continue // a link is not followed, here as in the folder itself
		}
		if err != nil {
			return nil, fault.FromTree(p, err)
		}
		if stack, err = w.readIgnore(stack, d, real); err != nil {
			return nil, err
		}
	}
	return stack, nil
}

// isIgnoreFile tells whether an entry of that name and kind is read.
func isIgnoreFile(k snapshot.Kind) bool { return k == snapshot.File || k == snapshot.Executable }

func (w *walker) readIgnore(stack ignore.Stack, dir, file string) (ignore.Stack, error) {
	b, err := w.tree.ReadFile(file)
	if err != nil {
		return nil, fault.FromTree(file, err)
	}
	f, err := ignore.Parse(dir, b)
	if err != nil {
		var bound *ignore.LimitError
		if errors.As(err, &bound) {
			return nil, fault.New(fault.InvalidIgnoreFile, file, bound.Line, "%s", bound.Msg)
		}
		return nil, err
	}
	return append(slices.Clip(stack), f), nil
}

// walk reads the folder at the resolved path real, which people see as shown.
func (w *walker) walk(ctx context.Context, real, shown string, stack ignore.Stack) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if slices.Contains(w.open, real) {
		return fault.New(fault.LinkLoop, shown, 0, "is a link to a folder that it is in").
			WithHint("remove the link, or name it in .abideignore")
	}
	if len(w.open) >= maxFolderDepth {
		return fault.New(fault.TooDeep, shown, 0, "folders are nested more than %d deep", maxFolderDepth)
	}
	if w.folders++; w.folders > maxFolders {
		return fault.New(fault.TooLarge, shown, 0, "with it there are more than %d folders, counted once for each link that leads to them", maxFolders).
			WithHint("remove links, or name them in .abideignore")
	}
	w.open = append(w.open, real)
	defer func() { w.open = w.open[:len(w.open)-1] }()

	entries, err := w.tree.ReadDir(real)
	if err != nil {
		return fault.FromTree(shown, err)
	}
	if i := slices.IndexFunc(entries, func(e snapshot.Entry) bool { return e.Name == ignore.FileName }); i >= 0 {
		if isIgnoreFile(entries[i].Kind) {
			if stack, err = w.readIgnore(stack, shown, path.Join(real, ignore.FileName)); err != nil {
				return err
			}
		}
	}
	if name := jsonnetFile(entries, shown, stack); name != "" {
		return w.jsonnetFolder(ctx, real, shown, name, entries, stack)
	}
	for _, e := range byPath(entries) {
		if err := w.entry(ctx, real, shown, e, stack); err != nil {
			return err
		}
	}
	return nil
}

// byPath orders entries so that a walk visits files in byte order of their
// whole paths, where "a.yaml" comes before "a/b.yaml".
func byPath(entries []snapshot.Entry) []snapshot.Entry {
	name := func(e snapshot.Entry) string {
		if e.Kind == snapshot.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b snapshot.Entry) int { return strings.Compare(name(a), name(b)) })
	return sorted
}

// entry reads one name of a folder.
func (w *walker) entry(ctx context.Context, realDir, shownDir string, e snapshot.Entry, stack ignore.Stack) error {
	if strings.HasPrefix(e.Name, ".") {
		return nil
	}
	if w.seen++; w.small && w.seen > smallEntries {
		return errNotSmall
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	real, kind := path.Join(realDir, e.Name), e.Kind
	shown := real
	if shownDir != realDir {
		shown = path.Join(shownDir, e.Name)
	}
	// Ask before a link is followed, so that a bad one can be left out.
	if kind != snapshot.Dir && w.ignored(stack, shown, false) {
		return nil
	}
	if kind == snapshot.Symlink {
		if w.ignored(stack, shown, true) { // as the folder it may lead to
			return nil
		}
		var err error
		if real, kind, err = w.tree.Resolve(real); err != nil {
			if errors.Is(err, fs.ErrNotExist) && !isFault(err) && !manifest.IsManifestName(e.Name) && !jsonnet.IsFileName(e.Name) {
				w.res.Ignored = append(w.res.Ignored, Ignored{Path: shown, Reason: "a link to nothing"})
				return nil
			}
			return fault.FromTree(shown, err)
		}
	}
	switch kind {
	case snapshot.Submodule:
		w.res.Ignored = append(w.res.Ignored, Ignored{Path: shown, Reason: "a Git submodule is not followed"})
		return nil
	case snapshot.Dir:
		if w.ignored(stack, shown, true) {
			return nil
		}
		if w.jsonnet != nil {
			w.res.Ignored = append(w.res.Ignored, Ignored{Path: shown, Reason: "a folder beside Jsonnet is read by imports only"})
			return nil
		}
		return w.subfolder(ctx, real, shown, stack)
	}
	switch {
	case jsonnet.IsFileName(e.Name):
		return w.evaluate(ctx, w.jsonnet, shown)
	case manifest.IsManifestName(e.Name):
		if e.Kind == snapshot.Symlink {
			return w.file(real, shown, nil)
		}
		return w.file(real, shown, &e)
	}
	return nil
}

func (w *walker) ignored(stack ignore.Stack, p string, isDir bool) bool {
	m, ok := stack.Match(p, isDir)
	if !ok || !m.Ignored {
		return false
	}
	w.res.Ignored = append(w.res.Ignored, Ignored{
		Path:   p,
		Reason: fmt.Sprintf("%s:%d has the pattern %s", m.File, m.Line, m.Pattern),
	})
	return true
}

// subfolder reads a folder below the one that was asked for.
func (w *walker) subfolder(ctx context.Context, real, shown string, stack ignore.Stack) error {
	name, err := w.marker(real)
	if err != nil {
		return err
	}
	switch name {
	case "":
		return w.walk(ctx, real, shown, stack)
	case helm.ChartFile:
		return fault.New(fault.NestedChart, path.Join(shown, name), 0, "is a chart below a folder of manifests").
			WithHint("make an App of it, which gives it a release name and values, or name the folder in .abideignore")
	}
	component, err := kustomize.IsComponent(w.tree, path.Join(real, name))
	if err != nil {
		return err
	}
	if component {
		w.res.Ignored = append(w.res.Ignored, Ignored{Path: shown, Reason: "a kustomize Component is used by kustomizations only"})
		return nil
	}
	return w.kustomize(ctx, real)
}

// decoded is what one manifest gave.
type decoded struct {
	hash    string // of what was read, as a trace has it
	size    int64  // bytes
	memory  int64  // bytes that the objects take, by estimate
	objects []Object
	ignored []Ignored
}

// file adds the objects of one manifest. What it gives depends on its name, its
// content and the limits alone, so that a file which the render before has read
// is not read again. listed is what its folder says of it; nil if that is not
// known.
func (r *renderer) file(real, shown string, listed *snapshot.Entry) error {
	d, err := r.decode(real, shown, listed)
	if err != nil {
		return err
	}
	if r.small {
		r.res.manifests[shown] = d
		r.res.decoded += d.memory
	}
	r.res.Ignored = append(r.res.Ignored, d.ignored...)
	if len(r.res.Ignored) > r.req.Limits.Objects {
		return fault.New(fault.TooManyObjects, shown, 0, "with it there is more than %d times something that is no Kubernetes object", r.req.Limits.Objects).
			WithHint("name in .abideignore what is no manifest, or split the folder into several Apps")
	}
	return r.add(shown, d.objects)
}

func (r *renderer) decode(real, shown string, listed *snapshot.Entry) (*decoded, error) {
	if d := r.before[shown]; d != nil {
		same, err := r.tree.Same(real, listed, d.hash, d.size)
		if err != nil {
			return nil, fault.FromTree(shown, err)
		}
		if same {
			return d, nil
		}
	}
	b, hash, err := r.tree.ReadHashed(real)
	if err != nil {
		return nil, fault.FromTree(shown, err)
	}
	if r.fresh += int64(len(b)); r.small && r.fresh > r.most {
		return nil, errNotSmall
	}
	d := &decoded{hash: hash, size: int64(len(b))}
	d.objects, d.ignored, err = manifest.Decode(shown, b, r.req.Limits)
	if r.small { // else nobody asks for it
		d.memory = sizeOf(d.objects)
	}
	return d, err
}
