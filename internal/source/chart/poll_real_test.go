package chart_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/internal/source/chart"
)

// With a Store, over TLS: a chart repository and a registry, each seen as who
// may read it, and as who may not.
func TestPollerWithStore(t *testing.T) {
	ca := newAuthority(t)
	stable := &repo{etag: true, check: basic("ada", "s3cret")}
	for n := range 5 {
		name := fmt.Sprintf("lib%d", n)
		stable.add(t, name, "1.0.0", "", pack(t, name, "1.0.0", nil))
	}
	stable.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, log := ca.serve(t, stable.ServeHTTP)
	reg := newRegistry("team/charts/web")
	reg.push(t, "latest", pack(t, "web", "2.0.0", nil))
	registryURL, _ := ca.serve(t, reg.ServeHTTP)

	changes := make(chan []string, 100)
	var logged syncBuffer
	p := chart.NewPoller(chart.PollerOptions{
		Store: newStore(t, chart.Options{FreshFor: time.Hour}), Interval: time.Hour,
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Notify: func(names []string) { changes <- names },
	})
	go p.Run(t.Context())
	told := func(names ...string) {
		t.Helper()
		names = slices.Clone(names)
		for len(names) > 0 {
			for _, name := range <-changes {
				if !slices.Contains(names, name) {
					t.Fatalf("told of %s, waiting for %v", name, names)
				}
				names = slices.DeleteFunc(names, func(n string) bool { return n == name })
			}
		}
	}
	reads := func(name, version string) {
		t.Helper()
		tree, rev, err := p.Tree(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if text := readFile(t, tree, "Chart.yaml"); !strings.Contains(text, "version: "+version+"\n") || rev.URL != "" {
			t.Errorf("%s is %v: %s", name, rev, text)
		}
	}
	ada := chart.Identity{ID: "team/ada", Value: chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret"}}
	eve := chart.Identity{ID: "team/eve", Value: chart.Credentials{CABundle: ca.pem}}
	p.Follow("web", chart.Want{Ref: chart.Ref{Repo: url, Name: "web", Version: "~1.0"}, Credentials: ada})
	told("web")
	reads("web", "1.0.0")
	p.Follow("web-eve", chart.Want{Ref: chart.Ref{Repo: url, Name: "web", Version: "~1.0"}, Credentials: eve})
	p.Follow("tag", chart.Want{Ref: ociRef(registryURL, "latest"), Credentials: eve})
	told("tag", "web-eve")
	reads("tag", "2.0.0")
	if _, _, err := p.Tree(t.Context(), "web-eve"); !chart.IsKind(err, chart.AuthenticationFailed) {
		t.Errorf("who was refused reads: %v", err)
	}
	var libs []string
	for n := range 5 {
		name := fmt.Sprintf("lib%d", n)
		libs = append(libs, name)
		p.Follow(name, chart.Want{Ref: chart.Ref{Repo: url, Name: name}, Credentials: ada})
	}
	told(libs...)

	stable.add(t, "web", "1.0.1", "", pack(t, "web", "1.0.1", nil))
	reg.push(t, "latest", pack(t, "web", "2.1.0", nil))
	before := log.count("index.yaml")
	<-p.RefreshRepo(registryURL + "/team").Done() // not the URL of a registry
	<-p.RefreshRepo("oci" + strings.TrimPrefix(registryURL, "https") + "/team/charts").Done()
	told("tag")
	reads("tag", "2.1.0")
	<-p.RefreshRepo(url).Done()
	told("web")
	reads("web", "1.0.1")
	if n := log.count("index.yaml") - before; n != 2 {
		t.Errorf("the index was asked for %d times for six charts as two identities, want 2", n)
	}

	// The password is changed: what was read is closed, until the new one comes.
	stable.mu.Lock()
	stable.check = basic("ada", "chang3d")
	stable.mu.Unlock()
	<-p.Refresh("web").Done()
	told(append(libs, "web")...)
	if _, _, err := p.Tree(t.Context(), "web"); !chart.IsKind(err, chart.AuthenticationFailed) {
		t.Errorf("who was refused reads: %v", err)
	}
	ada.Value.Password = "chang3d"
	p.Follow("web", chart.Want{Ref: chart.Ref{Repo: url, Name: "web", Version: "~1.0"}, Credentials: ada})
	told(append(libs, "web")...)
	reads("web", "1.0.1")
	reads("lib3", "1.0.0")
	for _, secret := range []string{"s3cret", "chang3d"} {
		if strings.Contains(logged.String(), secret) {
			t.Errorf("there is a secret in the log: %s", logged.String())
		}
	}
}

// syncBuffer takes a log from many goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
