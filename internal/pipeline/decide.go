package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

const (
	// kindsFresh is how old the list of kinds may be when a kind is missing.
	kindsFresh = time.Second
	// kindsAgain is when to look for a missing kind again, at first and at last.
	kindsFirst = time.Second
	kindsAgain = 10 * time.Second
	// kindsSoon is the same, just after a definition was applied.
	kindsSoon = 250 * time.Millisecond
	// watchAgain is when to look again at a kind whose watch is failing.
	watchAgain = 30 * time.Second
	// identityFresh is how long an identity that was seen is taken to exist.
	identityFresh = time.Minute
	// deletionAgain is when to look again at objects that are slow to go and
	// that no watch tells of.
	deletionAgain = 5 * time.Second
)

// observe makes sure that the records of every kind in question are there.
func (r *run) observe(ctx context.Context) bool {
	r.inventory = r.Inventories.Entries(r.id)
	kinds := append([]cluster.Kind(nil), r.desired.kinds...)
	have := map[schema.GroupVersionKind]bool{}
	for _, k := range kinds {
		have[k.GroupVersionKind] = true
	}
	r.kinds = map[schema.GroupVersionKind]cluster.Kind{}
	refreshed := false
	for _, e := range r.inventory {
		gvk := schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind}
		if _, done := r.kinds[gvk]; done {
			continue
		}
		kind, ok := r.kindOf(gvk)
		if !ok && !refreshed {
			refreshed = true
			if err := r.Cluster.Kinds.Refresh(ctx, r.Now().Add(-kindsFresh)); err != nil {
				return r.fail(ReasonClusterFailed, err)
			}
			kind, ok = r.kindOf(gvk)
		}
		if !ok {
			continue // its definition is gone, or hidden: see remove
		}
		r.kinds[gvk] = kind
		if !have[kind.GroupVersionKind] {
			have[kind.GroupVersionKind] = true
			kinds = append(kinds, kind)
		}
	}
	pending := r.Tracker.Use(r.id, kinds)
	for _, p := range pending {
		if p.Err != nil {
			r.again(watchAgain)
			r.out.Err = p.Err
			return r.stop(v1alpha1.StateFailed, ReasonWatchFailed,
				"abide can't watch %s, and so can't tell what is there: %s", object.GVKString(p.Kind), p.Err)
		}
	}
	if len(pending) > 0 {
		return r.pass(ReasonObserving, "reading what is there of %s", object.GVKString(pending[0].Kind))
	}
	return true
}

// kindOf finds the kind in that version or, if it is no longer served, another.
func (r *run) kindOf(gvk schema.GroupVersionKind) (cluster.Kind, bool) {
	if k, ok := r.Cluster.Kinds.Lookup(gvk); ok {
		return k, true
	}
	return r.Cluster.Kinds.AnyVersion(gvk.GroupKind())
}

// compute makes the plan from what is known now.
func (r *run) compute(context.Context) bool {
	maps.Copy(r.facts, r.mem.left)
	r.plan = plan.Compute(plan.Input{
		App:       r.id,
		Desired:   r.desired.list,
		Inventory: r.inventory,
		Observed:  r.Tracker.Observed,
		Facts:     r.facts,
		Wants:     r.Claims.Wants,
		Prune:     r.deleting || r.app.Spec.Sync.Prune == nil || *r.app.Spec.Sync.Prune,
		Heal:      r.heals(),
	})
	r.out.Plan = r.plan
	if r.orphaning != "" {
		for i := range r.plan.Steps {
			r.plan.Steps[i].Action, r.plan.Steps[i].Why = plan.Forget, r.orphaning
		}
		return true
	}
	return r.holdBack() && r.restrain()
}

func (r *run) heals() bool { return r.app.Spec.Sync.Heal == nil || *r.app.Spec.Sync.Heal }

// holdBack keeps the plan from deleting what another App may want or takes.
func (r *run) holdBack() bool {
	deletes := r.plan.Select(plan.Delete)
	if len(deletes) == 0 {
		return true
	}
	failed, open, children := r.blockers()
	if open != "" {
		r.Claims.Wait(r.id)
		return r.pass(ReasonJudging, "before anything is removed, %s has to be looked at: it may have taken it over", open)
	}
	held := ""
	switch {
	case children != "":
		// It is this very plan that makes them.
		held = fmt.Sprintf("it would be removed, but not before %s has been looked at: it may take it over", children)
	case failed != "" && !r.deleting:
		held = fmt.Sprintf("it would be removed, but %s fails and may want it: repair that App first", failed)
	case len(r.desired.unknown) > 0:
		held = fmt.Sprintf("it would be removed, but not while the API server does not know %s", object.GVKString(r.desired.unknown[0]))
	}
	for _, s := range deletes {
		why := held
		if t, ok := r.Claims.Wanter(r.id, s.Key); ok {
			why = fmt.Sprintf("App %s takes it over", t.App)
			if t.Unable != "" {
				why = fmt.Sprintf("App %s has it in Git now and should take it over, but is %s", t.App, t.Unable)
			}
		}
		if why != "" {
			s.Action, s.Why, s.Reason = plan.Keep, why, ReasonHandover
			r.pruning = false
		}
	}
	if !r.pruning {
		r.Claims.Wait(r.id)
	}
	return true
}

// blockers names the Apps that keep this one from pruning: those that fail,
// those that have not been looked at, and of these those that this App has
// itself to create first. An empty string stands for none.
func (r *run) blockers() (failed, open, children string) {
	var f, o, c []object.App
	for _, b := range r.Claims.Barrier(r.id) {
		k := object.Key{Group: v1alpha1.Group, Kind: "App", Namespace: b.App.Namespace, Name: b.App.Name}
		_, child := r.desired.gvks[k]
		e := r.inventory[k]
		switch {
		case b.Failed && len(f) == 0: // one is enough to name
			f = append(f, b.App)
		case b.Failed:
		case child && (e == nil || e.UID == ""):
			c = append(c, b.App)
		default:
			o = append(o, b.App)
		}
	}
	return nameApps(f), nameApps(o), nameApps(c)
}

// nameApps names one of a few Apps; many come and go too fast to be named, and
// each name would be a write of the status.
func nameApps(apps []object.App) string {
	const few = 3
	switch {
	case len(apps) == 0:
		return ""
	case len(apps) > few:
		return "every other App of the repository"
	}
	return "App " + apps[0].String()
}

// restrain slows down the heals of objects that somebody keeps changing back.
func (r *run) restrain() bool {
	now := r.Now()
	for _, s := range r.plan.Select(plan.Heal) {
		wait, by, heals := r.mem.contested(s.Key, now)
		if wait <= 0 {
			continue
		}
		s.Action, s.Reason = plan.Keep, ReasonContested
		s.Why = fmt.Sprintf("%s keeps changing it: healed %d times, each time changed again; make %s leave it alone, or take the field out of Git", name(by), heals, name(by))
		r.again(wait)
	}
	return true
}

func name(manager string) string {
	if manager == "" {
		return "somebody"
	}
	return manager
}

// refuse ends a run that would take what another App owns and wants.
func (r *run) refuse() bool {
	refused := r.plan.Select(plan.Refuse)
	if len(refused) == 0 {
		return true
	}
	r.Claims.Wait(r.id)
	for _, b := range r.Claims.Barrier(r.id) {
		if !b.Failed {
			return r.pass(ReasonJudging, "App %s has to be looked at first: it may let go of %s", b.App, refused[0].Key)
		}
	}
	for _, s := range refused {
		r.trouble(s.Key, ReasonConflict, s.Why)
	}
	r.out.Err = fmt.Errorf("%s: %s", refused[0].Key, refused[0].Why)
	return r.stop(v1alpha1.StateFailed, ReasonConflict, "%s", r.out.Err)
}

func (r *run) busy() v1alpha1.State {
	if r.deleting {
		return v1alpha1.StateDeleting
	}
	return v1alpha1.StateProgressing
}

// gate ends a run whose plan may not be executed without asking.
func (r *run) gate(ctx context.Context) bool {
	if r.in.Pause != nil && !r.deleting {
		return r.paused()
	}
	// What somebody changed is put right whatever the rest has to wait for; the
	// digest of what waits is then not changed by it either.
	if !r.heal(ctx) || !r.refuse() {
		return false
	}
	gates := r.gates()
	if len(gates) == 0 {
		return true
	}
	// What is asked about is the whole plan: first learn what is there of the
	// objects that are new to the App, so that the digest stands.
	if changed, ok := r.survey(ctx); !ok {
		return false
	} else if changed {
		if !r.compute(ctx) || !r.refuse() {
			return false
		}
		if gates = r.gates(); len(gates) == 0 {
			return true
		}
	}
	digest := r.plan.Digest()
	if r.approved(digest) {
		return true
	}
	messages := make([]string, len(gates))
	for i, g := range gates {
		messages[i] = g.Message
	}
	what := strings.Join(messages, "; ")
	r.out.Waiting = &v1alpha1.PlanStatus{
		Digest: digest, Commit: r.out.Head.Commit, Gate: gates[0].Reason, Message: what,
		Create: int32(r.plan.Count(plan.Create)),
		Update: int32(r.plan.Count(plan.Update, plan.Heal)),
		Adopt:  int32(r.plan.Count(plan.Adopt, plan.Convert, plan.Take)),
		Delete: int32(r.plan.Count(plan.Delete)),
	}
	state := v1alpha1.StateWaiting
	return r.stop(state, gates[0].Reason, "the plan waits for an approval: %s; look at it with: abide diff %s -n %s, and let it go on with: abide approve %s -n %s",
		what, r.id.Name, r.id.Namespace, r.id.Name, r.id.Namespace)
}

// approved tells whether somebody has approved the plan, or the one that this is
// what is left of: deletes that take their time are not asked about again.
func (r *run) approved(digest string) bool {
	asked := map[object.Key]bool{}
	for _, s := range r.plan.Select(plan.Delete, plan.Convert) {
		asked[s.Key] = true
	}
	left := true
	for k := range asked {
		left = left && r.mem.approved.objects[k]
	}
	for i := range r.in.Approvals {
		switch p := r.in.Approvals[i].Spec.Plan; {
		case p == digest:
			r.mem.approved = approval{digest, asked}
			return true
		case left && p == r.mem.approved.digest:
			return true
		}
	}
	return false
}

// gates are why the plan has to wait.
func (r *run) gates() []plan.Gate {
	gates := r.plan.Gates(r.budget(), r.deleting)
	if n := r.plan.Count(plan.Delete); n > 0 && r.vanished() {
		gates = append(gates, plan.Gate{Reason: gateRenderer, Message: fmt.Sprintf(
			"the kustomization of %s is gone, and what it made would be deleted with it (%s): put it back, or approve the plan if it is meant",
			r.app.Spec.Source.Path, count(n, "object"))})
	}
	return gates
}

// gateRenderer is the reason of a gate, beside those of package plan.
const gateRenderer = "RendererVanished"

func (r *run) budget() plan.Budget {
	b := plan.Budget{MaxObjects: 5, MaxPercent: 25}
	spec := r.app.Spec.Sync.DeletionBudget
	if spec.MaxObjects != nil {
		b.MaxObjects = int(*spec.MaxObjects)
	}
	if spec.MaxPercent != nil {
		b.MaxPercent = int(*spec.MaxPercent)
	}
	return b
}

// paused ends the run of a paused App, with what it would do.
func (r *run) paused() bool {
	m := pauseMessage(r.in.Pause)
	if n := r.plan.Count(plan.Create, plan.Update, plan.Heal, plan.Adopt, plan.Convert, plan.Take, plan.Delete); n > 0 {
		m += fmt.Sprintf("; %s would change", count(n, "object"))
	}
	for _, s := range r.plan.Select(plan.Heal, plan.Delete, plan.Update) {
		r.trouble(s.Key, ReasonPaused, "would be changed ("+string(s.Action)+")")
	}
	return r.stop(v1alpha1.StatePaused, ReasonPaused, "%s", m)
}

// assume becomes the identity that the App acts as.
func (r *run) assume(ctx context.Context) bool {
	var err error
	if r.id.Namespace == r.Namespace {
		if r.client, err = r.Cluster.AsController(); err != nil {
			return r.fail(ReasonClusterFailed, err)
		}
		return r.mayDelete(ctx)
	}
	if r.client, err = r.Cluster.AsTenant(r.id.Namespace); err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	return r.mayDelete(ctx)
}

// objectError is an error of the API server about an object, with what to do if
// the App's identity lacks the right.
func (r *run) objectError(k object.Key, err error) *apply.ObjectError {
	grant := "Apps in abide's own namespace can do what its controller can: abide install --cluster-admin lets them do everything"
	if r.id.Namespace != r.Namespace {
		grant = fmt.Sprintf("grant it to the ServiceAccount that this App acts as, for example: kubectl create rolebinding %s -n %s --clusterrole=edit --serviceaccount=%s:%s",
			v1alpha1.ServiceAccount, cmp.Or(k.Namespace, r.id.Namespace), r.id.Namespace, v1alpha1.ServiceAccount)
		if k.Namespace == "" {
			grant = fmt.Sprintf("grant it to ServiceAccount %s/%s, which this App acts as, by a ClusterRoleBinding", r.id.Namespace, v1alpha1.ServiceAccount)
		}
	}
	return &apply.ObjectError{Key: k, Err: err, Grant: grant}
}

// identity checks, before the first request of a run that is made as a tenant,
// that the tenant's identity exists: the server would let abide act as one that
// does not.
func (r *run) identity(ctx context.Context) bool {
	if r.client.Namespace == "" || r.Now().Sub(r.mem.identityAt) < identityFresh {
		return true
	}
	self, err := r.Cluster.AsController()
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	_, err = self.Get(ctx, cluster.ServiceAccounts, r.id.Namespace, v1alpha1.ServiceAccount)
	if apierrors.IsNotFound(err) {
		return r.fail(ReasonIdentityMissing, fmt.Errorf(
			"Apps in namespace %s act as its ServiceAccount %q, and there is none: create it (kubectl create serviceaccount %s -n %s) and grant it what the App needs",
			r.id.Namespace, v1alpha1.ServiceAccount, v1alpha1.ServiceAccount, r.id.Namespace))
	}
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	r.mem.identityAt = r.Now()
	return true
}

// survey reads the objects that are new to the App and of which nothing is
// known yet; changed tells that something was learnt.
func (r *run) survey(ctx context.Context) (changed, ok bool) {
	var items []apply.Item
	for _, s := range r.plan.Select(plan.Create) {
		if _, known := r.facts[s.Key]; known {
			continue
		}
		it, have := r.stub(s.Key)
		if !have {
			continue // a kind that is not there has no objects
		}
		items = append(items, it)
	}
	if len(items) == 0 {
		return false, true
	}
	if !r.identity(ctx) {
		return false, false
	}
	for _, res := range r.Executor.Read(ctx, r.client, items) {
		if res.Err != nil {
			k := object.KeyOf(res.Object)
			return false, r.fail(ReasonApplyFailed, r.objectError(k, res.Err))
		}
		r.learn(res)
	}
	return true, true
}

// learn notes what a read told of an object.
func (r *run) learn(res apply.Result) {
	k := object.KeyOf(res.Object)
	if !res.Existed {
		r.facts[k] = plan.Fact{}
		return
	}
	f := plan.Fact{Exists: true, Fingerprint: object.Fingerprint(res.Live).Fingerprint}
	if owner, ok := object.Owner(res.Live); ok {
		f.Owner = owner
	} else {
		f.TrackedBy = object.Tracker(res.Live)
	}
	r.facts[k] = f
	i, ok := slices.BinarySearchFunc(r.desired.list, k, func(d plan.Desired, k object.Key) int { return d.Key.Compare(k) })
	if ok && r.desired.list[i].Rules.CreateOnly {
		r.mem.left[k] = f
	}
}

// mayDelete decides, for an App that is being deleted, whether what it owns is
// removed with it or left behind.
func (r *run) mayDelete(ctx context.Context) bool {
	if !r.deleting {
		return true
	}
	if r.app.Spec.DeletionPolicy == v1alpha1.DeletionPolicyOrphan {
		r.orphaning = "spec.deletionPolicy is Orphan"
		return true
	}
	self, err := r.Cluster.AsController()
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	going := func(k cluster.Kind, namespace, name string) (bool, error) {
		u, err := self.Get(ctx, k, namespace, name)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return u.GetDeletionTimestamp() != nil, nil
	}
	for _, c := range []struct {
		kind      cluster.Kind
		ns, name  string
		orphaning string
	}{
		{cluster.CustomResourceDefinitions, "", "apps." + v1alpha1.Group, "abide itself is being removed"},
		{cluster.Namespaces, "", r.Namespace, "abide's own namespace is being removed"},
		{cluster.Namespaces, "", r.id.Namespace, "the namespace of the App is being removed, and its identity with it"},
	} {
		gone, err := going(c.kind, c.ns, c.name)
		if err != nil {
			return r.fail(ReasonClusterFailed, fmt.Errorf("asking for %s %s: %w", c.kind.Kind, c.name, err))
		}
		if gone {
			r.orphaning = c.orphaning
			return true
		}
	}
	return r.tenantRemains(ctx)
}

// tenantRemains orphans what a tenant's App owns when the tenant's identity is
// gone: nobody is left to act as.
func (r *run) tenantRemains(ctx context.Context) bool {
	if r.client.Namespace == "" {
		return true
	}
	self, err := r.Cluster.AsController()
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	_, err = self.Get(ctx, cluster.ServiceAccounts, r.id.Namespace, v1alpha1.ServiceAccount)
	if apierrors.IsNotFound(err) {
		r.orphaning = "the identity of the App is gone"
		return true
	}
	if err != nil {
		return r.fail(ReasonClusterFailed, err)
	}
	return true
}
