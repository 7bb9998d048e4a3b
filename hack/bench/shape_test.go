package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestProbes: drifts of one object in a row are slowed down by abide, so probes
// must be about different objects.
func TestProbes(t *testing.T) {
	for _, s := range scenarios {
		seen := map[string]bool{}
		for i := range 2 * s.probes { // changes and deletes
			app, object := s.probe(i)
			seen[fmt.Sprint(app, "/", object)] = true
		}
		if len(seen) != 2*s.probes {
			t.Errorf("%s: %d objects for %d probes", s.name, len(seen), 2*s.probes)
		}
	}
}

// TestShapes: the yardstick applies what abide renders.
func TestShapes(t *testing.T) {
	for _, s := range scenarios {
		app, object := s.probe(1)
		files := s.shape.files(app)
		change := s.shape.change(app, object, "other")
		for name := range change {
			if _, ok := files[name]; !ok {
				t.Errorf("%s: a change adds %s", s.name, name)
			}
		}
		if len(change) != 1 {
			t.Errorf("%s: a change touches %v", s.name, slices.Collect(maps.Keys(change)))
		}
		if got := len(s.shape.objects(app)) * s.apps; got != s.objects() {
			t.Errorf("%s: %d objects, want %d", s.name, got, s.objects())
		}
	}
}

// TestRendered: the objects of a shape are what abide's renderer makes of its
// files.
func TestRendered(t *testing.T) {
	abide := filepath.Join("..", "..", "bin", "abide")
	if _, err := os.Stat(abide); err != nil {
		t.Skip("abide is not built")
	}
	for name, s := range map[string]shape{"overlays": overlays{10}, "library": library{4}} {
		dir := t.TempDir()
		r := &repository{work: dir}
		for _, files := range []map[string]string{s.shared(), s.files(3)} {
			if err := r.write(files); err != nil {
				t.Fatal(err)
			}
		}
		if l, ok := s.(linker); ok {
			if err := r.link(l.links(3)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(abide, "render", dir, "--path", folder(3))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		for _, u := range s.objects(3) {
			if !bytes.Contains(out, []byte("name: "+u.GetName()+"\n")) {
				t.Errorf("%s: %s is not rendered:\n%s", name, u.GetName(), out)
			}
		}
		if n := bytes.Count(out, []byte(valueKey+": ")); n == 0 {
			t.Errorf("%s: no object has the value that is watched:\n%s", name, out)
		}
	}
}
