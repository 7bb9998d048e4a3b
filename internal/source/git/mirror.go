package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mirror is the bare mirror of one URL. It is safe for concurrent use.
type Mirror struct {
	store *Store
	url   URL
	dir   string

	lock    chan struct{} // held by whoever changes the mirror
	opened  bool          // under lock: checked and cleaned since start
	fetches int           // under lock: since the last look at maintenance
	packed  int           // under lock: maintenance runs
	corrupt atomic.Bool   // found broken; discarded before the next fetch
	// generation counts how often the mirror was discarded, so that readers
	// of a discarded one are not used again.
	generation atomic.Int64

	mu       sync.Mutex
	held     map[string]int
	released map[string]time.Time
}

// URL is the address that is mirrored.
func (m *Mirror) URL() URL { return m.url }

const (
	keepDir = "refs/abide/keep"
	// formatFile holds the object format; its time is when the mirror was
	// last known to be in use.
	formatFile = "abide-format"
	// unusedFor is how long a mirror stays that no process uses.
	unusedFor = 30 * 24 * time.Hour
)

func (m *Mirror) markUsed() {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(m.dir, formatFile), now, now) // it may not be there yet
}

// removeUnused removes what New finds of mirrors that were thrown away, or
// that nobody used for a long time.
func removeUnused(mirrors string, now time.Time) {
	entries, _ := os.ReadDir(mirrors)
	for _, e := range entries {
		p := filepath.Join(mirrors, e.Name())
		info, err := os.Stat(filepath.Join(p, formatFile))
		if strings.Contains(e.Name(), ".trash-") || err != nil || now.Sub(info.ModTime()) > unusedFor {
			os.RemoveAll(p)
		}
	}
}

func (m *Mirror) keepFile(hash string) string {
	return filepath.Join(m.dir, filepath.FromSlash(keepDir), hash)
}

// Has tells whether the mirror holds the commit, fetched and kept.
func (m *Mirror) Has(hash string) bool {
	if !isHash(hash) || m.corrupt.Load() {
		return false
	}
	info, err := os.Stat(m.keepFile(hash))
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// Hold counts one more user of a commit; what is held survives maintenance.
// Each Hold needs a [Mirror.Release].
func (m *Mirror) Hold(hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[hash]++
	delete(m.released, hash)
}

// Release takes back one [Mirror.Hold]. The commit stays readable for at
// least an hour after its last one.
func (m *Mirror) Release(hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[hash]--; m.held[hash] <= 0 {
		delete(m.held, hash)
		m.released[hash] = time.Now()
	}
}

// acquire waits for the right to change the mirror.
func (m *Mirror) acquire(ctx context.Context) error {
	select {
	case m.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Mirror) unlock() { <-m.lock }

// prepare makes sure that there is a repository to fetch into. The caller
// holds the lock. hash tells which object format the remote has.
func (m *Mirror) prepare(ctx context.Context, hash string) error {
	if m.corrupt.Load() {
		if err := m.discard(); err != nil {
			return err
		}
	}
	format := "sha1"
	if len(hash) == 64 {
		format = "sha256"
	}
	if m.opened {
		if _, err := os.Stat(filepath.Join(m.dir, "HEAD")); err == nil {
			return nil
		}
		m.opened = false // the cache was deleted under us
	}
	m.markUsed()
	found, err := os.ReadFile(filepath.Join(m.dir, formatFile))
	switch {
	case err == nil && string(found) == format:
		m.sweep()
	case err == nil || !errors.Is(err, fs.ErrNotExist) || exists(m.dir):
		if err := m.discard(); err != nil {
			return err
		}
		fallthrough
	default:
		// HEAD is unborn for ever; the branch's name means nothing.
		err := m.store.run(ctx, call{
			args:    []string{"init", "--quiet", "--bare", "--template=", "--object-format=" + format, "--initial-branch=none", m.dir},
			timeout: m.store.limits.ListTimeout,
		})
		if err != nil {
			return fmt.Errorf("make the mirror of %s: %w", m.url, err)
		}
		if err := os.MkdirAll(filepath.Join(m.dir, filepath.FromSlash(keepDir)), 0o700); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(m.dir, formatFile), []byte(format)); err != nil {
			return err
		}
	}
	m.opened = true
	return nil
}

func exists(p string) bool {
	_, err := os.Lstat(p)
	return err == nil
}

// discard throws the mirror away. The caller holds the lock.
func (m *Mirror) discard() error {
	m.generation.Add(1)
	m.store.readers.drop(m)
	m.store.cache.forget(m)
	m.opened = false
	if exists(m.dir) {
		m.store.log.Warn("a mirror is thrown away", "url", m.url.String(), "damaged", m.corrupt.Load())
		trash := fmt.Sprintf("%s.trash-%d", m.dir, m.generation.Load())
		os.RemoveAll(trash)
		if err := os.Rename(m.dir, trash); err != nil {
			return fmt.Errorf("discard the mirror of %s: %w", m.url, err)
		}
		if err := os.RemoveAll(trash); err != nil {
			m.store.log.Warn("a discarded mirror could not be removed", "dir", trash, "error", err)
		}
	}
	m.corrupt.Store(false)
	return nil
}

// sweep removes what a killed git left behind: locks and unfinished objects.
// The caller holds the lock, so no git of ours is at work.
func (m *Mirror) sweep() {
	_ = filepath.WalkDir(m.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		name := d.Name()
		if strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") {
			os.Remove(p)
		}
		return nil
	})
}

// damaged marks the mirror so that the next fetch starts anew.
func (m *Mirror) damaged(format string, args ...any) error {
	m.corrupt.Store(true)
	return errorf(MirrorCorrupt, m.url.String(), "it will be fetched anew", "the local mirror is damaged (%s)", fmt.Sprintf(format, args...))
}
