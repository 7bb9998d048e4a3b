package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Decode reads into the value that the pointer into points to, of the type that
// was written, and wants b to hold that and nothing else. Byte slices that it
// makes are parts of b.
func Decode(b []byte, into any, limits Limits) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("wire: cannot read into a %T", into)
	}
	d := decoder{b: b, limits: limits, left: limits.Memory, words: map[string]string{}}
	if err := d.value(v.Elem(), 0); err != nil {
		return err
	}
	if len(d.b) > 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(d.b))
	}
	return nil
}

// shortWord is how long a string may be to be kept once for all that are equal:
// the keys of objects, and most of what they say of kinds and versions.
const shortWord = 24

// What things take in memory, in bytes. A map in Go has room for eight pairs.
const (
	sizeMap   = 48
	sizeGroup = 8 + 8*(16+16)
	perGroup  = 7
	sizeValue = 16
)

type decoder struct {
	b      []byte
	limits Limits
	left   int64
	words  map[string]string
}

// take counts n bytes of memory.
func (d *decoder) take(n int64) error {
	if d.left -= n; d.left < 0 {
		return &LimitError{What: "memory", Limit: d.limits.Memory}
	}
	return nil
}

func (d *decoder) deeper(depth int) error {
	if depth > d.limits.Depth {
		return &LimitError{What: "depth", Limit: int64(d.limits.Depth)}
	}
	return nil
}

func (d *decoder) uint() (uint64, error) {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		return 0, fmt.Errorf("%w: no number", ErrMalformed)
	}
	d.b = d.b[size:]
	return n, nil
}

func (d *decoder) int() (int64, error) {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		return 0, fmt.Errorf("%w: no number", ErrMalformed)
	}
	d.b = d.b[size:]
	return n, nil
}

// count reads how many things follow, each of which takes a byte at least.
func (d *decoder) count() (int, error) {
	n, err := d.uint()
	if err != nil {
		return 0, err
	}
	if n > uint64(len(d.b)) {
		return 0, fmt.Errorf("%w: %d are announced and %d bytes are left", ErrMalformed, n, len(d.b))
	}
	return int(n), nil
}

// length reads the length of something that may be nil.
func (d *decoder) length() (n int, isNil bool, err error) {
	u, err := d.uint()
	if err != nil || u == 0 {
		return 0, true, err
	}
	if u-1 > uint64(len(d.b)) {
		return 0, false, fmt.Errorf("%w: %d are announced and %d bytes are left", ErrMalformed, u-1, len(d.b))
	}
	return int(u - 1), false, nil
}

func (d *decoder) byte() (byte, error) {
	if len(d.b) == 0 {
		return 0, fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c, nil
}

func (d *decoder) bool() (bool, error) {
	c, err := d.byte()
	if err == nil && c > 1 {
		err = fmt.Errorf("%w: %d is neither yes nor no", ErrMalformed, c)
	}
	return c == 1, err
}

func (d *decoder) float() (float64, error) {
	if len(d.b) < 8 {
		return 0, fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	return f, nil
}

func (d *decoder) string() (string, error) {
	n, err := d.count()
	if err != nil {
		return "", err
	}
	raw := d.b[:n]
	d.b = d.b[n:]
	if n <= shortWord {
		if w, ok := d.words[string(raw)]; ok {
			return w, nil
		}
		if err := d.take(int64(n) + 2*sizeGroup/perGroup); err != nil {
			return "", err
		}
		w := string(raw)
		d.words[w] = w
		return w, nil
	}
	if err := d.take(int64(n) + sizeValue); err != nil {
		return "", err
	}
	return string(raw), nil
}

func (d *decoder) value(v reflect.Value, depth int) error {
	if err := d.deeper(depth); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		b, err := d.bool()
		v.SetBool(b)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := d.int()
		if err == nil && v.OverflowInt(n) {
			err = fmt.Errorf("%w: %d is no %s", ErrMalformed, n, v.Kind())
		}
		v.SetInt(n)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := d.uint()
		if err == nil && v.OverflowUint(n) {
			err = fmt.Errorf("%w: %d is no %s", ErrMalformed, n, v.Kind())
		}
		v.SetUint(n)
		return err
	case reflect.Float32, reflect.Float64:
		f, err := d.float()
		v.SetFloat(f)
		return err
	case reflect.String:
		s, err := d.string()
		v.SetString(s)
		return err
	case reflect.Slice:
		return d.slice(v, depth)
	case reflect.Map:
		return d.mapping(v, depth)
	case reflect.Pointer:
		return d.pointer(v, depth)
	case reflect.Struct:
		return d.structure(v, depth)
	case reflect.Interface:
		got, err := d.dynamic(depth)
		if err == nil && got != nil {
			v.Set(reflect.ValueOf(got))
		}
		return err
	}
	return fmt.Errorf("wire: cannot read a %s", v.Kind())
}

func (d *decoder) pointer(v reflect.Value, depth int) error {
	there, err := d.bool()
	if err != nil || !there {
		return err
	}
	if err := d.take(int64(v.Type().Elem().Size())); err != nil {
		return err
	}
	p := reflect.New(v.Type().Elem())
	v.Set(p)
	return d.value(p.Elem(), depth+1)
}

func (d *decoder) slice(v reflect.Value, depth int) error {
	n, isNil, err := d.length()
	if err != nil || isNil {
		return err
	}
	t := v.Type()
	if t.Elem().Kind() == reflect.Uint8 {
		v.SetBytes(d.b[:n:n])
		d.b = d.b[n:]
		return nil
	}
	if err := d.take(int64(n) * int64(t.Elem().Size())); err != nil {
		return err
	}
	s := reflect.MakeSlice(t, n, n)
	v.Set(s)
	for i := range n {
		if err := d.value(s.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// takeMap counts the memory of a map of n pairs with values of a size.
func (d *decoder) takeMap(n int, value uintptr) error {
	groups := int64(n+perGroup-1) / perGroup
	return d.take(sizeMap + groups*(8+8*(16+int64(value))))
}

func (d *decoder) mapping(v reflect.Value, depth int) error {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		return fmt.Errorf("wire: cannot read a %s", t)
	}
	n, isNil, err := d.length()
	if err != nil || isNil {
		return err
	}
	if t == reflect.TypeFor[map[string]any]() {
		m, err := d.pairs(n, depth)
		v.Set(reflect.ValueOf(m))
		return err
	}
	if err := d.takeMap(n, t.Elem().Size()); err != nil {
		return err
	}
	m := reflect.MakeMapWithSize(t, n)
	v.Set(m)
	for range n {
		k, err := d.string()
		if err != nil {
			return err
		}
		item := reflect.New(t.Elem()).Elem()
		if err := d.value(item, depth+1); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), item)
	}
	return nil
}

func (d *decoder) structure(v reflect.Value, depth int) error {
	p := planOf(v.Type())
	if p.json {
		j, err := d.string()
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(j), v.Addr().Interface()); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return nil
	}
	for _, i := range p.fields {
		if err := d.value(v.Field(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// dynamic reads what an interface holds.
func (d *decoder) dynamic(depth int) (any, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	kind, err := d.byte()
	if err != nil {
		return nil, err
	}
	if kind >= kindInt64 && kind <= kindString || kind == kindInt {
		if err := d.take(sizeValue); err != nil {
			return nil, err
		}
	}
	switch kind {
	case kindNil:
		return nil, nil
	case kindFalse:
		return false, nil
	case kindTrue:
		return true, nil
	case kindInt64:
		return boxed(d.int())
	case kindInt:
		n, err := d.int()
		return int(n), err
	case kindFloat64:
		return boxed(d.float())
	case kindString:
		return boxed(d.string())
	case kindNilMap:
		return map[string]any(nil), nil
	case kindNilSlice:
		return []any(nil), nil
	case kindMap:
		n, err := d.count()
		if err != nil {
			return nil, err
		}
		return boxed(d.pairs(n, depth))
	case kindSlice:
		return d.items(depth)
	}
	return nil, fmt.Errorf("%w: no kind has the number %d", ErrMalformed, kind)
}

func boxed[T any](v T, err error) (any, error) { return v, err }

func (d *decoder) items(depth int) (any, error) {
	n, err := d.count()
	if err != nil {
		return nil, err
	}
	if err := d.take(24 + int64(n)*sizeValue); err != nil {
		return nil, err
	}
	s := make([]any, n)
	for i := range s {
		if s[i], err = d.dynamic(depth + 1); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (d *decoder) pairs(n, depth int) (map[string]any, error) {
	if err := d.takeMap(n, sizeValue); err != nil {
		return nil, err
	}
	m := make(map[string]any, n)
	for range n {
		k, err := d.string()
		if err != nil {
			return nil, err
		}
		if m[k], err = d.dynamic(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}
