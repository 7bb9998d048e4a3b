package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/version"
)

// requestTime bounds a command's requests that answer at once or never.
const requestTime = 30 * time.Second

// target says which cluster a command works on, and where in it.
type target struct {
	kubeconfig, context string
	namespace           string
	all                 bool   // of all namespaces
	abideNamespace      string // abide's own
}

// clusterFlags adds the flags that every command with a cluster has.
func (t *target) clusterFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.kubeconfig, "kubeconfig", "", "kubeconfig `file`; without it $KUBECONFIG, then ~/.kube/config")
	f.StringVar(&t.context, "context", "", "context of the kubeconfig")
}

// namespaceFlag adds -n.
func (t *target) namespaceFlag(c *cobra.Command) {
	c.Flags().StringVarP(&t.namespace, "namespace", "n", "", "namespace of the App; without it, that of the kubeconfig's context")
	_ = c.RegisterFlagCompletionFunc("namespace", t.completeNamespaces) // the flag exists
}

// allFlag adds -A.
func (t *target) allFlag(c *cobra.Command) {
	c.Flags().BoolVarP(&t.all, "all-namespaces", "A", false, "in all namespaces")
}

// ownNamespaceFlag adds --abide-namespace.
func (t *target) ownNamespaceFlag(c *cobra.Command) {
	c.Flags().StringVar(&t.abideNamespace, "abide-namespace", install.DefaultNamespace, "abide's own namespace")
}

// conn is a cluster that a command talks to.
type conn struct {
	client.WithWatch
	config *rest.Config
	// namespace that is meant where a command names none.
	namespace string
	// context's name, for messages; it may be empty.
	context string
}

// connect reads the kubeconfig. It sends no request.
func (t *target) connect(warnings io.Writer) (*conn, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: t.context}
	overrides.Context.Namespace = t.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	cfg, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("there is no kubeconfig: name one with --kubeconfig or $KUBECONFIG, or try abide on this machine with abide up")
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	c := &conn{config: cfg, context: t.context}
	if c.namespace, _, err = loader.Namespace(); err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	if raw, err := loader.RawConfig(); err == nil && c.context == "" {
		c.context = raw.CurrentContext
	}
	cfg.UserAgent = "abide-cli/" + version.Version
	cfg.QPS = -1 // the server's own fairness decides
	cfg.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	c.WithWatch, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme(), Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	return c, nil
}

// scheme knows the Go types that commands read. It is made on first use, so
// that a command without a cluster does not pay for it.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, authenticationv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // a Go type registered twice: no input can cause it
		}
	}
	return s
})

// mapper knows the resources of the kinds that commands read and remove, so
// that no command has to ask the API server for all it has.
var mapper = sync.OnceValue(func() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	add := func(group, version string, scope meta.RESTScope, kinds ...string) {
		for _, k := range kinds {
			m.Add(schema.GroupVersionKind{Group: group, Version: version, Kind: k}, scope)
		}
	}
	ns, root := meta.RESTScopeNamespace, meta.RESTScopeRoot
	add(v1alpha1.Group, v1alpha1.GroupVersion.Version, ns, v1alpha1.Kinds()...)
	add("", "v1", ns, "Secret", "Service", "ServiceAccount", "Pod")
	add("", "v1", root, "Namespace")
	add("apps", "v1", ns, "Deployment")
	add("authentication.k8s.io", "v1", root, "SelfSubjectReview")
	add("apiextensions.k8s.io", "v1", root, "CustomResourceDefinition")
	add("rbac.authorization.k8s.io", "v1", ns, "Role", "RoleBinding")
	add("rbac.authorization.k8s.io", "v1", root, "ClusterRole", "ClusterRoleBinding")
	add("admissionregistration.k8s.io", "v1", root, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
	return m
})

// NotInstalledError says that a cluster does not have abide's API.
type NotInstalledError struct{ Context string }

func (e *NotInstalledError) Error() string {
	where := "this cluster"
	if e.Context != "" {
		where = "the cluster of context " + e.Context
	}
	return "abide is not installed in " + where + ": abide install | kubectl apply --server-side -f -"
}

// explain says what to do about an error of the API server.
func (c *conn) explain(err error) error {
	var (
		status  apierrors.APIStatus
		refused *url.Error
		network net.Error
	)
	switch {
	case err == nil:
		return nil
	case notServed(err):
		return &NotInstalledError{c.context}
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server %s does not accept these credentials (%w): log in again, or name another context with --context", c.config.Host, err)
	case errors.As(err, &status):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the API server %s does not answer (%w): see that it runs, and that the context %q is the one you mean", c.config.Host, err, c.context)
	}
	return err
}

// notServed tells whether the API server does not have the kind at all: what
// answers then is not an API, and gives no Status.
func notServed(err error) bool {
	if meta.IsNoMatchError(err) {
		return true
	}
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// whoami asks the API server who it takes the user for.
func whoami(ctx context.Context, c client.Client) (string, error) {
	var r authenticationv1.SelfSubjectReview
	if err := c.Create(ctx, &r); err != nil {
		return "", fmt.Errorf("asking the API server for your user name: %w", err)
	}
	if r.Status.UserInfo.Username == "" {
		return "", errors.New("the API server gives you no user name")
	}
	return r.Status.UserInfo.Username, nil
}
