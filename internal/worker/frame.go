package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"abide.dev/abide/internal/worker/wire"
)

// Two processes talk in frames: the length of what follows in four bytes, what
// it is in one, and the message. Each side says how long a frame of each type
// may be, and makes no room for one before its bytes arrive.

// frameType tells what is in a frame.
type frameType byte

const (
	typeHello   frameType = iota + 1 // child: it is bounded and ready
	typeRequest                      // parent: render this
	typeAsk                          // child: a question about the tree
	typeAnswer                       // parent
	typeDone                         // child: the result
)

func (t frameType) String() string {
	names := [...]string{typeHello: "hello", typeRequest: "request", typeAsk: "question", typeAnswer: "answer", typeDone: "result"}
	if t == 0 || int(t) >= len(names) {
		return fmt.Sprintf("message of type %d", byte(t))
	}
	return names[t]
}

// frameLimits is how many bytes a message may have, by what may come.
type frameLimits map[frameType]int64

const (
	maxRequest = 32 << 20
	maxAnswer  = 96 << 20 // the largest file that a tree gives, and some
	maxDone    = 64 << 20
)

var (
	fromParent = frameLimits{typeRequest: maxRequest, typeAnswer: maxAnswer}
	fromChild  = frameLimits{typeHello: 4 << 10, typeAsk: 1 << 20, typeDone: maxDone}
)

// A protocolError says that the other side does not keep to the protocol.
type protocolError struct{ problem string }

func (e *protocolError) Error() string { return e.problem }

func broken(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}

const headSize = 5

// chunk is how much room is made at a time for a frame that is arriving.
const chunk = 1 << 20

// readHead reads what comes, and how long it is. At the end of the stream the
// error is io.EOF.
func readHead(r io.Reader, limits frameLimits) (frameType, int64, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	t, n := frameType(head[4]), int64(binary.LittleEndian.Uint32(head[:]))
	most, known := limits[t]
	if !known {
		return 0, 0, broken("it sent a %s, which is not its turn to", t)
	}
	if n > most {
		return 0, 0, broken("it sent a %s of %d bytes, and at most %d are taken", t, n, most)
	}
	return t, n, nil
}

// readBody reads n bytes.
func readBody(r io.Reader, n int64) ([]byte, error) {
	b := make([]byte, 0, min(n, chunk))
	for int64(len(b)) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*int64(cap(b)))), b...)
		}
		got, err := io.ReadFull(r, b[len(b):cap(b)])
		b = b[:len(b)+got]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}

// readFrame reads one frame.
func readFrame(r io.Reader, limits frameLimits) (frameType, []byte, error) {
	t, n, err := readHead(r, limits)
	if err != nil {
		return 0, nil, err
	}
	b, err := readBody(r, n)
	return t, b, err
}

// A tooLongError says that a message is longer than the other side takes.
type tooLongError struct {
	what        frameType
	size, limit int64
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("the %s has %d bytes, and at most %d are sent", e.what, e.size, e.limit)
}

// frame makes a frame of a message.
func frame(t frameType, message any, limits frameLimits) ([]byte, error) {
	b, err := wire.Append(make([]byte, headSize, 512), message)
	if err != nil {
		return nil, err
	}
	n := int64(len(b) - headSize)
	if most := limits[t]; n > most {
		return nil, &tooLongError{t, n, most}
	}
	binary.LittleEndian.PutUint32(b, uint32(n))
	b[4] = byte(t)
	return b, nil
}
