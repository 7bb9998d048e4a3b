// Package v1alpha1 holds the API types of abide, group abide.dev. It has no
// behaviour: defaults, bounds and cross-field rules are markers from which the
// CRDs are generated, so that the API server enforces them.
//
// The kinds:
//
//   - [App]: a folder in Git, and where it should be true. The one kind a user
//     must know.
//   - [Repository]: optional settings for a Git URL or URL prefix.
//   - [HealthRule]: how healthy objects of some kinds are.
//   - [Approval], [Pause] and [Pin]: acts of people. Each has an author who is proved
//     by the API server, and its own RBAC.
//   - [Inventory] and [GitRef]: records that abide keeps. Nobody edits them.
//
// +kubebuilder:object:generate=true
// +groupName=abide.dev
package v1alpha1
