package install_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"abide.dev/abide/internal/install"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func approval(by string) string {
	return fmt.Sprintf("kind: Approval\nmetadata: {name: a}\nspec: {app: shop, plan: %q, by: %q}", digest, by)
}

func pause(by string) string {
	return fmt.Sprintf("kind: Pause\nmetadata: {name: shop}\nspec: {by: %q}", by)
}

func pin(by string) string {
	return fmt.Sprintf("kind: Pin\nmetadata: {name: shop}\nspec: {release: 1, by: %q}", by)
}

// bound gives a user, or a ServiceAccount of the namespace, a ClusterRole in it.
func bound(t *testing.T, cfg *rest.Config, namespace, role string, subject rbacv1.Subject) {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
	if _, err := client.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// enforced waits until the admission policy is: a server takes a policy up a
// moment after it is there.
func enforced(t *testing.T, cfg *rest.Config, namespace string) {
	t.Helper()
	eventually(t, "the admission policy refuses a forged author", func() bool {
		_, err := resource(t, cfg, "Approval", namespace).Create(t.Context(), object(t, approval("somebody")), dryRun)
		return apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
	})
}

func TestPeople(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	enforced(t, sb.Config(), ns)
	const (
		app       = "kind: App\nmetadata: {name: shop}\nspec: {source: {repo: 'https://example.com/x.git'}}"
		repo      = "kind: Repository\nmetadata: {name: r}\nspec: {url: 'https://example.com/x.git'}"
		health    = "kind: HealthRule\nmetadata: {name: h}\nspec: {kinds: [X], rules: [{when: 'true', health: Healthy}]}"
		inventory = "kind: Inventory\nmetadata: {name: i}\napp: shop"
		gitref    = "kind: GitRef\nmetadata: {name: g}\nurl: 'https://example.com/x.git'\nfollows: branch main\nref: refs/heads/main"
	)
	type try struct {
		what  string
		allow bool
	}
	for _, row := range []struct {
		role string
		list bool
		try  []try
	}{
		{"view", true, []try{{app, false}, {repo, false}, {health, false}, {approval("u-view"), false}, {pause("u-view"), false}}},
		{"edit", true, []try{
			{app, true}, {repo, true}, {health, true}, {approval("u-edit"), false}, {pause("u-edit"), false}, {inventory, false}, {gitref, false},
		}},
		{"admin", true, []try{
			{app, true}, {repo, true}, {health, true}, {approval("u-admin"), true}, {pause("u-admin"), true}, {inventory, false}, {gitref, false},
		}},
		{"abide-approver", false, []try{
			{app, false}, {repo, false}, {health, false}, {approval("u-abide-approver"), true}, {pause("u-abide-approver"), true}, {inventory, false},
		}},
	} {
		user := "u-" + row.role
		bound(t, sb.Config(), ns, row.role, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user})
		cfg := sb.User(t, user)
		for _, try := range row.try {
			u := object(t, try.what)
			var err error
			create := func() bool {
				_, err = resource(t, cfg, u.GetKind(), ns).Create(t.Context(), u, dryRun)
				return err == nil
			}
			if try.allow {
				// The roles of Kubernetes take ours up a moment later.
				eventually(t, fmt.Sprintf("%s may create %s", row.role, u.GetKind()), create)
			} else if create() || !apierrors.IsForbidden(err) {
				t.Errorf("%s creates %s: %v", row.role, u.GetKind(), err)
			}
		}
		for kind := range kinds {
			if _, err := resource(t, cfg, kind, ns).List(t.Context(), metav1.ListOptions{}); row.list && err != nil {
				t.Errorf("%s does not see %s: %v", row.role, kind, err)
			}
		}
	}
}

func TestAuthorIsProved(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	enforced(t, sb.Config(), ns)
	bound(t, sb.Config(), ns, "abide-approver", rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "mallory"})
	mallory := sb.User(t, "mallory")

	for _, text := range []string{approval("alice"), pause("alice"), pin("alice")} {
		u := object(t, text)
		_, err := resource(t, mallory, u.GetKind(), ns).Create(t.Context(), u, dryRun)
		want := "spec.by is alice, and you are mallory: put your own user name there, as abide approve, pause and rollback do"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s forged: %v, want %q", u.GetKind(), err, want)
		}
	}
	// What is there keeps its author, and others may still label it.
	made, err := resource(t, mallory, "Approval", ns).Create(t.Context(), object(t, approval("mallory")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.SetLabels(map[string]string{"seen": "yes"})
	if made, err = resource(t, sb.Config(), "Approval", ns).Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Errorf("labelled by another: %v", err)
	}
	spec := made.Object["spec"].(map[string]any)
	spec["by"] = "admin"
	_, err = resource(t, sb.Config(), "Approval", ns).Update(t.Context(), made, metav1.UpdateOptions{})
	if err == nil || !strings.Contains(err.Error(), "an Approval never changes") {
		t.Errorf("another takes it over: %v", err)
	}
}

// An App that carries the approval of its own plan in Git is refused, whatever
// its identity may do.
func TestAppCannotApproveItself(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	enforced(t, sb.Config(), ns)
	bound(t, sb.Config(), ns, "cluster-admin", serviceAccount(ns, "abide"))
	cfg := sb.Config()
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + ns + ":abide", Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}
	_, err := resource(t, cfg, "Approval", ns).Create(t.Context(), object(t, approval(cfg.Impersonate.UserName)), dryRun)
	want := "an App cannot approve a plan: an Approval is made by a person, not taken from Git"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	// The same identity may do other things, so the refusal is about this one.
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), cm, dryRun); err != nil {
		t.Error(err)
	}
}

func serviceAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

func TestOnlyAbidesNamespaceSharesRepositories(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	const repo = "kind: Repository\nmetadata: {name: r}\nspec: {url: 'https://example.com/x.git', allowedNamespaces: %s}"
	want := "only a Repository in the namespace abide-system can allow other namespaces: leave out allowedNamespaces, or ask those who run abide"
	create := func(namespace, allowed string) error {
		_, err := resource(t, sb.Config(), "Repository", namespace).Create(t.Context(), object(t, fmt.Sprintf(repo, allowed)), dryRun)
		return err
	}
	eventually(t, "the admission policy is enforced", func() bool {
		err := create(ns, "['*']")
		return err != nil && strings.Contains(err.Error(), want)
	})
	if err := create(ns, "[]"); err != nil {
		t.Errorf("one that allows nobody: %v", err)
	}
	if err := create(install.DefaultNamespace, "['*']"); err != nil {
		t.Errorf("one in abide's own namespace: %v", err)
	}
}
