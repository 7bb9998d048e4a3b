package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"abide.dev/abide/internal/source/dialguard"
	"abide.dev/abide/internal/source/git/gate"
)

// Options configures a [Store].
type Options struct {
	// Dir is the cache; made when missing. One Store at a time may use it.
	Dir string
	// GitPath is the git program; "" finds it in PATH.
	GitPath string
	// SelfExe is a program that calls [Helper] first; "" is the running one.
	// Only SSH needs it.
	SelfExe string
	// AllowLocal allows file URLs and absolute paths, which let whoever names
	// a URL read this machine's repositories.
	AllowLocal bool
	// AllowAddresses are addresses that may be fetched from although package
	// dialguard keeps them for the machine itself, or its own network segment.
	AllowAddresses []netip.Prefix
	Logger         *slog.Logger // nil discards
	Limits         Limits
}

// Limits bounds what a Store uses; a zero field has the default.
type Limits struct {
	ListTimeout  time.Duration // of one ls-remote, 30 s
	FetchTimeout time.Duration // of one fetch, 10 min
	StallTimeout time.Duration // of a connection on which nothing comes, 1 min; in whole seconds
	ReadTimeout  time.Duration // of one object, 1 min
	MaxFile      int64         // bytes of one blob, 32 MiB
	MaxTree      int64         // bytes of one tree or commit object, 32 MiB
	MaxMirror    int64         // bytes of one mirror's objects, 20 GiB
	CacheBytes   int64         // of parsed trees and small blobs, 48 MiB
	Readers      int           // cat-file processes of all mirrors, 8
	PerMirror    int           // cat-file processes of one mirror, 2
	ReaderIdle   time.Duration // after which an unused one ends, 1 min
}

func (l Limits) withDefaults() Limits {
	def(&l.ListTimeout, 30*time.Second)
	def(&l.FetchTimeout, 10*time.Minute)
	def(&l.StallTimeout, time.Minute)
	def(&l.ReadTimeout, time.Minute)
	def(&l.MaxFile, 32<<20)
	def(&l.MaxTree, 32<<20)
	def(&l.MaxMirror, 20<<30)
	def(&l.CacheBytes, 48<<20)
	def(&l.Readers, 8)
	def(&l.PerMirror, 2)
	def(&l.ReaderIdle, time.Minute)
	return l
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store keeps the mirrors. It is safe for concurrent use.
type Store struct {
	git        string
	sshProgram string
	mirrorsDir string
	private    string
	allowLocal bool
	log        *slog.Logger
	limits     Limits
	started    time.Time
	readers    *readers
	cache      *objectCache
	allow      []netip.Prefix
	guard      *dialguard.Guard
	gate       *gate.Gate

	life        context.Context // ends with Close, for maintenance
	end         context.CancelFunc
	background  sync.WaitGroup
	maintaining chan struct{} // one maintenance at a time

	mu      sync.Mutex
	mirrors map[string]*Mirror
	closed  bool
}

// ErrClosed is returned after [Store.Close].
var ErrClosed = errors.New("the Git store is closed")

// New opens the cache at o.Dir, which no other Store may be using.
func New(o Options) (*Store, error) {
	if o.GitPath == "" {
		o.GitPath = "git"
	}
	program, err := exec.LookPath(o.GitPath)
	if err != nil {
		return nil, fmt.Errorf("abide needs the git program: %w", err)
	}
	if o.SelfExe == "" {
		if o.SelfExe, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find abide's own program: %w", err)
		}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Store{
		git:         program,
		mirrorsDir:  filepath.Join(dir, "mirrors"),
		private:     filepath.Join(dir, "private"),
		allowLocal:  o.AllowLocal,
		allow:       o.AllowAddresses,
		guard:       dialguard.New(dialguard.Options{Allow: o.AllowAddresses, Timeout: dialTimeout}),
		log:         o.Logger,
		limits:      o.Limits.withDefaults(),
		started:     time.Now(),
		mirrors:     map[string]*Mirror{},
		maintaining: make(chan struct{}, 1),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.cache = newObjectCache(s.limits.CacheBytes)
	s.readers = newReaders(s)
	if err := os.RemoveAll(s.private); err != nil {
		return nil, fmt.Errorf("empty %s: %w", s.private, err)
	}
	for _, d := range []string{s.mirrorsDir, filepath.Join(s.private, "home")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the Git cache: %w", err)
		}
	}
	removeUnused(s.mirrorsDir, s.started)
	// A name of its own tells the program, started without a shell, what it is.
	s.sshProgram = filepath.Join(s.private, sshName)
	if err := os.Symlink(o.SelfExe, s.sshProgram); err != nil {
		return nil, fmt.Errorf("make the Git cache: %w", err)
	}
	if s.gate, err = gate.New(s.guard.DialContext); err != nil {
		return nil, err
	}
	return s, nil
}

// dialTimeout is how long resolving and connecting may take over HTTP.
const dialTimeout = 20 * time.Second

// Close ends every process of the Store and waits for its own maintenance.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.readers.close()
	s.background.Wait()
	s.gate.Close()
}

// Parse validates and canonicalises a URL as [ParseURL] does, and refuses a
// local one unless the Store allows it.
func (s *Store) Parse(raw string) (URL, error) {
	u, err := ParseURL(raw)
	if err != nil {
		return URL{}, err
	}
	if u.Local() && !s.allowLocal {
		return URL{}, errorf(LocalRepositoryNotAllowed, u.String(),
			"start abide with --allow-local-repositories if everyone who may create an App may read this machine's repositories",
			"local repositories are not allowed here")
	}
	return u, nil
}

// Mirror returns the one mirror of a URL. Nothing is fetched, and nothing is
// written, before [Mirror.Fetch].
func (s *Store) Mirror(u URL) (*Mirror, error) {
	if u.canonical == "" {
		return nil, errorf(URLInvalid, "", "", "the URL is empty")
	}
	if u.Local() && !s.allowLocal {
		_, err := s.Parse(u.canonical)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	m := s.mirrors[u.canonical]
	if m == nil {
		sum := sha256.Sum256([]byte(u.canonical))
		m = &Mirror{
			store:    s,
			url:      u,
			dir:      filepath.Join(s.mirrorsDir, hex.EncodeToString(sum[:16])),
			lock:     make(chan struct{}, 1),
			held:     map[string]int{},
			released: map[string]time.Time{},
		}
		s.mirrors[u.canonical] = m
	}
	return m, nil
}
