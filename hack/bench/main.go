// Command bench measures abide from the outside: it starts bin/abide-sandbox and
// bin/abide controller as a user would, gives them a Git repository, and reads
// times from the API, requests from the API server's audit log, and processor
// time and memory from the kernel.
//
// It prints one table, and with -out writes it as a page together with the
// machine it was measured on. Figures of two machines cannot be compared; the
// requests can.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// scenario is one shape of repository.
type scenario struct {
	name    string
	apps    int
	objects int // in each App
	commits int // how many commits to follow
	idle    time.Duration
}

func (s scenario) String() string { return s.name }

func scenarios(quick bool) []scenario {
	if quick {
		return []scenario{
			{"1 App × 200 ConfigMaps", 1, 200, 5, 10 * time.Second},
			{"20 Apps × 10 ConfigMaps", 20, 10, 5, 10 * time.Second},
		}
	}
	return []scenario{
		{"1 App × 1,000 ConfigMaps", 1, 1000, 20, time.Minute},
		{"100 Apps × 10 ConfigMaps", 100, 10, 20, time.Minute},
	}
}

// patience is how long one phase may take.
const patience = 5 * time.Minute

func main() {
	quick := flag.Bool("quick", false, "smaller numbers, under three minutes")
	out := flag.String("out", "", "page to write besides printing")
	bin := flag.String("bin", "bin", "folder with abide and abide-sandbox")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *bin, *out, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, out string, quick bool) error {
	var all []result
	for _, s := range scenarios(quick) {
		fmt.Fprintf(os.Stderr, "measuring %s\n", s)
		r, err := measure(ctx, bin, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		all = append(all, r)
	}
	page := table(all)
	fmt.Print(page)
	if out == "" {
		return nil
	}
	head, err := heading(ctx, bin)
	if err != nil {
		return err
	}
	return os.WriteFile(out, []byte(head+page), 0o644)
}
