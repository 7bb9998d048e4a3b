package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"abide.dev/abide/api/v1alpha1"
)

// Cluster is one API server.
type Cluster struct {
	// Kinds are the kinds that the API server knows.
	Kinds *Kinds

	cfg     *rest.Config
	http    *http.Client
	dynamic dynamic.Interface

	mu      sync.Mutex
	clients map[string]*Client // by namespace of the identity; "" is the controller
}

// New returns the cluster that cfg points at. It sends no request.
func New(cfg *rest.Config) (*Cluster, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // the server's own fairness decides
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	return &Cluster{
		Kinds:   newKinds(disco),
		cfg:     cfg,
		http:    h,
		dynamic: dyn,
		clients: map[string]*Client{},
	}, nil
}

// Dynamic returns the client for lists and watches, which the controller does
// as itself.
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// AsController returns the client that acts as the controller itself.
func (c *Cluster) AsController() (*Client, error) { return c.client("") }

// AsTenant returns the client that acts as the ServiceAccount "abide" of a
// namespace. An empty namespace is an error, never a fallback.
func (c *Cluster) AsTenant(namespace string) (*Client, error) {
	if namespace == "" {
		return nil, fmt.Errorf("an identity needs a namespace")
	}
	return c.client(namespace)
}

// Clientset returns a client for lists and watches of Kubernetes' own kinds that
// acts as the identity of a namespace; as the controller if it is empty.
func (c *Cluster) Clientset(namespace string) (kubernetes.Interface, error) {
	cfg := rest.CopyConfig(c.cfg)
	if namespace != "" {
		cfg.Impersonate = rest.ImpersonationConfig{UserName: Username(namespace)}
	}
	set, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	return set, nil
}

// requestTimeout bounds a single request: an admission webhook that hangs must
// not hold a place among the requests under way for ever.
const requestTimeout = time.Minute

func (c *Cluster) client(namespace string) (*Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.clients[namespace]; cl != nil {
		return cl, nil
	}
	cfg := rest.CopyConfig(c.cfg)
	if namespace != "" {
		cfg.Impersonate = rest.ImpersonationConfig{UserName: Username(namespace)}
	}
	cfg.Timeout = requestTimeout
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	cfg.AcceptContentTypes, cfg.ContentType = "application/json", "application/json"
	rc, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	cl := &Client{rest: rc, Namespace: namespace}
	c.clients[namespace] = cl
	return cl, nil
}

// Username is the user name of the ServiceAccount "abide" of a namespace.
func Username(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + v1alpha1.ServiceAccount
}
