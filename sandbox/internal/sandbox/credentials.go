package sandbox

import (
	"fmt"
	"time"

	"abide.dev/abide/sandbox/internal/component"
	"abide.dev/abide/sandbox/internal/datadir"
	"abide.dev/abide/sandbox/internal/namespaces"
	"abide.dev/abide/sandbox/internal/pki"
	"abide.dev/abide/sandbox/internal/simulate"
)

const (
	// AdminUser is the user of DIR/kubeconfig.
	AdminUser = "admin"
	// ownUser is the sandbox itself, apart from AdminUser so that requests in
	// the audit log can be told from the user's.
	ownUser = "abide-sandbox"
	// mastersGroup may do everything, with or without RBAC.
	mastersGroup = "system:masters"
)

// Names of the kubeconfigs below DIR/components.
const (
	kubeconfigOwn        = "abide-sandbox.kubeconfig"
	kubeconfigKCM        = "kube-controller-manager.kubeconfig"
	kubeconfigNamespaces = "namespace-controller.kubeconfig"
	kubeconfigScheduler  = "kube-scheduler.kubeconfig"
	kubeconfigKwok       = "kwok.kubeconfig"
)

// writeCredentials keeps all certificates and writes all kubeconfigs, which
// may have to name a new port.
func writeCredentials(dir datadir.Dir, server string, now func() time.Time) error {
	ca, err := pki.LoadOrCreate(dir, now)
	if err != nil {
		return err
	}
	if err := pki.EnsureSigningKey(dir, "service-account"); err != nil {
		return err
	}
	for name, id := range map[string]pki.Identity{
		"apiserver": {Name: component.APIServer, Hosts: []string{
			"127.0.0.1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		"kubelet":        {Name: "kubelet", Hosts: []string{"127.0.0.1"}},
		"kubelet-client": {Name: simulate.KubeletClient},
	} {
		if _, err := ca.EnsureFiles(dir, name, id); err != nil {
			return err
		}
	}
	for _, u := range []struct {
		file string
		id   pki.Identity
	}{
		{dir.Kubeconfig(), pki.Identity{Name: AdminUser, Groups: []string{mastersGroup}}},
		{dir.Component(kubeconfigOwn), pki.Identity{Name: ownUser, Groups: []string{mastersGroup}}},
		{dir.Component(kubeconfigKCM), pki.Identity{Name: "system:" + component.ControllerManager}},
		{dir.Component(kubeconfigNamespaces), pki.Identity{Name: namespaces.User, Groups: namespaces.Groups()}},
		{dir.Component(kubeconfigScheduler), pki.Identity{Name: "system:" + component.Scheduler}},
		{dir.Component(kubeconfigKwok), pki.Identity{Name: simulate.User}},
	} {
		kp, err := ca.EnsureFiles(dir, "user-"+fileName(u.id.Name), u.id)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(ca, u.file, server, u.id.Name, kp); err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfig(ca *pki.Authority, file, server, user string, kp pki.KeyPair) error {
	b, err := ca.Kubeconfig(server, user, kp)
	if err != nil {
		return err
	}
	if err := datadir.WriteFile(file, b); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	return nil
}

// fileName is the last part of one of our own user names.
func fileName(user string) string {
	for i := len(user) - 1; i >= 0; i-- {
		if user[i] == ':' {
			return user[i+1:]
		}
	}
	return user
}
