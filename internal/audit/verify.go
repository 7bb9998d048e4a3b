package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line, in bytes.
const maxLine = 4 << 20

// Finding is something that is wrong with a chain.
type Finding struct {
	// Line counts the lines of all files together, from 1; 0 for what is not there.
	Line int64
	// What is wrong, in words.
	What string
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.What
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.What)
}

// Report is what verifying a chain came to.
type Report struct {
	Lines    int64
	First    int64 // seq of the first line, 0 if there is none
	Last     Head
	Newer    int64 // lines that are newer than the head
	Findings []Finding
}

// maxFindings bounds a report: one bad line can make many.
const maxFindings = 100

// Verifier reads a chain line by line.
type Verifier struct {
	report Report
	kind   Kind // of the first line
	head   *Head
	hadAt  string // hash of the line with the seq of the head
	broken bool   // the line before could not be read, so that nothing is said of prev
}

// NewVerifier returns one for a chain whose head is head, or not known (nil).
func NewVerifier(head *Head) *Verifier { return &Verifier{head: head} }

func (v *Verifier) find(format string, args ...any) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{v.report.Lines, fmt.Sprintf(format, args...)})
	}
}

// Read takes the lines of a file. Files are read in the order in which they were
// written. An error is one of reading; what is wrong with lines is in the report.
func (v *Verifier) Read(r io.Reader) error {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, n, err := measured(b)
		long := n > maxLine
		if long {
			line = line[:maxLine]
		}
		if n > 0 {
			v.take(bytes.TrimSuffix(line, []byte("\n")), err == nil && !long)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// take looks at one line.
func (v *Verifier) take(line []byte, whole bool) {
	r := &v.report
	r.Lines++
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&e); err != nil || e.Seq < 1 || d.More() {
		what := "it is no entry, so it was altered or put there"
		if !whole {
			what = "it is cut off in the middle: abide was killed while it wrote it, or somebody cut the file"
		}
		v.find("%s", what)
		v.broken = true
		return
	}
	hash := hashOf(line)
	switch {
	case r.First == 0:
		r.First, v.kind = e.Seq, e.Kind
		if e.Seq == 1 && e.Prev != "" {
			v.find("it says to be the first one, and names one before it")
		}
	case e.Seq == r.Last.Seq+1 && e.Prev == r.Last.Hash, v.broken && e.Seq == r.Last.Seq+2:
	case e.Seq == r.Last.Seq+1 && !v.broken:
		v.find("the one before it (entry %d) was altered, or this one (entry %d) was put there", r.Last.Seq, e.Seq)
	case e.Seq > r.Last.Seq+1:
		v.find("after entry %d comes entry %d: %d were removed or moved elsewhere", r.Last.Seq, e.Seq, e.Seq-r.Last.Seq-1)
	default:
		v.find("after entry %d comes entry %d: it was moved, or is there twice", r.Last.Seq, e.Seq)
	}
	v.broken = false
	if v.head != nil && e.Seq == v.head.Seq {
		v.hadAt = hash
	}
	r.Last = Head{e.Seq, hash}
}

// Report says what came of it. With partial, it is fine for the lines to begin in
// the middle of the chain.
func (v *Verifier) Report(partial bool) Report {
	r := v.report
	add := func(line int64, format string, args ...any) {
		r.Findings = append(r.Findings, Finding{line, fmt.Sprintf(format, args...)})
	}
	if r.First > 1 && !partial {
		what := "those before were removed, or are in another file: give that one before"
		if v.kind == KindResumed {
			what = "it goes on where another file ends: give that one before"
		}
		add(1, "the lines begin with entry %d, and %s (or allow that with --partial)", r.First, what)
	}
	if v.broken {
		return r // its end can't be told, and that is said
	}
	switch h := v.head; {
	case h == nil:
	case h.Seq > r.Last.Seq:
		add(0, "the end is missing: the last entry here is %d, and %d were written", r.Last.Seq, h.Seq)
	case h.Seq == 0, h.Seq < r.First:
		r.Newer = r.Last.Seq - h.Seq
	case v.hadAt != h.Hash:
		add(0, "entry %d is not the one that the cluster knows: it was altered, or the files are of another installation", h.Seq)
	default:
		r.Newer = r.Last.Seq - h.Seq
	}
	return r
}

// Segment is a part of a file, up to where the chain goes on elsewhere.
type Segment struct {
	Offset, Length int64
	First          int64 // seq of its first line, 0 if that can't be read
}

// Segments cuts a file where the chain was resumed.
func Segments(r io.Reader) ([]Segment, error) {
	var out []Segment
	b := bufio.NewReaderSize(r, 64<<10)
	var at int64
	for {
		line, n, err := measured(b)
		if n > 0 {
			var e Entry
			bad := json.Unmarshal(line, &e) != nil
			if len(out) == 0 || !bad && e.Kind == KindResumed {
				out = append(out, Segment{Offset: at, First: e.Seq})
			}
			out[len(out)-1].Length += n
			at += n
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// measured reads a line and says how long it is; of one that is too long no more
// than the bound.
func measured(b *bufio.Reader) (line []byte, n int64, err error) {
	for {
		part, err := b.ReadSlice('\n')
		n += int64(len(part))
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, n, err
		}
	}
}
