// Package engine is the composition root: it names every concrete type, wires
// them and runs them until it is told to stop.
//
// One engine works on a cluster at a time: with leader election by a lease in
// abide's own namespace, otherwise by a lock on the cache directory, which at
// least keeps two on one machine apart.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/audit"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/controller"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/observe"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/release"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/slots"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
	"abide.dev/abide/internal/store"
	"abide.dev/abide/internal/worker"
)

// The engine's own measure of how much to do at once.
const (
	concurrentApps   = 16 // and as many again, thrice, that something holds up
	heldUpApps       = 3 * concurrentApps
	heldUpAfter      = 5 * time.Second
	parallelRequests = 32
	shutdownGrace    = 10 * time.Second
	requestTimeout   = time.Minute // of one request for abide's own records
	// A leader that can't renew its lease goes on for leaseRetry and renewDeadline,
	// and then for as long as it tries to give the lease back, which again is up to
	// renewDeadline. Nobody may have taken it before.
	leaseDuration      = 20 * time.Second
	renewDeadline      = 8 * time.Second
	leaseRetry         = 2 * time.Second
	renderCacheObjects = 50_000
	renderCacheBytes   = 128 << 20
)

// Options are what the engine depends on from outside.
type Options struct {
	// Config reaches the API server.
	Config *rest.Config
	// CacheDir holds what can be fetched again. One engine at a time uses it.
	CacheDir string
	// Namespace is abide's own. It is created if it is missing.
	Namespace string
	// AllowLocal lets Apps name repositories on the local disk.
	AllowLocal bool
	// AllowAddresses are addresses that may be fetched from although only this
	// machine may reach them, or its own network segment.
	AllowAddresses []netip.Prefix
	// RemoteHosts are the hosts from which any kustomization may take bases, files
	// and charts; lower case, without a port.
	RemoteHosts []string
	// AuditLog is the file that every change is written to, "-" for Stdout; none if
	// empty.
	AuditLog string
	// Stdout is where an AuditLog of "-" goes.
	Stdout io.Writer
	// MetricsAddress, HealthAddress and PprofAddress are where to listen; empty
	// for not at all.
	MetricsAddress, HealthAddress, PprofAddress string
	// LeaderElect makes several replicas agree on one that works.
	LeaderElect bool
	// Outcome is told of each run of an App; it may be nil.
	Outcome func(app object.App, out *pipeline.Outcome, took time.Duration)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Scheme knows the kinds that abide reads and writes as Go types.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s))
}

// Engine is abide, wired and ready to run.
type Engine struct {
	mgr     manager.Manager
	sources *sources.Sources
	kube    *cluster.Cluster
	own     string // abide's own namespace
	closes  []func()
}

// New wires an engine. It takes the cache directory until Close; it sends no
// request that changes anything before Run.
func New(ctx context.Context, o Options) (*Engine, error) {
	e := &Engine{}
	if err := e.open(ctx, o); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	unlock, err := lockDir(o.CacheDir)
	if err != nil {
		return err
	}
	e.closes = append(e.closes, unlock)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding abide's own program: %w", err)
	}
	gits, err := git.New(git.Options{
		Dir: filepath.Join(o.CacheDir, "git"), SelfExe: self, AllowLocal: o.AllowLocal, AllowAddresses: o.AllowAddresses, Logger: o.Log,
	})
	if err != nil {
		return err
	}
	e.closes = append(e.closes, func() { gits.Close() })
	charts, err := chart.New(chart.Options{Dir: filepath.Join(o.CacheDir, "charts"), AllowAddresses: o.AllowAddresses})
	if err != nil {
		return err
	}
	e.closes = append(e.closes, func() { charts.Close() })
	if e.kube, err = cluster.New(o.Config); err != nil {
		return err
	}
	e.kube.Kinds.Now = o.Now
	if err := installed(ctx, e.kube, o.Config.Host); err != nil {
		return err
	}
	if e.mgr, err = newManager(o); err != nil {
		return err
	}
	renders, err := worker.New(worker.Options{Spare: true, Log: o.Log})
	if err != nil {
		return err
	}
	e.closes = append(e.closes, renders.Close)
	e.own = o.Namespace
	e.sources, err = wire(ctx, o, e.mgr, stores{gits, charts, renders, func(f func()) { e.closes = append(e.closes, f) }}, e.kube)
	return err
}

// installed tells whether the API server answers and has abide's kinds.
func installed(ctx context.Context, kube *cluster.Cluster, host string) error {
	if err := kube.Kinds.Refresh(ctx, time.Time{}); err != nil {
		return fmt.Errorf("the API server %s: %w", host, err)
	}
	for _, kind := range v1alpha1.Kinds() {
		if _, ok := kube.Kinds.Lookup(v1alpha1.GroupVersion.WithKind(kind)); !ok {
			return fmt.Errorf("the API server %s has no kind %s: install abide's kinds with: abide install --crds | kubectl apply --server-side -f -", host, kind)
		}
	}
	return nil
}

// Run runs abide until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	if err := ensureNamespace(ctx, e.kube, e.own); err != nil {
		return fmt.Errorf("abide's own namespace %s: %w", e.own, err)
	}
	return e.mgr.Start(ctx)
}

// Refresh looks at a repository at once, as a webhook would have it do.
func (e *Engine) Refresh(url string) { e.sources.RefreshURL(url) }

// Close gives back what New took. The engine must not run any more.
func (e *Engine) Close() {
	for i := len(e.closes) - 1; i >= 0; i-- {
		e.closes[i]()
	}
	e.closes = nil
}

func newManager(o Options) (manager.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	ctrl.SetLogger(logr.FromSlogHandler(o.Log.Handler()))
	cfg := rest.CopyConfig(o.Config)
	cfg.QPS = -1
	off := func(address string) string {
		if address == "" {
			return "0"
		}
		return address
	}
	grace, lease, renew, retry := shutdownGrace, leaseDuration, renewDeadline, leaseRetry
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme,
		Logger: logr.FromSlogHandler(o.Log.Handler()),
		Cache:  cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client: client.Options{Cache: &client.CacheOptions{
			DisableFor: []client.Object{&v1alpha1.Inventory{}, &v1alpha1.GitRef{}, &v1alpha1.Release{}, &corev1.Secret{}},
		}},
		NewClient:                     bounded(requestTimeout),
		Metrics:                       metricsserver.Options{BindAddress: off(o.MetricsAddress)},
		HealthProbeBindAddress:        off(o.HealthAddress),
		PprofBindAddress:              o.PprofAddress,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              "abide-controller",
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
		GracefulShutdownTimeout:       &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}

// bounded makes clients whose requests end: one that is accepted and never
// answered, or told to come back in an hour, must not hold up its App for ever.
func bounded(timeout time.Duration) client.NewClientFunc {
	return func(cfg *rest.Config, o client.Options) (client.Client, error) {
		cfg = rest.CopyConfig(cfg)
		cfg.Timeout = timeout
		o.HTTPClient = nil // the manager's own has no limit, since it watches
		return client.New(cfg, o)
	}
}

// stores are what the engine has to give back in the end.
type stores struct {
	gits    *git.Store
	charts  *chart.Store
	renders *worker.Pool
	// atEnd has something done when all runs are over.
	atEnd func(func())
}

// wire makes every part and tells it of the others.
func wire(ctx context.Context, o Options, mgr manager.Manager, at stores, kube *cluster.Cluster) (*sources.Sources, error) {
	clientset, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	var (
		waker       = &controller.Waker{}
		repoWaker   = &controller.Waker{}
		judged      = claims.New(waker.Wake)
		tracker     = observe.New(kube.Dynamic(), waker.Wake, o.Log)
		inventories = store.New(mgr.GetClient())
		releases    = release.New(mgr.GetClient(), o.Namespace, o.Now)
		refs        = controller.NewRefs(mgr.GetClient(), o.Namespace, o.Now, o.Log)
		index       = render.NewIndex[object.App]()
		apps        = &controller.Apps{Waker: waker}
		moves       = controller.NewMoves(apps, index, o.Log)
	)
	followed, err := follow(at, o, judged, moves, waker)
	if err != nil {
		return nil, err
	}
	all := followed.all
	repositories := &access.Repositories{Client: mgr.GetClient(), Namespace: o.Namespace, RemoteHosts: o.RemoteHosts}
	remotes := &controller.Remotes{Repositories: repositories, Sources: all}
	secrets := access.NewSecrets(access.Always(clientset), func(types.NamespacedName) {
		wakeAll(ctx, mgr.GetClient(), repoWaker, o.Log)
	})
	repositories.Secrets = secrets
	values := newValues(kube, o.Namespace, waker)
	pipe := &pipeline.Pipeline{
		Source:      all,
		Remotes:     remotes,
		Renders:     render.NewCache(render.CacheLimits{Objects: renderCacheObjects, Bytes: renderCacheBytes}, at.renders.Render),
		Cluster:     kube,
		Tracker:     tracker,
		Index:       index,
		Executor:    apply.New(parallelRequests),
		Inventories: inventories,
		Releases:    releases,
		Claims:      judged,
		Namespace:   o.Namespace,
		Now:         o.Now,
		Log:         o.Log,
	}
	waker.Woken = func(app object.App) { pipe.Interrupt(app, false) }
	apps.Client, apps.Pipeline, apps.Sources, apps.Claims = mgr.GetClient(), pipe, all, judged
	apps.Repositories, apps.Values, apps.Refs, apps.Remotes = repositories, values, refs, remotes
	apps.Health = &controller.Health{Client: mgr.GetClient(), Tracker: tracker, Namespace: o.Namespace, Now: o.Now, Log: o.Log}
	apps.Depends = controller.NewDepends(waker.Wake)
	recorder := newPacedEvents(mgr.GetEventRecorder("abide"), mgr.GetScheme(), o.Log)
	apps.Turns = slots.New(concurrentApps, heldUpAfter)
	apps.Events, apps.Now, apps.Log, apps.Observed = recorder, o.Now, o.Log, o.Outcome
	if o.AuditLog != "" {
		log := audit.New(audit.Options{
			Path: o.AuditLog, Stdout: o.Stdout, Heads: &audit.ConfigMap{Client: clientset, Namespace: o.Namespace},
			Now: o.Now, Writer: audit.Writer(), Log: o.Log, HeadEvery: headEvery,
		})
		apps.Audit = (&audit.Recorder{Log: log}).Record
		if err := mgr.Add(beyondRuns(log.Run, at.atEnd)); err != nil {
			return nil, err
		}
	}
	apps.Prepare = func(ctx context.Context) error {
		return errors.Join(
			kube.Kinds.Refresh(ctx, time.Time{}), inventories.Load(ctx), releases.Load(ctx), refs.Load(ctx), apps.Health.Load(ctx))
	}
	repos := &controller.RepositoryStatus{
		Client: mgr.GetClient(), Repositories: repositories, Secrets: secrets, Sources: all, Waker: waker,
		Again: repoWaker.WakeName, Now: o.Now, Log: o.Log,
	}
	for _, run := range []manager.RunnableFunc{tracker.Run, secrets.Start, values.ConfigMaps.Start, values.Secrets.Start, refs.Start, moves.Start, recorder.Start, sweep(mgr.GetClient(), releases, o.Log), untilDone(followed.hub.Run), untilDone(followed.charts.Run), untilDone(followed.files.Run)} {
		if err := mgr.Add(run); err != nil {
			return nil, err
		}
	}
	return all, controller.Setup(ctx, mgr, apps, repos, repoWaker, concurrentApps+heldUpApps)
}

// newValues returns the ConfigMaps and Secrets that Apps take values from, read
// as the identity that each App acts as.
func newValues(kube *cluster.Cluster, own string, waker *controller.Waker) *access.Values {
	clients := func(namespace string) (kubernetes.Interface, error) {
		if namespace == own {
			namespace = ""
		}
		return kube.Clientset(namespace)
	}
	var mu sync.Mutex
	seen := map[string]time.Time{}
	v := &access.Values{Identity: func(ctx context.Context, namespace string) error {
		mu.Lock()
		at := seen[namespace]
		mu.Unlock()
		if namespace == own || time.Since(at) < identityFresh {
			return nil
		}
		if err := pipeline.Identity(ctx, kube, namespace); err != nil {
			return err
		}
		mu.Lock()
		seen[namespace] = time.Now()
		mu.Unlock()
		return nil
	}}
	wake := func(users []string) {
		for _, u := range users {
			if app, ok := object.ParseApp(u); ok {
				waker.Wake(app)
			}
		}
	}
	v.ConfigMaps = access.NewConfigMaps(clients, func(n types.NamespacedName) { wake(v.ConfigMaps.Users(n)) })
	v.Secrets = access.NewSecrets(clients, func(n types.NamespacedName) { wake(v.Secrets.Users(n)) })
	return v
}

// identityFresh is how long an identity that was seen is taken to exist.
const identityFresh = time.Minute

// headEvery is how long lines of the audit log may be newer than their head in the
// cluster: a storm of changes costs one write in that time.
const headEvery = 2 * time.Second

// sweepEvery is how often releases of Apps that are gone are looked for.
const sweepEvery = time.Hour

// sweep removes releases of Apps that have been gone for long.
func sweep(c client.Client, releases *release.Store, log *slog.Logger) manager.RunnableFunc {
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(sweepEvery):
			}
			var apps v1alpha1.AppList
			err := c.List(ctx, &apps)
			if err == nil {
				there := make(map[object.App]bool, len(apps.Items))
				for i := range apps.Items {
					there[object.App{Namespace: apps.Items[i].Namespace, Name: apps.Items[i].Name}] = true
				}
				err = releases.Sweep(ctx, func(app object.App) bool { return there[app] })
			}
			if err != nil && ctx.Err() == nil {
				log.Warn("releases of Apps that are gone could not be removed; it is tried again", "in", sweepEvery, "error", err)
			}
		}
	}
}

// beyondRuns runs something for as long as runs of Apps may have something for it:
// not only until they are told to end, but until they have.
func beyondRuns(run func(context.Context) error, atEnd func(func())) manager.RunnableFunc {
	return func(ctx context.Context) error {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() { done <- run(own) }()
		atEnd(func() {
			stop()
			<-done
		})
		<-ctx.Done()
		return nil
	}
}

// untilDone makes of a function that returns its context's error one that
// returns nil when it was told to stop.
func untilDone(run func(context.Context) error) manager.RunnableFunc {
	return func(ctx context.Context) error {
		if err := run(ctx); ctx.Err() == nil {
			return err
		}
		return nil
	}
}

// wakeAll has every Repository looked at again: a Secret that one of them names
// has changed.
func wakeAll(ctx context.Context, c client.Client, w *controller.Waker, log *slog.Logger) {
	var l v1alpha1.RepositoryList
	if err := c.List(ctx, &l); err != nil {
		log.Warn("the Repositories could not be listed", "error", err)
		return
	}
	for i := range l.Items {
		w.WakeName(types.NamespacedName{Namespace: l.Items[i].Namespace, Name: l.Items[i].Name})
	}
}

// ensureNamespace creates abide's own namespace, where it keeps its records.
func ensureNamespace(ctx context.Context, kube *cluster.Cluster, name string) error {
	c, err := kube.AsController()
	if err != nil {
		return err
	}
	if _, err = c.Get(ctx, cluster.Namespaces, "", name); !apierrors.IsNotFound(err) {
		return err
	}
	return c.CreateNamespace(ctx, name)
}
