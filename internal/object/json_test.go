package object

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// asMarshal compares with what hashes were made of before.
func asMarshal(t *testing.T, v any) {
	t.Helper()
	want, wantErr := json.Marshal(v)
	e := new(encoder)
	for range 2 { // the second time with buffers
		got, err := e.value(v)
		if (err != nil) != (wantErr != nil) || string(got) != string(want) {
			t.Fatalf("%#v\n is %s, %v\nwant %s, %v", v, got, err, want, wantErr)
		}
		if len(e.keys) > 0 {
			t.Fatalf("%#v left keys behind", v)
		}
	}
}

func TestEncoder(t *testing.T) {
	var every strings.Builder
	for r := range rune(0x3000) {
		every.WriteRune(r)
	}
	for name, v := range map[string]any{
		"null": nil, "text": "a", "no text": "", "yes": true, "no": false,
		"every escape": every.String(), "outside the plane": "a😀b", "not UTF-8": "a\xffb\xc3", "replacement": "�", "ends in half a rune": "a\xe2\x80",
		"numbers": []any{
			int64(0), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), 7, 0.0, math.Copysign(0, -1), 1.5, -1e-6, 9.99e-7, 1e-9, 1e-10, 1e-100,
			1e20, 1e21, -1e21, 1e300, 123456789.125, 1.0, math.MaxFloat64, math.SmallestNonzeroFloat64,
		},
		"other numbers": []any{int32(7), uint8(7), float32(0.1), json.Number("1.50")},
		"empty":         []any{map[string]any{}, []any{}, map[string]any(nil), []any(nil)},
		"order":         map[string]any{"b": 1, "a": map[string]any{"z": nil, "": 1, "A": 2}, "ä": 3, "<": 4, "\xff": 5, "a\x00": 6},
		"other types":   map[string]any{"a": []string{"x", "<"}, "b": map[string]string{"k": "v"}},
		"no number":     []any{map[string]any{"b": math.NaN()}},
		"infinite":      math.Inf(-1),
		"a channel":     map[string]any{"a": make(chan int)},
	} {
		t.Run(name, func(t *testing.T) { asMarshal(t, v) })
	}
}

func FuzzEncoder(f *testing.F) {
	f.Add(`{"a":[1,-0.0,1e-7,1e21,true,null,"<&>\u2028\ud800"],"b":{"":{}}}`, "\xff\x00", 1e-9)
	f.Fuzz(func(t *testing.T, text, s string, n float64) {
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		asMarshal(t, map[string]any{s: v, "n": []any{n, s, int64(n)}})
	})
}

// TestStoredHashes: hashes and fingerprints lie in inventories, and those of an
// object that did not change must not, from one version of abide to the next.
func TestStoredHashes(t *testing.T) {
	u := object(t, `{apiVersion: v1, kind: Thing, metadata: {name: a, managedFields: [
		{manager: abide, operation: Apply, apiVersion: v1, fieldsV1: {"f:spec": {"f:n": {}, "f:gone": {}, "f:text": {}, "f:map": {}, "f:list": {
			"k:{\"name\":\"<b>\",\"port\":1}": {".": {}, "f:v": {}}, "k:{ \"name\": \"c\", \"port\": 2.0 }": {".": {}}, "v:\"x\"": {}, "v:1": {}, "i:0": {}}}}},
		{manager: other, operation: Update, apiVersion: v1, fieldsV1: {"f:spec": {"f:map": {"f:theirs": {}, "f:half": {"f:theirs": {}}}}}}]},
		spec: {n: 1.5e-7, text: "a<b>&\u2028\t\"", map: {ours: [1, 2.5, null, true], theirs: 1, half: {ours: {}, theirs: 1}},
			list: [{name: "<b>", port: 1, v: {a: 1}}, {name: c, port: 2}, x, 1]}}`)
	hash, err := Hash(u)
	if want := "1e068a9bf15a400acc31490d80a0c59e"; err != nil || hash != want {
		t.Errorf("the hash is %s, %v, want %s", hash, err, want)
	}
	if got, want := Fingerprint(u).Fingerprint, "3e3fcd303e54f38a4933d754bdb9adc1"; got != want {
		t.Errorf("the fingerprint is %s, want %s", got, want)
	}
	if allocs := testing.AllocsPerRun(10, func() { _, _ = Hash(u) }); allocs > 10 {
		t.Errorf("a hash takes %v allocations", allocs)
	}
}
