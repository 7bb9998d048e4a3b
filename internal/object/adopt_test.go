package object

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const confOld = `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns, annotations: {old: x}}, data: {keep: "1", gone: "2"}}`
const confNew = `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {keep: "1"}}`

// TestAdoption: what another tool set and Git no longer has is removed by the
// first apply after the adoption, by the real field manager.
func TestAdoption(t *testing.T) {
	byUpdate := func(manager string) func(*server) {
		return func(s *server) {
			s.update(manager, func(m map[string]any) {
				for k, v := range object(t, confOld).Object {
					m[k] = v
				}
			})
		}
	}
	byApply := func(manager string) func(*server) { return func(s *server) { s.apply(manager, confOld) } }
	tests := map[string]struct {
		by      func(*server)
		adopted bool
		why     string
	}{
		"kubectl client-side apply":    {byUpdate("kubectl-client-side-apply"), true, "the commonest way into a cluster"},
		"kubectl create":               {byUpdate("kubectl-create"), true, "a whole manifest"},
		"kubectl server-side apply":    {byApply("kubectl"), true, "a whole manifest"},
		"Helm 3":                       {byUpdate("helm"), true, "creates and patches"},
		"Helm 4":                       {byApply("helm"), true, "applies"},
		"Flux":                         {byApply("kustomize-controller"), true, "applies"},
		"Flux, helm-controller":        {byUpdate("helm-controller"), true, "updates"},
		"Argo CD":                      {byUpdate("argocd-controller"), true, "patches"},
		"Argo CD, server-side":         {byApply("argocd-controller"), true, "applies"},
		"from before managedFields":    {byUpdate("before-first-apply"), true, "nobody knows who; a manifest"},
		"a replace of our own":         {byUpdate("abide"), true, "an Update entry of ours would keep the field"},
		"a person's edit":              {byUpdate("kubectl-edit"), false, "it stays theirs"},
		"an unknown controller":        {byUpdate("some-operator"), false, "it may write it again"},
		"an unknown server-side apply": {byApply("some-operator"), false, "it may write it again"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, configMaps)
			tc.by(s)
			live := s.live()
			before := live.DeepCopy()
			fields, changed := AdoptedFields(live)
			if changed != tc.adopted {
				t.Fatalf("adopted is %t, want %t: %s", changed, tc.adopted, tc.why)
			}
			if diff := cmp.Diff(before.Object, live.Object); diff != "" {
				t.Errorf("the object that was read is changed: %s", diff)
			}
			if changed {
				s.update("abide", func(m map[string]any) { set(m, fields, "metadata", "managedFields") })
			}
			s.apply("abide", confNew)
			after := s.live()
			_, gone := at(after.Object, "data")["gone"]
			if stays := gone; stays == tc.adopted {
				t.Errorf("the field that Git does not have stays: %t; %s", stays, tc.why)
			}
			if tc.adopted && after.GetAnnotations()["old"] != "" {
				t.Error("the annotation of the other tool stays")
			}
			if at(after.Object, "data")["keep"] != "1" {
				t.Error("what Git has is gone")
			}
		})
	}
}

// TestAdoptionKeepsOthers: the entries that are no tool's stay to the letter,
// and what was ours already stays ours.
func TestAdoptionKeepsOthers(t *testing.T) {
	s := newServer(t, configMaps)
	s.apply("abide", `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {ours: "1"}}`)
	s.update("kubectl-edit", func(m map[string]any) { set(m, "x", "data", "edited") })
	s.update("kubectl-client-side-apply", func(m map[string]any) { set(m, "x", "data", "theirs") })
	live := s.live()
	fields, changed := AdoptedFields(live)
	if !changed {
		t.Fatal("nothing adopted")
	}
	s.update("abide", func(m map[string]any) { set(m, fields, "metadata", "managedFields") })
	s.apply("abide", `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {new: "1"}}`)
	want := map[string]any{"edited": "x", "new": "1"}
	if diff := cmp.Diff(want, at(s.live().Object, "data")); diff != "" {
		t.Error(diff)
	}
}

func TestAdoptionOfMixedVersions(t *testing.T) {
	tree := func(name string) map[string]any {
		return map[string]any{"f:spec": map[string]any{"f:" + name: map[string]any{}}}
	}
	entry := func(manager, version, op, field string) map[string]any {
		return map[string]any{"manager": manager, "operation": op, "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": tree(field)}
	}
	status := entry("helm", "apps/v1", "Update", "s")
	status["subresource"] = "status"
	old := entry("helm", "apps/v1beta1", "Update", "old")
	live := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"managedFields": []any{old, entry("kubectl", "apps/v1", "Apply", "a"), status, entry("helm", "apps/v1", "Update", "b")}},
	}}
	fields, changed := AdoptedFields(live)
	if !changed {
		t.Fatal("nothing adopted")
	}
	want := []any{
		map[string]any{"manager": "abide", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
			"fieldsV1": map[string]any{"f:spec": map[string]any{"f:a": map[string]any{}, "f:b": map[string]any{}}}},
		old, status,
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("paths of another version mean something else, and those of a subresource are not applied: %s", diff)
	}
}

// TestAdoptionOfLeafAndTree: one tool owns a map as a whole, the other a field
// in it; both must be ours.
func TestAdoptionOfLeafAndTree(t *testing.T) {
	leaf, deep := map[string]any{"f:x": map[string]any{}}, map[string]any{"f:x": map[string]any{"f:y": map[string]any{}}}
	want := map[string]any{"f:x": map[string]any{".": map[string]any{}, "f:y": map[string]any{}}}
	for _, trees := range [][]map[string]any{{leaf, deep}, {deep, leaf}, {leaf, deep, leaf}} {
		if diff := cmp.Diff(want, union(trees)); diff != "" {
			t.Error(diff)
		}
	}
	if len(leaf["f:x"].(map[string]any)) != 0 || len(deep["f:x"].(map[string]any)) != 1 {
		t.Error("union changed what it was given")
	}
}

func TestNothingToAdopt(t *testing.T) {
	s := newServer(t, configMaps)
	s.apply("abide", confNew)
	if fields, changed := AdoptedFields(s.live()); changed || fields != nil {
		t.Errorf("%v: it is all abide's", fields)
	}
	if _, changed := AdoptedFields(&unstructured.Unstructured{Object: map[string]any{}}); changed {
		t.Error("an object without managedFields has nothing to adopt")
	}
}

func TestTracker(t *testing.T) {
	tests := map[string]struct{ meta, want string }{
		"nobody":     {`{labels: {app: x}}`, ""},
		"helm":       {`{annotations: {meta.helm.sh/release-name: r, meta.helm.sh/release-namespace: ns}}`, "Helm release ns/r tracks it"},
		"flux":       {`{labels: {kustomize.toolkit.fluxcd.io/name: k, kustomize.toolkit.fluxcd.io/namespace: ns}}`, "Flux Kustomization ns/k tracks it"},
		"flux helm":  {`{labels: {helm.toolkit.fluxcd.io/name: k, helm.toolkit.fluxcd.io/namespace: ns}}`, "Flux HelmRelease ns/k tracks it"},
		"argo":       {`{annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:n/web"}}`, "Argo CD Application shop tracks it"},
		"kpt":        {`{annotations: {config.k8s.io/owning-inventory: x}}`, "a kpt or Config Sync inventory tracks it"},
		"kapp":       {`{labels: {kapp.k14s.io/app: "1"}}`, "kapp tracks it"},
		"controlled": {`{ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: u, controller: true}]}`, "ReplicaSet rs controls it"},
		"only owned": {`{ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: c, uid: u}]}`, ""},
	}
	for name, tc := range tests {
		u := object(t, "{apiVersion: v1, kind: ConfigMap, metadata: "+tc.meta+"}")
		if got := Tracker(u); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestKnownTools(t *testing.T) {
	tools := KnownTools()
	for i := 1; i < len(tools); i++ {
		if tools[i-1] >= tools[i] {
			t.Errorf("not in order: %v", tools)
		}
	}
	if len(tools) != len(declarative) {
		t.Errorf("%d names of %d", len(tools), len(declarative))
	}
}

func FuzzManagedFields(f *testing.F) {
	s := newServer(f, deployments)
	s.apply("abide", web)
	s.update("kubectl-client-side-apply", func(m map[string]any) { set(m, int64(5), "spec", "replicas") })
	b, err := json.Marshal(s.live().Object)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"apiVersion":"v1","kind":"X","metadata":{"managedFields":[{"manager":"abide","operation":"Apply","apiVersion":"v1","fieldsV1":{"f:a":{"k:{}":{},"k:[1]":{},"v:":{},"i:-1":{},"i:0":{"f:b":{}},":":{},"":{"f:":7},".":{}}}},{"manager":"helm","apiVersion":"v1","fieldsV1":{"f:a":[]}}]},"a":[{"b":1},null,2]}`))
	f.Add([]byte(`{"apiVersion":7,"kind":"X","metadata":{"managedFields":{"a":1},"labels":3,"ownerReferences":[1,{"controller":"x"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &unstructured.Unstructured{}
		if u.UnmarshalJSON(b) != nil {
			return
		}
		before := u.DeepCopy()
		if one, two := Fingerprint(u), Fingerprint(u); one != two {
			t.Errorf("%v, then %v", one, two)
		}
		fields, changed := AdoptedFields(u)
		if changed && len(fields) == 0 {
			t.Error("adopted into nothing")
		}
		LastWriter(u)
		Tracker(u)
		Owner(u)
		if diff := cmp.Diff(before.Object, u.Object); diff != "" {
			t.Errorf("the object is changed: %s", diff)
		}
	})
}
