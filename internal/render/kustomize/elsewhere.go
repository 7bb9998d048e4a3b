package kustomize

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/mount"
)

const (
	// maxRemotes bounds what a build names that is elsewhere.
	maxRemotes = 100
	// maxRemoteDepth bounds how often what is elsewhere leads elsewhere again.
	maxRemoteDepth = 10
)

// remotes are what the kustomizations name that is elsewhere.
type remotes struct {
	specs   map[string]remote.Spec // by the name of the mount
	depth   map[string]int         // of references that lead there
	missing []remote.Spec          // in the order found
	first   *fault.Error           // about the first of these
}

func newRemotes() *remotes {
	return &remotes{specs: map[string]remote.Spec{}, depth: map[string]int{}}
}

// mounted tells whether a path is in a mount that a URL was replaced with, and
// of what.
func (r *remotes) mounted(p string) (remote.Spec, bool) {
	name, _, _ := strings.Cut(p, "/")
	name, ok := strings.CutPrefix(name, mount.Prefix)
	if !ok {
		return remote.Spec{}, false
	}
	s, ok := r.specs[name]
	return s, ok
}

// all are the remotes that a build has used, in order of their names.
func (r *remotes) all() []remote.Spec {
	out := make([]remote.Spec, 0, len(r.specs))
	for _, s := range r.specs {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b remote.Spec) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// needed is the error for what is not there, nil if all is.
func (r *remotes) needed() error {
	if len(r.missing) == 0 {
		return nil
	}
	r.first.Remotes = r.missing
	return r.first
}

// mount returns the path of the mount of a Spec that n names, and whether it is
// there.
func (c *checker) mount(n *node, field string, s remote.Spec) (string, bool, error) {
	name := s.Name()
	at := mount.Prefix + name
	from, _ := c.remotes.mounted(n.dir)
	depth := c.remotes.depth[from.Name()] + 1
	if _, known := c.remotes.specs[name]; !known {
		if len(c.remotes.specs) == maxRemotes {
			return "", false, fault.New(fault.TooLarge, n.file, 0, "with %s there are more than %d URLs that this build fetches", s, maxRemotes).
				WithHint("copy what they name into the repository")
		}
		c.remotes.specs[name] = s
	}
	if c.remotes.depth[name] = max(c.remotes.depth[name], depth); depth > maxRemoteDepth {
		return "", false, fault.New(fault.TooDeep, n.file, 0, "%s is the end of a chain of more than %d URLs that lead to each other", s, maxRemoteDepth).
			WithHint("copy what they name into the repository")
	}
	_, _, err := c.tree.Resolve(at)
	if err == nil {
		return at, true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, fault.FromTree(at, err)
	}
	if !slices.Contains(c.remotes.missing, s) {
		c.remotes.missing = append(c.remotes.missing, s)
	}
	if c.remotes.first == nil {
		c.remotes.first = fault.New(fault.RemoteBaseNotAllowed, n.file, 0, "%s has %q, which is fetched from elsewhere", field, shorten(s.String())).
			WithHint("allow it: with remoteBases: true in a Repository whose URL covers it, or by --allow-remote-bases %s of the controller; or copy it into the repository", s.Host())
	}
	return at, false, nil
}

// replace puts the paths of mounts in the place of URLs. Where one of these is
// not there, all that is left of the kustomization is what leads to further
// ones: it can't be built.
func (c *checker) replace(n *node) error {
	var lost bool
	for _, f := range pathFields(&n.kust) {
		value, kept, err := c.replaced(n, f)
		if err != nil {
			return err
		}
		if lost = lost || !kept; kept && value != *f.value {
			*f.value, n.rewritten = value, true
		}
	}
	if !lost {
		return nil
	}
	here := func(list []string) []string { return slices.DeleteFunc(slices.Clone(list), isRemote) }
	k := n.kust
	n.kust = types.Kustomization{
		TypeMeta: k.TypeMeta, Namespace: k.Namespace, Resources: here(k.Resources), Components: here(k.Components),
		HelmGlobals: k.HelmGlobals, HelmCharts: k.HelmCharts,
	}
	n.lacks = true
	return nil
}

// replaced returns what takes the place of one value, and whether that is there.
func (c *checker) replaced(n *node, f pathField) (value string, there bool, err error) {
	key, value := f.split()
	if !isRemote(value) || f.inline && c.isInline(value) {
		return *f.value, true, nil
	}
	spec, inside, err := remote.Parse(value, f.takes)
	if err != nil {
		shown := quote(value)
		if errors.Is(err, remote.ErrCredentials) {
			shown = "a URL"
		}
		e := fault.New(fault.RemoteBaseNotAllowed, n.file, 0, "%s has %s, which is fetched from elsewhere: %s", f.name, shown, err)
		e.Err = err
		return "", false, e.WithHint("copy it into the repository")
	}
	at, there, err := c.mount(n, f.name, spec)
	if err != nil || !there {
		return *f.value, false, err
	}
	at = path.Join(at, inside)
	if spec.Kind == remote.Git {
		_, kind, err := c.tree.Resolve(at)
		if err != nil {
			return "", false, fault.FromTree(at, err)
		}
		if kind != snapshot.Dir {
			return "", false, fault.New(fault.InvalidPath, n.file, 0, "%s has %s, which is a %s and must be a folder", f.name, quote(value), kind)
		}
	}
	return key + at, true, nil
}

// isInline tells whether a value that could be a path is a text of its own.
func (c *checker) isInline(value string) bool {
	if strings.Contains(value, "\n") {
		return true
	}
	_, err := c.factory.RF().SliceFromBytes([]byte(value))
	return err == nil
}

// pathField is a field of a kustomization that takes a path.
type pathField struct {
	name   string
	takes  remote.Takes
	value  *string
	inline bool // it may be a text of its own
	keyed  bool // KEY=path
}

// split cuts off the key of a value.
func (f pathField) split() (key, value string) {
	if key, file, ok := strings.Cut(*f.value, "="); f.keyed && ok && !isRemote(key) {
		return key + "=", file
	}
	return "", *f.value
}

// pathFields are the fields in which the library takes a URL. It also does so in
// the configurations of plugins, where abide refuses it.
func pathFields(k *types.Kustomization) []pathField {
	var out []pathField
	one := func(name string, value *string) {
		if *value != "" {
			out = append(out, pathField{name: name, takes: remote.Files, value: value})
		}
	}
	list := func(f pathField, values []string) {
		for i := range values {
			f.value = &values[i]
			out = append(out, f)
		}
	}
	list(pathField{name: "resources", takes: remote.Files | remote.Folders}, k.Resources)
	list(pathField{name: "components", takes: remote.Folders}, k.Components)
	list(pathField{name: "crds", takes: remote.Files}, k.Crds)
	list(pathField{name: "configurations", takes: remote.Files}, k.Configurations)
	list(pathField{name: "generators", takes: remote.Files | remote.Folders, inline: true}, k.Generators)
	list(pathField{name: "transformers", takes: remote.Files | remote.Folders, inline: true}, k.Transformers)
	list(pathField{name: "validators", takes: remote.Files | remote.Folders, inline: true}, k.Validators)
	for i := range k.Patches {
		one("patches.path", &k.Patches[i].Path)
	}
	//lint:ignore SA1019 people still use the deprecated fields
	jsonPatches, mergePatches := k.PatchesJson6902, k.PatchesStrategicMerge
	for i := range jsonPatches {
		one("patchesJson6902.path", &jsonPatches[i].Path)
	}
	for i := range mergePatches {
		f := pathField{name: "patchesStrategicMerge", takes: remote.Files, inline: true}
		f.value = (*string)(&mergePatches[i])
		out = append(out, f)
	}
	for i := range k.Replacements {
		one("replacements.path", &k.Replacements[i].Path)
	}
	for i := range k.ConfigMapGenerator {
		s := &k.ConfigMapGenerator[i].KvPairSources
		list(pathField{name: "configMapGenerator.files", takes: remote.Files, keyed: true}, s.FileSources)
		list(pathField{name: "configMapGenerator.envs", takes: remote.Files}, s.EnvSources)
	}
	for i := range k.SecretGenerator {
		s := &k.SecretGenerator[i].KvPairSources
		list(pathField{name: "secretGenerator.files", takes: remote.Files, keyed: true}, s.FileSources)
		list(pathField{name: "secretGenerator.envs", takes: remote.Files}, s.EnvSources)
	}
	for i := range k.HelmCharts {
		one("helmCharts.valuesFile", &k.HelmCharts[i].ValuesFile)
	}
	return out
}

// name is how people see a path: with what a mount is of in the place of its
// name.
func (r *remotes) name(p string) string {
	s, ok := r.mounted(p)
	if !ok {
		return p
	}
	_, rest, _ := strings.Cut(p, "/")
	if rest == "" || s.Kind == remote.File {
		return s.String()
	}
	return s.String() + " //" + rest
}

// named has an error name what mounts are of.
func (r *remotes) named(err error) error {
	var e *fault.Error
	if len(r.specs) == 0 || !errors.As(err, &e) {
		return err
	}
	shown := *e
	shown.File = r.name(e.File)
	for name, s := range r.specs {
		shown.Msg = strings.ReplaceAll(shown.Msg, mount.Prefix+name, s.String())
		shown.Hint = strings.ReplaceAll(shown.Hint, mount.Prefix+name, s.String())
	}
	return &shown
}
