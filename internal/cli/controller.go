package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"abide.dev/abide/internal/engine"
	"abide.dev/abide/internal/install"
)

type controllerOptions struct {
	kubeconfig, context string
	cacheDir            string
	namespace           string
	allowLocal          bool
	allowAddresses      []string
	remoteHosts         []string
	metrics, health     string
	pprof, auditLog     string
	leaderElect         bool
	logFormat, logLevel string
}

func newController(s Streams) *cobra.Command {
	var o controllerOptions
	c := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller: what abide install starts in a cluster",
		Long: "Run the controller until it is told to stop (SIGTERM).\n\n" +
			"It works on the cluster of --kubeconfig or, inside a pod, on its own. Every flag can\n" +
			"be given as an environment variable as well: --cache-dir is ABIDE_CACHE_DIR.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fromEnvironment(c.Flags(), os.LookupEnv); err != nil {
				return err
			}
			return runController(c.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster; without it, the cluster this runs in, or the usual kubeconfig")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig")
	f.StringVar(&o.cacheDir, "cache-dir", filepath.Join(os.TempDir(), "abide-cache"), "`directory` for what can be fetched again, such as mirrors of repositories")
	f.StringVar(&o.namespace, "namespace", install.DefaultNamespace, "abide's own namespace: its Apps act as the controller, all others as the ServiceAccount abide of theirs")
	f.BoolVar(&o.allowLocal, "allow-local-repositories", false, "let Apps name repositories on the controller's own disk (a path or file:// URL)")
	f.StringSliceVar(&o.allowAddresses, "allow-addresses", nil, "address `prefixes`, such as 127.0.0.0/8, that repositories, charts and files may be fetched from although only this machine or its own network segment can reach them")
	f.StringSliceVar(&o.remoteHosts, "allow-remote-bases", nil, "`hosts`, such as github.com, from which every kustomization may take bases, files and charts, without credentials; a Repository with remoteBases allows its own URL")
	f.StringVar(&o.metrics, "metrics-bind-address", "", "`address` to serve metrics on, such as :8080; not at all if empty")
	f.StringVar(&o.health, "health-probe-bind-address", "", "`address` to serve /healthz and /readyz on; not at all if empty")
	f.StringVar(&o.pprof, "pprof", "", "loopback `address` to serve profiles on, such as 127.0.0.1:6060; not at all if empty")
	f.StringVar(&o.auditLog, "audit-log", "", "`file` to write every change to, one line of JSON each, in a chain that abide audit verify checks; - for standard output; not at all if empty")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "take turns with other replicas by a lease")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return c
}

// collectAt is by how many percent the controller's heap grows before it is
// collected: a quarter less than the default saves it a tenth of its memory, for a
// processor time that can hardly be measured.
const collectAt = 75

func runController(ctx context.Context, s Streams, o controllerOptions) error {
	log, err := newLogger(s.Err, o.logFormat, o.logLevel)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	addresses, err := prefixes(o.allowAddresses)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	hosts, err := hostNames(o.remoteHosts)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := controllerConfig(o)
	if err != nil {
		return err
	}
	cfg.UserAgent = "abide"
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	e, err := engine.New(ctx, engine.Options{
		Config: cfg, CacheDir: o.cacheDir, Namespace: o.namespace, AllowLocal: o.allowLocal, AllowAddresses: addresses, RemoteHosts: hosts,
		MetricsAddress: o.metrics, HealthAddress: o.health, PprofAddress: o.pprof,
		LeaderElect: o.leaderElect, Log: log, AuditLog: o.auditLog, Stdout: s.Out,
	})
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Run(ctx)
}

// prefixes reads addresses and prefixes of addresses.
func prefixes(texts []string) (out []netip.Prefix, err error) {
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			a, err := netip.ParseAddr(t)
			if err != nil {
				return nil, fmt.Errorf("--allow-addresses: %q is neither an address nor a prefix such as 127.0.0.0/8", t)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// hostNames reads names of hosts.
func hostNames(texts []string) (out []string, err error) {
	for _, t := range texts {
		host := strings.ToLower(strings.Trim(t, "[]"))
		if host == "" || strings.ContainsAny(host, "/@* ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return nil, fmt.Errorf("--allow-remote-bases: %q is no name of a host, such as github.com; it has no scheme, port or path", t)
		}
		out = append(out, host)
	}
	return out, nil
}

func controllerConfig(o controllerOptions) (*rest.Config, error) {
	if o.kubeconfig == "" && o.context == "" {
		if cfg, err := rest.InClusterConfig(); err == nil {
			return cfg, nil
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to work on: %w; name one with --kubeconfig or --context", err)
	}
	return cfg, nil
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level is %q; it takes debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("--log-format is %q; it takes text or json", format)
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &exitError{exitUsage, fmt.Errorf("%s takes no arguments, and got %q", c.CommandPath(), args[0])}
	}
	return nil
}
