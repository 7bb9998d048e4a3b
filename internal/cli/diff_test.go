package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/object"
)

const secretValue = "correct-horse-battery"

// live applies objects as abide does for an App, and writes them into its
// inventory.
func (w *world) live(t *testing.T, app *v1alpha1.App, flags map[string][]string, objects ...string) {
	t.Helper()
	kube, err := cluster.New(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	c, err := kube.AsController()
	if err != nil {
		t.Fatal(err)
	}
	inv := &v1alpha1.Inventory{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: app.Name + "-0"}, App: app.Name}
	for _, text := range objects {
		u := parseYAML(t, text)
		if err := object.Normalise(u); err != nil {
			t.Fatal(err)
		}
		u.SetNamespace(w.ns)
		object.Mark(u, object.App{Namespace: app.Namespace, Name: app.Name})
		kind, err := awaitKind(t.Context(), kube, u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Apply(t.Context(), kind, u, cluster.Checking); err != nil {
			t.Fatal(err)
		}
		inv.Entries = append(inv.Entries, v1alpha1.InventoryEntry{
			Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Namespace: w.ns, Name: u.GetName(), Flags: flags[u.GetName()],
		})
	}
	if err := w.Create(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
}

func parseYAML(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return u
}

func configMap(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata: " + data + "\n"
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func secretNamed(name, value string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: " + name + "\nstringData:\n  password: " + value + "\n"
}

func TestDiffOfAWorkingCopy(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "web", inSync, func(a *v1alpha1.App) { a.Spec.Source.Path = "deploy" })
	deployment := func(replicas, image string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: " + replicas + "\n" +
			"  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: web, image: \"" + image + "\"}\n"
	}
	w.live(t, app, map[string][]string{"kept": {v1alpha1.FlagNoPrune}},
		deployment("1", "web:1"), configMap("same", "{a: b}"), configMap("old", "{a: b}"), configMap("kept", "{a: b}"),
		secretNamed("login", secretValue))
	same := folder(t, map[string]string{
		"deploy/a.yaml": deployment("1", "web:1"), "deploy/b.yaml": configMap("same", "{a: b}"), "deploy/c.yaml": configMap("old", "{a: b}"),
		"deploy/d.yaml": configMap("kept", "{a: b}"), "deploy/e.yaml": secretNamed("login", secretValue),
	})
	w.abide(t, "diff", "web", "--local", same, "--exit-code").want(t, 0, "5 unchanged")

	changed := folder(t, map[string]string{
		"deploy/a.yaml": deployment("2", "web:2"), "deploy/b.yaml": configMap("same", "{a: b}"), "deploy/c.yaml": configMap("fresh", "{a: b}"),
		"deploy/e.yaml": secretNamed("login", secretValue+"-next"),
	})
	a := w.abide(t, "diff", "web", "--local", changed, "--exit-code")
	a.want(t, exitDifferences,
		"~ update Deployment.apps "+w.ns+"/web  deploy/a.yaml:1\n",
		"  spec.replicas\n  - 1\n  + 2\n",
		"  spec.template.spec.containers[name=web].image\n  - web:1\n  + web:2\n",
		"+ create ConfigMap "+w.ns+"/fresh  deploy/c.yaml:1\n",
		"- delete ConfigMap "+w.ns+"/old\n  it is no longer in Git\n",
		"forget ConfigMap "+w.ns+"/kept\n",
		"~ update Secret "+w.ns+"/login", "data.password\n  - <secret ",
		"1 unchanged")
	for _, form := range []string{"yaml", "json"} {
		b := w.abide(t, "diff", "web", "--local", changed, "-o", form)
		b.want(t, 0, "spec.replicas")
		a.out += b.out
	}
	if strings.Contains(a.out, secretValue) || strings.Contains(a.out, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5") {
		t.Errorf("the value of a Secret is shown:\n%s", a.out)
	}

	// Nothing was changed by looking.
	core := kubernetes.NewForConfigOrDie(w.Config()).CoreV1()
	if _, err := core.ConfigMaps(w.ns).Get(t.Context(), "fresh", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the diff created an object, or it can't be told: %v", err)
	}
}

func TestDiffOfForeignObjects(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync)
	core := kubernetes.NewForConfigOrDie(w.Config()).CoreV1()
	for name, annotations := range map[string]map[string]string{
		"free": nil, "helms": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name, Annotations: annotations}}
		if _, err := core.ConfigMaps(w.ns).Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	other := w.app(t, "api", inSync)
	w.live(t, other, nil, configMap("others", "{a: b}"))
	dir := folder(t, map[string]string{
		"a.yaml": configMap("free", "{}"), "b.yaml": configMap("helms", "{}"), "c.yaml": configMap("others", "{a: b}"),
		"d.yaml": "apiVersion: example.com/v1\nkind: Unknown\nmetadata:\n  name: x\n",
	})
	w.abide(t, "diff", "web", "--local", dir).want(t, 0,
		"adopt ConfigMap "+w.ns+"/free", "convert ConfigMap "+w.ns+"/helms", "Helm release n/r tracks it",
		"takeover ConfigMap "+w.ns+"/others", "App "+w.ns+"/api owns it", "create Unknown.example.com "+w.ns+"/x", "does not have its kind")

	invalid := folder(t, map[string]string{"a.yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {ports: [{port: 99999}]}\n"})
	w.abide(t, "diff", "web", "--local", invalid).want(t, 1, "a.yaml:1", "99999", "refuses some")

	broken := folder(t, map[string]string{"a.yaml": "a: [\n"})
	w.abide(t, "diff", "web", "--local", broken).want(t, 1, "a.yaml:")
}

// A namespace that abide would create is no reason for a diff to fail.
func TestDiffBeforeTheNamespaceIsThere(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync, func(a *v1alpha1.App) { a.Spec.Target.Namespace = w.ns + "-new" })
	dir := folder(t, map[string]string{"a.yaml": configMap("a", "{a: b}")})
	w.abide(t, "diff", "web", "--local", dir).want(t, 0, "create ConfigMap "+w.ns+"-new/a", "namespace "+w.ns+"-new is created for it")
}

func TestDiffOfGit(t *testing.T) {
	w := newWorld(t)
	repo := gittest.New(t)
	commit := repo.Write(map[string]string{"web/a.yaml": configMap("a", "{k: one}")}).Commit("first")
	app := w.app(t, "web", waits, func(a *v1alpha1.App) { a.Spec.Source.Repo, a.Spec.Source.Path = repo.Dir(), "web" })
	w.live(t, app, nil, configMap("a", "{k: zero}"))
	w.abide(t, "diff", "web").want(t, 0, "data.k\n  - zero\n  + one\n", "main@"+commit[:8], testDigest, "abide approve web -n "+w.ns)

	app.Spec.Source.Ref = &v1alpha1.Ref{Branch: "none"}
	if err := w.Update(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	w.abide(t, "diff", "web").want(t, 1, "none", "--local DIR")
}
