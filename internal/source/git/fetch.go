package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Want is a commit to have.
type Want struct {
	Hash string
	// Base is an earlier commit of the same line, "" if there was none. With a
	// Base that the mirror holds, everything between is fetched; without one
	// the commit alone is.
	Base string
}

// Fetch brings the wanted commits, with their whole trees, and keeps them. It
// does nothing for those that the mirror has. One fetch at a time runs on a
// mirror; whoever waited finds done what the one before did. A mirror that
// turns out to be broken is thrown away and fetched once more.
func (m *Mirror) Fetch(ctx context.Context, c Credentials, wants ...Want) error {
	for _, w := range wants {
		if !isHash(w.Hash) {
			return errorf(CommitNotFound, m.url.String(), "give all 40 (or 64) hexadecimal digits, in lower case", "%.80q is no full commit hash", w.Hash)
		}
	}
	if len(m.missing(wants)) == 0 {
		return nil
	}
	if err := c.check(m.url); err != nil {
		return err
	}
	return m.changing(ctx, func() error {
		missing := m.missing(wants)
		if len(missing) == 0 {
			return nil
		}
		if err := m.prepare(ctx, missing[0].Hash); err != nil {
			return err
		}
		var lines, alone []string
		for _, w := range missing {
			if w.Base != "" && m.Has(w.Base) {
				lines = append(lines, w.Hash)
			} else {
				alone = append(alone, w.Hash)
			}
		}
		if err := m.fetchHashes(ctx, c, lines, false); err != nil {
			return err
		}
		return m.fetchHashes(ctx, c, alone, true)
	})
}

func (m *Mirror) missing(wants []Want) []Want {
	var out []Want
	for _, w := range wants {
		if !m.Has(w.Hash) {
			out = append(out, w)
		}
	}
	return out
}

// changing runs change under the mirror's lock, once more when it finds that
// the mirror is broken, and looks after the mirror afterwards.
func (m *Mirror) changing(ctx context.Context, change func() error) error {
	if err := m.acquire(ctx); err != nil {
		return err
	}
	err := m.disk(change())
	if ctx.Err() == nil && (IsKind(err, MirrorCorrupt) || IsKind(err, GitFailed)) {
		err = m.repair(ctx, err, change)
	}
	if err != nil && m.opened {
		m.sweep()
	}
	m.fetches++
	due := err == nil && m.maintenanceDue()
	m.unlock()
	if due {
		m.maintainLater()
	}
	return err
}

// repair looks for the reason of an error in the mirror, and makes the change
// once more with a new one if that one is broken. The caller holds the lock.
func (m *Mirror) repair(ctx context.Context, err error, change func() error) error {
	suspect := IsKind(err, MirrorCorrupt)
	if m.corrupt.Load() || suspect && !m.sound(ctx) || !suspect && !m.usable(ctx) {
		m.corrupt.Store(true)
		if err = m.disk(change()); !IsKind(err, MirrorCorrupt) {
			return err
		}
		m.corrupt.Store(false) // it is new: throwing it away again and again helps nobody
	} else if !suspect {
		return err
	}
	// A pack that cannot be read is no reason to lose a good mirror.
	return &Error{Kind: RepositoryMalformed, URL: m.url.String(), Err: err,
		Problem: "the remote sent data that git cannot use", Hint: "run git fsck on the repository there"}
}

// usable takes a quick look at the mirror: at its configuration, its refs and
// what they point to. The caller holds the lock.
func (m *Mirror) usable(ctx context.Context) bool {
	if !m.opened {
		return true
	}
	err := m.store.run(ctx, call{args: []string{"rev-list", "--max-count=1", "--all"}, gitDir: m.dir, timeout: m.store.limits.ListTimeout})
	var f *failure
	return err == nil || !errors.As(err, &f) || f.timedOut // a slow disk is no broken mirror
}

// sound checks every object of the mirror. The caller holds the lock.
func (m *Mirror) sound(ctx context.Context) bool {
	return m.store.run(ctx, call{args: []string{"fsck", "--no-dangling", "--no-progress"}, gitDir: m.dir, timeout: m.store.limits.FetchTimeout}) == nil
}

func (m *Mirror) fetchHashes(ctx context.Context, c Credentials, hashes []string, shallow bool) error {
	if len(hashes) == 0 {
		return nil
	}
	specs := make([]string, len(hashes))
	for i, h := range hashes {
		specs[i] = "+" + h + ":" + keepDir + "/" + h
	}
	err := m.gitFetch(ctx, c, specs, shallow)
	if refusesHashes(err) {
		err = m.fetchAll(ctx, c, hashes)
	}
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if !m.Has(h) {
			return m.damaged("%s was fetched and is not there", h)
		}
	}
	return nil
}

// fetchAll is for servers that give commits by the name of a ref only: it
// brings every branch and tag and looks among them.
func (m *Mirror) fetchAll(ctx context.Context, c Credentials, hashes []string) error {
	specs := []string{"+refs/heads/*:refs/abide/all/heads/*", "+refs/tags/*:refs/abide/all/tags/*"}
	var more []string
	if info, err := os.Stat(filepath.Join(m.dir, "shallow")); err == nil && info.Size() > 0 {
		more = []string{"--unshallow"} // the commit may lie behind the boundary
	}
	if err := classify(m.url, c, true, m.limited(ctx, c, append(fetchArgs(), more...), specs, true)); err != nil {
		return err
	}
	for _, h := range hashes {
		o, err := m.store.readers.read(m, h, m.store.limits.MaxTree)
		if errors.Is(err, errMissing) || err == nil && o.kind != "commit" {
			return errorf(CommitNotFound, m.url.String(), "", "no branch or tag of the remote has the commit %s", h)
		}
		if err != nil {
			return err
		}
		if err := m.keep(h); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the ref that holds a commit, as git itself writes a loose ref.
func (m *Mirror) keep(hash string) error {
	if m.Has(hash) {
		return nil
	}
	name := m.keepFile(hash)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return writeFile(name, []byte(hash+"\n"))
}

// FetchRefs looks at some refs and brings what they point at, in one
// connection: the short way when a push was announced. refs are "HEAD" and
// full names of branches. A ref that the remote does not have is an error of
// kind RefNotFound, and then nothing was fetched.
func (m *Mirror) FetchRefs(ctx context.Context, c Credentials, refs []string) (map[string]string, error) {
	if err := c.check(m.url); err != nil {
		return nil, err
	}
	specs := make([]string, len(refs))
	seen := make([]string, len(refs))
	for i, r := range refs {
		if r != "HEAD" && (!ValidRefName(r) || !strings.HasPrefix(r, "refs/heads/")) {
			return nil, errorf(RefNotFound, m.url.String(), "", "%.80q is no branch", r)
		}
		seen[i] = fmt.Sprintf("refs/abide/seen/%d", i)
		specs[i] = "+" + r + ":" + seen[i]
	}
	out := make(map[string]string, len(refs))
	err := m.changing(ctx, func() error {
		clear(out)
		if !m.opened || m.corrupt.Load() {
			return errorf(RefNotFound, m.url.String(), "", "there is no mirror yet")
		}
		if err := m.prepare(ctx, ""); err != nil {
			return err
		}
		if err := m.gitFetch(ctx, c, specs, false); err != nil {
			return err
		}
		for i, r := range refs {
			name := filepath.Join(m.dir, filepath.FromSlash(seen[i]))
			b, err := os.ReadFile(name)
			hash := strings.TrimSpace(string(b))
			if err != nil || !isHash(hash) {
				return m.damaged("%s was fetched and is not there", r)
			}
			if err := m.keep(hash); err != nil {
				return err
			}
			os.Remove(name)
			out[r] = hash
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// gitFetch runs git fetch in the mirror. The caller holds the lock.
func (m *Mirror) gitFetch(ctx context.Context, c Credentials, specs []string, shallow bool) error {
	args := fetchArgs()
	if shallow {
		args = append(args, "--depth=1")
	}
	err := m.limited(ctx, c, args, specs, shallow)
	if shallow && unsupportedDepth(err) {
		err = m.limited(ctx, c, fetchArgs(), specs, true)
	}
	return classify(m.url, c, true, err)
}

func fetchArgs() []string {
	return []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "--force", "--refmap="}
}

// limited runs one fetch that is stopped when the mirror grows too large; then
// the mirror is removed.
func (m *Mirror) limited(ctx context.Context, c Credentials, args, specs []string, shallow bool) error {
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	var tooLarge atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-fetching.Done():
				return
			case <-tick.C:
				if m.size() > m.store.limits.MaxMirror {
					tooLarge.Store(true)
					stop()
					return
				}
			}
		}
	}()
	// The refspecs go through standard input: there can be thousands.
	err := m.store.run(fetching, call{
		args: append(args, "--stdin", "--", m.url.canonical), gitDir: m.dir, url: m.url, creds: c,
		timeout: m.store.limits.FetchTimeout, stdin: strings.Join(specs, "\n") + "\n",
	})
	stop()
	<-done
	// Small steps grow a mirror too, though a look at each would cost more
	// than the step.
	if err == nil && (shallow || m.fetches == 0) && m.size() > m.store.limits.MaxMirror {
		tooLarge.Store(true)
	}
	if tooLarge.Load() && ctx.Err() == nil {
		if err := m.discard(); err != nil {
			return err
		}
		return errorf(RepositoryTooLarge, m.url.String(), "keep large files out of the repository, or raise the bound",
			"the repository needs more than %d MiB on disk", m.store.limits.MaxMirror>>20)
	}
	return err
}

// size is what the mirror's objects take on disk, in bytes.
func (m *Mirror) size() int64 {
	var total int64
	_ = filepath.WalkDir(filepath.Join(m.dir, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
