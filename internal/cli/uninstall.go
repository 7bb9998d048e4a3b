package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/install"
)

type uninstallOptions struct {
	target
	deleteObjects bool
	yes           bool
	limit         time.Duration
}

func newUninstall(s Streams) *cobra.Command {
	var o uninstallOptions
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove abide from a cluster, and leave running what it applied",
		Long: "Remove abide from a cluster: every App, abide's own kinds, rights, Deployment and\n" +
			"namespace. What the Apps applied stays as it is and keeps running.\n\n" +
			"With --delete-objects, the Apps remove what they own first, in reverse order; that needs\n" +
			"a controller that runs, and where it can't be finished in time abide stays in place. An\n" +
			"App with spec.deletionPolicy Orphan leaves its objects even then.\n\n" +
			"It shows what it will do and asks; it can be repeated after it was broken off.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cn, err := o.connect(s.Err)
			if err != nil {
				return err
			}
			return runUninstall(c.Context(), s, cn, o)
		},
	}
	o.clusterFlags(c)
	o.ownNamespaceFlag(c)
	f := c.Flags()
	f.BoolVar(&o.deleteObjects, "delete-objects", false, "delete what the Apps applied as well")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.DurationVar(&o.limit, "timeout", 5*time.Minute, "`time` that it may take")
	return c
}

// uninstaller is one removal.
type uninstaller struct {
	*conn
	s Streams
	o uninstallOptions

	apps     []v1alpha1.App
	objects  int  // that Apps own
	resident bool // objects of Apps are in abide's own namespace
	parts    []*unstructured.Unstructured
}

func runUninstall(ctx context.Context, s Streams, c *conn, o uninstallOptions) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errTimeLimit)
	defer cancel()
	u := &uninstaller{conn: c, s: s, o: o}
	err := u.survey(ctx)
	if err != nil {
		return c.explain(err)
	}
	if len(u.apps) == 0 && len(u.parts) == 0 {
		fmt.Fprintln(s.Out, "abide is not installed in this cluster")
		return nil
	}
	u.announce()
	if !o.yes {
		if !isTerminal(s.In) {
			return &exitError{exitUsage, errors.New("there is nobody to ask: add --yes")}
		}
		yes, err := ask(s, "Go on?")
		if err != nil {
			return err
		}
		if !yes {
			return &exitError{exitFailed, errors.New("nothing was changed")}
		}
	}
	if o.deleteObjects {
		err = u.deleteApps(ctx)
	}
	if err == nil {
		err = u.removeAll(ctx)
	}
	var exit *exitError
	if err != nil && timeIsUp(ctx) && !errors.As(err, &exit) {
		return &exitError{exitTimeout, fmt.Errorf("abide is not gone after %s (%w): run the command again to go on", o.limit, err)}
	}
	return c.explain(err)
}

// survey finds what there is to remove.
func (u *uninstaller) survey(ctx context.Context) error {
	var apps v1alpha1.AppList
	if err := u.List(ctx, &apps); err != nil && !notServed(err) {
		return err
	}
	u.apps = apps.Items
	var inventories v1alpha1.InventoryList
	if err := u.List(ctx, &inventories); err != nil && !notServed(err) {
		return err
	}
	for i := range inventories.Items {
		for _, e := range inventories.Items[i].Entries {
			u.objects++
			if e.Namespace == u.o.abideNamespace {
				u.resident = true
			}
		}
	}
	all, err := install.Objects(install.Options{Namespace: u.o.abideNamespace, ClusterAdmin: true})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	for _, o := range all {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(o.GroupVersionKind())
		err := u.Get(ctx, client.ObjectKeyFromObject(o), live)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		// Something of the same name that abide did not install is not abide's.
		if live.GetLabels()["app.kubernetes.io/part-of"] != "abide" {
			fmt.Fprintf(u.s.Err, "%s %s is not abide's, and stays.\n", live.GetKind(), live.GetName())
			continue
		}
		u.parts = append(u.parts, live)
	}
	return nil
}

func (u *uninstaller) keepsNamespace() bool { return u.resident && !u.o.deleteObjects }

func (u *uninstaller) announce() {
	w := u.s.Err
	fmt.Fprintf(w, "From the cluster of context %s will be removed:\n", clean(u.context))
	fmt.Fprintf(w, "  %s, with their approvals, pauses, inventories and Repositories\n", count(len(u.apps), "App"))
	kinds := map[string]int{}
	for _, p := range u.parts {
		kinds[p.GetKind()]++
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		if k != "Namespace" {
			fmt.Fprintf(w, "  %d %s\n", kinds[k], k)
		}
	}
	switch {
	case kinds["Namespace"] == 0:
	case u.keepsNamespace():
		fmt.Fprintf(w, "Namespace %s stays: Apps have objects in it.\n", u.o.abideNamespace)
	default:
		fmt.Fprintf(w, "  Namespace %s, with all that is in it\n", u.o.abideNamespace)
	}
	if u.o.deleteObjects {
		fmt.Fprintf(w, "The %s that the Apps applied will be DELETED.\n", count(u.objects, "object"))
	} else {
		fmt.Fprintf(w, "The %s that the Apps applied will stay and keep running.\n", count(u.objects, "object"))
	}
}

// deleteApps deletes every App and waits until the controller has removed what
// they own. An App that comes up meanwhile (another App had it in Git) is deleted
// as well.
func (u *uninstaller) deleteApps(ctx context.Context) error {
	var left []*v1alpha1.App
	progress := narrator{w: u.s.Err}
	err := until(ctx, u.WithWatch, &v1alpha1.AppList{}, nil, func(have objects[*v1alpha1.App]) (bool, error) {
		left = slices.Collect(maps.Values(have))
		for _, app := range left {
			if app.DeletionTimestamp != nil {
				progress.say(app.Namespace+"/"+app.Name, doing(app))
				continue
			}
			if err := u.Delete(ctx, app, client.Preconditions{UID: &app.UID}); err != nil && !apierrors.IsNotFound(err) {
				return false, fmt.Errorf("deleting App %s/%s: %w", app.Namespace, app.Name, err)
			}
		}
		return len(left) == 0, nil
	})
	if notServed(err) {
		return nil
	}
	if err != nil && timeIsUp(ctx) {
		names := make([]string, len(left))
		for i, app := range left {
			names[i] = fmt.Sprintf("%s/%s (%s)", app.Namespace, app.Name, doing(app))
		}
		slices.Sort(names)
		return &exitError{exitTimeout, fmt.Errorf("after %s there are still Apps: %s; abide was left in place: see that its controller runs and that nothing waits for an approval, then run the command again, or without --delete-objects to leave the objects",
			u.o.limit, strings.Join(names, ", "))}
	}
	return err
}

// removeAll removes abide itself. The order matters:
//
//  1. the Deployment, so that no controller is at work any more;
//  2. the definition of Apps: as soon as it is being deleted, a controller that
//     runs elsewhere leaves all objects behind, and no App can come up;
//  3. the finalizers, which nobody else removes where no controller runs;
//  4. everything else, the namespace last.
func (u *uninstaller) removeAll(ctx context.Context) error {
	isApps := func(p *unstructured.Unstructured) bool { return p.GetName() == "apps."+v1alpha1.Group }
	for _, p := range u.parts {
		if p.GetKind() == "Deployment" {
			if err := u.remove(ctx, p); err != nil {
				return err
			}
			if err := u.awaitPods(ctx); err != nil {
				return err
			}
		}
	}
	for _, p := range u.parts {
		if isApps(p) {
			if err := u.remove(ctx, p); err != nil {
				return err
			}
		}
	}
	if err := u.releaseApps(ctx); err != nil {
		return err
	}
	for _, p := range slices.Backward(u.parts) {
		if p.GetKind() == "Deployment" || isApps(p) || p.GetKind() == "Namespace" {
			continue
		}
		if err := u.remove(ctx, p); err != nil {
			return err
		}
	}
	for _, p := range u.parts {
		if p.GetKind() == "Namespace" && !u.keepsNamespace() {
			if err := u.remove(ctx, p); err != nil {
				return err
			}
		}
	}
	left, err := u.awaitDefinitions(ctx)
	if err != nil {
		return err
	}
	for _, l := range left {
		fmt.Fprintf(u.s.Err, "The API server is still at removing %s; wait for that before you install abide again.\n", clean(l))
	}
	fmt.Fprintln(u.s.Out, "abide is removed")
	if !u.o.deleteObjects && u.objects > 0 {
		fmt.Fprintf(u.s.Out, "what the Apps applied is as it was (%s); it keeps the label %s and the annotation %s\n", count(u.objects, "object"), v1alpha1.LabelApp, v1alpha1.AnnotationOwner)
	}
	return nil
}

func (u *uninstaller) remove(ctx context.Context, p *unstructured.Unstructured) error {
	uid := p.GetUID()
	err := u.Delete(ctx, p.DeepCopy(), client.Preconditions{UID: &uid}, client.PropagationPolicy("Background"))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing %s %s: %w", p.GetKind(), p.GetName(), err)
	}
	return nil
}

// releaseApps takes abide's finalizer from every App. In a cluster whose
// definition of Apps is not abide's to remove, the Apps are told first to leave
// their objects behind, and deleted here.
func (u *uninstaller) releaseApps(ctx context.Context) error {
	return u.poll(ctx, func() (bool, error) {
		var l v1alpha1.AppList
		err := u.List(ctx, &l)
		if notServed(err) || err == nil && len(l.Items) == 0 {
			return true, nil
		}
		if apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) {
			return false, nil // a kind that is going away is not always ready to answer
		}
		if err != nil {
			return false, err
		}
		for i := range l.Items {
			if err := u.release(ctx, &l.Items[i]); err != nil {
				return false, fmt.Errorf("releasing App %s/%s: %w", l.Items[i].Namespace, l.Items[i].Name, err)
			}
		}
		return false, nil
	})
}

func (u *uninstaller) release(ctx context.Context, app *v1alpha1.App) error {
	gone := func(err error) error {
		if notServed(err) || apierrors.IsConflict(err) {
			return nil // seen again by the next look
		}
		return client.IgnoreNotFound(err)
	}
	base := app.DeepCopy()
	app.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan
	if app.DeletionTimestamp != nil {
		controllerutil.RemoveFinalizer(app, v1alpha1.Finalizer)
	}
	if err := u.Patch(ctx, app, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return gone(err)
	}
	if app.DeletionTimestamp != nil {
		return nil
	}
	return gone(u.Delete(ctx, app, client.Preconditions{UID: &app.UID}))
}

// awaitPods waits until the controller's Pods are gone.
func (u *uninstaller) awaitPods(ctx context.Context) error {
	return u.poll(ctx, func() (bool, error) {
		var pods corev1.PodList
		err := u.List(ctx, &pods, client.InNamespace(u.o.abideNamespace),
			client.MatchingLabels{"app.kubernetes.io/name": "abide", "app.kubernetes.io/component": "controller"})
		return err == nil && len(pods.Items) == 0, err
	})
}

// settling is how long to wait for the API server to clear definitions away. It
// does so by itself, and now and then takes minutes over an empty kind.
const settling = 10 * time.Second

// awaitDefinitions waits until abide's kinds are gone, and returns those that
// take longer, with the server's reason.
func (u *uninstaller) awaitDefinitions(ctx context.Context) (left []string, err error) {
	short, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	err = u.poll(short, func() (bool, error) {
		left = nil
		for _, p := range u.parts {
			if p.GetKind() != cluster.CustomResourceDefinitions.Kind {
				continue
			}
			live := p.DeepCopy()
			err := u.Get(short, client.ObjectKeyFromObject(p), live)
			if client.IgnoreNotFound(err) != nil {
				return false, err
			}
			if err == nil {
				left = append(left, p.GetName()+whatHolds(live))
			}
		}
		return len(left) == 0, nil
	})
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return left, nil
	}
	return nil, err
}

// whatHolds says why a definition is not gone, as far as the server tells.
func whatHolds(p *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(p.Object, "status", "conditions")
	for _, raw := range conditions {
		if c, _ := raw.(map[string]any); c["type"] == "Terminating" {
			return fmt.Sprintf(" (%v: %v)", c["reason"], c["message"])
		}
	}
	return ""
}

// between is the time between two looks at what is on its way.
const between = 200 * time.Millisecond

// poll looks until look says that it is over. What is waited for is of kinds
// that are going away themselves, which no watch survives.
func (u *uninstaller) poll(ctx context.Context, look func() (bool, error)) error {
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		over, err := look()
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
