package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/mount"
	"abide.dev/abide/internal/sources"
)

const remoteHostsUsage = "`hosts`, such as github.com, from which kustomizations may take bases, files and charts, without credentials"

// allow says how what a kustomization names is fetched, or why it may not be.
type allow func(context.Context, render.Remote) (sources.Remote, error)

// allowHosts allows some hosts, for one who has no cluster.
func allowHosts(hosts []string) allow {
	return func(ctx context.Context, s render.Remote) (sources.Remote, error) {
		return access.AnyRemote(ctx, hosts, s)
	}
}

// allowRepositories allows what the controller does for Apps of a namespace, as
// far as the user may read the Repositories, and some hosts.
func allowRepositories(r *access.Repositories, namespace string) allow {
	return func(ctx context.Context, s render.Remote) (sources.Remote, error) {
		one, err := r.Remote(ctx, namespace, s)
		if apierrors.IsForbidden(err) {
			return access.AnyRemote(ctx, r.RemoteHosts, s)
		}
		return one, err
	}
}

// renderFetching renders, and fetches for it what kustomizations name, as far as
// it may. Nothing is fetched if nothing is named; from this machine only if here is
// set.
func renderFetching(ctx context.Context, tree snapshot.Tree, req render.Request, may allow, here bool) (*render.Result, error) {
	res, err := renderInWorker(ctx, tree, req)
	if len(needs(err)) == 0 {
		return res, err
	}
	app := object.App{Namespace: "render", Name: "render"}
	var list []sources.Remote
	another := func(ctx context.Context, all *sources.Sources) error {
		for need := needs(err); len(need) > 0; need = needs(err) {
			for _, s := range need {
				one, denied := may(ctx, s)
				if denied != nil {
					return notAllowed(err, need, denied)
				}
				list = append(list, one)
			}
			all.FollowRemotes(app, list)
			select {
			case <-all.Refresh(app):
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, s := range need {
				if err := all.RemoteErr(app, s.Name()); err != nil {
					return err
				}
			}
			mounts, lost := all.Mounts(ctx, app)
			if lost != nil {
				return lost
			}
			res, err = renderInWorker(ctx, mount.New(tree, mounts), req)
		}
		return err
	}
	err = withSources(ctx, here, func(ctx context.Context, all *sources.Sources) error {
		all.Follow(app, sources.Wants{})
		return another(ctx, all)
	})
	return res, err
}

// needs are what a render lacks.
func needs(err error) []render.Remote {
	var e *render.Error
	if errors.As(err, &e) {
		return e.Remotes
	}
	return nil
}

// notAllowed is the error of a render that may not have what it needs: it names
// all of that, and how to fetch it.
func notAllowed(err error, need []render.Remote, denied error) error {
	var e *render.Error
	var rule *access.NotAllowedError
	if !errors.As(err, &e) || !errors.As(denied, &rule) || !rule.Denied() {
		return denied
	}
	shown := *e
	var hosts []string
	for _, s := range need {
		if !slices.Contains(hosts, s.Host()) {
			hosts = append(hosts, s.Host())
		}
	}
	shown.Hint = "add --allow-remote-bases " + strings.Join(hosts, ",") + " to have it fetched, or copy it into the repository"
	if len(need) > 1 {
		var names []string
		for _, s := range need {
			names = append(names, s.String())
		}
		shown.Msg += "; in all, these are: " + strings.Join(names, ", ")
	}
	return &shown
}
