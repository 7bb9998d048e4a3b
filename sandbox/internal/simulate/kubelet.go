package simulate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// TLSFiles are the paths of what the kubelet's port needs.
type TLSFiles struct{ Cert, Key, ClientCA string }

// KubeletClient is the common name of the only client that may call.
const KubeletClient = "kube-apiserver-kubelet-client"

const nothingRuns = "this pod is simulated by abide-sandbox: no container runs"

// NewKubelet makes the server behind every node's kubelet port. It answers a
// request for a log with one line and refuses all else: exec, attach and port
// forwarding have nothing to connect to, and nothing a cluster's user sends
// may ever run on this host.
func NewKubelet(f TLSFiles) (*http.Server, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no PEM certificate", f.ClientCA)
	}
	return &http.Server{
		Handler:           kubeletHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion:       tls.VersionTLS12,
			Certificates:     []tls.Certificate{cert},
			ClientAuth:       tls.RequireAndVerifyClientCert,
			ClientCAs:        pool,
			VerifyConnection: onlyAPIServer,
		},
	}, nil
}

// onlyAPIServer refuses the cluster's other users, whose certificates come
// from the same CA.
func onlyAPIServer(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 || s.PeerCertificates[0].Subject.CommonName != KubeletClient {
		return errors.New("only the API server may call a kubelet")
	}
	return nil
}

func kubeletHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, nothingRuns+"\n")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, nothingRuns+", so only its log can be asked for", http.StatusForbidden)
	})
	return mux
}
