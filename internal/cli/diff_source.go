package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/mount"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
)

// rendered is what a diff compares with the cluster, and where it is from.
type rendered struct {
	objects []render.Object
	from    string // for people
	commit  string // empty for a working copy
}

// renderTree renders a tree as the controller renders it for an App.
type renderTree func(context.Context, snapshot.Tree) (rendered, error)

// rendering returns how an App's trees are rendered, at a path of them. What a
// chart takes from the cluster is read as the user. may says what may be fetched
// for kustomizations, and here whether that may be on this machine.
func rendering(kube *cluster.Cluster, app *v1alpha1.App, path string, may allow, here bool) renderTree {
	user := access.Clients(func(string) (kubernetes.Interface, error) { return kube.Clientset("") })
	nobody := func(types.NamespacedName) {}
	values := access.Values{ConfigMaps: access.NewConfigMaps(user, nobody), Secrets: access.NewSecrets(user, nobody)}
	return func(ctx context.Context, tree snapshot.Tree) (rendered, error) {
		req, _, err := desired.Request(app, tree, path, func() (a desired.Around, err error) {
			if a.Values, a.Variables, err = values.Of(ctx, app); err != nil {
				return a, err
			}
			a.Capabilities, err = kube.Kinds.Capabilities()
			return a, err
		})
		if err != nil {
			return rendered{}, err
		}
		res, err := renderFetching(ctx, tree, req, may, here)
		if err != nil {
			return rendered{}, err
		}
		return rendered{objects: res.Objects}, nil
	}
}

// fromWorkingCopy renders a folder of this machine in the place of the App's
// repository. All else that the App is made of is fetched.
func fromWorkingCopy(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, o *diffOptions, do renderTree) (out rendered, err error) {
	local, err := dirtree.New(o.local)
	if err != nil {
		return out, err
	}
	defer local.Close()
	var tree snapshot.Tree = local
	if len(app.Spec.Sources) > 0 || app.Spec.Source.Chart != nil {
		beside := app.DeepCopy()
		beside.Spec.Source.Repo, beside.Spec.Source.Ref = "", nil
		err = fetched(ctx, s, c, beside, o.abideNamespace, func(ctx context.Context, all *sources.Sources) error {
			mounts, err := all.Mounts(ctx, idOf(app))
			tree = mount.New(local, mounts)
			return err
		})
		if err != nil {
			return out, err
		}
	}
	out, err = do(ctx, tree)
	out.from = "the working copy " + o.local
	return out, err
}

func idOf(app *v1alpha1.App) object.App { return object.App{Namespace: app.Namespace, Name: app.Name} }

// fromGit fetches what the App is made of as the controller would, with the
// credentials of the Repositories that fit, as far as the user may read them, and
// renders it as it stands now. What is fetched is removed again.
func fromGit(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, abideNamespace string, do renderTree) (out rendered, err error) {
	err = fetched(ctx, s, c, app, abideNamespace, func(ctx context.Context, all *sources.Sources) error {
		head := all.Head(idOf(app))
		tree, err := all.Tree(ctx, idOf(app), head.At)
		if err != nil {
			return err
		}
		from := head.Status()
		if out, err = do(ctx, tree); err != nil {
			return fmt.Errorf("at %s: %w", from.Revision, err)
		}
		out.commit, out.from = from.Commit, from.Revision
		return nil
	})
	return out, err
}

// fetched looks once at all that an App is made of.
func fetched(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, abideNamespace string, use func(context.Context, *sources.Sources) error) error {
	wants, err := wantedSources(ctx, s, c, app, abideNamespace)
	if err != nil {
		return err
	}
	return withSources(ctx, local(c.config.Host), func(ctx context.Context, all *sources.Sources) error {
		all.Follow(idOf(app), wants)
		select {
		case <-all.Refresh(idOf(app)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := all.Head(idOf(app)).Err; err != nil {
			return fmt.Errorf("%w; to compare a working copy instead, add --local DIR", err)
		}
		return use(ctx, all)
	})
}

// withSources has sources for as long as use takes. What they fetch is removed
// again. What is on this machine they look at only if here is set.
func withSources(ctx context.Context, here bool, use func(context.Context, *sources.Sources) error) error {
	dir, err := os.MkdirTemp("", "abide-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var reachable []netip.Prefix
	if here {
		reachable = thisMachine
	}
	gits, err := git.New(git.Options{Dir: filepath.Join(dir, "git"), AllowLocal: here, AllowAddresses: reachable})
	if err != nil {
		return err
	}
	defer gits.Close()
	charts, err := chart.New(chart.Options{Dir: filepath.Join(dir, "charts"), AllowAddresses: reachable})
	if err != nil {
		return err
	}
	defer charts.Close()
	files, err := file.New(file.Options{Dir: filepath.Join(dir, "files"), AllowAddresses: reachable})
	if err != nil {
		return err
	}
	hub := source.NewHub(source.Options{Remotes: source.FromStore(gits)})
	poller := chart.NewPoller(chart.PollerOptions{Store: charts})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{hub.Run, poller.Run, files.Run} {
		running.Go(func() { _ = run(ctx) }) // they end with the context
	}
	defer running.Wait()
	defer cancel()
	return use(ctx, sources.New(hub, poller, files))
}

// local tells whether an API server is on this machine, as that of abide up.
func local(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

// thisMachine are the addresses of this machine, whose user may reach them.
var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// wantedSources finds what the controller follows for an App.
func wantedSources(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, abideNamespace string) (sources.Wants, error) {
	repositories, err := repositoriesOf(c, abideNamespace, nil)
	if err != nil {
		return sources.Wants{}, err
	}
	wants, err := repositories.Wants(ctx, app)
	var unreadable *access.CredentialsError
	switch {
	case err == nil:
		return wants, nil
	case errors.As(err, &unreadable):
		return wants, fmt.Errorf("%w; to compare a working copy instead, add --local DIR", err)
	case !apierrors.IsForbidden(err):
		return wants, err
	}
	fmt.Fprintf(s.Err, "Not all Repositories can be read (%v), so all is asked for without credentials.\n", err)
	return access.Anonymous(app), nil
}

// repositoriesOf reads Repositories and their Secrets as the user.
func repositoriesOf(c *conn, abideNamespace string, remoteHosts []string) (*access.Repositories, error) {
	kube, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	return &access.Repositories{
		Client:      c,
		Secrets:     access.NewSecrets(access.Always(kube), func(types.NamespacedName) {}),
		Namespace:   abideNamespace,
		RemoteHosts: remoteHosts,
	}, nil
}
