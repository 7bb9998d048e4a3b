package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/engine"
)

// withClock makes the test binary be a controller whose clock is ahead of the
// machine's by what the file says that the variable names.
const withClock = "ABIDE_E2E_CLOCK"

// abideWithClock is abide controller, with arguments as (*world).runWithClock
// gives them. Its times have no monotonic part, so that whatever measures with
// them sees the clock jump.
func abideWithClock(file string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := func() error {
		cfg, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
		if err != nil {
			return err
		}
		e, err := engine.New(ctx, engine.Options{
			Config: cfg, CacheDir: os.Args[2], Namespace: os.Args[3], Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
			AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Now: func() time.Time {
				b, _ := os.ReadFile(file)
				ahead, _ := time.ParseDuration(string(b))
				return time.Now().Round(0).Add(ahead)
			},
		})
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestFaultClock: the clock is put back by an hour and then forward by a day.
// Drift is healed, commits are applied, kinds that come are found, an identity
// that goes is missed, and nobody waits for the clock to catch up.
func TestFaultClock(t *testing.T) {
	w := newWorld(t)
	ns, tenant := w.sandbox.Namespace(t), w.sandbox.Namespace(t)
	w.tenant(tenant, tenant)
	clock := t.TempDir() + "/ahead"
	set := func(ahead string) { must(t, os.WriteFile(clock, []byte(ahead), 0o600)) }
	set("0s")
	t.Setenv(withClock, clock)
	write := func(n int, value string) {
		w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", n, value), "tenant/c.yaml": configMap("theirs", value)})
	}
	write(4, "1")
	commit := w.repo.Commit("1")
	w.abide = start(t, w.log, w.kubeconfig, w.cache, w.own)
	app, theirs := w.app("app", "app", ns), w.app("theirs", "tenant", tenant, inNamespace(tenant))
	w.ready(app, commit)
	w.ready(theirs, commit)
	h := w.follow(ns)

	for i, ahead := range []string{"-1h", "23h"} {
		set(ahead)
		w.heals(app, ns)
		value := fmt.Sprint(i + 2)
		h.reset()
		write(3-i, value)
		commit = w.push(app, value)
		w.ready(app, commit)
		w.ready(theirs, commit)
		w.judged(commit)
		want := map[string]string{fmt.Sprintf("config-%d", 3-i): fmt.Sprintf("DELETED %d", i+1)}
		for n := range 3 - i {
			want[fmt.Sprintf("config-%d", n)] = "MODIFIED " + value
		}
		h.was(t, want)
	}

	// Seen less than a minute ago, and now in the future.
	set("22h")
	w.delete(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: v1alpha1.ServiceAccount}})
	write(2, "4")
	w.push(app, "4")
	w.says(theirs, "IdentityMissing")
	if cm := w.find(tenant, "theirs"); cm.Data["value"] != "3" {
		t.Errorf("without an identity it was applied: %v", cm.Data)
	}
}

// heals drifts an object, and waits until it is as the others are.
func (w *world) heals(app *v1alpha1.App, ns string) {
	w.t.Helper()
	w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "config-0", w.find(ns, "config-1").Data["value"])
	w.ready(app, "")
}
