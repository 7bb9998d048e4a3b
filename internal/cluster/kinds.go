package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
)

// Kind is what has to be known of a kind to address its objects.
type Kind struct {
	schema.GroupVersionKind
	Resource   string
	Namespaced bool
}

// GVR returns the resource of the kind.
func (k Kind) GVR() schema.GroupVersionResource {
	return k.GroupVersion().WithResource(k.Resource)
}

// Kinds are the kinds that an API server knows, as of the last look. It is safe
// for concurrent use.
type Kinds struct {
	// Now is the clock, of which times given to Refresh are; set before the first
	// use, nil is time.Now.
	Now func() time.Time

	list    func() (lists []*metav1.APIResourceList, down map[schema.GroupVersion]error, err error)
	version func() (string, error)

	refreshing sync.Mutex

	mu    sync.RWMutex
	kinds map[schema.GroupVersionKind]Kind
	down  map[schema.GroupVersion]bool // that could not be asked
	at    time.Time                    // when the look began that brought kinds
	caps  Capabilities
}

// Capabilities are what a chart may ask of a cluster.
type Capabilities struct {
	// KubeVersion is the version of the API server, such as v1.37.2.
	KubeVersion string
	// APIVersions are what it serves, as group/version and group/version/Kind, in
	// order. They must not be changed.
	APIVersions []string
	// Partial names group versions that the server could not tell of and that
	// were never seen; empty if APIVersions is all there is.
	Partial string `json:"-"`
}

func newKinds(d *discovery.DiscoveryClient) *Kinds {
	k := &Kinds{version: func() (string, error) {
		v, err := d.ServerVersion()
		if err != nil {
			return "", err
		}
		return v.GitVersion, nil
	}}
	k.list = func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
		_, lists, err := d.ServerGroupsAndResources()
		// An aggregated API that is down hides its own kinds only.
		if down, partial := discovery.GroupDiscoveryFailedErrorGroups(err); partial {
			return lists, down, nil
		}
		return lists, nil, err
	}
	return k
}

// Capabilities are those of the last look; the version of the server is asked
// for after each, by the first who wants to know.
func (k *Kinds) Capabilities() (Capabilities, error) {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	k.mu.RLock()
	caps, kinds, down := k.caps, k.kinds, k.down
	k.mu.RUnlock()
	var err error
	if caps.KubeVersion == "" {
		if caps.KubeVersion, err = k.version(); err != nil {
			return Capabilities{}, fmt.Errorf("asking the API server for its version: %w", err)
		}
	}
	if caps.APIVersions == nil {
		served := map[string]bool{}
		for gvk := range kinds {
			gv := gvk.GroupVersion().String()
			served[gv], served[gv+"/"+gvk.Kind] = true, true
		}
		caps.APIVersions = slices.Sorted(maps.Keys(served))
		var unseen []string
		for gv := range down {
			if !served[gv.String()] {
				unseen = append(unseen, gv.String())
			}
		}
		slices.Sort(unseen)
		caps.Partial = strings.Join(unseen, ", ")
	}
	k.mu.Lock()
	k.caps = caps
	k.mu.Unlock()
	return caps, nil
}

// Lookup returns a kind if it was known at the last look.
func (k *Kinds) Lookup(gvk schema.GroupVersionKind) (Kind, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	kind, ok := k.kinds[gvk]
	return kind, ok
}

// AnyVersion returns a kind in whichever version is served, a stable one before
// beta and alpha, and then the newest: for objects whose version is gone.
func (k *Kinds) AnyVersion(gk schema.GroupKind) (Kind, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var best Kind
	for gvk, kind := range k.kinds {
		if gvk.GroupKind() == gk && (best.Resource == "" || version.CompareKubeAwareVersionStrings(gvk.Version, best.Version) > 0) {
			best = kind
		}
	}
	return best, best.Resource != ""
}

// Absent tells that the API server has no such kind in any version. It is false
// while the group can't be asked, as an aggregated API that is down.
func (k *Kinds) Absent(gk schema.GroupKind) bool {
	if _, ok := k.AnyVersion(gk); ok {
		return false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for gv := range k.down {
		if gv.Group == gk.Group {
			return false
		}
	}
	return k.kinds != nil
}

// Refresh looks again, unless a look that began after since is there already;
// callers that ask at the same time share one look.
func (k *Kinds) Refresh(ctx context.Context, since time.Time) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	k.mu.RLock()
	// A look from the future is one from before the clock was put back.
	fresh := k.kinds != nil && k.at.After(since) && !k.at.After(k.now())
	k.mu.RUnlock()
	if fresh {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	began := k.now()
	lists, down, err := k.list()
	if err != nil {
		return fmt.Errorf("asking the API server for its kinds: %w", err)
	}
	kinds := make(map[schema.GroupVersionKind]Kind, 256)
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			if !isObject(r) {
				continue
			}
			gvk := gv.WithKind(r.Kind)
			kinds[gvk] = Kind{GroupVersionKind: gvk, Resource: r.Name, Namespaced: r.Namespaced}
		}
	}
	hidden := make(map[schema.GroupVersion]bool, len(down))
	for gv := range down {
		hidden[gv] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for gvk, kind := range k.kinds {
		if hidden[gvk.GroupVersion()] {
			kinds[gvk] = kind // as it was when it could last be asked
		}
	}
	k.kinds, k.down, k.at = kinds, hidden, began
	k.caps = Capabilities{} // which are asked for by few
	return nil
}

func (k *Kinds) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

// isObject tells the resources that hold objects from subresources and from
// reviews, which can't be read back.
func isObject(r metav1.APIResource) bool {
	for i := range r.Name {
		if r.Name[i] == '/' {
			return false
		}
	}
	for _, v := range r.Verbs {
		if v == "get" {
			return true
		}
	}
	return false
}

// Kinds that every cluster has, and that abide itself asks for.
var (
	Namespaces      = Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, Resource: "namespaces"}
	ServiceAccounts = Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, Resource: "serviceaccounts", Namespaced: true}

	CustomResourceDefinitions = Kind{
		GroupVersionKind: schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
		Resource:         "customresourcedefinitions",
	}
)
