package engine

import (
	"path/filepath"

	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/controller"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
	"abide.dev/abide/internal/sources"
)

// follow returns what follows repositories, charts and files, and the Apps that
// are made of them. Who has to run when one of them moves: for the repository of an
// App, moves decides by what the commits changed; for all else, the App itself
// looks whether its render has read what changed.
func follow(at stores, o Options, judged *claims.Claims, moves *controller.Moves, waker *controller.Waker) (*followers, error) {
	var all *sources.Sources
	log := o.Log
	// Whoever sees that one App has moved finds the others not judged that have
	// moved with it.
	moving := func(name string) {
		if app, _, ok := sources.AppOf(name); ok {
			judged.Moving(app)
		}
	}
	hub := source.NewHub(source.Options{
		Remotes: source.FromStore(at.gits), Logger: log, Moving: moving,
		Notify: func(names []string) {
			var own []string
			for _, n := range names {
				app, other, ok := sources.AppOf(n)
				switch {
				case !ok:
				case other:
					judged.Target(app, pipeline.Standing(all, app))
					waker.Wake(app)
				default:
					judged.Target(app, pipeline.Standing(all, app))
					own = append(own, n)
				}
			}
			moves.Moved(own)
		},
	})
	poller := chart.NewPoller(chart.PollerOptions{
		Store: at.charts, Logger: log, Moving: moving,
		Notify: func(names []string) {
			for _, n := range names {
				if app, _, ok := sources.AppOf(n); ok {
					judged.Target(app, pipeline.Standing(all, app))
					waker.Wake(app)
				}
			}
		},
	})
	files, err := file.New(file.Options{
		Dir: filepath.Join(o.CacheDir, "files"), AllowAddresses: o.AllowAddresses, Logger: log, Moving: moving,
		Notify: func(name string) {
			if app, _, ok := sources.AppOf(name); ok {
				judged.Target(app, pipeline.Standing(all, app))
				waker.Wake(app)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	all = sources.New(hub, poller, files)
	moves.Hub = hub
	return &followers{hub, poller, files, all}, nil
}

// followers follow what Apps are made of.
type followers struct {
	hub    *source.Hub
	charts *chart.Poller
	files  *file.Poller
	all    *sources.Sources
}
