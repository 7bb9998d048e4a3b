package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/spelling"
)

// NoSuchAppError says that an App does not exist, and which ones look like it.
type NoSuchAppError struct {
	Namespace, Name string
	// Similar are names in that namespace, Elsewhere other namespaces that have
	// an App of that very name.
	Similar, Elsewhere []string
}

func (e *NoSuchAppError) Error() string {
	m := fmt.Sprintf("there is no App %s in namespace %s", e.Name, e.Namespace)
	switch {
	case len(e.Elsewhere) > 0:
		m += fmt.Sprintf("; there is one in %s: add -n %s", strings.Join(e.Elsewhere, ", "), e.Elsewhere[0])
	case len(e.Similar) > 0:
		m += "; there is " + strings.Join(e.Similar, ", ")
	default:
		m += "; abide get apps -A lists them all"
	}
	return m
}

// app reads an App.
func (c *conn) app(ctx context.Context, name string) (*v1alpha1.App, error) {
	var app v1alpha1.App
	err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, &app)
	if apierrors.IsNotFound(err) && !notServed(err) {
		return nil, c.noSuchApp(ctx, name)
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return &app, nil
}

// noSuchApp looks for what the user may have meant; what can't be listed is
// not looked at.
func (c *conn) noSuchApp(ctx context.Context, name string) error {
	e := &NoSuchAppError{Namespace: c.namespace, Name: name}
	var l v1alpha1.AppList
	if err := c.List(ctx, &l); err != nil {
		l = v1alpha1.AppList{}
		if err := c.List(ctx, &l, client.InNamespace(c.namespace)); err != nil {
			return e
		}
	}
	for i := range l.Items {
		a := &l.Items[i]
		switch {
		case a.Namespace == c.namespace && similar(a.Name, name):
			e.Similar = append(e.Similar, a.Name)
		case a.Namespace != c.namespace && a.Name == name:
			e.Elsewhere = append(e.Elsewhere, a.Namespace)
		}
	}
	slices.SortFunc(e.Similar, func(a, b string) int {
		return cmp.Or(cmp.Compare(spelling.Distance(a, name), spelling.Distance(b, name)), cmp.Compare(a, b))
	})
	e.Similar = e.Similar[:min(len(e.Similar), 3)]
	slices.Sort(e.Elsewhere)
	return e
}

func similar(a, b string) bool {
	return strings.Contains(a, b) || strings.Contains(b, a) || spelling.Distance(a, b) <= (len(b)+3)/3
}

// followed is the ref that an App follows.
func followed(app *v1alpha1.App) source.Ref {
	r := app.Spec.Source.Ref
	if r == nil {
		return source.Ref{}
	}
	return source.Ref{Branch: r.Branch, Tag: r.Tag, Semver: r.Semver, Commit: r.Commit}
}

// condition is true when it is, and says so of the spec as it is now.
func condition(app *v1alpha1.App, name string) bool {
	c := meta.FindStatusCondition(app.Status.Conditions, name)
	return c != nil && c.Status == metav1.ConditionTrue && current(app)
}

// current tells whether the status is about the spec as it is now.
func current(app *v1alpha1.App) bool { return app.Status.ObservedGeneration == app.Generation }

// message is what the App says of itself.
func message(app *v1alpha1.App) string {
	if c := meta.FindStatusCondition(app.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

// oneApp is the argument check of commands that take one App.
func oneApp(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &exitError{exitUsage, fmt.Errorf("%s takes the name of one App; abide get apps lists them", c.CommandPath())}
	}
	return nil
}

// forApp is the run of a command about one App, once it is connected.
func (t *target) forApp(s Streams, app *string, run func(context.Context, *conn) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		*app = args[0]
		cn, err := t.connect(s.Err)
		if err != nil {
			return err
		}
		return run(c.Context(), cn)
	}
}

// completionTime bounds what the shell waits for.
const completionTime = 3 * time.Second

// completeApps completes the name of one App.
func (t *target) completeApps(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return t.completeNames(c, &v1alpha1.AppList{})
}

func (t *target) completeNames(c *cobra.Command, list client.ObjectList) ([]string, cobra.ShellCompDirective) {
	return t.complete(c, func(ctx context.Context, cn *conn) ([]string, error) {
		if err := cn.List(ctx, list, client.InNamespace(cn.namespace)); err != nil {
			return nil, err
		}
		return namesOf(list)
	})
}

func (t *target) completeNamespaces(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return t.complete(c, func(ctx context.Context, cn *conn) ([]string, error) {
		var l v1alpha1.AppList
		if err := cn.List(ctx, &l); err != nil {
			return nil, err
		}
		var out []string
		for i := range l.Items {
			out = append(out, l.Items[i].Namespace)
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	})
}

func (t *target) complete(c *cobra.Command, names func(context.Context, *conn) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	cn, err := t.connect(discard{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTime)
	defer cancel()
	out, err := names(ctx, cn)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func namesOf(list client.ObjectList) ([]string, error) {
	objects, err := itemsOf(list)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = o.GetName()
	}
	return out, nil
}

// discard takes the warnings that a completion has no place for.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
