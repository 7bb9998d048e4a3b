package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
)

// repository makes a Repository in abide's own namespace.
func (w *world) repository(name, url string, secret *corev1.Secret, allowed ...string) *v1alpha1.Repository {
	w.t.Helper()
	r := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: name},
		Spec:       v1alpha1.RepositorySpec{URL: url, AllowedNamespaces: allowed},
	}
	if secret != nil {
		r.Spec.SecretRef = &v1alpha1.SecretReference{Name: secret.Name}
	}
	must(w.t, w.client.Create(w.t.Context(), r))
	return r
}

// refreshRepository has every App that a Repository covers look at Git, and
// waits until that is over.
func (w *world) refreshRepository(r *v1alpha1.Repository) {
	w.t.Helper()
	value := fmt.Sprint(refreshes.Add(1))
	w.patch(r, "tester", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRefresh, value))
	eventually(w.t, "the refresh of Repository "+r.Name+" is over", func() error {
		var now v1alpha1.Repository
		must(w.t, w.client.Get(w.t.Context(), client.ObjectKeyFromObject(r), &now))
		if now.Status.Refresh.Observed != value {
			return fmt.Errorf("its refresh is %+v, want %s", now.Status.Refresh, value)
		}
		return nil
	})
}

// pemOf is the certificate of a server, as a Secret has it.
func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// TestCredentials: wrong credentials are said, corrected ones are noticed at
// once and without asking the API for them again and again, and only those may
// use them who are allowed to.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	ns, tenant := w.sandbox.Namespace(t), w.sandbox.Namespace(t)
	w.tenant(tenant, tenant)
	private := gittest.NewIn(t, w.repo.Root, "private/team.git")
	private.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "tenant/config.yaml": configMap("tenant", "1")})
	commit := private.Commit("secret plans")
	s, err := gitserver.New(gitserver.Options{Root: w.repo.Root, Username: "robot", Password: "right"})
	must(t, err)
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	url := server.URL + "/private/team.git"
	ca := string(pemOf(server))

	w.run()
	from := func(a *v1alpha1.App) { a.Spec.Source.Repo = url }
	// A Repository that names a Secret which is not there yet.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "git"}}
	w.repository("team", server.URL+"/private", secret)
	app := w.app("app", "app", ns, from)
	w.says(app, "CredentialsUnavailable", "Secret git does not exist")

	secret.StringData = map[string]string{"username": "robot", "password": "wrong", "caBundle": ca}
	must(t, w.client.Create(t.Context(), secret))
	w.says(app, "AuthenticationFailed", url)
	since := now()
	w.patch(secret, "tester", `{"stringData":{"password":"right"}}`)
	w.ready(app, commit)
	for _, e := range w.requests(since) {
		if e.Resource == "secrets" && e.Name != "abide-release-key" && !strings.HasPrefix(e.Name, "abide-manifests-") {
			t.Errorf("the Secret was asked for again: %s", describe(e))
		}
	}

	// A tenant has no use of it until its namespace is allowed, nor of another
	// Repository in a namespace that is not its own.
	theirs := w.app("app", "tenant", tenant, from, inNamespace(tenant))
	w.reason(theirs, "CertificateInvalid")
	var repo v1alpha1.Repository
	must(t, w.client.Get(t.Context(), client.ObjectKey{Namespace: w.own, Name: "team"}, &repo))
	w.patch(&repo, "tester", fmt.Sprintf(`{"spec":{"allowedNamespaces":[%q]}}`, tenant))
	w.ready(theirs, commit)

	// The longest match wins, and whole segments count.
	wrong := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "wrong"}, StringData: map[string]string{"username": "robot", "password": "no", "caBundle": ca}}
	must(t, w.client.Create(t.Context(), wrong))
	w.repository("no-segment", server.URL+"/private/tea", wrong)
	longest := w.repository("longest", server.URL+"/private/team", wrong)
	w.says(app, "AuthenticationFailed")
	if w.find(ns, "config") == nil {
		t.Error("with wrong credentials, the last good state went")
	}
	w.delete(longest)
	w.ready(app, commit)
}

// TestRefresh: the annotation on an App or a Repository has abide look at Git at
// once, and the status tells when that is done and what came of it.
func TestRefresh(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 5, "0")})
	commit := w.repo.Commit("0")
	repository := w.repository("repo", w.url, nil)
	w.patch(repository, "tester", `{"spec":{"interval":"24h"}}`)
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	eventually(t, "the Repository is ready", func() error {
		var now v1alpha1.Repository
		must(t, w.client.Get(t.Context(), client.ObjectKeyFromObject(repository), &now))
		if c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("it says %+v", c)
		}
		return nil
	})
	for i := range 10 {
		w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 5, fmt.Sprint(i+1))})
		commit := w.repo.Commit(fmt.Sprint(i + 1))
		value := fmt.Sprintf("value-%d", i)
		w.patch(app, "tester", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRefresh, value))
		var now *v1alpha1.App
		eventually(t, "the refresh is observed", func() error {
			if now = w.get(app); now.Status.Refresh.Observed != value {
				return fmt.Errorf("it is %+v", now.Status.Refresh)
			}
			return nil
		})
		if now.Status.Source.Commit != commit || now.Status.Refresh.Requested != value {
			t.Fatalf("the refresh was observed, and the status is about %s, want %s (%+v)", now.Status.Source.Commit, commit, now.Status.Refresh)
		}
	}
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 5, "last")})
	commit = w.repo.Commit("last")
	w.refreshRepository(repository)
	w.ready(app, commit)
}
