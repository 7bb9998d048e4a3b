package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"abide.dev/abide/internal/version"
)

type versionOptions struct{ output formatFlag }

func newVersion(s Streams) *cobra.Command {
	var o versionOptions
	c := &cobra.Command{
		Use:   "version",
		Short: "Print which build of abide this is",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runVersion(s, o) },
	}
	o.output.add(c, asYAML, asJSON)
	return c
}

func runVersion(s Streams, o versionOptions) error {
	v := struct {
		Version  string `json:"version"`
		Commit   string `json:"commit,omitempty"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{version.Version, version.Commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if o.output.format != asTable {
		return printValue(s.Out, o.output.format, v)
	}
	commit := ""
	if v.Commit != "" {
		commit = " commit " + v.Commit
	}
	_, err := fmt.Fprintf(s.Out, "abide %s%s (%s, %s)\n", v.Version, commit, v.Go, v.Platform)
	return err
}
