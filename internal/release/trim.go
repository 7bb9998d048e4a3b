package release

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// Trim removes the oldest releases of an App until there are limit, and the
// manifests that only they had. The newest stays, the newest that succeeded, and
// those in keep, also when that makes more than limit. It sends nothing where
// there is nothing to remove.
func (s *Store) Trim(ctx context.Context, app object.App, limit int, keep ...int64) error {
	h := s.lock(app)
	defer h.writing.Unlock()
	for _, number := range s.surplus(h, limit, keep) {
		if err := s.remove(ctx, app, h, number); err != nil {
			return fmt.Errorf("removing release %s#%d, which is beyond the limit of %d: %w", app, number, limit, err)
		}
	}
	return nil
}

// surplus are the numbers of the releases that have to go, the oldest first.
func (s *Store) surplus(h *history, limit int, keep []int64) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int64
	healthy := h.healthy()
	for i := range h.releases {
		if len(h.releases)-len(out) <= limit {
			break
		}
		n := h.releases[i].number
		if i != len(h.releases)-1 && i != healthy && !slices.Contains(keep, n) {
			out = append(out, n)
		}
	}
	return out
}

// remove deletes one release, and the manifests that no other one names. The
// caller has writing.
func (s *Store) remove(ctx context.Context, app object.App, h *history, number int64) error {
	r := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: Name(app.Name, number)}}
	if err := client.IgnoreNotFound(s.client.Delete(ctx, r)); err != nil {
		return err
	}
	s.mu.Lock()
	var unnamed []part
	if i, found := h.find(number); found {
		parts := h.releases[i].parts
		h.releases = slices.Delete(h.releases, i, i+1)
		for _, p := range parts {
			if !h.names(p) {
				unnamed = append(unnamed, p)
			}
		}
	}
	if h.written.number == number {
		h.written.number = 0
	}
	s.mu.Unlock()
	for _, p := range unnamed {
		// If this fails, Sweep finds what nobody names.
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: p.name(app)}}
		if err := client.IgnoreNotFound(s.client.Delete(ctx, secret)); err != nil {
			return fmt.Errorf("removing its manifests, Secret %s/%s: %w", s.namespace, p.name(app), err)
		}
	}
	return nil
}
