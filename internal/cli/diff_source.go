package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/report"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/git"
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
// chart takes from the cluster is read as the user.
func rendering(kube *cluster.Cluster, app *v1alpha1.App, path string) renderTree {
	user := access.Clients(func(string) (kubernetes.Interface, error) { return kube.Clientset("") })
	nobody := func(types.NamespacedName) {}
	values := access.Values{ConfigMaps: access.NewConfigMaps(user, nobody), Secrets: access.NewSecrets(user, nobody)}
	return func(ctx context.Context, tree snapshot.Tree) (rendered, error) {
		req, err := desired.Request(app, tree, path, func() (a desired.Around, err error) {
			if a.Values, err = values.Of(ctx, app); err != nil {
				return a, err
			}
			a.Capabilities, err = kube.Kinds.Capabilities()
			return a, err
		})
		if err != nil {
			return rendered{}, err
		}
		res, err := renderInWorker(ctx, tree, req)
		if err != nil {
			return rendered{}, err
		}
		return rendered{objects: res.Objects}, nil
	}
}

// fromWorkingCopy renders a folder of this machine.
func fromWorkingCopy(ctx context.Context, dir string, do renderTree) (rendered, error) {
	tree, err := dirtree.New(dir)
	if err != nil {
		return rendered{}, err
	}
	defer tree.Close()
	r, err := do(ctx, tree)
	r.from = "the working copy " + dir
	return r, err
}

// fromGit fetches the App's repository as the controller would, with the
// credentials of the Repository that fits, as far as the user may read them, and
// renders it at the commit where the App's ref stands. What is fetched is
// removed again.
func fromGit(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, abideNamespace string, do renderTree) (out rendered, err error) {
	want, err := wantedSource(ctx, s, c, app, abideNamespace)
	if err != nil {
		return out, err
	}
	dir, err := os.MkdirTemp("", "abide-diff-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	store, err := git.New(git.Options{Dir: dir, AllowLocal: true})
	if err != nil {
		return out, err
	}
	defer store.Close()
	snap, err := look(ctx, store, want)
	if err != nil {
		return out, fmt.Errorf("%w; to compare a working copy instead, add --local DIR", err)
	}
	if out, err = do(ctx, snap.Tree); err != nil {
		return out, fmt.Errorf("commit %s: %w", short(snap.Commit.Hash), err)
	}
	out.commit = snap.Commit.Hash
	out.from = report.Revision(snap.Revision.RefName, snap.Revision.Hash)
	return out, nil
}

// look looks once at a repository.
func look(ctx context.Context, store *git.Store, want source.Want) (source.Snapshot, error) {
	const name = "the App"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hub := source.NewHub(source.Options{Remotes: source.FromStore(store)})
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = hub.Run(ctx) // ends with the context
	}()
	defer func() { cancel(); <-over }()
	hub.Follow(name, want)
	select {
	case <-hub.RefreshApp(name).Done():
	case <-ctx.Done():
		return source.Snapshot{}, ctx.Err()
	}
	if st, _ := hub.State(name); st.Err != nil {
		return source.Snapshot{}, st.Err
	}
	return hub.Snapshot(ctx, name)
}

// wantedSource finds what the controller follows for an App.
func wantedSource(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, abideNamespace string) (source.Want, error) {
	kube, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return source.Want{}, err
	}
	repositories := access.Repositories{
		Client:    c,
		Secrets:   access.NewSecrets(access.Always(kube), func(types.NamespacedName) {}),
		Namespace: abideNamespace,
	}
	want, err := repositories.Want(ctx, app)
	if err == nil {
		return want, nil
	}
	var unreadable *access.CredentialsError
	if errors.As(err, &unreadable) {
		return want, fmt.Errorf("%w; to compare a working copy instead, add --local DIR", err)
	}
	if !apierrors.IsForbidden(err) {
		return want, err
	}
	fmt.Fprintf(s.Err, "Not all Repositories can be read (%v), so Git is asked without credentials.\n", err)
	return source.Want{URL: app.Spec.Source.Repo, Ref: followed(app)}, nil
}
