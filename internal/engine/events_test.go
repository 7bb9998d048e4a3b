package engine

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/api/v1alpha1"
)

// heard is a recorder that notes when it was told of what.
type heard struct {
	began time.Time

	mu    sync.Mutex
	at    []time.Duration
	notes []string
}

func (h *heard) so() ([]time.Duration, []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.at), slices.Clone(h.notes)
}

func (h *heard) Eventf(regarding, _ runtime.Object, _, _, _, note string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = append(h.at, time.Since(h.began))
	h.notes = append(h.notes, regarding.(*corev1.ObjectReference).Name+": "+args[0].(string))
}

func TestEventsArePaced(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		p := newPacedEvents(h, scheme, slog.New(slog.DiscardHandler))
		app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop"}}
		for range eventsWaiting + 7 { // as many as a great fleet has at its first sync
			p.Eventf(app, nil, "Normal", "Synced", "Sync", "%d objects", 100)
		}
		go p.Start(t.Context())
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		at, notes := h.so()
		if n := len(at); n != eventsAtOnce+eventsPerSecond {
			t.Errorf("%d in the first second, want %d", n, eventsAtOnce+eventsPerSecond)
		}
		if at[eventsAtOnce-1] != 0 || notes[0] != "shop: 100 objects" {
			t.Errorf("the first at %v, %q", at[:eventsAtOnce], notes[0])
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if at, _ := h.so(); len(at) != eventsWaiting {
			t.Errorf("%d in the end, want the %d that had room to wait", len(at), eventsWaiting)
		}
	})
}
