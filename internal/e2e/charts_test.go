package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
)

// packed is an archive of a chart whose ConfigMap says which version it is and
// what its values are.
func packed(t *testing.T, name, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct{ path, text string }{
		{"Chart.yaml", "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n"},
		{"values.yaml", "colour: red\nsize: small\n"},
		{"templates/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}\"}\ndata: {value: \"{{ .Chart.Version }} {{ .Values.colour }} {{ .Values.size }}\"}\n"},
	} {
		must(t, w.WriteHeader(&tar.Header{Name: name + "/" + f.path, Mode: 0o644, Size: int64(len(f.text)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(f.text))
		must(t, err)
	}
	must(t, w.Close())
	must(t, z.Close())
	return b.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// chartServer is a chart repository at /charts and a registry at /v2, of one
// chart, for those with the password.
type chartServer struct {
	*httptest.Server
	ca string

	mu       sync.Mutex
	password string
	versions []string
	blobs    map[string][]byte // by digest; those of charts by their version as well
}

func (w *world) charts() *chartServer {
	s := &chartServer{password: "right", blobs: map[string][]byte{}}
	s.Server = httptest.NewTLSServer(s)
	w.t.Cleanup(s.Close)
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s
}

// publish makes a version of the chart available.
func (s *chartServer) publish(t *testing.T, version string) {
	archive := packed(t, "shop", version)
	config := []byte("{}")
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": digest(archive), "size": len(archive)}},
	})
	must(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = append(s.versions, version)
	s.blobs[version], s.blobs[digest(archive)], s.blobs[digest(config)] = archive, archive, config
	s.blobs["manifest "+version], s.blobs["manifest "+digest(manifest)] = manifest, manifest
}

func (s *chartServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, p, _ := r.BasicAuth(); p != s.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	send := func(kind string, b []byte) {
		if b == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Docker-Content-Digest", digest(b))
		w.Write(b)
	}
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch {
	case r.URL.Path == "/charts/index.yaml":
		index := "apiVersion: v1\nentries:\n  shop:\n"
		for _, v := range s.versions {
			index += fmt.Sprintf("  - {apiVersion: v2, name: shop, version: %s, digest: %s, urls: [shop-%s.tgz]}\n", v, strings.TrimPrefix(digest(s.blobs[v]), "sha256:"), v)
		}
		send("text/yaml", []byte(index))
	case strings.HasPrefix(r.URL.Path, "/charts/shop-"):
		send("application/gzip", s.blobs[strings.TrimSuffix(strings.TrimPrefix(last, "shop-"), ".tgz")])
	case strings.HasSuffix(r.URL.Path, "/tags/list"):
		tags, _ := json.Marshal(map[string]any{"name": "team/shop", "tags": s.versions})
		send("application/json", tags)
	case strings.Contains(r.URL.Path, "/manifests/"):
		send("application/vnd.oci.image.manifest.v1+json", s.blobs["manifest "+last])
	case strings.Contains(r.URL.Path, "/blobs/"):
		send("application/octet-stream", s.blobs[last])
	default:
		http.NotFound(w, r)
	}
}

// access gives Apps of a namespace the way to the server.
func (s *chartServer) access(w *world, namespace, url, password string) *v1alpha1.Repository {
	w.t.Helper()
	must(w.t, w.client.Create(w.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "charts"},
		StringData: map[string]string{"username": "ada", "password": password, "caBundle": s.ca},
	}))
	r := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "charts"},
		Spec:       v1alpha1.RepositorySpec{URL: url, SecretRef: &v1alpha1.SecretReference{Name: "charts"}},
	}
	must(w.t, w.client.Create(w.t.Context(), r))
	return r
}

// TestChartWithValuesFromGit: a chart of a chart repository, with values from the
// App's own folder and from another repository, each of which may move.
func TestChartWithValuesFromGit(t *testing.T) {
	w := newWorld(t)
	server := w.charts()
	server.publish(t, "1.0.0")
	server.publish(t, "2.0.0")
	repo := server.access(w, w.own, server.URL+"/charts", "wrong")
	other := gittest.NewIn(t, w.repo.Root, "sizes.git")
	other.Write(map[string]string{"prod/size.yaml": "size: large\n"})
	first := other.Commit("sizes")
	otherURL := strings.TrimSuffix(w.url, w.repo.Name) + other.Name
	w.repo.Write(map[string]string{"shop/values.yaml": "colour: green\n", "shop/notes.txt": "no manifest"})
	commit := w.repo.Commit("values")
	w.run()
	app := w.app("shop", "shop", w.sandbox.Namespace(t), func(a *v1alpha1.App) {
		a.Spec.Source.Chart = &v1alpha1.ChartSource{Repo: server.URL + "/charts", Name: "shop", Version: "1.x"}
		a.Spec.Sources = []v1alpha1.NamedSource{{Name: "sizes", Repo: otherURL}}
		a.Spec.Render = &v1alpha1.Render{Helm: &v1alpha1.Helm{ValuesFiles: []v1alpha1.ValuesFile{{Path: "values.yaml"}, {Path: "$sizes/prod/size.yaml"}}}}
	})
	namespace := app.Spec.Target.Namespace
	w.says(app, "AuthenticationFailed", "charts")
	var secret corev1.Secret
	if !w.exists(&secret, w.own, "charts") {
		t.Fatal("the Secret is gone")
	}
	w.patch(&secret, "somebody", `{"stringData":{"password":"right"}}`)
	app = w.ready(app, commit)
	w.has(namespace, "shop", "1.0.0 green large")
	s := app.Status.Source
	if s.Chart != "shop 1.0.0" || s.ChartDigest != digest(server.blobs["1.0.0"]) || len(s.Others) != 1 || s.Others[0].Commit != first || s.Renderer != "helm" {
		t.Errorf("the status says of the sources: %+v", s)
	}

	// A newer chart in the range, by the refresh that a webhook would send.
	server.publish(t, "1.1.0")
	w.patch(repo, "somebody", `{"metadata":{"annotations":{"abide.dev/refresh":"newer"}}}`)
	w.has(namespace, "shop", "1.1.0 green large")
	other.Write(map[string]string{"prod/size.yaml": "size: huge\n"})
	other.Commit("larger")
	w.refresh(app)
	w.has(namespace, "shop", "1.1.0 green huge")
	w.repo.Write(map[string]string{"shop/values.yaml": "colour: blue\n"})
	w.push(app, "blue")
	w.has(namespace, "shop", "1.1.0 blue huge")

	// Refused again: what runs stays, and the App says why.
	server.mu.Lock()
	server.password = "another"
	server.mu.Unlock()
	w.refresh(app)
	w.says(app, "AuthenticationFailed", "keeps running")
	w.has(namespace, "shop", "1.1.0 blue huge")
}

// TestChartAlone: an App of a chart in a registry and nothing else.
func TestChartAlone(t *testing.T) {
	w := newWorld(t)
	server := w.charts()
	server.publish(t, "1.0.0")
	registry := "oci://" + strings.TrimPrefix(server.URL, "https://") + "/team"
	server.access(w, w.own, registry, "right")
	w.run()
	app := w.app("shop", "", w.sandbox.Namespace(t), func(a *v1alpha1.App) {
		a.Spec.Source = v1alpha1.Source{Chart: &v1alpha1.ChartSource{Repo: registry, Name: "shop", Version: ">=1.0.0"}}
		a.Spec.Render = &v1alpha1.Render{
			Helm:   &v1alpha1.Helm{Values: &runtime.RawExtension{Raw: []byte(`{"colour":"grey"}`)}},
			Labels: map[string]string{"team": "ada"},
		}
	})
	namespace := app.Spec.Target.Namespace
	cm := w.has(namespace, "shop", "1.0.0 grey small")
	if cm.Labels["team"] != "ada" {
		t.Errorf("labels %v: the overlay of the App is missing", cm.Labels)
	}
	app = w.state(app, v1alpha1.StateInSync)
	if s := app.Status.Source; s.Chart != "shop 1.0.0" || s.Revision != "shop 1.0.0" || s.Commit != "" {
		t.Errorf("the status says of the source: %+v", s)
	}
	server.publish(t, "1.2.0")
	w.refresh(app)
	w.has(namespace, "shop", "1.2.0 grey small")
	w.delete(app)
	w.gone(&corev1.ConfigMap{}, namespace, "shop")
}
