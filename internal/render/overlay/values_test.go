package overlay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/overlay"
)

// TestValuesStay: Kustomize works on YAML, and what goes through it must come
// out as it was, or the object must stay as it is and be named.
func TestValuesStay(t *testing.T) {
	values := []any{
		nil, true, false, 1.5, 1e21, 1e300, -0.5, 123456789.123, int64(1) << 53, -int64(1) << 53, // beyond, operations round, as in the command
		map[string]any{}, []any{}, []any{nil}, []any{map[string]any{}}, map[string]any{"a": nil},
		" x ", "a\tb", "a\nb\n", "\n", "a\r\nb", "x\u2028y", "\x01", "\u0085", "\u00a0", "\ufeff", "\ue000", "\ufffd", "😀",
		"null", "true", "1", "1e3", "0x1", "<<", "=", "-", "- a", "a: b", "#x", "2001-01-01", "1:20", "~", "*a", "&a", "!!int",
		strings.Repeat("k", 150), strings.Repeat("k", 2000), strings.Repeat("\u0085", 300),
	}
	patch := func(text string) *overlay.Options {
		return &overlay.Options{Patches: []overlay.Patch{{Target: &overlay.Selector{Kind: "Thing"}, Patch: text}}}
	}
	for name, o := range map[string]*overlay.Options{
		"labels":     {Labels: map[string]string{"x": "y"}},
		"names":      {NamePrefix: "p-"},
		"merge":      patch("{apiVersion: v1, kind: X, metadata: {name: x}, extra: 1}"),
		"operations": patch("- {op: add, path: /extra, value: 1}"),
	} {
		for _, v := range values {
			spec := map[string]any{"v": v, "list": []any{v, map[string]any{"name": "x", "v": v}}}
			if s, ok := v.(string); ok {
				spec["keys"] = map[string]any{s: "x", "z": []any{map[string]any{s: int64(1)}}}
			}
			objects := []manifest.Object{
				{Unstructured: &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "a"}, "spec": runtime.DeepCopyJSON(spec),
				}}},
				{Unstructured: &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "b"},
				}}},
			}
			out, err := overlay.Apply(context.Background(), objects, o, limit.Default())
			if err != nil {
				t.Errorf("%s, %.40q: %v", name, v, err)
				continue
			}
			if d := cmp.Diff(spec, out.Objects[0].Object["spec"]); d != "" {
				t.Errorf("%s, %.40q (-want +got):\n%s", name, v, d)
			}
			lost := v == "<<" || len(fmt.Sprint(v)) > 200
			if same := out.Objects[0].Unstructured == objects[0].Unstructured; same != lost || len(out.Warnings) > 0 != lost {
				t.Errorf("%s, %.40q: left as it is: %v, %q", name, v, same, out.Warnings)
			}
		}
	}
}
