package pipeline

import (
	"slices"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
)

// attention is how many objects a summary names.
const attention = 5

// Summary is what the objects of an App look like now.
type Summary struct {
	Objects v1alpha1.ObjectsStatus
	Health  v1alpha1.Health
	// Sickest is the first object that is not healthy, if one is.
	Sickest *v1alpha1.ObjectNote
	// WrongRule says what is wrong with the App's own health rules; empty if
	// nothing is.
	WrongRule string
}

// Summarise counts the objects of an App and picks the ones that need a look:
// first those that the run had trouble with, then by how bad their health is.
func (p *Pipeline) Summarise(app object.App, troubles []Trouble) Summary {
	s := Summary{Health: v1alpha1.HealthHealthy}
	entries := lasting(p.Inventories.Entries(app))
	s.Objects.Total = int32(len(entries))
	d := p.memory(app).now
	asWanted := func(k object.Key, e *v1alpha1.InventoryEntry) bool {
		if d == nil { // nobody knows
			return true
		}
		i, ok := d.index[k]
		return ok && i < len(d.list) && d.list[i].Hash == e.Hash
	}
	type note struct {
		v1alpha1.ObjectNote
		key    object.Key
		health v1alpha1.Health
	}
	var sick []note
	for k, e := range entries {
		rec, seen := p.Tracker.Get(k)
		if seen && rec.Owner == app {
			if rec.Fingerprint == e.Fingerprint && !rec.Deleting && asWanted(k, e) {
				s.Objects.InSync++
			}
		} else {
			rec.Health, rec.Message = v1alpha1.HealthProgressing, "it is not there"
		}
		if rec.Health == v1alpha1.HealthHealthy {
			s.Objects.Healthy++
			continue
		}
		s.Health = health.Worse(s.Health, rec.Health)
		sick = append(sick, note{v1alpha1.ObjectNote{Object: k.String(), Reason: string(rec.Health), Message: rec.Message}, k, rec.Health})
	}
	slices.SortFunc(sick, func(a, b note) int {
		if a.health != b.health {
			if health.Worse(a.health, b.health) == a.health {
				return -1
			}
			return 1
		}
		return a.key.Compare(b.key)
	})
	noted := map[string]bool{}
	add := func(n v1alpha1.ObjectNote) {
		if len(s.Objects.Attention) < attention && !noted[n.Object] {
			noted[n.Object] = true
			s.Objects.Attention = append(s.Objects.Attention, n)
		}
	}
	for _, t := range troubles {
		add(v1alpha1.ObjectNote{Object: t.Key.String(), Reason: t.Reason, Message: t.Message})
	}
	for i := range sick {
		add(sick[i].ObjectNote)
	}
	if len(sick) > 0 {
		s.Sickest = &sick[0].ObjectNote
	}
	return s
}
