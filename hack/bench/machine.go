package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// versionOf is what abide says of itself.
func versionOf(ctx context.Context, bin string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "abide"), "version").Output()
	if err != nil {
		return "", fmt.Errorf("abide version: %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}

// machine is what the figures were measured on, as far as Linux says it.
func machine() string {
	return fmt.Sprintf("%s, %d processors, %s of memory, %s/%s",
		field("/proc/cpuinfo", "model name", "an unknown processor"), runtime.NumCPU(),
		field("/proc/meminfo", "MemTotal", "unknown size"), runtime.GOOS, runtime.GOARCH)
}

// field is the first value of a name in a file of lines "name: value".
func field(file, want, otherwise string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return otherwise
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == want {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// load is how busy the machine was with other things.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// others is what part of the machine other programs than bench and those it
// started took between two moments.
type others struct {
	at        time.Time
	busy, own time.Duration
}

func newOthers() (others, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return others{}, err
	}
	busy, err := parseBusy(string(b))
	if err != nil {
		return others{}, fmt.Errorf("/proc/stat: %w", err)
	}
	own, err := usageOf(os.Getpid(), nil)
	return others{at: time.Now(), busy: busy, own: own.processor()}, err
}

// percent of the whole machine since before.
func (o others) percent(before others) int {
	whole := o.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	foreign := (o.busy - before.busy) - (o.own - before.own)
	if whole <= 0 || foreign < 0 {
		return 0
	}
	return int(100 * foreign / whole)
}

// parseBusy reads the time that all processors were busy from the first line of
// proc_stat(5): user, nice, system, idle, iowait, irq, softirq and steal; what
// comes after is in those already.
func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("the first line is %q", line)
	}
	var sum int64
	for i, s := range fields[1:9] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 { // idle, and waiting for a disk
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks, nil
}
