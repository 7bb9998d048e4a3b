package kustomize

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot/memtree"
)

func TestIsRemote(t *testing.T) {
	for s, want := range map[string]bool{
		"base": false, "../base": false, "a/b.yaml": false, "./x": false, "a:b": false, "a@b": false, "user@file.yaml": false,
		"git": false, "github.com": false, "githubxcom/a": false, "https": false, "apiVersion: v1\nkind: X": false,
		"http://x": true, "https://x/y": true, "HTTPS://x": true, "http:x": true, "ssh://x": true, "file:///x": true,
		"git@github.com:a/b": true, "user@host/a/b": true, "user@host:a": true, "github.com/a": true, "GITHUB.com:a/b": true,
		"git::x@y:z": true, "git::https://x": true, " https://x": true, "oci://x": true, "s3://b": true, "git::GIT::ssh://x": true,
	} {
		if got := isRemote(s); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}

// TestEveryBuiltinIsKnown fails when the library gets a plugin that nobody has
// looked at for paths.
func TestEveryBuiltinIsKnown(t *testing.T) {
	names := krusty.GetBuiltinPluginNames()
	if len(names) == 0 {
		t.Fatal("the library names no plugins")
	}
	for _, n := range names {
		if _, ok := pluginChecks[n]; !ok {
			t.Errorf("%s is built in, and no check knows it", n)
		}
	}
	for n := range pluginChecks {
		if !slices.Contains(names, n) {
			t.Errorf("a check knows %s, which is not built in", n)
		}
	}
}

// TestOnlyCheckedFiles: the library cannot read what no check has seen.
func TestOnlyCheckedFiles(t *testing.T) {
	tree := traced.New(memtree.FromText(map[string]string{"a": "1", "b": "2"}), 100, 100)
	f := &treeFS{tree: tree, allowed: map[string]bool{"a": true}}
	f.budget.Store(1)
	if b, err := f.ReadFile(checkout + "/a"); err != nil || string(b) != "1" {
		t.Errorf("a: %q, %v", b, err)
	}
	if _, err := f.ReadFile(checkout + "/a"); err == nil {
		t.Error("read over the budget")
	}
	for _, p := range []string{checkout + "/b", checkout + "/../b", "/etc/passwd", "a", "b", checkout + "/../../etc/passwd", checkout + "x/a"} {
		if b, err := f.ReadFile(p); err == nil {
			t.Errorf("%s was read: %q", p, b)
		}
		if f.Exists(p) != (p == checkout+"/b") {
			t.Errorf("%s exists: %v", p, f.Exists(p))
		}
	}
	for name, err := range map[string]error{
		"Mkdir": f.Mkdir(checkout + "/x"), "MkdirAll": f.MkdirAll(checkout + "/x"), "RemoveAll": f.RemoveAll(checkout), "WriteFile": f.WriteFile(checkout+"/a", nil),
	} {
		if err == nil {
			t.Errorf("%s is let through", name)
		}
	}
	var _ filesys.FileSystem = f
}

func TestReadableKeepsSecretsOut(t *testing.T) {
	const secret = "hunter2"
	for name, files := range map[string]map[string]string{
		"generator":  {"kustomization.yaml": "secretGenerator: [{name: a, literals: [password=" + secret + ", b]}]"},
		"patch":      {"kustomization.yaml": "resources: [s.yaml]\npatches: [{patch: 'password: " + secret + "'}]", "s.yaml": secretObject(secret)},
		"validator":  {"kustomization.yaml": "resources: [s.yaml]\nvalidators: [v.yaml]", "s.yaml": secretObject(secret), "v.yaml": "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: l}\nlabels: {a: b}\nfieldSpecs: [{path: metadata/labels, create: true}]"},
		"twice":      {"kustomization.yaml": "resources: [s.yaml, t.yaml]", "s.yaml": secretObject(secret), "t.yaml": secretObject(secret)},
		"env bytes":  {"kustomization.yaml": "secretGenerator: [{name: a, envs: [e]}]", "e": "A=" + secret + "\xff\n"},
		"literal":    {"kustomization.yaml": "secretGenerator: [{name: a, literals: [" + secret + "]}]"},
		"json patch": {"kustomization.yaml": "resources: [s.yaml]\npatches: [{target: {kind: Secret}, patch: '[{\"op\": \"test\", \"path\": \"/stringData/p\", \"value\": \"no\"}]'}]", "s.yaml": secretObject(secret)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Build(context.Background(), traced.New(memtree.FromText(files), 1<<20, 1<<20), ".", limit.Default(), false)
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("no error of the repository: %v", err)
			}
			if strings.Contains(e.Error(), secret) {
				t.Errorf("the error shows it: %v", e)
			}
		})
	}
}

func secretObject(value string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: " + value + "}\n"
}

// FuzzCheck: whatever a kustomization says, checking it ends, and what the
// check lets through the library takes without a crash of the process, with no
// file read that was not checked.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"resources: [r.yaml]\n",
		"resources: [r.yaml, base]\nnamePrefix: x\n",
		"resources: ['http://127.0.0.1:1/x']\n",
		"generators: [base]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  path: r.yaml\n",
		"configMapGenerator: [{name: a, files: [k=r.yaml], envs: [../r.yaml]}]\n",
		"resources: [r.yaml]\nreplacements: [{path: r.yaml}, {source: {kind: X, fieldPath: a.b}, targets: [{select: {name: x}, fieldPaths: [c.d]}]}]\n",
		"a: &a [*a]\n", "crds: [r.yaml]\n", "openapi: {path: r.yaml}\n", "resources: [.]\n", "resources: [base/../base]\ncomponents: [base]\n",
	} {
		f.Add(s, "namePrefix: b\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: r}\n")
	}
	lim := limit.Limits{TotalBytes: 1 << 20, Objects: 100, Builds: 20, WorkBytes: 1 << 20, ExpandedBytes: 1 << 16, Depth: 50}.OrDefault()
	f.Fuzz(func(t *testing.T, top, base, resource string) {
		tree := memtree.FromText(map[string]string{"kustomization.yaml": top, "base/kustomization.yaml": base, "r.yaml": resource, "base/r.yaml": resource})
		out, err := Build(context.Background(), traced.New(tree, 1<<16, 1<<20), ".", lim, true)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.File == "" || e.Reason == "" {
				t.Fatalf("not an error for people: %v", err)
			}
			if strings.Contains(e.Msg, "asked for a file that no kustomization names") {
				t.Fatalf("the check missed a file: %v", err)
			}
			return
		}
		for _, o := range out.Objects {
			o.DeepCopy()
		}
	})
}
