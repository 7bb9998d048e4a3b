package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/release"
)

type manifestsOptions struct {
	target
	showSecrets bool
}

func newManifests(s Streams) *cobra.Command {
	var o manifestsOptions
	c := &cobra.Command{
		Use:   "manifests APP[#N]",
		Short: "Print what a release rendered, as abide has kept it",
		Long: "Print what a release rendered, the newest if there is no number, as YAML: the objects, and\n" +
			"after them the hooks. It is read from Secrets in abide's own namespace, which few may read.\n" +
			"Values of Secrets are shown as hashes, unless --show-secrets asks for them.",
		Example:           "  abide manifests web#7\n  abide manifests web#7 --show-secrets | kubectl diff -f -",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE: o.forRelease(s, func(ctx context.Context, cn *conn, ref releaseRef) error {
			objects, err := keptObjects(ctx, cn, ref, o.abideNamespace)
			if err != nil {
				return err
			}
			show, err := redacted(o.showSecrets)
			if err != nil {
				return err
			}
			for _, u := range objects {
				b, err := yaml.Marshal(show(u).Object)
				if err != nil {
					return err
				}
				fmt.Fprintf(s.Out, "---\n%s", b)
			}
			return nil
		}),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.ownNamespaceFlag(c)
	c.Flags().BoolVar(&o.showSecrets, "show-secrets", false, "print the values of Secrets as they are")
	return c
}

// redacted returns how objects are shown.
func redacted(secrets bool) (func(*unstructured.Unstructured) *unstructured.Unstructured, error) {
	if secrets {
		return func(u *unstructured.Unstructured) *unstructured.Unstructured { return u }, nil
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return plan.NewRedactor(key).Show, nil
}

// keptObjects reads what is kept of a release.
func keptObjects(ctx context.Context, c *conn, ref releaseRef, own string) ([]*unstructured.Unstructured, error) {
	r, err := releaseOf(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s#%d", ref.app, r.Spec.Number)
	if len(r.Spec.Manifests) == 0 {
		return nil, fmt.Errorf("what %s rendered is not kept: it was rejected before it began, or is older than spec.historyLimit", name)
	}
	store := release.New(c, own, time.Now)
	// A record that names what another App rendered was not written by abide.
	if r, err = store.Read(ctx, object.App{Namespace: r.Namespace, Name: r.Spec.App}, r.Spec.Number); err != nil {
		return nil, c.explain(err)
	}
	objects, hooks, err := store.Manifests(ctx, r.Spec.Manifests)
	if apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("what %s rendered is in Secrets of namespace %s, and you may not read them: %w; whoever runs abide can", name, own, err)
	}
	var missing *release.MissingError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("what %s rendered is gone: %w", name, err)
	}
	return append(objects, hooks...), err
}

// compareReleases shows what differs between what two releases rendered.
func compareReleases(ctx context.Context, s Streams, c *conn, o *diffOptions, from, to releaseRef) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	before, err := keptObjects(ctx, c, from, o.abideNamespace)
	if err != nil {
		return err
	}
	after, err := keptObjects(ctx, c, to, o.abideNamespace)
	if err != nil {
		return err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	d := setsDiffer(before, after, plan.NewRedactor(key))
	d.App, d.From = c.namespace+"/"+to.app, fmt.Sprintf("%s#%d", from.app, from.number)
	if o.output.format != asTable {
		err = printValue(s.Out, o.output.format, d)
	} else {
		app := &v1alpha1.App{}
		app.Namespace, app.Name = c.namespace, to.app
		printDifferences(s.Out, styleOf(s.Out), app, d)
	}
	if err == nil && o.exitCode && len(d.Objects) > 0 {
		return &exitError{exitDifferences, nil}
	}
	return err
}

// setsDiffer are the differences of two sets of objects.
func setsDiffer(before, after []*unstructured.Unstructured, r plan.Redactor) *differences {
	d := &differences{Objects: []difference{}}
	old := map[object.Key]*unstructured.Unstructured{}
	for _, u := range before {
		old[object.KeyOf(u)] = u
	}
	for _, u := range after {
		k := object.KeyOf(u)
		b := old[k]
		delete(old, k)
		one := difference{Object: k.String(), key: k, Action: plan.Update}
		if b == nil {
			one.Action, one.Whole = plan.Create, r.Show(u).Object
		} else if one.Fields = plan.Diff(b, u, r); len(one.Fields) == 0 {
			d.Unchanged++
			continue
		}
		d.Objects = append(d.Objects, one)
	}
	for _, u := range before {
		if k := object.KeyOf(u); old[k] != nil {
			d.Objects = append(d.Objects, difference{Object: k.String(), key: k, Action: plan.Delete})
		}
	}
	return d
}
