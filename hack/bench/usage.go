package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"abide.dev/abide/internal/worker"
)

// ticks per second of the times in /proc, which Linux fixes for programs.
const ticks = 100

// usage is what a process and those below it have used.
type usage struct {
	// Processor time: of the process and its render workers; of its other
	// children, and of all that are gone.
	own, below time.Duration
	memory     int64 // anonymous, in bytes, now
}

func (u usage) processor() time.Duration { return u.own + u.below }

// proc is a line of /proc.
type proc struct {
	pid, parent int
	own, waited time.Duration // own time; that of children that ended
}

// usageOf sums up a process and all below it. With count, it takes only those
// whose command line (its words end in zero bytes) count says yes to.
func usageOf(pid int, count func(command string) bool) (usage, error) {
	all, err := processes()
	if err != nil {
		return usage{}, err
	}
	root, ok := all[pid]
	if !ok {
		return usage{}, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	var sum usage
	for _, p := range all {
		if !descends(all, p, pid) {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "cmdline"))
		if count != nil && (err != nil || !count(string(b))) {
			continue
		}
		if p.pid == root.pid || bytes.Contains(b, []byte("\x00"+worker.Argument+"\x00")) {
			sum.own += p.own
		} else {
			sum.below += p.own
		}
		sum.below += p.waited
		n, err := anonymous(p.pid)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return usage{}, err
		}
		sum.memory += n
	}
	return sum, nil
}

// descends tells whether p is pid or below it.
func descends(all map[int]proc, p proc, pid int) bool {
	for range all { // no longer than this, whatever the parents are
		if p.pid == pid {
			return true
		}
		next, ok := all[p.parent]
		if !ok {
			return false
		}
		p = next
	}
	return false
}

func processes() (map[int]proc, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := map[int]proc{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		p, err := parseStat(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all[p.pid] = p
	}
	return all, nil
}

// parseStat reads proc_pid_stat(5). The name, in brackets, may hold anything.
func parseStat(b []byte) (proc, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return proc{}, errors.New("no name in brackets")
	}
	fields := strings.Fields(string(b[end+1:])) // the third field and those after it
	if len(fields) < 15 {
		return proc{}, fmt.Errorf("%d fields", len(fields))
	}
	var n [6]int64
	for i, s := range []string{string(bytes.TrimSpace(b[:open])), fields[1], fields[11], fields[12], fields[13], fields[14]} {
		var err error
		if n[i], err = strconv.ParseInt(s, 10, 64); err != nil {
			return proc{}, err
		}
	}
	tick := func(n int64) time.Duration { return time.Duration(n) * time.Second / ticks }
	return proc{pid: int(n[0]), parent: int(n[1]), own: tick(n[2] + n[3]), waited: tick(n[4] + n[5])}, nil
}

// anonymous is the memory of one process that no file stands behind.
func anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n * 1024, err
		}
	}
	return 0, nil // it is ending
}
