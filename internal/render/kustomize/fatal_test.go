package kustomize

import (
	"bytes"
	"context"
	"errors"
	"log"
	"testing"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot/memtree"
)

// TestFatalLogIsAnError has a repository for which the library calls
// log.Fatal: a reference that may mean two objects, in an object that cannot
// be written as YAML.
func TestFatalLogIsAnError(t *testing.T) {
	var out bytes.Buffer
	before := log.Writer()
	log.SetOutput(&out)
	t.Cleanup(func() { log.SetOutput(before) })

	cm := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n"
	files := map[string]string{
		"kustomization.yaml":   "resources: [a, b, pod.yaml]\ncommonAnnotations: {true: x}\n",
		"pod.yaml":             "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, envFrom: [{configMapRef: {name: cm}}]}]}\n",
		"a/kustomization.yaml": "resources: [cm.yaml]\n" + rename("one"),
		"b/kustomization.yaml": "resources: [cm.yaml]\n" + rename("two"),
		"a/cm.yaml":            cm,
		"b/cm.yaml":            cm,
	}
	for range 2 { // the library is usable afterwards
		_, err := Build(context.Background(), traced.New(memtree.FromText(files), 1<<20, 1<<20), ".", limit.Default(), false)
		var e *fault.Error
		if !errors.As(err, &e) || e.Reason != fault.RendererCrashed {
			t.Fatalf("want %s, got %v", fault.RendererCrashed, err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("the library's line was logged: %s", out.String())
	}
	log.Print("ours")
	if !bytes.Contains(out.Bytes(), []byte("ours")) {
		t.Error("the program's own lines are lost")
	}
}

func rename(to string) string {
	return "patches:\n- target: {kind: ConfigMap}\n  options: {allowNameChange: true}\n  patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: " + to + "}}'\n"
}
