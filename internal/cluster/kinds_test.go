package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// lists makes the answer of a discovery of kinds: group/version, then kinds.
func lists(served map[string][]string) []*metav1.APIResourceList {
	var out []*metav1.APIResourceList
	for gv, kinds := range served {
		l := &metav1.APIResourceList{GroupVersion: gv}
		for _, k := range kinds {
			l.APIResources = append(l.APIResources,
				metav1.APIResource{Name: "res-" + k, Kind: k, Namespaced: true, Verbs: metav1.Verbs{"get", "list"}},
				metav1.APIResource{Name: "res-" + k + "/status", Kind: k + "Status", Verbs: metav1.Verbs{"get"}})
		}
		out = append(out, l)
	}
	return out
}

func TestLookup(t *testing.T) {
	served := lists(map[string][]string{"v1": {"ConfigMap"}, "apps/v1": {"Deployment"}, "a/b/c": {"Broken"}})
	served = append(served, &metav1.APIResourceList{GroupVersion: "authorization.k8s.io/v1", APIResources: []metav1.APIResource{
		{Name: "selfsubjectaccessreviews", Kind: "SelfSubjectAccessReview", Verbs: metav1.Verbs{"create"}},
	}})
	k := &Kinds{list: func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) { return served, nil, nil }}
	if _, ok := k.Lookup(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}); ok {
		t.Error("known before the first look")
	}
	if k.Absent(schema.GroupKind{Kind: "ConfigMap"}) {
		t.Error("absent before the first look: nobody knows")
	}
	if err := k.Refresh(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	got, ok := k.Lookup(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
	if !ok || got.Resource != "res-Deployment" || !got.Namespaced || got.GVR() != (schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "res-Deployment"}) {
		t.Errorf("%+v, %t", got, ok)
	}
	for _, gvk := range []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "DeploymentStatus"},                        // a subresource
		{Group: "authorization.k8s.io", Version: "v1", Kind: "SelfSubjectAccessReview"}, // can't be read back
		{Group: "apps", Version: "v2", Kind: "Deployment"},
	} {
		if got, ok := k.Lookup(gvk); ok {
			t.Errorf("%v is %v", gvk, got)
		}
	}
	if !k.Absent(schema.GroupKind{Kind: "Widget"}) || k.Absent(schema.GroupKind{Group: "apps", Kind: "Deployment"}) {
		t.Error("absent is what the server does not have, and only that")
	}
}

func TestAnyVersion(t *testing.T) {
	for want, served := range map[string]map[string][]string{
		"v1":      {"x/v1": {"W"}, "x/v1beta1": {"W"}, "x/v1alpha1": {"W"}},
		"v10":     {"x/v2": {"W"}, "x/v10": {"W"}, "x/v9beta9": {"W"}},
		"v1beta2": {"x/v1beta1": {"W"}, "x/v1beta2": {"W"}, "x/v1": {"Other"}},
	} {
		k := &Kinds{list: func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
			return lists(served), nil, nil
		}}
		if err := k.Refresh(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got, ok := k.AnyVersion(schema.GroupKind{Group: "x", Kind: "W"}); !ok || got.Version != want {
			t.Errorf("%s, %t, want %s", got.Version, ok, want)
		}
	}
}

// TestDown: an aggregated API that can't be asked keeps the kinds it had.
func TestDown(t *testing.T) {
	served := map[string][]string{"v1": {"ConfigMap"}, "metrics/v1": {"Metric"}, "x/v1": {"W"}, "x/v2": {"W"}}
	down := map[schema.GroupVersion]error{}
	var fails error
	k := &Kinds{list: func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
		return lists(served), down, fails
	}}
	refresh := func() error { return k.Refresh(t.Context(), time.Now().Add(time.Hour)) }
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	metric := schema.GroupVersionKind{Group: "metrics", Version: "v1", Kind: "Metric"}
	delete(served, "metrics/v1")
	delete(served, "x/v1")
	delete(served, "x/v2")
	down[metric.GroupVersion()] = errors.New("no answer")
	down[schema.GroupVersion{Group: "x", Version: "v1"}] = errors.New("no answer")
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Lookup(metric); !ok {
		t.Error("a kind is forgotten while its API is down: its objects would pass for gone")
	}
	if k.Absent(schema.GroupKind{Group: "metrics", Kind: "New"}) {
		t.Error("absent, and nobody could be asked")
	}
	if _, ok := k.Lookup(schema.GroupVersionKind{Group: "x", Version: "v2", Kind: "W"}); ok {
		t.Error("the version that was there to be asked no longer has it")
	}
	if _, ok := k.Lookup(schema.GroupVersionKind{Group: "x", Version: "v1", Kind: "W"}); !ok {
		t.Error("the version that is down may still have it")
	}
	fails = errors.New("the server is down")
	if err := refresh(); !errors.Is(err, fails) {
		t.Errorf("%v", err)
	}
	if _, ok := k.Lookup(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}); !ok {
		t.Error("a look that failed took away what was known")
	}
	fails = nil
	clear(down)
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Lookup(metric); ok || !k.Absent(metric.GroupKind()) {
		t.Error("a kind is kept whose API is gone")
	}
}

func TestRefreshIsShared(t *testing.T) {
	looks := 0
	entered, leave := make(chan bool), make(chan bool)
	k := &Kinds{}
	k.list = func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
		looks++
		if looks == 1 {
			entered <- true
			<-leave
		}
		return lists(map[string][]string{"v1": {"ConfigMap"}}), nil, nil
	}
	before := time.Now().Add(-time.Second)
	var wg sync.WaitGroup
	refresh := func() {
		if err := k.Refresh(t.Context(), before); err != nil {
			t.Error(err)
		}
	}
	wg.Go(refresh)
	<-entered
	for range 5 {
		wg.Go(refresh)
	}
	leave <- true
	wg.Wait()
	if looks != 1 {
		t.Errorf("%d looks for callers that asked at the same time", looks)
	}
	if err := k.Refresh(t.Context(), time.Now().Add(time.Hour)); err != nil || looks != 2 {
		t.Errorf("%v, %d looks: the caller asked for a later one", err, looks)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Refresh(ctx, time.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) || looks != 2 {
		t.Errorf("%v, %d looks after the end of the context", err, looks)
	}
}

// TestCapabilities: what an aggregated API that is down may serve is not known,
// and is not taken for absent.
func TestCapabilities(t *testing.T) {
	served := lists(map[string][]string{"v1": {"ConfigMap"}, "apps/v1": {"Deployment"}})
	metrics := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1"}
	down := map[schema.GroupVersion]error{metrics: errors.New("down")}
	versions := 0
	k := &Kinds{
		list:    func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) { return served, down, nil },
		version: func() (string, error) { versions++; return "v1.37.2", nil },
	}
	look := func() Capabilities {
		t.Helper()
		if err := k.Refresh(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		caps, err := k.Capabilities()
		if err != nil {
			t.Fatal(err)
		}
		return caps
	}
	caps := look()
	if want := []string{"apps/v1", "apps/v1/Deployment", "v1", "v1/ConfigMap"}; !slices.Equal(caps.APIVersions, want) || caps.KubeVersion != "v1.37.2" {
		t.Errorf("%+v", caps)
	}
	if caps.Partial != "metrics.k8s.io/v1" {
		t.Errorf("what can't be told of is %q", caps.Partial)
	}
	if _, err := k.Capabilities(); err != nil || versions != 1 {
		t.Errorf("the version was asked for %d times, %v", versions, err)
	}
	served, down = append(served, lists(map[string][]string{"metrics.k8s.io/v1": {"PodMetrics"}})...), nil
	if caps := look(); caps.Partial != "" || !slices.Contains(caps.APIVersions, "metrics.k8s.io/v1/PodMetrics") {
		t.Errorf("it is back, and the capabilities are %+v", caps)
	}
	served, down = served[:2], map[schema.GroupVersion]error{metrics: errors.New("down")}
	if caps := look(); caps.Partial != "" || !slices.Contains(caps.APIVersions, "metrics.k8s.io/v1/PodMetrics") {
		t.Errorf("it is down again, and was seen before: %+v", caps)
	}
}

// TestClockPutBack: what was seen before the clock was put back is not fresh
// until the clock has caught up.
func TestClockPutBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	looks := 0
	k := &Kinds{Now: func() time.Time { return now }, list: func() ([]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
		looks++
		return lists(map[string][]string{"v1": {"ConfigMap"}}), nil, nil
	}}
	for _, step := range []struct {
		by   time.Duration
		want int
		why  string
	}{
		{0, 1, "the first look"},
		{100 * time.Millisecond, 1, "it is fresh"},
		{-time.Hour, 2, "the clock was put back"},
		{100 * time.Millisecond, 2, "it is fresh again"},
		{24 * time.Hour, 3, "the clock was put forward"},
	} {
		now = now.Add(step.by)
		if err := k.Refresh(t.Context(), now.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if looks != step.want {
			t.Errorf("%s: %d looks, want %d", step.why, looks, step.want)
		}
	}
}
