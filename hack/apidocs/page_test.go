package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const crd = `
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Box, plural: boxes, shortNames: [bx]}
  versions:
  - name: v1
    storage: true
    additionalPrinterColumns: [{name: Size, type: string, jsonPath: .spec.size}]
    selectableFields: [{jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        description: Box holds <things>.
        properties:
          apiVersion: {type: string}
          metadata: {type: object}
          status:
            type: object
            description: status is the answer.
            properties:
              conditions: {type: array, items: {type: object, properties: {type: {type: string}}}}
          spec:
            type: object
            required: [size]
            description: spec is the wish.
            x-kubernetes-validations: [{rule: "true", message: a box is a box}]
            properties:
              size: {type: string, enum: [S, L], default: S, description: size of it., maxLength: 1}
              lids: {type: array, maxItems: 2, items: {type: object, properties: {tight: {type: boolean}}}}
              weight: {type: integer, minimum: 0, maximum: 9, default: 0}
`

const page = `<!-- Generated from api/v1alpha1 by make generate: change the comments there. -->

# Box

Box holds &lt;things&gt;.

§apiVersion: example.com/v1§, §kind: Box§, namespaced. With kubectl: §boxes§, §bx§.

## spec

spec is the wish.

- a box is a box

### spec.lids

*list of object, at most 2 items*

### spec.lids[].tight

*boolean*

### spec.size

*string, required, default §"S"§, one of §S§, §L§, at most 1 characters*

size of it.

### spec.weight

*integer, default §0§, 0 to 9*

## status

status is the answer.

### status.conditions

*list of object*

Each is a condition as Kubernetes has them: type, status, reason, message,
observedGeneration and lastTransitionTime.

## Columns of kubectl get

| column | from |
| --- | --- |
| Size | §.spec.size§ |

Field selectors: §spec.size§.
`

func TestPage(t *testing.T) {
	var c apiextv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict([]byte(crd), &c); err != nil {
		t.Fatal(err)
	}
	got, err := Page(&c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(page, "§", "`"), got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	if err := run(in, out); err == nil || !strings.Contains(err.Error(), "has no CRDs") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(in, "box.yaml"), []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "box.md")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(in, "bad.yaml"), []byte("spec: {versions: []}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out); err == nil || !strings.Contains(err.Error(), "bad.yaml: no stored version") {
		t.Errorf("a CRD without a version: %v", err)
	}
}
