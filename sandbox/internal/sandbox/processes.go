package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"abide.dev/abide/sandbox/internal/component"
	"abide.dev/abide/sandbox/internal/datadir"
	"abide.dev/abide/sandbox/internal/supervise"
)

// auditPolicy logs every request once, without bodies, when it is complete; a
// watch also when it begins, since it may never complete.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// needlessControllers are off: the first is replaced by package namespaces,
// the others would wait for a storage driver or a cloud for ever.
var needlessControllers = []string{
	"namespace-controller",
	"persistentvolume-attach-detach-controller",
	"persistentvolume-expander-controller",
	"node-ipam-controller",
}

func apiServerArgs(dir datadir.Dir, port int, auditLog string) []string {
	args := []string{
		"--etcd-servers=unix://" + component.EtcdSocket,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--endpoint-reconciler-type=none", // a loopback address is no valid endpoint
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + dir.PKI("apiserver.crt"),
		"--tls-private-key-file=" + dir.PKI("apiserver.key"),
		"--client-ca-file=" + dir.PKI("ca.crt"),
		"--anonymous-auth=false",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + dir.PKI("service-account.pub"),
		"--service-account-signing-key-file=" + dir.PKI("service-account.key"),
		"--kubelet-preferred-address-types=InternalIP", // a node's name is nowhere in DNS
		"--kubelet-certificate-authority=" + dir.PKI("ca.crt"),
		"--kubelet-client-certificate=" + dir.PKI("kubelet-client.crt"),
		"--kubelet-client-key=" + dir.PKI("kubelet-client.key"),
		"--profiling=true",
		"--shutdown-delay-duration=0s",
	}
	if auditLog != "" {
		args = append(args,
			"--audit-policy-file="+dir.Run("audit-policy.yaml"),
			"--audit-log-path="+auditLog,
			"--audit-log-mode=blocking", // an answered request is in the file, whatever happens next
			"--audit-log-maxsize=100000",
		)
	}
	return args
}

func controllerManagerArgs(dir datadir.Dir) []string {
	controllers := "--controllers=*"
	for _, c := range needlessControllers {
		controllers += ",-" + c
	}
	return []string{
		"--kubeconfig=" + dir.Component(kubeconfigKCM),
		"--" + component.NamespaceKubeconfigFlag + "=" + dir.Component(kubeconfigNamespaces),
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + dir.PKI("service-account.key"),
		"--root-ca-file=" + dir.PKI("ca.crt"),
		"--cluster-signing-cert-file=" + dir.PKI("ca.crt"),
		"--cluster-signing-key-file=" + dir.PKI("ca.key"),
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
		controllers,
	}
}

func schedulerArgs(dir datadir.Dir) []string {
	return []string{
		"--kubeconfig=" + dir.Component(kubeconfigScheduler),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
	}
}

func kwokArgs(dir datadir.Dir) []string {
	return []string{
		"--kubeconfig=" + dir.Component(kubeconfigKwok),
		"--tls-cert-file=" + dir.PKI("kubelet.crt"),
		"--tls-private-key-file=" + dir.PKI("kubelet.key"),
		"--client-ca-file=" + dir.PKI("ca.crt"),
	}
}

// startAll starts every component at once: each waits for what it needs.
func startAll(g *supervise.Group, dir datadir.Dir, self string, lock *datadir.Lock, ls datadir.Listeners, ps datadir.Ports, auditLog string) error {
	for _, c := range []struct {
		name     string
		args     []string
		listener *os.File
	}{
		{component.Etcd, []string{"--data-dir=" + dir.Etcd()}, nil},
		{component.APIServer, apiServerArgs(dir, ps.API, auditLog), ls.API},
		{component.ControllerManager, controllerManagerArgs(dir), nil},
		{component.Scheduler, schedulerArgs(dir), nil},
		{component.Kwok, kwokArgs(dir), ls.Kubelet},
	} {
		files := []*os.File{lock.File}
		if c.listener != nil {
			files = append(files, c.listener)
		}
		err := g.Start(supervise.Process{
			Name: c.name, Path: self, Args: append([]string{component.Command, c.name}, c.args...),
			Dir: dir.Run(""), Log: filepath.Join(dir.Logs(), c.name+".log"), Files: files,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
