package targz_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/targz"
)

// pack makes an archive of headers and contents as they are.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.content))}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.mode != 0 {
			h.Mode = e.mode
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type entry struct {
	name    string
	content string
	kind    byte
	link    string
	mode    int64
}

func TestRead(t *testing.T) {
	tree, err := targz.Read(bytes.NewReader(pack(t,
		entry{kind: tar.TypeXGlobalHeader},
		entry{name: "./", kind: tar.TypeDir},
		entry{name: "./web/", kind: tar.TypeDir},
		entry{name: "web/Chart.yaml", content: "name: web\n"},
		entry{name: "./web//templates/./a.yaml", content: "a: 1\n"},
		entry{name: "web/templates/", kind: tar.TypeDir},
		entry{name: "web/empty/", kind: tar.TypeDir},
		entry{name: "web/.git/config", content: "x"},
		entry{name: "web/run.sh", content: "#!/bin/sh\n", mode: 0o755},
		entry{name: "web/é.txt"},
	)), targz.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := memtree.New(map[string]memtree.Node{
		"Chart.yaml": memtree.File("name: web\n"), "templates/a.yaml": memtree.File("a: 1\n"),
		"run.sh": memtree.Exec("#!/bin/sh\n"), "é.txt": memtree.File(""),
	})
	if tree.Hash() != want.Hash() {
		t.Errorf("the hash is %s, of the same files in Git %s", tree.Hash(), want.Hash())
	}
	if tree.Folder() != "web" || tree.Size() != 25 {
		t.Errorf("folder %q, %d bytes", tree.Folder(), tree.Size())
	}
	b, err := tree.ReadFile("templates/a.yaml")
	if string(b) != "a: 1\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if e, err := tree.Lookup("run.sh"); err != nil || e.Kind != snapshot.Executable {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestHostile(t *testing.T) {
	good := entry{name: "web/Chart.yaml", content: "name: web\n"}
	deep := "web/" + strings.Repeat("d/", 40) + "f"
	many := make([]entry, 60)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("web/f%d", i)}
	}
	for _, tt := range []struct {
		why     string
		entries []entry
		says    string
		large   bool
	}{
		{"an absolute name", []entry{good, {name: "/etc/passwd", content: "x"}}, "absolute", false},
		{"a drive of Windows", []entry{good, {name: "c:/x", content: "x"}}, "absolute", false},
		{"out of the archive", []entry{good, {name: "web/../../x", content: "x"}}, `".."`, false},
		{"out and in again", []entry{good, {name: "web/a/../x", content: "x"}}, `".."`, false},
		{"a folder out of it", []entry{good, {name: "../", kind: tar.TypeDir}}, `".."`, false},
		{"backslashes", []entry{good, {name: `web\..\x`, content: "x"}}, "backslash", false},
		{"a link", []entry{good, {name: "web/l", kind: tar.TypeSymlink, link: "Chart.yaml"}}, "link", false},
		{"a hard link", []entry{good, {name: "web/l", kind: tar.TypeLink, link: "web/Chart.yaml"}}, "link", false},
		{"a device", []entry{good, {name: "web/d", kind: tar.TypeChar}}, "neither", false},
		{"a pipe", []entry{good, {name: "web/d", kind: tar.TypeFifo}}, "neither", false},
		{"twice", []entry{good, good}, "twice", false},
		{"twice, spelled differently", []entry{good, {name: "./web//Chart.yaml", content: "x"}}, "twice", false},
		{"a file that is a folder too", []entry{good, {name: "web/a", content: "x"}, {name: "web/a/b", content: "x"}}, "twice", false},
		{"a folder that is a file too", []entry{good, {name: "web/a/b", content: "x"}, {name: "web/a", content: "x"}}, "twice", false},
		{"case", []entry{good, {name: "web/chart.yaml", content: "x"}}, "case", false},
		{"case of a folder", []entry{{name: "web/templates/a"}, {name: "web/Templates/b"}}, "case", false},
		{"case beyond ASCII: the sign of Kelvin", []entry{{name: "web/k"}, {name: "web/\u212a"}}, "case", false},
		{"two folders", []entry{good, {name: "other/x", content: "x"}}, "two folders", false},
		{"outside of any folder", []entry{{name: "Chart.yaml", content: "x"}}, "outside", false},
		{"the folder is a file", []entry{good, {name: "web", content: "x"}}, "outside", false},
		{"a control character", []entry{good, {name: "web/a\x1b[2Jb", content: "x"}}, "control", false},
		{"text turned around", []entry{good, {name: "web/a\u202eb", content: "x"}}, "control", false},
		{"no file", []entry{{name: "web/", kind: tar.TypeDir}}, "no file", false},
		{"nothing", nil, "no file", false},
		{"deep", []entry{good, {name: deep}}, "deep", true},
		{"a long name", []entry{good, {name: "web/" + strings.Repeat("n", 300)}}, "longer", true},
		{"many files", many, "more than 50 files", true},
		{"a large file", []entry{good, {name: "web/l", content: strings.Repeat("x", 5000)}}, "5000 bytes", true},
		{"large together", []entry{{name: "web/a", content: strings.Repeat("x", 4000)}, {name: "web/b", content: strings.Repeat("x", 4000)},
			{name: "web/c", content: strings.Repeat("x", 4000)}, {name: "web/d", content: strings.Repeat("x", 4000)}}, "unpacks to more", true},
	} {
		_, err := targz.Read(bytes.NewReader(pack(t, tt.entries...)), targz.Limits{File: 4096, Entries: 50, Unpacked: 64 << 9, Name: 200})
		if tt.why == "large together" {
			_, err = targz.Read(bytes.NewReader(pack(t, tt.entries...)), targz.Limits{Unpacked: 8 << 10})
		}
		var e *targz.Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), tt.says) || e.TooLarge != tt.large {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if strings.ContainsAny(e.Error(), "\x1b\u202e") {
			t.Errorf("%s: the message is not safe to print: %q", tt.why, e.Error())
		}
	}
}

func TestDamaged(t *testing.T) {
	good := pack(t, entry{name: "web/Chart.yaml", content: strings.Repeat("name: web\n", 100)})
	for _, tt := range []struct {
		why     string
		archive []byte
	}{
		{"empty", nil},
		{"not gzip", []byte("PK\x03\x04 and so on")},
		{"cut off", good[:len(good)-20]},
		{"a wrong checksum", append(append([]byte(nil), good[:len(good)-8]...), 0, 0, 0, 0, 0, 0, 0, 0)},
		{"no tar", gzipped(t, strings.NewReader(strings.Repeat("x", 2000)))},
	} {
		var e *targz.Error
		if _, err := targz.Read(bytes.NewReader(tt.archive), targz.Limits{}); !errors.As(err, &e) || e.TooLarge {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
	broken := errors.New("the disk broke")
	_, err := targz.Read(io.MultiReader(bytes.NewReader(good[:30]), iotest.ErrReader(broken)), targz.Limits{})
	var e *targz.Error
	if !errors.Is(err, broken) || errors.As(err, &e) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func gzipped(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, r); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A bomb is a bomb wherever it is: in a file, or after the end of the tar.
func TestBomb(t *testing.T) {
	const size = 64 << 20
	var inside bytes.Buffer
	w := tar.NewWriter(&inside)
	if err := w.WriteHeader(&tar.Header{Name: "web/bomb", Mode: 0o644, Size: size}); err != nil {
		t.Fatal(err)
	}
	end := bytes.NewBuffer(nil)
	w = tar.NewWriter(end)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "web/a", Mode: 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		why  string
		head []byte
	}{{"in a file", inside.Bytes()}, {"after the end", end.Bytes()}} {
		bomb := gzipped(t, io.MultiReader(bytes.NewReader(tt.head), io.LimitReader(zeros{}, size)))
		if len(bomb) > 1<<20 {
			t.Fatalf("%d bytes are no bomb", len(bomb))
		}
		_, err := targz.Read(bytes.NewReader(bomb), targz.Limits{Unpacked: 1 << 20, File: 1 << 30})
		var e *targz.Error
		if !errors.As(err, &e) || !e.TooLarge {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

// FuzzRead reads tars rather than gzip, which the fuzzer could not get past,
// and checks that whatever is taken is a sound tree.
func FuzzRead(f *testing.F) {
	for _, archive := range [][]byte{
		pack(f, entry{name: "web/Chart.yaml", content: "name: web\n"}, entry{name: "web/templates/a.yaml", content: "a"}),
		pack(f, entry{name: "web/", kind: tar.TypeDir}, entry{name: "web/l", kind: tar.TypeSymlink, link: "x"}),
		pack(f, entry{name: "web/" + strings.Repeat("long/", 40) + "x", content: "x"}),
	} {
		z, err := gzip.NewReader(bytes.NewReader(archive))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tree, err := targz.Read(bytes.NewReader(gzipped(t, bytes.NewReader(raw))), targz.Limits{Unpacked: 1 << 20})
		if err != nil {
			var e *targz.Error
			if !errors.As(err, &e) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		walk(t, tree, ".")
	})
}

func walk(t *testing.T, tree snapshot.Tree, dir string) {
	entries, err := tree.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		p := e.Name
		if dir != "." {
			p = dir + "/" + e.Name
		}
		if c, err := snapshot.Clean(p); err != nil || c != p {
			t.Fatalf("the path %q is not clean (%v)", p, err)
		}
		switch e.Kind {
		case snapshot.Dir:
			walk(t, tree, p)
		case snapshot.File, snapshot.Executable:
			if _, err := tree.ReadFile(p); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%s is a %v", p, e.Kind)
		}
	}
}
