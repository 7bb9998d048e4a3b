package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// library are ConfigMaps of a library chart that all Apps share: each App is a
// small chart with values of its own, and a link to the library in its charts/,
// so that there is one copy of it and nothing to vendor at a change.
type library struct{ n int }

// linker is a shape with links, by path and where they lead.
type linker interface {
	links(app int) map[string]string
}

func (l library) objects(app int) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, l.n)
	for i := range out {
		out[i] = configMap(fmt.Sprintf("%s-%d", appName(app), i))
	}
	return out
}

func (library) shared() map[string]string {
	return map[string]string{
		"charts/lib/Chart.yaml":  "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n",
		"charts/lib/values.yaml": "filling: " + configMap("").Object["data"].(map[string]any)["filling"].(string) + "\n",
		"charts/lib/templates/_labels.tpl": `{{- define "lib.name" -}}
{{ printf "%s-%d" .root.Chart.Name .index | trunc 63 | trimSuffix "-" }}
{{- end }}
`,
		"charts/lib/templates/_configmap.tpl": `{{- define "lib.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "lib.name" . }}
  annotations:
    ` + valueKey + `: {{ .value | quote }}
data:
  filling: {{ .root.Values.lib.filling | quote }}
{{- end }}
`,
		"charts/lib/templates/_all.tpl": `{{- define "lib.all" -}}
{{- range $i, $value := .Values.values }}
---
{{ include "lib.configmap" (dict "root" $ "index" $i "value" $value) }}
{{- end }}
{{- end }}
`,
	}
}

func (l library) files(app int) map[string]string {
	out := l.change(app, 0, "first")
	out[folder(app)+"/Chart.yaml"] = "apiVersion: v2\nname: " + appName(app) + "\nversion: 1.0.0\n" +
		"dependencies:\n- {name: lib, version: 1.x.x, repository: 'file://../../charts/lib'}\n"
	out[folder(app)+"/templates/all.yaml"] = "{{ include \"lib.all\" . }}\n"
	return out
}

func (library) links(app int) map[string]string {
	return map[string]string{folder(app) + "/charts/lib": "../../../charts/lib"}
}

func (l library) change(app, object int, value string) map[string]string {
	text := "values:\n"
	for i := range l.n {
		if i == object {
			text += "- " + value + "\n"
			continue
		}
		text += "- first\n"
	}
	return map[string]string{folder(app) + "/values.yaml": text}
}
