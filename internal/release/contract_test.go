package release

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.RunMain(m)) }

// realStore is a Store on a real API server, in namespaces of its own: the App's
// and abide's.
func realStore(t *testing.T) (c client.Client, s *Store, app object.App, at *clock) {
	t.Helper()
	sb := sandboxtest.Shared(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(sb.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "install", "crds", "abide.dev_releases.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), crd); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	at = &clock{time.Now()}
	app = object.App{Namespace: sb.Namespace(t), Name: "web"}
	s = New(c, sb.Namespace(t), func() time.Time { return at.now })
	// The kind is served a moment after it is there.
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return s.Load(ctx) == nil, nil
	})
	if err != nil {
		t.Fatal(s.Load(t.Context()))
	}
	return c, s, app, at
}

// keepOf keeps objects of an App.
func keepOf(t *testing.T, s *Store, app object.App, all map[object.Key]*unstructured.Unstructured) []string {
	t.Helper()
	var items []Item
	for k := range all {
		items = append(items, Item{Key: k})
	}
	slices.SortFunc(items, func(a, b Item) int { return a.Key.Compare(b.Key) })
	names, err := s.Keep(t.Context(), app, items, func(context.Context, map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// record is a release with all there can be in one.
func record(app object.App, n int64, names []string, outcome v1alpha1.Outcome) *v1alpha1.ReleaseSpec {
	r := typicalRelease(app, n, names)
	r.Outcome = outcome
	r.Hooks = []v1alpha1.HookRun{{Hook: "Job web/migrate", Object: "Job web/migrate-1", When: "pre-sync", Outcome: v1alpha1.OutcomeSucceeded, StartedAt: r.StartedAt}}
	r.Heals = []v1alpha1.HealRecord{{At: *r.StartedAt, Object: "Service web/shop", By: "kubectl-edit"}}
	r.Gates = []v1alpha1.PassedGate{{Gate: "DeletionBudget", By: "alice", Reason: "it is meant"}}
	return r
}

// secretsOf are the names of the Secrets with manifests.
func secretsOf(t *testing.T, c client.Client, s *Store) []string {
	t.Helper()
	var l corev1.SecretList
	if err := c.List(t.Context(), &l, client.InNamespace(s.namespace), client.HasLabels{manifestsOf}); err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range l.Items {
		out = append(out, l.Items[i].Name)
	}
	return out
}

// TestStoreOnAPIServer: what the other tests try against a fake holds where there
// are schemas, bounds and selectors.
func TestStoreOnAPIServer(t *testing.T) {
	c, s, app, at := realStore(t)
	one := keepOf(t, s, app, objects(3, "1"))
	put := func(r *v1alpha1.ReleaseSpec) {
		t.Helper()
		if err := s.Write(t.Context(), app, r); err != nil {
			t.Fatal(err)
		}
	}
	put(record(app, 1, one, v1alpha1.OutcomeRunning))
	put(record(app, 1, one, v1alpha1.OutcomeSucceeded))
	got, err := s.Read(t.Context(), app, 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(record(app, 1, one, v1alpha1.OutcomeSucceeded), &got.Spec); d != "" {
		t.Errorf("a record is not as it was written: %s", d)
	}
	// Equal content is one Secret.
	if two := keepOf(t, s, app, objects(3, "1")); !slices.Equal(one, two) || len(secretsOf(t, c, s)) != 1 {
		t.Errorf("%v and %v, in %v", one, two, secretsOf(t, c, s))
	}
	put(record(app, 2, one, v1alpha1.OutcomeFailed))
	put(record(app, 3, keepOf(t, s, app, objects(3, "3")), v1alpha1.OutcomeSucceeded))
	if l, err := s.List(t.Context(), app); err != nil || len(l) != 3 || l[0].Spec.Number != 3 {
		t.Errorf("%d releases, %v", len(l), err)
	}

	fresh := New(c, s.namespace, func() time.Time { return at.now })
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, _ := s.Last(app)
	if n, ok := fresh.Last(app); !ok || cmp.Diff(want, n) != "" {
		t.Errorf("after a restart: %s", cmp.Diff(want, n))
	}
	if err := fresh.Trim(t.Context(), app, 2); err != nil || len(secretsOf(t, c, s)) != 2 {
		t.Errorf("what release 2 names as well goes with release 1: %v, %v", secretsOf(t, c, s), err)
	}
	if err := fresh.Trim(t.Context(), app, 1); err != nil || len(secretsOf(t, c, s)) != 1 {
		t.Errorf("%v are left, %v", secretsOf(t, c, s), err)
	}

	// The largest record there can be is one that the API server takes.
	huge := record(app, 4, nil, v1alpha1.OutcomeFailed)
	for range 2000 {
		o := v1alpha1.ReleaseObject{Object: strings.Repeat("ö", 500), Action: "update", Message: strings.Repeat("m", 3000)}
		for range 30 {
			o.Fields = append(o.Fields, v1alpha1.FieldChange{Path: strings.Repeat("p", 999), From: strings.Repeat("\xff", 999), To: strings.Repeat("é", 999)})
		}
		huge.Plan.Objects = append(huge.Plan.Objects, o)
		huge.Hooks = append(huge.Hooks, huge.Hooks[0])
	}
	if err := fresh.Write(t.Context(), app, huge); err != nil {
		t.Fatal(err)
	}
	if r, err := fresh.Read(t.Context(), app, 4); err != nil || !strings.HasSuffix(r.Spec.Message, shortened) || len(r.Spec.Plan.Objects) == 0 {
		t.Errorf("the record does not say that it is not whole: %v", err)
	}
}

// large are objects of so many bytes in all that compress badly.
func large(size int) map[object.Key]*unstructured.Unstructured {
	r := rand.New(rand.NewPCG(1, 2))
	all := objects(5, "1")
	for _, u := range all {
		var b strings.Builder
		for b.Len() < size/len(all) {
			fmt.Fprintf(&b, "%x", r.Uint64())
		}
		u.Object["data"] = map[string]any{"large": b.String()}
	}
	return all
}

// TestManifestsOnAPIServer: five megabytes that hardly compress fit into Secrets,
// which nobody can change; those that take the place of one are found out.
func TestManifestsOnAPIServer(t *testing.T) {
	c, s, app, _ := realStore(t)
	all := large(5 << 20)
	names := keepOf(t, s, app, all)
	if len(names) < 2 {
		t.Fatalf("%d parts", len(names))
	}
	got, _, err := s.Manifests(t.Context(), names)
	if err != nil || len(got) != len(all) {
		t.Fatalf("%d objects, %v", len(got), err)
	}
	for _, u := range got {
		if !cmp.Equal(all[object.KeyOf(u)].Object, u.Object) {
			t.Errorf("%s is not as it was kept", object.KeyOf(u))
		}
	}
	var secret corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: names[1]}, &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data[dataField][7] ^= 1
	if err := c.Update(t.Context(), secret.DeepCopy()); !apierrors.IsInvalid(err) {
		t.Errorf("manifests can be changed in place: %v", err)
	}
	if err := c.Delete(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if _, _, err := s.Manifests(t.Context(), names); !errors.As(err, &missing) || missing.Secret != s.namespace+"/"+names[1] {
		t.Errorf("one is gone: %v", err)
	}
	secret.ResourceVersion, secret.UID = "", ""
	if err := c.Create(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	var altered *AlteredError
	if _, _, err := s.Manifests(t.Context(), names); !errors.As(err, &altered) || altered.Object != "Secret "+s.namespace+"/"+names[1] {
		t.Errorf("one is another: %v", err)
	}
}

// TestSweepOnAPIServer: manifests that nobody names go once they are not new any
// more, and those of an App that is gone go with its releases.
func TestSweepOnAPIServer(t *testing.T) {
	c, s, app, at := realStore(t)
	named := keepOf(t, s, app, objects(3, "1"))
	if err := s.Write(t.Context(), app, record(app, 1, named, v1alpha1.OutcomeSucceeded)); err != nil {
		t.Fatal(err)
	}
	keepOf(t, s, app, objects(3, "a crash follows"))
	fresh := New(c, s.namespace, func() time.Time { return at.now })
	there := func(object.App) bool { return true }
	gone := func(a object.App) bool { return a != app }
	if err := fresh.Sweep(t.Context(), there); err == nil || len(secretsOf(t, c, s)) != 2 {
		t.Errorf("before anything is known, something is removed: %v", err)
	}
	sweep := func(exists func(object.App) bool) {
		t.Helper()
		if err := fresh.Sweep(t.Context(), exists); err != nil {
			t.Fatal(err)
		}
	}
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	sweep(there)
	if left := secretsOf(t, c, s); len(left) != 2 {
		t.Errorf("what may be about to be named is removed: %v are left", left)
	}
	at.now = at.now.Add(lookEvery + unnamedFor)
	sweep(there)
	if left := secretsOf(t, c, s); !slices.Equal(left, named) {
		t.Errorf("%v are left, and %v are named", left, named)
	}
	sweep(gone)
	if r, err := fresh.Read(t.Context(), app, 1); err != nil || r.Annotations[annotationGone] == "" {
		t.Errorf("it is not noted that the App is gone: %v", err)
	}
	sweep(there)
	if r, err := fresh.Read(t.Context(), app, 1); err != nil || r.Annotations[annotationGone] != "" {
		t.Errorf("it is not noted that the App is back: %v", err)
	}
	sweep(gone)
	at.now = at.now.Add(Outlive + time.Second)
	sweep(gone)
	if _, err := fresh.Read(t.Context(), app, 1); !errors.As(err, new(*NotFoundError)) || len(secretsOf(t, c, s)) > 0 {
		t.Errorf("%v; %v are left", err, secretsOf(t, c, s))
	}
	if _, ok := fresh.Last(app); ok {
		t.Error("it is still known")
	}
}

// TestChanges: what a record says of fields; values of Secrets are hashes that
// compare between releases, and between Stores.
func TestChanges(t *testing.T) {
	a, s, _ := start(t)
	secret, err := s.Secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	object := func(kind string, data map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": "n"}, "data": data}}
	}
	fields, total := Changes(
		object("ConfigMap", map[string]any{"a": "1", "b": "same", "empty": "x", "gone": "2", "long": "l"}),
		object("ConfigMap", map[string]any{"a": "2", "b": "same", "empty": "", "new": map[string]any{"k": "<&>"}, "long": strings.Repeat("é", 999)}), secret)
	want := []v1alpha1.FieldChange{
		{Path: "data.a", From: "1", To: "2"}, {Path: "data.empty", From: "x", To: `""`}, {Path: "data.gone", From: "2"},
		{Path: "data.long", From: "l", To: strings.Repeat("é", (maxValue-len("…"))/2) + "…"}, {Path: "data.new", To: `{"k":"<&>"}`},
	}
	if d := cmp.Diff(want, fields); d != "" || total != len(want) {
		t.Errorf("%d: %s", total, d)
	}
	fields, _ = Changes(object("Secret", map[string]any{"p": "b25l"}), object("Secret", map[string]any{"p": "dHdv"}), secret)
	again, err := New(a, own, time.Now).Secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []v1alpha1.FieldChange{{Path: "data.p", From: again("one"), To: again("two")}}; cmp.Diff(want, fields) != "" || again("one") == again("two") {
		t.Error(cmp.Diff(want, fields))
	}
	if fields, total := Changes(nil, object("ConfigMap", nil), secret); len(fields)+total > 0 {
		t.Errorf("of one that is created, %v", fields)
	}
	many := map[string]any{}
	for _, k := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		many[k] = "1"
	}
	if fields, total := Changes(object("ConfigMap", map[string]any{}), object("ConfigMap", many), secret); len(fields) != MaxFields || total != 26 {
		t.Errorf("%d of %d", len(fields), total)
	}
}
