package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"abide.dev/abide/internal/object"
)

// MaxBehind is how many entries are kept in memory that can't be written.
const MaxBehind = 10_000

// maxBatch is how many entries are written before the head is.
const maxBatch = 1000

// Heads keeps the head of the chain.
type Heads interface {
	// Head returns the head; the zero one if there is none yet.
	Head(ctx context.Context) (Head, error)
	// Move puts next in the place of old. The error is an [*OtherWriterError] if the
	// head is not old any more.
	Move(ctx context.Context, old, next Head) error
}

// OtherWriterError says that another abide has written entries.
type OtherWriterError struct{ Now Head }

func (e *OtherWriterError) Error() string {
	return fmt.Sprintf("another abide has written to the audit log: its head is at entry %d", e.Now.Seq)
}

// Options are what a Log depends on.
type Options struct {
	// Path of the file, or "-" for Stdout.
	Path   string
	Stdout io.Writer
	Heads  Heads
	Now    func() time.Time
	// Writer names this process in the lines.
	Writer string
	Log    *slog.Logger
	// HeadEvery is how long lines may be newer than the head; for a moment only, if
	// it is zero.
	HeadEvery time.Duration
	// Retry is how long to wait after something went wrong; a second if zero.
	Retry time.Duration
}

// Log writes entries. It is safe for concurrent use.
type Log struct {
	o      Options
	signal chan struct{}

	mu     sync.Mutex
	behind []Entry
	lost   int64
}

// New returns a Log, which writes once it runs.
func New(o Options) *Log {
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	return &Log{o: o, signal: make(chan struct{}, 1)}
}

// Append has entries written soon, in order. It does not block.
func (l *Log) Append(entries ...Entry) {
	if len(entries) == 0 {
		return
	}
	at := stamp(l.o.Now())
	l.mu.Lock()
	for _, e := range entries {
		if len(l.behind) >= MaxBehind {
			l.lost++
			continue
		}
		e.Time = at
		l.behind = append(l.behind, e)
	}
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// chain is where the writing stands.
type chain struct {
	file  *os.File // nil for stdout
	head  Head     // of the last line written
	known Head     // that the API has
	// unknown are the entries that were written here and that the API does not know
	// of. The file was settled bytes long before them, and is written up to end.
	unknown      []written
	settled, end int64
}

// written is an entry in the file, the head it came to, and where it ends.
type written struct {
	Entry
	head Head
	end  int64
}

// reached notes that the API knows of the chain up to a head, and returns false if
// that is none of this process.
func (c *chain) reached(h Head) bool {
	if h == c.head {
		c.known, c.unknown, c.settled = c.head, nil, c.end
		return true
	}
	i := slices.IndexFunc(c.unknown, func(w written) bool { return w.head == h })
	if i < 0 {
		return false
	}
	c.known, c.settled, c.unknown = h, c.unknown[i].end, c.unknown[i+1:]
	return true
}

// Run writes until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) error {
	var c *chain
	defer func() {
		if c != nil {
			l.close(&c)
		}
	}()
	var due <-chan time.Time // when the head has to be moved
	for {
		all := false
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := l.work(last, &c, true); err != nil {
				l.o.Log.Error("entries of the audit log are lost, since abide ends and they can't be written", "error", err)
			}
			return nil
		case <-due:
			due, all = nil, true
		case <-l.signal:
		}
		l.persist(ctx, &c, all)
		if due == nil && c != nil && c.head != c.known {
			due = time.After(l.o.HeadEvery)
		}
	}
}

// persist works until that succeeds, or ctx ends.
func (l *Log) persist(ctx context.Context, c **chain, all bool) {
	for {
		err := l.work(ctx, c, all)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.o.Log.Error("the audit log can't be written; what is to be written is kept, and tried again", "entries", l.length(), "file", l.o.Path, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(l.o.Retry):
		}
	}
}

func (l *Log) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.behind)
}

// work writes all that is to be written, and with all moves the head to its end.
func (l *Log) work(ctx context.Context, c **chain, all bool) error {
	for {
		batch, lost := l.next()
		behind := *c != nil && (*c).head != (*c).known
		switch {
		case len(batch) == 0 && lost == 0 && !(behind && (all || l.o.HeadEvery == 0)):
			return nil
		case behind && (len(batch) == 0 && lost == 0 || len((*c).unknown) >= maxBatch || l.moved(*c)):
			// Before a file is left, the cluster has to know of its end.
			if err := l.moveHead(ctx, c); err != nil {
				return err
			}
			continue
		case *c == nil || l.moved(*c):
			if err := l.open(ctx, c); err != nil {
				return err
			}
		}
		if err := l.write(*c, batch, lost); err != nil {
			l.close(c) // what of it is there is found out when it is opened again
			return err
		}
		l.done(len(batch), lost)
	}
}

// moveHead tells the cluster of the end of the chain.
func (l *Log) moveHead(ctx context.Context, c **chain) error {
	err := l.o.Heads.Move(ctx, (*c).known, (*c).head)
	if other := (*OtherWriterError)(nil); errors.As(err, &other) {
		if (*c).reached(other.Now) { // by a move whose answer was lost
			return nil
		}
		l.o.Log.Warn("the audit log goes on from what another abide has written", "error", err)
		err := l.takeBack(*c)
		if err == nil {
			l.close(c)
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("storing the head of the audit log: %w", err)
	}
	(*c).reached((*c).head)
	return nil
}

// next is what to write, which stays where it is until it is written.
func (l *Log) next() (batch []Entry, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind[:min(len(l.behind), maxBatch)], l.lost
}

func (l *Log) done(n int, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = append([]Entry(nil), l.behind[n:]...)
	l.lost -= lost
}

// takeBack takes lines of this process out of the file that are no part of the
// chain, since another one went on from where they did. They are written again. What
// was in the file before stays: the other one may be an abide that was killed, whose
// last word came late.
func (l *Log) takeBack(c *chain) error {
	if c.file != nil {
		if err := c.file.Truncate(c.settled); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var again []Entry
	for _, w := range c.unknown {
		if w.Kind != KindResumed { // which is said anew
			again = append(again, w.Entry)
		}
	}
	l.behind = append(again, l.behind...)
	c.unknown = nil
	return nil
}

func (l *Log) close(c **chain) {
	if (*c).file != nil {
		(*c).file.Close()
	}
	*c = nil
}

// moved tells whether somebody has moved the file away.
func (l *Log) moved(c *chain) bool {
	if c.file == nil {
		return false
	}
	here, err := os.Stat(l.o.Path)
	if err != nil {
		return true
	}
	mine, err := c.file.Stat()
	return err != nil || !os.SameFile(here, mine)
}

// write writes entries, and syncs them to disk.
func (l *Log) write(c *chain, batch []Entry, lost int64) error {
	var b bytes.Buffer
	var lines []written
	head := c.head
	if lost > 0 {
		batch = append([]Entry{{Kind: KindGap, Lost: lost, Message: "entries were lost: they could not be written for too long"}}, batch...)
	}
	for _, e := range batch {
		line, next, err := head.line(e, l.o.Now(), l.o.Writer)
		if err != nil {
			return err
		}
		b.Write(line)
		head = next
		lines = append(lines, written{e, head, int64(b.Len())})
	}
	if c.file == nil {
		_, err := l.o.Stdout.Write(b.Bytes())
		c.head = head
		return err
	}
	before, err := c.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = c.file.Write(b.Bytes())
	}
	if err == nil {
		err = c.file.Sync()
	}
	if err != nil {
		c.file.Truncate(before) // half a line would break the chain
		return err
	}
	c.head, c.end = head, before+int64(b.Len())
	for _, w := range lines {
		w.end += before
		c.unknown = append(c.unknown, w)
	}
	return nil
}

// open finds out where the chain goes on.
func (l *Log) open(ctx context.Context, c **chain) error {
	if *c != nil {
		l.close(c)
	}
	head, err := l.o.Heads.Head(ctx)
	if err != nil {
		return fmt.Errorf("reading the head of the audit log: %w", err)
	}
	now := &chain{head: head, known: head}
	var resumed *Entry
	if l.o.Path == "-" {
		if head.Seq > 0 {
			resumed = &Entry{Kind: KindResumed, Message: "on standard output"}
		}
	} else if resumed, err = l.openFile(now); err != nil {
		return err
	}
	if resumed != nil {
		if err := l.write(now, []Entry{*resumed}, 0); err != nil {
			if now.file != nil {
				now.file.Close()
			}
			return err
		}
	}
	*c = now
	return nil
}

// openFile opens the file at its end, and says what to write there first if it
// does not end with the head.
func (l *Log) openFile(c *chain) (resumed *Entry, err error) {
	f, err := os.OpenFile(l.o.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	found, err := scan(f, c.known)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	c.file = f
	if c.end, err = f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	c.settled = c.end
	switch {
	case found.follows: // at the head, or beyond it
		c.head = found.last
		return nil, nil
	case found.lines == 0 && c.known.Seq == 0:
		return nil, nil
	}
	e := Entry{Kind: KindResumed}
	if c.known.Seq == 0 && found.last.Seq > 0 {
		// A chain is never begun anew.
		c.head = found.last
		e.Message = "the head in the cluster is gone, so that a tail that was cut can't be told"
		l.o.Log.Error("the audit log goes on without its head, which somebody has removed from the cluster: compare it with a copy", "file", l.o.Path, "entry", found.last.Seq)
		return &e, nil
	}
	switch last := found.last.Seq; {
	case found.lines == 0:
		e.Message = fmt.Sprintf("in a new file; the entries up to %d are in another one", c.known.Seq)
	case last < c.known.Seq:
		e.Lost = c.known.Seq - last
		e.Message = fmt.Sprintf("the file ends with entry %d, and %d were written: the rest is in another file, or was cut off", last, c.known.Seq)
		l.o.Log.Warn("the audit log lacks entries: they are in another file, or were cut off", "file", l.o.Path, "ends", last, "written", c.known.Seq)
	default:
		e.Message = fmt.Sprintf("the file does not lead to entry %d as it was written: it was altered, or is of another installation", c.known.Seq)
		l.o.Log.Error("the audit log was altered, or is of another installation: abide audit verify says where", "file", l.o.Path, "entry", c.known.Seq)
	}
	return &e, nil
}

// found is what there is in a file.
type found struct {
	lines   int64
	last    Head
	follows bool // the file leads to the head, and the chain from there to its end
}

// scan reads a file for the head of the chain. It cuts off half a line at the end,
// which a crash leaves.
func scan(f *os.File, head Head) (found, error) {
	var out found
	b := bufio.NewReaderSize(f, 64<<10)
	var at int64
	reached := head.Seq == 0
	for {
		line, n, err := measured(b)
		if errors.Is(err, io.EOF) {
			if n > 0 {
				if err := f.Truncate(at); err != nil {
					return out, err
				}
			}
			out.follows = reached && out.lines > 0
			return out, nil
		}
		if err != nil {
			return out, err
		}
		at += n
		out.lines++
		text := bytes.TrimSuffix(line, []byte("\n"))
		var e Entry
		if json.Unmarshal(text, &e) != nil {
			reached = false
			continue
		}
		hash := hashOf(text)
		switch {
		case reached && out.lines > 1 && (e.Seq != out.last.Seq+1 || e.Prev != out.last.Hash):
			reached = false
		case reached && out.lines == 1 && (e.Seq != 1 || e.Prev != ""):
			reached = false
		case !reached && e.Seq == head.Seq && hash == head.Hash:
			reached = true
		}
		out.last = Head{e.Seq, hash}
	}
}

// Writer names this process in lines.
func Writer() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return object.Shorten(fmt.Sprintf("%s/%d", host, os.Getpid()))
}
