package mount_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/mount"
)

func composite() snapshot.Tree {
	root := memtree.New(map[string]memtree.Node{
		"app/a.yaml": memtree.File("a"), "$values/shadowed": memtree.File("no"), "$other": memtree.File("seen"),
		"into": memtree.Link("$values/v.yaml"), "up": memtree.Link("$values/.."), "app/into": memtree.Link("../$values"),
		"chain": memtree.Link("self/$values"), "self": memtree.Link("."), "inside": memtree.Link("app/a.yaml"),
		"to-other": memtree.Link("$other"),
	})
	values := memtree.New(map[string]memtree.Node{
		"v.yaml": memtree.File("v"), "d/w.yaml": memtree.File("w"), "d/side": memtree.Link("../v.yaml"),
		"out": memtree.Link(".."), "d/far": memtree.Link("../../app/a.yaml"), "deep": memtree.Link("d/far"),
		"back": memtree.Link("../$values/v.yaml"), "abs": memtree.Link("/$values/v.yaml"), "home": memtree.Link("d/.."),
		"x": memtree.Link("$chart"), "$chart/f": memtree.File("a folder of its own"),
	})
	chart := memtree.FromText(map[string]string{"Chart.yaml": "c"})
	return mount.New(root, map[string]snapshot.Tree{"values": values, "chart": chart})
}

func TestRead(t *testing.T) {
	tree := composite()
	for _, row := range []struct{ path, want, why string }{
		{"app/a.yaml", "a", "the root"},
		{"$values/v.yaml", "v", "a mount"},
		{"$values/d/w.yaml", "w", "below a mount"},
		{"$chart/Chart.yaml", "c", "another mount"},
		{"$values/$chart/f", "a folder of its own", "a mount's own folder of such a name"},
		{"$other", "seen", "a file with a dollar that no mount covers"},
		{"$values/shadowed", "", "the root's own folder is covered"},
		{"$values", "", "a mount is a folder"},
		{"$none/x", "", "no such mount"},
	} {
		b, err := tree.ReadFile(row.path)
		if row.want == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %q is %q, %v", row.why, row.path, b, err)
			}
			continue
		}
		if err != nil || string(b) != row.want {
			t.Errorf("%s: %q is %q, %v", row.why, row.path, b, err)
		}
	}
}

func names(entries []snapshot.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return out
}

func TestList(t *testing.T) {
	tree := composite()
	for path, want := range map[string][]string{
		".":         {"$other", "app", "chain", "inside", "into", "self", "to-other", "up"},
		"$chart":    {"Chart.yaml"},
		"$values/d": {"far", "side", "w.yaml"},
	} {
		entries, err := tree.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, names(entries)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	e, err := tree.Lookup("$chart")
	if err != nil || e.Name != "$chart" || e.Kind != snapshot.Dir || e.Hash == "" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := tree.ReadDir("$none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such mount: %v", err)
	}
}

func TestNothing(t *testing.T) {
	for name, tree := range map[string]snapshot.Tree{
		"no root":       mount.New(nil, map[string]snapshot.Tree{"x": memtree.FromText(map[string]string{"f": "1"})}),
		"an empty one":  mount.New(nil, nil),
		"a mount: none": mount.New(memtree.New(nil), map[string]snapshot.Tree{"x": nil}),
	} {
		entries, err := tree.ReadDir(".")
		if err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
		if e, err := tree.Lookup("."); err != nil || e.Kind != snapshot.Dir {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if _, err := tree.Lookup("f"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tree.ReadDir("f"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tree.Lookup("$x/none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := mount.New(nil, map[string]snapshot.Tree{"x": nil})
	if e, err := empty.Lookup("$x"); err != nil || e.Kind != snapshot.Dir {
		t.Errorf("an empty mount: %+v, %v", e, err)
	}
	if entries, err := empty.ReadDir("$x"); err != nil || len(entries) > 0 {
		t.Errorf("an empty mount: %v, %v", entries, err)
	}
}

func TestHash(t *testing.T) {
	one, two := memtree.FromText(map[string]string{"f": "1"}), memtree.FromText(map[string]string{"f": "2"})
	type mounts = map[string]snapshot.Tree
	seen := map[string]string{}
	for name, tree := range map[string]snapshot.Tree{
		"root one":            mount.New(one, nil),
		"root two":            mount.New(two, nil),
		"mounted":             mount.New(one, mounts{"a": one}),
		"another name":        mount.New(one, mounts{"b": one}),
		"another content":     mount.New(one, mounts{"a": two}),
		"two":                 mount.New(one, mounts{"a": one, "b": two}),
		"two, swapped":        mount.New(one, mounts{"a": two, "b": one}),
		"no root":             mount.New(nil, mounts{"a": one}),
		"a name with a space": mount.New(one, mounts{"a " + one.Hash(): one}),
	} {
		h := tree.Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
		if h != tree.Hash() {
			t.Errorf("%s: another hash the second time", name)
		}
		if e, err := tree.Lookup("."); err != nil || e.Hash != h {
			t.Errorf("%s: the entry of the root has %+v, %v", name, e, err)
		}
	}
}

// TestResolve: links stay in the tree they lie in.
func TestResolve(t *testing.T) {
	tree := traced.New(composite(), 1<<20, 1<<20)
	for _, row := range []struct{ path, want, why string }{
		{"$values/v.yaml", "$values/v.yaml", "by name"},
		{"$values/d/side", "$values/v.yaml", "a link inside of a mount"},
		{"$values/home/v.yaml", "$values/v.yaml", "a link to the mount's own root"},
		{"inside", "app/a.yaml", "a link inside of the root"},
		{"to-other", "$other", "a dollar alone makes no mount"},
		{"self/app", "app", "a link to the root"},
		{"$values/x", "$values/$chart", "in a mount there are no mounts"},
	} {
		if got, _, err := tree.Resolve(row.path); err != nil || got != row.want {
			t.Errorf("%s: %q is %q, %v", row.why, row.path, got, err)
		}
	}
	for path, why := range map[string]string{
		"into": "from the root into a mount", "up": "into a mount and out again", "app/into": "from below",
		"chain": "by way of another link", "self/$values": "a name after a link",
		"$values/out": "out of a mount", "$values/d/far": "out of a mount, from below", "$values/deep": "by way of another link",
		"$values/back": "out of a mount and into it again", "$values/abs": "absolute", "$values/out/app": "through such a link",
	} {
		var e *snapshot.EscapeError
		if got, _, err := tree.Resolve(path); !errors.As(err, &e) {
			t.Errorf("%s: %q is %q, %v", why, path, got, err)
		}
	}
}

func TestJoin(t *testing.T) {
	tree := traced.New(composite(), 1<<20, 1<<20)
	for _, row := range []struct{ dir, path, want string }{
		{"app", "../x", "x"}, {".", "x", "x"}, {"$values/d", "../v.yaml", "$values/v.yaml"}, {"$values", "d", "$values/d"},
		{"$values/d", "..", "$values"}, {"app", "$values", "app/$values"}, {".", "$other", "$other"},
	} {
		if got, err := tree.Join(row.dir, row.path); err != nil || got != row.want {
			t.Errorf("%s in %s is %q, %v", row.path, row.dir, got, err)
		}
	}
	for _, row := range [][2]string{
		{"app", "../../x"}, {"app", "/app/a.yaml"}, {".", ".."}, {"$values", ".."}, {"$values/d", "../../app"},
		{"$values", "../$chart"}, {"app", "../$values/v.yaml"}, {".", "$values"}, {"$values", "../../x"},
	} {
		var e *snapshot.EscapeError
		if got, err := tree.Join(row[0], row[1]); !errors.As(err, &e) {
			t.Errorf("%s in %s is %q, %v", row[1], row[0], got, err)
		}
	}
}

// TestTrace: a trace over a composite is valid exactly while what was read is
// the same, in whichever tree it lies.
func TestTrace(t *testing.T) {
	build := func(app, value, other string) snapshot.Tree {
		return mount.New(memtree.FromText(map[string]string{"app": app}), map[string]snapshot.Tree{
			"values": memtree.FromText(map[string]string{"v": value}), "other": memtree.FromText(map[string]string{"o": other}),
		})
	}
	tree := traced.New(build("1", "1", "1"), 1<<20, 1<<20)
	for _, p := range []string{"app", "$values/v"} {
		if _, _, err := tree.Resolve(p); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tree.ReadDir("."); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tree.Resolve("$gone/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		tree snapshot.Tree
		want bool
	}{
		"the same":               {build("1", "1", "1"), true},
		"what was not read":      {build("1", "1", "2"), true},
		"the root":               {build("2", "1", "1"), false},
		"a mount":                {build("1", "2", "1"), false},
		"without the mount":      {memtree.FromText(map[string]string{"app": "1"}), false},
		"what was not there, is": {mount.New(build("1", "1", "1"), map[string]snapshot.Tree{"gone": memtree.FromText(map[string]string{"x": ""})}), false},
	} {
		if ok, err := tree.Trace().Valid(row.tree); err != nil || ok != row.want {
			t.Errorf("%s: valid is %t, %v", name, ok, err)
		}
	}
}

func FuzzPaths(f *testing.F) {
	for _, p := range []string{"$values/v.yaml", "$values", "$values/", "$/x", "$", "into", ".", "$values/../app"} {
		f.Add(p, p)
	}
	f.Fuzz(func(t *testing.T, p, dir string) {
		tree := traced.New(composite(), 1<<20, 1<<20)
		if real, _, err := tree.Resolve(p); err == nil {
			if _, err := composite().Lookup(real); err != nil {
				t.Errorf("%q resolves to %q: %v", p, real, err)
			}
		}
		if joined, err := tree.Join(dir, p); err == nil {
			if _, err := snapshot.Clean(joined); err != nil {
				t.Errorf("%q in %q is %q", p, dir, joined)
			}
		}
	})
}
