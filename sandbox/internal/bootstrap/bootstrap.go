// Package bootstrap puts the objects into a cluster that every cluster has:
// RBAC's default roles and bindings, the system's priority classes, and what
// the sandbox's own parts need (kwok's role, a default storage class).
//
// Roles are reconciled, not only created: a data directory of an older sandbox
// gets the permissions of this one, and nothing a user added is taken away.
// What an earlier run of the nodes left behind, their leases, is removed.
package bootstrap

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	rbac "k8s.io/component-helpers/auth/rbac/reconciliation"
	schedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"abide.dev/abide/sandbox/internal/simulate"
)

const (
	parallel = 8
	patience = 30 * time.Second
	again    = 20 * time.Millisecond
)

// ReplacedHooks are the names of upstream's post-start hooks whose work Ensure
// does.
func ReplacedHooks() []string {
	return []string{"rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes"}
}

// Ensure creates or reconciles all objects and returns when they are there.
func Ensure(ctx context.Context, loopback *rest.Config) error {
	cfg := rest.CopyConfig(loopback)
	cfg.QPS = -1
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return inParallel(ctx, append(rbacJobs(cs), otherJobs(cs)...))
}

type job func(context.Context) error

func inParallel(ctx context.Context, jobs []job) error {
	var (
		wg    sync.WaitGroup
		queue = make(chan job)
		mu    sync.Mutex
		errs  []error
	)
	for range parallel {
		wg.Go(func() {
			for j := range queue {
				if err := untilDone(ctx, j); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	wg.Wait()
	return errors.Join(errs...)
}

// untilDone repeats j: its namespace may be on its way, and two of these jobs
// may both want to create it.
func untilDone(ctx context.Context, j job) error {
	for {
		err := j(ctx)
		if err == nil {
			return nil
		}
		t := time.NewTimer(again)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

func rbacJobs(cs kubernetes.Interface) []job {
	var jobs []job
	role := func(r rbac.RuleOwner, c rbac.RuleOwnerModifier) {
		jobs = append(jobs, func(context.Context) error {
			_, err := (&rbac.ReconcileRoleOptions{Role: r, Client: c, Confirm: true}).Run()
			return err
		})
	}
	binding := func(b rbac.RoleBinding, c rbac.RoleBindingModifier) {
		jobs = append(jobs, func(context.Context) error {
			_, err := (&rbac.ReconcileRoleBindingOptions{RoleBinding: b, Client: c, Confirm: true}).Run()
			return err
		})
	}
	clusterRoles := append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...)
	for _, r := range append(clusterRoles, kwokRole()) {
		role(rbac.ClusterRoleRuleOwner{ClusterRole: &r}, rbac.ClusterRoleModifier{Client: cs.RbacV1().ClusterRoles()})
	}
	clusterBindings := append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...)
	for _, b := range append(clusterBindings, kwokBinding()) {
		binding(rbac.ClusterRoleBindingAdapter{ClusterRoleBinding: &b}, rbac.ClusterRoleBindingClientAdapter{Client: cs.RbacV1().ClusterRoleBindings()})
	}
	for _, roles := range bootstrappolicy.NamespaceRoles() {
		for _, r := range roles {
			role(rbac.RoleRuleOwner{Role: &r}, rbac.RoleModifier{Client: cs.RbacV1(), NamespaceClient: cs.CoreV1().Namespaces()})
		}
	}
	for _, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		for _, b := range bindings {
			binding(rbac.RoleBindingAdapter{RoleBinding: &b}, rbac.RoleBindingClientAdapter{Client: cs.RbacV1(), NamespaceClient: cs.CoreV1().Namespaces()})
		}
	}
	return jobs
}

func otherJobs(cs kubernetes.Interface) []job {
	var jobs []job
	for _, pc := range schedulingv1.SystemPriorityClasses() {
		jobs = append(jobs, func(ctx context.Context) error {
			_, err := cs.SchedulingV1().PriorityClasses().Create(ctx, pc, metav1.CreateOptions{})
			return unlessExists(err)
		})
	}
	return append(jobs, func(ctx context.Context) error {
		_, err := cs.StorageV1().StorageClasses().Create(ctx, storageClass(), metav1.CreateOptions{})
		return unlessExists(err)
	}, func(ctx context.Context) error {
		// The kwok of an earlier run holds them for 40 s, in which the new one
		// would touch no node. There cannot be two, since DIR is locked.
		return cs.CoordinationV1().Leases(corev1.NamespaceNodeLease).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	})
}

func unlessExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func storageClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        simulate.StorageClass,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: simulate.Provisioner,
	}
}

func kwokBinding() rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: simulate.User},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: simulate.User},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: simulate.User}},
	}
}

func kwokRole() rbacv1.ClusterRole {
	rule := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	return rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: simulate.User},
		Rules: []rbacv1.PolicyRule{
			rule("", []string{"nodes", "services", "persistentvolumeclaims"}, "get", "list", "watch"),
			rule("", []string{"pods", "persistentvolumes"}, "get", "list", "watch", "create", "patch", "update", "delete"),
			rule("", []string{"nodes/status", "pods/status", "services/status"}, "patch", "update"),
			rule("", []string{"events"}, "create", "patch", "update"),
			rule("coordination.k8s.io", []string{"leases"}, "get", "list", "watch", "create", "patch", "update"),
		},
	}
}
