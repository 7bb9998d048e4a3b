package cli

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"abide.dev/abide/api/v1alpha1"
)

// terminal opens a pseudo-terminal: what is written to the person's end is read
// from the program's.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestColourOnATerminal(t *testing.T) {
	_, tty := terminal(t)
	for _, tt := range []struct {
		noColour, term string
		want           bool
	}{
		{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false},
	} {
		t.Setenv("NO_COLOR", tt.noColour)
		t.Setenv("TERM", tt.term)
		if got := styleOf(tty).on; got != tt.want {
			t.Errorf("NO_COLOR=%q TERM=%q: colour is %v", tt.noColour, tt.term, got)
		}
	}
}

// Only a yes approves.
func TestApproveAsks(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", waits)
	answer := func(text string) (int, string) {
		person, tty := terminal(t)
		if _, err := person.WriteString(text + "\n"); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := Main([]string{"abide", "approve", "web", "-n", w.ns, "--kubeconfig", w.Kubeconfig}, Streams{In: tty, Out: &out, Err: &errs})
		return code, out.String() + errs.String()
	}
	if code, text := answer(""); code != 1 {
		t.Errorf("an empty answer ends in %d: %s", code, text)
	}
	var l v1alpha1.ApprovalList
	if err := w.List(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	for i := range l.Items {
		if l.Items[i].Namespace == w.ns {
			t.Error("it was approved")
		}
	}
	if code, text := answer("y"); code != 0 {
		t.Errorf("a yes ends in %d: %s", code, text)
	}
}
