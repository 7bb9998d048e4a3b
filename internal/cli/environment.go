package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// fromEnvironment sets the flags that the command line does not from their
// twins in the environment: --cache-dir from ABIDE_CACHE_DIR.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var wrong []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "ABIDE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := lookup(name)
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			wrong = append(wrong, fmt.Errorf("%s=%s: %w", name, v, err))
		}
	})
	if len(wrong) > 0 {
		return &exitError{exitUsage, errors.Join(wrong...)}
	}
	return nil
}
