package install_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"abide.dev/abide/internal/install"
)

// minimal is the least that each kind takes.
var minimal = map[string]string{
	"App":        "kind: App\nmetadata: {name: x}\nspec: {source: {repo: 'https://example.com/x.git'}}",
	"Repository": "kind: Repository\nmetadata: {name: x}\nspec: {url: 'https://example.com/x.git'}",
	"HealthRule": "kind: HealthRule\nmetadata: {name: x}\nspec: {kinds: [X], rules: [{when: self.is('Ready'), health: Healthy}]}",
	"Approval":   approval("admin"),
	"Pause":      pause("admin"),
	"Pin":        pin("admin"),
	"Release":    "kind: Release\nmetadata: {name: x-1}\nspec: {app: x, number: 1, trigger: Commit, outcome: Running}",
	"Inventory":  "kind: Inventory\nmetadata: {name: x}\napp: shop",
	"GitRef":     "kind: GitRef\nmetadata: {name: x}\nurl: 'https://example.com/x.git'\nfollows: branch main\nref: refs/heads/main",
}

// expression is the least that a health rule has.
var expression = map[string]any{"when": "true", "health": "Healthy"}

// items are the least that the items of a list take, and parents what an
// optional object needs besides the field that is tried.
var (
	items = map[string]any{
		"status.conditions": map[string]any{
			"type": "T", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z",
		},
		"status.objects.attention":             map[string]any{"object": "o", "reason": "r"},
		"spec.plan.objects":                    map[string]any{"object": "o", "action": "create"},
		"spec.plan.objects.[].fields":          map[string]any{"path": "p"},
		"spec.gates":                           map[string]any{"gate": "g"},
		"spec.hooks":                           map[string]any{"hook": "h", "object": "o", "when": "pre-sync", "outcome": "Running"},
		"spec.heals":                           map[string]any{"object": "o", "at": "2020-01-01T00:00:00.000000Z"},
		"spec.heals.[].fields":                 map[string]any{"path": "p"},
		"spec.manifests":                       "n",
		"spec.source.others":                   map[string]any{"name": "n"},
		"spec.render.helm.apiVersions":         "v1",
		"spec.render.helm.valuesFiles":         map[string]any{"path": "p"},
		"spec.render.helm.valuesFrom":          map[string]any{"kind": "Secret", "name": "n"},
		"spec.dependsOn":                       map[string]any{"name": "n"},
		"spec.allowedDependents":               "n",
		"status.waitsFor":                      map[string]any{"app": "n/n"},
		"spec.sources":                         map[string]any{"name": "n", "repo": "https://example.com/x.git"},
		"spec.render.patches":                  map[string]any{"patch": "p"},
		"spec.render.replicas":                 map[string]any{"name": "n", "count": int64(1)},
		"spec.render.images":                   map[string]any{"name": "n", "newTag": "1"},
		"spec.render.jsonnet.extVars":          map[string]any{"name": "n", "value": "v"},
		"spec.render.jsonnet.tlas":             map[string]any{"name": "n", "value": "v"},
		"spec.render.jsonnet.libraryPaths":     "p",
		"spec.render.substitute.variablesFrom": map[string]any{"kind": "Secret", "name": "n"},
		"status.source.others":                 map[string]any{"name": "n"},
		"entries":                              map[string]any{"version": "v1", "kind": "ConfigMap", "name": "n"},
		"recent":                               "0123456789abcdef",
		"entries.[].flags":                     "NoPrune",
		"spec.allowedNamespaces":               "n",
		"spec.kinds":                           "K",
		"spec.versions":                        "v",
		"spec.rules":                           expression,
		"spec.health.rules":                    map[string]any{"kinds": []any{"X"}, "rules": []any{expression}},
		"spec.health.rules.[].kinds":           "K",
		"spec.health.rules.[].versions":        "v",
		"spec.health.rules.[].rules":           expression,
		"spec.health.rules.rules":              expression,
	}
	parents = map[string]any{
		"status.plan":                   map[string]any{"digest": "d", "gate": "g"},
		"status.release":                map[string]any{"number": int64(1), "outcome": "Running"},
		"status.pinned":                 map[string]any{"to": int64(1)},
		"spec.secretRef":                map[string]any{"name": "n"},
		"spec.source.chart":             map[string]any{"repo": "oci://example.com/charts"},
		"spec.render.patches.[].target": map[string]any{"kind": "Deployment"},
		"spec.render.labelOptions":      map[string]any{"includeTemplates": true},
		"spec.charts":                   map[string]any{"plainHTTP": true},
	}
)

// constraint is one bound, default or requirement that a CRD states.
type constraint struct {
	kind string   // of the object
	path []string // of the field
	what string   // minLength, default, …
	bad  any      // a value that breaks it; for a default, the value itself
	want string   // what the server says
}

func (c constraint) String() string {
	return c.kind + " " + strings.Join(c.path, ".") + " " + c.what
}

// crds are the CRDs of abide by kind.
func crds(t *testing.T) map[string]*apiextv1.JSONSchemaProps {
	t.Helper()
	all, err := install.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*apiextv1.JSONSchemaProps{}
	for _, u := range all {
		var crd apiextv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &crd); err != nil {
			t.Fatal(err)
		}
		if len(crd.Spec.Versions) != 1 {
			t.Fatalf("%s has %d versions", crd.Name, len(crd.Spec.Versions))
		}
		out[crd.Spec.Names.Kind] = crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return out
}

// constraints reads the bounds out of a schema. Conditions are Kubernetes' own
// type, whose bounds are tried there.
func constraints(t *testing.T, kind string, path []string, s *apiextv1.JSONSchemaProps) []constraint {
	t.Helper()
	var out []constraint
	add := func(what string, bad any, format string, args ...any) {
		out = append(out, constraint{kind, path, what, bad, fmt.Sprintf(format, args...)})
	}
	if s.Default != nil {
		var v any
		if err := json.Unmarshal(s.Default.Raw, &v); err != nil {
			t.Fatal(err)
		}
		if n, ok := v.(float64); ok {
			v = int64(n)
		}
		add("default", v, "")
	}
	if s.MinLength != nil {
		add("minLength", strings.Repeat("a", int(*s.MinLength)-1), "should be at least %d chars long", *s.MinLength)
	}
	if s.MaxLength != nil {
		add("maxLength", strings.Repeat("a", int(*s.MaxLength)+1), "may not be more than %d bytes", *s.MaxLength)
	}
	if s.Minimum != nil {
		add("minimum", int64(*s.Minimum)-1, "should be greater than or equal to %d", int64(*s.Minimum))
	}
	if s.Maximum != nil {
		add("maximum", int64(*s.Maximum)+1, "should be less than or equal to %d", int64(*s.Maximum))
	}
	if len(s.Enum) > 0 {
		add("enum", "Nonsense", "supported values: ")
	}
	if s.Pattern != "" {
		add("pattern", "-Not a name", "should match '%s'", s.Pattern)
	}
	if s.MultipleOf != nil || s.UniqueItems || s.Format != "" && s.Format != "date-time" && s.Format != "int32" && s.Format != "int64" {
		t.Errorf("%s %v has a bound that this test does not know", kind, path)
	}
	if s.MaxProperties != nil {
		many := map[string]any{}
		for i := range *s.MaxProperties + 1 {
			many[fmt.Sprint("a", i)] = "v"
		}
		add("maxProperties", many, "must have at most %d items", *s.MaxProperties)
	}
	if s.MinProperties != nil && len(path) > 0 && path[len(path)-1] != "source" { // which has a default
		add("minProperties", map[string]any{}, "should have at least %d properties", *s.MinProperties)
	}
	if s.MinItems != nil {
		if *s.MinItems != 1 {
			t.Errorf("%s %v takes at least %d items, which this test does not know", kind, path, *s.MinItems)
		}
		add("minItems", []any{}, "should have at least %d items", *s.MinItems)
	}
	if s.MaxItems != nil {
		item := items[strings.Join(path, ".")]
		var list []any
		for i := range *s.MaxItems + 1 {
			switch item := item.(type) {
			case map[string]any:
				item = maps.Clone(item)
				for _, key := range s.XListMapKeys {
					item[key] = fmt.Sprint("T", i)
				}
				list = append(list, item)
			case string:
				list = append(list, fmt.Sprint(item, i)) // a set
			default:
				t.Fatalf("%s %v: name an item in items", kind, path)
			}
		}
		add("maxItems", list, "must have at most %d items", *s.MaxItems)
	}
	for _, r := range s.Required {
		out = append(out, constraint{kind, append(slices.Clone(path), r), "required", nil, "Required value"})
	}
	for name, p := range s.Properties {
		if len(path) == 0 && slices.Contains([]string{"apiVersion", "kind", "metadata"}, name) {
			continue
		}
		out = append(out, constraints(t, kind, append(slices.Clone(path), name), &p)...)
	}
	if s.Items != nil && path[len(path)-1] != "conditions" {
		out = append(out, constraints(t, kind, append(slices.Clone(path), "[]"), s.Items.Schema)...)
	}
	return out
}

// set puts v at path, making what is missing on the way; nil removes.
func set(m map[string]any, done string, path []string, v any) {
	name := path[0]
	here := strings.TrimPrefix(done+"."+name, ".")
	if len(path) == 1 {
		if v == nil {
			delete(m, name)
		} else {
			m[name] = v
		}
		return
	}
	if path[1] == "[]" {
		if len(path) == 2 { // the item itself
			m[name] = []any{v}
			return
		}
		item := maps.Clone(items[here].(map[string]any))
		set(item, here+".[]", path[2:], v)
		m[name] = []any{item}
		return
	}
	child, ok := m[name].(map[string]any)
	if !ok {
		child = map[string]any{}
		if p, ok := parents[here].(map[string]any); ok {
			child = maps.Clone(p)
		}
		m[name] = child
	}
	set(child, here, path[1:], v)
}

// TestBounds tries every bound that the generated CRDs state on the real server,
// and reads every default back from it.
func TestBounds(t *testing.T) {
	sb := installed(t)
	ns := install.DefaultNamespace // whose Repositories may be shared
	tried := map[string]int{}
	for kind, schema := range crds(t) {
		client := resource(t, sb.Config(), kind, ns)
		// A status is written to an object that is there.
		made, err := client.Create(t.Context(), object(t, minimal[kind]), metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("the least %s: %v", kind, err)
		}
		t.Cleanup(func() {
			if err := client.Delete(context.Background(), made.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		for _, c := range constraints(t, kind, nil, schema) {
			tried[c.what]++
			switch {
			case c.what == "default":
				got := defaulted(t, client, kind, made, c.path)
				if m, ok := c.bad.(map[string]any); ok && len(m) == 0 {
					if _, ok := got.(map[string]any); !ok { // filled by the defaults in it
						t.Errorf("%s is not filled in", c)
					}
				} else if diff := cmp.Diff(c.bad, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c, diff)
				}
				continue
			case c.path[0] == "status":
				u := made.DeepCopy()
				set(u.Object, "", c.path, c.bad)
				_, err = client.UpdateStatus(t.Context(), u, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			default:
				u := object(t, minimal[kind])
				u.SetName("y")
				set(u.Object, "", c.path, c.bad)
				_, err = client.Create(t.Context(), u, dryRun)
			}
			field := strings.ReplaceAll(strings.Join(c.path, "."), ".[]", "[0]")
			if !slices.ContainsFunc(causes(err), func(cause metav1.StatusCause) bool {
				return cause.Field == field && strings.Contains(cause.Message, c.want)
			}) {
				t.Errorf("%s: %v\nwant %q", c, err, c.want)
			}
		}
	}
	for _, what := range []string{"default", "minLength", "maxLength", "minimum", "maximum", "enum", "maxItems", "minItems", "required"} {
		if tried[what] == 0 {
			t.Errorf("no %s was found in the CRDs", what)
		}
	}
}

// defaulted is what the server fills in at path. Where what it is in is left
// out of the least object, it is asked with the least of that.
func defaulted(t *testing.T, client dynamic.ResourceInterface, kind string, made *unstructured.Unstructured, path []string) any {
	t.Helper()
	if got, ok, _ := unstructured.NestedFieldNoCopy(made.Object, path...); ok || path[0] == "status" {
		return got
	}
	u := object(t, minimal[kind])
	u.SetName("y")
	set(u.Object, "", path, "replaced")
	set(u.Object, "", path, nil)
	u, err := client.Create(t.Context(), u, dryRun)
	if err != nil {
		t.Error(err)
		return nil
	}
	return at(u.Object, path)
}

// at is the value at path, in the first item of each list on the way.
func at(v any, path []string) any {
	for _, name := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			v = c[0]
		}
	}
	return v
}

// causes are what the server objects to.
func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		return status.Status().Details.Causes
	}
	return nil
}

// TestMinimalApp: what the issue calls a minimal App gets all else by default.
func TestMinimalApp(t *testing.T) {
	sb := installed(t)
	got, err := resource(t, sb.Config(), "App", sb.Namespace(t)).Create(t.Context(), object(t, `
kind: App
metadata: {name: shop}
spec:
  source: {repo: https://example.com/team/config.git, path: shop}
  target: {namespace: shop}
`), dryRun)
	if err != nil {
		t.Fatal(err)
	}
	want := object(t, `
spec:
  source: {repo: https://example.com/team/config.git, path: shop}
  target: {namespace: shop, createNamespace: true}
  sync: {prune: true, heal: true, deletionBudget: {maxObjects: 5, maxPercent: 25}, onFailure: Hold, onImmutable: Fail}
  historyLimit: 10
  deletionPolicy: Delete
`).Object["spec"]
	if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}
