package git

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"abide.dev/abide/internal/source/git/gate"
	"abide.dev/abide/internal/source/git/sshclient"
)

const maxStderr = 16 << 10

// call is one run of git.
type call struct {
	args    []string
	gitDir  string // "" for none
	url     URL    // zero for work inside a mirror
	creds   Credentials
	timeout time.Duration
	stdin   string
	// read takes standard output; nil discards it. The process is killed when
	// it returns an error.
	read func(io.Reader) error
}

// failure is a git process that did not succeed. classify turns it into an
// [Error].
type failure struct {
	stderr   string // redacted
	timedOut bool
	dial     error // why it did not get a connection, nil if that is not known
	err      error
}

func (f *failure) Error() string {
	if line := lastLine(f.stderr); line != "" {
		return line
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// run executes git. An error is the context's, one of read's, or a *failure.
func (s *Store) run(ctx context.Context, c call) error {
	way, err := s.way(ctx, c)
	if err != nil {
		return &failure{dial: err, err: err}
	}
	if way != nil {
		defer way.Close()
	}
	env, err := s.environment(c.url, c.creds, c.gitDir, way)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, s.git, c.args...)
	cmd.Dir = s.private
	cmd.Env = env
	cmd.SysProcAttr = processAttributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = 5 * time.Second
	stderr := &tail{limit: maxStderr}
	cmd.Stderr = stderr
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	var readErr error
	if c.read != nil {
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := s.start(cmd, c); err != nil {
			return err
		}
		if readErr = c.read(out); readErr != nil {
			cancel()
		}
		_, _ = io.Copy(io.Discard, out)
	} else if err := s.start(cmd, c); err != nil {
		return err
	}
	err = cmd.Wait()
	killGroup(cmd.Process) // what git left behind, such as a transport helper
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case readErr != nil:
		return readErr
	case err != nil:
		f := &failure{
			stderr:   c.creds.redact(stderr.String()),
			timedOut: errors.Is(limited.Err(), context.DeadlineExceeded),
			err:      err,
		}
		if way != nil {
			f.dial = way.Err()
		}
		return f
	}
	return nil
}

// way judges the host of a process as far as that goes before it connects, and
// opens the gate for one that does so over HTTP. Through a proxy of its own it
// needs no gate; SSH is abide's own program, which judges the address itself.
func (s *Store) way(ctx context.Context, c call) (*gate.Pass, error) {
	if c.url.host == "" {
		return nil, nil
	}
	if err := s.guard.CheckHost(c.url.Hostname()); err != nil {
		return nil, err
	}
	if c.url.scheme == "ssh" || c.creds.Proxy != "" {
		return nil, nil
	}
	return s.gate.Open(ctx, c.url.Hostname(), c.url.port()), nil
}

// start starts cmd and, for SSH, hands it the key through a pipe that only
// its own processes have.
func (s *Store) start(cmd *exec.Cmd, c call) error {
	if c.url.scheme != "ssh" {
		return cmd.Start()
	}
	config, err := json.Marshal(sshclient.Config{
		Host: c.url.host, Key: c.creds.SSHKey, Passphrase: c.creds.SSHPassphrase, KnownHosts: c.creds.KnownHosts,
		AllowAddresses: s.allow, Stall: s.limits.StallTimeout,
	})
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{r}
	cmd.Env = append(cmd.Env, sshclient.ConfigVariable+"=3")
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	// The write ends when it was read or when the last reader died.
	go func() {
		_, _ = w.Write(config)
		w.Close()
	}()
	return nil
}

func killGroup(p *os.Process) error {
	if p == nil {
		return os.ErrProcessDone
	}
	if err := syscall.Kill(-p.Pid, syscall.SIGKILL); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	return nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
