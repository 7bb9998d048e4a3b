package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"abide.dev/abide/sandbox/internal/sandbox"
)

type runFlags struct {
	options       sandbox.Options
	exitWithStdin bool
	version       bool
}

const seeHelp = "see abide-sandbox --help"

func parseRun(args []string) (runFlags, error) {
	var f runFlags
	fs := flagSet("abide-sandbox")
	fs.StringVar(&f.options.Data, "data", "", "")
	fs.IntVar(&f.options.Port, "port", 0, "")
	fs.IntVar(&f.options.Nodes, "nodes", 1, "")
	fs.StringVar(&f.options.AuditLog, "audit-log", "", "")
	fs.BoolVar(&f.options.Verbose, "verbose", false, "")
	fs.BoolVar(&f.exitWithStdin, "exit-with-stdin", false, "")
	fs.BoolVar(&f.version, "version", false, "")
	if err := parse(fs, args); err != nil {
		return f, err
	}
	switch {
	case fs.NArg() > 0:
		return f, fmt.Errorf("there is no command %q; %s", fs.Arg(0), seeHelp)
	case fs.Changed("data") && f.options.Data == "":
		return f, errors.New("--data is empty: name a directory, or leave the flag out for a temporary one")
	case fs.Changed("audit-log") && f.options.AuditLog == "":
		return f, errors.New("--audit-log is empty: name a file, or leave the flag out for none")
	case f.options.Port < 0 || f.options.Port > 65535:
		return f, fmt.Errorf("--port %d: a port is between 1 and 65535, or 0 for a free one", f.options.Port)
	case f.options.Nodes < 0 || f.options.Nodes > sandbox.MaxNodes:
		return f, fmt.Errorf("--nodes %d: between 0 and %d", f.options.Nodes, sandbox.MaxNodes)
	}
	return f, nil
}

type kubeconfigFlags struct {
	data, user string
	groups     []string
}

func parseKubeconfig(args []string) (kubeconfigFlags, error) {
	var f kubeconfigFlags
	fs := flagSet("abide-sandbox kubeconfig")
	fs.StringVar(&f.data, "data", "", "")
	fs.StringVar(&f.user, "user", "", "")
	fs.StringArrayVar(&f.groups, "group", nil, "")
	if err := parse(fs, args); err != nil {
		return f, err
	}
	switch {
	case fs.NArg() > 0:
		return f, fmt.Errorf("unexpected argument %q; see abide-sandbox kubeconfig --help", fs.Arg(0))
	case f.data == "":
		return f, errors.New("kubeconfig: --data is missing: the directory of a sandbox")
	case f.user == "":
		return f, errors.New("kubeconfig: --user is missing: the name that the API server shall see")
	}
	for _, g := range f.groups {
		if g == "" {
			return f, errors.New("kubeconfig: --group is empty")
		}
	}
	return f, nil
}

func flagSet(name string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.Usage = func() {} // help is printed by the caller, on standard output
	fs.BoolP("help", "h", false, "")
	return fs
}

func parse(fs *pflag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if help, herr := fs.GetBool("help"); herr == nil && help {
		return pflag.ErrHelp
	}
	if err != nil {
		return fmt.Errorf("%w; %s", err, seeHelp)
	}
	return nil
}

// quote makes s one word for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%,:=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
