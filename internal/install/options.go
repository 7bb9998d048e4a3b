package install

import (
	"fmt"
	"regexp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"abide.dev/abide/internal/version"
)

// Options is what a cluster's manifests depend on. The zero value is usable.
type Options struct {
	// Namespace is abide's own; default [DefaultNamespace].
	Namespace string
	// Image of the controller; default [DefaultImage].
	Image string
	// ClusterAdmin lets the controller do everything, for the Apps of its own
	// namespace.
	ClusterAdmin bool
	// Watch narrows the kinds that the controller may list and watch, each as
	// resource or resource.group, in the plural: configmaps, deployments.apps.
	// Empty means all kinds.
	Watch []string
	// NoWorkload leaves out the Deployment and its Service, for a controller that
	// runs outside the cluster.
	NoWorkload bool
	// AuditLog is where the controller writes its audit log: a file in its Pod, or
	// "-" for standard output. None if empty.
	AuditLog string
}

// DefaultImage is the image that "make image" of this version makes.
func DefaultImage() string {
	// A "+" is allowed in a version and not in a tag.
	return "abide:" + strings.ReplaceAll(version.Version, "+", "-")
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	resourceName = regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	imageName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
)

// OptionError says which option is wrong and what it should look like.
type OptionError struct {
	Option, Value, Want string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("%s %q: want %s", e.Option, e.Value, e.Want)
}

// complete fills in the defaults and refuses what cannot work.
func (o Options) complete() (Options, error) {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if !dnsLabel.MatchString(o.Namespace) {
		return o, &OptionError{"namespace", o.Namespace, "a namespace name of at most 63 lower-case letters, digits and dashes"}
	}
	if o.Image == "" {
		o.Image = DefaultImage()
	}
	if !imageName.MatchString(o.Image) {
		return o, &OptionError{"image", o.Image, "an image reference such as registry.example.com/abide:v1.0.0"}
	}
	if o.AuditLog != "" && o.AuditLog != "-" && !strings.HasPrefix(o.AuditLog, "/") {
		return o, &OptionError{"audit log", o.AuditLog, "the absolute path of a file, or - for standard output"}
	}
	for _, w := range o.Watch {
		if !resourceName.MatchString(w) {
			return o, &OptionError{"watched kind", w, "the plural name with its group, such as configmaps or deployments.apps"}
		}
	}
	return o, nil
}

// watchRules are the rules of [RoleWatchShipped], one per API group in the order
// in which Watch names them.
func (o Options) watchRules() []rbacv1.PolicyRule {
	verbs := []string{"list", "watch"}
	if len(o.Watch) == 0 {
		return []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: verbs}}
	}
	var rules []rbacv1.PolicyRule
	at := map[string]int{}
	for _, w := range o.Watch {
		resource, group, _ := strings.Cut(w, ".")
		i, ok := at[group]
		if !ok {
			i = len(rules)
			at[group] = i
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Verbs: verbs})
		}
		rules[i].Resources = append(rules[i].Resources, resource)
	}
	return rules
}

// watchesSecrets reports whether the controller sees every Secret anyway.
func (o Options) watchesSecrets() bool {
	for _, w := range o.Watch {
		if w == "secrets" {
			return true
		}
	}
	return len(o.Watch) == 0
}
