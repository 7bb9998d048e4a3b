package object

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// encoder writes JSON values byte for byte as [json.Marshal] does, of which
// hashes that were stored before are made, in a tenth of the allocations: it
// knows the few types that objects of the API are made of, and keeps its buffers.
type encoder struct {
	keys   []string // of the maps that are open, each map's sorted
	text   []byte
	walked []byte // the buffer of a walk
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// maxKept bounds the buffers that are kept for the next object, in bytes.
const maxKept = 1 << 20

func (e *encoder) free() {
	if cap(e.text)+cap(e.walked) <= maxKept {
		encoders.Put(e)
	}
}

// value encodes v. The bytes are valid until the next call.
func (e *encoder) value(v any) ([]byte, error) {
	open := len(e.keys)
	b, err := e.append(e.text[:0], v)
	if err != nil {
		e.pop(open)
		return nil, err
	}
	e.text = b
	return b, nil
}

// fields encodes those fields of m, as value would a map of them; ok is false if
// m lacks one. The names are sorted.
func (e *encoder) fields(m map[string]any, names []string) (text []byte, ok bool, err error) {
	open, b := len(e.keys), append(e.text[:0], '{')
	for i, k := range names {
		v, ok := m[k]
		if !ok {
			return nil, false, nil
		}
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = e.append(append(appendString(b, k), ':'), v); err != nil {
			e.pop(open)
			return nil, true, err
		}
	}
	e.text = append(b, '}')
	return e.text, true, nil
}

// sorted puts the keys of m on the stack, in order, and returns where they begin
// and end. The caller cuts the stack back to the beginning.
func (e *encoder) sorted(m map[string]any) (from, to int) {
	from = len(e.keys)
	for k := range m {
		e.keys = append(e.keys, k)
	}
	slices.Sort(e.keys[from:])
	return from, len(e.keys)
}

// pop takes keys off the stack, and lets go of their text.
func (e *encoder) pop(from int) {
	clear(e.keys[from:])
	e.keys = e.keys[:from]
}

func (e *encoder) append(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendString(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case float64:
		return appendFloat(b, v)
	case map[string]any:
		return e.appendMap(b, v)
	case []any:
		return e.appendList(b, v)
	}
	other, err := json.Marshal(v)
	return append(b, other...), err
}

func (e *encoder) appendMap(b []byte, m map[string]any) ([]byte, error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	from, to := e.sorted(m)
	b = append(b, '{')
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		k := e.keys[i]
		b = append(appendString(b, k), ':')
		var err error
		if b, err = e.append(b, m[k]); err != nil {
			return nil, err
		}
	}
	e.pop(from)
	return append(b, '}'), nil
}

func (e *encoder) appendList(b []byte, list []any) ([]byte, error) {
	if list == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.append(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendFloat writes a number as JavaScript does (ECMA-262, Number::toString),
// which is what json.Marshal keeps to.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("JSON has no number %v", f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 is e-9 there
		b = b[:n-1]
	}
	return b, nil
}

const hexDigits = "0123456789abcdef"

// appendString writes a string with the escapes of json.Marshal, which are
// those that HTML needs as well.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
