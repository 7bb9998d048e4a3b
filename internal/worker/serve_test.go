package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/worker/wire"
)

func isBroken(err error) bool {
	var b *protocolError
	return errors.As(err, &b)
}

// TestQuestions asks what a worker must not.
func TestQuestions(t *testing.T) {
	big := memtree.FromText(map[string]string{"a.yaml": strings.Repeat("x", 1<<20)})
	for name, q := range map[string]ask{
		"a path upwards":         {Op: opReadFile, Path: "../a"},
		"a path within upwards":  {Op: opReadFile, Path: "a/../../b"},
		"an absolute path":       {Op: opReadFile, Path: "/etc/passwd"},
		"a path that is unclean": {Op: opLookup, Path: "a//b"},
		"no path":                {Op: opReadDir},
		"a path without end":     {Op: opLookup, Path: strings.Repeat("a/", 3000) + "a"},
		"an unknown question":    {Op: 99, Path: "a"},
		"a kind":                 {Op: opKind, Path: "a"},
		"more paths than may be": {Op: opReadFile, Path: "a.yaml", More: make([]string, maxMore+1)},
		"more, and a bad one":    {Op: opReadFile, Path: "b.yaml", More: []string{"/etc/passwd"}},
		"more with a listing":    {Op: opReadDir, Path: ".", More: []string{"a.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := memtree.FromText(map[string]string{"a.yaml": "x", "b.yaml": "y"})
			if a, err := serve(tree, render.Limits{}.OrDefault()).answer(q); !isBroken(err) {
				t.Errorf("answer %+v, error %v", a, err)
			}
		})
	}
	t.Run("the same file again and again", func(t *testing.T) {
		s := serve(big, render.Limits{TotalBytes: 1 << 20}.OrDefault())
		for range 1000 {
			if _, err := s.answer(ask{Op: opReadFile, Path: "a.yaml"}); err != nil {
				if !isBroken(err) {
					t.Error(err)
				}
				return
			}
		}
		t.Error("it never ends")
	})
	t.Run("questions without end", func(t *testing.T) {
		s := serve(big, render.Limits{}.OrDefault())
		s.questions = 2
		for range 2 {
			if _, err := s.answer(ask{Op: opLookup, Path: "a.yaml"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.answer(ask{Op: opLookup, Path: "a.yaml"}); !isBroken(err) {
			t.Error(err)
		}
	})
}

// TestReadAhead wants files that come next along, as far as there is room.
func TestReadAhead(t *testing.T) {
	tree := memtree.FromText(map[string]string{"a": "1", "b": "2", "c": strings.Repeat("x", maxAhead), "d": "4"})
	a, err := serve(tree, render.Limits{}.OrDefault()).answer(ask{Op: opReadFile, Path: "a", More: []string{"b", "c", "d"}})
	if err != nil || string(a.Content) != "1" || len(a.Ahead) != 1 || string(a.Ahead[0]) != "2" {
		t.Errorf("answer %+v, error %v", a, err)
	}
}

// TestResults gives results that nobody may stumble over.
func TestResults(t *testing.T) {
	object := func(m map[string]any) render.Object {
		return render.Object{Unstructured: &unstructured.Unstructured{Object: m}}
	}
	good := object(map[string]any{"apiVersion": "v1", "kind": "K", "metadata": map[string]any{}})
	for name, row := range map[string]struct {
		objects []render.Object
		ok      bool
	}{
		"an object":         {[]render.Object{good}, true},
		"too many":          {[]render.Object{good, good, good}, false},
		"nothing":           {[]render.Object{{}}, false},
		"an empty one":      {[]render.Object{object(nil)}, false},
		"without a kind":    {[]render.Object{object(map[string]any{"apiVersion": "v1", "kind": 1.5, "metadata": map[string]any{}})}, false},
		"metadata no map":   {[]render.Object{object(map[string]any{"apiVersion": "v1", "kind": "K", "metadata": "x"})}, false},
		"no version at all": {[]render.Object{object(map[string]any{"kind": "K", "metadata": map[string]any{}})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(&render.Result{Objects: row.objects}, render.Limits{Objects: 2}); (err == nil) != row.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFrames(t *testing.T) {
	head := func(n uint32, kind frameType) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, n), byte(kind))
	}
	for name, row := range map[string]struct {
		b      []byte
		broken bool
	}{
		"longer than may be":   {head(1<<30, typeDone), true},
		"not its turn":         {head(1, typeRequest), true},
		"no type":              {head(1, 0), true},
		"an unknown type":      {head(1, 77), true},
		"half a head":          {[]byte{1, 0}, false},
		"much that never came": {head(maxDone, typeDone), false},
		"an end":               {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readFrame(bytes.NewReader(row.b), fromChild)
			if err == nil || isBroken(err) != row.broken {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := frame(typeHello, hello{Bounds: []string{strings.Repeat("x", 1<<20)}}, fromChild); err == nil {
		t.Error("a frame that is too long was made")
	}
	b, err := frame(typeAsk, ask{Path: "a"}, fromChild)
	if err != nil {
		t.Fatal(err)
	}
	kind, body, err := readFrame(io.MultiReader(bytes.NewReader(b[:7]), bytes.NewReader(b[7:])), fromChild)
	var q ask
	if err != nil || kind != typeAsk || wire.Decode(body, &q, decodeLimits[typeAsk]) != nil || q.Path != "a" {
		t.Errorf("%s, %+v, %v", kind, q, err)
	}
}

// FuzzFromChild gives the parent what a worker in foreign hands could send.
func FuzzFromChild(f *testing.F) {
	for _, m := range []struct {
		t frameType
		v any
	}{
		{typeAsk, ask{Op: opReadFile, Path: "a.yaml", More: []string{"b.yaml", "../x"}}},
		{typeDone, done{Result: &render.Result{Objects: []render.Object{{Unstructured: &unstructured.Unstructured{Object: map[string]any{"kind": "a"}}}}}}},
		{typeDone, done{Err: &renderError{Text: "x", Fault: &render.Error{Reason: "A"}, Cause: &treeError{Number: 3}}}},
		{typeHello, hello{Bounds: []string{"a"}}},
	} {
		b, err := frame(m.t, m.v, fromChild)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	tree := memtree.FromText(map[string]string{"a.yaml": "x", "b.yaml": "y"})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := serve(tree, render.Limits{}.OrDefault())
		for r := bytes.NewReader(b); ; {
			kind, body, err := readFrame(r, fromChild)
			if err != nil {
				return
			}
			switch kind {
			case typeAsk:
				var q ask
				if wire.Decode(body, &q, decodeLimits[typeAsk]) == nil {
					if a, err := s.answer(q); err == nil {
						if _, err := frame(typeAnswer, *a, fromParent); err != nil {
							t.Fatal(err)
						}
					}
				}
			case typeDone:
				var d done
				if wire.Decode(body, &d, wire.Limits{Memory: 1 << 20, Depth: 1 << 10}) != nil {
					continue
				}
				if err := d.Err.receive(s.causes); err != nil {
					_ = err.Error()
				}
				if d.Result != nil && check(d.Result, render.Limits{}.OrDefault()) == nil {
					for _, o := range d.Result.Objects {
						_, _ = o.GetName(), o.DeepCopy()
					}
				}
			}
		}
	})
}

// FuzzFromParent gives the worker what only a broken parent would send.
func FuzzFromParent(f *testing.F) {
	for _, m := range []struct {
		t frameType
		v any
	}{
		{typeRequest, request{Hash: "x", Render: render.Request{Path: "a"}}},
		{typeAnswer, answer{Err: &treeError{Sort: sortNotExist, Op: "open", Path: "a"}, Ahead: [][]byte{nil, {1}}}},
	} {
		b, err := frame(m.t, m.v, fromParent)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, body, err := readFrame(bytes.NewReader(b), fromParent)
		if err != nil {
			return
		}
		limits := wire.Limits{Memory: 1 << 20, Depth: 100}
		switch kind {
		case typeRequest:
			_ = wire.Decode(body, &request{}, limits)
		case typeAnswer:
			a := &answer{}
			if wire.Decode(body, a, limits) == nil && a.Err != nil {
				_ = a.Err.toRender().Error()
			}
		}
	})
}
