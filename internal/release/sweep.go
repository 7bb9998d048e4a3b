package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

const (
	// Outlive is how long releases stay after their App is gone.
	Outlive = 7 * 24 * time.Hour
	// unnamedFor is how old manifests that no release names have to be to be
	// removed: those that are new may be about to be named.
	unnamedFor = time.Hour
	// lookEvery is how often the Secrets are looked through: only a crash leaves
	// some behind.
	lookEvery = 24 * time.Hour
)

// Sweep removes the releases of Apps that have been gone for longer than
// [Outlive], and manifests that no release names. It needs [Store.Load] to have
// succeeded, or everything would look unnamed. exists must answer for every App
// of the cluster. One App that can't be done does not keep the others from it.
func (s *Store) Sweep(ctx context.Context, exists func(object.App) bool) error {
	s.mu.Lock()
	loaded := s.loaded
	apps := slices.SortedFunc(maps.Keys(s.apps), object.App.Compare)
	look := s.now().Sub(s.swept) >= lookEvery
	s.mu.Unlock()
	if !loaded {
		return errors.New("removing old releases: those there are have not been read yet")
	}
	var errs []error
	for _, app := range apps {
		if err := s.sweepApp(ctx, app, exists(app)); err != nil {
			errs = append(errs, err)
		}
	}
	if look {
		now := s.now()
		if err := s.sweepManifests(ctx, now); err != nil {
			errs = append(errs, err)
		} else {
			s.mu.Lock()
			s.swept = now
			s.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// sweepApp notes that an App is gone or there again, and removes its releases
// when their time is over.
func (s *Store) sweepApp(ctx context.Context, app object.App, exists bool) error {
	h := s.lock(app)
	defer h.writing.Unlock()
	defer s.drop(app, h)
	s.mu.Lock()
	if len(h.releases) == 0 {
		if !exists {
			h.pending = nil
		}
		s.mu.Unlock()
		return nil
	}
	if exists {
		h.gone = time.Time{}
	} else if h.gone.IsZero() {
		h.gone = s.now()
	}
	gone, newest, on := h.gone, h.releases[len(h.releases)-1].number, h.goneOn
	var numbers []int64
	for _, e := range h.releases {
		numbers = append(numbers, e.number)
	}
	s.mu.Unlock()

	switch {
	case !gone.IsZero() && s.now().Sub(gone) > Outlive:
		s.mu.Lock()
		h.pending = nil
		s.mu.Unlock()
		for _, n := range numbers {
			if err := s.remove(ctx, app, h, n); err != nil {
				return fmt.Errorf("removing release %s#%d of an App that is gone: %w", app, n, err)
			}
		}
		return nil
	case !gone.IsZero() && on != newest:
		return s.mark(ctx, app, h, newest, fmt.Sprintf("%q", gone.UTC().Format(time.RFC3339)))
	case gone.IsZero() && on == newest:
		return s.mark(ctx, app, h, newest, "null")
	}
	return nil
}

// mark notes on a Release since when its App is gone, which a restart must not
// forget; a value of null takes the note away.
func (s *Store) mark(ctx context.Context, app object.App, h *history, number int64, value string) error {
	r := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: Name(app.Name, number)}}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, annotationGone, value)
	err := s.client.Patch(ctx, r, client.RawPatch(types.MergePatchType, []byte(patch)))
	if client.IgnoreNotFound(err) != nil { // without the record there is nothing to remember
		return fmt.Errorf("noting on release %s#%d that its App is gone or back: %w", app, number, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.goneOn = number
	if value == "null" {
		h.goneOn = 0
	}
	return nil
}

// sweepManifests removes the Secrets that no release names.
func (s *Store) sweepManifests(ctx context.Context, now time.Time) error {
	for token := ""; ; {
		l := &metav1.PartialObjectMetadataList{}
		l.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		err := s.client.List(ctx, l, client.InNamespace(s.namespace), client.HasLabels{manifestsOf}, client.Limit(listPage), client.Continue(token))
		if err != nil {
			return fmt.Errorf("reading the names of the Secrets with manifests in namespace %s: %w", s.namespace, err)
		}
		for i := range l.Items {
			m := &l.Items[i]
			app, ok := object.ParseApp(m.Annotations[manifestsOf])
			if !ok || now.Sub(m.CreationTimestamp.Time) < unnamedFor {
				continue
			}
			if p, ok := partOf(app, m.Name); ok {
				if err := s.removeUnnamed(ctx, app, p, m); err != nil {
					return err
				}
			}
		}
		if token = l.Continue; token == "" {
			return nil
		}
	}
}

func (s *Store) removeUnnamed(ctx context.Context, app object.App, p part, m *metav1.PartialObjectMetadata) error {
	h := s.lock(app)
	defer h.writing.Unlock()
	defer s.drop(app, h)
	s.mu.Lock()
	named := h.names(p)
	s.mu.Unlock()
	if named {
		return nil
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: m.Name}}
	err := s.client.Delete(ctx, secret, client.Preconditions{UID: &m.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing manifests that no release names, Secret %s/%s: %w", s.namespace, m.Name, err)
	}
	return nil
}
