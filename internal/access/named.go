package access

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Clients gives the client that reads the objects of a namespace.
type Clients func(namespace string) (kubernetes.Interface, error)

// Named holds a few objects of one kind, each watched by its name for as long
// as somebody uses it: a change is known at once, and no other object of the
// kind is ever read. It is safe for concurrent use.
type Named[T client.Object] struct {
	clients  Clients
	resource schema.GroupResource
	blank    func() T
	changed  func(types.NamespacedName)

	mu      sync.Mutex
	start   func(types.NamespacedName, *watched[T]) // nil before Start
	watches map[types.NamespacedName]*watched[T]
	uses    map[string]map[types.NamespacedName]bool // by user
}

// watched is one object under watch.
type watched[T client.Object] struct {
	stop    context.CancelFunc
	users   map[string]bool
	changed func()

	mu     sync.Mutex
	object T
	there  bool
	synced bool
	err    error // of the last list or watch, until it is synced
	// told is what was said of the object before it was synced.
	told, toldThere bool
}

// Secrets are Secrets by their names.
type Secrets = Named[*corev1.Secret]

// ConfigMaps are ConfigMaps by their names.
type ConfigMaps = Named[*corev1.ConfigMap]

// NewSecrets returns Secrets of a cluster; changed is called after one that is
// in use came, changed or went.
func NewSecrets(c Clients, changed func(types.NamespacedName)) *Secrets {
	return newNamed(c, "secrets", func() *corev1.Secret { return &corev1.Secret{} }, changed)
}

// NewConfigMaps returns ConfigMaps of a cluster, as NewSecrets does Secrets.
func NewConfigMaps(c Clients, changed func(types.NamespacedName)) *ConfigMaps {
	return newNamed(c, "configmaps", func() *corev1.ConfigMap { return &corev1.ConfigMap{} }, changed)
}

// Always gives the same client for every namespace.
func Always(c kubernetes.Interface) Clients {
	return func(string) (kubernetes.Interface, error) { return c, nil }
}

func newNamed[T client.Object](c Clients, resource string, blank func() T, changed func(types.NamespacedName)) *Named[T] {
	return &Named[T]{
		clients: c, resource: corev1.Resource(resource), blank: blank, changed: changed,
		watches: map[types.NamespacedName]*watched[T]{},
		uses:    map[string]map[types.NamespacedName]bool{},
	}
}

// Start keeps the watches going until ctx ends.
func (n *Named[T]) Start(ctx context.Context) error {
	n.mu.Lock()
	n.start = func(name types.NamespacedName, w *watched[T]) {
		wctx, stop := context.WithCancel(ctx)
		w.stop = stop
		go n.watch(wctx, name, w)
	}
	for name, w := range n.watches {
		n.start(name, w)
	}
	n.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Get returns an object, from its watch if that has it, and notes who uses it.
// The object must not be changed. The error is the API server's.
func (n *Named[T]) Get(ctx context.Context, user string, name types.NamespacedName) (T, error) {
	w := n.use(user, name)
	w.mu.Lock()
	object, there, synced, broken := w.object, w.there, w.synced, w.err
	w.mu.Unlock()
	switch {
	case there:
		return object, nil
	case synced: // the watch tells when it comes
		return n.blank(), apierrors.NewNotFound(n.resource, name.Name)
	case broken != nil: // nobody would tell of a change
		return n.blank(), broken
	}
	object = n.blank()
	c, err := n.clients(name.Namespace)
	if err != nil {
		return object, err
	}
	err = c.CoreV1().RESTClient().Get().Namespace(name.Namespace).Resource(n.resource.Resource).Name(name.Name).
		VersionedParams(&metav1.GetOptions{}, scheme.ParameterCodec).Do(ctx).Into(object)
	w.mu.Lock()
	w.told, w.toldThere = true, err == nil
	w.mu.Unlock()
	return object, err
}

// Watched tells whether a change of an object would be known.
func (n *Named[T]) Watched(name types.NamespacedName) bool {
	n.mu.Lock()
	w := n.watches[name]
	n.mu.Unlock()
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced
}

func (n *Named[T]) use(user string, name types.NamespacedName) *watched[T] {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.watches[name]
	if w == nil {
		w = &watched[T]{users: map[string]bool{}, changed: func() { n.changed(name) }}
		n.watches[name] = w
		if n.start != nil {
			n.start(name, w)
		}
	}
	w.users[user] = true
	if n.uses[user] == nil {
		n.uses[user] = map[types.NamespacedName]bool{}
	}
	n.uses[user][name] = true
	return w
}

// Leave says that a user uses no objects but the ones that are named. The watch
// of an object that nobody uses any more ends.
func (n *Named[T]) Leave(user string, but ...types.NamespacedName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.uses[user] {
		if slices.Contains(but, name) {
			continue
		}
		delete(n.uses[user], name)
		w := n.watches[name]
		if delete(w.users, user); len(w.users) > 0 {
			continue
		}
		delete(n.watches, name)
		if w.stop != nil {
			w.stop()
		}
	}
	if len(n.uses[user]) == 0 {
		delete(n.uses, user)
	}
}

// Users returns who uses an object.
func (n *Named[T]) Users(name types.NamespacedName) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	if w := n.watches[name]; w != nil {
		for u := range w.users {
			out = append(out, u)
		}
	}
	return out
}

func (n *Named[T]) watch(ctx context.Context, name types.NamespacedName, w *watched[T]) {
	c, err := n.clients(name.Namespace)
	if err != nil {
		w.failed(err)
		return
	}
	from := cache.NewListWatchFromClient(c.CoreV1().RESTClient(), n.resource.Resource, name.Namespace,
		fields.OneTermEqualSelector("metadata.name", name.Name))
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l, err := from.ListWithContext(ctx, o)
			w.failed(err)
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			i, err := from.WatchWithContext(ctx, o)
			w.failed(err)
			return i, err
		},
	}, c)
	cache.NewReflectorWithOptions(lw, n.blank(), w, cache.ReflectorOptions{
		Name: "abide " + n.resource.Resource + " " + name.String(), ResyncPeriod: time.Duration(0),
	}).RunWithContext(ctx)
}

// failed notes that the object can't be listed or watched, as long as it never
// could be: those who use it are told, once.
func (w *watched[T]) failed(err error) {
	w.mu.Lock()
	news := err != nil && !w.synced && w.err == nil && (apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err))
	if news {
		w.err = err
	}
	w.mu.Unlock()
	if news {
		w.changed()
	}
}

func (w *watched[T]) set(object T, there bool) {
	w.mu.Lock()
	// What was said before the first list need not be said again, unless it was
	// another thing.
	before := w.there
	if !w.synced && w.told {
		before = w.toldThere
	}
	first := !w.synced && before == there
	w.object, w.there, w.synced, w.err = object, there, true, nil
	w.mu.Unlock()
	if !first || there {
		w.changed()
	}
}

// Add, Update, Delete, Replace and Resync make it the store of its reflector.
func (w *watched[T]) Add(obj any) error { return w.Update(obj) }

// Update takes the object as it is now.
func (w *watched[T]) Update(obj any) error {
	if object, ok := obj.(T); ok {
		w.set(object, true)
	}
	return nil
}

// Delete takes that the object is gone.
func (w *watched[T]) Delete(any) error {
	var none T
	w.set(none, false)
	return nil
}

// Replace takes the list of at most one object.
func (w *watched[T]) Replace(list []any, _ string) error {
	for _, obj := range list {
		return w.Update(obj)
	}
	return w.Delete(nil)
}

// Resync has nothing to do.
func (w *watched[T]) Resync() error { return nil }
