package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/worker"
)

type renderOptions struct {
	dir, path string
	explain   bool
	values    []string // files on disk
	hosts     []string // from which to fetch
	helm      helm.Options
}

func newRender(s Streams) *cobra.Command {
	var o renderOptions
	c := &cobra.Command{
		Use:   "render DIR",
		Short: "Print what a folder renders to, without a cluster",
		Long: "Print the objects that abide renders a folder to. It needs no cluster, reads nothing\n" +
			"outside the repository, runs no program, and fetches nothing: what a kustomization\n" +
			"names by a URL is fetched only from hosts named with --allow-remote-bases. Where the folder has a kustomization, the\n" +
			"output is byte for byte that of kustomize build; where it is a Helm chart, that of\n" +
			"helm template --include-crds. Jsonnet is evaluated as by the jsonnet command.\n\n" +
			"DIR may be any folder of a Git working copy: what lies beside it in the same working\n" +
			"copy can be used, as it can in Git. With --path, DIR is the root of the repository.",
		Example: "  abide render apps/web/overlays/prod\n  abide render . --path apps/web --explain\n" +
			"  abide render charts/shop --release-name shop -n prod -f envs/prod.yaml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &exitError{exitUsage, fmt.Errorf("%s takes one folder, such as \".\"", c.CommandPath())}
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = args[0]
			return runRender(c.Context(), s, o)
		},
	}
	c.Flags().StringVar(&o.path, "path", "", "`path` of the folder or file in the repository whose root is DIR")
	c.Flags().BoolVar(&o.explain, "explain", false, "say which renderer was chosen and why, what was read, and what was left out, instead of the objects")
	f := c.Flags()
	f.StringSliceVar(&o.hosts, "allow-remote-bases", nil, remoteHostsUsage)
	f.StringArrayVarP(&o.values, "values", "f", nil, "`file` of values for a chart, in the same repository; a later one overrides the former")
	f.StringVar(&o.helm.ReleaseName, "release-name", "", "`name` of the release that a chart is rendered for (default \""+helm.DefaultReleaseName+"\")")
	f.StringVarP(&o.helm.Namespace, "namespace", "n", "", "`namespace` that a chart is rendered for (default \""+helm.DefaultNamespace+"\")")
	f.StringVar(&o.helm.KubeVersion, "kube-version", "", "`version` of Kubernetes that a chart is rendered for (default \""+helm.DefaultKubeVersion+"\")")
	f.StringSliceVarP(&o.helm.APIVersions, "api-versions", "a", nil, "API `versions` that a chart finds, besides those that Helm knows")
	return c
}

func runRender(ctx context.Context, s Streams, o renderOptions) error {
	root, path := o.dir, o.path
	if path == "" {
		var err error
		if root, path, err = workingCopy(o.dir); err != nil {
			return err
		}
	}
	tree, err := dirtree.New(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	for _, f := range o.values {
		inTree, err := pathIn(root, f)
		if err != nil {
			return err
		}
		o.helm.ValuesFiles = append(o.helm.ValuesFiles, helm.ValuesFile{Path: inTree})
	}
	hosts, err := hostNames(o.hosts)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	res, err := renderFetching(ctx, tree, render.Request{Path: path, Text: !o.explain, Helm: &o.helm}, allowHosts(hosts), true)
	if o.explain {
		explainRender(s, path, res, err)
	}
	if err != nil {
		return err
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(s.Err, "warning: %s\n", cleanLines(w))
	}
	if o.explain {
		return nil
	}
	b, err := res.YAML()
	if err != nil {
		return err
	}
	_, err = s.Out.Write(b)
	return err
}

// pathIn returns the path in the repository at root of a file on disk.
func pathIn(root, file string) (string, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	// A link is followed in the repository, if it is in there; the folder it is
	// in may be reached by one from outside.
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	rel, err := filepath.Rel(real, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", &exitError{exitUsage, fmt.Errorf("%s is not in %s: values are read from the same repository as the chart", file, root)}
	}
	return filepath.ToSlash(rel), nil
}

// renderInWorker renders as the controller does: in a bounded process.
func renderInWorker(ctx context.Context, tree snapshot.Tree, req render.Request) (*render.Result, error) {
	pool, err := worker.New(worker.Options{Parallel: 1})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	return pool.Render(ctx, "", tree, req)
}

// workingCopy returns the root of the Git working copy that a folder or file is
// in, and its path there. One that is in none is a root of its own.
func workingCopy(dir string) (root, path string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", "", err
	}
	for root := abs; ; root = filepath.Dir(root) {
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil {
			rel, err := filepath.Rel(root, abs)
			return root, filepath.ToSlash(rel), err
		}
		if root == filepath.Dir(root) {
			break
		}
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", "", err
	}
	if !info.IsDir() {
		return filepath.Dir(abs), filepath.Base(abs), nil
	}
	return abs, ".", nil
}

// explainRender says how a render came about, also of one that went wrong.
func explainRender(s Streams, path string, res *render.Result, failed error) {
	st, w := styleOf(s.Out), s.Out
	if res.Renderer != "" {
		fmt.Fprintf(w, "%s is rendered by %s: %s.\n", clean(path), st.bold(res.Renderer), clean(res.Why))
	}
	section := func(title string, n int, line func(i int) string) {
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", st.bold(title))
		for i := range n {
			fmt.Fprintf(w, "  %s\n", clean(line(i)))
		}
	}
	files := res.Files()
	section(fmt.Sprintf("Read (%s)", count(len(files), "file")), len(files), func(i int) string { return files[i] })
	section(fmt.Sprintf("Left out (%d)", len(res.Ignored)), len(res.Ignored), func(i int) string {
		at := res.Ignored[i].Path
		if l := res.Ignored[i].Line; l > 0 {
			at += fmt.Sprintf(":%d", l)
		}
		return at + "  " + res.Ignored[i].Reason
	})
	if failed != nil {
		return
	}
	section(fmt.Sprintf("Renders to (%s)", count(len(res.Objects), "object")), len(res.Objects), func(i int) string {
		o := res.Objects[i]
		return strings.TrimRight(object.KeyOf(o.Unstructured).String()+"  "+place(o.Origin), " ")
	})
	section(fmt.Sprintf("Apart from these (%s)", count(len(res.Hooks), "hook")), len(res.Hooks), func(i int) string {
		h := res.Hooks[i]
		return fmt.Sprintf("%s  %s  %s", object.KeyOf(h.Object.Unstructured), strings.Join(h.Events, ","), place(h.Object.Origin))
	})
}

// place is where an object was written.
func place(o render.Origin) string {
	if o.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}
