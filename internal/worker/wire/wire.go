// Package wire turns Go values into bytes and back, for two processes of the
// same program.
//
// It promises that a value comes back as it was: nil stays nil, empty stays
// empty, and in an interface an int64 stays an int64 and a float64 a float64,
// which JSON would not keep apart. It knows booleans, numbers, strings, byte
// slices, slices, maps with string keys, pointers, structs by their exported
// fields in order (without those that JSON leaves out: `json:"-"`), types that
// bring their own JSON and have fields it cannot see, and, in an interface,
// what decoded JSON is made of. There are no names and no versions in it, so
// nothing of it may be kept.
//
// The bytes may come from a process that was taken over. [Decode] never
// panics, goes no deeper than it may, and counts what the values will take in
// memory before it makes them, so that a few bytes cannot become many.
//
// CBOR by a library was the other choice: it costs half as much time again, and
// has no bound on memory. See docs/adr/0010.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// Limits bound what [Decode] makes.
type Limits struct {
	// Memory is how many bytes the values may take, by estimate.
	Memory int64
	// Depth is how deep values may be nested in each other.
	Depth int
}

// ErrMalformed is wrapped by every error of [Decode] that the bytes are to
// blame for, other than a limit.
var ErrMalformed = errors.New("malformed bytes")

// A LimitError says that decoding would go over a limit.
type LimitError struct {
	// What is "memory" or "depth".
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the values are over the limit of %d in %s", e.Limit, e.What)
}

// maxDepth bounds what is encoded; deeper values have no end.
const maxDepth = 10_000

// The kinds of values in an interface.
const (
	kindNil byte = iota
	kindFalse
	kindTrue
	kindInt64
	kindFloat64
	kindString
	kindMap
	kindSlice
	kindNilMap
	kindNilSlice
	kindInt
)

var (
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// plan is how a struct type is written.
type plan struct {
	fields []int
	json   bool // by its own JSON
}

var plans sync.Map // of reflect.Type to plan

// planOf returns how a struct is written. One that has fields of its own that
// nobody sees, and JSON of its own, is written as that JSON.
func planOf(t reflect.Type) plan {
	if p, ok := plans.Load(t); ok {
		return p.(plan)
	}
	var p plan
	hidden := false
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case !f.IsExported():
			hidden = true
		case f.Tag.Get("json") != "-":
			p.fields = append(p.fields, i)
		}
	}
	pointer := reflect.PointerTo(t)
	p.json = hidden && pointer.Implements(marshalerType) && pointer.Implements(unmarshalerType)
	plans.Store(t, p)
	return p
}
