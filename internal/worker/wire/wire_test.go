package wire

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/render"
)

var generous = Limits{Memory: 1 << 20, Depth: 100}

// everything has a field of each sort.
type everything struct {
	B     bool
	I     int
	I8    int8
	U     uint16
	F     float64
	S     string
	Bytes []byte
	List  []string
	Named map[string]int
	Any   any
	Free  map[string]any
	Inner *everything
	Took  time.Duration
	When  time.Time
	Out   error `json:"-"`
	own   int
}

func roundTrip[T any](t *testing.T, in T) T {
	t.Helper()
	b, err := Append(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := Decode(b, &out, generous); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for name, in := range map[string]everything{
		"nothing": {},
		"empty, which is not nothing": {
			Bytes: []byte{}, List: []string{}, Named: map[string]int{}, Free: map[string]any{}, Inner: &everything{},
			Any: map[string]any{"a": []any{}, "b": map[string]any{}, "c": nil, "d": []any(nil), "e": map[string]any(nil)},
		},
		"numbers keep their types": {
			I: math.MinInt, I8: -128, U: 65535, F: math.SmallestNonzeroFloat64, Took: time.Hour, When: time.Unix(1, 0).UTC(),
			Any:  []any{int64(1), 1.0, 1, int64(math.MaxInt64), math.MaxFloat64, -0.5, true, false, nil, ""},
			Free: map[string]any{"n": int64(-1), "f": 1e30, "deep": map[string]any{"l": []any{"x", map[string]any{}}}},
		},
		"strings need not be UTF-8": {
			S: "a\x00\xff", Bytes: []byte{0, 255}, List: []string{"", "long enough to be no short word", "x", "x"},
			Named: map[string]int{"": 0, "\xff": 1}, Inner: &everything{Inner: &everything{S: "deep"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := roundTrip(t, in); !reflect.DeepEqual(got, in) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(in, got, cmp.AllowUnexported(everything{})))
			}
		})
	}
}

// TestLeftOut keeps to what JSON would send.
func TestLeftOut(t *testing.T) {
	got := roundTrip(t, everything{S: "a", Out: errors.New("x"), own: 1})
	if !reflect.DeepEqual(got, everything{S: "a"}) {
		t.Errorf("got %+v", got)
	}
}

// TestResult sends what a render gives.
func TestResult(t *testing.T) {
	in := render.Result{
		Renderer: "r", Why: "w", Warnings: []string{"x"}, Text: []byte("text"),
		Objects: []render.Object{{
			Unstructured: &unstructured.Unstructured{Object: map[string]any{"kind": "K", "n": int64(1), "f": 1.0}},
			Origin:       render.Origin{File: "a.yaml", Line: 3},
		}},
		Trace:   render.Trace{{Path: "a.yaml", Op: "Read", Hash: "f:1"}},
		Ignored: []render.Ignored{{Path: "b", Line: 1, Reason: "c"}},
	}
	if got := roundTrip(t, in); !reflect.DeepEqual(got, in) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(in, got))
	}
}

func TestUnknown(t *testing.T) {
	loop := map[string]any{}
	loop["loop"] = loop
	for name, v := range map[string]any{
		"channel":           make(chan int),
		"function":          func() {},
		"other in any":      map[string]any{"a": uint8(1)},
		"map by number":     map[int]string{1: "a"},
		"interface":         struct{ E error }{errors.New("x")},
		"a value in itself": loop,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Append(nil, v); err == nil {
				t.Error("it was written")
			}
		})
	}
}

func TestLimits(t *testing.T) {
	nested := func(n int) any {
		var v any = "x"
		for range n {
			v = []any{v}
		}
		return v
	}
	many := func(n int, item any) any {
		s := make([]any, n)
		for i := range s {
			s[i] = item
		}
		return s
	}
	for name, row := range map[string]struct {
		v    any
		what string
	}{
		"depth":        {nested(200), "depth"},
		"empty maps":   {many(50_000, map[string]any{}), "memory"},
		"small maps":   {many(5_000, map[string]any{"": nil}), "memory"},
		"nothings":     {many(100_000, nil), "memory"},
		"numbers":      {many(50_000, int64(1)), "memory"},
		"long strings": {many(1_000, strings.Repeat("x", 2_000)), "memory"},
		"a wide map": {func() any {
			m := map[string]any{}
			for i := range 30_000 {
				m[strings.Repeat("k", i%3)+string(rune(i+'a'))] = nil
			}
			return m
		}(), "memory"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Append(nil, map[string]any{"v": row.v})
			if err != nil {
				t.Fatal(err)
			}
			var out map[string]any
			err = Decode(b, &out, generous)
			var over *LimitError
			if !errors.As(err, &over) || over.What != row.what {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                  "",
		"more than announced":      "\x01\x00",
		"more pairs than bytes":    "\xff\xff\xff\xff\x0f",
		"a number without end":     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"an unknown kind":          "\x02\x01a\x7f",
		"half a float":             "\x02\x01a\x04\x00\x00",
		"a string that is not all": "\x02\x01a\x05\x09abc",
	} {
		t.Run(name, func(t *testing.T) {
			var out map[string]any
			if err := Decode([]byte(b), &out, generous); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, value %v", err, out)
			}
		})
	}
	var e everything
	if err := Decode([]byte{2}, &e, generous); !errors.Is(err, ErrMalformed) {
		t.Errorf("a boolean of 2 gives %v", err)
	}
	if err := Decode(nil, e, generous); err == nil {
		t.Error("it reads into what is no pointer")
	}
}

// FuzzDecode wants no panic, no more memory than allowed, and what is read to
// be written and read again the same.
func FuzzDecode(f *testing.F) {
	for _, v := range []everything{{}, {S: "a", Any: []any{int64(1), 1.5, nil, map[string]any{"a": true}}, Inner: &everything{}, List: []string{"x"}, When: time.Unix(1, 0)}} {
		b, err := Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v everything
		if Decode(b, &v, Limits{Memory: 1 << 16, Depth: 20}) != nil {
			return
		}
		again, err := Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		var w everything
		if err := Decode(again, &w, Limits{Memory: 1 << 20, Depth: 20}); err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		third, err := Append(nil, w)
		if err != nil || len(third) != len(again) { // the order of maps is free
			t.Fatalf("%d bytes, then %d (%v)", len(again), len(third), err)
		}
	})
}
