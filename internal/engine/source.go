package engine

import (
	"log/slog"

	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/controller"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
)

// follow returns what follows repositories and charts, and the Apps that are
// made of them. Who has to run when one of them moves: for the repository of an
// App, moves decides by what the commits changed; for all else, the App itself
// looks whether its render has read what changed.
func follow(gits *git.Store, charts *chart.Store, judged *claims.Claims, moves *controller.Moves, waker *controller.Waker, log *slog.Logger) (*source.Hub, *chart.Poller, *sources.Sources) {
	var all *sources.Sources
	hub := source.NewHub(source.Options{
		Remotes: source.FromStore(gits), Logger: log,
		Notify: func(names []string) {
			var own []string
			for _, n := range names {
				app, other, ok := sources.AppOf(n)
				switch {
				case !ok:
				case other:
					judged.Target(app, all.Head(app).At.String())
					waker.Wake(app)
				default:
					judged.Target(app, all.Head(app).At.String())
					own = append(own, n)
				}
			}
			moves.Moved(own)
		},
	})
	poller := chart.NewPoller(chart.PollerOptions{
		Store: charts, Logger: log,
		Notify: func(names []string) {
			for _, n := range names {
				if app, _, ok := sources.AppOf(n); ok {
					judged.Target(app, all.Head(app).At.String())
					waker.Wake(app)
				}
			}
		},
	})
	all = sources.New(hub, poller)
	moves.Hub = hub
	return hub, poller, all
}
