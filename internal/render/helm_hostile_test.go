package render_test

import (
	"archive/tar"
	"context"
	"fmt"
	"strings"
	"testing"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot/memtree"
)

// nested is a chart in a chart in a chart, as archives.
func nested(t *testing.T, n int) string {
	inner := ""
	for range n {
		files := map[string]string{"app/Chart.yaml": chartYAML}
		if inner != "" {
			files["app/charts/app.tgz"] = inner
		}
		inner = pack(t, files)
	}
	return inner
}

// with adds files to a chart that is in order otherwise.
func with(more map[string]string) map[string]memtree.Node {
	nodes := template("v: x")
	for name, text := range more {
		nodes["app/"+name] = memtree.File(text)
	}
	return nodes
}

func TestHostileCharts(t *testing.T) {
	const mega = 1 << 20
	small := render.Limits{TotalBytes: mega, FileBytes: mega}
	sub := "apiVersion: v2\nname: sub\nversion: 1.0.0\n"
	inArchive := func(name string) string {
		return packHeaders(t, []tar.Header{{Name: name, Mode: 0o644, Size: 1}}, map[string]string{name: "x"})
	}
	many := map[string]string{}
	for i := range 60 {
		many[fmt.Sprintf("charts/c%d/Chart.yaml", i)] = sub
	}
	for name, row := range map[string]struct {
		nodes   map[string]memtree.Node
		options helm.Options
		limits  render.Limits
		reason  string
	}{
		"an archive that swells":       {with(map[string]string{"charts/a.tgz": pack(t, map[string]string{"sub/Chart.yaml": sub, "sub/big": strings.Repeat("x", 8*mega)})}), helm.Options{}, small, fault.TooLarge},
		"archives that swell together": {with(map[string]string{"charts/a.tgz": pack(t, map[string]string{"a/Chart.yaml": sub, "a/big": strings.Repeat("x", mega*3/5)}), "charts/b.tgz": pack(t, map[string]string{"b/Chart.yaml": sub, "b/big": strings.Repeat("y", mega*3/5)})}), helm.Options{}, small, fault.TooLarge},
		"an archive of many names":     {with(map[string]string{"charts/a.tgz": packHeaders(t, slicesOf(4000, tar.Header{Name: "sub/x", Mode: 0o644}), nil)}), helm.Options{}, small, fault.TooLarge},
		"an archive that is cut off":   {with(map[string]string{"charts/a.tgz": pack(t, map[string]string{"sub/Chart.yaml": sub})[:60]}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"an archive that is none":      {with(map[string]string{"charts/a.tgz": "x"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"an empty archive":             {with(map[string]string{"charts/a.tgz": pack(t, nil)}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"an absolute name":             {with(map[string]string{"charts/a.tgz": inArchive("sub//etc/passwd")}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a name that leads out":        {with(map[string]string{"charts/a.tgz": inArchive("sub/../../x")}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a name that leads out, so":    {with(map[string]string{"charts/a.tgz": inArchive(`sub\..\..\x`)}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a name with a drive":          {with(map[string]string{"charts/a.tgz": inArchive("sub/c:/x")}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a file with a hole":           {with(map[string]string{"charts/a.tgz": packHeaders(t, []tar.Header{{Name: "sub/Chart.yaml", Mode: 0o644, Size: int64(len(sub))}}, map[string]string{"sub/Chart.yaml": sub})}), helm.Options{}, render.Limits{TotalBytes: 100, FileBytes: mega}, fault.TooLarge},
		"archives in archives":         {with(map[string]string{"charts/a.tgz": nested(t, 30)}), helm.Options{}, render.Limits{}, fault.TooDeep},
		"folders in folders":           {with(map[string]string{strings.Repeat("charts/sub/", 30) + "Chart.yaml": sub}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"many charts":                  {with(many), helm.Options{}, render.Limits{Builds: 50}, fault.TooLarge},
		"a large chart":                {with(map[string]string{"a": strings.Repeat("x", mega*3/5), "b": strings.Repeat("y", mega*3/5)}), helm.Options{}, small, fault.TooLarge},
		"a folder named as an archive": {with(map[string]string{"charts/a.tgz/Chart.yaml": sub}), helm.Options{}, render.Limits{}, fault.InvalidChart},

		"aliases in Chart.yaml":           {with(map[string]string{"Chart.yaml": bomb(12, chartYAML)}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases in values.yaml":          {with(map[string]string{"values.yaml": bomb(12, "")}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases in Chart.lock":           {with(map[string]string{"Chart.lock": bomb(12, "")}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases in a values file":        {with(map[string]string{"v.yaml": bomb(12, "")}), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "app/v.yaml"}}}, render.Limits{}, fault.TooLarge},
		"aliases in the second text":      {with(map[string]string{"values.yaml": "a: b\n---\n" + bomb(12, "")}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases in the values of a kind": {with(nil), helm.Options{ValuesFrom: []helm.ValuesSource{{Source: "s", Data: bomb(12, "")}}}, render.Limits{}, fault.TooLarge},
		"aliases in the values":           {with(nil), helm.Options{Values: bomb(12, "")}, render.Limits{}, fault.TooLarge},
		"aliases in a chart below":        {with(map[string]string{"charts/sub/Chart.yaml": sub, "charts/sub/values.yaml": bomb(12, "")}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases that come out":           {with(map[string]string{"templates/b.yaml": bomb(12, configMap("b"))}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"aliases in a definition":         {with(map[string]string{"crds/b.yaml": bomb(12, configMap("b"))}), helm.Options{}, render.Limits{}, fault.TooLarge},
		"deep values":                     {with(map[string]string{"values.yaml": "a: " + deep(5000)}), helm.Options{}, render.Limits{}, fault.TooDeep},
		"deep values, deeper than goes":   {with(map[string]string{"values.yaml": "a: " + deep(200000)}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"deep values of the App":          {with(nil), helm.Options{Values: "a: " + deep(5000)}, render.Limits{}, fault.TooDeep},
		"deep output":                     {with(map[string]string{"templates/b.yaml": configMap("b") + "a: " + deep(5000)}), helm.Options{}, render.Limits{}, fault.TooDeep},
		"a deep schema":                   {with(map[string]string{"values.schema.json": `{"allOf": ` + deep(5000) + `}`}), helm.Options{}, render.Limits{}, fault.TooDeep},
		"a schema that is itself":         {with(map[string]string{"values.schema.json": `{"$ref": "#"}`}), helm.Options{}, render.Limits{}, fault.InvalidValues},
		"a schema that is no text":        {with(map[string]string{"values.schema.json": "\xff"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"an empty schema":                 {with(map[string]string{"values.schema.json": ""}), helm.Options{}, render.Limits{}, fault.InvalidChart},

		"a loop that is long":      {template("v: {{ range until 2000000000 }}{{ end }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"a loop backwards":         {template("v: {{ range untilStep 0 -2000000000 -1 }}{{ end }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"a loop that wraps around": {template("v: {{ range untilStep 0 9223372036854775807 4611686018427387906 }}{{ end }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"numbers that are many":    {template("v: {{ seq 0 1 2000000000 }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"loops in loops":           {template("v: {{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"a text that is long":      {template("v: {{ repeat 2000000000 \"xxxx\" }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"an indent that is long":   {template("v: {{ indent 2000000000 \"x\\ny\" }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"texts that are long":      {template("v: {{ range until 1000 }}{{ $x := nindent 1000000 \"x\" }}{{ end }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"random text that is long": {template("v: {{ randAlphaNum 2000000000 }}"), helm.Options{}, render.Limits{}, fault.TooLarge},
		"a negative length":        {template("v: {{ repeat -1 \"x\" }}"), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"output that is large":     {template("v: {{ range until 1000 }}{{ repeat 10000 \"x\" }}{{ end }}"), helm.Options{}, small, fault.TooLarge},
		"many documents":           {with(map[string]string{"templates/b.yaml": "{{ range $i, $x := until 30000 }}---\nx: {{ $i }}\n{{ end }}"}), helm.Options{}, render.Limits{}, fault.TooManyObjects},
		"many objects":             {with(map[string]string{"templates/b.yaml": "{{ range $i, $x := until 30 }}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x{{ $i }}}\n{{ end }}"}), helm.Options{}, render.Limits{Objects: 20}, fault.TooManyObjects},
		"many definitions":         {with(map[string]string{"crds/b.yaml": manyObjects(30)}), helm.Options{}, render.Limits{Objects: 20}, fault.TooManyObjects},
		"a template in itself":     {with(map[string]string{"templates/b.yaml": "{{ define \"x\" }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}"}), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"an include in itself":     {with(map[string]string{"templates/b.yaml": "{{ define \"x\" }}{{ include \"x\" . }}{{ end }}{{ include \"x\" . }}"}), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"a template that panics":   {template("v: {{ mustToYaml (dict \"a\" now.Clock) }}"), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"a call of what is nil":    {template("v: {{ call nil }}"), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"text that is no UTF-8":    {template("v: \xff"), helm.Options{}, render.Limits{}, fault.InvalidYAML},

		"a link out":                                {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), "app/templates/a.yaml": memtree.Link("../../../etc/passwd")}, helm.Options{}, render.Limits{}, fault.EscapesRepository},
		"an absolute link":                          {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), "app/values.yaml": memtree.Link("/etc/passwd")}, helm.Options{}, render.Limits{}, fault.EscapesRepository},
		"a link that is a loop":                     {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), "app/templates/a": memtree.Link("..")}, helm.Options{}, render.Limits{}, fault.LinkLoop},
		"values by a link out":                      {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), "v.yaml": memtree.Link("../v.yaml")}, helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "v.yaml"}}}, render.Limits{}, fault.EscapesRepository},
		"values above the root":                     {with(nil), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "app/../../v.yaml"}}}, render.Limits{}, fault.EscapesRepository},
		"values of the machine":                     {with(nil), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "/etc/passwd"}}}, render.Limits{}, fault.EscapesRepository},
		"values that may be missing, by a link out": {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), "v.yaml": memtree.Link("/etc/passwd")}, helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "v.yaml", Optional: true}}}, render.Limits{}, fault.EscapesRepository},
		"values of Git's own":                       {map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML), ".git/config": memtree.File("a: b")}, helm.Options{ValuesFiles: []helm.ValuesFile{{Path: ".git/config"}}}, render.Limits{}, fault.ForbiddenPath},
		"a large ignore file":                       {with(map[string]string{".helmignore": strings.Repeat("a\n", 2000)}), helm.Options{}, render.Limits{}, fault.InvalidIgnoreFile},
		"a long ignore pattern":                     {with(map[string]string{".helmignore": strings.Repeat("[", 1000)}), helm.Options{}, render.Limits{}, fault.InvalidIgnoreFile},
		"deep folders":                              {with(map[string]string{strings.Repeat("d/", 200) + "x": ""}), helm.Options{}, render.Limits{}, fault.TooDeep},
		"a dependency that is a path":               {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: ../../x, version: 1.0.0, repository: 'file://../../../etc'}]\n"}), helm.Options{}, render.Limits{}, fault.MissingDependency},
		"a dependency on a file":                    {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: x, version: 1.0.0, repository: 'file://../../../etc'}]\n"}), helm.Options{}, render.Limits{}, fault.MissingDependency},
		"a dependency on an address":                {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: x, version: 1.0.0, repository: 'http://169.254.169.254/'}]\n"}), helm.Options{}, render.Limits{}, fault.MissingDependency},
		"an alias that is a path":                   {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: sub, alias: ../../x, version: 1.0.0}]\n", "charts/sub/Chart.yaml": sub}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"imports that are no paths":                 {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: sub, version: 1.0.0, import-values: [{child: [1], parent: 2}]}]\n", "charts/sub/Chart.yaml": sub, "charts/sub/templates/b.yaml": "v: {{ fail \"x\" }}"}), helm.Options{}, render.Limits{}, fault.HelmFailed},
		"values that are no UTF-8":                  {with(map[string]string{"values.yaml": "a: \xff\n"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a name that is a path":                     {with(map[string]string{"Chart.yaml": "apiVersion: v2\nname: ../../x\nversion: 1.0.0\n"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"dependencies of null":                      {with(map[string]string{"Chart.yaml": chartYAML + "dependencies: [null]\n"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"a chart of no text":                        {with(map[string]string{"Chart.yaml": "\xff\xfe"}), helm.Options{}, render.Limits{}, fault.InvalidChart},
		"many values":                               {with(nil), helm.Options{ValuesFiles: make([]helm.ValuesFile, 200)}, render.Limits{}, fault.InvalidHelmOptions},
		"a deep place":                              {with(nil), helm.Options{ValuesFrom: []helm.ValuesSource{{Source: "s", TargetPath: strings.Repeat("a.", 5000) + "a"}}}, render.Limits{}, fault.InvalidValues},
	} {
		t.Run(name, func(t *testing.T) {
			req := render.Request{Path: "app", Limits: row.limits, Helm: &row.options}
			res, err := render.Render(context.Background(), memtree.New(row.nodes), req)
			alike(t, memtree.New(row.nodes), req, res, err)
			e := wantReason(t, err, row.reason)
			if len(e.Error()) > 3000 {
				t.Errorf("the error has %d bytes", len(e.Error()))
			}
		})
	}
}

// TestLinksInArchives: they are empty files, as they are to Helm.
func TestLinksInArchives(t *testing.T) {
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeFifo} {
		chart := "apiVersion: v2\nname: sub\nversion: 1.0.0\n"
		text := configMap("a") + "data: {v: '{{ .Values }}{{ .Files.Get \"f\" }}'}\n"
		archive := packHeaders(t, []tar.Header{
			{Name: "sub/Chart.yaml", Mode: 0o644, Size: int64(len(chart))},
			{Name: "sub/templates/a.yaml", Mode: 0o644, Size: int64(len(text))},
			{Name: "sub/values.yaml", Typeflag: kind, Linkname: "../../../etc/passwd", Mode: 0o777},
			{Name: "sub/f", Typeflag: kind, Linkname: "/etc/passwd", Mode: 0o777},
		}, map[string]string{"sub/Chart.yaml": chart, "sub/templates/a.yaml": text})
		tree := memtree.FromText(map[string]string{"app.tgz": archive})
		res, err := render.Render(context.Background(), tree, render.Request{Path: "app.tgz"})
		if got := data(t, res, err)["v"]; got != "map[]" {
			t.Errorf("of an entry of type %c it read %q", kind, got)
		}
	}
}

func slicesOf(n int, h tar.Header) []tar.Header {
	out := make([]tar.Header, n)
	for i := range out {
		out[i] = h
	}
	return out
}
