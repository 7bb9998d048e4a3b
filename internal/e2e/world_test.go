package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/engine"
	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/sandboxtest"
)

// patience is how long something may take that takes milliseconds on a machine
// with nothing else to do.
const patience = 90 * time.Second

// controllerUser is who the controller is in the audit log.
const controllerUser = "abide-controller"

// world is a cluster with abide's kinds, a Git repository that is served, and a
// controller, for one test.
type world struct {
	t       *testing.T
	sandbox *sandboxtest.Sandbox
	private bool // the sandbox is this test's own, and ends with it
	client  client.Client
	own     string // abide's own namespace
	repo    *gittest.Repo
	url     string
	// git, if set, sees every request to the Git server first.
	git        func(next http.Handler) http.Handler
	kubeconfig string
	cache, log string
	flags      []string
	abide      *process
}

var worlds atomic.Int64

// newWorld makes a world without a controller.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, sandboxtest.Shared(t))
}

// newWorldIn makes a world in a sandbox that need not be the shared one.
func newWorldIn(t *testing.T, sb *sandboxtest.Sandbox) *world {
	t.Helper()
	scheme, err := engine.Scheme()
	must(t, err)
	c, err := client.New(sb.Config(), client.Options{Scheme: scheme})
	must(t, err)
	dir := t.TempDir()
	w := &world{
		t: t, sandbox: sb, client: c,
		own:        "abide-" + strconv.FormatInt(worlds.Add(1), 10),
		repo:       gittest.New(t),
		kubeconfig: sb.UserKubeconfig(t, controllerUser, "system:masters"),
		cache:      filepath.Join(dir, "cache"),
		log:        filepath.Join(dir, "abide.log"),
		flags:      []string{"--allow-addresses", "127.0.0.1"}, // where the servers of the tests are
	}
	logOnFailure(t, w.log)
	installKinds(t, sb.Config())
	must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.own}}))
	t.Cleanup(w.clear)
	w.serve()
	return w
}

// installKinds puts abide's kinds into the cluster and waits until they are
// served.
func installKinds(t *testing.T, cfg *rest.Config) {
	t.Helper()
	kube, err := cluster.New(cfg)
	must(t, err)
	c, err := kube.AsController()
	must(t, err)
	crds, err := install.CRDs()
	must(t, err)
	must(t, kube.Kinds.Refresh(t.Context(), time.Time{}))
	for _, u := range crds {
		_, err := c.Apply(t.Context(), cluster.CustomResourceDefinitions, u, cluster.Checking)
		must(t, err)
	}
	eventually(t, "abide's kinds are served", func() error {
		if err := kube.Kinds.Refresh(t.Context(), time.Now()); err != nil {
			return err
		}
		for _, kind := range v1alpha1.Kinds() {
			if _, ok := kube.Kinds.Lookup(v1alpha1.GroupVersion.WithKind(kind)); !ok {
				return fmt.Errorf("%s is not served", kind)
			}
		}
		return nil
	})
}

// serve serves the repository over smart HTTP.
func (w *world) serve() {
	s, err := gitserver.New(gitserver.Options{Root: w.repo.Root, AllowPush: true})
	must(w.t, err)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var h http.Handler = s
		if w.git != nil {
			h = w.git(h)
		}
		h.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	w.url = server.URL + "/" + w.repo.Name
}

// run starts the controller.
func (w *world) run() {
	w.t.Helper()
	w.abide = start(w.t, w.log, append([]string{
		"controller", "--kubeconfig", w.kubeconfig, "--cache-dir", w.cache, "--namespace", w.own,
	}, w.flags...)...)
}

// clear stops the controller and removes every App, whatever it owns.
func (w *world) clear() {
	if w.abide != nil {
		w.abide.kill()
	}
	if w.private {
		return
	}
	ctx := context.WithoutCancel(w.t.Context())
	var apps v1alpha1.AppList
	if err := w.client.List(ctx, &apps); err != nil {
		w.t.Error(err)
	}
	for i := range apps.Items {
		app := &apps.Items[i]
		base := app.DeepCopy()
		app.Finalizers = nil
		w.client.Patch(ctx, app, client.MergeFrom(base))
		w.client.Delete(ctx, app)
	}
	for _, list := range []client.Object{&v1alpha1.Inventory{}, &v1alpha1.Release{}, &v1alpha1.Pin{}, &v1alpha1.GitRef{}, &v1alpha1.Repository{}, &v1alpha1.Approval{}, &v1alpha1.Pause{}, &v1alpha1.HealthRule{}} {
		w.client.DeleteAllOf(ctx, list, client.InNamespace(w.own))
	}
}

// app makes an App in abide's own namespace.
func (w *world) app(name, path, namespace string, change ...func(*v1alpha1.App)) *v1alpha1.App {
	w.t.Helper()
	app := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: name},
		Spec: v1alpha1.AppSpec{
			Source: v1alpha1.Source{Repo: w.url, Path: path},
			Target: v1alpha1.Target{Namespace: namespace},
		},
	}
	for _, f := range change {
		f(app)
	}
	must(w.t, w.client.Create(w.t.Context(), app))
	return app
}

// refresh has an App look at Git now.
func (w *world) refresh(app *v1alpha1.App) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.AnnotationRefresh, refreshes.Add(1))
	must(w.t, w.client.Patch(w.t.Context(), app, client.RawPatch("application/merge-patch+json", []byte(patch))))
}

var refreshes atomic.Int64

// get reads an App.
func (w *world) get(app *v1alpha1.App) *v1alpha1.App {
	w.t.Helper()
	var now v1alpha1.App
	must(w.t, w.client.Get(w.t.Context(), client.ObjectKeyFromObject(app), &now))
	return &now
}

// ready waits until an App is ready at a commit that is, or stands for, this one.
func (w *world) ready(app *v1alpha1.App, commit string) *v1alpha1.App {
	w.t.Helper()
	var now *v1alpha1.App
	eventually(w.t, "App "+app.Name+" is ready at "+commit, func() error {
		now = w.get(app)
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case c == nil:
			return errors.New("it has no status yet")
		case c.Status != metav1.ConditionTrue || c.ObservedGeneration != now.Generation:
			return fmt.Errorf("%s: %s", c.Reason, c.Message)
		case commit != "" && now.Status.Source.Commit != commit:
			return fmt.Errorf("it is ready at %s", now.Status.Source.Commit)
		}
		return nil
	})
	return now
}

// reason waits until the Ready condition of an App has a reason, and returns
// its message.
func (w *world) reason(app *v1alpha1.App, reason string) (message string) {
	w.t.Helper()
	eventually(w.t, "App "+app.Name+" says "+reason, func() error {
		c := meta.FindStatusCondition(w.get(app).Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason {
			return fmt.Errorf("it says %+v", c)
		}
		message = c.Message
		return nil
	})
	return message
}

// eventually waits for a condition that is about to become true.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-deadline:
			t.Fatalf("%s, or so it should be after %s: %v", what, patience, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configMap is the manifest of a ConfigMap with one value.
func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  value: %q\n", name, value)
}
