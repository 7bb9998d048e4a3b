package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libc is the name of the GNU C library.
const libc = "libc.so.6"

// libraries collects the shared libraries of programs by reading their ELF
// headers, as the loader would, without running them.
type libraries struct {
	folders []string
	class   elf.Class
	machine elf.Machine
	found   map[string]string // soname to path
	loaders map[string]bool   // paths of dynamic loaders
}

func newLibraries() *libraries {
	return &libraries{
		folders: append(loaderFolders("/etc/ld.so.conf"), "/lib64", "/usr/lib64", "/lib", "/usr/lib"),
		found:   map[string]string{},
		loaders: map[string]bool{},
	}
}

// loaderFolders reads the folders named in the loader's configuration and in the
// files that it includes. What cannot be read names none.
func loaderFolders(conf string) []string {
	b, err := os.ReadFile(conf)
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if pattern, ok := strings.CutPrefix(line, "include "); ok {
			files, err := filepath.Glob(strings.TrimSpace(pattern))
			if err != nil {
				continue
			}
			slices.Sort(files)
			for _, f := range files {
				out = append(out, loaderFolders(f)...)
			}
		} else if filepath.IsAbs(line) {
			out = append(out, line)
		}
	}
	return out
}

// need takes the libraries that the program or library at path loads, and those
// that they load.
func (l *libraries) need(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	if l.machine == elf.EM_NONE {
		l.class, l.machine = f.Class, f.Machine
	}
	if loader := interpreter(f); loader != "" {
		l.loaders[loader] = true
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	own, err := runpath(f, path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "ld-linux") { // the loader, which has its own path
			continue
		}
		if l.found[name] != "" {
			continue
		}
		lib := l.lookup(name, own)
		if lib == "" {
			return fmt.Errorf("%s needs %s, which is in none of %v", path, name, l.folders)
		}
		l.found[name] = lib
		if err := l.need(lib); err != nil {
			return err
		}
	}
	return nil
}

// needIfThere takes a library that is not linked but loaded by name, if this
// machine has it.
func (l *libraries) needIfThere(name string) error {
	lib := l.lookup(name, nil)
	if lib == "" || l.found[name] != "" {
		return nil
	}
	l.found[name] = lib
	return l.need(lib)
}

// lookup finds a library of the right machine.
func (l *libraries) lookup(name string, own []string) string {
	for _, folder := range slices.Concat(own, l.folders) {
		path := filepath.Join(folder, name)
		f, err := elf.Open(path)
		if err != nil {
			continue
		}
		fits := f.Class == l.class && f.Machine == l.machine
		f.Close()
		if fits {
			return path
		}
	}
	return ""
}

// places says which file to copy where. Libraries go beside the C library, where
// the loader looks without a cache; loaders go where programs name them.
func (l *libraries) places() map[string]string {
	out := map[string]string{}
	for name, src := range l.found {
		out[filepath.Join(filepath.Dir(l.found[libc]), name)] = src
	}
	for loader := range l.loaders {
		out[loader] = loader
	}
	return out
}

// interpreter is the dynamic loader that a program names.
func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return ""
		}
		return strings.TrimRight(string(b), "\x00")
	}
	return ""
}

// runpath is where the file itself says to look first.
func runpath(f *elf.File, path string) ([]string, error) {
	var out []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := f.DynString(tag)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, v := range values {
			for _, folder := range strings.Split(v, ":") {
				out = append(out, strings.NewReplacer("$ORIGIN", filepath.Dir(path), "${ORIGIN}", filepath.Dir(path)).Replace(folder))
			}
		}
	}
	return out, nil
}
