// Command bench measures abide from the outside: it starts bin/abide-sandbox and
// bin/abide controller as a user would, serves them a Git repository over smart
// HTTP, and reads times from the API, requests from the API server's audit log,
// and processor time and memory from the kernel.
//
// Beside each figure it puts a yardstick from the same run and the same API
// server: what a client takes that sends the same requests and does nothing
// else. Ratios and requests of two machines can be compared, times can't.
//
// It prints a page, and with -out writes it. Only Linux has what it reads.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

// patience is how long one moment may take.
const patience = 10 * time.Minute

type options struct {
	quick, long bool
	bin         string
	out         string
	profiles    string
	only        string
	keep        bool
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "smaller numbers, under three minutes")
	flag.BoolVar(&o.long, "long", false, "the long run as well")
	flag.StringVar(&o.bin, "bin", "bin", "`folder` with abide and abide-sandbox")
	flag.StringVar(&o.out, "out", "", "`page` to write besides printing")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` for processor profiles of abide: they cost a little themselves")
	flag.StringVar(&o.only, "only", "", "measure the scenarios whose name matches this `regexp`")
	flag.BoolVar(&o.keep, "keep", false, "keep the repositories, logs and audit logs, and say where")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	began := time.Now()
	p := page{began: began, machine: machine(), load: load()}
	if p.version, err = versionOf(ctx, o.bin); err != nil {
		return err
	}
	var chosen []scenario
	for _, s := range scenarios {
		switch {
		case s.quick != o.quick:
		case s.long && !o.long || !only.MatchString(s.name):
			p.skipped = append(p.skipped, s.name)
		default:
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no scenario matches %q; there are:\n%s", o.only, strings.Join(p.skipped, "\n"))
	}
	for _, s := range chosen {
		note("measuring %s", s.name)
		r, err := measure(ctx, o, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		p.results = append(p.results, r)
		p.took = time.Since(began)
		if o.out == "" {
			continue
		}
		// After each, so that an error does not take what has been measured.
		if err := os.WriteFile(o.out, []byte(p.String()), 0o644); err != nil {
			return err
		}
	}
	fmt.Print(p.String())
	return nil
}

// note tells the one who waits what is going on.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
