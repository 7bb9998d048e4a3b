package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/object"
)

// hostileApp is an App of a repository that means ill.
type hostileApp struct {
	files  map[string]string // below the folder of the App
	links  map[string]string
	change func(*v1alpha1.App)
	// reasons are what it may end in, and says what the message has.
	reasons []string
	says    []string
}

// taken are the ways in which a render that takes too much may end: which comes
// first depends on the machine.
var taken = []string{"DeadlineExceeded", "RenderOutOfMemory", "RendererCrashed"}

const hostileChart = "apiVersion: v2\nname: app\nversion: 1.0.0\n"

// never is a chart that loops until it is ended.
var never = hostileApp{
	files: map[string]string{
		"Chart.yaml":       hostileChart,
		"templates/a.yaml": "{{ $l := until 900000 }}{{ range $l }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}{{ end }}" + configMap("never", "1"),
	},
	reasons: []string{"DeadlineExceeded"},
}

// hostileApps has one for each class of docs/security.md. addr is where nobody
// may connect to.
func hostileApps(addr, own string, victim object.App) map[string]hostileApp {
	plugin := func(text string) map[string]string {
		return map[string]string{"kustomization.yaml": "resources: [a.yaml]\ntransformers: [p.yaml]\n", "a.yaml": configMap("a", "1"), "p.yaml": text}
	}
	function := func(body string) map[string]string {
		return plugin("apiVersion: example.com/v1\nkind: Fn\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      " + body)
	}
	chartAt := func(repo string) func(*v1alpha1.App) {
		return func(a *v1alpha1.App) {
			a.Spec.Source = v1alpha1.Source{Chart: &v1alpha1.ChartSource{Repo: repo, Name: "shop", Version: "1.x"}}
		}
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return map[string]hostileApp{
		"eats-memory": {files: map[string]string{"m.jsonnet": "local f(s, n) = if n == 0 then s else f(s + s, n - 1); {a: f('xxxxxxxxxxxxxxxx', 60)}"}, reasons: taken},
		"overflows":   {files: map[string]string{"Chart.yaml": hostileChart, "values.yaml": "t: '{{ tpl .Values.t . }}'", "templates/a.yaml": "{{ tpl .Values.t . }}"}, reasons: taken},
		"alias-bomb":  {files: map[string]string{"a.yaml": configMap("a", "1") + bomb}, reasons: []string{"TooLarge"}},
		"huge-file":   {files: map[string]string{"a.yaml": configMap("a", strings.Repeat("x", 17<<20))}, reasons: []string{"TooLarge"}},
		"documents":   {files: map[string]string{"a.yaml": strings.Repeat("---\na: b\n", 1<<20)}, reasons: []string{"TooManyObjects"}},
		"deep":        {files: map[string]string{"a.yaml": configMap("a", "1") + "deep: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)}, reasons: []string{"TooDeep"}},

		"link":         {files: map[string]string{"a.yaml": configMap("a", "1")}, links: map[string]string{"b.yaml": "/etc/passwd"}, reasons: []string{"EscapesRepository"}},
		"link-up":      {files: map[string]string{"a.yaml": configMap("a", "1")}, links: map[string]string{"b": "../../../../../../../../proc/self"}, reasons: []string{"EscapesRepository"}},
		"values-link":  {files: map[string]string{"Chart.yaml": hostileChart, "templates/a.yaml": "{{ fail (toYaml .Values) }}"}, links: map[string]string{"values.yaml": "/proc/self/environ"}, reasons: []string{"EscapesRepository"}},
		"import":       {files: map[string]string{"m.jsonnet": "importstr '/etc/passwd'"}, reasons: []string{"EscapesRepository"}},
		"loop-of-link": {links: map[string]string{"a.yaml": "a.yaml"}, reasons: []string{"LinkLoop"}},

		"odd-name": {files: map[string]string{"\xff\x1b]0;x\x07.yaml": "{"}, reasons: []string{"InvalidYAML"}},

		"plugin":    {files: plugin("apiVersion: team.example.com/v1\nkind: ExecMe\nmetadata: {name: x}\nargsOneLiner: x\n"), reasons: []string{"PluginNotAllowed"}},
		"function":  {files: function("exec: {path: /bin/sh}"), reasons: []string{"PluginNotAllowed"}},
		"container": {files: function("container: {image: x, network: true}"), reasons: []string{"PluginNotAllowed"}},

		"remote-file":   {files: map[string]string{"kustomization.yaml": "resources: ['http://" + addr + "/x.yaml']"}, reasons: []string{"RemoteBaseNotAllowed"}},
		"remote-base":   {files: map[string]string{"kustomization.yaml": "components: ['git::http://" + addr + "/a/b?ref=main']"}, reasons: []string{"RemoteBaseNotAllowed"}},
		"remote-schema": {files: map[string]string{"Chart.yaml": hostileChart, "values.schema.json": `{"$ref": "http://` + addr + `/x.json"}`, "templates/a.yaml": configMap("a", "1")}, reasons: []string{"RemoteSchemaNotAllowed"}},
		"dependency":    {files: map[string]string{"Chart.yaml": hostileChart + "dependencies: [{name: x, version: 1.0.0, repository: 'http://" + addr + "'}]\n"}, reasons: []string{"MissingDependency"}},
		"chart":         {change: chartAt("https://169.254.169.254/charts"), reasons: []string{"AddressBlocked"}},
		"chart-here":    {change: chartAt("https://" + addr + "/charts"), reasons: []string{"AddressBlocked"}},
		"registry":      {change: chartAt("oci://" + addr + "/team"), reasons: []string{"AddressBlocked"}},

		"record":   {files: map[string]string{"a.yaml": "apiVersion: abide.dev/v1alpha1\nkind: Inventory\nmetadata: {name: " + victim.Name + "-0, namespace: " + victim.Namespace + "}\napp: " + victim.Name + "\n"}, reasons: []string{"ApplyFailed", "InvalidObject"}, says: []string{"record that abide itself keeps"}},
		"own-name": {files: map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: " + own + "}\n"}, reasons: []string{"ApplyFailed"}, says: []string{own}},
		"name":     {files: map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../../" + victim.Namespace + "/configmaps/good}\n"}, reasons: []string{"ApplyFailed"}},
	}
}

// TestHostile: a tenant's repository in which everything is meant ill. Each of
// its Apps ends in an error of its own, while another tenant's App gets its
// commits. Nothing is reached, nothing is run, nothing is left over.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("what never ends takes a minute")
	}
	w := newWorld(t)
	red, blue := w.sandbox.Namespace(t), w.sandbox.Namespace(t)
	w.asInstalled()
	w.tenant(red, red)
	w.tenant(blue, blue)
	victim := object.App{Namespace: blue, Name: "good"}
	trap := newTrap(t)

	hostile := hostileApps(trap.addr, w.own, victim)
	for name, h := range hostile {
		w.add(name, h)
	}
	w.add("never", never)
	// Forged marks: the object is its own App's, whatever it says.
	w.repo.Write(map[string]string{"forged/a.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: forged\n  labels: {%s: %s}\n  annotations: {%s: %s}\ndata: {value: \"1\"}\n",
		v1alpha1.LabelApp, victim.Label(), v1alpha1.AnnotationOwner, victim)})
	w.repo.Commit("all that is bad")
	good := gittest.NewIn(t, w.repo.Root, "good.git")
	good.Write(map[string]string{"app/a.yaml": configMap("good", "0")}).Commit("first")
	goodURL := strings.TrimSuffix(w.url, w.repo.Name) + good.Name

	trap.around(w.run)
	app := w.app(victim.Name, "app", blue, inNamespace(blue), func(a *v1alpha1.App) { a.Spec.Source.Repo = goodURL })
	goesLive := func(value string) {
		t.Helper()
		good.Write(map[string]string{"app/a.yaml": configMap("good", value)}).Commit(value)
		w.refresh(app)
		w.has(blue, "good", value)
		trap.check(w.abide)
	}
	w.has(blue, "good", "0")
	apps := map[string]*v1alpha1.App{}
	for name, h := range hostile {
		apps[name] = w.app(name, name, red, inNamespace(red), func(a *v1alpha1.App) {
			if h.change != nil {
				h.change(a)
			}
		})
	}
	forged := w.app("forged", "forged", red, inNamespace(red))
	for i := range 3 {
		goesLive(fmt.Sprint("among ", i))
	}
	for name, h := range hostile {
		w.ends(apps[name], h)
	}
	w.ready(forged, "")
	if cm := w.find(red, "forged"); cm == nil || cm.Annotations[v1alpha1.AnnotationOwner] != red+"/forged" {
		t.Errorf("the object with forged marks is %+v", cm)
	}
	endless := w.app("never", "never", red, inNamespace(red))
	eventually(t, "a worker is busy with what never ends", func() error { return trap.busy(w.abide) })
	for i := range 3 {
		goesLive(fmt.Sprint("meanwhile ", i))
	}
	w.ends(endless, never)
	goesLive("after")
	w.ready(app, good.Head("main"))
	trap.check(w.abide)
	w.abide.stop()
	eventually(t, "nothing is left of the controller", trap.left)
}

// add writes the files of an App to the repository.
func (w *world) add(name string, h hostileApp) {
	for file, text := range h.files {
		w.repo.Write(map[string]string{name + "/" + file: text})
	}
	for file, target := range h.links {
		w.repo.Symlink(name+"/"+file, target)
	}
}

// ends waits until an App says one of its reasons.
func (w *world) ends(app *v1alpha1.App, h hostileApp) {
	w.t.Helper()
	eventually(w.t, "App "+app.Name+" says "+strings.Join(h.reasons, " or "), func() error {
		now := w.get(app)
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionFalse || !slices.Contains(h.reasons, c.Reason) {
			return fmt.Errorf("it says %+v", c)
		}
		for _, word := range h.says {
			if !strings.Contains(c.Message, word) {
				return fmt.Errorf("it says %q, without %q", c.Message, word)
			}
		}
		all, err := json.Marshal(now.Status)
		if text := string(all); err != nil || len(text) > 64<<10 || strings.Contains(text, "root:") || strings.Contains(text, bait) {
			w.t.Errorf("its status is too large, or has what is not its own: %.2000s", text)
		}
		return nil
	})
}
