// Command apidocs writes the reference pages of abide's API from its CRDs: one
// Markdown page per kind, with every field, its type, default, bounds and rules
// as the API server enforces them. Equal CRDs give equal pages.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	crds := flag.String("crds", "internal/install/crds", "folder with the CRDs")
	out := flag.String("out", "docs/reference", "folder to write the pages to")
	flag.Parse()
	if err := run(*crds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

func run(crds, out string) error {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no CRDs", crds)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var crd apiextv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(b, &crd); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		page, err := Page(&crd)
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		name := strings.ToLower(crd.Spec.Names.Kind) + ".md"
		if err := os.WriteFile(filepath.Join(out, name), []byte(page), 0o644); err != nil {
			return err
		}
	}
	return nil
}
