package kustomize

import (
	"reflect"
	"strings"

	//lint:ignore SA1019 the plugins' own types decode their configuration as they do
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
)

// fileSource splits "key=path" or "path" as the library does.
func fileSource(s string) (key, file string, ok bool) {
	key, file, found := strings.Cut(s, "=")
	if !found {
		return s, s, true
	}
	return key, file, key != "" && file != "" && !strings.Contains(file, "=")
}

// plugins checks generators, transformers and validators.
func (c *checker) plugins(n *node) error {
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"generators", n.kust.Generators},
		{"transformers", n.kust.Transformers},
		{"validators", n.kust.Validators},
	} {
		for _, value := range f.values {
			if err := c.plugin(n, place{n.file, f.name}, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// plugin checks one element: a configuration, a file of them, or a folder.
func (c *checker) plugin(n *node, at place, value string) error {
	if err := c.inline(at.file, at.field, value); err != nil {
		return err
	}
	if m, err := c.factory.NewResMapFromBytes([]byte(value)); err == nil {
		return c.configurations(n, at, m)
	}
	p, kind, err := c.find(at, n.dir, value)
	if err != nil {
		return err
	}
	if kind == snapshot.Dir {
		return c.pluginFolder(n, at, p)
	}
	_, b, err := c.file(at, n.dir, value)
	if err != nil {
		return err
	}
	return c.pluginFile(n, p, at.field, b)
}

func (c *checker) pluginFile(n *node, file, field string, content []byte) error {
	if err := c.parsed(file, content); err != nil {
		return err
	}
	n.cost.own += int64(len(content))
	m, err := c.factory.NewResMapFromBytes(content)
	if err != nil {
		e := fault.New(fault.InvalidYAML, file, 0, "%s names it, and it holds no configuration: %s", field, shorten(err.Error()))
		e.Err = err
		return e
	}
	return c.configurations(n, place{file, field}, m)
}

// pluginFolder checks a kustomization whose objects are configurations. Were
// it free to transform them, the paths in them could be put together during
// the build, where nothing can check them; so it may only list resources.
func (c *checker) pluginFolder(n *node, at place, dir string) error {
	if _, busy := c.nodes[dir]; busy && c.nodes[dir] == nil {
		return fault.New(fault.KustomizationCycle, dir, 0, "this kustomization includes itself by way of others")
	}
	before, known := c.nodes[dir]
	c.nodes[dir] = nil
	defer func() {
		if delete(c.nodes, dir); known {
			c.nodes[dir] = before
		}
	}()
	k, err := c.load(dir)
	if err != nil {
		return err
	}
	if n.cost.builds++; n.cost.builds > int64(c.lim.Builds) {
		return c.tooManyBuilds(n)
	}
	if err := c.rewrite(k); err != nil {
		return err
	}
	rest := k.kust
	rest.TypeMeta, rest.MetaData, rest.Resources = types.TypeMeta{}, nil, nil
	if !reflect.DeepEqual(rest, types.Kustomization{}) {
		return fault.New(fault.PluginNotAllowed, k.file, 0, "%s of %s names this folder, and it does more than list resources", at.field, n.file).
			WithHint("list the files of the folder under %s instead", at.field)
	}
	for _, value := range k.kust.Resources {
		from := place{k.file, "resources"}
		p, kind, err := c.find(from, dir, value)
		if err != nil {
			return err
		}
		if kind == snapshot.Dir {
			if err := c.pluginFolder(n, at, p); err != nil {
				return err
			}
			continue
		}
		_, b, err := c.file(from, dir, value)
		if err != nil {
			return err
		}
		// The library reads the files they name from the folder of n.
		if err := c.pluginFile(n, p, at.field, b); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) configurations(n *node, at place, m resmap.ResMap) error {
	for _, res := range m.Resources() {
		if err := c.configuration(n, at, res); err != nil {
			return err
		}
	}
	return nil
}

// configuration checks one plugin's configuration by decoding it as the
// plugin does.
func (c *checker) configuration(n *node, at place, res *resource.Resource) error {
	gvk := res.GetGvk()
	at.field += " (" + shorten(gvk.Kind) + ")"
	if gvk.Group != "" || gvk.Version != konfig.BuiltinPluginApiVersion {
		return fault.New(fault.PluginNotAllowed, at.file, 0, "%s is no plugin that kustomize has built in; others are never run", at.field).
			WithHint("use patches, replacements or a built-in transformer")
	}
	text, err := res.AsYAML()
	if err != nil {
		return fault.New(fault.InvalidYAML, at.file, 0, "%s: %s", at.field, shorten(err.Error()))
	}
	check, ok := pluginChecks[gvk.Kind]
	if !ok {
		return fault.New(fault.PluginNotAllowed, at.file, 0, "%s is no plugin that kustomize knows", at.field)
	}
	if check == nil {
		return nil
	}
	return check(c, n, at, text)
}

// pluginChecks has every plugin that the library has built in; nil for those
// that take no path.
var pluginChecks = map[string]func(c *checker, n *node, at place, text []byte) error{
	"AnnotationsTransformer":  nil,
	"HashTransformer":         nil,
	"IAMPolicyGenerator":      nil,
	"ImageTagTransformer":     nil,
	"LabelTransformer":        nil,
	"NamespaceTransformer":    nil,
	"PrefixSuffixTransformer": nil,
	"PrefixTransformer":       nil,
	"ReplicaCountTransformer": nil,
	"SuffixTransformer":       nil,
	"ConfigMapGenerator": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.ConfigMapGeneratorPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		return c.generatorPlugin(n, at, "ConfigMap", p.ObjectMeta.Name, p.GeneratorArgs)
	},
	"SecretGenerator": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.SecretGeneratorPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		return c.generatorPlugin(n, at, "Secret", p.ObjectMeta.Name, p.GeneratorArgs)
	},
	"HelmChartInflationGenerator": func(_ *checker, _ *node, at place, _ []byte) error {
		return helmRefused(at.file, at.field)
	},
	"PatchTransformer": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.PatchTransformerPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		return c.pluginPatch(n, at, p.Path, p.Patch)
	},
	"PatchJson6902Transformer": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.PatchJson6902TransformerPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		return c.pluginPatch(n, at, p.Path, p.JsonOp)
	},
	"PatchStrategicMergeTransformer": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.PatchStrategicMergeTransformerPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		for _, s := range p.Paths {
			if err := c.strategicMerge(n, n.dir, place{at.file, at.field + ".paths"}, string(s)); err != nil {
				return err
			}
		}
		return c.inline(at.file, at.field+".patches", p.Patches)
	},
	"ReplacementTransformer": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.ReplacementTransformerPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		return c.replacements(n, n.dir, at.file, p.ReplacementList)
	},
	"ValueAddTransformer": func(c *checker, n *node, at place, text []byte) error {
		var p builtins.ValueAddTransformerPlugin
		if err := decodePlugin(at, text, &p); err != nil {
			return err
		}
		if p.TargetFilePath == "" {
			return nil
		}
		file, b, err := c.file(place{at.file, at.field + ".targetFilePath"}, n.dir, p.TargetFilePath)
		if err != nil {
			return err
		}
		n.cost.own += int64(len(b))
		return c.parsed(file, b)
	},
}

func decodePlugin(at place, text []byte, into any) error {
	if err := yaml.Unmarshal(text, into); err != nil {
		e := fault.New(fault.InvalidYAML, at.file, 0, "%s: %s", at.field, shorten(err.Error()))
		e.Err = err
		return e
	}
	return nil
}

func (c *checker) generatorPlugin(n *node, at place, kind, name string, g types.GeneratorArgs) error {
	size, err := c.keyValues(at, n.dir, g.KvPairSources)
	if err != nil {
		return err
	}
	if name == "" {
		name = g.Name
	}
	src := source{kind: kind, name: name, file: at.file, generated: true}
	n.sources = append(n.sources, src)
	n.cost.add([]source{src}, size)
	return nil
}

func (c *checker) pluginPatch(n *node, at place, file, inline string) error {
	if err := c.inline(at.file, at.field, inline); err != nil {
		return err
	}
	if file == "" {
		return nil
	}
	p, b, err := c.file(place{at.file, at.field + ".path"}, n.dir, file)
	if err != nil {
		return err
	}
	n.cost.own += int64(len(b))
	return c.parsed(p, b)
}
