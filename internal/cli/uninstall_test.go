package cli

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/sandboxtest"
)

// TestUninstallWithoutAController removes abide where nobody is left to remove
// finalizers: it ends, and leaves running what Apps applied.
func TestUninstallWithoutAController(t *testing.T) {
	sb := sandboxtest.Start(t)
	prepareCluster(t, sb)
	w := &world{clientOf(t, sb), sb, sb.Namespace(t)}
	app := w.app(t, "web", inSync)
	app.Finalizers = []string{v1alpha1.Finalizer}
	if err := w.Update(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	w.live(t, app, nil, configMap("kept", "{a: b}"))
	flags := []string{"--kubeconfig", sb.Kubeconfig}
	uninstall := func(args ...string) answer {
		return run(t, append(append([]string{"uninstall"}, args...), flags...)...)
	}

	uninstall().want(t, 2, "nobody to ask", "1 App", "1 object that the Apps applied will stay")
	// Objects can't be deleted without a controller, so abide must stay.
	uninstall("--yes", "--delete-objects", "--timeout", "5s").want(t, 3, "will be DELETED", w.ns+"/web", "left in place")
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(app), app); err != nil {
		t.Fatalf("the App should have been left: %v", err)
	}

	uninstall("--yes").want(t, 0, "abide is removed", "(1 object)")
	core := kubernetes.NewForConfigOrDie(sb.Config()).CoreV1()
	if _, err := core.ConfigMaps(w.ns).Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("what the App applied is gone: %v", err)
	}
	for name, gk := range map[string]schema.GroupKind{
		"apps.abide.dev":             {Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
		"abide-controller":           {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"},
		"abide-authenticated-author": {Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"},
	} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gk.WithVersion("v1"))
		// The server clears a definition away when it gets to it.
		err := w.Get(t.Context(), client.ObjectKey{Name: name}, u)
		if going := err == nil && u.GetDeletionTimestamp() != nil; !going && !apierrors.IsNotFound(err) {
			t.Errorf("%s %s is still there: %v", gk.Kind, name, err)
		}
	}
	run(t, "status", "web", "--kubeconfig", sb.Kubeconfig, "-n", w.ns).want(t, 1)
	// Again, where nothing is left but perhaps a namespace on its way.
	uninstall("--yes").want(t, 0)
}

// TestUninstallWithObjects has a controller that removes what an App owns, and
// then lets it go; and Apps that come up again while that happens.
func TestUninstallWithObjects(t *testing.T) {
	sb := sandboxtest.Start(t)
	prepareCluster(t, sb)
	w := &world{clientOf(t, sb), sb, sb.Namespace(t)}
	held := func(a *v1alpha1.App) { inSync(a); a.Finalizers = []string{v1alpha1.Finalizer} }
	w.app(t, "web", held)
	again := false
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = until(ctx, w.WithWatch, &v1alpha1.AppList{}, nil, func(have objects[*v1alpha1.App]) (bool, error) {
			for _, app := range have {
				if app.DeletionTimestamp == nil {
					continue
				}
				if app.Name == "web" && !again {
					again = true
					twin := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "reborn", Finalizers: []string{v1alpha1.Finalizer}}}
					twin.Spec.Source.Repo = "https://example.com/reborn.git"
					if err := w.Create(ctx, twin); err != nil {
						return false, err
					}
				}
				base := app.DeepCopy()
				app.Finalizers = nil
				if err := w.Patch(ctx, app, client.MergeFrom(base)); client.IgnoreNotFound(err) != nil {
					return false, err
				}
			}
			return false, nil
		})
	}()
	defer func() { stop(); <-over }()
	run(t, "uninstall", "--yes", "--delete-objects", "--timeout", "30s", "--kubeconfig", sb.Kubeconfig).want(t, 0, "abide is removed")
	if !again {
		t.Error("nobody deleted the App")
	}
}
