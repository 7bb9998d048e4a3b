// Package gitserver serves Git repositories over smart HTTP from the folder
// they lie in, with the git program and nothing else.
//
// "abide up" uses it for the repository it lets a user clone and push to, and
// tests use it as a real remote. It serves repositories below one folder by
// their relative path, never what a link leads to outside of it, with all
// versions of the protocol. Pushing is refused unless it was allowed. It
// persists nothing of its own. It is made for a laptop and for tests: it
// listens where it is told to, and has one set of credentials for all.
package gitserver

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options configures a [Server].
type Options struct {
	// Root is the folder with the repositories, bare ones or working copies.
	Root    string
	GitPath string // "" finds git in PATH
	// Username and Password, or BearerToken, are asked for when set.
	Username, Password string
	BearerToken        string
	// AllowPush lets clients push; OnPush is called after each push that git
	// accepted, with the path of the repository below Root, before the client
	// has its answer. It must not block for long.
	AllowPush bool
	OnPush    func(repository string)
	Logger    *slog.Logger // nil discards
}

// Server is an [http.Handler] for repositories.
type Server struct {
	options Options
	git     string
	log     *slog.Logger
}

// New returns a Server for the repositories below o.Root, which must exist.
func New(o Options) (*Server, error) {
	if o.GitPath == "" {
		o.GitPath = "git"
	}
	program, err := exec.LookPath(o.GitPath)
	if err != nil {
		return nil, fmt.Errorf("serving repositories needs the git program: %w", err)
	}
	if o.Root, err = filepath.EvalSymlinks(o.Root); err != nil {
		return nil, err
	}
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Server{options: o, git: program, log: o.Logger}, nil
}

// Running is a Server that listens.
type Running struct {
	// URL is the address of the root: a repository is at URL + "/" + its path.
	URL    string
	server *http.Server
	done   chan struct{}
	once   sync.Once
}

// Listen serves on a TCP address ("127.0.0.1:0" picks a free port of
// loopback), over TLS when config is not nil, until Close.
func (s *Server) Listen(address string, config *tls.Config) (*Running, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if config != nil {
		scheme = "https"
		l = tls.NewListener(l, config)
	}
	r := &Running{
		URL:    scheme + "://" + l.Addr().String(),
		server: &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(r.done)
		if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving repositories ended", "error", err)
		}
	}()
	return r, nil
}

// Close ends serving, also of requests that are under way.
func (r *Running) Close() {
	r.once.Do(func() { r.server.Close() })
	<-r.done
}

const (
	upload  = "git-upload-pack"
	receive = "git-receive-pack"
)

// ServeHTTP answers the three requests of the smart protocol
// (gitprotocol-http).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "credentials wanted", http.StatusUnauthorized)
		return
	}
	name, service, advertise := route(r)
	if service == "" {
		http.NotFound(w, r)
		return
	}
	if service == receive && !s.options.AllowPush {
		http.Error(w, "pushing is not allowed here", http.StatusForbidden)
		return
	}
	dir, err := s.find(name)
	if err != nil {
		http.Error(w, "repository not found", http.StatusNotFound)
		return
	}
	if advertise {
		s.advertise(w, r, service, dir)
		return
	}
	s.exchange(w, r, name, service, dir)
}

// route takes the name of the repository and the service from a request; the
// service is "" when it is none that is served.
func route(r *http.Request) (name, service string, advertise bool) {
	p := strings.TrimPrefix(r.URL.Path, "/")
	known := func(s string) string {
		if s == upload || s == receive {
			return s
		}
		return ""
	}
	if n, ok := strings.CutSuffix(p, "/info/refs"); ok {
		if r.Method != http.MethodGet {
			return "", "", false
		}
		return n, known(r.URL.Query().Get("service")), true
	}
	i := strings.LastIndex(p, "/")
	if i < 0 || r.Method != http.MethodPost {
		return "", "", false
	}
	service = known(p[i+1:])
	if r.Header.Get("Content-Type") != "application/x-"+service+"-request" {
		return "", "", false
	}
	return p[:i], service, false
}

func (s *Server) authorized(r *http.Request) bool {
	o := s.options
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	if o.BearerToken != "" && same(r.Header.Get("Authorization"), "Bearer "+o.BearerToken) {
		return true
	}
	if o.Username+o.Password == "" {
		return o.BearerToken == ""
	}
	user, password, _ := r.BasicAuth()
	return same(user, o.Username) && same(password, o.Password)
}

// find returns the Git folder of a repository below the root.
func (s *Server) find(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fs.ErrNotExist
	}
	dir := filepath.Join(s.options.Root, filepath.FromSlash(name))
	for _, try := range []string{dir, filepath.Join(dir, ".git")} {
		if _, err := os.Stat(filepath.Join(try, "HEAD")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(try, "objects")); err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(try)
		if err != nil || !strings.HasPrefix(real, s.options.Root+string(filepath.Separator)) {
			return "", fs.ErrNotExist
		}
		return real, nil
	}
	return "", fs.ErrNotExist
}

// command runs one side of the protocol with none of the user's
// configuration.
func (s *Server) command(ctx context.Context, r *http.Request, service, dir string, extra ...string) *exec.Cmd {
	args := append([]string{
		"-c", "safe.directory=" + dir, "-c", "core.hooksPath=" + os.DevNull,
		"-c", "uploadpack.allowFilter=true", "-c", "receive.denyDeletes=false",
		"-c", "receive.fsckObjects=true", "-c", "gc.auto=0", "-c", "receive.autogc=false",
		strings.TrimPrefix(service, "git-"), "--stateless-rpc",
	}, extra...)
	cmd := exec.CommandContext(ctx, s.git, append(args, dir)...)
	cmd.Dir = s.options.Root
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
	}
	// Only what the protocol has; the header is a client's word.
	if p := r.Header.Get("Git-Protocol"); p == "version=2" || p == "version=1" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+p)
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (s *Server) advertise(w http.ResponseWriter, r *http.Request, service, dir string) {
	out, err := s.command(r.Context(), r, service, dir, "--advertise-refs").Output()
	if err != nil {
		s.failed(r, err)
		http.Error(w, "git cannot read the repository", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	if r.Header.Get("Git-Protocol") != "version=2" || service == receive {
		line := "# service=" + service + "\n"
		fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
	}
	_, _ = w.Write(out)
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request, name, service, dir string) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bufio.NewReader(r.Body))
		if err != nil {
			http.Error(w, "the body is not gzip", http.StatusBadRequest)
			return
		}
		defer z.Close()
		body = z
	}
	cmd := s.command(r.Context(), r, service, dir)
	cmd.Stdin = body
	w.Header().Set("Content-Type", "application/x-"+service+"-result")
	out := &flusher{w: w, c: http.NewResponseController(w)}
	var answer strings.Builder
	cmd.Stdout = out
	if service == receive {
		cmd.Stdout = &answer // small, and the callback comes before it
	}
	if err := cmd.Run(); err != nil {
		s.failed(r, err)
		// Too late for a status when something was written; git at the other
		// end notices that the answer is cut short.
		if !out.wrote && answer.Len() == 0 {
			http.Error(w, "git failed", http.StatusInternalServerError)
			return
		}
		panic(http.ErrAbortHandler)
	}
	if service == receive {
		if s.options.OnPush != nil && strings.Contains(answer.String(), "ok refs/") {
			s.options.OnPush(name)
		}
		_, _ = io.WriteString(out, answer.String())
	}
}

func (s *Server) failed(r *http.Request, err error) {
	detail := ""
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		detail = string(exit.Stderr)
	}
	s.log.Debug("serving a repository", "path", r.URL.Path, "error", err, "detail", detail)
}

// flusher sends each piece at once, so that progress is seen as it is made.
type flusher struct {
	w     io.Writer
	c     *http.ResponseController
	wrote bool
}

func (f *flusher) Write(p []byte) (int, error) {
	f.wrote = true
	n, err := f.w.Write(p)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}
