package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// Action is a kind of change.
type Action string

// The actions. All but Delete, Forget, Keep and Refuse end in an apply.
const (
	Create  Action = "create"   // there is none, as far as is known
	Update  Action = "update"   // Git says something new
	Heal    Action = "heal"     // Git says the same, but somebody changed or removed it
	Adopt   Action = "adopt"    // it exists, and nobody tracks it
	Convert Action = "convert"  // it exists, and another tool tracks it: needs an approval
	Take    Action = "takeover" // it exists, and the App that owned it has let go
	Refuse  Action = "refuse"   // it exists, and another App owns and wants it
	Delete  Action = "delete"   // Git no longer has it
	Forget  Action = "forget"   // it leaves the inventory and stays in the cluster
	Keep    Action = "keep"     // something should be done, and a setting says not to
)

// Desired is what the plan has to know of a rendered object.
type Desired struct {
	Key object.Key
	// Version is the one of its group that it is written in.
	Version string
	Hash    string
	Rules   object.Rules
}

// GroupVersionKind returns the kind of the object, as it is written.
func (d *Desired) GroupVersionKind() schema.GroupVersionKind {
	return d.Key.GroupKind().WithVersion(d.Version)
}

// Observed is what the plan has to know of a live object that carries marks.
type Observed struct {
	UID         types.UID
	Fingerprint string
	APIVersion  string // that the fingerprint was taken in
	Owner       object.App
	Deleting    bool
}

// Fact is what a read told of an object that is not in the inventory.
type Fact struct {
	Exists bool
	// Owner is the App that owns it, if one does.
	Owner object.App
	// TrackedBy says in words which other tool tracks it; empty if none does.
	TrackedBy string
	// Fingerprint before.
	Fingerprint string
}

// Input is all that a plan depends on.
type Input struct {
	App       object.App
	Desired   []Desired
	Inventory map[object.Key]*v1alpha1.InventoryEntry
	Observed  func(object.Key) (Observed, bool)
	// Facts are what is known of objects that are not in the inventory; an
	// object without one is taken for absent, which its dry run then proves.
	Facts map[object.Key]Fact
	// Wants tells whether another App wants an object.
	Wants func(app object.App, k object.Key) bool
	// Prune and Heal are the App's settings.
	Prune, Heal bool
}

// Step is one change to one object.
type Step struct {
	Key    object.Key
	Action Action
	Wave   int
	Hash   string // desired; empty for Delete, Forget and some Keep
	Before string // fingerprint of the live object, empty if there is none
	// Why says more, for people: which tool tracks it, which App owns it.
	Why string
	// Reason is a word for why a step is kept from being done, where somebody
	// else than Compute has decided that; it is no part of the digest.
	Reason string
}

// Stage returns the stage of the step.
func (s *Step) Stage() object.Stage { return object.StageOf(s.Key.GroupKind()) }

// Applies tells whether the step ends in an apply.
func (s *Step) Applies() bool {
	switch s.Action {
	case Create, Update, Heal, Adopt, Convert, Take:
		return true
	}
	return false
}

// Plan is what has to be done.
type Plan struct {
	App object.App
	// Steps are in the order of their execution: applies by wave, stage and key,
	// then deletes in reverse.
	Steps []Step
	// Owned is the number of objects that the App owns before the plan.
	Owned int
}

// Compute makes the plan.
func Compute(in Input) Plan {
	p := Plan{App: in.App, Owned: len(in.Inventory)}
	owned := 0
	for i := range in.Desired {
		d := &in.Desired[i]
		if in.Inventory[d.Key] != nil {
			owned++
		}
		if s, ok := in.forDesired(d); ok {
			p.Steps = append(p.Steps, s)
		}
	}
	if owned < len(in.Inventory) {
		p.Steps = append(p.Steps, in.undesired()...)
	}
	slices.SortFunc(p.Steps, compareSteps)
	return p
}

// undesired are the steps for what is owned and not desired.
func (in *Input) undesired() (steps []Step) {
	desired := make(map[object.Key]bool, len(in.Desired))
	for i := range in.Desired {
		desired[in.Desired[i].Key] = true
	}
	for k, e := range in.Inventory {
		if !desired[k] {
			steps = append(steps, in.forUndesired(k, e))
		}
	}
	return steps
}

func (in *Input) forDesired(d *Desired) (Step, bool) {
	e := in.Inventory[d.Key]
	s := Step{Key: d.Key, Hash: d.Hash, Wave: d.Rules.Wave}
	if d.Rules.Ignore {
		s.Action, s.Why = Forget, "its annotation says to ignore it"
		return s, e != nil
	}
	obs, seen := in.Observed(d.Key)
	if seen {
		s.Before = obs.Fingerprint
	}
	if seen && obs.Owner != in.App {
		return in.ofOther(s, obs.Owner), true
	}
	if e == nil {
		return in.forNew(s, d.Rules), true
	}
	switch {
	case !seen && e.UID == "":
		s.Action = Create // written down, and never seen
	case !seen && e.Hash != d.Hash:
		s.Action, s.Why = Update, "it is gone" // new in Git, whether heal is on or off
	case !seen:
		s.Action, s.Why = Heal, "it is gone"
	case obs.Deleting:
		s.Action, s.Why = Keep, "it is being deleted; it is applied again once it is gone"
		return s, true
	case d.Rules.CreateOnly:
		return s, false
	case e.Hash != d.Hash:
		s.Action = Update
		return s, true
	case obs.Fingerprint != e.Fingerprint || obs.Fingerprint == "":
		s.Action, s.Why = Heal, "it was changed"
	default:
		return s, false
	}
	if s.Action == Heal && !in.Heal {
		s.Action = Keep
		s.Why += ", and spec.sync.heal is off"
	}
	return s, true
}

func (in *Input) forNew(s Step, rules object.Rules) Step {
	f := in.Facts[s.Key]
	if f.Exists {
		s.Before = f.Fingerprint
	}
	switch {
	case !f.Exists:
		s.Action = Create
	case f.Owner == in.App:
		s.Action = Adopt
	case f.Owner != object.App{}:
		return in.ofOther(s, f.Owner)
	case rules.CreateOnly:
		s.Action, s.Why = Keep, "it exists already, and its annotation says only to create it"
	case f.TrackedBy != "":
		s.Action, s.Why = Convert, f.TrackedBy
	default:
		s.Action = Adopt
	}
	return s
}

func (in *Input) ofOther(s Step, owner object.App) Step {
	if in.Wants(owner, s.Key) {
		s.Action = Refuse
		s.Why = fmt.Sprintf("App %s owns it, and Git still has it there: remove it from one of the two", owner)
		return s
	}
	s.Action, s.Why = Take, "App "+owner.String()+" has let go of it"
	return s
}

func (in *Input) forUndesired(k object.Key, e *v1alpha1.InventoryEntry) Step {
	s := Step{Key: k, Wave: int(e.Wave)}
	obs, seen := in.Observed(k)
	if seen {
		s.Before = obs.Fingerprint
	}
	switch {
	case slices.Contains(e.Flags, v1alpha1.FlagNoPrune):
		s.Action, s.Why = Forget, "its annotation says never to prune it"
	case seen && obs.Owner != in.App:
		s.Action, s.Why = Forget, "App "+obs.Owner.String()+" owns it now"
	case !in.Prune:
		s.Action, s.Why = Keep, "it is no longer in Git, and spec.sync.prune is off"
	default:
		s.Action = Delete
	}
	return s
}

// compareSteps puts applies first, by wave, stage and key, and what leaves after
// them, in reverse.
func compareSteps(a, b Step) int {
	la, lb := a.leaves(), b.leaves()
	if la != lb {
		if la {
			return 1
		}
		return -1
	}
	c := cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.Stage(), b.Stage()), a.Key.Compare(b.Key))
	if la {
		return -c
	}
	return c
}

func (s *Step) leaves() bool { return s.Action == Delete || s.Action == Forget }

// Empty tells whether nothing has to be done to the cluster or the inventory.
func (p *Plan) Empty() bool {
	for i := range p.Steps {
		if p.Steps[i].Action != Keep && p.Steps[i].Action != Refuse {
			return false
		}
	}
	return true
}

// Count returns the number of steps with one of the actions.
func (p *Plan) Count(actions ...Action) int {
	n := 0
	for i := range p.Steps {
		if slices.Contains(actions, p.Steps[i].Action) {
			n++
		}
	}
	return n
}

// Select returns the steps with one of the actions, in order.
func (p *Plan) Select(actions ...Action) []*Step {
	var out []*Step
	for i := range p.Steps {
		if slices.Contains(actions, p.Steps[i].Action) {
			out = append(out, &p.Steps[i])
		}
	}
	return out
}

// Digest names the plan: sha256: and 64 hexadecimal digits. Steps that change
// nothing are not part of it, so that what they wait for voids no approval.
func (p *Plan) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "abide plan 1\n%s\n", p.App)
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action == Keep || s.Action == Refuse {
			continue
		}
		fmt.Fprintf(h, "%q %q %q %q %s %s %s\n", s.Key.Group, s.Key.Kind, s.Key.Namespace, s.Key.Name, s.Action, s.Hash, s.Before)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
