// Package cli is the command line of abide-sandbox.
//
// Exit status: 0 after a sandbox was stopped or a kubeconfig was printed, 1
// with one line on standard error that begins with "abide-sandbox: " if
// something is wrong. Standard output carries what scripts may want: the two
// lines of a sandbox that is ready, or a kubeconfig.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"k8s.io/component-base/version"

	"abide.dev/abide/sandbox/internal/component"
	"abide.dev/abide/sandbox/internal/sandbox"
)

// Main runs the command line argv and returns the exit status.
func Main(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	args := argv[1:]
	if len(args) > 0 && args[0] == component.Command {
		return component.Main(args[1:], stdin, stderr)
	}
	var err error
	if len(args) > 0 && args[0] == "kubeconfig" {
		err = runKubeconfig(args[1:], stdout)
	} else {
		err = runSandbox(args, stdin, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "abide-sandbox: %v\n", err)
		return 1
	}
	return 0
}

func runSandbox(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f, err := parseRun(args)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(stdout, runHelp)
		return err
	}
	if err != nil {
		return err
	}
	if f.version {
		_, err := fmt.Fprintf(stdout, "abide-sandbox (Kubernetes %s)\n", version.Get().GitVersion)
		return err
	}
	if err := checkBuild(version.Get().Major); err != nil {
		return err
	}
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	if f.exitWithStdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	f.options.Log = stderr
	f.options.Now = time.Now
	f.options.Ready = func(i sandbox.Info) {
		fmt.Fprintf(stdout, "# Kubernetes %s is ready at %s after %.1fs; end it with ^C\nexport KUBECONFIG=%s\n",
			version.Get().GitVersion, i.URL, i.Took.Seconds(), quote(i.Kubeconfig))
	}
	return sandbox.Run(ctx, f.options)
}

func runKubeconfig(args []string, stdout io.Writer) error {
	f, err := parseKubeconfig(args)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(stdout, kubeconfigHelp)
		return err
	}
	if err != nil {
		return err
	}
	b, err := sandbox.UserKubeconfig(f.data, f.user, f.groups, time.Now)
	if err != nil {
		return err
	}
	_, err = stdout.Write(b)
	return err
}

// checkBuild refuses a binary that does not know its Kubernetes version: its
// /version would be one that no client can parse.
func checkBuild(major string) error {
	if major == "" || major == "0" {
		return errors.New("this binary was built without Kubernetes' version; build it with make bin/abide-sandbox")
	}
	return nil
}
