package pipeline

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/release"
)

// A plan is rejected once, also where abide was killed after that was written down
// and before the status said so; the plan of a rollback is not.
func TestRejectedOnce(t *testing.T) {
	for _, c := range []struct {
		name     string
		recorded string // the desired hash of a record that says so
		pinned   bool
		want     int
	}{
		{"nothing is on record", "", false, 1},
		{"it is on record", "waits", false, 0},
		{"another one is", "other", false, 1},
		{"it is the plan of a rollback", "", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			id := object.App{Namespace: "shop", Name: "web"}
			releases := release.New(fake.NewClientBuilder().WithScheme(scheme).Build(), "own", time.Now)
			if c.recorded != "" {
				err := releases.Write(t.Context(), id, &v1alpha1.ReleaseSpec{Number: 2, AppUID: "u", DesiredHash: c.recorded, Outcome: v1alpha1.OutcomeRejected})
				if err != nil {
					t.Fatal(err)
				}
			}
			app := &v1alpha1.App{}
			app.UID = "u"
			app.Status.DesiredHash, app.Status.Plan = "waits", &v1alpha1.PlanStatus{Digest: "d"}
			if c.pinned {
				app.Status.Pinned = &v1alpha1.PinnedStatus{To: 1}
			}
			r := &run{Pipeline: &Pipeline{Releases: releases, Now: time.Now}, id: id, app: app, mem: &memory{}, desired: &desiredState{hash: "newer"}}
			r.reject()
			if n := len(r.mem.unwritten); n != c.want {
				t.Errorf("%d are to be written", n)
			}
		})
	}
}
