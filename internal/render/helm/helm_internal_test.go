package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"testing"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
)

func archived(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzUnpack: whatever is in charts/, an archive is read or refused, and holds
// no more than it may.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("no archive"))
	f.Add(archived(f, tar.Header{Name: "a/Chart.yaml", Size: 10, Mode: 0o644}))
	f.Add(archived(f, tar.Header{Name: "../../a", Size: 1}, tar.Header{Name: "a/b", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	f.Add(archived(f, tar.Header{Name: "a/big", Size: 1 << 16}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBuilder(limit.Limits{TotalBytes: 1 << 14}.OrDefault())
		files, err := b.unpack(data, "a.tgz")
		var e *fault.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("no error for people: %v", err)
		}
		total := 0
		for _, f := range files {
			total += len(f.Data)
		}
		if total > 1<<14 || b.left < 0 {
			t.Fatalf("%d bytes came out, %d are left", total, b.left)
		}
	})
}

// FuzzValues: values are read or refused with an error for people.
func FuzzValues(f *testing.F) {
	f.Add("a: b", "a.b[0].c")
	f.Add("a: &a [*a]", `a\.b`)
	f.Add("- a", "[1]")
	f.Add("a: b\n---\nc: d: e", "a..b[")
	f.Fuzz(func(t *testing.T, text, at string) {
		var e *fault.Error
		v, err := parseValues("f", []byte(text), limit.Default())
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("no error for people: %v", err)
		}
		m := &merged{all: v}
		if err == nil && v != nil {
			before := len(v)
			err := ValuesSource{Source: "s", Data: "x", TargetPath: at}.place(m)
			if err == nil && len(m.all) < before {
				t.Fatal("a value was lost")
			}
		}
		_ = secrets([]ValuesSource{{Data: text}, {Data: text, TargetPath: at}}).text(text)
	})
}

func TestPath(t *testing.T) {
	for path, ok := range map[string]bool{
		"a": true, "a.b": true, "a[0]": true, "a[0][1].b": true, `a\.b\[0\]`: true, "a-b_c/d": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "[0]": false, "a[": false, "a[x]": false,
		"a[-1]": false, "a[100000]": false, "a[0]b": false, `a\`: false, "a]": false,
	} {
		if _, got := parsePath(path); got != ok {
			t.Errorf("%q is a path: %v, want %v", path, got, ok)
		}
	}
}

// TestSecretsAreHiddenWhole: the longest form goes first, and what is no secret
// stays readable.
func TestSecretsAreHiddenWhole(t *testing.T) {
	h := secrets([]ValuesSource{{Data: "a: pass\nb: password-one\nc: {d: [true, 12, \"ok\"]}\n"}})
	if got := h.text("password-one and pass; true is ok, 12 as well"); got != "… and …; true is ok, 12 as well" {
		t.Errorf("it says %q", got)
	}
}
