// Command apilint runs kube-api-linter on Go packages, with the rules that fit
// an API that is served as a CRD and read by one program.
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/analysis/multichecker"
	kal "sigs.k8s.io/kube-api-linter"
)

var settings = map[string]any{
	"linters": map[string]any{
		"disable": []string{
			// Both ask for pointers, omitzero and omitempty in all places, so that
			// another program's zero values survive. Bounds and CEL rules refuse
			// the zero values here.
			"optionalfields", "requiredfields",
			// Asks for +default, which asks for omitzero.
			"defaults",
		},
	},
	"lintersConfig": map[string]any{
		// Neither protobuf nor strategic merge patches exist for CRDs.
		"conditions": map[string]any{
			"isFirstField": "Ignore", "useProtobuf": "Forbid", "usePatchStrategy": "Forbid",
		},
	},
}

func main() {
	p, err := kal.New(settings)
	if err != nil {
		fail(err)
	}
	analyzers, err := p.BuildAnalyzers()
	if err != nil {
		fail(err)
	}
	multichecker.Main(analyzers...)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "apilint:", err)
	os.Exit(2)
}
