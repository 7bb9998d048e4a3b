package kustomize

import (
	"strings"

	"abide.dev/abide/internal/render/manifest"
)

// origins finds the file and line that an object of the output was written in.
// The library can be told to annotate its output with that, but not without
// touching what it gives; so the place is found by kind and name, the name
// being predicted from the prefixes and suffixes on the way. Where that fails
// (a name was patched, say) the place is the kustomization that was built.
type origins struct {
	exact map[originKey][]source // by the name predicted for the output
	plain map[originKey][]source // by the name as written
}

type originKey struct{ group, kind, name string }

func newOrigins() *origins {
	return &origins{exact: map[originKey][]source{}, plain: map[originKey][]source{}}
}

func (o *origins) collect(n *node) { o.walk(n, "", "") }

// walk visits a base once for each time it is included; the number of builds
// was bounded before.
func (o *origins) walk(n *node, prefix, suffix string) {
	prefix, suffix = prefix+n.kust.NamePrefix, n.kust.NameSuffix+suffix
	for _, s := range n.sources {
		k := originKey{s.group, s.kind, prefix + s.name + suffix}
		o.exact[k] = append(o.exact[k], s)
		k.name = s.name
		o.plain[k] = append(o.plain[k], s)
	}
	for _, c := range n.children {
		o.walk(c, prefix, suffix)
	}
}

func (o *origins) set(objects []manifest.Object, fallback string) {
	for i := range objects {
		objects[i].Origin = o.find(objects[i], fallback)
	}
}

func (o *origins) find(obj manifest.Object, fallback string) manifest.Origin {
	gk := obj.GroupVersionKind().GroupKind()
	k := originKey{gk.Group, gk.Kind, obj.GetName()}
	cut, hashed := withoutHash(k.name)
	for _, table := range []map[originKey][]source{o.exact, o.plain} {
		if s, ok := pick(table[k], obj.GetNamespace(), false); ok {
			return s
		}
		if !hashed {
			continue
		}
		if s, ok := pick(table[originKey{k.group, k.kind, cut}], obj.GetNamespace(), true); ok {
			return s
		}
	}
	return manifest.Origin{File: fallback}
}

// pick prefers the source with the object's namespace.
func pick(candidates []source, namespace string, generated bool) (manifest.Origin, bool) {
	best := -1
	for i, s := range candidates {
		if generated && !s.generated {
			continue
		}
		if best < 0 || s.namespace == namespace && candidates[best].namespace != namespace {
			best = i
		}
	}
	if best < 0 {
		return manifest.Origin{}, false
	}
	return manifest.Origin{File: candidates[best].file, Line: candidates[best].line}, true
}

// hashLength is the length of the suffix that generated names get.
const hashLength = 10

func withoutHash(name string) (string, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || len(name)-i-1 != hashLength {
		return "", false
	}
	return name[:i], true
}
