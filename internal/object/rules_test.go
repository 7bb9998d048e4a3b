package object

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRules(t *testing.T) {
	tests := map[string]struct {
		annotations string
		want        Rules
		err         string
	}{
		"none":                 {`{}`, Rules{}, ""},
		"never pruned":         {`{abide.dev/prune: never}`, Rules{NoPrune: true}, ""},
		"pruned as usual":      {`{abide.dev/prune: always}`, Rules{}, ""},
		"created only":         {`{abide.dev/apply: create-only}`, Rules{CreateOnly: true}, ""},
		"replaced":             {`{abide.dev/apply: replace}`, Rules{Replace: true}, ""},
		"ignored":              {`{abide.dev/apply: ignore}`, Rules{Ignore: true}, ""},
		"applied as usual":     {`{abide.dev/apply: apply}`, Rules{}, ""},
		"both":                 {`{abide.dev/prune: never, abide.dev/apply: replace}`, Rules{NoPrune: true, Replace: true}, ""},
		"kept, as Helm has it": {`{helm.sh/resource-policy: " Keep"}`, Rules{NoPrune: true}, ""},
		"no policy of Helm's":  {`{helm.sh/resource-policy: delete}`, Rules{}, ""},
		"ours has the say":     {`{helm.sh/resource-policy: keep, abide.dev/prune: always}`, Rules{}, ""},
		"a mistake in prune":   {`{abide.dev/prune: nevr}`, Rules{}, `annotation abide.dev/prune is "nevr"; it takes "never" or "always"`},
		"another case":         {`{abide.dev/prune: Never}`, Rules{}, `is "Never"`},
		"a mistake in apply":   {`{abide.dev/apply: createonly}`, Rules{}, `annotation abide.dev/apply is "createonly"`},
		"a boolean, in quotes": {`{abide.dev/prune: "false"}`, Rules{}, `is "false"`},
	}
	for name, tc := range tests {
		got, err := RulesOf(object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, annotations: "+tc.annotations+"}}"))
		if tc.err == "" && (err != nil || got != tc.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: %v; a mistake must not pass for no protection", name, err)
		}
	}
}

func TestProtected(t *testing.T) {
	for _, gk := range []schema.GroupKind{
		{Kind: "Namespace"}, {Kind: "PersistentVolume"}, {Kind: "PersistentVolumeClaim"},
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, {Group: "abide.dev", Kind: "App"},
	} {
		if !Protected(gk) {
			t.Errorf("%v takes more with it than itself", gk)
		}
	}
	for _, gk := range []schema.GroupKind{{Kind: "ConfigMap"}, {Group: "example.com", Kind: "Namespace"}, {Group: "argoproj.io", Kind: "App"}} {
		if Protected(gk) {
			t.Errorf("%v is protected", gk)
		}
	}
}

func TestStageOrder(t *testing.T) {
	before := []struct {
		first, then schema.GroupKind
		why         string
	}{
		{schema.GroupKind{Kind: "Namespace"}, schema.GroupKind{Kind: "ConfigMap"}, "a namespace before its content"},
		{schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, schema.GroupKind{Group: "example.com", Kind: "Widget"}, "a definition before its instances"},
		{schema.GroupKind{Kind: "ServiceAccount"}, schema.GroupKind{Group: "apps", Kind: "Deployment"}, "the dry run of a Pod looks for its ServiceAccount"},
		{schema.GroupKind{Kind: "ConfigMap"}, schema.GroupKind{Group: "apps", Kind: "Deployment"}, "config before what reads it"},
		{schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "Role"}, schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}, "binding needs the rights of the role"},
		{schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}, schema.GroupKind{Kind: "Pod"}, "rights before who uses them"},
		{schema.GroupKind{Kind: "Service"}, schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}, "a webhook without its server blocks everything"},
		{schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}, schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}, "a policy before what puts it in force"},
	}
	for _, tc := range before {
		if StageOf(tc.first) >= StageOf(tc.then) {
			t.Errorf("%v is in stage %v, %v in %v: %s", tc.first, StageOf(tc.first), tc.then, StageOf(tc.then), tc.why)
		}
	}
	names := map[string]bool{}
	for s := range Stage(Stages) {
		if s.String() == "" || names[s.String()] {
			t.Errorf("stage %d is called %q", s, s)
		}
		names[s.String()] = true
	}
}
