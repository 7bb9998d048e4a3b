package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
)

// TestRemoteBases: a base of another repository, which nobody allows at first,
// then a Repository does; it moves, goes bad, and is not named any more.
func TestRemoteBases(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	lib := gittest.NewIn(t, w.repo.Root, "lib.git")
	lib.Write(map[string]string{"base/kustomization.yaml": "resources: [x.yaml, ../other]\n", "base/x.yaml": configMap("base", "one"),
		"other/kustomization.yaml": "resources: [y.yaml]\n", "other/y.yaml": configMap("other", "one")})
	lib.Commit("a base")
	libURL := strings.TrimSuffix(w.url, w.repo.Name) + lib.Name
	w.repo.Write(map[string]string{"app/kustomization.yaml": "namePrefix: p-\nresources: ['" + libURL + "//base?ref=main']\n"})
	commit := w.repo.Commit("takes it")
	w.run()
	app := w.app("shop", "app", ns)
	w.says(app, "RemoteBaseNotAllowed", "app/kustomization.yaml", libURL, "remoteBases", "--allow-remote-bases 127.0.0.1")

	yes := true
	allowed := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "lib"},
		Spec:       v1alpha1.RepositorySpec{URL: libURL, RemoteBases: &yes},
	}
	must(t, w.client.Create(t.Context(), allowed))
	w.ready(app, commit)
	w.has(ns, "p-base", "one")
	w.has(ns, "p-other", "one")

	lib.Write(map[string]string{"base/x.yaml": configMap("base", "two")})
	lib.Commit("it moves")
	w.refreshRepository(allowed)
	w.has(ns, "p-base", "two")

	// What is wrong with it is said with its name, and what runs stays.
	lib.Write(map[string]string{"base/x.yaml": "a: b: c"})
	lib.Commit("broken")
	w.refreshRepository(allowed)
	w.says(app, "InvalidYAML", libURL, "base/x.yaml")
	w.has(ns, "p-base", "two")
	lib.Write(map[string]string{"base/x.yaml": configMap("base", "three")})
	lib.Commit("mended")
	w.refreshRepository(allowed)
	w.has(ns, "p-base", "three")

	// A restart has it again without a word.
	w.abide.stop()
	lib.Write(map[string]string{"base/x.yaml": configMap("base", "four")})
	lib.Commit("while nobody looks")
	w.run()
	w.has(ns, "p-base", "four")

	// A ref that does not exist, and then the repository of our own alone.
	w.repo.Write(map[string]string{"app/kustomization.yaml": "resources: ['" + libURL + "//base?ref=gone']\n"})
	w.push(app, "a ref that is not there")
	w.says(app, "RefNotFound", libURL, "gone")
	w.has(ns, "p-base", "four")
	w.repo.Write(map[string]string{"app/kustomization.yaml": "namePrefix: p-\nresources: [x.yaml]\n", "app/x.yaml": configMap("base", "own")})
	commit = w.push(app, "our own")
	w.has(ns, "p-base", "own")
	w.ready(app, commit)

	// No longer allowed: what is named again is refused again.
	w.delete(allowed)
	w.repo.Write(map[string]string{"app/kustomization.yaml": "namePrefix: p-\nresources: ['" + libURL + "//base']\n"})
	w.push(app, "named again")
	w.says(app, "RemoteBaseNotAllowed", libURL)
	w.has(ns, "p-base", "own")
}

// TestRemoteFilesAndCharts: a file over https, and a chart, of a kustomization.
// An address of the machine is refused, whoever allows the host.
func TestRemoteFilesAndCharts(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	var text atomic.Value
	text.Store(configMap("file", "one"))
	archive := packed(t, "shop", "1.0.0")
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/files/x.yaml":
			fmt.Fprint(rw, text.Load())
		case "/charts/index.yaml":
			fmt.Fprintf(rw, "apiVersion: v1\nentries:\n  shop:\n  - {apiVersion: v2, name: shop, version: 1.0.0, digest: %s, urls: [shop-1.0.0.tgz]}\n", strings.TrimPrefix(digest(archive), "sha256:"))
		case "/charts/shop-1.0.0.tgz":
			rw.Write(archive)
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	must(t, w.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "ca"},
		Data:       map[string][]byte{"caBundle": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
	}))
	yes := true
	allowed := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "files"},
		Spec:       v1alpha1.RepositorySpec{URL: server.URL, RemoteBases: &yes, SecretRef: &v1alpha1.SecretReference{Name: "ca"}},
	}
	must(t, w.client.Create(t.Context(), allowed))
	w.repo.Write(map[string]string{"app/kustomization.yaml": "resources: ['" + server.URL + "/files/x.yaml']\n" +
		"helmCharts: [{name: shop, version: 1.0.0, repo: '" + server.URL + "/charts', releaseName: shop, valuesInline: {colour: blue}}]\n"})
	commit := w.repo.Commit("a file and a chart")
	w.run()
	app := w.app("shop", "app", ns)
	w.says(app, "AddressBlocked", "loopback")
	if w.find(ns, "file") != nil {
		t.Error("what is at an address of the machine was applied")
	}

	w.abide.stop()
	w.flags = append(w.flags, "--allow-addresses", "127.0.0.1")
	w.run()
	w.ready(app, commit)
	w.has(ns, "file", "one")
	w.has(ns, "shop", "1.0.0 blue small")
	text.Store(configMap("file", "two"))
	w.refresh(app)
	w.has(ns, "file", "two")
}
