package kustomize

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/manifest"
)

// source is an object as it was written, before it is transformed.
type source struct {
	group, kind, namespace, name string
	file                         string
	line                         int
	bytes                        int64
	generated                    bool // its name gets a hash
}

// separator is where the library cuts a stream into documents; it differs from
// what YAML says (and from package manifest), and what is checked has to be
// what the library parses.
var separator = regexp.MustCompile(`\n---.*\n`)

// scan parses text as the library will and returns the objects in it. It
// refuses what would cost the library too much: aliases that expand beyond the
// limit, values nested too deep.
func (c *checker) scan(file string, content []byte) ([]source, error) {
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	c.refs += int64(strings.Count(text, "$("))
	var out []source
	line, prev := 1, 0
	cuts := append(separator.FindAllStringIndex(text, -1), []int{len(text), len(text)})
	for _, cut := range cuts {
		chunk := text[prev:cut[0]]
		docs, err := c.scanDocument(file, chunk, line)
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
		if len(out) > c.lim.Objects {
			return nil, fault.New(fault.TooManyObjects, file, line, "holds more than %d objects", c.lim.Objects).
				WithHint("split it into several Apps")
		}
		line += strings.Count(text[prev:cut[1]], "\n")
		prev = cut[1]
	}
	return out, nil
}

func (c *checker) scanDocument(file, chunk string, line int) ([]source, error) {
	var doc yamlv3.Node
	err := yamlv3.NewDecoder(bytes.NewReader([]byte(chunk))).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, scanError(file, chunk, line, err)
	}
	size, err := manifest.Measure(&doc, c.lim)
	if err == nil && size.Bytes > c.lim.ExpandedBytes {
		err = fault.New(fault.TooLarge, "", 0, "its aliases expand to more than %d bytes", c.lim.ExpandedBytes)
	}
	if err != nil {
		var e *fault.Error
		if errors.As(err, &e) {
			e.File, e.Line = file, line
		}
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yamlv3.MappingNode {
		return nil, nil
	}
	return objectsOf(doc.Content[0], file, line, size.Bytes), nil
}

var libraryLine = regexp.MustCompile(`line (\d+): `)

// scanError puts the line, which the library gives in its text only, where it
// belongs. It is now and then one behind the end.
func scanError(file, chunk string, start int, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := start
	if m := libraryLine.FindStringSubmatchIndex(msg); m != nil {
		if n, convErr := strconv.Atoi(msg[m[2]:m[3]]); convErr == nil {
			last := start + strings.Count(strings.TrimSuffix(chunk, "\n"), "\n")
			line, msg = min(start+n-1, last), msg[:m[0]]+msg[m[1]:]
		}
	}
	e := fault.New(fault.InvalidYAML, file, line, "%s", msg)
	e.Err = err
	return e
}

// objectsOf describes the object in m, or the objects of the list in m.
func objectsOf(m *yamlv3.Node, file string, start int, size int64) []source {
	s := source{file: file, line: start + m.Line - 1, bytes: size}
	var items *yamlv3.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		v := m.Content[i+1]
		switch m.Content[i].Value {
		case "apiVersion":
			if group, _, ok := strings.Cut(v.Value, "/"); ok {
				s.group = group
			}
		case "kind":
			s.kind = v.Value
		case "metadata":
			for j := 0; v.Kind == yamlv3.MappingNode && j+1 < len(v.Content); j += 2 {
				switch v.Content[j].Value {
				case "name":
					s.name = v.Content[j+1].Value
				case "namespace":
					s.namespace = v.Content[j+1].Value
				}
			}
		case "items":
			items = v
		}
	}
	if !strings.HasSuffix(s.kind, "List") || items == nil {
		return []source{s}
	}
	for items.Kind == yamlv3.AliasNode {
		items = items.Alias
	}
	var out []source
	for _, it := range items.Content {
		for it.Kind == yamlv3.AliasNode {
			it = it.Alias
		}
		if it.Kind == yamlv3.MappingNode {
			out = append(out, objectsOf(it, file, start, size)...)
		}
	}
	return out
}

// parsed checks text of a file that the library parses for something else than
// objects.
func (c *checker) parsed(file string, content []byte) error {
	_, err := c.scan(file, content)
	return err
}

// inline checks text that a field of a kustomization holds. Text that does not
// parse is left to the library.
func (c *checker) inline(file, field, text string) error {
	_, err := c.scan(file, []byte(text))
	var e *fault.Error
	if errors.As(err, &e) {
		if e.Reason == fault.InvalidYAML && e.Err != nil {
			return nil
		}
		e.Line = 0
		e.Msg = field + " holds text that " + e.Msg
	}
	return err
}
