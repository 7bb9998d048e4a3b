package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Append writes v behind b. An error is a value that the package does not
// know; what was written is then of no use.
func Append(b []byte, v any) ([]byte, error) {
	e := encoder{b: b}
	err := e.value(reflect.ValueOf(v), 0)
	return e.b, err
}

type encoder struct{ b []byte }

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)   { e.b = binary.AppendVarint(e.b, n) }

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

// length writes the length of something that may be nil: one more than it is.
func (e *encoder) length(isNil bool, n int) {
	if isNil {
		e.uint(0)
		return
	}
	e.uint(uint64(n) + 1)
}

func (e *encoder) value(v reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("wire: values are nested more than %d deep", maxDepth)
	}
	switch v.Kind() {
	case reflect.Bool:
		e.bool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.uint(v.Uint())
	case reflect.Float32, reflect.Float64:
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(v.Float()))
	case reflect.String:
		e.string(v.String())
	case reflect.Slice:
		return e.slice(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Pointer:
		e.bool(!v.IsNil())
		if !v.IsNil() {
			return e.value(v.Elem(), depth+1)
		}
	case reflect.Struct:
		return e.structure(v, depth)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			return fmt.Errorf("wire: cannot write a %s", v.Type())
		}
		return e.dynamic(v.Interface(), depth)
	default:
		return fmt.Errorf("wire: cannot write a %s", v.Kind())
	}
	return nil
}

func (e *encoder) slice(v reflect.Value, depth int) error {
	e.length(v.IsNil(), v.Len())
	if v.Type().Elem().Kind() == reflect.Uint8 {
		e.b = append(e.b, v.Bytes()...)
		return nil
	}
	for i := range v.Len() {
		if err := e.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) mapping(v reflect.Value, depth int) error {
	if v.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("wire: cannot write a %s", v.Type())
	}
	if m, ok := v.Interface().(map[string]any); ok {
		e.length(m == nil, len(m))
		return e.pairs(m, depth)
	}
	e.length(v.IsNil(), v.Len())
	for it := v.MapRange(); it.Next(); {
		e.string(it.Key().String())
		if err := e.value(it.Value(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) structure(v reflect.Value, depth int) error {
	p := planOf(v.Type())
	if p.json {
		pointer := reflect.New(v.Type())
		pointer.Elem().Set(v)
		j, err := json.Marshal(pointer.Interface())
		if err != nil {
			return err
		}
		e.string(string(j))
		return nil
	}
	for _, i := range p.fields {
		if err := e.value(v.Field(i), depth+1); err != nil {
			return fmt.Errorf("%w in field %s of %s", err, v.Type().Field(i).Name, v.Type())
		}
	}
	return nil
}

// dynamic writes what an interface holds, its kind first.
func (e *encoder) dynamic(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("wire: values are nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, kindNil)
	case bool:
		if v {
			e.b = append(e.b, kindTrue)
		} else {
			e.b = append(e.b, kindFalse)
		}
	case string:
		e.b = append(e.b, kindString)
		e.string(v)
	case int64:
		e.b = append(e.b, kindInt64)
		e.int(v)
	case int:
		e.b = append(e.b, kindInt)
		e.int(int64(v))
	case float64:
		e.b = append(e.b, kindFloat64)
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(v))
	case map[string]any:
		if v == nil {
			e.b = append(e.b, kindNilMap)
			return nil
		}
		e.b = append(e.b, kindMap)
		e.uint(uint64(len(v)))
		return e.pairs(v, depth)
	case []any:
		if v == nil {
			e.b = append(e.b, kindNilSlice)
			return nil
		}
		e.b = append(e.b, kindSlice)
		e.uint(uint64(len(v)))
		for _, item := range v {
			if err := e.dynamic(item, depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("wire: cannot write a %T", v)
	}
	return nil
}

func (e *encoder) pairs(m map[string]any, depth int) error {
	for k, item := range m {
		e.string(k)
		if err := e.dynamic(item, depth+1); err != nil {
			return err
		}
	}
	return nil
}
