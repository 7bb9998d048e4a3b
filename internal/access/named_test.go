package access

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// secretAPI serves one Secret, and may forbid lists and watches.
type secretAPI struct {
	mu       sync.Mutex
	secret   *corev1.Secret
	only     bool // reads by name alone are allowed
	requests []string
	changed  chan types.NamespacedName
}

func (a *secretAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind := "get"
	if !strings.HasSuffix(r.URL.Path, "/secrets/s") {
		kind = "list"
		if r.URL.Query().Get("watch") != "" {
			kind = "watch"
		}
	}
	a.requests = append(a.requests, kind)
	send := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	status := func(err *apierrors.StatusError) { send(int(err.Status().Code), err.Status()) }
	switch {
	case kind != "get" && a.only:
		status(apierrors.NewForbidden(corev1.Resource("secrets"), "", nil))
	case kind == "get" && a.secret == nil:
		status(apierrors.NewNotFound(corev1.Resource("secrets"), "s"))
	case kind == "get":
		send(200, a.secret)
	case kind == "list":
		l := &corev1.SecretList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
		if a.secret != nil {
			l.Items = []corev1.Secret{*a.secret}
		}
		send(200, l)
	case r.URL.Query().Get("sendInitialEvents") != "": // as a server that can't: it is listed
		status(apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil))
	default:
		status(apierrors.NewTooManyRequests("the test has no watch", 60))
	}
}

func (a *secretAPI) start(t *testing.T) *Secrets {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	a.changed = make(chan types.NamespacedName, 16)
	s := NewSecrets(Always(client), func(n types.NamespacedName) { a.changed <- n })
	return s
}

func (a *secretAPI) told(t *testing.T) {
	t.Helper()
	select {
	case <-a.changed:
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
}

var secretName = types.NamespacedName{Namespace: "shop", Name: "s"}

func aSecret() *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "s", ResourceVersion: "1"},
	}
}

// TestGoneBeforeTheWatch: what was read by name and is not in the first list has
// gone in between, and its user is told.
func TestGoneBeforeTheWatch(t *testing.T) {
	a := &secretAPI{secret: aSecret()}
	s := a.start(t)
	if _, err := s.Get(t.Context(), "user", secretName); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.secret = nil
	a.mu.Unlock()
	go s.Start(t.Context())
	a.told(t)
	if _, err := s.Get(t.Context(), "user", secretName); !apierrors.IsNotFound(err) || !s.Watched(secretName) {
		t.Errorf("it is gone, and: %v, watched %v", err, s.Watched(secretName))
	}
}

// TestMayNotWatch: an identity that may read and not watch would not hear of
// changes, and is told so.
func TestMayNotWatch(t *testing.T) {
	a := &secretAPI{only: true, secret: aSecret()}
	s := a.start(t)
	go s.Start(t.Context())
	if _, err := s.Get(t.Context(), "user", secretName); err != nil && !apierrors.IsForbidden(err) {
		t.Fatal(err)
	}
	a.told(t)
	if _, err := s.Get(t.Context(), "user", secretName); !apierrors.IsForbidden(err) || s.Watched(secretName) {
		t.Errorf("%v, watched %v", err, s.Watched(secretName))
	}
}

// TestLeave: what nobody uses any more is not watched.
func TestLeave(t *testing.T) {
	a := &secretAPI{secret: aSecret()}
	s := a.start(t)
	go s.Start(t.Context())
	for _, user := range []string{"one", "two"} {
		if _, err := s.Get(t.Context(), user, secretName); err != nil {
			t.Fatal(err)
		}
	}
	a.told(t)
	s.Leave("one")
	s.Leave("two", secretName) // which it still uses
	if got := s.Users(secretName); len(got) != 1 || got[0] != "two" {
		t.Errorf("used by %v", got)
	}
	s.Leave("two")
	if s.Watched(secretName) || len(s.Users(secretName)) != 0 {
		t.Error("it is still watched")
	}
}
