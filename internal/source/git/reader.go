package git

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// readers is the pool of cat-file processes of a Store. A process serves one
// read at a time; when all are busy, a read waits.
type readers struct {
	store *Store

	mu      sync.Mutex
	live    int
	count   map[*Mirror]int
	idle    map[*Mirror][]*reader
	changed chan struct{} // closed and replaced when a reader comes free
	closed  bool
}

// reader is one "git cat-file --batch".
type reader struct {
	mirror     *Mirror
	generation int64
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
	stderr     *tail
	idle       *time.Timer // runs while the reader is in the pool
}

type object struct {
	kind string
	body []byte
}

// errMissing says that an object is not in the mirror.
var errMissing = errors.New("object is missing")

// tooBig says that an object is over the bound and was not read.
type tooBig struct{ size int64 }

func (e *tooBig) Error() string { return fmt.Sprintf("object has %d bytes", e.size) }

func newReaders(s *Store) *readers {
	return &readers{store: s, count: map[*Mirror]int{}, idle: map[*Mirror][]*reader{}, changed: make(chan struct{})}
}

// read returns the object named hash, verified against its name. A reader
// that died is replaced once.
func (p *readers) read(m *Mirror, hash string, limit int64) (object, error) {
	for try := 0; ; try++ {
		r, err := p.acquire(m)
		if err != nil {
			return object{}, err
		}
		o, err := r.ask(hash, limit, p.store.limits.ReadTimeout)
		var big *tooBig
		switch {
		case err == nil, errors.Is(err, errMissing):
			p.release(r)
			return o, err
		case errors.As(err, &big):
			p.end(r) // the rest of the object is still on its way
			return object{}, err
		}
		p.end(r)
		var wrong *wrongObject
		if errors.As(err, &wrong) {
			return object{}, m.damaged("%s", wrong)
		}
		if try > 0 {
			err := ended(m.url, Credentials{}.redact(r.stderr.String()), err)
			if IsKind(err, MirrorCorrupt) {
				m.corrupt.Store(true)
			}
			return object{}, err
		}
	}
}

// acquire returns an idle reader of m or starts one.
func (p *readers) acquire(m *Mirror) (*reader, error) {
	deadline := time.NewTimer(p.store.limits.ReadTimeout)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, ErrClosed
		}
		if list := p.idle[m]; len(list) > 0 {
			r := list[len(list)-1]
			p.idle[m] = list[:len(list)-1]
			r.idle.Stop()
			p.mu.Unlock()
			if r.generation == m.generation.Load() {
				return r, nil
			}
			p.end(r)
			continue
		}
		if p.count[m] < p.store.limits.PerMirror {
			if p.live >= p.store.limits.Readers {
				p.evict()
			}
			if p.live < p.store.limits.Readers {
				p.live++
				p.count[m]++
				p.mu.Unlock()
				r, err := p.start(m)
				if err != nil {
					p.forget(m)
				}
				return r, err
			}
		}
		wait := p.changed
		p.mu.Unlock()
		select {
		case <-wait:
		case <-deadline.C:
			return nil, fmt.Errorf("%s: all readers are busy: %w", m.url, context.DeadlineExceeded)
		}
	}
}

// evict ends an idle reader of some mirror. The caller holds p.mu.
func (p *readers) evict() {
	for m, list := range p.idle {
		if len(list) == 0 {
			continue
		}
		r := list[0]
		p.idle[m] = list[1:]
		r.idle.Stop()
		p.uncount(m)
		go r.kill()
		return
	}
}

func (p *readers) start(m *Mirror) (*reader, error) {
	if !exists(m.dir) {
		return nil, m.damaged("it is gone")
	}
	env, err := p.store.environment(URL{}, Credentials{}, m.dir, nil)
	if err != nil {
		return nil, err
	}
	r := &reader{mirror: m, generation: m.generation.Load(), stderr: &tail{limit: maxStderr}}
	r.cmd = exec.Command(p.store.git, "cat-file", "--batch")
	r.cmd.Dir, r.cmd.Env, r.cmd.Stderr = p.store.private, env, r.stderr
	r.cmd.SysProcAttr = processAttributes()
	r.cmd.WaitDelay = 5 * time.Second
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReaderSize(out, 32<<10)
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start git cat-file: %w", err)
	}
	return r, nil
}

// release puts a reader back.
func (p *readers) release(r *reader) {
	p.mu.Lock()
	if p.closed || r.generation != r.mirror.generation.Load() {
		p.mu.Unlock()
		p.end(r)
		return
	}
	r.idle = time.AfterFunc(p.store.limits.ReaderIdle, func() { p.expire(r) })
	p.idle[r.mirror] = append(p.idle[r.mirror], r)
	p.wake()
	p.mu.Unlock()
}

// expire ends a reader that was not used for a while.
func (p *readers) expire(r *reader) {
	p.mu.Lock()
	list := p.idle[r.mirror]
	for i, other := range list {
		if other == r {
			p.idle[r.mirror] = append(list[:i:i], list[i+1:]...)
			p.uncount(r.mirror)
			p.mu.Unlock()
			r.kill()
			return
		}
	}
	p.mu.Unlock() // it is in use again
}

// end kills a reader that was acquired.
func (p *readers) end(r *reader) {
	r.kill()
	p.forget(r.mirror)
}

func (p *readers) forget(m *Mirror) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uncount(m)
}

func (p *readers) uncount(m *Mirror) {
	p.live--
	if p.count[m]--; p.count[m] <= 0 {
		delete(p.count, m)
	}
	if len(p.idle[m]) == 0 {
		delete(p.idle, m)
	}
	p.wake()
}

func (p *readers) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// drop ends the idle readers of a mirror.
func (p *readers) drop(m *Mirror) {
	p.mu.Lock()
	list := p.idle[m]
	delete(p.idle, m)
	for _, r := range list {
		r.idle.Stop()
		p.uncount(m)
	}
	p.mu.Unlock()
	for _, r := range list {
		r.kill()
	}
}

func (p *readers) close() {
	p.mu.Lock()
	p.closed = true
	var mirrors []*Mirror
	for m := range p.idle {
		mirrors = append(mirrors, m)
	}
	p.wake()
	p.mu.Unlock()
	for _, m := range mirrors {
		p.drop(m)
	}
}

func (r *reader) kill() {
	r.in.Close()
	killGroup(r.cmd.Process)
	_ = r.cmd.Wait()
}

// wrongObject says that an object does not have the hash it is named by.
type wrongObject struct{ want, got string }

func (w *wrongObject) Error() string {
	return fmt.Sprintf("the object named %s has the hash %s", w.want, w.got)
}

// ask reads one object. After any error but errMissing the reader is of no
// more use.
func (r *reader) ask(name string, limit int64, timeout time.Duration) (object, error) {
	if !isHash(name) {
		return object{}, errMissing
	}
	watch := time.AfterFunc(timeout, func() { killGroup(r.cmd.Process) })
	defer watch.Stop()
	if _, err := io.WriteString(r.in, name+"\n"); err != nil {
		return object{}, err
	}
	header, err := r.out.ReadSlice('\n')
	if err != nil {
		return object{}, err
	}
	kind, size, err := parseHeader(string(bytes.TrimSuffix(header, []byte("\n"))), name)
	if err != nil {
		return object{}, err
	}
	if size > limit {
		return object{}, &tooBig{size}
	}
	body, err := r.body(size)
	if err != nil {
		return object{}, err
	}
	if got := hashOf(kind, body, len(name)); got != name {
		return object{}, &wrongObject{want: name, got: got}
	}
	return object{kind: kind, body: body}, nil
}

// body reads an object's bytes and the line break after them. The size is the
// mirror's word, so that memory for a large one grows with what really comes.
func (r *reader) body(size int64) ([]byte, error) {
	var b []byte
	if size <= 1<<20 {
		b = make([]byte, size+1)
		if _, err := io.ReadFull(r.out, b); err != nil {
			return nil, err
		}
	} else {
		var err error
		if b, err = io.ReadAll(io.LimitReader(r.out, size+1)); err != nil {
			return nil, err
		}
		if int64(len(b)) != size+1 {
			return nil, io.ErrUnexpectedEOF
		}
	}
	if b[size] != '\n' {
		return nil, errors.New("an object has more bytes than its size")
	}
	return b[:size:size], nil
}

// parseHeader reads "<hash> <type> <size>" or "<hash> missing".
func parseHeader(line, name string) (kind string, size int64, err error) {
	f := strings.Split(line, " ")
	switch {
	case len(f) == 2 && f[0] == name && f[1] == "missing":
		return "", 0, errMissing
	case len(f) != 3 || f[0] != name:
		return "", 0, fmt.Errorf("unexpected answer %.80q about %s", line, name)
	}
	size, err = strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("unexpected answer %.80q about %s", line, name)
	}
	return f[1], size, nil
}

func hashOf(kind string, body []byte, digits int) string {
	var h hash.Hash
	if digits == 64 {
		h = sha256.New()
	} else {
		h = sha1.New()
	}
	fmt.Fprintf(h, "%s %d\x00", kind, len(body))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
