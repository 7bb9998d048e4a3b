package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"path"
	"slices"
)

// entry is one file, folder or link of a layer.
type entry struct {
	kind   byte // tar.TypeReg, tar.TypeDir or tar.TypeSymlink
	mode   int64
	body   []byte
	target string
}

// layer is the content of one image layer by name, without a leading slash.
type layer struct {
	entries map[string]entry
}

func newLayer() *layer { return &layer{entries: map[string]entry{}} }

// addFile adds a file and the folders above it.
func (l *layer) addFile(name string, mode int64, body []byte) {
	l.put(name, entry{kind: tar.TypeReg, mode: mode, body: body})
}

func (l *layer) addDir(name string, mode int64) {
	l.put(name, entry{kind: tar.TypeDir, mode: mode})
}

func (l *layer) addLink(name, target string) {
	l.put(name, entry{kind: tar.TypeSymlink, mode: 0o777, target: target})
}

// copyFile adds what src holds, or what it links to.
func (l *layer) copyFile(src, name string, mode int64) error {
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	l.addFile(name, mode, b)
	return nil
}

func (l *layer) put(name string, e entry) {
	l.entries[name] = e
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := l.entries[dir]; !ok {
			l.entries[dir] = entry{kind: tar.TypeDir, mode: 0o755}
		}
	}
}

// write writes the layer as a tar stream. Every entry belongs to root and has no
// date.
func (l *layer) write(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[name]
		h := &tar.Header{Typeflag: e.kind, Name: name, Linkname: e.target, Mode: e.mode, Size: int64(len(e.body)), Format: tar.FormatPAX}
		if e.kind == tar.TypeDir {
			h.Name += "/"
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.body); err != nil {
			return err
		}
	}
	return t.Close()
}

// pack returns the layer as a gzipped tar, and the digest of the tar in it.
func (l *layer) pack() (gz []byte, diffID string, err error) {
	var plain, packed bytes.Buffer
	if err := l.write(&plain); err != nil {
		return nil, "", err
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, "", err
	}
	if err := z.Close(); err != nil {
		return nil, "", err
	}
	return packed.Bytes(), digestOf(plain.Bytes()), nil
}
