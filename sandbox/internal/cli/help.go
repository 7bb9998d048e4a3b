package cli

const runHelp = `abide-sandbox runs a throw-away Kubernetes control plane on this machine:
etcd, kube-apiserver, kube-controller-manager, kube-scheduler and simulated
nodes. It needs no Docker and no root, listens on 127.0.0.1 only, runs no
container, and ends with everything it started.

Usage:
  abide-sandbox [flags]
  abide-sandbox kubeconfig --data DIR --user NAME [--group GROUP]...

Flags:
  --data DIR          keep everything in DIR and go on from there next time;
                      default: a temporary directory, removed at the end
  --port N            port of the API server; default 0: the one DIR had last
                      time, or a free one
  --nodes K           number of simulated nodes (0 to 1000); default 1
  --audit-log FILE    append one JSON line per request to FILE
  --verbose           copy the components' logs to standard error
  --exit-with-stdin   end when standard input ends, so that a program that
                      starts a sandbox cannot leave it behind
  --version           print the version
  --help              print this

It is ready when DIR/ready exists; DIR/kubeconfig is then cluster-admin:
  export KUBECONFIG=DIR/kubeconfig; kubectl get nodes

End it with ^C or SIGTERM. Logs of the components are in DIR/logs.
`

const kubeconfigHelp = `abide-sandbox kubeconfig prints a kubeconfig for another user of a sandbox,
running or not. The user may do nothing until RBAC in the cluster says so.

Usage:
  abide-sandbox kubeconfig --data DIR --user NAME [--group GROUP]...

Flags:
  --data DIR      the sandbox's directory
  --user NAME     the user's name as the API server sees it
  --group GROUP   a group of the user; repeat it for more. The group
                  system:masters may do everything
  --help          print this
`
