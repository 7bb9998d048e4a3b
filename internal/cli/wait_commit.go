package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
)

// follow is a ref of a repository as Apps name it.
type follow struct{ repo, ref string }

func followOf(app *v1alpha1.App) follow {
	return follow{access.Canonical(app.Spec.Source.Repo), followed(app).String()}
}

// waitCommit waits until a commit is live. First, until the records of refs say
// that every App which follows it has been judged there: by then those that it
// changes say so. Then, from a list made after that, until these Apps are ready.
func waitCommit(ctx context.Context, s Streams, c *conn, o waitOptions) error {
	var judged map[follow]bool
	waiting := "the records of what was judged have not been read"
	progress := narrator{w: s.Err}
	inOwn := []client.ListOption{client.InNamespace(o.abideNamespace)}
	err := until(ctx, c.WithWatch, &v1alpha1.GitRefList{}, inOwn, func(have objects[*v1alpha1.GitRef]) (bool, error) {
		var l v1alpha1.AppList
		if err := c.List(ctx, &l, client.InNamespace(c.namespace)); err != nil {
			return false, err
		}
		v := judge(o.commit, o.repo, have, l.Items)
		judged, waiting = v.judged, v.waiting
		switch {
		case v.never != "":
			return false, &exitError{exitFailed, fmt.Errorf("%s", v.never)}
		case v.failed != nil && !o.keep:
			return false, &exitError{exitFailed, fmt.Errorf("App %s/%s has failed before it came to commit %s: %s",
				v.failed.Namespace, v.failed.Name, short(o.commit), message(v.failed))}
		case waiting != "":
			progress.say("commit "+short(o.commit), waiting)
			return false, nil
		}
		return true, nil
	})
	if err == nil {
		err = waitReady(ctx, s, c, o, judged, &waiting)
	}
	switch {
	case err != nil && timeIsUp(ctx):
		return &exitError{exitTimeout, fmt.Errorf("commit %s is not live after %s: %s", short(o.commit), o.limit, waiting)}
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; name one namespace with -n, or ask for the right to read abide's Apps and GitRefs", err)
	}
	return c.explain(err)
}

func waitReady(ctx context.Context, s Streams, c *conn, o waitOptions, judged map[follow]bool, waiting *string) error {
	progress := narrator{w: s.Err}
	inScope := []client.ListOption{client.InNamespace(c.namespace)}
	return until(ctx, c.WithWatch, &v1alpha1.AppList{}, inScope, func(have objects[*v1alpha1.App]) (bool, error) {
		r := readiness(have, judged)
		if r.failed != nil && !o.keep {
			return false, &exitError{exitFailed, fmt.Errorf("commit %s is not live: App %s/%s has failed: %s",
				short(o.commit), r.failed.Namespace, r.failed.Name, message(r.failed))}
		}
		if len(r.busy) > 0 {
			first := r.busy[0]
			*waiting = fmt.Sprintf("%d of %s not ready, the first %s/%s: %s", len(r.busy), count(r.total, "App"), first.Namespace, first.Name, doing(first))
			for _, app := range r.busy {
				progress.say(app.Namespace+"/"+app.Name, doing(app))
			}
			return false, nil
		}
		fmt.Fprintf(s.Out, "commit %s is live: %s ready\n", short(o.commit), count(r.total, "App"))
		return true, nil
	})
}

// verdict is what the records of refs say about a commit.
type verdict struct {
	judged  map[follow]bool // the refs whose Apps have all been judged there
	waiting string          // what is missing; empty if nothing is
	never   string          // why it will never come
	// failed is an App that keeps it from coming, if one does.
	failed *v1alpha1.App
}

// judge reads the records. Without a repository it is meant in whichever has
// the commit.
func judge(commit, repo string, refs objects[*v1alpha1.GitRef], apps []v1alpha1.App) verdict {
	v := verdict{judged: map[follow]bool{}}
	type place struct{ repo, ref string }
	records := map[follow]*v1alpha1.GitRef{}
	places := map[place]bool{} // where the commit is known to be
	for _, r := range refs {
		if repo != "" && access.Canonical(r.URL) != access.Canonical(repo) {
			continue
		}
		f := follow{access.Canonical(r.URL), r.Follows}
		records[f] = r
		if knows(r, commit) {
			v.judged[f] = true
			places[place{access.Canonical(r.URL), r.Ref}] = true
		}
	}
	slices.SortFunc(apps, func(a, b v1alpha1.App) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	inRepo, following := 0, 0
	repos := map[string]bool{}
	for p := range places {
		repos[p.repo] = true
	}
	for i := range apps {
		app := &apps[i]
		f := followOf(app)
		if repo != "" && access.Canonical(f.repo) != access.Canonical(repo) || app.DeletionTimestamp != nil {
			continue
		}
		inRepo++
		rec := records[f]
		switch {
		case v.judged[f]:
			following++
		case len(places) == 0:
			if app.Status.State == v1alpha1.StateFailed && current(app) && rec == nil && repo != "" {
				v.failed = cmp.Or(v.failed, app)
			}
		case rec != nil && places[place{access.Canonical(f.repo), rec.Ref}]:
			// The same ref under another name: it will get there.
			v.waiting = fmt.Sprintf("%s of %s has not been judged there yet", f.ref, f.repo)
		case rec == nil && repos[access.Canonical(f.repo)] && app.Status.State != v1alpha1.StateFailed:
			v.waiting = fmt.Sprintf("App %s/%s has not been looked at yet", app.Namespace, app.Name)
		}
	}
	switch {
	case inRepo == 0 && repo != "":
		v.never = fmt.Sprintf("no App here has %s as its repository: see abide get apps -A -o wide", repo)
	case inRepo == 0:
		v.never = "there are no Apps here: see abide get apps -A"
	case len(places) == 0:
		v.waiting = "no ref that Apps follow has been judged there yet"
	case v.waiting == "" && following == 0:
		v.never = "no App here follows a ref that has this commit; without -n, all namespaces are looked at"
	}
	return v
}

// knows tells whether a ref was judged at a commit, or beyond it.
func knows(r *v1alpha1.GitRef, commit string) bool {
	if strings.HasPrefix(r.Judged, commit) {
		return true
	}
	return slices.ContainsFunc(r.Recent, func(c string) bool { return strings.HasPrefix(c, commit) })
}

// ready is how far the Apps of some refs are.
type ready struct {
	total  int
	busy   []*v1alpha1.App
	failed *v1alpha1.App
}

func readiness(apps objects[*v1alpha1.App], judged map[follow]bool) ready {
	var r ready
	for _, app := range apps {
		if !judged[followOf(app)] || app.DeletionTimestamp != nil {
			continue
		}
		r.total++
		if condition(app, v1alpha1.ConditionReady) && app.Status.State != v1alpha1.StateProgressing {
			continue
		}
		r.busy = append(r.busy, app)
	}
	slices.SortFunc(r.busy, func(a, b *v1alpha1.App) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, app := range r.busy {
		if app.Status.State == v1alpha1.StateFailed && current(app) {
			r.failed = app
			break
		}
	}
	return r
}

func short(commit string) string {
	if len(commit) > 8 {
		return commit[:8]
	}
	return commit
}
