package install

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/api/v1alpha1"
)

var (
	read      = []string{"get", "list", "watch"}
	readWrite = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
)

// rule is short for one PolicyRule over one API group.
func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

// controllerRules are what the controller may do by itself in every namespace.
func controllerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		// Finalizers and annotations of Apps are written on the object itself.
		rule(v1alpha1.Group, []string{"get", "list", "watch", "update", "patch"}, "apps", "repositories"),
		rule(v1alpha1.Group, []string{"get", "update", "patch"}, "apps/status", "repositories/status", "healthrules/status"),
		rule(v1alpha1.Group, []string{"update"}, "apps/finalizers"),
		rule(v1alpha1.Group, readWrite, "inventories", "gitrefs", "releases"),
		rule(v1alpha1.Group, read, "healthrules"),
		// Acts of people: read, and cleared away with their App, never made.
		rule(v1alpha1.Group, []string{"get", "list", "watch", "delete"}, "approvals", "pauses", "pins"),
		{
			APIGroups: []string{""}, Resources: []string{"serviceaccounts"},
			Verbs: []string{"impersonate"}, ResourceNames: []string{v1alpha1.ServiceAccount},
		},
		// Is the namespace there, does the identity exist, are abide's own CRDs on
		// their way out: answered by name, with no list of each first.
		rule("", []string{"get"}, "namespaces", "serviceaccounts"),
		rule("apiextensions.k8s.io", []string{"get"}, "customresourcedefinitions"),
		rule("", []string{"create", "patch"}, "events"),
		rule("events.k8s.io", []string{"create", "patch"}, "events"),
	}
}

// ownNamespaceRules are what it may do in its own namespace besides.
func ownNamespaceRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("coordination.k8s.io", []string{"get", "list", "watch", "create", "update", "patch"}, "leases"),
		rule("", readWrite, "secrets"),
		// The head of the audit log.
		rule("", []string{"get", "create", "update"}, "configmaps"),
	}
}

// controllerRBAC is the identity of the controller and its rights.
func controllerRBAC(o Options) []runtime.Object {
	objs := []runtime.Object{
		&corev1.ServiceAccount{ObjectMeta: meta(ServiceAccount, o.Namespace)},
		clusterRole(RoleController, nil, controllerRules()),
		&rbacv1.ClusterRole{
			ObjectMeta: meta(RoleWatch, ""),
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
				{MatchLabels: map[string]string{LabelAggregateToWatch: "true"}},
			}},
		},
		clusterRole(RoleWatchShipped, map[string]string{LabelAggregateToWatch: "true"}, o.watchRules()),
		clusterRole(RoleRepositorySecrets, nil, []rbacv1.PolicyRule{rule("", []string{"get", "list", "watch"}, "secrets")}),
		&rbacv1.Role{ObjectMeta: meta(RoleOwnNamespace, o.Namespace), Rules: ownNamespaceRules()},

		clusterBinding(RoleController, RoleController, o),
		clusterBinding(RoleWatch, RoleWatch, o),
		&rbacv1.RoleBinding{
			ObjectMeta: meta(RoleOwnNamespace, o.Namespace),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: RoleOwnNamespace},
			Subjects:   controllerSubject(o),
		},
	}
	if o.watchesSecrets() {
		objs = append(objs, clusterBinding(RoleRepositorySecrets, RoleRepositorySecrets, o))
	}
	if o.ClusterAdmin {
		objs = append(objs, clusterBinding(BindingClusterAdmin, "cluster-admin", o))
	}
	return objs
}

// peopleRBAC is what joins Kubernetes' own roles for people.
func peopleRBAC() []runtime.Object {
	join := func(role string) map[string]string {
		return map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + role: "true"}
	}
	write := []string{"create", "update", "patch", "delete", "deletecollection"}
	return []runtime.Object{
		clusterRole(RoleView, join("view"), []rbacv1.PolicyRule{
			rule(v1alpha1.Group, read, "apps", "repositories", "healthrules", "approvals", "pauses", "pins", "releases", "inventories", "gitrefs"),
		}),
		clusterRole(RoleEdit, join("edit"), []rbacv1.PolicyRule{
			rule(v1alpha1.Group, write, "apps", "repositories", "healthrules"),
		}),
		clusterRole(RoleApprover, join("admin"), []rbacv1.PolicyRule{
			rule(v1alpha1.Group, []string{"get", "list", "watch", "create", "patch", "delete"}, "approvals", "pauses", "pins"),
		}),
	}
}

func clusterRole(name string, labels map[string]string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{ObjectMeta: meta(name, ""), Rules: rules}
	for k, v := range labels {
		r.Labels[k] = v
	}
	return r
}

func clusterBinding(name, role string, o Options) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta(name, ""),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   controllerSubject(o),
	}
}

func controllerSubject(o Options) []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: ServiceAccount, Namespace: o.Namespace}}
}
