package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// TestDrift: what somebody changes of what Git says is put right, and nothing
// else is touched.
func TestDrift(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 4, "1")})
	commit := w.repo.Commit("four")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	before := w.find(ns, "config-0")

	w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
	if healed := w.has(ns, "config-0", "1"); healed.UID != before.UID {
		t.Error("a changed object was replaced, and not healed")
	}

	w.delete(cmNamed(ns, "config-1"))
	w.has(ns, "config-1", "1")

	// Without its label the watch sees it go, though it is there.
	uid := w.find(ns, "config-2").UID
	w.patch(cmNamed(ns, "config-2"), "meddler", fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelApp))
	eventually(t, "the label is back", func() error {
		if cm := w.find(ns, "config-2"); cm == nil || cm.UID != uid || cm.Labels[v1alpha1.LabelApp] == "" {
			return fmt.Errorf("it is %+v", cm)
		}
		return nil
	})
	w.ready(app, commit)

	// A field that Git does not set is nobody's business. The drift after it
	// shows that the controller has seen it.
	since := now()
	w.patch(cmNamed(ns, "config-3"), "meddler", `{"data":{"foreign":"field"},"metadata":{"labels":{"foreign":"label"}}}`)
	w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "config-0", "1")
	w.ready(app, commit)
	if got := about(w.writes(since), "config-3"); len(got) != 0 {
		t.Errorf("a field that is not in Git was changed, and abide sent %v", got)
	}
	if cm := w.find(ns, "config-3"); cm.Data["foreign"] != "field" || cm.Labels["foreign"] != "label" {
		t.Errorf("a foreign field was removed: %+v", cm)
	}
}

// TestHealIsOff: with heal off a drift is said and left alone, and a change in
// Git is applied all the same.
func TestHealIsOff(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 2, "1")})
	commit := w.repo.Commit("two")
	w.run()
	app := w.ready(w.app("app", "app", ns, func(a *v1alpha1.App) { a.Spec.Sync.Heal = new(bool) }), commit)

	since := now()
	w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.says(app, "Drifted", "config-0", "spec.sync.heal is off")
	w.delete(cmNamed(ns, "config-1"))
	eventually(t, "both are named", func() error {
		if a := w.get(app).Status.Objects.Attention; len(a) != 2 {
			return fmt.Errorf("it names %v", a)
		}
		return nil
	})
	if toObjects, _ := split(w.writes(since)); len(toObjects) != 0 {
		t.Errorf("with heal off, abide sent %v", toObjects)
	}
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 2, "2")})
	w.ready(app, w.push(app, "new values"))
	w.has(ns, "config-0", "2")
	w.has(ns, "config-1", "2")
}

// TestNamespaceDeleted: the target namespace comes back, with all that was in it.
func TestNamespaceDeleted(t *testing.T) {
	w := newWorld(t)
	target := w.fresh("target")
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 4, "1") + "---\n" + deployment("web")})
	commit := w.repo.Commit("six")
	w.run()
	app := w.ready(w.app("app", "app", target), commit)
	uid := w.find(target, "config-0").UID
	w.delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: target}})
	eventually(t, "all is there anew", func() error {
		cm := w.find(target, "config-0")
		if cm == nil || cm.UID == uid {
			return fmt.Errorf("config-0 is %+v", cm)
		}
		return nil
	})
	w.ready(app, commit)
	if n := len(w.configMaps(target)); n != 4 {
		t.Errorf("there are %d ConfigMaps, want 4", n)
	}
	// What was created anew is known by its new uid: it can be removed.
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 3, "1") + "---\n" + deployment("web")})
	w.ready(app, w.push(app, "one goes"))
	w.gone(&corev1.ConfigMap{}, target, "config-3")
}

// TestContest: an object that somebody changes back each time is left for a
// while, and the App says who does it.
func TestContest(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 2, "1")})
	commit := w.repo.Commit("two")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"value":"theirs"}}`))
			w.client.Patch(ctx, cmNamed(ns, "config-0"), patch, client.FieldOwner("autoscaler"))
		}
	}()
	message := w.says(app, "Contested", "config-0", "autoscaler")
	stop()
	<-done
	if !strings.Contains(message, "take the field out of Git") {
		t.Errorf("the message says not what to do: %s", message)
	}
	// The others of the App go on being healed.
	w.patch(cmNamed(ns, "config-1"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "config-1", "1")
}
