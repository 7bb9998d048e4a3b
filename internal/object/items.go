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
	index   map[string]map[string]int
	encoder *encoder
}

// maxIndexes bounds the sets of keys that one list is looked up by. A list type
// has one; more of them did not come from a server.
const maxIndexes = 8

// newItems returns the items of v, none if it is not a list. They share an
// encoder, and must not be used side by side.
func newItems(v any, e *encoder) items {
	list, _ := v.([]any)
	return items{list: list, encoder: e}
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
		if i, ok := it.known(rest, true); ok {
			return i, true
		}
		want, ok := parse(rest)
		if !ok {
			return 0, false
		}
		return it.lookup("", nil, want)
	case "k":
		if i, ok := it.known(rest, false); ok {
			return i, true
		}
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

// known finds an item by the text of an element, where that is written as the
// indexes have it, which is how the server writes it: then it need not be read.
// Text with escapes can be written in several ways, and is.
func (it *items) known(text string, whole bool) (int, bool) {
	if strings.IndexByte(text, '\\') >= 0 {
		return 0, false
	}
	for id, at := range it.index {
		if (id == "") != whole {
			continue
		}
		if i, ok := at[text]; ok {
			return i, true
		}
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
			t, ok := it.key(item, names)
			if !ok {
				continue
			}
			if _, seen := at[string(t)]; !seen {
				at[string(t)] = i
			}
		}
		if it.index == nil {
			it.index = map[string]map[string]int{}
		}
		it.index[id] = at
	}
	i, ok := at[string(it.text(want))]
	return i, ok
}

// key is the text that an item is found by: of the fields of those names, or of
// all of it if names is nil; ok is false if it lacks one.
func (it *items) key(item any, names []string) (text []byte, ok bool) {
	if names == nil {
		return it.text(item), true
	}
	m, _ := item.(map[string]any)
	text, ok, err := it.encoder.fields(m, names)
	if err != nil { // a value that came as JSON is JSON
		text = nil
	}
	return text, ok
}

// text is equal for equal JSON values; 1 and 1.0 are equal, as they are to the
// API server. It is valid until the next call.
func (it *items) text(v any) []byte {
	b, err := it.encoder.value(v)
	if err != nil { // a value that came as JSON is JSON
		return nil
	}
	return b
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
