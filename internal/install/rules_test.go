package install_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/internal/install"
)

// The messages of the CEL rules, as people see them.
const (
	msgName       = "the name of an App has at most 63 characters"
	msgRepo       = "repo is a Git URL such as https://example.com/team/config.git; it has no spaces and does not start with a dash"
	msgRepoHelper = "repo must not name a Git remote helper (such as ext::): use https:// or ssh://"
	msgRepoSecret = "repo must not contain a password: put it in a Secret and name that Secret in a Repository (spec.secretRef)"
	msgPathRoot   = "path is relative to the root of the repository: leave out the leading slash"
	msgPathUp     = "path must stay inside the repository: '..' is not allowed"
	msgRef        = "ref takes exactly one of branch, tag, semver or commit; leave ref out to follow the default branch"
	msgBranch     = "branch is the bare name, such as main or release/1.2"
	msgBranchGit  = "branch is not a name that Git allows (see git help check-ref-format)"
	msgTag        = "tag is the bare name, such as v1.2.3"
	msgTagGit     = "tag is not a name that Git allows (see git help check-ref-format)"
	msgCommit     = "commit is a full hash of 40 (or 64) lower-case hexadecimal digits"
	msgNamespace  = "namespace is the name of a Kubernetes namespace: lower-case letters, digits and dashes"
	msgRelease    = "releaseName has lower-case letters, digits, dashes and dots, as Helm has it"
	msgSource     = "source takes repo (a Git repository), chart (of a chart repository or registry), or both: a chart with values from Git"
	msgSourceRef  = "ref is what to follow in repo, and there is no repo"
	msgChartRepo  = "repo of a chart is https://HOST/PATH of a chart repository or oci://HOST/PATH of a registry, without credentials"
	msgSourceName = "name has lower-case letters, digits and dashes, and is not chart"
	msgImage      = "an image takes newName, newTag or digest"
	msgImageTag   = "an image takes newTag or digest, not both"
	msgVariable   = "the name of a variable has letters, digits and underscores, and begins with no digit"
	msgURL        = "url is a Git URL or a prefix of one; it has no spaces and does not start with a dash"
	msgURLHelper  = "url must not name a Git remote helper (such as ext::): use https:// or ssh://"
	msgURLSecret  = "url must not contain a password: put it in a Secret and name that Secret in spec.secretRef"
	msgAllowed    = `allowedNamespaces holds names of namespaces, or "*" for all`
	msgInterval   = "interval is a duration between 5s and 24h, such as 30s, 5m or 1h"
	msgKinds      = `kinds takes "*" alone, for every kind of a group; the core group has its kinds named`
	msgGroup      = "group is an API group such as example.com, or *.example.com for all that end so"
	msgHealth     = "message says why an object is not healthy: what is Healthy has none, all else has one"
	msgPlan       = "plan is the digest of a plan, sha256: and 64 hexadecimal digits, as abide status shows it"
	msgApproval   = "an Approval never changes: delete it and approve the plan that you see now (abide approve APP)"
	msgPause      = "a Pause never changes: delete it (abide resume APP) and make a new one"
	msgPin        = "a Pin never changes: delete it (abide unpin APP) and make a new one (abide rollback APP)"
	msgTimeout    = "timeout is a duration between 1s and 720h, such as 90s, 10m or 2h"
)

// ruleRow puts value at field of the least object of a kind. The server takes
// it, or refuses it with nothing but message.
type ruleRow struct {
	kind, field string
	value       any
	message     string
}

func ref(name, value string) map[string]any { return map[string]any{name: value} }

// healthOf is a rule for kinds.
func healthOf(group string, kinds ...any) map[string]any {
	return map[string]any{"group": group, "kinds": kinds, "rules": []any{expression}}
}

var ruleRows = []ruleRow{
	{"App", "metadata.name", strings.Repeat("a", 63), ""},
	{"App", "metadata.name", strings.Repeat("a", 64), msgName},

	{"App", "spec.source.repo", "git@example.com:team/config.git", ""},
	{"App", "spec.source.repo", "ssh://git@[::1]:2222/config.git", ""},
	{"App", "spec.source.repo", "https://user@example.com/config.git", ""},
	{"App", "spec.source.repo", "/srv/git/config", ""},
	{"App", "spec.source.repo", "file:///srv/git/config", ""},
	{"App", "spec.source.repo", "--upload-pack=touch", msgRepo},
	{"App", "spec.source.repo", "https://example.com/a b", msgRepo},
	{"App", "spec.source.repo", "https://example.com/a\nb", msgRepo},
	{"App", "spec.source.repo", "ext::sh", msgRepoHelper},
	{"App", "spec.source.repo", "https://user:secret@example.com/x", msgRepoSecret},
	{"App", "spec.source.repo", "https://:secret@example.com/x", msgRepoSecret},

	{"App", "spec.source.path", "envs/prod/shop.yaml", ""},
	{"App", "spec.source.path", "a/..b", ""},
	{"App", "spec.source.path", "/envs", msgPathRoot},
	{"App", "spec.source.path", "envs/../../x", msgPathUp},
	{"App", "spec.source.path", "..", msgPathUp},

	{"App", "spec.source", map[string]any{"path": "x"}, msgSource},
	{"App", "spec.source", map[string]any{"chart": map[string]any{"repo": "oci://example.com/charts/web"}}, ""},
	{"App", "spec.source", map[string]any{"chart": map[string]any{"repo": "oci://example.com/charts/web"}, "ref": ref("branch", "main")}, msgSourceRef},
	{"App", "spec.source.chart", map[string]any{"repo": "https://example.com:8443", "name": "web", "version": ">=1 <2"}, ""},
	{"App", "spec.source.chart.repo", "https://ada:secret@example.com/charts", msgChartRepo},
	{"App", "spec.source.chart.repo", "git@example.com:charts", msgChartRepo},
	{"App", "spec.source.chart.repo", "https://example.com/charts?token=x", msgChartRepo},
	{"App", "spec.sources", []any{map[string]any{"name": "values", "repo": "https://example.com/x.git"}}, ""},
	{"App", "spec.sources.[].name", "chart", msgSourceName},
	{"App", "spec.sources.[].name", "../x", msgSourceName},
	{"App", "spec.sources.[].repo", "--upload-pack=touch", msgRepo},
	{"App", "spec.render.images", []any{map[string]any{"name": "nginx", "newName": "mirror/nginx"}}, ""},
	{"App", "spec.render.images.[]", map[string]any{"name": "nginx"}, msgImage},
	{"App", "spec.render.images.[]", map[string]any{"name": "nginx", "newTag": "1", "digest": "sha256:x"}, msgImageTag},
	{"App", "spec.render.substitute.variables", map[string]any{"REPLICAS_2": "3"}, ""},
	{"App", "spec.render.substitute.variables", map[string]any{"2nd": "3"}, msgVariable},
	{"App", "spec.render.helm.releaseName", "shop-1.x", ""},
	{"App", "spec.render.helm.releaseName", "Shop", msgRelease},
	{"App", "spec.render.helm.releaseName", "shop-", msgRelease},

	{"App", "spec.source.ref", ref("branch", "release/1.2"), ""},
	{"App", "spec.source.ref", ref("tag", "v1.2.3+build.4"), ""},
	{"App", "spec.source.ref", ref("semver", ">=1.2 <2"), ""},
	{"App", "spec.source.ref", ref("commit", strings.Repeat("a", 40)), ""},
	{"App", "spec.source.ref", ref("commit", strings.Repeat("a", 64)), ""},
	{"App", "spec.source.ref", map[string]any{}, msgRef},
	{"App", "spec.source.ref", map[string]any{"branch": "main", "tag": "v1"}, msgRef},
	{"App", "spec.source.ref.branch", "refs/heads/main", msgBranch},
	{"App", "spec.source.ref.branch", "-main", msgBranch},
	{"App", "spec.source.ref.branch", "/main", msgBranch},
	{"App", "spec.source.ref.branch", "main:refs/heads/x", msgBranchGit},
	{"App", "spec.source.ref.branch", "a..b", msgBranchGit},
	{"App", "spec.source.ref.branch", "a b", msgBranchGit},
	{"App", "spec.source.ref.branch", "a[b", msgBranchGit},
	{"App", "spec.source.ref.branch", `a\b`, msgBranchGit},
	{"App", "spec.source.ref.branch", "a@{1}", msgBranchGit},
	{"App", "spec.source.ref.branch", "a/", msgBranchGit},
	{"App", "spec.source.ref.tag", "refs/tags/v1", msgTag},
	{"App", "spec.source.ref.tag", "-v1", msgTag},
	{"App", "spec.source.ref.tag", "v1*", msgTagGit},
	{"App", "spec.source.ref.tag", "v1^{}", msgTagGit},
	{"App", "spec.source.ref.tag", "v1.", msgTagGit},
	{"App", "spec.source.ref.commit", "abc1234", msgCommit},
	{"App", "spec.source.ref.commit", strings.Repeat("A", 40), msgCommit},

	{"App", "spec.target.namespace", "shop-1", ""},
	{"App", "spec.target.namespace", "Shop", msgNamespace},
	{"App", "spec.target.namespace", "shop-", msgNamespace},
	{"App", "spec.target.namespace", "", msgNamespace},

	{"Repository", "spec.url", "https://example.com/team", ""},
	{"Repository", "spec.url", "ssh://git@[::1]/team", ""},
	{"Repository", "spec.url", "-x", msgURL},
	{"Repository", "spec.url", "https://example.com/a\tb", msgURL},
	{"Repository", "spec.url", "fd::3", msgURLHelper},
	{"Repository", "spec.url", "https://u:p@example.com", msgURLSecret},
	{"Repository", "spec.allowedNamespaces", []any{"*"}, ""},
	{"Repository", "spec.allowedNamespaces", []any{"team-a", "team-b"}, ""},
	{"Repository", "spec.allowedNamespaces", []any{"team-*"}, msgAllowed},
	{"HealthRule", "spec.group", "*.example.com", ""},
	{"HealthRule", "spec.group", "*", msgGroup},
	{"HealthRule", "spec.group", "example.*", msgGroup},
	{"HealthRule", "spec", healthOf("example.com", "*"), ""},
	{"HealthRule", "spec", healthOf("example.com", "*", "Database"), msgKinds},
	{"HealthRule", "spec", map[string]any{"kinds": []any{"*"}, "rules": []any{expression}}, msgKinds},
	{"HealthRule", "spec.rules.[]", map[string]any{"when": "true", "health": "Degraded"}, msgHealth},
	{"HealthRule", "spec.rules.[]", map[string]any{"when": "true", "health": "Degraded", "message": "'m'"}, ""},
	{"HealthRule", "spec.rules.[]", map[string]any{"when": "true", "health": "Healthy", "message": "'m'"}, msgHealth},
	{"App", "spec.health.rules.[]", healthOf("example.com", "*"), ""},
	{"App", "spec.health.rules.[]", healthOf("example.com", "*", "Database"), msgKinds},
	{"App", "spec.health.rules.[].group", "*.*", msgGroup},

	{"Repository", "spec.interval", "5s", ""},
	{"Repository", "spec.interval", "1h30m", ""},
	{"Repository", "spec.interval", "7.5s", ""},
	{"Repository", "spec.interval", "86400s", ""},
	{"App", "spec.sync.timeout", "90s", ""},
	{"App", "spec.sync.timeout", "0s", msgTimeout},
	{"App", "spec.sync.timeout", "721h", msgTimeout},
	{"App", "spec.sync.timeout", "ten", msgTimeout},
	{"App", "spec.sync.timeout", "-10m", msgTimeout},
	{"Repository", "spec.interval", "4s", msgInterval},
	{"Repository", "spec.interval", "25h", msgInterval},
	{"Repository", "spec.interval", "5000ms", msgInterval},
	{"Repository", "spec.interval", "99999h99999h99999h99999h99999h", msgInterval},
	{"Repository", "spec.interval", "999999999999999999999h", msgInterval},
	{"Repository", "spec.interval", "30", msgInterval},
	{"Repository", "spec.interval", "-30s", msgInterval},

	{"Approval", "spec.plan", "sha256:" + strings.Repeat("0", 64), ""},
	{"Approval", "spec.plan", "sha256:" + strings.Repeat("0", 63), msgPlan},
	{"Approval", "spec.plan", "latest", msgPlan},
}

// TestRules tries each CEL rule of the generated CRDs on the real server with
// values that it takes and values that it refuses.
func TestRules(t *testing.T) {
	sb := installed(t)
	ns := install.DefaultNamespace // whose Repositories may be shared
	for _, row := range ruleRows {
		u := object(t, minimal[row.kind])
		set(u.Object, "", strings.Split(row.field, "."), row.value)
		_, err := resource(t, sb.Config(), row.kind, ns).Create(t.Context(), u, dryRun)
		if row.message == "" {
			if err != nil {
				t.Errorf("%s %s %q: %v", row.kind, row.field, row.value, err)
			}
			continue
		}
		all := causes(err)
		if len(all) != 1 || !strings.HasSuffix(all[0].Message, ": "+row.message) {
			t.Errorf("%s %s %q: %v\nwant only %q", row.kind, row.field, row.value, err, row.message)
		}
		// The field that is named is the one that is wrong.
		if len(all) == 1 && row.message != msgName && all[0].Field != strings.ReplaceAll(row.field, ".[]", "[0]") {
			t.Errorf("%s %q is blamed on %s", row.field, row.value, all[0].Field)
		}
	}
}

// Rules on a change take an object that is there.
func TestActsNeverChange(t *testing.T) {
	sb := installed(t)
	ns := sb.Namespace(t)
	for _, row := range []ruleRow{
		{"Approval", "spec.reason", "later", msgApproval},
		{"Approval", "spec.plan", "sha256:" + strings.Repeat("1", 64), msgApproval},
		{"Pause", "spec.reason", "later", msgPause},
		{"Pin", "spec.release", int64(2), msgPin},
	} {
		client := resource(t, sb.Config(), row.kind, ns)
		u := object(t, minimal[row.kind])
		u.SetName("")
		u.SetGenerateName("x-")
		made, err := client.Create(t.Context(), u, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		set(made.Object, "", strings.Split(row.field, "."), row.value)
		_, err = client.Update(t.Context(), made, metav1.UpdateOptions{})
		if all := causes(err); len(all) != 1 || !strings.HasSuffix(all[0].Message, ": "+row.message) {
			t.Errorf("%s %s: %v\nwant only %q", row.kind, row.field, err, row.message)
		}
	}
}

// TestEveryRuleIsTried fails when a rule is added or reworded without a row.
func TestEveryRuleIsTried(t *testing.T) {
	tried := map[string]bool{msgApproval: true, msgPause: true, msgPin: true} // TestActsNeverChange
	for _, row := range ruleRows {
		tried[row.message] = true
	}
	delete(tried, "")
	stated := map[string]bool{}
	var walk func(s *apiextv1.JSONSchemaProps)
	walk = func(s *apiextv1.JSONSchemaProps) {
		for _, r := range s.XValidations {
			stated[r.Message] = true
		}
		for _, p := range s.Properties {
			walk(&p)
		}
		if s.Items != nil {
			walk(s.Items.Schema)
		}
	}
	for _, schema := range crds(t) {
		walk(schema)
	}
	for _, m := range slices.Sorted(maps.Keys(stated)) {
		if !tried[m] {
			t.Errorf("no row tries %q", m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(tried)) {
		if !stated[m] {
			t.Errorf("no CRD states %q", m)
		}
	}
}

// kubectl explain and the reference pages say something about every field.
func TestEveryFieldIsDescribed(t *testing.T) {
	var walk func(path string, s *apiextv1.JSONSchemaProps)
	walk = func(path string, s *apiextv1.JSONSchemaProps) {
		for name, p := range s.Properties {
			here := path + "." + name
			if here != strings.SplitN(here, ".", 2)[0]+".metadata" && len(p.Description) < 10 {
				t.Errorf("%s has no description", here)
			}
			walk(here, &p)
		}
		if s.Items != nil {
			walk(path+"[]", s.Items.Schema)
		}
	}
	for kind, schema := range crds(t) {
		walk(kind, schema)
	}
}
