package engine

import (
	"context"
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/reference"
	"k8s.io/client-go/util/flowcontrol"
)

// Events a second, at once after a pause, and how many may wait.
const (
	eventsPerSecond = 10
	eventsAtOnce    = 20
	eventsWaiting   = 5_000
)

// pacedEvents hands Events on at a pace. Nobody waits for an Event: while many
// Apps are brought up together, what they need goes first.
type pacedEvents struct {
	to      events.EventRecorder
	scheme  *runtime.Scheme
	log     *slog.Logger
	waiting chan func()
}

func newPacedEvents(to events.EventRecorder, scheme *runtime.Scheme, log *slog.Logger) *pacedEvents {
	return &pacedEvents{to: to, scheme: scheme, log: log, waiting: make(chan func(), eventsWaiting)}
}

// Eventf implements events.EventRecorder. It keeps references to the objects, not
// the objects.
func (p *pacedEvents) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	text := fmt.Sprintf(note, args...)
	about, err := reference.GetReference(p.scheme, regarding)
	if err != nil {
		p.log.Warn("an Event names no object", "reason", reason, "note", text, "error", err)
		return
	}
	select {
	case p.waiting <- func() { p.to.Eventf(about, related, kind, reason, action, "%s", text) }:
	default:
		p.log.Warn("too many Events wait, and this one is not sent", "object", about.Namespace+"/"+about.Name, "reason", reason, "note", text)
	}
}

// Start hands Events on until ctx ends; those that wait then are not sent.
func (p *pacedEvents) Start(ctx context.Context) error {
	pace := flowcontrol.NewTokenBucketRateLimiter(eventsPerSecond, eventsAtOnce)
	for {
		select {
		case send := <-p.waiting:
			if pace.Wait(ctx) == nil {
				send()
			}
		case <-ctx.Done():
			return nil
		}
	}
}
