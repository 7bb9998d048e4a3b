package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		why, line string
		want      proc
		bad       bool
	}{
		{"a name with everything in it", "42 (a) b (c) S 7 0 0 0 0 0 0 0 0 0 100 50 3 2 20 0 1", proc{pid: 42, parent: 7, own: 1500 * time.Millisecond, waited: 50 * time.Millisecond}, false},
		{"cut short", "42 (a) S 7 0 0", proc{}, true},
		{"no name", "42 S 7", proc{}, true},
		{"no number", "42 (a) S seven 0 0 0 0 0 0 0 0 0 100 50 3 2 20", proc{}, true},
		{"nothing", "", proc{}, true},
	} {
		got, err := parseStat([]byte(c.line))
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%s: %+v, %v", c.why, got, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b (c) S 7 0 0 0 0 0 0 0 0 0 100 50 3 2 20 0 1"))
	f.Add([]byte("42 )("))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseStat(b) })
}

func TestDescends(t *testing.T) {
	all := map[int]proc{1: {pid: 1}, 2: {pid: 2, parent: 1}, 3: {pid: 3, parent: 2}, 4: {pid: 4, parent: 1}, 5: {pid: 5, parent: 6}, 6: {pid: 6, parent: 5}}
	for pid, want := range map[int]bool{1: false, 2: true, 3: true, 4: false, 5: false} {
		if got := descends(all, all[pid], 2); got != want {
			t.Errorf("%d below 2: %v", pid, got)
		}
	}
}

// TestUsageOfChildren: git runs as a child of abide and must not be forgotten.
func TestUsageOfChildren(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("bench reads /proc")
	}
	child := exec.Command("cat") // it waits for its input
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer child.Wait()
	defer in.Close()
	own, err := anonymous(os.Getpid())
	if err != nil || own == 0 {
		t.Fatalf("%d bytes, %v", own, err)
	}
	catOnly, err := usageOf(os.Getpid(), func(command string) bool { return command == "cat\x00" })
	if err != nil || catOnly.memory == 0 || catOnly.own != 0 {
		t.Errorf("the child: %+v, %v", catOnly, err)
	}
	if _, err := usageOf(-1, nil); err == nil {
		t.Error("a process that is not there has a usage")
	}
}
