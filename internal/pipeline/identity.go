package pipeline

import (
	"cmp"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
)

// assume becomes the identity that the App acts as.
func (r *run) assume(ctx context.Context) bool {
	var err error
	if r.id.Namespace == r.Namespace {
		if r.client, err = r.Cluster.AsController(); err != nil {
			return r.fail(ReasonClusterFailed, err)
		}
		return r.mayDelete(ctx)
	}
	if r.client, err = r.Cluster.AsTenant(r.id.Namespace); err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	return r.mayDelete(ctx)
}

// objectError is an error of the API server about an object, with what to do if
// the App's identity lacks the right.
func (r *run) objectError(k object.Key, err error) *apply.ObjectError {
	grant := "Apps in abide's own namespace can do what its controller can: abide install --cluster-admin lets them do everything"
	if r.id.Namespace != r.Namespace {
		grant = fmt.Sprintf("grant it to the ServiceAccount that this App acts as, for example: kubectl create rolebinding %s -n %s --clusterrole=edit --serviceaccount=%s:%s",
			v1alpha1.ServiceAccount, cmp.Or(k.Namespace, r.id.Namespace), r.id.Namespace, v1alpha1.ServiceAccount)
		if k.Namespace == "" {
			grant = fmt.Sprintf("grant it to ServiceAccount %s/%s, which this App acts as, by a ClusterRoleBinding", r.id.Namespace, v1alpha1.ServiceAccount)
		}
	}
	return &apply.ObjectError{Key: k, Err: err, Grant: grant}
}

// identity checks, before the first request of a run that is made as a tenant,
// that the tenant's identity exists: the server would let abide act as one that
// does not.
func (r *run) identity(ctx context.Context) bool {
	// After the clock was put back, an identity was last seen in the future.
	if age := r.Now().Sub(r.mem.identityAt); r.client.Namespace == "" || age >= 0 && age < identityFresh {
		return true
	}
	if err := Identity(ctx, r.Cluster, r.id.Namespace); err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	r.mem.identityAt = r.Now()
	return true
}

// IdentityError says that the identity of a namespace does not exist.
type IdentityError struct{ Namespace string }

func (e *IdentityError) Error() string {
	return fmt.Sprintf("Apps in namespace %s act as its ServiceAccount %q, and there is none: create it (kubectl create serviceaccount %s -n %s) and grant it what the App needs",
		e.Namespace, v1alpha1.ServiceAccount, v1alpha1.ServiceAccount, e.Namespace)
}

// Reason is the reason for a condition.
func (e *IdentityError) Reason() string { return ReasonIdentityMissing }

// Identity tells whether the identity that Apps of a namespace act as exists; an
// [*IdentityError] says that it does not.
func Identity(ctx context.Context, kube *cluster.Cluster, namespace string) error {
	self, err := kube.AsController()
	if err != nil {
		return err
	}
	_, err = self.Get(ctx, cluster.ServiceAccounts, namespace, v1alpha1.ServiceAccount)
	if apierrors.IsNotFound(err) {
		return &IdentityError{namespace}
	}
	return err
}

// mayDelete decides, for an App that is being deleted, whether what it owns is
// removed with it or left behind.
func (r *run) mayDelete(ctx context.Context) bool {
	if !r.deleting {
		return true
	}
	if r.app.Spec.DeletionPolicy == v1alpha1.DeletionPolicyOrphan {
		r.orphaning = "spec.deletionPolicy is Orphan"
		return true
	}
	self, err := r.Cluster.AsController()
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	going := func(k cluster.Kind, namespace, name string) (bool, error) {
		u, err := self.Get(ctx, k, namespace, name)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return u.GetDeletionTimestamp() != nil, nil
	}
	for _, c := range []struct {
		kind      cluster.Kind
		ns, name  string
		orphaning string
	}{
		{cluster.CustomResourceDefinitions, "", "apps." + v1alpha1.Group, "abide itself is being removed"},
		{cluster.Namespaces, "", r.Namespace, "abide's own namespace is being removed"},
		{cluster.Namespaces, "", r.id.Namespace, "the namespace of the App is being removed, and its identity with it"},
	} {
		gone, err := going(c.kind, c.ns, c.name)
		if err != nil {
			return r.fail(ReasonClusterFailed, fmt.Errorf("asking for %s %s: %w", c.kind.Kind, c.name, err))
		}
		if gone {
			r.orphaning = c.orphaning
			return true
		}
	}
	return r.tenantRemains(ctx)
}

// tenantRemains orphans what a tenant's App owns when the tenant's identity is
// gone: nobody is left to act as.
func (r *run) tenantRemains(ctx context.Context) bool {
	if r.client.Namespace == "" {
		return true
	}
	self, err := r.Cluster.AsController()
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	_, err = self.Get(ctx, cluster.ServiceAccounts, r.id.Namespace, v1alpha1.ServiceAccount)
	if apierrors.IsNotFound(err) {
		r.orphaning = "the identity of the App is gone"
		return true
	}
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	return true
}
