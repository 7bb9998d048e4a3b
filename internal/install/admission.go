package install

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/api/v1alpha1"
)

const (
	// On an update spec.by may stay as it was, whoever changes a label or a
	// finalizer; the CRD keeps the rest of spec as it is.
	authorRule = `object.spec.by == request.userInfo.username || ` +
		`(request.operation == "UPDATE" && object.spec.by == oldObject.spec.by)`
	authorMessage = `"spec.by is " + object.spec.by + ", and you are " + request.userInfo.username + ` +
		`": put your own user name there, as abide approve, pause and rollback do"`

	// An App whose identity may create Approvals could else carry the approval of
	// its own plan in Git.
	personRule = `request.operation != "CREATE" || request.resource.resource != "approvals" || ` +
		`!request.userInfo.username.matches("^system:serviceaccount:[^:]+:` + v1alpha1.ServiceAccount + `$")`
	personMessage = "an App cannot approve a plan: an Approval is made by a person, not taken from Git"
)

// admission proves the author of Approvals, Pauses and Pins, and says at once what a
// Repository may not do: a CRD's own rules do not see the namespace.
func admission(o Options) []runtime.Object {
	author := policy(PolicyAuthor, []string{"approvals", "pauses", "pins"},
		admissionv1.Validation{Expression: authorRule, MessageExpression: authorMessage, Message: "spec.by must be your own user name"},
		admissionv1.Validation{Expression: personRule, Message: personMessage})
	sharing := policy(PolicySharing, []string{"repositories"}, admissionv1.Validation{
		Expression: fmt.Sprintf(`object.metadata.namespace == %q || !has(object.spec.allowedNamespaces) || object.spec.allowedNamespaces.size() == 0`, o.Namespace),
		Message:    "only a Repository in the namespace " + o.Namespace + " can allow other namespaces: leave out allowedNamespaces, or ask those who run abide",
	})
	return append(author, sharing...)
}

// policy is an admission policy over kinds of abide, and its binding.
func policy(name string, resources []string, validations ...admissionv1.Validation) []runtime.Object {
	fail := admissionv1.Fail
	return []runtime.Object{
		&admissionv1.ValidatingAdmissionPolicy{
			ObjectMeta: meta(name, ""),
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: &fail,
				MatchConstraints: &admissionv1.MatchResources{
					ResourceRules: []admissionv1.NamedRuleWithOperations{{
						RuleWithOperations: admissionv1.RuleWithOperations{
							Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
							Rule: admissionv1.Rule{
								APIGroups:   []string{v1alpha1.Group},
								APIVersions: []string{"*"},
								Resources:   resources,
							},
						},
					}},
				},
				Validations: validations,
			},
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: meta(name, ""),
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName:        name,
				ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		},
	}
}
