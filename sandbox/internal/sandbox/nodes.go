package sandbox

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// MaxNodes is how many nodes a sandbox may have; pod addresses end there.
const MaxNodes = 1000

// ensureNodes creates the nodes node-0 to node-(n-1). Those that are there
// from an earlier run keep what they are, but for the kubelet's port.
func ensureNodes(ctx context.Context, cs kubernetes.Interface, n, kubeletPort int) error {
	for i := range n {
		want := node(i, kubeletPort)
		_, err := cs.CoreV1().Nodes().Create(ctx, want, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { return movePort(ctx, cs, want.Name, kubeletPort) })
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", want.Name, err)
		}
	}
	return nil
}

func movePort(ctx context.Context, cs kubernetes.Interface, name string, port int) error {
	have, err := cs.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if have.Status.DaemonEndpoints.KubeletEndpoint.Port == int32(port) {
		return nil
	}
	have.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	_, err = cs.CoreV1().Nodes().UpdateStatus(ctx, have, metav1.UpdateOptions{})
	return err
}

// node has no lack of anything. Both addresses are there from the start, since
// kwok would otherwise drop one to add the other.
func node(i, kubeletPort int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	cidr := fmt.Sprintf("10.%d.%d.0/24", 244+i/256, i%256)
	res := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels: map[string]string{
				corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", corev1.LabelHostname: name,
				"node-role.kubernetes.io/agent": "", "type": "kwok",
			},
		},
		Spec: corev1.NodeSpec{PodCIDR: cidr, PodCIDRs: []string{cidr}},
		Status: corev1.NodeStatus{
			Capacity: res, Allocatable: res,
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}, {Type: corev1.NodeHostName, Address: name}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(kubeletPort)}},
		},
	}
}

// waitUsable waits until n nodes are ready and until the controller manager
// works, which shows in the default service account: without it no pod can be
// created.
func waitUsable(ctx context.Context, cs kubernetes.Interface, n int) error {
	for {
		if usable(ctx, cs, n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(40 * time.Millisecond):
		}
	}
}

func usable(ctx context.Context, cs kubernetes.Interface, n int) bool {
	if _, err := cs.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return false
	}
	if n == 0 {
		return true
	}
	// On a restart nodes look ready before anything plays them. Their leases
	// were removed, so each one that is there is new.
	leases, err := cs.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil || len(leases.Items) < n {
		return false
	}
	nodes, err := cs.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return false
	}
	ready := 0
	for _, node := range nodes.Items {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	return ready >= n
}
