package object

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// items finds the items of a list by path elements of managedFields. Looking up
// each item of a long list takes time in proportion to the list, not to its
// square: both the list and the elements may come from somebody hostile.
type items struct {
	list []any
	// index holds, for the names of the keys that items are told apart by, the
	// position of each item by the text of those keys.
	index map[string]map[string]int
}

// maxIndexes bounds the sets of keys that one list is looked up by. A list type
// has one; more of them did not come from a server.
const maxIndexes = 8

// newItems returns the items of v, none if it is not a list.
func newItems(v any) *items {
	list, _ := v.([]any)
	return &items{list: list}
}

// find returns the position of the item that an element names: k:… by its keys,
// v:… by its value, i:… by its index.
func (it *items) find(element string) (int, bool) {
	if len(it.list) == 0 {
		return 0, false
	}
	kind, rest, _ := strings.Cut(element, ":")
	switch kind {
	case "i":
		i, err := strconv.Atoi(rest)
		return i, err == nil && i >= 0 && i < len(it.list)
	case "v":
		want, ok := parse(rest)
		if !ok {
			return 0, false
		}
		return it.lookup("", nil, want)
	case "k":
		want, _ := parse(rest)
		keys, ok := want.(map[string]any)
		if !ok || len(keys) == 0 {
			return 0, false
		}
		names := slices.Sorted(maps.Keys(keys))
		return it.lookup(strings.Join(names, "\x00"), names, keys)
	}
	return 0, false
}

// lookup finds the first item whose fields of those names are as wanted, or
// which is itself as wanted if names is nil.
func (it *items) lookup(id string, names []string, want any) (int, bool) {
	at, ok := it.index[id]
	if !ok {
		if len(it.index) >= maxIndexes {
			return 0, false
		}
		at = make(map[string]int, len(it.list))
		for i, item := range it.list {
			if names != nil {
				if item, ok = pick(item, names); !ok {
					continue
				}
			}
			t := text(item)
			if _, seen := at[t]; !seen {
				at[t] = i
			}
		}
		if it.index == nil {
			it.index = map[string]map[string]int{}
		}
		it.index[id] = at
	}
	i, ok := at[text(want)]
	return i, ok
}

// pick returns the fields of an item; ok is false if it lacks one.
func pick(item any, names []string) (map[string]any, bool) {
	m, _ := item.(map[string]any)
	out := make(map[string]any, len(names))
	for _, n := range names {
		v, ok := m[n]
		if !ok {
			return nil, false
		}
		out[n] = v
	}
	return out, true
}

// text is equal for equal JSON values; 1 and 1.0 are equal, as they are to the
// API server.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // a value that came as JSON is JSON
		return ""
	}
	return string(b)
}

// parse reads a JSON value as an object of the API is read: whole numbers keep
// all their digits.
func parse(s string) (any, bool) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, false
	}
	return numbers(v), true
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}
