package install_test

import (
	"strings"
	"testing"

	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"abide.dev/abide/internal/install"
)

// controller is a client with the token of the installed identity.
func controller(t *testing.T, admin *rest.Config) *rest.Config {
	t.Helper()
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.CoreV1().ServiceAccounts(install.DefaultNamespace).
		CreateToken(t.Context(), install.ServiceAccount, &authnv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(admin)
	cfg.BearerToken = token.Status.Token
	return cfg
}

// attributes reads "verb resource.group/subresource namespace name"; a dash is
// no namespace.
func attributes(text string) *authzv1.ResourceAttributes {
	words := append(strings.Fields(text), "", "")
	resource, sub, _ := strings.Cut(words[1], "/")
	resource, group, _ := strings.Cut(resource, ".")
	a := &authzv1.ResourceAttributes{
		Verb: words[0], Resource: resource, Group: group, Subresource: sub, Namespace: words[2], Name: words[3],
	}
	if a.Namespace == "-" {
		a.Namespace = ""
	}
	return a
}

func TestControllerMay(t *testing.T) {
	sb := installed(t)
	client, err := kubernetes.NewForConfig(controller(t, sb.Config()))
	if err != nil {
		t.Fatal(err)
	}
	may := func(text string) bool {
		review := &authzv1.SelfSubjectAccessReview{Spec: authzv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes(text)}}
		got, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status.Allowed
	}
	// The aggregated role is filled by the control plane.
	eventually(t, install.RoleWatch+" is aggregated", func() bool { return may("watch deployments.apps") })

	for _, row := range []struct {
		what string
		want bool
		why  string
	}{
		{"list configmaps", true, "drift is seen by watching"},
		{"watch secrets", true, "also that of Secrets"},
		{"watch widgets.example.com", true, "and of kinds that come later"},
		{"get pods/exec team pod", false, "watching is not running commands"},
		{"get nodes/proxy - node", false, "nor reaching the kubelet"},
		{"get configmaps team x", false, "objects are read as their App's identity"},
		{"create configmaps team", false, "and written as it"},
		{"patch deployments.apps team x", false, "and written as it"},
		{"delete namespaces - team", false, "and removed as it"},
		{"create namespaces", false, "namespaces too are created as it"},
		{"get namespaces - team", true, "is the target there"},
		{"get serviceaccounts team abide", true, "does the identity exist"},
		{"get customresourcedefinitions.apiextensions.k8s.io - apps.abide.dev", true, "is abide on its way out"},
		{"delete customresourcedefinitions.apiextensions.k8s.io - apps.abide.dev", false, "a CRD takes all its objects along"},

		{"impersonate serviceaccounts team abide", true, "the identity of an App"},
		{"impersonate serviceaccounts team default", false, "nobody else's"},
		{"impersonate users - admin", false, "no person's"},
		{"impersonate groups - system:masters", false, "no group's"},

		{"update apps.abide.dev team x", true, "finalizers"},
		{"patch apps.abide.dev/status team x", true, "status"},
		{"patch repositories.abide.dev/status team x", true, "status"},
		{"create apps.abide.dev team", false, "Apps are made by people, or as an App's identity"},
		{"delete apps.abide.dev team x", false, "and deleted by them"},
		{"create inventories.abide.dev team", true, "records"},
		{"delete inventories.abide.dev team x", true, "records"},
		{"update gitrefs.abide.dev abide-system x", true, "records"},
		{"watch healthrules.abide.dev", true, "what people say of the health of kinds"},
		{"patch healthrules.abide.dev/status abide-system x", true, "status"},
		{"patch healthrules.abide.dev abide-system x", false, "and never changed"},
		{"list approvals.abide.dev", true, "acts of people are read"},
		{"create approvals.abide.dev team", false, "and never made"},
		{"create pauses.abide.dev team", false, "and never made"},
		{"create pins.abide.dev team", false, "and never made"},
		{"create events.events.k8s.io team", true, "what happened"},
		{"create events team", true, "what happened, as controller-runtime still writes it"},

		{"update leases.coordination.k8s.io abide-system abide", true, "its own lease"},
		{"update leases.coordination.k8s.io kube-system x", false, "nobody else's"},
		{"create secrets abide-system", true, "keys of its own"},
		{"create secrets team", false, "nowhere else"},
		{"get secrets team x", true, "the credentials of a Repository there"},
		{"create clusterrolebindings.rbac.authorization.k8s.io", false, "it cannot raise itself"},
		{"create pods abide-system", false, "nor start anything"},
		{"create serviceaccounts/token team abide", false, "nor take a token"},
	} {
		if got := may(row.what); got != row.want {
			t.Errorf("%s: %v, want %v (%s)", row.what, got, row.want, row.why)
		}
	}
}

// The same with real requests, since impersonation is what isolates tenants.
func TestControllerActsAsAppsOnly(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	cfg := controller(t, sb.Config())
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	create := func(as string) error {
		c := rest.CopyConfig(cfg)
		c.Impersonate.UserName = as
		client, err := kubernetes.NewForConfig(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CoreV1().ConfigMaps(ns).Create(t.Context(), cm, dryRun)
		return err
	}
	identity := "system:serviceaccount:" + ns + ":abide"
	for _, row := range []struct{ as, want string }{
		{"", `User "system:serviceaccount:abide-system:abide" cannot create resource "configmaps"`},
		{identity, `User "` + identity + `" cannot create resource "configmaps"`},
		{"system:serviceaccount:" + ns + ":default", `cannot impersonate resource "serviceaccounts"`},
		{"admin", `cannot impersonate resource "users"`},
	} {
		if err := create(row.as); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("as %q: %v, want %q", row.as, err, row.want)
		}
	}
	bound(t, sb.Config(), ns, "edit", serviceAccount(ns, "abide"))
	eventually(t, "the identity may do what it was granted", func() bool { return create(identity) == nil })
}
