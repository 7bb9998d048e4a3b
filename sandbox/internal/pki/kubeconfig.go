package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Cluster is the name of the cluster and context in every kubeconfig.
const Cluster = "abide-sandbox"

// Kubeconfig renders a kubeconfig for the user of kp at server.
func (a *Authority) Kubeconfig(server, user string, kp KeyPair) ([]byte, error) {
	c := clientcmdapi.NewConfig()
	c.Clusters[Cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: a.certPEM}
	c.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: kp.Cert, ClientKeyData: kp.Key}
	c.Contexts[Cluster] = &clientcmdapi.Context{Cluster: Cluster, AuthInfo: user}
	c.CurrentContext = Cluster
	b, err := clientcmd.Write(*c)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of %q: %w", user, err)
	}
	return b, nil
}

// Server reads the URL of the server from a kubeconfig file of ours.
func Server(path string) (string, error) {
	c, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return "", err
	}
	cl := c.Clusters[Cluster]
	if cl == nil {
		return "", fmt.Errorf("%s names no cluster %q", path, Cluster)
	}
	return cl.Server, nil
}
