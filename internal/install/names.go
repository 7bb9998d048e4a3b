package install

import "abide.dev/abide/api/v1alpha1"

// Names of what is installed. Uninstalling needs them.
const (
	// DefaultNamespace is abide's own namespace unless [Options.Namespace] says
	// otherwise.
	DefaultNamespace = "abide-system"
	// ServiceAccount is the controller's identity, in abide's own namespace.
	ServiceAccount = v1alpha1.ServiceAccount
	// Deployment is the name of the controller's Deployment.
	Deployment = "abide"
	// MetricsService is the name of the Service in front of the metrics.
	MetricsService = "abide-metrics"

	// RoleController is the ClusterRole of what the controller writes and whom it
	// impersonates.
	RoleController = "abide-controller"
	// RoleWatch is the aggregated ClusterRole of what the controller watches.
	RoleWatch = "abide-watch"
	// RoleWatchShipped is the ClusterRole that abide ships into RoleWatch.
	RoleWatchShipped = "abide-watch-kinds"
	// RoleRepositorySecrets is the ClusterRole to read the credentials that
	// Repositories name.
	RoleRepositorySecrets = "abide-repository-secrets"
	// RoleOwnNamespace is the Role in abide's own namespace.
	RoleOwnNamespace = "abide"
	// BindingClusterAdmin is the ClusterRoleBinding that [Options.ClusterAdmin]
	// adds.
	BindingClusterAdmin = "abide-cluster-admin"

	// RoleView is the ClusterRole to see Apps and what abide says about them. It
	// joins the role view.
	RoleView = "abide-view"
	// RoleEdit is the ClusterRole to change Apps and Repositories. It joins the
	// role edit.
	RoleEdit = "abide-edit"
	// RoleApprover is the ClusterRole to approve plans and to pause Apps. It
	// joins the role admin.
	RoleApprover = "abide-approver"

	// PolicyAuthor is the ValidatingAdmissionPolicy, and its binding, that prove
	// the author of an Approval, a Pause or a Pin.
	PolicyAuthor = "abide-authenticated-author"
	// PolicySharing is the ValidatingAdmissionPolicy, and its binding, that lets
	// only Repositories of abide's own namespace allow others.
	PolicySharing = "abide-repository-sharing"

	// LabelAggregateToWatch with the value "true" puts the rules of a ClusterRole
	// into RoleWatch.
	LabelAggregateToWatch = "rbac.abide.dev/aggregate-to-watch"
)

// Ports and paths of the controller's Pod.
const (
	MetricsPort = 8080
	HealthPort  = 8081
	CacheDir    = "/var/cache/abide"
)
