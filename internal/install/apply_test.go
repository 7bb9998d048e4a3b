package install_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"abide.dev/abide/internal/install"
)

// The manifests apply in the order in which they are printed, and a second time
// without changing anything.
func TestManifestsApply(t *testing.T) {
	sb := installed(t)
	first := applyManifests(t, sb.Config())
	second := applyManifests(t, sb.Config())
	for i := range first {
		if f, s := first[i], second[i]; f.GetGeneration() != s.GetGeneration() {
			t.Errorf("applying %s %s again changed it", f.GetKind(), f.GetName())
		}
	}
}

// The namespace holds its Pods to the restricted standard, so a Pod that comes
// up meets it.
func TestControllerPodIsAdmitted(t *testing.T) {
	sb := installed(t)
	client, err := kubernetes.NewForConfig(sb.Config())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Deployment has a Pod", func() bool {
		d, err := client.AppsV1().Deployments(install.DefaultNamespace).Get(t.Context(), install.Deployment, metav1.GetOptions{})
		return err == nil && d.Status.Replicas == 1
	})
}
