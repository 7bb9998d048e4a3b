package access

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Secrets holds the few Secrets that Repositories name, each watched by its
// name: a new password is used at once, and no other Secret is ever read.
type Secrets struct {
	client  kubernetes.Interface
	changed func(types.NamespacedName)

	mu      sync.Mutex
	start   func(types.NamespacedName, *watchedSecret) // nil before Start
	watched map[types.NamespacedName]*watchedSecret
}

type watchedSecret struct {
	mu      sync.Mutex
	secret  *corev1.Secret
	synced  bool
	changed func()
}

// NewSecrets returns the Secrets of a cluster; changed is called after one that
// was asked for came, changed or went.
func NewSecrets(c kubernetes.Interface, changed func(types.NamespacedName)) *Secrets {
	return &Secrets{client: c, changed: changed, watched: map[types.NamespacedName]*watchedSecret{}}
}

// Start keeps the watches going until ctx ends.
func (s *Secrets) Start(ctx context.Context) error {
	s.mu.Lock()
	s.start = func(n types.NamespacedName, w *watchedSecret) { go s.watch(ctx, n, w) }
	for n, w := range s.watched {
		s.start(n, w)
	}
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Get returns a Secret, from the watch if it has it. It must not be changed.
func (s *Secrets) Get(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	s.mu.Lock()
	w := s.watched[name]
	if w == nil {
		w = &watchedSecret{changed: func() { s.changed(name) }}
		s.watched[name] = w
		if s.start != nil {
			s.start(name, w)
		}
	}
	s.mu.Unlock()
	w.mu.Lock()
	secret, synced := w.secret, w.synced
	w.mu.Unlock()
	switch {
	case secret != nil:
		return secret, nil
	case synced: // the watch tells when it comes
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name.Name)
	}
	return s.client.CoreV1().Secrets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
}

func (s *Secrets) watch(ctx context.Context, name types.NamespacedName, w *watchedSecret) {
	lw := cache.NewListWatchFromClient(s.client.CoreV1().RESTClient(), "secrets", name.Namespace,
		fields.OneTermEqualSelector("metadata.name", name.Name))
	cache.NewReflectorWithOptions(lw, &corev1.Secret{}, w, cache.ReflectorOptions{
		Name: "abide secret " + name.String(), ResyncPeriod: time.Duration(0),
	}).RunWithContext(ctx)
}

func (w *watchedSecret) set(secret *corev1.Secret) {
	w.mu.Lock()
	first := !w.synced && (w.secret == nil) == (secret == nil)
	w.secret, w.synced = secret, true
	w.mu.Unlock()
	if !first || secret != nil {
		w.changed()
	}
}

// Add, Update, Delete, Replace and Resync make it the store of its reflector.
func (w *watchedSecret) Add(obj any) error { return w.Update(obj) }

// Update takes the Secret as it is now.
func (w *watchedSecret) Update(obj any) error {
	if secret, ok := obj.(*corev1.Secret); ok {
		w.set(secret)
	}
	return nil
}

// Delete takes that the Secret is gone.
func (w *watchedSecret) Delete(any) error {
	w.set(nil)
	return nil
}

// Replace takes the list of at most one Secret.
func (w *watchedSecret) Replace(list []any, _ string) error {
	for _, obj := range list {
		return w.Update(obj)
	}
	w.set(nil)
	return nil
}

// Resync has nothing to do.
func (w *watchedSecret) Resync() error { return nil }
