package cluster

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

var (
	configMaps  = Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Resource: "configmaps", Namespaced: true}
	deployments = Kind{GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, Resource: "deployments", Namespaced: true}
)

// request is what the server got.
type request struct {
	Method, Path, ContentType, User, Groups string
	Query                                   url.Values
	Body                                    string
}

// server answers every request with one answer.
func server(t *testing.T, code int, answer string) (*Cluster, *[]request) {
	t.Helper()
	var got []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, request{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Impersonate-User"),
			strings.Join(r.Header.Values("Impersonate-Group"), ","), r.URL.Query(), string(b)})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	c, err := New(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Errorf("New sends %v", got)
	}
	return c, &got
}

func controller(t *testing.T, c *Cluster) *Client {
	t.Helper()
	cl, err := c.AsController()
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func conf() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "ns", "resourceVersion": "7"},
	}}
}

const live = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"ns","uid":"u"}}`

func TestApply(t *testing.T) {
	for mode, validation := range map[Mode]string{DryRun: "Strict", Checking: "Strict", Checked: "Ignore"} {
		for code, created := range map[int]bool{200: false, 201: true} {
			c, got := server(t, code, live)
			a, err := controller(t, c).Apply(t.Context(), configMaps, conf(), mode)
			if err != nil || a.Created != created || a.Object.GetUID() != "u" {
				t.Errorf("%+v, %v", a, err)
			}
			r := (*got)[0]
			query := url.Values{"fieldManager": {"abide"}, "force": {"true"}, "fieldValidation": {validation}, "timeout": {"1m0s"}}
			if mode == DryRun {
				query["dryRun"] = []string{"All"}
			}
			if r.Method != "PATCH" || r.Path != "/api/v1/namespaces/ns/configmaps/c" || !strings.HasPrefix(r.ContentType, "application/apply-patch") || r.User != "" {
				t.Errorf("%+v", r)
			}
			if diff := cmp.Diff(query, r.Query); diff != "" {
				t.Error(diff)
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(r.Body), &sent); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(conf().Object, sent); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestReplace(t *testing.T) {
	c, got := server(t, 200, live)
	if u, err := controller(t, c).Replace(t.Context(), configMaps, conf(), true); err != nil || u.GetUID() != "u" {
		t.Errorf("%v, %v", u, err)
	}
	r := (*got)[0]
	if r.Method != "PUT" || r.Query.Get("fieldManager") != "abide" || r.Query.Get("dryRun") != "All" || !strings.Contains(r.Body, `"resourceVersion":"7"`) {
		t.Errorf("%+v", r)
	}
}

func TestSetManagedFields(t *testing.T) {
	c, got := server(t, 200, live)
	if err := controller(t, c).SetManagedFields(t.Context(), configMaps, conf(), []any{map[string]any{"manager": "abide"}}); err != nil {
		t.Fatal(err)
	}
	r := (*got)[0]
	want := `[{"op":"replace","path":"/metadata/managedFields","value":[{"manager":"abide"}]},{"op":"replace","path":"/metadata/resourceVersion","value":"7"}]`
	if r.Method != "PATCH" || !strings.HasPrefix(r.ContentType, "application/json-patch+json") || r.Query.Get("fieldManager") != "abide" || r.Body != want {
		t.Errorf("%+v", r)
	}
}

func TestPaths(t *testing.T) {
	c, got := server(t, 200, live)
	cl := controller(t, c)
	for want, call := range map[string]func() error{
		"/apis/apps/v1/namespaces/ns/deployments/d": func() error { _, err := cl.Get(t.Context(), deployments, "ns", "d"); return err },
		"/api/v1/namespaces/ns":                     func() error { _, err := cl.Get(t.Context(), Namespaces, "", "ns"); return err },
		"/api/v1/namespaces/ns/configmaps/c":        func() error { _, err := cl.Get(t.Context(), configMaps, "ns", "c"); return err },
	} {
		*got = nil
		if err := call(); err != nil || len(*got) != 1 || (*got)[0].Path != want {
			t.Errorf("%v, %v, want %s", *got, err, want)
		}
	}
	*got = nil
	for _, bad := range []string{"", "..", "a/b", "a%2fb"} {
		if _, err := cl.Get(t.Context(), configMaps, "ns", bad); err == nil {
			t.Errorf("the name %q makes a request", bad)
		}
	}
	if _, err := cl.Get(t.Context(), configMaps, "", "c"); err == nil {
		t.Error("a namespaced object without a namespace makes a request")
	}
	if len(*got) > 0 {
		t.Errorf("%v", *got)
	}
}

func TestDelete(t *testing.T) {
	held := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c","deletionTimestamp":"2026-01-01T00:00:00Z"}}`
	status := func(code, reason string) string {
		return `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"` + reason + `","code":` + code + `}`
	}
	tests := map[string]struct {
		code   int
		answer string
		gone   bool
		err    func(error) bool
	}{
		"gone":                         {200, `{"apiVersion":"v1","kind":"Status","status":"Success"}`, true, nil},
		"gone, with its last state":    {200, live, true, nil}, // Service, ServiceAccount, PersistentVolumeClaim
		"held by a finalizer":          {200, held, false, nil},
		"going in its own time":        {202, held, false, nil},
		"not there":                    {404, status("404", "NotFound"), true, nil},
		"another one of the same name": {409, status("409", "Conflict"), false, apierrors.IsConflict},
		"not allowed":                  {403, status("403", "Forbidden"), false, apierrors.IsForbidden},
	}
	for name, tc := range tests {
		c, got := server(t, tc.code, tc.answer)
		gone, err := controller(t, c).Delete(t.Context(), configMaps, "ns", "c", "the-uid", false)
		if gone != tc.gone || (err != nil) != (tc.err != nil) || err != nil && !tc.err(err) {
			t.Errorf("%s: gone is %t, %v", name, gone, err)
		}
		r := (*got)[0]
		var options struct {
			Preconditions     struct{ UID string }
			PropagationPolicy string
		}
		if err := json.Unmarshal([]byte(r.Body), &options); err != nil {
			t.Fatal(err)
		}
		if r.Method != "DELETE" || options.Preconditions.UID != "the-uid" || options.PropagationPolicy != "Background" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	c, got := server(t, 200, live)
	if _, err := controller(t, c).Delete(t.Context(), configMaps, "ns", "c", "", false); err == nil || len(*got) > 0 {
		t.Errorf("%v, %v: a delete without a uid", err, *got)
	}
}

// TestErrors: what the server says is what callers get, to tell apart.
func TestErrors(t *testing.T) {
	c, _ := server(t, 403, `{"apiVersion":"v1","kind":"Status","status":"Failure","message":"you may not","reason":"Forbidden","code":403}`)
	cl := controller(t, c)
	_, get := cl.Get(t.Context(), configMaps, "ns", "c")
	_, apply := cl.Apply(t.Context(), configMaps, conf(), Checking)
	_, replace := cl.Replace(t.Context(), configMaps, conf(), false)
	for name, err := range map[string]error{
		"get": get, "apply": apply, "replace": replace,
		"managed fields": cl.SetManagedFields(t.Context(), configMaps, conf(), nil),
		"namespace":      cl.CreateNamespace(t.Context(), "x"),
	} {
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "you may not") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _ = server(t, 200, `{"no": "object"`)
	if _, err := controller(t, c).Get(t.Context(), configMaps, "ns", "c"); err == nil || !strings.Contains(err.Error(), "decoding the API server's answer") {
		t.Errorf("%v", err)
	}
}

func TestCreateNamespace(t *testing.T) {
	c, got := server(t, 409, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"AlreadyExists","code":409}`)
	if err := controller(t, c).CreateNamespace(t.Context(), "shop"); err != nil {
		t.Errorf("%v: it is there", err)
	}
	r := (*got)[0]
	if r.Method != "POST" || r.Path != "/api/v1/namespaces" || r.Query.Get("fieldManager") != "abide" || !strings.Contains(r.Body, `"name":"shop"`) {
		t.Errorf("%+v", r)
	}
}

func TestIdentities(t *testing.T) {
	c, got := server(t, 200, live)
	if cl, err := c.AsTenant(""); err == nil {
		t.Errorf("%v: an empty namespace is refused, or it would be the controller", cl)
	}
	tenant, err := c.AsTenant("team")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.AsTenant("team"); err != nil || again != tenant {
		t.Error("a client of its own for each call")
	}
	if _, err := tenant.Apply(t.Context(), configMaps, conf(), Checking); err != nil {
		t.Fatal(err)
	}
	if _, err := tenant.Get(t.Context(), configMaps, "ns", "c"); err != nil {
		t.Fatal(err)
	}
	for _, r := range *got {
		if r.User != "system:serviceaccount:team:abide" || r.Groups != "" {
			t.Errorf("as %q, groups %q", r.User, r.Groups)
		}
	}
	*got = nil
	if _, err := controller(t, c).Get(t.Context(), configMaps, "ns", "c"); err != nil || (*got)[0].User != "" {
		t.Errorf("%v, %+v: the controller is itself, also after a tenant", err, *got)
	}
	if tenant.Namespace != "team" || controller(t, c).Namespace != "" {
		t.Error("a client does not know whom it acts as")
	}
}
