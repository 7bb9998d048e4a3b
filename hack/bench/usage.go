package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks per second of the times in /proc, which Linux fixes for programs.
const ticks = 100

// requests counts what the controller asked of the API server from an offset of
// the audit log on: by verb, and watches apart since they last. It returns the
// offset to go on from.
func requests(auditLog string, from int64) (byVerb map[string]int, next int64, err error) {
	f, err := os.Open(auditLog)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, 0, err
	}
	byVerb, next = map[string]int{}, from
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a line without its end is still being written
			return byVerb, next, nil
		}
		if err != nil {
			return nil, 0, err
		}
		next += int64(len(line))
		var e struct {
			Stage, Verb string
			User        struct{ Username string }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, 0, fmt.Errorf("audit log: %w", err)
		}
		if e.User.Username == user && (e.Stage == "ResponseComplete" && e.Verb != "watch" || e.Stage == "ResponseStarted" && e.Verb == "watch") {
			byVerb[e.Verb]++
		}
	}
}

// processor is the processor time of a process and of its children that ended.
func processor(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; utime, stime, cutime and cstime
	// are fields 14 to 17 of proc_pid_stat(5).
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var sum int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// memory is the anonymous memory of a process and of its children, in bytes.
func memory(pid int) (int64, error) {
	own, err := anonymous(pid)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				return 0, err
			}
			if m, err := memory(n); err == nil { // or it has ended
				own += m
			}
		}
	}
	return own, nil
}

func anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", pid)
}
