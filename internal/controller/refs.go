package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// recent is how many commits a GitRef remembers.
const recent = 32

// Refs keeps the GitRef records: up to which commit every App that follows a
// ref has been judged. A record is written when that changes, and coalesced.
type Refs struct {
	client    client.Client
	namespace string
	now       func() time.Time
	log       *slog.Logger
	queue     workqueue.TypedRateLimitingInterface[refKey]

	mu      sync.Mutex
	records map[refKey]*v1alpha1.GitRef // as last read or written
	wanted  map[refKey]judged
}

// refKey is a followed ref, as Apps name it.
type refKey struct{ url, ref string }

type judged struct{ ref, commit string }

// NewRefs returns the records in abide's own namespace.
func NewRefs(c client.Client, namespace string, now func() time.Time, log *slog.Logger) *Refs {
	return &Refs{
		client: c, namespace: namespace, now: now, log: log,
		queue:   workqueue.NewTypedRateLimitingQueue(retryErrors[refKey]()),
		records: map[refKey]*v1alpha1.GitRef{},
		wanted:  map[refKey]judged{},
	}
}

// RefName is the name of the record of a followed ref: of a repository as an
// App names it, and the ref in the form that source.Ref's String has.
func RefName(url, ref string) string {
	sum := sha256.Sum256([]byte(url + "\x00" + ref))
	return "ref-" + hex.EncodeToString(sum[:12])
}

// Judged says that every App that follows a ref has been reported at a commit.
func (r *Refs) Judged(k refKey, ref, commit string) {
	r.mu.Lock()
	r.wanted[k] = judged{ref, commit}
	r.mu.Unlock()
	r.queue.Add(k)
}

// commits are those that every App which follows a ref has been judged at, newest
// first, as far as they are remembered.
func (r *Refs) commits(k refKey) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	if w := r.wanted[k]; w.commit != "" {
		out = append(out, w.commit)
	}
	if rec := r.records[k]; rec != nil {
		out = append(out, rec.Recent...)
	}
	return out
}

// Load reads the records that are there, so that a restart writes nothing.
func (r *Refs) Load(ctx context.Context) error {
	var l v1alpha1.GitRefList
	if err := r.client.List(ctx, &l, client.InNamespace(r.namespace)); err != nil {
		return fmt.Errorf("reading the records of refs: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range l.Items {
		rec := &l.Items[i]
		r.records[refKey{rec.URL, rec.Follows}] = rec
	}
	return nil
}

// Start writes records until ctx ends.
func (r *Refs) Start(ctx context.Context) error {
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		k, down := r.queue.Get()
		if down {
			return nil
		}
		if err := r.write(ctx, k); err != nil && ctx.Err() == nil {
			r.log.Warn("the record of a ref could not be written, and is tried again", "url", k.url, "ref", k.ref, "error", err)
			r.queue.AddRateLimited(k)
		} else {
			r.queue.Forget(k)
		}
		r.queue.Done(k)
	}
}

func (r *Refs) write(ctx context.Context, k refKey) error {
	r.mu.Lock()
	want, rec := r.wanted[k], r.records[k]
	r.mu.Unlock()
	if rec != nil && rec.Judged == want.commit && rec.Ref == want.ref {
		return nil
	}
	now := metav1.NewTime(r.now()).Rfc3339Copy()
	next := &v1alpha1.GitRef{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: RefName(k.url, k.ref)}}
	if rec != nil {
		next = rec.DeepCopy()
	}
	next.URL, next.Follows, next.Ref, next.Judged, next.JudgedAt = k.url, k.ref, want.ref, want.commit, &now
	next.Recent = append([]string{want.commit}, slices.DeleteFunc(next.Recent, func(c string) bool { return c == want.commit })...)
	next.Recent = next.Recent[:min(len(next.Recent), recent)]
	var err error
	if rec == nil {
		err = r.client.Create(ctx, next)
	} else {
		err = r.client.Update(ctx, next)
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		r.reload(ctx, k)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.records[k] = next
	r.mu.Unlock()
	return nil
}

// reload reads a record again that somebody else touched.
func (r *Refs) reload(ctx context.Context, k refKey) {
	var rec v1alpha1.GitRef
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: RefName(k.url, k.ref)}, &rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case apierrors.IsNotFound(err):
		delete(r.records, k)
	case err == nil:
		r.records[k] = &rec
	}
}
