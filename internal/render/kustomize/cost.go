package kustomize

import (
	"abide.dev/abide/internal/render/fault"
)

// cost is what building a node may take, a base counted once for each time it
// is included. It is an upper bound in the cases that matter, not an exact
// figure: what it lets pass at worst is for the bound of a worker process.
type cost struct {
	own     int64 // bytes that transform the node's objects: the kustomization, patches, components
	builds  int64 // kustomizations built
	objects int64
	largest int64            // bytes of the largest object
	kinds   map[string]int64 // objects by kind
	copies  []copyOp         // what replacements do, in order
}

// add counts objects that were written in size bytes.
func (c *cost) add(docs []source, size int64) {
	if c.kinds == nil {
		c.kinds = map[string]int64{}
	}
	c.objects += int64(len(docs))
	for _, d := range docs {
		c.kinds[d.kind]++
		c.largest = max(c.largest, d.bytes)
		if d.generated {
			c.largest = max(c.largest, size)
		}
	}
}

// maxName is how long a name, namespace, prefix or suffix may be (RFC 1123
// subdomain, as Kubernetes has it).
const maxName = 253

// addCost sums up what n includes and refuses what goes over a limit.
func (c *checker) addCost(n *node) error {
	own := n.cost
	total := &n.cost
	total.builds++
	total.copies = nil
	if total.kinds == nil {
		total.kinds = map[string]int64{}
	}
	for _, child := range n.children {
		total.builds += child.cost.builds
		total.objects += child.cost.objects
		total.largest = max(total.largest, child.cost.largest)
		for k, v := range child.cost.kinds {
			total.kinds[k] += v
		}
		total.copies = append(total.copies, child.cost.copies...)
		if len(total.copies) > maxCopies {
			return tooManyCopies(n.file)
		}
	}
	total.copies = append(total.copies, own.copies...)
	switch {
	case total.builds > int64(c.lim.Builds):
		return c.tooManyBuilds(n)
	case total.objects > int64(c.lim.Objects):
		return fault.New(fault.TooManyObjects, n.file, 0, "gives %d objects, and at most %d are rendered", total.objects, c.lim.Objects).
			WithHint("split it into several Apps")
	case total.own*max(total.objects, 1) > c.lim.WorkBytes:
		return tooMuchWork(n.file, "its transformations are too large for so many objects")
	//lint:ignore SA1019 people still use the deprecated field
	case len(n.kust.Vars) > 0 && c.refs*max(total.largest, 1) > c.lim.WorkBytes:
		return tooMuchWork(n.file, "its vars may make the objects too large")
	}
	for _, s := range []struct{ field, value string }{
		{"namePrefix", n.kust.NamePrefix}, {"nameSuffix", n.kust.NameSuffix}, {"namespace", n.kust.Namespace},
	} {
		if len(s.value) > maxName {
			return fault.New(fault.InvalidKustomization, n.file, 0, "%s has %d characters, and a name has at most %d", s.field, len(s.value), maxName)
		}
	}
	return c.copyCost(n)
}

func (c *checker) tooManyBuilds(n *node) error {
	return fault.New(fault.TooLarge, n.file, 0, "includes more than %d kustomizations, those counted again that are included again", c.lim.Builds).
		WithHint("flatten the bases, or split the App")
}

func tooMuchWork(file, why string) error {
	return fault.New(fault.TooLarge, file, 0, "%s", why).WithHint("make them smaller, or split the App")
}
