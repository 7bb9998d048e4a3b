// Package store keeps abide's own records in the Kubernetes API.
//
// An App's inventory is kept in Inventory objects ("parts") of at most
// [PartSize] entries each, in the App's namespace. They carry no owner
// reference: a deletion of the App in the foreground would take them first, and
// with them the knowledge of what has to be removed. A part is written only
// when an entry of it changed. abide is the only writer; what it
// wrote last is held in memory, and a conflict on a write means that somebody
// else touched the record: the memory is dropped and the caller starts over. A
// part that somebody deleted is written anew.
//
// What always holds: memory never runs ahead of the API. An entry that Entries
// returns has been stored; an entry that a Write could not store is not there.
// The one exception is the uid that [Inventories.Learn] notes: it goes with the
// next write of its part, and after a restart the live object tells it again.
package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// PartSize is the number of entries in one Inventory object. A change of one
// entry has the API server rewrite its part: a larger part makes that dearer, a
// smaller one makes the first sync of a large App write more objects.
const PartSize = 250

// MaxObjects is the number of objects that one App can own.
const MaxObjects = 50_000

// listPage is the number of Inventory objects that one list request asks for.
const listPage = 100

// Inventories holds the inventories of all Apps. It is safe for concurrent use;
// calls for one App must not overlap.
type Inventories struct {
	client client.Client

	mu   sync.Mutex
	apps map[object.App]*inventory
}

// inventory is what is stored of one App.
type inventory struct {
	entries map[object.Key]*v1alpha1.InventoryEntry
	// shared tells that Entries has given the map away: it is not changed any more.
	shared bool
	partOf map[object.Key]int
	parts  map[int]*v1alpha1.Inventory // as last written, without entries
	// ordered is how many entries a part has, each key once and in order; a part
	// that is not so, which somebody else must have written, is not in it.
	ordered map[int]int
	// learnt are the entries whose uid has not been stored.
	learnt map[object.Key]bool
}

// New returns inventories that are read and written through c, which must not
// cache them.
func New(c client.Client) *Inventories {
	return &Inventories{client: c, apps: map[object.App]*inventory{}}
}

// Load reads every inventory there is, in place of what was held.
func (s *Inventories) Load(ctx context.Context) error {
	apps := map[object.App]*inventory{}
	err := s.list(ctx, func(p *v1alpha1.Inventory) {
		app := object.App{Namespace: p.Namespace, Name: p.App}
		if !genuine(p) {
			return
		}
		inv := apps[app]
		if inv == nil {
			inv = newInventory()
			apps[app] = inv
		}
		inv.take(p)
	})
	if err != nil {
		return fmt.Errorf("reading the inventories: %w", err)
	}
	s.mu.Lock()
	s.apps = apps
	s.mu.Unlock()
	return nil
}

func (s *Inventories) list(ctx context.Context, take func(*v1alpha1.Inventory), opts ...client.ListOption) error {
	for token := ""; ; {
		var l v1alpha1.InventoryList
		err := s.client.List(ctx, &l, append(slices.Clone(opts), client.Limit(listPage), client.Continue(token))...)
		if err != nil {
			return err
		}
		for i := range l.Items {
			take(&l.Items[i])
		}
		if token = l.Continue; token == "" {
			return nil
		}
	}
}

// genuine tells parts that abide wrote from a copy or a backup of one under
// another name, which would take the place of the part itself.
func genuine(p *v1alpha1.Inventory) bool { return p.Name == partName(p.App, int(p.Part)) }

func partName(app string, n int) string { return fmt.Sprintf("%s-%d", app, n) }

func newInventory() *inventory {
	return &inventory{
		entries: map[object.Key]*v1alpha1.InventoryEntry{},
		partOf:  map[object.Key]int{},
		parts:   map[int]*v1alpha1.Inventory{},
		ordered: map[int]int{},
		learnt:  map[object.Key]bool{},
	}
}

func (inv *inventory) take(p *v1alpha1.Inventory) {
	n := int(p.Part)
	ordered := true
	for i := range p.Entries {
		k := object.EntryKey(&p.Entries[i])
		ordered = ordered && (i == 0 || object.EntryKey(&p.Entries[i-1]).Compare(k) < 0)
		inv.entries[k] = &p.Entries[i]
		inv.partOf[k] = n
	}
	if ordered {
		inv.ordered[n] = len(p.Entries)
	}
	head := *p
	head.Entries, head.ManagedFields = nil, nil
	inv.parts[n] = &head
}

func (s *Inventories) of(app object.App) *inventory {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.apps[app]
	if inv == nil {
		inv = newInventory()
		s.apps[app] = inv
	}
	return inv
}

// Entries returns what an App owns, as it is now: what is written later does not
// change it. Neither the map nor its entries must be changed.
func (s *Inventories) Entries(app object.App) map[object.Key]*v1alpha1.InventoryEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.apps[app]
	if inv == nil {
		return nil
	}
	inv.shared = true
	return inv.entries
}

// own makes entries a map that may be changed.
func (inv *inventory) own() map[object.Key]*v1alpha1.InventoryEntry {
	if inv.shared {
		inv.entries, inv.shared = maps.Clone(inv.entries), false
	}
	return inv.entries
}

// Write stores entries and removes others, in as many requests as parts are
// concerned. A key that is in both is stored; of two entries with one key the
// later is. When it fails, what did get stored is known, and Entries says so.
func (s *Inventories) Write(ctx context.Context, owner *v1alpha1.App, set []v1alpha1.InventoryEntry, remove []object.Key) error {
	app := object.App{Namespace: owner.Namespace, Name: owner.Name}
	inv := s.of(app)
	changes, total := inv.changes(set, remove)
	if total > MaxObjects {
		return fmt.Errorf("an App owns at most %d objects, and this one would own %d: split it", MaxObjects, total)
	}
	for _, n := range slices.Sorted(maps.Keys(changes)) {
		if err := s.writePart(ctx, owner, inv, n, changes[n]); err != nil {
			// Of a patch that does not fit what is there the server says that it is invalid.
			if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
				s.reload(ctx, app)
			}
			return fmt.Errorf("writing the inventory: %w", err)
		}
	}
	return nil
}

// Learn notes the uid of an object whose entry is stored, and sends nothing.
func (s *Inventories) Learn(app object.App, k object.Key, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.apps[app]
	if inv == nil || inv.entries[k] == nil || inv.entries[k].UID == uid {
		return
	}
	e := *inv.entries[k]
	e.UID = uid
	inv.own()[k] = &e
	inv.learnt[k] = true
}

// Learnt returns the entries of an App whose uid has not been stored.
func (s *Inventories) Learnt(app object.App) []v1alpha1.InventoryEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.apps[app]
	if inv == nil {
		return nil
	}
	var out []v1alpha1.InventoryEntry
	for k := range inv.learnt {
		if e := inv.entries[k]; e != nil {
			out = append(out, *e)
		}
	}
	return out
}

// change is what happens to one part.
type change struct {
	set    map[object.Key]*v1alpha1.InventoryEntry
	remove map[object.Key]bool
}

// changes sorts what has to be done by part, and says how many entries there
// are after it. A new entry goes to the first part with room.
func (inv *inventory) changes(set []v1alpha1.InventoryEntry, remove []object.Key) (out map[int]*change, total int) {
	out = map[int]*change{}
	at := func(n int) *change {
		if out[n] == nil {
			out[n] = &change{set: map[object.Key]*v1alpha1.InventoryEntry{}, remove: map[object.Key]bool{}}
		}
		return out[n]
	}
	last := make(map[object.Key]*v1alpha1.InventoryEntry, len(set))
	order := make([]object.Key, 0, len(set))
	for i := range set {
		k := object.EntryKey(&set[i])
		if last[k] == nil {
			order = append(order, k)
		}
		last[k] = &set[i]
	}
	size := map[int]int{}
	for _, n := range inv.partOf {
		size[n]++
	}
	total = len(inv.entries)
	for _, k := range remove {
		if n, ok := inv.partOf[k]; ok && last[k] == nil && !at(n).remove[k] {
			at(n).remove[k] = true
			total--
		}
	}
	room := 0
	for _, k := range order {
		n, ok := inv.partOf[k]
		switch {
		case ok && equalEntry(inv.entries[k], last[k]) && !inv.learnt[k]:
			continue
		case !ok:
			for size[room] >= PartSize {
				room++
			}
			n = room
			size[n]++
			total++
		}
		at(n).set[k] = last[k].DeepCopy() // the caller keeps its own
	}
	return out, total
}

func equalEntry(a, b *v1alpha1.InventoryEntry) bool {
	return a.Version == b.Version && a.UID == b.UID && a.Hash == b.Hash &&
		a.Fingerprint == b.Fingerprint && slices.Equal(a.Flags, b.Flags)
}

func (s *Inventories) writePart(ctx context.Context, owner *v1alpha1.App, inv *inventory, n int, c *change) error {
	entries := map[object.Key]*v1alpha1.InventoryEntry{}
	for k, part := range inv.partOf {
		if part == n && !c.remove[k] {
			entries[k] = inv.entries[k]
		}
	}
	maps.Copy(entries, c.set)

	head := inv.parts[n]
	switch {
	case len(entries) == 0 && head == nil:
		return nil
	case len(entries) == 0:
		err := s.client.Delete(ctx, head.DeepCopy(), client.Preconditions{UID: &head.UID})
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(inv.parts, n)
		delete(inv.ordered, n)
	default:
		p, err := s.put(ctx, owner, inv, n, c, entries)
		if head != nil && apierrors.IsNotFound(err) {
			// Somebody deleted the part. What it held is still owned.
			p = newPart(owner, n)
			p.Entries = sorted(entries)
			err = s.client.Create(ctx, p)
		}
		if err != nil {
			return err
		}
		p.Entries, p.ManagedFields = nil, nil
		s.mu.Lock()
		defer s.mu.Unlock()
		inv.parts[n] = p
		inv.ordered[n] = len(entries) // also where it was patched
	}
	for k := range c.remove {
		delete(inv.own(), k)
		delete(inv.partOf, k)
		delete(inv.learnt, k)
	}
	for k := range entries { // with their uids
		delete(inv.learnt, k)
	}
	for k, e := range c.set {
		inv.own()[k] = e
		inv.partOf[k] = n
	}
	return nil
}

// put stores a part: the entries that change, or all of them where others come or
// go, or where many change.
func (s *Inventories) put(ctx context.Context, owner *v1alpha1.App, inv *inventory, n int, c *change, entries map[object.Key]*v1alpha1.InventoryEntry) (*v1alpha1.Inventory, error) {
	head := inv.parts[n]
	if head == nil {
		p := newPart(owner, n)
		p.Entries = sorted(entries)
		return p, s.client.Create(ctx, p)
	}
	p := head.DeepCopy()
	patch, ok, err := inv.patch(n, c, entries)
	if err != nil {
		return nil, err
	}
	if !ok {
		p.Entries = sorted(entries)
		return p, s.client.Update(ctx, p)
	}
	// The answer need not say what is in the other entries.
	m := &metav1.PartialObjectMetadata{ObjectMeta: p.ObjectMeta}
	m.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Inventory"))
	if err := s.client.Patch(ctx, m, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return nil, err
	}
	p.ObjectMeta = m.ObjectMeta
	return p, nil
}

// mostPatched is how many entries a patch changes at most.
const mostPatched = 32

// patch is what makes of a part as it is stored what it is to be, which is entries,
// with their uids; ok is false if it takes more than other values of what is there.
func (inv *inventory) patch(n int, c *change, entries map[object.Key]*v1alpha1.InventoryEntry) (patch []byte, ok bool, err error) {
	if len(c.remove) > 0 {
		return nil, false, nil
	}
	changed := maps.Clone(c.set)
	for k := range c.set {
		if inv.entries[k] == nil {
			return nil, false, nil
		}
	}
	for k := range inv.learnt {
		if inv.partOf[k] == n && changed[k] == nil {
			changed[k] = inv.entries[k]
		}
	}
	if len(changed) > mostPatched {
		return nil, false, nil
	}
	// Only where each entry is known can it be told by the order of the keys. One that
	// another part has as well is not: such a part is written whole.
	if stored, ordered := inv.ordered[n]; !ordered || stored != len(entries) {
		return nil, false, nil
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	// It is refused if the part is another one than was written last.
	ops := []operation{{"replace", "/metadata/resourceVersion", inv.parts[n].ResourceVersion}}
	for k, e := range changed {
		at := 0
		for other := range entries {
			if other.Compare(k) < 0 {
				at++
			}
		}
		ops = append(ops, operation{"replace", "/entries/" + strconv.Itoa(at), e})
	}
	patch, err = json.Marshal(ops)
	return patch, true, err
}

func sorted(entries map[object.Key]*v1alpha1.InventoryEntry) []v1alpha1.InventoryEntry {
	out := make([]v1alpha1.InventoryEntry, 0, len(entries))
	for _, e := range entries {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b v1alpha1.InventoryEntry) int {
		return object.EntryKey(&a).Compare(object.EntryKey(&b))
	})
	return out
}

func newPart(owner *v1alpha1.App, n int) *v1alpha1.Inventory {
	app := object.App{Namespace: owner.Namespace, Name: owner.Name}
	return &v1alpha1.Inventory{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.Namespace,
			Name:      partName(owner.Name, n),
			Labels:    map[string]string{labelInventoryOf: app.Label()},
		},
		App:  owner.Name,
		Part: int32(n),
	}
}

// labelInventoryOf finds the parts of one App, for people.
const labelInventoryOf = v1alpha1.Group + "/inventory-of"

// fieldApp finds the parts of one App whatever became of their labels: it is a
// selectable field of the definition.
const fieldApp = "app"

// reload reads one App's parts again after somebody else touched them. If that
// fails too, the next write runs into the same conflict and comes back here.
func (s *Inventories) reload(ctx context.Context, app object.App) {
	inv := newInventory()
	err := s.list(ctx, func(p *v1alpha1.Inventory) {
		if genuine(p) {
			inv.take(p)
		}
	}, client.InNamespace(app.Namespace), client.MatchingFields{fieldApp: app.Name})
	if err != nil {
		return
	}
	s.mu.Lock()
	s.apps[app] = inv
	s.mu.Unlock()
}

// Forget drops what is held of an App that no longer exists.
func (s *Inventories) Forget(app object.App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apps, app)
}

// Apps returns every App that owns something, in order.
func (s *Inventories) Apps() []object.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []object.App
	for a, inv := range s.apps {
		if len(inv.entries) > 0 {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, object.App.Compare)
	return out
}
