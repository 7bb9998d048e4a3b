package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"
)

// chainOf is a log of n entries, and its head.
func chainOf(t testing.TB, n int) ([]string, Head) {
	t.Helper()
	var lines []string
	var h Head
	for i := range n {
		line, next, err := h.line(Entry{Kind: KindSync, App: "shop/web", Commit: fmt.Sprint(i), Objects: []Object{{Object: "ConfigMap shop/a", Action: "update"}}}, time.Unix(int64(i), 0), "w")
		if err != nil {
			t.Fatal(err)
		}
		lines, h = append(lines, string(line)), next
	}
	return lines, h
}

func verify(t testing.TB, text string, head *Head, partial bool) Report {
	t.Helper()
	v := NewVerifier(head)
	if err := v.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return v.Report(partial)
}

// TestTamper: a log that was altered in any way is found out, with the line.
func TestTamper(t *testing.T) {
	lines, head := chainOf(t, 8)
	if r := verify(t, strings.Join(lines, ""), &head, false); len(r.Findings) > 0 || r.Lines != 8 || r.Last != head || r.Newer != 0 {
		t.Fatalf("a log as it was written: %+v", r)
	}
	forged := func(seq int64, prev string) string {
		line, _, err := Head{seq - 1, prev}.line(Entry{Kind: KindSync, App: "shop/evil"}, time.Unix(9, 0), "w")
		if err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	prevOf := func(i int) string { return hashOf([]byte(strings.TrimSuffix(lines[i-1], "\n"))) }
	swap := func(i, j int) []string {
		out := append([]string(nil), lines...)
		out[i], out[j] = out[j], out[i]
		return out
	}
	with := func(i int, line string) []string {
		out := append([]string(nil), lines...)
		out[i] = line
		return out
	}
	insert := func(i int, line string) []string {
		return append(append(append([]string(nil), lines[:i]...), line), lines[i:]...)
	}
	for why, row := range map[string]struct {
		lines []string
		want  string
	}{
		"a letter altered":              {with(3, strings.Replace(lines[3], "shop/web", "shop/wob", 1)), "line 5: the one before it (entry 4) was altered"},
		"the first altered":             {with(0, strings.Replace(lines[0], "shop/web", "shop/wob", 1)), "entry 1) was altered"},
		"the last altered":              {with(7, strings.Replace(lines[7], "shop/web", "shop/wob", 1)), "entry 8 is not the one that the cluster knows"},
		"one removed":                   {append(append([]string(nil), lines[:3]...), lines[4:]...), "line 4: after entry 3 comes entry 5: 1 were removed"},
		"the first removed":             {lines[1:], "the lines begin with entry 2"},
		"the last removed":              {lines[:7], "the end is missing: the last entry here is 7, and 8 were written"},
		"all removed":                   {nil, "the end is missing: the last entry here is 0, and 8 were written"},
		"two swapped":                   {swap(2, 3), "line 3: after entry 2 comes entry 4"},
		"one twice":                     {insert(4, lines[3]), "it was moved, or is there twice"},
		"one put there":                 {insert(4, forged(5, prevOf(4))), "line 6: after entry 5 comes entry 5"},
		"one put in the place of other": {with(4, forged(5, prevOf(4))), "line 6: the one before it (entry 5) was altered"},
		"one put at the end":            {append(append([]string(nil), lines[:7]...), forged(8, prevOf(7))), "entry 8 is not the one"},
		"a line of something else":      {insert(4, "hello\n"), "line 5: it is no entry"},
		"cut in the middle of a line":   {append(append([]string(nil), lines[:7]...), lines[7][:20]), "line 8: it is cut off in the middle"},
		"spaces that mean nothing":      {with(3, strings.Replace(lines[3], `,"kind"`, `, "kind"`, 1)), "entry 4) was altered"},
	} {
		r := verify(t, strings.Join(row.lines, ""), &head, false)
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.String())
		}
		if !strings.Contains(strings.Join(all, "\n"), row.want) {
			t.Errorf("%s: %q, want %q", why, all, row.want)
		}
	}
	older := Head{6, hashOf([]byte(strings.TrimSuffix(lines[5], "\n")))}
	if r := verify(t, strings.Join(lines, ""), &older, false); len(r.Findings) > 0 || r.Newer != 2 {
		t.Errorf("lines that are newer than the head: %+v", r)
	}
	if r := verify(t, strings.Join(lines[4:], ""), &head, true); len(r.Findings) > 0 {
		t.Errorf("a part, as asked for: %+v", r)
	}
}

// heads keeps a head in memory; err, if set, is what it says instead.
type heads struct {
	mu   sync.Mutex
	head Head
	err  error
}

func (h *heads) Head(context.Context) (Head, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head, h.err
}

func (h *heads) Move(_ context.Context, old, next Head) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.err != nil:
		return h.err
	case h.head != old:
		return &OtherWriterError{h.head}
	}
	h.head = next
	return nil
}

func (h *heads) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// bubble runs a test whose clock goes on only when all of it waits: nothing in it
// hangs on how fast the machine is. The folder is no part of it.
func bubble(t *testing.T, test func(t *testing.T, dir string)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, dir) })
}

// session runs a Log on a file for as long as f takes, and lets it end.
func session(t *testing.T, path string, h Heads, f func(l *Log)) (log string) {
	t.Helper()
	var text bytes.Buffer
	l := New(Options{Path: path, Heads: h, Now: time.Now, Writer: "w", Log: slog.New(slog.NewTextHandler(&text, nil)), Retry: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	f(l)
	stop()
	<-done
	return text.String()
}

func some(n int) []Entry {
	var out []Entry
	for i := range n {
		out = append(out, Entry{Kind: KindSync, App: fmt.Sprint("shop/", i)})
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// whole wants a log to be as it was written, with a number of lines.
func whole(t *testing.T, why, text string, h *heads, lines int64) {
	t.Helper()
	if r := verify(t, text, &h.head, false); len(r.Findings) > 0 || r.Lines != lines || r.Last != h.head {
		t.Errorf("%s: %+v, the head is %+v\n%s", why, r, h.head, text)
	}
}

// TestGoesOn: a chain goes on over restarts, a crash before the head was stored, one
// in the middle of a line, a file that was moved away, and a change of the writer.
func TestGoesOn(t *testing.T) { bubble(t, goesOn) }

func goesOn(t *testing.T, dir string) {
	path := filepath.Join(dir, "audit.jsonl")
	h := &heads{}
	session(t, path, h, func(l *Log) { l.Append(some(3)...) })
	whole(t, "first", read(t, path), h, 3)
	session(t, path, h, func(l *Log) { l.Append(some(2)...) })
	whole(t, "after a restart", read(t, path), h, 5)

	before := h.head
	session(t, path, h, func(l *Log) { l.Append(some(2)...) })
	h.head = before // as if abide had been killed between the two
	session(t, path, h, func(l *Log) { l.Append(some(1)...) })
	whole(t, "after a crash before the head was stored", read(t, path), h, 8)

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"seq":9,"ti`)
	f.Close()
	session(t, path, h, func(l *Log) { l.Append(some(1)...) })
	whole(t, "after a crash in the middle of a line", read(t, path), h, 9)

	moved := path + ".1"
	session(t, path, h, func(l *Log) {
		l.Append(some(1)...)
		for len(strings.Split(read(t, path), "\n")) < 11 {
			time.Sleep(time.Millisecond)
		}
		if err := os.Rename(path, moved); err != nil {
			t.Error(err)
		}
		l.Append(some(1)...)
	})
	if text := read(t, path); !strings.Contains(text, `"kind":"resumed"`) {
		t.Errorf("the new file does not say that it goes on: %s", text)
	}
	whole(t, "in a new file", read(t, moved)+read(t, path), h, 12)

	other := filepath.Join(dir, "other.jsonl")
	session(t, other, h, func(l *Log) { l.Append(some(2)...) })
	said := session(t, path, h, func(l *Log) { l.Append(some(1)...) }) // and back
	if !strings.Contains(said, "lacks entries") {
		t.Errorf("that the file lacks entries is not said: %s", said)
	}
	text := read(t, path)
	at := strings.LastIndex(text[:strings.LastIndex(text, `"kind":"resumed"`)], "\n") + 1
	whole(t, "with another writer in between", read(t, moved)+text[:at]+read(t, other)+text[at:], h, 17)
}

// TestTampered: a log that was cut or altered while abide was down is gone on with
// loudly, and verifying finds it.
func TestTampered(t *testing.T) {
	for why, change := range map[string]func(string) string{
		"cut":     func(s string) string { return strings.Join(strings.SplitAfter(s, "\n")[:3], "") },
		"altered": func(s string) string { return s[:len(s)-5] + "x" + s[len(s)-4:] },
	} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		h := &heads{}
		session(t, path, h, func(l *Log) { l.Append(some(5)...) })
		if err := os.WriteFile(path, []byte(change(read(t, path))), 0o600); err != nil {
			t.Fatal(err)
		}
		said := session(t, path, h, func(l *Log) { l.Append(some(1)...) })
		if !strings.Contains(said, "audit log") {
			t.Errorf("%s: nothing is said: %s", why, said)
		}
		if r := verify(t, read(t, path), &h.head, false); len(r.Findings) == 0 {
			t.Errorf("%s: nothing is found: %s", why, read(t, path))
		}
	}
}

// TestTwoWriters: one that was left behind by another takes its lines back and
// writes them behind those of the other.
func TestTwoWriters(t *testing.T) { bubble(t, twoWriters) }

func twoWriters(t *testing.T, dir string) {
	h := &heads{}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	session(t, a, h, func(l *Log) {
		l.Append(some(1)...)
		for seq := int64(0); seq < 1; time.Sleep(time.Millisecond) {
			now, _ := h.Head(t.Context())
			seq = now.Seq
		}
		session(t, b, h, func(l *Log) { l.Append(some(2)...) })
		l.Append(some(1)...)
	})
	text := read(t, a)
	at := strings.Index(text, "\n") + 1
	whole(t, "both", text[:at]+read(t, b)+text[at:], h, 6) // two say that they go on
	segments, err := Segments(strings.NewReader(text))
	if err != nil || len(segments) != 2 || segments[0].Length != int64(at) || segments[1].First != 5 {
		t.Errorf("%+v, %v", segments, err)
	}
}

// TestHeadFollows: lines are written at once, and the head moves once for all that
// come within a time; a file that was moved away is known to its end before a new one
// begins.
func TestHeadFollows(t *testing.T) { bubble(t, headFollows) }

func headFollows(t *testing.T, dir string) {
	path := filepath.Join(dir, "audit.jsonl")
	h := &heads{}
	l := New(Options{Path: path, Heads: h, Now: time.Now, Writer: "w", Log: slog.New(slog.DiscardHandler), HeadEvery: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	written := func(file string, n int) {
		t.Helper()
		for {
			b, _ := os.ReadFile(file)
			if bytes.Count(b, []byte("\n")) == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 5 {
		l.Append(some(1)...)
		written(path, i+1)
	}
	if now, _ := h.Head(t.Context()); now.Seq != 0 {
		t.Errorf("the head has moved at once, to %d", now.Seq)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Append(some(1)...)
	written(path, 2) // it says that it goes on
	if now, _ := h.Head(t.Context()); now.Seq != 5 {
		t.Errorf("the head is at %d when the file is left", now.Seq)
	}
	stop()
	<-done
	whole(t, "in the end", read(t, path+".1")+read(t, path), h, 7)
}

// late is a head whose last move, by an abide that was killed since, comes late.
type late struct {
	*heads
	once sync.Once
	then Head
}

func (l *late) Move(ctx context.Context, old, next Head) error {
	l.once.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.head = l.then
	})
	return l.heads.Move(ctx, old, next)
}

// deaf is a head of which the answer to a move is lost.
type deaf struct {
	*heads
	lose int // that many
}

func (d *deaf) Move(ctx context.Context, old, next Head) error {
	err := d.heads.Move(ctx, old, next)
	if d.lose--; err == nil && d.lose >= 0 {
		return errors.New("connection reset")
	}
	return err
}

// TestLostAnswer: a head that was moved by this very process is no other writer's,
// also where more was written since.
func TestLostAnswer(t *testing.T) { bubble(t, lostAnswer) }

func lostAnswer(t *testing.T, dir string) {
	path := filepath.Join(dir, "audit.jsonl")
	h := &heads{}
	said := session(t, path, &deaf{h, 2}, func(l *Log) {
		for n := range int64(3) {
			l.Append(some(2)...)
			for seq := int64(0); seq < 2*(n+1); time.Sleep(time.Millisecond) {
				now, _ := h.Head(t.Context())
				seq = now.Seq
			}
		}
	})
	whole(t, "after answers were lost", read(t, path), h, 6)
	if strings.Contains(said, "another abide") {
		t.Errorf("it takes itself for another one: %s", said)
	}

	// Moved on to a line in between.
	c := &chain{head: Head{3, "c"}, end: 30, unknown: []written{{head: Head{1, "a"}, end: 10}, {head: Head{2, "b"}, end: 20}, {head: Head{3, "c"}, end: 30}}}
	if !c.reached(Head{2, "b"}) || c.settled != 20 || len(c.unknown) != 1 || c.known != (Head{2, "b"}) {
		t.Errorf("%+v", c)
	}
	if c.reached(Head{2, "x"}) {
		t.Error("another's is taken for this one's")
	}
}

// TestLateWord: nothing is lost when the head is moved by an abide that is dead.
func TestLateWord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	h := &heads{}
	session(t, path, h, func(l *Log) { l.Append(some(3)...) })
	before := h.head
	session(t, path, h, func(l *Log) { l.Append(some(2)...) })
	after := h.head
	h.head = before
	session(t, path, &late{heads: h, then: after}, func(l *Log) { l.Append(some(1)...) })
	whole(t, "after a late word", read(t, path), h, 6)
}

// TestTrouble: what can't be written is kept and tried again, in order and once; too
// much of it leaves a gap that says so.
func TestTrouble(t *testing.T) { bubble(t, trouble) }

func trouble(t *testing.T, dir string) {
	path := filepath.Join(dir, "missing", "audit.jsonl")
	h := &heads{}
	session(t, path, h, func(l *Log) {
		l.Append(some(2)...)
		time.Sleep(5 * time.Millisecond)
		l.Append(some(MaxBehind)...)
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Error(err)
		}
	})
	text := read(t, path)
	whole(t, "a folder that is missing at first", text, h, MaxBehind+1)
	if !strings.Contains(text, `"kind":"gap"`) || !strings.Contains(text, `"lost":2`) {
		t.Error("what was lost is not said")
	}

	session(t, path, h, func(l *Log) {
		h.fail(errors.New("the API server is down"))
		l.Append(some(3)...)
		time.Sleep(5 * time.Millisecond)
		h.fail(nil)
	})
	whole(t, "an API server that is down", read(t, path), h, MaxBehind+4)
}

// TestHeadRemoved: a chain is never begun anew, whatever became of its head.
func TestHeadRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	h := &heads{}
	session(t, path, h, func(l *Log) { l.Append(some(4)...) })
	lines := strings.SplitAfter(read(t, path), "\n")
	if err := os.WriteFile(path, []byte(strings.Join(lines[2:], "")), 0o600); err != nil { // as after a rotation
		t.Fatal(err)
	}
	h.head = Head{}
	if said := session(t, path, h, func(l *Log) { l.Append(some(1)...) }); !strings.Contains(said, "without its head") {
		t.Errorf("that the head is gone is not said: %s", said)
	}
	whole(t, "without the head", lines[0]+lines[1]+read(t, path), h, 6)
}

// TestLongLine: what somebody put into a file does not have anything else cut off.
func TestLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	h := &heads{}
	session(t, path, h, func(l *Log) { l.Append(some(2)...) })
	long := strings.Repeat("x", 2*maxLine)
	text := long + "\n" + read(t, path)
	if err := os.WriteFile(path, []byte(text+`{"seq":3,"ti`), 0o600); err != nil {
		t.Fatal(err)
	}
	session(t, path, h, func(l *Log) { l.Append(some(1)...) })
	if got := read(t, path); !strings.HasPrefix(got, text) {
		t.Errorf("of %d bytes %d are left", len(text), len(got))
	}
}

// TestFewHeads: of many changes each has its line, and not its own write of the head.
func TestFewHeads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl") // before the bubble: it is no part of it
	synctest.Test(t, func(t *testing.T) {
		h := &counted{}
		l := New(Options{Path: path, Heads: h, Now: time.Now, Writer: "w", Log: slog.New(slog.DiscardHandler), HeadEvery: 100 * time.Millisecond})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 1000 {
					l.Append(some(1)...)
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		stop()
		<-done
		whole(t, "ten thousand changes", read(t, path), &h.heads, 10_000)
		if h.moves > 40 { // ten times a second, and once for each thousand
			t.Errorf("in a second the head was moved %d times", h.moves)
		}
	})
}

// counted counts how often a head is moved.
type counted struct {
	heads
	moves int
}

func (c *counted) Move(ctx context.Context, old, next Head) error {
	c.moves++
	return c.heads.Move(ctx, old, next)
}

// TestQuiet: a log that nothing is appended to sends nothing.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heads{err: errors.New("it was asked")}
		said := session(t, filepath.Join(t.TempDir(), "a"), h, func(*Log) { time.Sleep(time.Hour) })
		if said != "" {
			t.Error(said)
		}
	})
}

// TestConfigMap: a head is kept, and moved only from where it was.
func TestConfigMap(t *testing.T) {
	clients := fake.NewClientset()
	c, b := &ConfigMap{Client: clients, Namespace: "abide-system"}, &ConfigMap{Client: clients, Namespace: "abide-system"}
	one, two := Head{1, strings.Repeat("a", 64)}, Head{2, strings.Repeat("b", 64)}
	if h, err := c.Head(t.Context()); err != nil || h != (Head{}) {
		t.Fatalf("%v, %v", h, err)
	}
	if err := errors.Join(c.Move(t.Context(), Head{}, one), b.Move(t.Context(), one, two)); err != nil {
		t.Fatal(err)
	}
	var other *OtherWriterError
	if err := b.Move(t.Context(), one, Head{3, two.Hash}); !errors.As(err, &other) || other.Now != two {
		t.Errorf("%v", err)
	}
	if h, err := c.Head(t.Context()); err != nil || h != two {
		t.Errorf("%v, %v", h, err)
	}
}

// FuzzVerify: whatever a file holds, verifying ends, and finds fault with all but a
// chain.
func FuzzVerify(f *testing.F) {
	lines, head := chainOf(f, 4)
	f.Add(strings.Join(lines, ""))
	f.Add(lines[0] + "\n" + lines[1][:9])
	f.Fuzz(func(t *testing.T, text string) {
		r := verify(t, text, &head, false)
		if len(r.Findings) == 0 && !strings.HasPrefix(text, strings.TrimSuffix(strings.Join(lines, ""), "\n")) {
			t.Errorf("nothing is found wrong with %q", text)
		}
		if _, err := Segments(io.LimitReader(strings.NewReader(text), 1<<20)); err != nil {
			t.Error(err)
		}
	})
}
