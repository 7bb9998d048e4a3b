package chart

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// cache is the folder of the Store: files of bounded size together, the one
// not used for the longest first out.
type cache struct {
	dir   string
	limit int64
	now   func() time.Time

	mu    sync.Mutex
	size  int64
	order *list.List // of *cachedFile, last used in front
	files map[string]*list.Element
}

type cachedFile struct {
	name    string
	size    int64
	touched time.Time // what the disk has as the time of the last use
}

// newMark begins the names of files that are being written.
const newMark = ".new-"

// openCache takes over what a Store before has left in dir.
func openCache(dir string, limit int64, now func() time.Time) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache of charts: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the cache of charts: %w", err)
	}
	c := &cache{dir: dir, limit: limit, now: now, order: list.New(), files: map[string]*list.Element{}}
	var found []cachedFile
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
			continue
		case strings.HasPrefix(e.Name(), newMark): // a Store was killed while it wrote
			os.Remove(filepath.Join(dir, e.Name()))
		case strings.HasPrefix(e.Name(), "archive-"), strings.HasPrefix(e.Name(), "index-"):
			found = append(found, cachedFile{e.Name(), info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b cachedFile) int { return a.touched.Compare(b.touched) })
	for _, f := range found {
		c.files[f.name] = c.order.PushFront(&f)
		c.size += f.size
	}
	c.evict("")
	return c, nil
}

// key returns the key of the cache, made when there is none.
func (c *cache) key() ([]byte, error) {
	const size = 32
	b, err := os.ReadFile(filepath.Join(c.dir, "key"))
	if err == nil && len(b) == size {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of the cache of charts: %w", err)
	}
	key := make([]byte, size)
	rand.Read(key)
	f, err := os.CreateTemp(c.dir, newMark+"*")
	if err != nil {
		return nil, fmt.Errorf("make the key of the cache of charts: %w", err)
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, "key"))
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("make the key of the cache of charts: %w", err)
	}
	return key, nil
}

// writing is a file that is being written and hashed.
type writing struct {
	cache *cache
	file  *os.File
	hash  hash.Hash
	size  int64
	err   error
}

// create begins a file. It has to be ended with keep or discard.
func (c *cache) create() (*writing, error) {
	f, err := os.CreateTemp(c.dir, newMark+"*") // made with mode 0600
	if err != nil {
		return nil, c.failed(err)
	}
	return &writing{cache: c, file: f, hash: sha256.New()}, nil
}

// Write implements io.Writer. An error of the disk is told from others by err.
func (w *writing) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// digest is the hash of what was written, in hexadecimal.
func (w *writing) digest() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// keep gives the file its name.
func (w *writing) keep(name string) error {
	err := w.file.Close()
	if err == nil {
		err = os.Rename(w.file.Name(), filepath.Join(w.cache.dir, name))
	}
	if err != nil {
		os.Remove(w.file.Name())
		return w.cache.failed(err)
	}
	w.cache.took(name, w.size)
	return nil
}

func (w *writing) discard() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// put writes a small file.
func (c *cache) put(name string, content []byte) error {
	w, err := c.create()
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		w.discard()
		return c.failed(err)
	}
	return w.keep(name)
}

func (c *cache) failed(err error) error {
	why := err
	if e := syscall.Errno(0); errors.As(err, &e) {
		why = e // without the name of a temporary file, which is another one each time
	}
	return errorf(CacheFailed, "", "check the disk of abide's cache", "the cache of charts, %s, cannot be written (%v)", c.dir, why).because(err)
}

// took books a file and makes room for it.
func (c *cache) took(name string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.files[name]; e != nil {
		c.forget(e)
	}
	c.files[name] = c.order.PushFront(&cachedFile{name, size, c.now()})
	c.size += size
	c.evict(name)
}

// evict removes files until the rest fits; the one named stays. The caller
// holds c.mu, or is alone.
func (c *cache) evict(stays string) {
	for e := c.order.Back(); e != nil && c.size > c.limit; {
		before := e.Prev()
		if f := e.Value.(*cachedFile); f.name != stays {
			os.Remove(filepath.Join(c.dir, f.name))
			c.forget(e)
		}
		e = before
	}
}

func (c *cache) forget(e *list.Element) {
	f := e.Value.(*cachedFile)
	c.order.Remove(e)
	delete(c.files, f.name)
	c.size -= f.size
}

// remove takes a file away.
func (c *cache) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	os.Remove(filepath.Join(c.dir, name))
	if e := c.files[name]; e != nil {
		c.forget(e)
	}
}

// open opens a file of at most most bytes and notes that it is in use. What is
// not there, or is no such file, is fs.ErrNotExist.
func (c *cache) open(name string, most int64) (*os.File, error) {
	c.mu.Lock()
	e := c.files[name]
	if e == nil {
		c.mu.Unlock()
		return nil, fs.ErrNotExist
	}
	c.order.MoveToFront(e)
	// A write per use would wear the disk for an order that need not be exact.
	const often = time.Minute
	if now, f := c.now(), e.Value.(*cachedFile); now.Sub(f.touched) > often {
		f.touched = now
		os.Chtimes(filepath.Join(c.dir, name), now, now)
	}
	c.mu.Unlock()
	file, err := os.Open(filepath.Join(c.dir, name))
	if err == nil {
		if info, serr := file.Stat(); serr != nil || !info.Mode().IsRegular() || info.Size() > most {
			file.Close()
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		c.remove(name)
		return nil, fs.ErrNotExist
	}
	return file, nil
}

// verified reads a file whole if its content has the digest, in hexadecimal. A
// damaged one is removed and counts as not there.
func (c *cache) verified(name, digest string, most int64) ([]byte, error) {
	f, err := c.open(name, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	sum := sha256.Sum256(b)
	if err != nil || hex.EncodeToString(sum[:]) != digest {
		c.remove(name)
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// intact tells whether a file has the digest, in hexadecimal, without holding
// it. A damaged one is removed.
func (c *cache) intact(name, digest string, most int64) bool {
	f, err := c.open(name, most)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != digest {
		c.remove(name)
		return false
	}
	return true
}
