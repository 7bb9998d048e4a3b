package component

import (
	"github.com/spf13/pflag"

	cliflag "k8s.io/component-base/cli/flag"
)

// parse reads args into the options that own the flag sets.
func parse(name string, sets cliflag.NamedFlagSets, args []string) (*pflag.FlagSet, error) {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, s := range sets.FlagSets {
		fs.AddFlagSet(s)
	}
	return fs, fs.Parse(args)
}
