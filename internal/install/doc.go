// Package install makes the manifests that put abide on a cluster: values in,
// objects out. It talks to no cluster, reads no file but the CRDs that are
// embedded in it, and writes nothing.
//
// # Who may do what
//
// The controller runs as the ServiceAccount "abide" in its own namespace. What
// it may do by itself:
//
//   - list and watch the kinds in use (ClusterRole [RoleWatch]). That role has
//     no rules of its own: it collects every ClusterRole that carries the label
//     [LabelAggregateToWatch]. One such role is shipped. By default it covers
//     all kinds, Secrets among them, since a Secret that abide cannot see is one
//     whose drift it cannot heal. [Options.Watch] narrows it to named kinds; more
//     are added later with labelled ClusterRoles, without touching abide's own.
//     The verb "get" is never part of it: on "*" it would reach subresources
//     such as nodes/proxy and pods/exec.
//   - impersonate ServiceAccounts named "abide" and nobody else ([RoleController]).
//     Those can do nothing until someone grants them something, and the requests
//     that change an App's objects are made as them.
//   - write abide's own records and statuses, and Events.
//   - read Secrets by name for the credentials of Repositories
//     ([RoleRepositorySecrets]): in its own namespace always, elsewhere when
//     Secrets are watched anyway. Where they are not, bind that role in each
//     namespace whose Repositories have credentials.
//   - in its own namespace, hold its Lease and keep its own Secrets.
//
// It cannot create Approvals or Pauses. With [Options.ClusterAdmin] it may do
// everything, on behalf of the Apps of its own namespace. Whoever may create
// Apps or Pods there acts as abide: treat that namespace like kube-system.
//
// # People
//
// [RoleView] and [RoleEdit] join Kubernetes' own view and edit roles. Approvals
// and Pauses are apart, in [RoleApprover], which joins admin and can be bound by
// itself. An admission policy proves the author of both, and refuses Approvals
// that an App brings along from Git. Another refuses Repositories that allow
// other namespaces outside of abide's own.
package install
