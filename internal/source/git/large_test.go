package git_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

// BenchmarkLargeRepository makes a large repository, serves it on loopback and
// measures what each step of following it costs: time, the most anonymous
// memory of the git processes that abide starts and of this process, and the
// disk that the mirror takes. The steps are a first fetch and the reading of one
// folder after it, then commits of one file each, fetched and compared.
//
// It has 10,000 files and 1,000 commits. ABIDE_BENCH_FILES and
// ABIDE_BENCH_COMMITS change that; ADR 0011 has figures of 100,000 and 50,000.
func BenchmarkLargeRepository(b *testing.B) {
	files, commits := setting(b, "ABIDE_BENCH_FILES", 10_000), setting(b, "ABIDE_BENCH_COMMITS", 1_000)
	repo := gittest.Large(b, files, commits)
	url := serve(b, repo, gitserver.Options{}, nil)
	head := repo.Head("main")

	b.Run("first-fetch", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			dir := b.TempDir()
			s := newStore(b, git.Options{Dir: dir})
			m := mirrorOf(b, s, url)
			runtime.GC()
			peak := watchMemory()
			b.StartTimer()
			if err := m.Fetch(b.Context(), anonymous, git.Want{Hash: head}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			peak.report(b)
			b.ReportMetric(mebibytes(diskUse(b, dir)), "MiB-disk")
			s.Close()
			b.StartTimer()
		}
	})

	dir := b.TempDir()
	s := newStore(b, git.Options{Dir: dir})
	m := mirrorOf(b, s, url)
	if err := m.Fetch(b.Context(), anonymous, git.Want{Hash: head}); err != nil {
		b.Fatal(err)
	}
	b.Run("read-folder", func(b *testing.B) {
		s.Close()
		for b.Loop() {
			b.StopTimer()
			cold := newStore(b, git.Options{Dir: dir})
			m := mirrorOf(b, cold, url)
			peak := watchMemory()
			b.StartTimer()
			readFolder(b, m, head, gittest.LargeFile(files/2))
			b.StopTimer()
			peak.report(b)
			cold.Close()
			b.StartTimer()
		}
	})
	b.Run("next-commit", func(b *testing.B) {
		s := newStore(b, git.Options{Dir: dir})
		m := mirrorOf(b, s, url)
		readFolder(b, m, head, gittest.LargeFile(0))
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			next := repo.Change("one file", map[string]string{gittest.LargeFile(n % files): gittest.LargeContent(n%files, commits+n+1)})
			runtime.GC()
			peak := watchMemory()
			b.StartTimer()
			if err := m.Fetch(b.Context(), anonymous, git.Want{Hash: next, Base: head}); err != nil {
				b.Fatal(err)
			}
			changed, err := m.ChangedPaths(b.Context(), head, next)
			if err != nil || len(changed) != 1 {
				b.Fatal(changed, err)
			}
			readFolder(b, m, next, changed[0].Path)
			b.StopTimer()
			peak.report(b)
			head = next
			b.StartTimer()
		}
		runtime.GC()
		b.ReportMetric(mebibytes(rssAnon(os.Getpid())), "MiB-after")
	})
}

func setting(b *testing.B, name string, value int) int {
	text := os.Getenv(name)
	if text == "" {
		return value
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q and must be a number", name, text)
	}
	return n
}

// readFolder reads the files of a folder as a render does.
func readFolder(b *testing.B, m *git.Mirror, commit, file string) {
	tree, err := m.Snapshot(b.Context(), commit)
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Dir(file)
	entries, err := tree.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if _, err := tree.ReadFile(dir + "/" + e.Name); err != nil {
			b.Fatal(err)
		}
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func diskUse(b *testing.B, dir string) int64 {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// memory looks at processes every few milliseconds.
type memory struct {
	stop      chan struct{}
	done      sync.WaitGroup
	git, self atomic.Int64 // the most seen at a time, in bytes
}

func watchMemory() *memory {
	m := &memory{stop: make(chan struct{})}
	m.done.Go(func() {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for {
			m.self.Store(max(m.self.Load(), rssAnon(os.Getpid())))
			m.git.Store(max(m.git.Load(), clientMemory()))
			select {
			case <-tick.C:
			case <-m.stop:
				return
			}
		}
	})
	return m
}

// report ends the watch. Of several rounds the last one counts.
func (m *memory) report(b *testing.B) {
	close(m.stop)
	m.done.Wait()
	b.ReportMetric(mebibytes(m.git.Load()), "MiB-git")
	b.ReportMetric(mebibytes(m.self.Load()), "MiB-self")
}

// clientMemory sums up the git processes below this one, those of the server
// left out.
func clientMemory() int64 {
	parent := map[int]int{}
	server := map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 {
			parent[pid], _ = strconv.Atoi(fields[1])
		}
		args, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		server[pid] = bytes.Contains(args, []byte("upload-pack"))
	}
	var total int64
	for pid := range parent {
		for at := pid; at > 1 && !server[at]; at = parent[at] {
			if parent[at] == os.Getpid() {
				total += rssAnon(pid)
				break
			}
		}
	}
	return total
}

// rssAnon is the memory of a process that no file stands behind.
func rssAnon(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
