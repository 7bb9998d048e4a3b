package helm

import (
	"context"
	"maps"
	"strings"
	"text/template"

	"abide.dev/abide/internal/render/fault"
)

// maxNameTemplate bounds the text that makes the name of a release, in bytes.
const maxNameTemplate = 1 << 10

// nameByTemplate executes NameTemplate, as the command does: with the functions
// of templates, and no data. A name that is another at each render would make
// new objects each time.
func (o *Options) nameByTemplate(ctx context.Context) error {
	if o.NameTemplate == "" {
		return nil
	}
	if o.ReleaseName != "" {
		return fault.New(fault.InvalidHelmOptions, "", 0, "there is a name of the release, and also a template of the name").
			WithHint("keep one of releaseName and nameTemplate")
	}
	made := newCalls(0)
	name, err := executeName(ctx, o.NameTemplate, made)
	if err != nil {
		e := fault.New(fault.InvalidHelmOptions, "", 0, "the template of the release's name: %s", shorten(err.Error()))
		e.Err = err
		return e
	}
	if len(made.names) > 0 {
		return fault.New(fault.UnstableRender, "", 0, "the template of the release's name gives another name at each render").
			WithHint("set releaseName instead")
	}
	o.ReleaseName = name
	return nil
}

func executeName(ctx context.Context, text string, made *calls) (string, error) {
	if len(text) > maxNameTemplate {
		return "", fault.New(fault.TooLarge, "", 0, "it has more than %d bytes", maxNameTemplate)
	}
	funcs := maps.Clone(sprigFuncs())
	for _, reachesOut := range []string{"env", "expandenv", "getHostByName"} {
		delete(funcs, reachesOut)
	}
	t, err := template.New("name-template").Funcs(funcs).Funcs(made.funcs(ctx)).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, nil)
	return b.String(), err
}
