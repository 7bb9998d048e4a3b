package helm

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/ignore"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

const (
	// maxFolderDepth bounds how deep folders are nested, links followed included.
	maxFolderDepth = 100
	// maxIgnoreBytes and maxIgnoreLines bound a .helmignore, every pattern of
	// which is tried on every file.
	maxIgnoreBytes = 64 << 10
	maxIgnoreLines = 1000
	// maxEntries bounds the files and folders of a chart, one that several links
	// lead to counted each time.
	maxEntries = 100_000
)

var utf8BOM = []byte("\xef\xbb\xbf")

// load reads the chart at a resolved path, which is a folder or an archive.
func load(tree *traced.Tree, dir string, lim limit.Limits) (*chartTree, error) {
	b := newBuilder(lim)
	_, kind, err := tree.Resolve(dir)
	if err != nil {
		return nil, fault.FromTree(dir, err)
	}
	var files []*archive.BufferedFile
	if kind == snapshot.Dir {
		w := &walker{tree: tree, root: dir, left: lim.TotalBytes}
		if err := w.readIgnore(); err != nil {
			return nil, err
		}
		if err := w.walk(dir, ""); err != nil {
			return nil, err
		}
		files = w.files
	} else {
		data, err := tree.ReadFile(dir)
		if err != nil {
			return nil, fault.FromTree(dir, err)
		}
		if files, err = b.unpack(data, dir); err != nil {
			return nil, err
		}
	}
	return b.root(files, dir)
}

// walker reads the folder of a chart as Helm's loader does: in byte order of
// the names, links followed, without what .helmignore names.
type walker struct {
	tree  *traced.Tree
	root  string
	rules *ignore.Rules
	files []*archive.BufferedFile
	open  []string // resolved folders from the root to here
	// entries were walked so far, and left bytes may still be read, those that
	// are read again included: Helm keeps each.
	entries int
	left    int64
}

// shown is where people see a name of the chart.
func (w *walker) shown(name string) string { return path.Join(w.root, name) }

func (w *walker) readIgnore() error {
	w.rules = ignore.Empty()
	file := w.shown(ignore.HelmIgnore)
	real, kind, err := w.tree.Resolve(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fault.FromTree(file, err)
	case kind == snapshot.File || kind == snapshot.Executable:
		b, err := w.tree.ReadFile(real)
		if err != nil {
			return fault.FromTree(file, err)
		}
		if len(b) > maxIgnoreBytes || bytes.Count(b, []byte{'\n'}) > maxIgnoreLines {
			return fault.New(fault.InvalidIgnoreFile, file, 0, "has more than %d bytes or %d lines", maxIgnoreBytes, maxIgnoreLines)
		}
		if w.rules, err = ignore.Parse(bytes.NewReader(b)); err != nil {
			return fault.New(fault.InvalidIgnoreFile, file, 0, "%s", err).
				WithHint("a pattern is that of a shell, without **")
		}
	}
	w.rules.AddDefaults()
	return nil
}

func (w *walker) walk(real, name string) error {
	if slices.Contains(w.open, real) {
		return fault.New(fault.LinkLoop, w.shown(name), 0, "is a link to a folder that it is in")
	}
	if len(w.open) >= maxFolderDepth {
		return fault.New(fault.TooDeep, w.shown(name), 0, "folders are nested more than %d deep", maxFolderDepth)
	}
	w.open = append(w.open, real)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	entries, err := w.tree.ReadDir(real)
	if err != nil {
		return fault.FromTree(w.shown(name), err)
	}
	for _, e := range entries {
		// What Git keeps there is no content of a commit.
		if strings.EqualFold(e.Name, ".git") {
			continue
		}
		if err := w.entry(path.Join(real, e.Name), path.Join(name, e.Name), e.Kind); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(real, name string, kind snapshot.Kind) error {
	if w.entries++; w.entries > maxEntries {
		return fault.New(fault.TooLarge, w.shown(name), 0, "with it the chart has more than %d files and folders, counted once for each link that leads to them", maxEntries).
			WithHint("remove links, or name them in .helmignore")
	}
	if kind == snapshot.Symlink {
		var err error
		// Helm follows a link before it asks whether it is ignored.
		if real, kind, err = w.tree.Resolve(real); err != nil {
			return fault.FromTree(w.shown(name), err)
		}
	}
	switch kind {
	case snapshot.Submodule: // an empty folder in a clean checkout
		return nil
	case snapshot.Dir:
		if w.rules.Ignore(name, fileInfo{name, true}) {
			return nil
		}
		return w.walk(real, name)
	}
	if w.rules.Ignore(name, fileInfo{name, false}) {
		return nil
	}
	b, err := w.tree.ReadFile(real)
	if err != nil {
		return fault.FromTree(w.shown(name), err)
	}
	if w.left -= int64(len(b)); w.left < 0 {
		return fault.New(fault.TooLarge, w.shown(name), 0, "with it the chart has more bytes than are read, counted once for each link that leads to them").
			WithHint("remove links, or name them in .helmignore")
	}
	w.files = append(w.files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(b, utf8BOM)})
	return nil
}

// fileInfo is what .helmignore rules look at.
type fileInfo struct {
	name string
	dir  bool
}

func (i fileInfo) Name() string { return path.Base(i.name) }
func (i fileInfo) IsDir() bool  { return i.dir }

// Size, Mode, ModTime and Sys are not looked at.
func (i fileInfo) Size() int64        { return 0 }
func (i fileInfo) Mode() fs.FileMode  { return 0 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) Sys() any           { return nil }
