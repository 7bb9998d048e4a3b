package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/sandboxtest"
)

var installed sync.Once

// world is a namespace of a cluster that has abide's kinds and policies and no
// controller: tests write the statuses themselves.
type world struct {
	client.WithWatch
	*sandboxtest.Sandbox
	ns string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sb := sandboxtest.Shared(t)
	installed.Do(func() { prepareCluster(t, sb) })
	return &world{clientOf(t, sb), sb, sb.Namespace(t)}
}

func prepareCluster(t *testing.T, sb *sandboxtest.Sandbox) {
	t.Helper()
	objects, err := install.Objects(install.Options{NoWorkload: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := applyManifests(t.Context(), sb.Config(), objects); err != nil {
		t.Fatal(err)
	}
}

func clientOf(t *testing.T, sb *sandboxtest.Sandbox) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(sb.Config(), client.Options{Scheme: scheme(), Mapper: mapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// abide runs a command on the world's namespace.
func (w *world) abide(t *testing.T, args ...string) answer {
	t.Helper()
	return run(t, append(args, "--kubeconfig", w.Kubeconfig, "-n", w.ns)...)
}

// app creates an App with a status.
func (w *world) app(t *testing.T, name string, change ...func(*v1alpha1.App)) *v1alpha1.App {
	t.Helper()
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	app.Spec.Source.Repo = "https://example.com/" + w.ns + ".git"
	app.Spec.Target.Namespace = w.ns
	for _, f := range change {
		f(app)
	}
	status := app.Status
	if err := w.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	app.Status = status
	app.Status.ObservedGeneration = app.Generation
	w.write(t, app)
	return app
}

// write writes a status as the controller would.
func (w *world) write(t *testing.T, app *v1alpha1.App) {
	t.Helper()
	if err := w.Status().Update(t.Context(), app); err != nil {
		t.Fatal(err)
	}
}

func inSync(a *v1alpha1.App) {
	a.Status.State, a.Status.Health = v1alpha1.StateInSync, v1alpha1.HealthHealthy
	a.Status.Source.Revision, a.Status.Source.Commit = "main@aaaaaaaa", commitA
	set(a, metav1.ConditionTrue, "Ready", "all is well")
}

func set(a *v1alpha1.App, status metav1.ConditionStatus, reason, message string) {
	a.Status.Conditions = nil
	for _, c := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionHealthy} {
		a.Status.Conditions = append(a.Status.Conditions, metav1.Condition{
			Type: c, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(noon),
		})
	}
}

func waits(a *v1alpha1.App) {
	inSync(a)
	a.Status.State = v1alpha1.StateWaiting
	set(a, metav1.ConditionFalse, "DeletionBudget", "the plan waits")
	a.Status.Plan = &v1alpha1.PlanStatus{Digest: testDigest, Gate: "DeletionBudget", Message: "it would delete 9 objects", Delete: 9}
}

const testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestGet(t *testing.T) {
	w := newWorld(t)
	w.abide(t, "get", "apps").want(t, 0, "There are no apps in namespace "+w.ns)
	w.app(t, "web", inSync)
	w.app(t, "api")
	a := w.abide(t, "get", "apps")
	a.want(t, 0, "NAME", "STATUS", "COMMIT", "MESSAGE", "InSync", "main@aaaaaaaa", "all is well", "api")
	w.abide(t, "get", "app", "web", "-o", "yaml").want(t, 0, "apiVersion: abide.dev/v1alpha1\nkind: App\n", "name: web")
	w.abide(t, "get", "apps", "-o", "name").want(t, 0, "app.abide.dev/api\napp.abide.dev/web\n")
	w.abide(t, "get", "apps", "-o", "json").want(t, 0, `"kind": "List"`)
	w.abide(t, "get", "apps", "-A").want(t, 0, "NAMESPACE", w.ns)
	w.abide(t, "get", "app", "wbe").want(t, 1, "there is no App wbe in namespace "+w.ns, "there is web")
	ctx, stop := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer stop()
	time.AfterFunc(200*time.Millisecond, func() { w.app(t, "late", inSync) })
	var out, errs bytes.Buffer
	o := getOptions{kind: "apps", watch: true, now: time.Now, target: target{kubeconfig: w.Kubeconfig, namespace: w.ns}}
	err := runGet(ctx, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, o)
	if err != nil || strings.Count(out.String(), "NAME") != 1 || !strings.Contains(out.String(), "late") {
		t.Errorf("a watch says %v\n%s", err, out.String())
	}
	if err := w.Create(t.Context(), &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "team"}, Spec: v1alpha1.RepositorySpec{URL: "https://example.com/team"},
	}); err != nil {
		t.Fatal(err)
	}
	w.abide(t, "get", "repositories", "-o", "wide").want(t, 0, "https://example.com/team", "30s")
}

func TestStatusOfApps(t *testing.T) {
	w := newWorld(t)
	w.app(t, "worded", waits)
	w.abide(t, "status", "worded").want(t, 0, "waiting for an approval", testDigest, "abide approve worded -n "+w.ns)
	w.abide(t, "status", "worded", "-o", "json").want(t, 0, `"kind": "App"`)
	w.abide(t, "status", "wordet").want(t, 1, "there is worded")
	run(t, "status", "worded", "--kubeconfig", w.Kubeconfig, "-n", "default").want(t, 1, "add -n "+w.ns)
	run(t, "__complete", "status", "--kubeconfig", w.Kubeconfig, "-n", w.ns, "").want(t, 0, "worded\n")
}

// TestStrangeServers is about API servers that can't answer.
func TestStrangeServers(t *testing.T) {
	kubeconfig := func(server string) string {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: here\n"+
			"contexts: [{name: here, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"+
			"clusters: [{name: c, cluster: {server: %q}}]\n", server)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	without := httptest.NewServer(http.NotFoundHandler())
	defer without.Close()
	run(t, "status", "web", "--kubeconfig", kubeconfig(without.URL)).
		want(t, 1, "abide is not installed in the cluster of context here", "abide install | kubectl apply")
	run(t, "get", "apps", "--kubeconfig", kubeconfig(without.URL)).want(t, 1, "not installed")
	run(t, "uninstall", "--yes", "--kubeconfig", kubeconfig(without.URL)).want(t, 0, "not installed")

	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refusing.Close()
	run(t, "status", "web", "--kubeconfig", kubeconfig(refusing.URL)).want(t, 1, "does not accept these credentials")

	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	run(t, "status", "web", "--kubeconfig", kubeconfig(gone.URL)).want(t, 1, "does not answer", gone.URL, "here")
}

func TestApprove(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", waits)
	w.app(t, "api", inSync)
	w.abide(t, "approve", "api", "--yes").want(t, 1, "no plan of App api waits")
	w.abide(t, "approve", "web").want(t, 2, "nobody to ask", testDigest, "deletes 9 objects")
	w.abide(t, "approve", "web", "--plan", "ffffffffffffffff").want(t, 1, "the plan that waits is "+testDigest)
	w.abide(t, "approve", "web", "--plan", "0123").want(t, 2, "too short")
	run(t, "approve", "web", "-n", w.ns, "--yes", "--kubeconfig", w.UserKubeconfig(t, "eve")).want(t, 1, "eve")

	w.abide(t, "approve", "web", "--plan", testDigest, "--reason", "looked at it").want(t, 0, "is approved")
	var l v1alpha1.ApprovalList
	if err := w.List(t.Context(), &l, client.InNamespace(w.ns)); err != nil {
		t.Fatal(err)
	}
	if len(l.Items) != 1 {
		t.Fatalf("there are %d approvals", len(l.Items))
	}
	if got, want := l.Items[0].Spec, (v1alpha1.ApprovalSpec{App: "web", Plan: testDigest, By: "admin", Reason: "looked at it"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.abide(t, "approve", "web", "--yes").want(t, 0, "approved already")
}

func TestPauseAndResume(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync)
	w.abide(t, "resume", "web").want(t, 0, "is not paused")
	w.abide(t, "pause", "web", "--reason", "the sale is on").want(t, 0, "is paused")
	w.abide(t, "pause", "web").want(t, 0, "paused already, by admin", "the sale is on")
	w.abide(t, "status", "web").want(t, 0, "by admin", "the sale is on")
	w.abide(t, "get", "pauses").want(t, 0, "admin")
	w.abide(t, "resume", "web").want(t, 0, "goes on")
	w.abide(t, "pause", "wbe").want(t, 1, "there is web")
	w.abide(t, "resume", "wbe").want(t, 1, "there is web")
}

// controllerFor answers for an App as a controller would: act is called with
// each state of it and says what to write.
func (w *world) controllerFor(t *testing.T, name string, act func(*v1alpha1.App) bool) {
	t.Helper()
	done := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(done)
		_ = until(ctx, w.WithWatch, &v1alpha1.AppList{}, []client.ListOption{client.InNamespace(w.ns)}, func(have objects[*v1alpha1.App]) (bool, error) {
			app := have[client.ObjectKey{Namespace: w.ns, Name: name}]
			if app == nil {
				return false, nil
			}
			app = app.DeepCopy()
			if act(app) {
				if err := w.Status().Update(ctx, app); err != nil && !apierrors.IsConflict(err) {
					return false, err
				}
			}
			return false, nil
		})
	}()
	t.Cleanup(func() { <-done })
}

func TestSync(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync)
	w.abide(t, "sync", "web", "--timeout", "3s").want(t, 3, "abide has not looked at Git")
	w.abide(t, "sync", "web", "--no-wait").want(t, 0, "asked for a look")
	w.abide(t, "sync", "wbe").want(t, 1, "there is web")

	news := false
	w.controllerFor(t, "web", func(a *v1alpha1.App) bool {
		v := a.Annotations[v1alpha1.AnnotationRefresh]
		if v == a.Status.Refresh.Observed {
			return false
		}
		if news {
			a.Status.Source.Revision = "main@bbbbbbbb"
		}
		news = true
		a.Status.Refresh = v1alpha1.RefreshStatus{Requested: v, Observed: v}
		return true
	})
	// The controller answers the requests above first.
	w.abide(t, "sync", "web").want(t, 0, "InSync")
	w.abide(t, "sync", "web", "--wait").want(t, 0, "nothing new in Git, still main@bbbbbbbb")
	w.abide(t, "sync", "--all").want(t, 0, "web: ")
}

func TestWaitForApp(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "web", func(a *v1alpha1.App) {
		a.Status.State = v1alpha1.StateProgressing
		set(a, metav1.ConditionFalse, "Applying", "applying 3 objects")
	})
	w.abide(t, "wait", "web", "--timeout", "3s").want(t, 3, "not ready after 3s: Progressing: applying 3 objects")
	w.abide(t, "wait", "wbe").want(t, 1, "there is web")
	done := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { defer close(done); inSync(app); w.write(t, app) })
	a := w.abide(t, "wait", "web", "--for", "healthy")
	<-done // the command can see the App before the one who wrote it has the answer
	a.want(t, 0, "App web is healthy at main@aaaaaaaa")
}

func TestWaitForCommit(t *testing.T) {
	w := newWorld(t)
	url := "https://example.com/" + w.ns + ".git"
	app := w.app(t, "web", inSync)
	args := []string{"wait", "--commit", commitB[:9], "--repo", url}
	w.abide(t, append(args, "--timeout", "300ms")...).want(t, 3, "commit bbbbbbbb is not live")

	ref := &v1alpha1.GitRef{
		ObjectMeta: metav1.ObjectMeta{Namespace: install.DefaultNamespace, Name: "ref-" + w.ns},
		URL:        url, Follows: "default branch", Ref: "refs/heads/main", Judged: commitA, Recent: []string{commitA},
	}
	if err := w.Create(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	w.abide(t, "wait", "--commit", commitA, "--repo", url).want(t, 0, "commit aaaaaaaa is live: 1 App ready")
	// As the controller does it: first the App is at work, then the ref is
	// judged, then the App is ready.
	done := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() {
		app.Status.State = v1alpha1.StateProgressing
		set(app, metav1.ConditionFalse, "Applying", "applying")
		w.write(t, app)
		ref.Judged, ref.Recent = commitB, []string{commitB, commitA}
		if err := w.Update(t.Context(), ref); err != nil {
			t.Error(err)
		}
		time.AfterFunc(200*time.Millisecond, func() { defer close(done); inSync(app); w.write(t, app) })
	})
	a := w.abide(t, args...)
	<-done // the command can see the App before the one who wrote it has the answer
	a.want(t, 0, "commit bbbbbbbb is live", w.ns+"/web: Progressing: applying")

	app.Status.State = v1alpha1.StateFailed
	set(app, metav1.ConditionFalse, "ApplyFailed", "the server refuses it")
	w.write(t, app)
	w.abide(t, args...).want(t, 1, "has failed: the server refuses it")
	w.abide(t, append(args, "--keep-waiting", "--timeout", "300ms")...).want(t, 3, "is not live")
}
