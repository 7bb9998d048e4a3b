package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yamlv3 "go.yaml.in/yaml/v3"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
)

// decodeYAML decodes one document to the types of Kubernetes' JSON. Where
// repeated is not nil, a key that is written twice is told to it, and the last
// one holds.
func decodeYAML(file string, doc document, lim limit.Limits, repeated func(*fault.Error)) (v any, err error) {
	// The library's parser has panicked on odd input before.
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fault.New(fault.InvalidYAML, file, doc.first, "the YAML parser gave up: %v", p)
		}
	}()
	if err := checkAliases(file, doc, lim); err != nil {
		return nil, err
	}
	raw, err := strictly(file, doc)
	if err != nil {
		// What is wrong only for the strict decoder is a repeated key.
		var refused *fault.Error
		if repeated == nil || !errors.As(err, &refused) || yamlv2.Unmarshal(doc.text, &raw) != nil {
			return nil, err
		}
		repeated(refused)
	}
	c := converter{file: file, line: doc.first, depth: lim.Depth}
	return c.value(raw, 0)
}

// strictly decodes a document in which no key may be repeated.
func strictly(file string, doc document) (raw any, err error) {
	decode := yamlv2.UnmarshalStrict
	if bytes.Contains(doc.text, []byte("<<")) {
		// The strict decoder takes a key that overrides a merged one for a
		// repeated key.
		if err := checkKeys(file, doc); err != nil {
			return nil, err
		}
		decode = yamlv2.Unmarshal
	}
	if err := decode(doc.text, &raw); err != nil {
		return nil, yamlError(file, doc, err)
	}
	return raw, nil
}

var libraryLine = regexp.MustCompile(`line (\d+): `)

// yamlError makes the library's message a sentence with the line in the file.
// The library gives the line in its text only, and now and then one behind the
// end.
func yamlError(file string, doc document, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	var many *yamlv2.TypeError
	if errors.As(err, &many) && len(many.Errors) > 0 {
		msg = many.Errors[0]
	}
	line, last := doc.start, doc.start+bytes.Count(bytes.TrimSuffix(doc.text, []byte("\n")), []byte("\n"))
	if m := libraryLine.FindStringSubmatchIndex(msg); m != nil {
		if n, convErr := strconv.Atoi(msg[m[2]:m[3]]); convErr == nil {
			line = min(doc.start+n-1, last)
			msg = msg[:m[0]] + msg[m[1]:]
		}
	}
	e := fault.New(fault.InvalidYAML, file, line, "%s", strings.TrimSpace(msg))
	e.Err = err
	return e.WithHint("correct the YAML, or name the file in .abideignore if it is no manifest")
}

// converter turns what the YAML library gives into maps with string keys,
// int64 and float64, as the same text would come out of YAML to JSON to
// Kubernetes' JSON decoder.
type converter struct {
	file  string
	line  int
	depth int
}

func (c converter) value(v any, depth int) (any, error) {
	if depth > c.depth {
		return nil, fault.New(fault.TooDeep, c.file, c.line, "is nested more than %d levels deep", c.depth)
	}
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			name, err := c.key(k)
			if err != nil {
				return nil, err
			}
			if _, twice := m[name]; twice {
				return nil, c.invalid("key %q is there twice, as a string and as another type", name)
			}
			if m[name], err = c.value(item, depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	case []any:
		for i := range v {
			item, err := c.value(v[i], depth+1)
			if err != nil {
				return nil, err
			}
			v[i] = item
		}
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		return fromUint(v), nil
	case float64:
		return c.float(v)
	case nil, string, bool, int64:
		return v, nil
	}
	return nil, c.invalid("has a value of a type that JSON does not have (%T)", v)
}

func (c converter) key(k any) (string, error) {
	switch k := k.(type) {
	case string:
		return k, nil
	case int:
		return strconv.Itoa(k), nil
	case int64:
		return strconv.FormatInt(k, 10), nil
	case bool:
		return strconv.FormatBool(k), nil
	case float64:
		return strconv.FormatFloat(k, 'g', -1, 32), nil
	}
	return "", c.invalid("has a key that is no string (%s)", clip(fmt.Sprint(k)))
}

// float gives the number that its shortest JSON text is read back as: an
// int64 where that text has neither fraction nor exponent.
func (c converter) float(f float64) (any, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, c.invalid("has a number that JSON does not have (%v)", f)
	}
	return fromFloat(f), nil
}

func fromFloat(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return int64(f)
	}
	return f
}

func fromUint(u uint64) any {
	if u <= math.MaxInt64 {
		return int64(u)
	}
	return float64(u)
}

func (c converter) invalid(format string, args ...any) error {
	return fault.New(fault.InvalidYAML, c.file, c.line, format, args...)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// checkKeys refuses a key that is written twice in one mapping.
func checkKeys(file string, doc document) error {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(doc.text, &root); err != nil {
		return yamlError(file, doc, err)
	}
	var check func(n *yamlv3.Node) error
	check = func(n *yamlv3.Node) error {
		seen := map[[2]string]bool{}
		for i, c := range n.Content {
			if n.Kind == yamlv3.MappingNode && i%2 == 0 && c.Kind == yamlv3.ScalarNode {
				k := [2]string{c.ShortTag(), c.Value}
				if seen[k] {
					return fault.New(fault.InvalidYAML, file, doc.start+c.Line-1, "key %q already set in map", clip(c.Value))
				}
				seen[k] = true
			}
			if err := check(c); err != nil {
				return err
			}
		}
		return nil
	}
	return check(&root)
}

// itemLines returns the line of each element of a document's items.
func itemLines(doc document) []int {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(doc.text, &root); err != nil || len(root.Content) == 0 {
		return nil
	}
	m := root.Content[0]
	var lines []int
	for i := 0; m.Kind == yamlv3.MappingNode && i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != "items" {
			continue
		}
		for _, item := range m.Content[i+1].Content {
			lines = append(lines, doc.start+item.Line-1)
		}
	}
	return lines
}
