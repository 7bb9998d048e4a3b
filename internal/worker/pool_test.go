package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

func emptyTree() snapshot.Tree { return memtree.FromText(nil) }

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

func oneFile() snapshot.Tree {
	return memtree.FromText(map[string]string{"app/a.yaml": configMap("a")})
}

// TestEnds wants a clear error of every render that goes wrong, and the next
// one to work.
func TestEnds(t *testing.T) {
	p := newPool(t, Options{Memory: 64 << 20, Time: 2 * time.Second})
	for name, row := range map[string]struct {
		deed, reason string
		says         []string
		never        []string
	}{
		"never ends":         {"spin", fault.DeadlineExceeded, []string{"2s"}, nil},
		"eats memory":        {"eat", fault.RenderOutOfMemory, []string{"64 MiB"}, nil},
		"gulps memory":       {"gulp", fault.RenderOutOfMemory, []string{"64 MiB"}, nil},
		"panics":             {"panic", fault.RendererCrashed, []string{"a renderer that panics"}, []string{"goroutine", "second line"}},
		"panics beside":      {"beside", fault.RendererCrashed, []string{"beside the renderer"}, []string{"goroutine"}},
		"overflows":          {"overflow", fault.RendererCrashed, []string{"stack"}, []string{"goroutine 1"}},
		"ends without words": {"exit", fault.RendererCrashed, []string{"exit status 9"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := p.Render(t.Context(), name, emptyTree(), render.Request{Path: "deed/" + row.deed})
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("it does not say %q: %v", part, e)
				}
			}
			for _, part := range row.never {
				if strings.Contains(e.Error(), part) {
					t.Errorf("it says %q: %v", part, e)
				}
			}
			if e.File != "deed/"+row.deed || e.Hint == "" && row.reason != fault.RendererCrashed {
				t.Errorf("file %q, hint %q", e.File, e.Hint)
			}
			if res == nil || len(res.Trace) > 0 {
				t.Errorf("the result is %+v", res)
			}
			if row.reason == fault.DeadlineExceeded && !errors.Is(err, context.DeadlineExceeded) {
				t.Error("it is no context.DeadlineExceeded")
			}
			if res, err := p.Render(t.Context(), name, oneFile(), render.Request{Path: "app"}); err != nil || len(res.Objects) != 1 {
				t.Errorf("the next render: %v", err)
			}
		})
	}
}
