package kustomize

import (
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
)

// maxCopies bounds the fields that the replacements of a build write to.
const maxCopies = 2000

// copyOp is one field path of one target of a replacement.
type copyOp struct {
	from, to []string // field paths; from is nil for a fixed value
	fixed    int64    // bytes of the fixed value
	joins    bool     // adds to what is there instead of taking its place
	kind     string   // of the objects written to, "" for any
	named    bool     // only objects of one name
}

// replacements checks a list of replacements, inline or in files.
func (c *checker) replacements(n *node, root, file string, list []types.ReplacementField) error {
	for _, r := range list {
		if r.Path == "" {
			if err := c.addCopies(n, file, []types.Replacement{r.Replacement}); err != nil {
				return err
			}
			continue
		}
		p, b, err := c.file(place{file, "replacements.path"}, root, r.Path)
		if err != nil {
			return err
		}
		if err := c.parsed(p, b); err != nil {
			return err
		}
		found, err := decodeReplacements(p, b)
		if err != nil {
			return err
		}
		if err := c.addCopies(n, p, found); err != nil {
			return err
		}
	}
	return nil
}

// decodeReplacements reads a file that holds one replacement or a list.
func decodeReplacements(file string, content []byte) ([]types.Replacement, error) {
	var any any
	err := yaml.Unmarshal(content, &any)
	var list []types.Replacement
	if err == nil && reflect.ValueOf(any).Kind() == reflect.Slice {
		err = yaml.Unmarshal(content, &list)
	} else if err == nil {
		list = make([]types.Replacement, 1)
		err = yaml.Unmarshal(content, &list[0])
	}
	if err != nil {
		e := fault.New(fault.InvalidYAML, file, 0, "holds no replacement: %s", shorten(err.Error()))
		e.Err = err
		return nil, e
	}
	return list, nil
}

func (c *checker) addCopies(n *node, file string, list []types.Replacement) error {
	for _, r := range list {
		op := copyOp{from: splitFieldPath(types.DefaultReplacementFieldPath)}
		switch {
		case r.SourceValue != nil:
			op.from, op.fixed = nil, int64(len(*r.SourceValue))
		case r.Source != nil && r.Source.FieldPath != "":
			op.from = splitFieldPath(r.Source.FieldPath)
		}
		for _, t := range r.Targets {
			if t == nil {
				continue
			}
			if t.Select != nil {
				op.kind, op.named = literal(t.Select.Kind), literal(t.Select.Name) != ""
			}
			op.joins = t.Options != nil && t.Options.Delimiter != ""
			fields := t.FieldPaths
			if len(fields) == 0 {
				fields = []string{types.DefaultReplacementFieldPath}
			}
			for _, f := range fields {
				op.to = splitFieldPath(f)
				if n.cost.copies = append(n.cost.copies, op); len(n.cost.copies) > maxCopies {
					return tooManyCopies(file)
				}
			}
		}
	}
	return nil
}

func tooManyCopies(file string) error {
	return fault.New(fault.TooLarge, file, 0, "replacements write to more than %d fields", maxCopies).
		WithHint("select several objects with one target, or split the App")
}

// literal returns a selector's value if it can match nothing but itself.
func literal(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return ""
	}
	return s
}

// splitFieldPath cuts at dots, except those in brackets or after a backslash.
func splitFieldPath(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			depth++
		case ']':
			depth--
		case '.':
			if depth <= 0 {
				out, start = append(out, s[start:i]), i+1
			}
		}
	}
	return append(out, s[min(start, len(s)):])
}

// mayOverlap tells whether one of two paths may lead into the other.
func mayOverlap(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && fixedName(a[i]) && fixedName(b[i]) {
			return false
		}
	}
	return true
}

// fixedName tells whether an element of a path is the name of a field.
func fixedName(s string) bool {
	return !strings.ContainsAny(s, `[]*\`) && strings.Trim(s, "-0123456789") != ""
}

// copyCost follows how large values can get when replacements feed each other:
// in units of the largest object, and with every object taken for the same
// one, since names and kinds may change on the way.
func (c *checker) copyCost(n *node) error {
	const overflow = int64(1) << 40
	ops := n.cost.copies
	sizes := make([]int64, len(ops))
	work, unit := int64(0), max(n.cost.largest, 1)
	for i, op := range ops {
		value, there := int64(1), int64(1)
		for j := range i {
			if op.from != nil && mayOverlap(ops[j].to, op.from) {
				if len(op.from) < len(ops[j].to) {
					value += sizes[j] // what was written lies inside of what is copied
				} else {
					value = max(value, sizes[j])
				}
			}
			if op.joins && mayOverlap(ops[j].to, op.to) {
				there = max(there, sizes[j])
			}
		}
		if op.joins {
			value += there
		}
		sizes[i] = min(value, overflow)
		objects := n.cost.objects
		if op.kind != "" {
			objects = min(objects, max(n.cost.kinds[op.kind], 1))
		}
		if op.named {
			objects = min(objects, 1)
		}
		work += sizes[i] * max(objects, 1)
		if work > c.lim.WorkBytes || work*max(unit, op.fixed) > c.lim.WorkBytes {
			return tooMuchWork(n.file, "its replacements may make the objects too large")
		}
	}
	return nil
}
