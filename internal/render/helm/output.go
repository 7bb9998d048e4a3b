package helm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	hook "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/manifest"
)

// document is one document of what a template renders to.
type document struct {
	name    string // of the template, as Helm has it
	content string
	objects []manifest.Object
	taken   bool // by Helm, as an object or as a hook
}

// documents is what all templates render to.
type documents struct {
	all      map[docKey]*document
	byName   map[string][]*document
	warnings []string
}

type docKey struct{ name, content string }

// documents decodes what the templates gave, and cuts it as Helm does.
func (r *release) documents(files map[string]string) (*documents, error) {
	d := &documents{all: map[docKey]*document{}, byName: map[string][]*document{}}
	count := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.TrimSpace(files[name]) == "" {
			continue
		}
		pieces := releaseutil.SplitManifests(files[name])
		order := slices.Collect(maps.Keys(pieces))
		sort.Sort(releaseutil.BySplitManifestsOrder(order))
		if count += len(order); count > r.lim.Objects {
			return nil, fault.New(fault.TooManyObjects, r.names[name], 0, "with it the chart renders to more than %d documents", r.lim.Objects).
				WithHint("split it into several Apps")
		}
		for _, k := range order {
			doc, err := r.decode(name, files[name], pieces[k], d)
			if err != nil {
				return nil, err
			}
			d.byName[name] = append(d.byName[name], doc)
		}
	}
	return d, nil
}

func (r *release) decode(name, whole, content string, d *documents) (*document, error) {
	key, file := docKey{name, content}, r.names[name]
	if doc := d.all[key]; doc != nil { // the same text twice
		return doc, nil
	}
	objects, ignored, repeated, err := manifest.DecodeTemplated(file, []byte(content), r.lim)
	if err != nil {
		return nil, rendered(err, whole, content)
	}
	if len(ignored) > 0 {
		return nil, fault.New(fault.InvalidObject, file, 0, "renders to a document that is no Kubernetes object: it has neither apiVersion nor kind").
			WithHint("helm install refuses it too; a template that gives no object has a name that begins with _")
	}
	for _, e := range repeated {
		w := fmt.Sprintf("%s renders to a mapping with the same key twice (%s): the last one counts", file, e.Msg)
		if !slices.Contains(d.warnings, w) {
			d.warnings = append(d.warnings, w)
		}
	}
	for i := range objects {
		objects[i].Origin = manifest.Origin{File: file}
	}
	doc := &document{name: name, content: content, objects: objects}
	d.all[key] = doc
	return doc, nil
}

// rendered makes an error about the text of one document one about the
// template, with the line in all that the template gives.
func rendered(err error, whole, content string) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	shown := *e
	where := ""
	if at := strings.Index(whole, content); at >= 0 && e.Line > 0 {
		where = fmt.Sprintf(" (line %d of it)", e.Line+strings.Count(whole[:at], "\n"))
	}
	shown.Line = 0
	shown.Msg = fmt.Sprintf("what the template gives cannot be used%s: %s", where, e.Msg)
	shown.Hint = "correct the template, or the values that it takes"
	if e.Reason == fault.InvalidYAML {
		shown.Hint = "look at the indentation there: what takes several lines needs nindent"
	}
	return &shown
}

// output puts documents and CRDs in Helm's order.
func (r *release) output(files map[string]string, docs *documents, text bool) (*Output, error) {
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, r.unsorted(err)
	}
	out := &Output{Warnings: docs.warnings}
	var printed bytes.Buffer
	if err := r.crds(out, &printed); err != nil {
		return nil, err
	}
	for _, m := range manifests {
		doc := docs.all[docKey{m.Name, m.Content}]
		doc.taken = true
		if text {
			fmt.Fprintf(&printed, "---\n# Source: %s\n%s\n", m.Name, m.Content)
		}
		for _, o := range doc.objects {
			if o.GetName() == "" {
				return nil, fault.New(fault.InvalidObject, o.Origin.File, 0, "renders to a %s with metadata.generateName and no metadata.name", o.GetKind()).
					WithHint("set metadata.name: what is in Git must have the same name at every sync")
			}
			out.Objects = append(out.Objects, o)
		}
	}
	if len(out.Objects) > r.lim.Objects {
		return nil, fault.New(fault.TooManyObjects, r.file(ChartFile), 0, "the chart gives more than %d objects", r.lim.Objects).
			WithHint("split it into several Apps")
	}
	if text {
		out.Text = append(bytes.TrimSpace(printed.Bytes()), '\n')
	}
	for _, h := range hooks {
		doc := docs.all[docKey{h.Path, h.Manifest}]
		doc.taken = true
		if r.opts.SkipHooks || r.opts.SkipTests && slices.Contains(h.Events, hook.HookTest) {
			continue
		}
		if text {
			out.Text = fmt.Appendf(out.Text, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
		}
		for _, o := range doc.objects {
			out.Hooks = append(out.Hooks, hookOf(h, o))
		}
	}
	r.leftOut(docs, out)
	return out, nil
}

func hookOf(h *hook.Hook, o manifest.Object) Hook {
	made := Hook{Object: o, Weight: h.Weight}
	for _, e := range h.Events {
		made.Events = append(made.Events, e.String())
	}
	for _, p := range h.DeletePolicies {
		made.DeletePolicies = append(made.DeletePolicies, p.String())
	}
	return made
}

// crds adds what is in the crds folders. A chart that is there twice, under an
// alias, brings its definitions twice; the first one counts, as for Helm, which
// leaves alone what exists.
func (r *release) crds(out *Output, printed *bytes.Buffer) error {
	if r.opts.SkipCRDs {
		return nil
	}
	seen := map[[4]string]bool{}
	for _, crd := range r.CRDObjects() {
		fmt.Fprintf(printed, "---\n# Source: %s\n%s\n", crd.Filename, crd.File.Data)
		objects, ignored, repeated, err := manifest.DecodeTemplated(r.origins[crd.File], crd.File.Data, r.lim)
		if err != nil {
			return err
		}
		out.Ignored = append(out.Ignored, ignored...)
		for _, e := range repeated {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s:%d: the same key twice (%s): the last one counts", e.File, e.Line, e.Msg))
		}
		for _, o := range objects {
			key := [4]string{o.GroupVersionKind().Group, o.GetKind(), o.GetNamespace(), o.GetName()}
			if !seen[key] {
				seen[key] = true
				out.Objects = append(out.Objects, o)
			}
		}
	}
	return nil
}

// leftOut names the hooks of events that Helm does not know and leaves out.
func (r *release) leftOut(docs *documents, out *Output) {
	for _, name := range slices.Sorted(maps.Keys(docs.byName)) {
		for _, doc := range docs.byName[name] {
			if doc.taken {
				continue
			}
			for _, o := range doc.objects {
				out.Ignored = append(out.Ignored, manifest.Ignored{
					Path:   r.names[name],
					Reason: fmt.Sprintf("%s %s is a hook of an event that Helm does not know (%s)", o.GetKind(), o.GetName(), shorten(o.GetAnnotations()[hook.HookAnnotation])),
				})
			}
		}
	}
}

// unsorted explains what Helm cannot sort although it is YAML of objects:
// metadata of another form than it expects.
func (r *release) unsorted(err error) error {
	file, msg := r.at, err.Error()
	for name, at := range r.names {
		if rest, ok := strings.CutPrefix(msg, "YAML parse error on "+name+": "); ok {
			file, msg = at, rest
		}
	}
	e := fault.New(fault.InvalidObject, file, 0, "renders to an object that helm cannot read: %s", msg)
	e.Err = err
	return e.WithHint("labels and annotations have to be strings: quote them")
}

// isHook tells whether Helm takes an object for a hook.
func isHook(o manifest.Object) bool {
	_, ok := o.GetAnnotations()[hook.HookAnnotation]
	return ok
}

// named is how an object is named in messages.
func named(o manifest.Object) string {
	name := path.Join(o.GetNamespace(), o.GetName())
	if name == "" {
		name = o.GetGenerateName() + "*"
	}
	return o.GetKind() + " " + name
}
