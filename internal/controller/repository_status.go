package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/sources"
)

// RepositoryStatus reconciles Repositories: it tells whether the credentials
// can be read, answers refreshes, and wakes the Apps that a change concerns.
type RepositoryStatus struct {
	Client       client.Client
	Repositories *access.Repositories
	Secrets      *access.Secrets // that Repositories name
	Sources      *sources.Sources
	Waker        *Waker
	Again        func(types.NamespacedName) // has a Repository reconciled again
	Now          func() time.Time
	Log          *slog.Logger

	mu        sync.Mutex
	refreshes map[types.NamespacedName]*refresh
	settings  map[types.NamespacedName]string // of the last run, to see changes
}

// Reconcile looks at one Repository.
func (r *RepositoryStatus) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var repo v1alpha1.Repository
	if err := r.Client.Get(ctx, req.NamespacedName, &repo); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.changed(ctx, req.NamespacedName, "")
			r.Secrets.Leave(req.String())
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	ready := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready", Message: "no credentials: anonymous access",
		ObservedGeneration: repo.Generation, LastTransitionTime: metav1.NewTime(r.Now()).Rfc3339Copy(),
	}
	settings := fmt.Sprintf("%d", repo.Generation)
	var used []types.NamespacedName
	if repo.Spec.SecretRef != nil {
		used = append(used, types.NamespacedName{Namespace: repo.Namespace, Name: repo.Spec.SecretRef.Name})
		c, err := r.Repositories.Credentials(ctx, req.String(), &repo)
		settings += " " + c.ID
		ready.Message = "the credentials in Secret " + repo.Spec.SecretRef.Name + " can be read"
		if err != nil {
			ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "CredentialsUnavailable", err.Error()
		}
	}
	if len(repo.Spec.AllowedNamespaces) > 0 && repo.Namespace != r.Repositories.Namespace {
		ready.Status, ready.Reason = metav1.ConditionFalse, "NotAllowed"
		ready.Message = fmt.Sprintf("allowedNamespaces has no effect here: only a Repository in namespace %s may allow other namespaces", r.Repositories.Namespace)
	}
	r.Secrets.Leave(req.String(), used...)
	r.changed(ctx, req.NamespacedName, settings)
	if err := r.refresh(ctx, req.NamespacedName, &repo); err != nil {
		return reconcile.Result{}, err
	}
	base := repo.DeepCopy()
	repo.Status.ObservedGeneration = repo.Generation
	meta.SetStatusCondition(&repo.Status.Conditions, ready)
	repo.Status.Refresh = r.refreshStatus(req.NamespacedName, repo.Status.Refresh)
	if equality.Semantic.DeepEqual(base.Status, repo.Status) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(r.Client.Status().Patch(ctx, &repo, client.MergeFrom(base)))
}

// changed wakes every App when the settings of a Repository are not what they
// were: which ones it concerns, each finds out for itself.
func (r *RepositoryStatus) changed(ctx context.Context, name types.NamespacedName, settings string) {
	r.mu.Lock()
	if r.settings == nil {
		r.settings = map[types.NamespacedName]string{}
	}
	before, known := r.settings[name]
	r.settings[name] = settings
	if settings == "" {
		delete(r.settings, name)
		delete(r.refreshes, name)
	}
	r.mu.Unlock()
	if known && before == settings {
		return
	}
	apps, err := r.apps(ctx, func(*v1alpha1.App) bool { return true })
	if err != nil {
		r.Log.Warn("the Apps that use a Repository could not be listed", "repository", name.String(), "error", err)
	}
	for i := range apps {
		r.Waker.Wake(object.App{Namespace: apps[i].Namespace, Name: apps[i].Name})
	}
}

func (r *RepositoryStatus) apps(ctx context.Context, which func(*v1alpha1.App) bool) ([]v1alpha1.App, error) {
	var l v1alpha1.AppList
	if err := r.Client.List(ctx, &l); err != nil {
		return nil, err
	}
	var out []v1alpha1.App
	for i := range l.Items {
		if which(&l.Items[i]) {
			out = append(out, l.Items[i])
		}
	}
	return out, nil
}

// urlsOf are the repositories that an App is made of.
func urlsOf(app *v1alpha1.App) []string {
	var out []string
	if app.Spec.Source.Repo != "" {
		out = append(out, app.Spec.Source.Repo)
	}
	if c := app.Spec.Source.Chart; c != nil {
		out = append(out, c.Repo)
	}
	for i := range app.Spec.Sources {
		out = append(out, app.Spec.Sources[i].Repo)
	}
	return out
}

// refresh looks at Git at once for every App that the Repository covers, as a
// webhook would.
func (r *RepositoryStatus) refresh(ctx context.Context, name types.NamespacedName, repo *v1alpha1.Repository) error {
	value := repo.Annotations[v1alpha1.AnnotationRefresh]
	if value == "" || value == repo.Status.Refresh.Observed {
		return nil
	}
	r.mu.Lock()
	if old := r.refreshes[name]; old != nil && old.requested == value {
		r.mu.Unlock()
		return nil
	}
	if r.refreshes == nil {
		r.refreshes = map[types.NamespacedName]*refresh{}
	}
	r.mu.Unlock()
	apps, err := r.apps(ctx, func(*v1alpha1.App) bool { return true })
	if err != nil {
		return err
	}
	now := &refresh{requested: value}
	r.mu.Lock()
	r.refreshes[name] = now
	r.mu.Unlock()
	urls := map[string]bool{}
	var looks []<-chan struct{}
	for i := range apps {
		for _, url := range urlsOf(&apps[i]) {
			if !urls[url] && access.Covers(repo.Spec.URL, url) {
				urls[url] = true
				looks = append(looks, r.Sources.RefreshURL(url))
			}
		}
	}
	go func() {
		for _, look := range looks {
			<-look
		}
		r.mu.Lock()
		now.done = true
		r.mu.Unlock()
		r.Again(name)
	}()
	return nil
}

func (r *RepositoryStatus) refreshStatus(name types.NamespacedName, s v1alpha1.RefreshStatus) v1alpha1.RefreshStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.refreshes[name]; now != nil {
		s.Requested = now.requested
		if now.done {
			s.Observed = now.requested
		}
	}
	return s
}
