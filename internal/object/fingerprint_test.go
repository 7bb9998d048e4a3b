package object

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app: web, tier: front}
  finalizers: [example.com/ours]
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        args: [serve, --fast]
        resources: {}
        ports:
        - {containerPort: 80, protocol: TCP, name: http}
        - {containerPort: 443, protocol: TCP, name: https}
        env: [{name: A, value: a}]
      volumes:
      - {name: tmp, emptyDir: {}}
      - {name: conf, configMap: {name: web}}
`

func container(m map[string]any, i int) map[string]any {
	c, _ := containers(m)[i].(map[string]any)
	return c
}

func template(m map[string]any) map[string]any { return at(m, "spec", "template", "spec") }

// TestFingerprint runs real server-side merges: what others do to an object that
// abide has applied, and whether it touches what is abide's.
func TestFingerprint(t *testing.T) {
	tests := map[string]struct {
		do      func(*server)
		differs bool
		why     string
	}{
		"untouched":     {func(*server) {}, false, "nothing happened"},
		"applied again": {func(s *server) { s.apply("abide", web) }, false, "the same manifest changes nothing"},
		"value changed by an edit": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { set(m, int64(5), "spec", "replicas") })
		}, true, "the edit takes the ownership and changes the value"},
		"value changed by another apply": {func(s *server) {
			s.apply("other", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 5}}")
		}, true, "a forced apply takes the ownership"},
		"value changed and changed back": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { set(m, int64(5), "spec", "replicas") })
			s.update("kubectl-edit", func(m map[string]any) { set(m, int64(3), "spec", "replicas") })
		}, true, "the field is no longer ours: a change to it would not be seen any more"},
		"same value applied by another": {func(s *server) {
			s.apply("other", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3}}")
		}, false, "co-owned is owned"},
		"field removed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { delete(at(m, "spec"), "replicas") })
		}, true, "it is gone"},
		"foreign field": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { set(m, true, "spec", "paused") })
		}, false, "Git says nothing of it"},
		"foreign label and annotation": {func(s *server) {
			s.update("kubectl-label", func(m map[string]any) {
				set(m, "x", "metadata", "labels", "theirs")
				set(m, "x", "metadata", "annotations", "theirs")
			})
		}, false, "Git says nothing of them"},
		"label changed": {func(s *server) {
			s.update("kubectl-label", func(m map[string]any) { set(m, "back", "metadata", "labels", "tier") })
		}, true, "the label is ours"},
		"label removed": {func(s *server) {
			s.update("kubectl-label", func(m map[string]any) { delete(at(m, "metadata", "labels"), "tier") })
		}, true, "the label is ours"},
		"keys below an empty map of ours, by an edit": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) {
				set(container(m, 0), map[string]any{"cpu": "1"}, "resources", "limits")
			})
		}, false, "an empty map in Git owns itself, not what others put into it"},
		"keys below an empty map of ours, by an apply": {func(s *server) {
			s.apply("other", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop},
				spec: {template: {spec: {containers: [{name: web, resources: {limits: {cpu: "1"}}}]}}}}`)
		}, false, "an apply does not mark the parents of what it sets"},
		"empty map of ours removed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { delete(container(m, 0), "resources") })
		}, true, "it is gone"},
		"atomic map changed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { set(m, "y", "spec", "selector", "matchLabels", "x") })
		}, true, "a selector is one value"},
		"atomic list changed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { container(m, 0)["args"] = []any{"serve"} })
		}, true, "arguments are one value"},
		"atomic list in another order": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) { container(m, 0)["args"] = []any{"--fast", "serve"} })
		}, true, "the order of arguments matters"},
		"image of a container": {func(s *server) {
			s.update("kubectl-set", func(m map[string]any) { container(m, 0)["image"] = "web:evil" })
		}, true, "found by the name of the container"},
		"sidecar put before ours": {func(s *server) {
			s.update("injector", func(m map[string]any) {
				template(m)["containers"] = append([]any{map[string]any{"name": "proxy", "image": "proxy:1"}}, containers(m)...)
			})
		}, false, "a container of others, and ours only moved"},
		"field of our container set by others": {func(s *server) {
			s.update("injector", func(m map[string]any) { container(m, 0)["tty"] = true })
		}, false, "Git says nothing of it"},
		"port by its keys": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) {
				ports := container(m, 0)["ports"].([]any)
				ports[1].(map[string]any)["name"] = "tls"
			})
		}, true, "the port is told by number and protocol"},
		"port removed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) {
				container(m, 0)["ports"] = container(m, 0)["ports"].([]any)[:1]
			})
		}, true, "the item is gone"},
		"port added by others": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) {
				container(m, 0)["ports"] = append(container(m, 0)["ports"].([]any),
					map[string]any{"containerPort": int64(9090), "protocol": "TCP"})
			})
		}, false, "not ours"},
		"container removed": {func(s *server) {
			s.update("kubectl-edit", func(m map[string]any) {
				template(m)["containers"] = []any{map[string]any{"name": "other", "image": "x"}}
			})
		}, true, "the item is gone"},
		"finalizer added by others": {func(s *server) {
			s.update("controller", func(m map[string]any) {
				set(m, []any{"example.com/theirs", "example.com/ours"}, "metadata", "finalizers")
			})
		}, false, "finalizers are a set: ours is in it"},
		"our finalizer removed": {func(s *server) {
			s.update("controller", func(m map[string]any) {
				set(m, []any{"example.com/theirs"}, "metadata", "finalizers")
			})
		}, true, "ours is no longer in the set"},
		"status": {func(s *server) {
			s.update("kube-controller-manager", func(m map[string]any) { set(m, int64(3), "status", "readyReplicas") })
		}, false, "Git says nothing of it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, deployments)
			s.apply("abide", web)
			before := s.fingerprint()
			tc.do(s)
			if after := s.fingerprint(); (after != before) != tc.differs {
				t.Errorf("differs is %t, want %t: %s", after != before, tc.differs, tc.why)
			}
		})
	}
}

// TestFingerprintAfterRepair: after a heal the fingerprint is the one from
// before the drift, and not just any.
func TestFingerprintAfterRepair(t *testing.T) {
	s := newServer(t, deployments)
	s.apply("abide", web)
	before := s.fingerprint()
	s.update("kubectl-edit", func(m map[string]any) {
		set(m, int64(5), "spec", "replicas")
		delete(at(m, "metadata", "labels"), "tier")
		container(m, 0)["args"] = []any{"x"}
	})
	s.apply("abide", web)
	if after := s.fingerprint(); after != before {
		t.Error("a healed object has another fingerprint than before the drift: it would be healed for ever")
	}
}

func TestFingerprintOfWhatIsNotOurs(t *testing.T) {
	s := newServer(t, deployments)
	s.apply("other", web)
	if p := Fingerprint(s.live()); p != (Print{}) {
		t.Errorf("%+v of an object that abide never applied", p)
	}
	// A replace by abide is no apply: its entry says Update.
	s = newServer(t, deployments)
	s.apply("other", web)
	s.update("abide", func(m map[string]any) { set(m, int64(5), "spec", "replicas") })
	if p := Fingerprint(s.live()); p != (Print{}) {
		t.Errorf("%+v of an object that abide only updated", p)
	}
	if p := Fingerprint(&unstructured.Unstructured{}); p != (Print{}) {
		t.Errorf("%+v of nothing", p)
	}
}

func TestFingerprintIgnoresSubresources(t *testing.T) {
	s := newServer(t, deployments)
	s.apply("abide", web)
	u := s.live()
	want := Fingerprint(u)
	entries := at(u.Object, "metadata")["managedFields"].([]any)
	at(u.Object, "metadata")["managedFields"] = append(entries, map[string]any{
		"manager": "abide", "operation": "Apply", "apiVersion": "apps/v2", "subresource": "status",
		"fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:status": map[string]any{"f:x": map[string]any{}}},
	})
	if got := Fingerprint(u); got != want {
		t.Errorf("%+v, want %+v: an entry of a subresource is another one", got, want)
	}
}

// TestFingerprintNumbers: integer keys of items are read by different decoders
// than the items themselves, and large ones must keep their digits.
func TestFingerprintNumbers(t *testing.T) {
	make := func(value any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"managedFields": []any{map[string]any{
				"manager": "abide", "operation": "Apply", "apiVersion": "v1",
				"fieldsV1": map[string]any{"f:list": map[string]any{
					`k:{"id":9007199254740993}`: map[string]any{".": map[string]any{}, "f:value": map[string]any{}},
					`v:1.5`:                     map[string]any{},
				}},
			}}},
			"list": []any{
				map[string]any{"id": int64(9007199254740992), "value": "the wrong one"},
				map[string]any{"id": int64(9007199254740993), "value": value},
				1.5,
			},
		}}
	}
	a, b := Fingerprint(make("a")), Fingerprint(make("b"))
	if a == b {
		t.Error("the item was not found by its large key")
	}
	if c := Fingerprint(make(int64(1))); c != Fingerprint(make(1.0)) {
		t.Error("1 and 1.0 are one value in JSON")
	}
}

// TestFingerprintIsNotQuadratic looks at a list with far too many items: each
// is to be found without reading all of them again. It ends at once, or not
// while anybody waits for it.
func TestFingerprintIsNotQuadratic(t *testing.T) {
	const n = 100_000
	own, theirs, list, foreign := map[string]any{}, map[string]any{}, make([]any, n), make([]any, n)
	for i := range n {
		list[i], foreign[i] = fmt.Sprint("item ", i), fmt.Sprint("item ", i)
		own[fmt.Sprintf("v:%q", list[i])] = map[string]any{}
		theirs[fmt.Sprintf("v:%q", list[i])] = map[string]any{}
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"managedFields": []any{
			map[string]any{"manager": "abide", "operation": "Apply", "apiVersion": "v1", "fieldsV1": map[string]any{
				"f:list": own, "f:foreign": map[string]any{}}},
			map[string]any{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsV1": map[string]any{"f:foreign": theirs}},
		}},
		"list": list, "foreign": foreign,
	}}
	before := Fingerprint(u).Fingerprint
	u.Object["foreign"] = []any{}
	if Fingerprint(u).Fingerprint != before {
		t.Error("items of others below our empty list count")
	}
	u.Object["list"] = list[1:]
	if Fingerprint(u).Fingerprint == before {
		t.Error("a missing item of ours does not count")
	}
}

func TestLastWriter(t *testing.T) {
	entry := func(manager, time, sub string) any {
		e := map[string]any{"manager": manager, "time": time}
		if sub != "" {
			e["subresource"] = sub
		}
		return e
	}
	tests := map[string]struct {
		entries []any
		want    string
	}{
		"nobody":                      {nil, ""},
		"only abide":                  {[]any{entry("abide", "2026-01-03T00:00:00Z", "")}, ""},
		"the latest":                  {[]any{entry("b", "2026-01-02T00:00:00Z", ""), entry("a", "2026-01-01T00:00:00Z", "")}, "b"},
		"status writers do not drift": {[]any{entry("a", "2026-01-01T00:00:00Z", ""), entry("c", "2026-01-03T00:00:00Z", "status")}, "a"},
		"scale does":                  {[]any{entry("hpa", "2026-01-01T00:00:00Z", "scale")}, "hpa"},
		"nonsense":                    {[]any{1, "x", map[string]any{"manager": 7}}, ""},
	}
	for name, tc := range tests {
		u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"managedFields": tc.entries}}}
		if got := LastWriter(u); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	s := newServer(b, deployments)
	s.apply("abide", web)
	s.update("kube-controller-manager", func(m map[string]any) { set(m, int64(3), "status", "readyReplicas") })
	u := s.live()
	b.ReportAllocs()
	for b.Loop() {
		Fingerprint(u)
	}
}

var configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
