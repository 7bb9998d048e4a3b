package release

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

const own = "abide-system"

var web = object.App{Namespace: "shop", Name: "web"}

// api is an API server's storage with a record of the requests.
type api struct {
	client.WithWatch
	mu       sync.Mutex
	requests []string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	a := &api{}
	note := func(verb string, o client.Object) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = append(a.requests, verb+" "+o.GetName())
	}
	a.WithWatch = fake.NewClientBuilder().WithScheme(s).
		WithIndex(&v1alpha1.Release{}, fieldApp, func(o client.Object) []string { return []string{o.(*v1alpha1.Release).Spec.App} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				note("get", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: key.Name}})
				return c.Get(ctx, key, o, opts...)
			},
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				note("create", o)
				if at := o.GetCreationTimestamp(); at.IsZero() {
					o.SetCreationTimestamp(metav1.NewTime(time.Unix(1_700_000_000, 0)))
				}
				return c.Create(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				note("patch", o)
				return c.Patch(ctx, o, p, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				note("delete", o)
				return c.Delete(ctx, o, opts...)
			},
		}).Build()
	return a
}

// sent are the requests since the last call, the names of Secrets without hashes.
func (a *api) sent() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.requests
	a.requests = nil
	for i, r := range out {
		if before, _, ok := strings.Cut(r, namePrefix); ok {
			out[i] = before + namePrefix
		}
	}
	return out
}

type clock struct{ now time.Time }

func start(t *testing.T) (*api, *Store, *clock) {
	t.Helper()
	a, at := newAPI(t), &clock{time.Unix(1_700_000_000, 0)}
	s := New(a, own, func() time.Time { return at.now })
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.sent()
	return a, s, at
}

// objects are n of them; value changes the first.
func objects(n int, value string) map[object.Key]*unstructured.Unstructured {
	out := map[object.Key]*unstructured.Unstructured{}
	for i := range n {
		u := typical(i+1, 0)
		if i == 0 {
			unstructured.SetNestedField(u.Object, value, "data", "value")
		}
		out[object.KeyOf(u)] = u
	}
	return out
}

func keep(t *testing.T, s *Store, all map[object.Key]*unstructured.Unstructured, hooks ...object.Key) (names []string, fetched int) {
	t.Helper()
	var items []Item
	for k, u := range all {
		hash, err := object.Hash(u)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{Key: k, Hash: hash, Hook: slices.Contains(hooks, k)})
	}
	slices.SortFunc(items, func(a, b Item) int { return a.Key.Compare(b.Key) })
	names, err := s.Keep(t.Context(), web, items, func(_ context.Context, keys map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
		fetched += len(keys)
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, fetched
}

func write(t *testing.T, s *Store, n int64, hash string, names []string, o v1alpha1.Outcome) {
	t.Helper()
	at := metav1.NewMicroTime(time.Unix(1_700_000_000+n, 0))
	err := s.Write(t.Context(), web, &v1alpha1.ReleaseSpec{App: "web", AppUID: "u", Number: n, DesiredHash: hash, Trigger: v1alpha1.TriggerCommit, Outcome: o, StartedAt: &at, Manifests: names})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeep: what was kept comes back as it was; a change of one object of many is
// packed and stored with its neighbours alone, and what is there is not stored again.
func TestKeep(t *testing.T) {
	a, s, _ := start(t)
	one := objects(200, "1")
	hook := object.KeyOf(typical(2, 0))
	names, fetched := keep(t, s, one, hook)
	write(t, s, 1, "h1", names, v1alpha1.OutcomeSucceeded)
	if fetched != 200 || len(names) < 4 {
		t.Errorf("%d objects fetched, %d Secrets", fetched, len(names))
	}
	got, hooks, err := s.Manifests(t.Context(), names)
	if err != nil || len(hooks) != 1 || object.KeyOf(hooks[0]) != hook {
		t.Fatalf("%v, hooks %v", err, hooks)
	}
	for _, u := range append(got, hooks...) {
		if d := cmp.Diff(one[object.KeyOf(u)].Object, u.Object); d != "" {
			t.Errorf("%s: %s", object.KeyOf(u), d)
		}
	}
	if len(got) != 199 {
		t.Errorf("%d objects", len(got))
	}

	a.sent()
	two := objects(200, "2")
	again, fetched := keep(t, s, two, hook)
	if fetched > 2*groupSize || fetched == 0 {
		t.Errorf("one of 200 objects changed, and %d were fetched", fetched)
	}
	if sent := a.sent(); len(sent) != 1 || sent[0] != "create "+namePrefix {
		t.Errorf("it sent %v", sent)
	}
	// What the newest release rendered of one object takes a group to tell.
	changed := object.KeyOf(typical(1, 0))
	before, err := s.Kept(t.Context(), web, map[object.Key]bool{changed: true})
	if err != nil || before[changed] == nil {
		t.Fatalf("%v, %v", before, err)
	}
	if v, _, _ := unstructured.NestedString(before[changed].Object, "data", "value"); err != nil || v != "1" {
		t.Errorf("%v, %v", before, err)
	}
	write(t, s, 2, "h2", again, v1alpha1.OutcomeSucceeded)
	a.sent()
	// Back to what it was: it is there.
	back, _ := keep(t, s, one, hook)
	if sent := a.sent(); len(sent) != 0 || !slices.Equal(back, names) {
		t.Errorf("it sent %v", sent)
	}
}

// TestHookOrder: hooks come back in the order in which they were kept, which is that
// in which they run, of however many objects.
func TestHookOrder(t *testing.T) {
	_, s, _ := start(t)
	all := objects(100, "1")
	var items []Item
	var want []object.Key
	for k := range all { // in any order
		items = append(items, Item{Key: k, Hash: "x", Hook: len(want) < 20})
		if len(want) < 20 {
			want = append(want, k)
		}
	}
	names, err := s.Keep(t.Context(), web, items, func(context.Context, map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, hooks, err := s.Manifests(t.Context(), names)
	var got []object.Key
	for _, u := range hooks {
		got = append(got, object.KeyOf(u))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v, and not %v", err, got, want)
	}
}

// TestHooksStayOnRecord: a record that is too long leaves out objects before it
// leaves out a hook: that would run again after a restart.
func TestHooksStayOnRecord(t *testing.T) {
	r := &v1alpha1.ReleaseSpec{Number: 1}
	for i := range MaxObjects {
		r.Plan.Objects = append(r.Plan.Objects, v1alpha1.ReleaseObject{Object: fmt.Sprintf("ConfigMap %s/%d", strings.Repeat("n", 500), i), Action: "create"})
	}
	for i := range MaxHooks {
		r.Hooks = append(r.Hooks, v1alpha1.HookRun{Hook: fmt.Sprintf("Job shop/%d", i), Object: fmt.Sprintf("Job shop/%d-1-abcdef", i), When: "pre-sync", Outcome: v1alpha1.OutcomeRunning})
	}
	got, err := bounded(r)
	if err != nil || len(got.Hooks) != MaxHooks || len(got.Plan.Objects) == 0 {
		t.Errorf("%v: %d hooks, %d objects", err, len(got.Hooks), len(got.Plan.Objects))
	}
}

// TestRestart: what a Store knows it knows after a restart.
func TestRestart(t *testing.T) {
	a, s, _ := start(t)
	names, _ := keep(t, s, objects(3, "1"))
	write(t, s, 1, "h1", names, v1alpha1.OutcomeSucceeded)
	write(t, s, 2, "h2", nil, v1alpha1.OutcomeFailed)
	again := New(a, own, time.Now)
	if err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, _ := s.Last(web)
	if got, ok := again.Last(web); !ok || cmp.Diff(want, got) != "" || got.Number != 2 || got.Healthy == nil || got.Healthy.Number != 1 {
		t.Errorf("%v %+v", ok, got)
	}
	a.sent()
	if _, err := again.Kept(t.Context(), web, map[object.Key]bool{object.KeyOf(typical(1, 0)): true}); err == nil && len(a.sent()) > 1 {
		t.Error("of a release without manifests nothing is read")
	}
	if _, _, err := again.Manifests(t.Context(), names); err != nil {
		t.Error(err)
	}
}

// TestLargeManifests: what is too much for one Secret is cut, and comes back whole.
func TestLargeManifests(t *testing.T) {
	_, s, _ := start(t)
	r := rand.New(rand.NewPCG(1, 2))
	all := objects(1, "1")
	for k, u := range all {
		var b strings.Builder
		for b.Len() < 3<<20 { // which compresses badly
			fmt.Fprintf(&b, "%x", r.Uint64())
		}
		unstructured.SetNestedField(u.Object, b.String(), "data", "large")
		all[k] = u
	}
	names, _ := keep(t, s, all)
	if len(names) < 2 {
		t.Fatalf("%d parts", len(names))
	}
	got, _, err := s.Manifests(t.Context(), names)
	if err != nil || len(got) != 1 || cmp.Diff(all[object.KeyOf(got[0])].Object, got[0].Object) != "" {
		t.Errorf("%d objects, %v", len(got), err)
	}
}

// TestAltered: manifests that are not as they were written are not used, and the
// error names the Secret.
func TestAltered(t *testing.T) {
	a, s, _ := start(t)
	names, _ := keep(t, s, objects(3, "1"))
	others, _ := keep(t, s, objects(3, "2"))
	id := client.ObjectKey{Namespace: own, Name: names[0]}
	var secret, other corev1.Secret
	if err := errors.Join(a.Get(t.Context(), id, &secret), a.Get(t.Context(), client.ObjectKey{Namespace: own, Name: others[0]}, &other)); err != nil {
		t.Fatal(err)
	}
	for why, change := range map[string]func(*corev1.Secret){
		"a byte":                 func(s *corev1.Secret) { s.Data[dataField][20] ^= 1 },
		"cut":                    func(s *corev1.Secret) { s.Data[dataField] = s.Data[dataField][:10] },
		"another's, as they are": func(s *corev1.Secret) { s.Data[dataField] = other.Data[dataField] },
		"another App":            func(s *corev1.Secret) { s.Annotations[manifestsOf] = "shop/api" },
		"another type":           func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque },
	} {
		changed := secret.DeepCopy()
		change(changed)
		changed.ResourceVersion, changed.Immutable = "", nil
		if err := a.WithWatch.Delete(t.Context(), secret.DeepCopy()); err != nil {
			t.Fatal(err)
		}
		if err := a.WithWatch.Create(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		var altered *AlteredError
		if _, _, err := s.Manifests(t.Context(), names); !errors.As(err, &altered) || !strings.Contains(err.Error(), names[0]) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := a.WithWatch.Delete(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if _, _, err := s.Manifests(t.Context(), names); !errors.As(err, &missing) {
		t.Errorf("gone: %v", err)
	}
	a.sent()
	if keep(t, s, objects(3, "1")); !slices.Contains(a.sent(), "create "+namePrefix) {
		t.Error("what was seen to be gone is not stored again")
	}
}

// TestTrim: the oldest go, with what only they had; never the newest, the newest
// that succeeded, or one that is held.
func TestTrim(t *testing.T) {
	a, s, _ := start(t)
	for n := range int64(6) {
		names, _ := keep(t, s, objects(3, fmt.Sprint(n/2))) // two and two are equal
		o := v1alpha1.OutcomeFailed
		if n == 2 {
			o = v1alpha1.OutcomeSucceeded
		}
		write(t, s, n+1, fmt.Sprint(n), names, o)
	}
	a.sent()
	if err := s.Trim(t.Context(), web, 2, 1); err != nil {
		t.Fatal(err)
	}
	var l v1alpha1.ReleaseList
	if err := a.List(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	var left []string
	for i := range l.Items {
		left = append(left, l.Items[i].Name)
	}
	if d := cmp.Diff([]string{"web-1", "web-3", "web-6"}, left); d != "" {
		t.Error(d)
	}
	var secrets corev1.SecretList
	if err := a.List(t.Context(), &secrets, client.HasLabels{manifestsOf}); err != nil || len(secrets.Items) != 3 {
		t.Errorf("%d Secrets are left, %v", len(secrets.Items), err)
	}
	a.sent()
	if err := s.Trim(t.Context(), web, 10, 1); err != nil || len(a.sent()) > 0 {
		t.Error("with nothing to remove, something was sent")
	}
}

// TestOutlive: releases stay for a while after their App is gone, also over a
// restart, and then go with what they kept; a new App goes on counting.
func TestOutlive(t *testing.T) {
	a, s, at := start(t)
	names, _ := keep(t, s, objects(3, "1"))
	write(t, s, 1, "h", names, v1alpha1.OutcomeSucceeded)
	there, gone := func(object.App) bool { return true }, func(object.App) bool { return false }
	s.Forget(web)
	if err := s.Sweep(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	at.now = at.now.Add(6 * 24 * time.Hour)
	again := New(a, own, func() time.Time { return at.now })
	if err := errors.Join(again.Load(t.Context()), again.Sweep(t.Context(), gone)); err != nil {
		t.Fatal(err)
	}
	if n, ok := again.Last(web); !ok || n.Number != 1 {
		t.Errorf("too early it is gone: %+v", n)
	}
	if err := again.Sweep(t.Context(), there); err != nil { // it is back
		t.Fatal(err)
	}
	at.now = at.now.Add(2 * 24 * time.Hour)
	if err := again.Sweep(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Last(web); !ok {
		t.Error("the time begins anew when the App was back")
	}
	at.now = at.now.Add(8 * 24 * time.Hour)
	if err := again.Sweep(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	var l v1alpha1.ReleaseList
	var secrets corev1.SecretList
	if err := errors.Join(a.List(t.Context(), &l), a.List(t.Context(), &secrets, client.HasLabels{manifestsOf})); err != nil || len(l.Items)+len(secrets.Items) > 0 {
		t.Errorf("%v, left are %d releases and %d Secrets", err, len(l.Items), len(secrets.Items))
	}
}

// TestWrite: the same is not sent twice, a number is not given twice, and a record
// that was deleted is written anew.
func TestWrite(t *testing.T) {
	a, s, _ := start(t)
	write(t, s, 1, "h", nil, v1alpha1.OutcomeRunning)
	write(t, s, 1, "h", nil, v1alpha1.OutcomeRunning)
	write(t, s, 1, "h", nil, v1alpha1.OutcomeSucceeded)
	if d := cmp.Diff([]string{"create web-1", "patch web-1"}, a.sent()); d != "" {
		t.Error(d)
	}
	other := New(a, own, time.Now) // that has not seen it
	at := metav1.NewMicroTime(time.Unix(1, 0))
	err := other.Write(t.Context(), web, &v1alpha1.ReleaseSpec{App: "web", AppUID: "u", Number: 1, DesiredHash: "another", StartedAt: &at})
	if taken := (*TakenError)(nil); !errors.As(err, &taken) {
		t.Errorf("the number of another release: %v", err)
	}
	if err := a.WithWatch.Delete(t.Context(), &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"}}); err != nil {
		t.Fatal(err)
	}
	write(t, s, 1, "h", nil, v1alpha1.OutcomeFailed)
	if r, err := s.Read(t.Context(), web, 1); err != nil || r.Spec.Outcome != v1alpha1.OutcomeFailed {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.Read(t.Context(), web, 2); err == nil || !errors.As(err, new(*NotFoundError)) {
		t.Errorf("one that there is not: %v", err)
	}
	huge := &v1alpha1.ReleaseSpec{App: "web", Number: 2, Message: strings.Repeat("é\xff", 5000)}
	for range 3000 {
		huge.Plan.Objects = append(huge.Plan.Objects, v1alpha1.ReleaseObject{Object: strings.Repeat("o", 300), Action: "create", Message: strings.Repeat("m", 3000)})
	}
	if err := s.Write(t.Context(), web, huge); err != nil {
		t.Fatal(err)
	}
	r, err := s.Read(t.Context(), web, 2)
	if b, _ := jsonLine(r); err != nil || len(b) > MaxRecord+2000 || len(huge.Plan.Objects) != 3000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
