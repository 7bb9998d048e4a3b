package manifest

import (
	"bytes"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"

	yamlv3 "go.yaml.in/yaml/v3"
)

// nodeBytes is what a value counts besides its text.
const nodeBytes = 16

// CheckAliases refuses text that another decoder is about to read and that its
// aliases make too large or too deep. Text without aliases costs next to
// nothing.
func CheckAliases(file string, content []byte, lim limit.Limits) error {
	if !hasAliases(content) {
		return nil
	}
	for _, doc := range splitDocuments(bytes.TrimPrefix(content, utf8BOM)) {
		if err := checkAliases(file, doc, lim); err != nil {
			return err
		}
	}
	return nil
}

// hasAliases tells whether there may be an alias.
func hasAliases(text []byte) bool {
	return bytes.IndexByte(text, '*') >= 0 && bytes.IndexByte(text, '&') >= 0
}

func checkAliases(file string, doc document, lim limit.Limits) (err error) {
	if !hasAliases(doc.text) {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.InvalidYAML, file, doc.first, "the YAML parser gave up: %v", p)
		}
	}()
	return checkExpansion(file, doc, lim)
}

// checkExpansion refuses a document whose aliases, written out, go over the
// limit, or that contains itself.
func checkExpansion(file string, doc document, lim limit.Limits) error {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(doc.text, &root); err != nil {
		return yamlError(file, doc, err)
	}
	size, err := Measure(&root, lim)
	if err == nil && size.Bytes > lim.ExpandedBytes {
		err = fault.New(fault.TooLarge, "", 0, "its aliases expand to more than %d bytes", lim.ExpandedBytes)
	}
	if e, ok := err.(*fault.Error); ok {
		e.File, e.Line = file, doc.first
		return e
	}
	return err
}

// Size is what a YAML value comes to once its aliases are written out.
type Size struct {
	Bytes int64 // of text, and a little for each value
	Depth int
}

// Measure computes the size of node without expanding it. An alias inside of
// what it stands for and a depth over the limit are a [*fault.Error] without
// a file.
func Measure(node *yamlv3.Node, lim limit.Limits) (Size, error) {
	m := measurer{lim: lim, known: map[*yamlv3.Node]Size{}, open: map[*yamlv3.Node]bool{}}
	return m.measure(node, 0)
}

type measurer struct {
	lim   limit.Limits
	known map[*yamlv3.Node]Size
	open  map[*yamlv3.Node]bool
}

// maxBytes keeps sums of sizes far from overflowing an int64.
const maxBytes = int64(1) << 60

func (m *measurer) measure(n *yamlv3.Node, depth int) (Size, error) {
	if depth > m.lim.Depth {
		return Size{}, fault.New(fault.TooDeep, "", 0, "is nested more than %d levels deep", m.lim.Depth)
	}
	if n.Kind == yamlv3.AliasNode {
		return m.alias(n.Alias, depth)
	}
	size := Size{Bytes: int64(len(n.Value)) + nodeBytes}
	if n.Anchor != "" {
		m.open[n] = true
		defer delete(m.open, n)
	}
	for _, c := range n.Content {
		s, err := m.measure(c, depth+1)
		if err != nil {
			return Size{}, err
		}
		size.Bytes = min(size.Bytes+s.Bytes, maxBytes)
		size.Depth = max(size.Depth, s.Depth+1)
	}
	if n.Anchor != "" {
		m.known[n] = size
	}
	return size, nil
}

// alias counts what was measured at the anchor, which comes before its uses.
func (m *measurer) alias(target *yamlv3.Node, depth int) (Size, error) {
	if target == nil || m.open[target] {
		return Size{}, fault.New(fault.InvalidYAML, "", 0, "has an alias inside of what it stands for")
	}
	size, ok := m.known[target]
	if !ok {
		return Size{}, fault.New(fault.InvalidYAML, "", 0, "has an alias before its anchor")
	}
	if depth+size.Depth > m.lim.Depth {
		return Size{}, fault.New(fault.TooDeep, "", 0, "is nested more than %d levels deep", m.lim.Depth)
	}
	return size, nil
}
