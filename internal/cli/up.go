package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/engine"
	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/sample"
)

type upOptions struct {
	repo, path, branch  string
	name, target        string
	data                string
	kubeconfig, context string
	once                bool
	timeout             time.Duration
}

func newUp(s Streams) *cobra.Command {
	o := upOptions{}
	c := &cobra.Command{
		Use:   "up",
		Short: "Try it: a throw-away Kubernetes, the controller and an App, in one command",
		Long: "Start a throw-away Kubernetes on this machine (or use the cluster of --kubeconfig or\n" +
			"--context), run the controller, create an App for --repo, and show what happens until\n" +
			"it is told to stop (^C).\n\n" +
			"Without --repo it serves a small sample repository that can be cloned and pushed to.",
		Example: "  abide up\n" +
			"  abide up --repo . --path deploy/staging\n" +
			"  abide up --repo https://example.com/team/config.git --path web --target-namespace web\n" +
			"  abide up --repo . --once        # in CI: 0 once everything is in sync and healthy",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runUp(c.Context(), s, o) },
	}
	f := c.Flags()
	f.StringVar(&o.repo, "repo", "", "Git `URL-or-DIR` to run; without it, a sample repository is served")
	f.StringVar(&o.path, "path", ".", "`folder` in the repository")
	f.StringVar(&o.branch, "branch", "", "branch to follow; without it, the repository's default branch")
	f.StringVar(&o.name, "name", "", "name of the App; without it, that of the repository")
	f.StringVar(&o.target, "target-namespace", "default", "namespace for objects that name none")
	f.StringVar(&o.data, "data", "", "`directory` to keep the sandbox and the sample in, and to go on from next time; without it, a temporary one")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "use the cluster of this kubeconfig `file` instead of a sandbox")
	f.StringVar(&o.context, "context", "", "use the cluster of this kubeconfig context instead of a sandbox")
	f.BoolVar(&o.once, "once", false, "end when everything is in sync and healthy, or with exit code 1 when something fails")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "with --once, how long that may take")
	return c
}

// up is one run of the command.
type up struct {
	upOptions
	out    *changeLog
	dir    string // of everything that is kept
	cfg    *rest.Config
	client client.WithWatch
	engine *engine.Engine
	apps   []v1alpha1.App
}

func runUp(ctx context.Context, s Streams, o upOptions) error {
	u := &up{upOptions: o, out: newChangeLog(s.Out)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	if o.repo != "" { // say at once what is wrong with it
		if _, err := u.app(); err != nil {
			return err
		}
	}
	removeDir, err := u.makeDir()
	if err != nil {
		return err
	}
	defer removeDir()
	stopCluster, err := u.startCluster(ctx, s, cancel)
	if err != nil {
		return err
	}
	defer stopCluster()
	stopRepo, err := u.serveRepository(ctx)
	if err != nil {
		return err
	}
	defer stopRepo()
	logFile, err := u.makeEngine(ctx)
	if err != nil {
		return err
	}
	defer logFile.Close()
	defer u.engine.Close()

	running := make(chan error, 1)
	engineCtx, stopEngine := context.WithCancel(ctx)
	go func() { running <- u.engine.Run(engineCtx) }()
	err = u.follow(ctx, running)
	stopEngine()
	if err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// makeDir prepares the directory of the sandbox, the sample and the log.
func (u *up) makeDir() (remove func(), err error) {
	if u.data != "" {
		if u.dir, err = filepath.Abs(u.data); err != nil {
			return nil, err
		}
		return func() {}, os.MkdirAll(u.dir, 0o700)
	}
	u.dir, err = os.MkdirTemp("", "abide-up-")
	return func() { os.RemoveAll(u.dir) }, err
}

// startCluster gets a cluster and puts abide's kinds into it.
func (u *up) startCluster(ctx context.Context, s Streams, cancel context.CancelCauseFunc) (stop func(), err error) {
	stop = func() {}
	kubeconfig := u.kubeconfig
	if u.kubeconfig == "" && u.context == "" {
		u.out.say("", "starting a throw-away Kubernetes")
		sandbox, err := startSandbox(ctx, s, filepath.Join(u.dir, "sandbox"), cancel)
		if err != nil {
			return nil, err
		}
		kubeconfig, stop = sandbox.kubeconfig, sandbox.stop
	}
	u.cfg, err = controllerConfig(controllerOptions{kubeconfig: kubeconfig, context: u.context})
	if err != nil {
		return stop, err
	}
	u.cfg.UserAgent = "abide"
	if u.kubeconfig == "" && u.context == "" {
		u.out.say("", "Kubernetes is ready; look around with: export KUBECONFIG=%s", kubeconfig)
	} else {
		u.out.say("", "installing abide's kinds in %s", u.cfg.Host)
	}
	objs, err := install.Objects(install.Options{NoWorkload: true})
	if err != nil {
		return stop, err
	}
	if err := applyManifests(ctx, u.cfg, objs); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// serveRepository decides what the Apps are, and serves the sample if that is
// what they are made of.
func (u *up) serveRepository(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	if u.repo != "" {
		app, err := u.app()
		u.apps = []v1alpha1.App{app}
		return stop, err
	}
	root := filepath.Join(u.dir, "repositories")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := sample.Create(ctx, filepath.Join(root, "sample.git")); err != nil {
		return nil, err
	}
	var url string
	server, err := gitserver.New(gitserver.Options{
		Root: root, AllowPush: true, OnPush: func(string) { u.engine.Refresh(url) },
	})
	if err != nil {
		return nil, err
	}
	running, err := listenAgain(server, filepath.Join(u.dir, "sample-address"))
	if err != nil {
		return nil, err
	}
	url = running.URL + "/sample.git"
	u.out.say("", "the sample repository is served: git clone %s", url)
	for _, f := range sample.Folders {
		u.apps = append(u.apps, newApp(f.App, url, f.Path, f.Namespace, ""))
	}
	return running.Close, nil
}

// listenAgain serves at the address that the file holds, so that clones made in
// an earlier run keep working, or at a free one if that is taken.
func listenAgain(server *gitserver.Server, file string) (*gitserver.Running, error) {
	if last, err := os.ReadFile(file); err == nil {
		if running, err := server.Listen(string(last), nil); err == nil {
			return running, nil
		}
	}
	running, err := server.Listen("127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	return running, os.WriteFile(file, []byte(strings.TrimPrefix(running.URL, "http://")), 0o600)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// app makes the App of --repo.
func (u *up) app() (v1alpha1.App, error) {
	repo := u.repo
	if !strings.Contains(repo, ":") {
		abs, err := filepath.Abs(repo)
		if err != nil {
			return v1alpha1.App{}, err
		}
		if _, err := os.Stat(abs); err != nil {
			return v1alpha1.App{}, fmt.Errorf("--repo %s: there is no such folder: %w", u.repo, err)
		}
		repo = abs
	}
	name := u.name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(strings.TrimRight(repo, "/")), ".git")
		name = strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
		name = strings.TrimRight(name[:min(len(name), 63)], "-")
	}
	if name == "" {
		name = "app"
	}
	return newApp(name, repo, u.path, u.target, u.branch), nil
}

func newApp(name, repo, path, namespace, branch string) v1alpha1.App {
	app := v1alpha1.App{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "App"},
		ObjectMeta: metav1.ObjectMeta{Namespace: install.DefaultNamespace, Name: name},
		Spec: v1alpha1.AppSpec{
			Source: v1alpha1.Source{Repo: repo, Path: path},
			Target: v1alpha1.Target{Namespace: namespace},
		},
	}
	if branch != "" {
		app.Spec.Source.Ref = &v1alpha1.Ref{Branch: branch}
	}
	return app
}

// makeEngine wires the controller; its log goes to a file.
func (u *up) makeEngine(ctx context.Context) (io.Closer, error) {
	path := filepath.Join(u.dir, "abide.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	scheme, err := engine.Scheme()
	if err != nil {
		return f, err
	}
	if u.client, err = client.NewWithWatch(u.cfg, client.Options{Scheme: scheme}); err != nil {
		return f, err
	}
	u.engine, err = engine.New(ctx, engine.Options{
		Config: u.cfg, CacheDir: filepath.Join(u.dir, "cache"), Namespace: install.DefaultNamespace,
		AllowLocal: true, AllowAddresses: thisMachine, Log: slog.New(slog.NewTextHandler(f, nil)),
		Outcome: func(app object.App, out *pipeline.Outcome, _ time.Duration) { u.out.outcome(app, out) },
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// follow creates the Apps and shows what becomes of them.
func (u *up) follow(ctx context.Context, running <-chan error) error {
	for i := range u.apps {
		if err := u.create(ctx, &u.apps[i]); err != nil {
			return err
		}
	}
	if u.once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, u.timeout, &exitError{exitTimeout, fmt.Errorf("not in sync and healthy after %s", u.timeout)})
		defer cancel()
	}
	seen := map[string]*v1alpha1.App{}
	for {
		w, err := u.client.Watch(ctx, &v1alpha1.AppList{}, client.InNamespace(install.DefaultNamespace))
		if err != nil {
			return ended(ctx, err)
		}
		done, err := u.show(ctx, w.ResultChan(), running, seen)
		w.Stop()
		if done || err != nil {
			return err
		}
	}
}

// ended tells a failure from being told to stop.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if exit := (*exitError)(nil); errors.As(context.Cause(ctx), &exit) {
		return exit
	}
	return nil
}

func (u *up) create(ctx context.Context, app *v1alpha1.App) error {
	if err := u.pollOften(ctx, app); err != nil {
		return err
	}
	err := u.client.Create(ctx, app.DeepCopy())
	if apierrors.IsAlreadyExists(err) {
		var live v1alpha1.App
		if err = u.client.Get(ctx, client.ObjectKeyFromObject(app), &live); err == nil {
			live.Spec.Source, live.Spec.Target = app.Spec.Source, app.Spec.Target
			err = u.client.Update(ctx, &live)
		}
	}
	if err != nil {
		return ended(ctx, fmt.Errorf("creating App %s: %w", app.Name, err))
	}
	return nil
}

// pollOften makes commits to a folder on this machine arrive within seconds:
// there is nothing that could tell of them.
func (u *up) pollOften(ctx context.Context, app *v1alpha1.App) error {
	if !filepath.IsAbs(app.Spec.Source.Repo) {
		return nil
	}
	repo := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name},
		Spec:       v1alpha1.RepositorySpec{URL: app.Spec.Source.Repo, Interval: "5s"},
	}
	err := u.client.Create(ctx, repo)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
