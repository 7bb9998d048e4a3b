package git

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	looseLimit = 16  // files in one of 256 folders: about 4,000 loose objects
	packLimit  = 50  // packs; each fetch makes one, since git checks objects only on their way into a pack
	keepLimit  = 200 // refs that nobody holds
	// releaseGrace is how long a commit stays after its last user left.
	releaseGrace = time.Hour
	// strangerGrace is how long a commit from before this process stays.
	strangerGrace = 24 * time.Hour
	// fullEvery is how many packings go without dropping unreachable objects.
	fullEvery = 16
)

// maintenanceDue takes a cheap look, once in a while. The caller holds the
// lock.
func (m *Mirror) maintenanceDue() bool {
	if m.fetches < 16 {
		return false
	}
	m.fetches = 0
	m.markUsed()
	loose, _ := os.ReadDir(filepath.Join(m.dir, "objects", "17"))
	packs, _ := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
	return len(loose) > looseLimit || len(packs) > packLimit || len(m.stale(time.Now())) > keepLimit
}

// maintainLater runs maintenance in the background, one mirror at a time.
func (m *Mirror) maintainLater() {
	s := m.store
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.background.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.background.Done()
		select {
		case s.maintaining <- struct{}{}:
			defer func() { <-s.maintaining }()
		case <-s.life.Done():
			return
		}
		if err := m.Maintain(s.life, false); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("maintenance of a mirror failed", "url", m.url.String(), "error", err)
		}
	}()
}

// Maintain drops refs that nobody holds any more and packs the mirror's
// objects. Every so often, or when full is set, it also removes the objects
// that no ref reaches. The Store calls it by itself after fetches.
func (m *Mirror) Maintain(ctx context.Context, full bool) error {
	if err := m.acquire(ctx); err != nil {
		return err
	}
	defer m.unlock()
	if !m.opened {
		return nil
	}
	for _, hash := range m.stale(time.Now()) {
		if err := os.Remove(m.keepFile(hash)); err != nil {
			return err
		}
		m.mu.Lock()
		delete(m.released, hash)
		m.mu.Unlock()
	}
	m.packed++
	steps := [][]string{{"repack", "-q", "-d", "--geometric=2"}}
	if full || m.packed%fullEvery == 0 {
		steps = [][]string{{"repack", "-q", "-a", "-d"}, {"prune", "--expire=1.hour.ago"}}
	}
	for _, args := range steps {
		err := m.store.run(ctx, call{args: args, gitDir: m.dir, timeout: m.store.limits.FetchTimeout})
		if err = m.disk(classify(m.url, Credentials{}, true, err)); err != nil {
			if IsKind(err, MirrorCorrupt) {
				m.corrupt.Store(true)
			}
			m.sweep()
			return err
		}
	}
	return nil
}

// stale lists the kept commits that may go.
func (m *Mirror) stale(now time.Time) []string {
	entries, _ := os.ReadDir(filepath.Join(m.dir, filepath.FromSlash(keepDir)))
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range entries {
		hash := e.Name()
		if strings.HasPrefix(hash, ".") || m.held[hash] > 0 {
			continue
		}
		if at, ok := m.released[hash]; ok {
			if now.Sub(at) > releaseGrace {
				out = append(out, hash)
			}
			continue
		}
		// Never held in this process: its user may not have come back yet.
		info, err := e.Info()
		if err == nil && now.Sub(m.store.started) > strangerGrace && now.Sub(info.ModTime()) > strangerGrace {
			out = append(out, hash)
		}
	}
	return out
}
