package kustomize

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// checker reads every kustomization that a build can reach, decoding them with
// the library's own types, and checks what they name.
type checker struct {
	tree      *traced.Tree
	lim       limit.Limits
	factory   *resmap.Factory
	allowed   map[string]bool  // real paths of files that the build may read
	nodes     map[string]*node // by real path of the folder; nil while it is checked
	openapi   bool             // some kustomization sets a schema
	refs      int64            // "$(" in all that was read; a var may replace each
	warnings  []string
	origins   *origins
	remotes   *remotes
	inflate   inflater
	made      int64             // bytes that charts rendered to
	rewritten map[string][]byte // what the build reads in the place of a file
	inflated  map[string]string // names of kustomizations whose charts were rendered, by folder
}

// node is what is known of one kustomization and all it includes.
type node struct {
	dir      string
	file     string // the kustomization
	kust     types.Kustomization
	children []*node
	sources  []source
	cost     cost
	// lacks: something that it names is not there. rewritten: something is, at
	// another path.
	lacks, rewritten bool
	charts           []byte // what its helmCharts render to
	// namespace is that of the kustomization that includes this one; inherits
	// tells that a chart takes it.
	namespace string
	inherits  bool
}

func newChecker(tree *traced.Tree, lim limit.Limits, inflate inflater) *checker {
	return &checker{
		tree:    tree,
		lim:     lim,
		factory: resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()),
		allowed: map[string]bool{},
		nodes:   map[string]*node{},
		origins: newOrigins(),
		remotes: newRemotes(), inflate: inflate, rewritten: map[string][]byte{}, inflated: map[string]string{},
	}
}

// check reads the kustomization in dir, which is a real path.
func (c *checker) check(dir string) (*node, error) {
	n, err := c.node(dir, "")
	if err == nil {
		err = c.remotes.needed()
	}
	if err != nil {
		return nil, err
	}
	c.origins.collect(n)
	return n, nil
}

// node checks the kustomization in dir, which one with that namespace includes.
func (c *checker) node(dir, namespace string) (*node, error) {
	if n, ok := c.nodes[dir]; ok {
		if n == nil {
			return nil, fault.New(fault.KustomizationCycle, dir, 0, "this kustomization includes itself by way of others").
				WithHint("remove one of the references")
		}
		return n, n.sameNamespace(namespace)
	}
	c.nodes[dir] = nil
	n, err := c.load(dir)
	if err != nil {
		return nil, err
	}
	n.namespace = namespace
	if err := c.fields(n); err != nil {
		return nil, err
	}
	if err := c.addCost(n); err != nil {
		return nil, err
	}
	if err := c.rewrite(n); err != nil {
		return nil, err
	}
	c.nodes[dir] = n
	return n, nil
}

// load finds and decodes the kustomization in dir.
func (c *checker) load(dir string) (*node, error) {
	n := &node{dir: dir}
	var content []byte
	for _, name := range FileNames() {
		p := path.Join(dir, name)
		real, kind, err := c.tree.Resolve(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && kind == snapshot.Dir {
			continue
		}
		if err != nil {
			return nil, fault.FromTree(p, err)
		}
		if n.file != "" {
			return nil, fault.New(fault.InvalidKustomization, p, 0, "there is also a %s", path.Base(n.file)).
				WithHint("keep one of the two")
		}
		if content, err = c.read(real); err != nil {
			return nil, err
		}
		n.file = p
	}
	if n.file == "" {
		return nil, fault.New(fault.PathNotFound, dir, 0, "the folder has no kustomization.yaml").
			WithHint("add one, or list its files one by one")
	}
	if err := c.decode(n, content); err != nil {
		return nil, err
	}
	n.cost.own = int64(len(content))
	return n, nil
}

func (c *checker) decode(n *node, content []byte) error {
	if _, err := c.scan(n.file, content); err != nil {
		return err
	}
	if err := n.kust.Unmarshal(content); err != nil {
		e := fault.New(fault.InvalidKustomization, n.file, 0, "%s", err)
		e.Err = err
		return e
	}
	if w := n.kust.CheckDeprecatedFields(); w != nil {
		for _, msg := range *w {
			if !slices.Contains(c.warnings, msg) {
				c.warnings = append(c.warnings, msg)
			}
		}
	}
	n.kust.FixKustomization()
	return c.replace(n)
}

// read returns a file and lets the build read it too.
func (c *checker) read(real string) ([]byte, error) {
	b, err := c.tree.ReadFile(real)
	if err != nil {
		return nil, fault.FromTree(real, err)
	}
	c.allowed[real] = true
	return b, nil
}

// file reads what a path-taking field names, which has to be a file.
func (c *checker) file(at place, root, value string) (string, []byte, error) {
	p, kind, err := c.find(at, root, value)
	if err != nil {
		return "", nil, err
	}
	if kind != snapshot.File && kind != snapshot.Executable {
		return "", nil, fault.New(fault.InvalidPath, at.file, 0, "%s has %q, which is a %s and must be a file", at.field, shorten(value), kind)
	}
	b, err := c.read(p)
	return p, b, err
}

// find resolves what a path-taking field names.
func (c *checker) find(at place, root, value string) (string, snapshot.Kind, error) {
	joined, err := c.local(at, root, value)
	if err != nil {
		return "", 0, err
	}
	real, kind, err := c.tree.Resolve(joined)
	if err == nil {
		return real, kind, nil
	}
	err = fault.FromTree(joined, err)
	var e *fault.Error
	if errors.As(err, &e) {
		// The one to correct is the kustomization.
		named := *e
		named.File, named.Msg = at.file, at.field+" has "+quote(value)+", which "+verb(e)
		return "", 0, &named
	}
	return "", 0, err
}

func quote(s string) string { return `"` + shorten(s) + `"` }

// verb is the message of e as the end of a sentence.
func verb(e *fault.Error) string {
	if e.Reason == fault.PathNotFound {
		return "does not exist (" + shorten(e.File) + ")"
	}
	return e.Msg
}

// fields checks every field of n that takes a path or text that is parsed.
func (c *checker) fields(n *node) error {
	steps := []func(*node) error{
		c.schema, c.resources, c.components, c.generatorSources, c.charts, c.patches, c.configs, c.plugins,
	}
	for _, step := range steps {
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) resources(n *node) error {
	for _, value := range n.kust.Resources {
		at := place{n.file, "resources"}
		p, kind, err := c.find(at, n.dir, value)
		if err != nil {
			return err
		}
		if kind == snapshot.Dir {
			if _, err := c.include(n, p); err != nil {
				return err
			}
			continue
		}
		_, content, err := c.file(at, n.dir, value)
		if err != nil {
			return err
		}
		docs, err := c.scan(p, content)
		if err != nil {
			return err
		}
		n.sources = append(n.sources, docs...)
		n.cost.add(docs, int64(len(content)))
	}
	return nil
}

// include checks a kustomization that n includes.
func (c *checker) include(n *node, dir string) (*node, error) {
	child, err := c.node(dir, cmp.Or(n.kust.Namespace, n.namespace))
	if err != nil {
		return nil, err
	}
	n.children = append(n.children, child)
	n.inherits = n.inherits || child.inherits && n.kust.Namespace == ""
	return child, nil
}

func (c *checker) components(n *node) error {
	for _, value := range n.kust.Components {
		at := place{n.file, "components"}
		p, kind, err := c.find(at, n.dir, value)
		if err != nil {
			return err
		}
		if kind != snapshot.Dir {
			return fault.New(fault.InvalidPath, n.file, 0, "components has %s, which is a %s and must be a folder", quote(value), kind)
		}
		child, err := c.include(n, p)
		if err != nil {
			return err
		}
		// A component works on all objects of the kustomization that uses it.
		n.cost.own += child.cost.own
	}
	return nil
}

// generatorSources checks configMapGenerator and secretGenerator.
func (c *checker) generatorSources(n *node) error {
	for i := range n.kust.ConfigMapGenerator {
		g := &n.kust.ConfigMapGenerator[i].GeneratorArgs
		if err := c.generator(n, place{n.file, "configMapGenerator"}, "ConfigMap", g); err != nil {
			return err
		}
	}
	for i := range n.kust.SecretGenerator {
		g := &n.kust.SecretGenerator[i].GeneratorArgs
		if err := c.generator(n, place{n.file, "secretGenerator"}, "Secret", g); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) generator(n *node, at place, kind string, g *types.GeneratorArgs) error {
	size, err := c.keyValues(at, n.dir, g.KvPairSources)
	if err != nil {
		return err
	}
	src := source{kind: kind, name: g.Name, namespace: g.Namespace, file: n.file, generated: true}
	n.sources = append(n.sources, src)
	n.cost.add([]source{src}, size)
	return nil
}

// keyValues checks the files of a generator and returns their size.
func (c *checker) keyValues(at place, root string, s types.KvPairSources) (int64, error) {
	var size int64
	for _, value := range s.FileSources {
		_, p, ok := fileSource(value)
		for _, v := range []string{value, p} {
			if isRemote(v) {
				_, err := c.local(at, root, v)
				return 0, err
			}
		}
		if !ok {
			continue // the library says what is wrong with it
		}
		_, b, err := c.file(place{at.file, at.field + ".files"}, root, p)
		if err != nil {
			return 0, err
		}
		size += int64(len(b))
	}
	envs := slices.Clone(s.EnvSources)
	if s.EnvSource != "" {
		envs = append(envs, s.EnvSource)
	}
	for _, value := range envs {
		_, b, err := c.file(place{at.file, at.field + ".envs"}, root, value)
		if err != nil {
			return 0, err
		}
		size += int64(len(b))
	}
	return size, nil
}

// patches checks the three forms of patches and the replacements.
func (c *checker) patches(n *node) error {
	for _, p := range n.kust.Patches {
		if err := c.patch(n, "patches", p.Path, p.Patch); err != nil {
			return err
		}
	}
	//lint:ignore SA1019 people still use the deprecated fields
	for _, p := range n.kust.PatchesJson6902 {
		if err := c.patch(n, "patchesJson6902", p.Path, p.Patch); err != nil {
			return err
		}
	}
	//lint:ignore SA1019 people still use the deprecated fields
	for _, p := range n.kust.PatchesStrategicMerge {
		if err := c.strategicMerge(n, n.dir, place{n.file, "patchesStrategicMerge"}, string(p)); err != nil {
			return err
		}
	}
	return c.replacements(n, n.dir, n.file, n.kust.Replacements)
}

// patch checks one patch, inline or in a file.
func (c *checker) patch(n *node, field, file, inline string) error {
	if inline != "" {
		if err := c.inline(n.file, field, inline); err != nil {
			return err
		}
	}
	if file == "" {
		return nil
	}
	p, b, err := c.file(place{n.file, field + ".path"}, n.dir, file)
	if err != nil {
		return err
	}
	n.cost.own += int64(len(b))
	return c.parsed(p, b)
}

// strategicMerge checks an element of patchesStrategicMerge, which is a patch
// or, if it does not parse as one, a path.
func (c *checker) strategicMerge(n *node, root string, at place, value string) error {
	if err := c.inline(at.file, at.field, value); err != nil {
		return err
	}
	if _, err := c.factory.RF().SliceFromBytes([]byte(value)); err == nil {
		return nil
	}
	p, b, err := c.file(at, root, value)
	if err != nil {
		return err
	}
	n.cost.own += int64(len(b))
	return c.parsed(p, b)
}

// configs checks configurations and crds.
func (c *checker) configs(n *node) error {
	for _, value := range n.kust.Configurations {
		p, b, err := c.file(place{n.file, "configurations"}, n.dir, value)
		if err != nil {
			return err
		}
		n.cost.own += int64(len(b))
		if err := c.parsed(p, b); err != nil {
			return err
		}
	}
	for _, value := range n.kust.Crds {
		p, b, err := c.file(place{n.file, "crds"}, n.dir, value)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(b)) == 0 {
			return fault.New(fault.InvalidYAML, p, 0, "is empty and must hold the definitions of types")
		}
		if err := c.parsed(p, b); err != nil {
			return err
		}
		if err := checkDefinitions(p, b); err != nil {
			return err
		}
	}
	return nil
}

// schema checks the openapi field.
func (c *checker) schema(n *node) error {
	if len(n.kust.OpenAPI) == 0 {
		return nil
	}
	c.openapi = true
	value, ok := n.kust.OpenAPI["path"]
	if !ok {
		return nil
	}
	p, b, err := c.file(place{n.file, "openapi.path"}, n.dir, value)
	if err != nil {
		return err
	}
	if err := c.parsed(p, b); err != nil {
		return err
	}
	return checkSchema(p, b)
}

// IsComponent tells whether the kustomization in file is a Component.
func IsComponent(tree *traced.Tree, file string) (bool, error) {
	real, _, err := tree.Resolve(file)
	if err != nil {
		return false, fault.FromTree(file, err)
	}
	b, err := tree.ReadFile(real)
	if err != nil {
		return false, fault.FromTree(file, err)
	}
	var k types.Kustomization
	if err := k.Unmarshal(b); err != nil {
		return false, nil // the build says what is wrong with it
	}
	return k.Kind == types.ComponentKind, nil
}
