package chart

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/targz"
	"abide.dev/abide/internal/source/dialguard"
)

// Options configures a [Store].
type Options struct {
	// Dir is the cache; made when missing. One Store at a time may use it.
	Dir string
	// AllowAddresses are addresses that may be connected to although package
	// dialguard refuses them: loopback, link-local, metadata of clouds.
	AllowAddresses []netip.Prefix
	// FreshFor is for how long an answer of a repository counts; 0 is 10 s, and
	// below 0 every call asks.
	FreshFor time.Duration
	Limits   Limits
	// Resolver looks names up; nil is the one of the machine.
	Resolver *net.Resolver
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Limits bounds what a Store uses; a zero field has the default.
type Limits struct {
	Index     int64         // bytes of an index, 64 MiB
	Tags      int           // of one repository in a registry, 50,000
	TagPages  int           // that they come on, 500
	Chart     int64         // bytes of an archive as it is packed, 32 MiB
	Archive   targz.Limits  // of what is in it
	Disk      int64         // bytes of all files in Dir, 2 GiB
	Memory    int64         // bytes of the trees that are kept in memory, 64 MiB
	Unpacking int           // archives at a time, 2
	Connect   time.Duration // to resolve a name and connect, and again for TLS, 10 s
	Header    time.Duration // until an answer begins, 30 s
	IndexTime time.Duration // of asking for an index, tags or a manifest, 1 min
	ChartTime time.Duration // of fetching an archive, 3 min
}

func (l Limits) withDefaults() Limits {
	def(&l.Index, 64<<20)
	def(&l.Tags, 50_000)
	def(&l.TagPages, 500)
	def(&l.Chart, 32<<20)
	def(&l.Disk, 2<<30)
	def(&l.Memory, 64<<20)
	def(&l.Unpacking, 2)
	def(&l.Connect, 10*time.Second)
	def(&l.Header, 30*time.Second)
	def(&l.IndexTime, time.Minute)
	def(&l.ChartTime, 3*time.Minute)
	return l
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store finds and fetches charts. It is safe for concurrent use.
type Store struct {
	limits    Limits
	freshFor  time.Duration
	now       func() time.Time
	guard     *dialguard.Guard
	key       []byte
	cache     *cache
	states    *states
	trees     *trees
	flights   *flights
	unpacking chan struct{}
}

// New opens the cache at o.Dir, which no other Store may be using. It asks no
// host for anything.
func New(o Options) (*Store, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	def(&o.FreshFor, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		limits:   o.Limits.withDefaults(),
		freshFor: o.FreshFor,
		now:      o.Now,
		states:   newStates(),
		flights:  newFlights(),
	}
	s.guard = dialguard.New(dialguard.Options{Allow: o.AllowAddresses, Resolver: o.Resolver, Timeout: s.limits.Connect})
	s.trees = newTrees(s.limits.Memory)
	s.unpacking = make(chan struct{}, s.limits.Unpacking)
	if s.cache, err = openCache(dir, s.limits.Disk, o.Now); err != nil {
		return nil, err
	}
	s.key, err = s.cache.key()
	return s, err
}

// Close ends what is under way and waits for it. Trees stay usable.
func (s *Store) Close() { s.flights.close() }

// Resolve says what ref means now. Its errors are of type [*Error], but for
// those of ctx and [ErrClosed].
func (s *Store) Resolve(ctx context.Context, ref Ref, c Credentials) (Revision, error) {
	t, err := ref.parse()
	if err != nil {
		return Revision{}, err
	}
	if err := c.check(t); err != nil {
		return Revision{}, err
	}
	st := s.state(t, c)
	var rev Revision
	if t.scheme == "oci" {
		rev, err = s.resolveOCI(ctx, st, t, c)
	} else {
		rev, err = s.resolveHTTP(ctx, st, t, c)
	}
	if err != nil {
		return Revision{}, err
	}
	st.show(rev.Digest)
	return rev, nil
}

// Fetch returns the content of a revision that [Store.Resolve] gave. The Tree
// may be shared with others, and stays usable whatever happens to the Store.
// Errors are as those of Resolve.
func (s *Store) Fetch(ctx context.Context, rev Revision, c Credentials) (snapshot.Tree, error) {
	ref := Ref{Repo: rev.Repo}
	if t, err := parseRepo(rev.Repo); err != nil {
		return nil, err
	} else if t.scheme != "oci" {
		ref.Name = rev.Name
	}
	t, err := ref.parse()
	if err != nil {
		return nil, err
	}
	if !digestForm.MatchString(rev.Digest) {
		return nil, errorf(DigestMismatch, t.repo(), "", "chart %s has no digest to fetch it by", t.name)
	}
	if err := c.check(t); err != nil {
		return nil, err
	}
	st := s.state(t, c)
	if st.wasShown(rev.Digest) {
		tree, err := s.tree(ctx, t, rev.Digest)
		if !errors.Is(err, fs.ErrNotExist) {
			return tree, err
		}
	}
	if _, err := s.flights.do(ctx, st.id+" archive "+rev.Digest+" "+rev.URL, s.limits.ChartTime, func(ctx context.Context) (any, error) {
		if st.wasShown(rev.Digest) { // who shared the work may have had it since
			if _, err := s.tree(ctx, t, rev.Digest); err == nil {
				return nil, nil
			}
		}
		got, err := s.download(ctx, t, c, rev.URL, rev.Digest)
		if err == nil {
			st.show(rev.Digest)
		}
		return got, err
	}); err != nil {
		return nil, err
	}
	tree, err := s.tree(ctx, t, rev.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		err = errorf(CacheFailed, t.repo(), "make the cache larger, or check its disk", "the archive of chart %s went from the cache as soon as it was there", t.name)
	}
	return tree, err
}

// Expire makes every Resolve of a ref that begins from now on ask its
// repository, however fresh the last answer is, and share no answer that was
// asked for before.
func (s *Store) Expire(ref Ref) {
	t, err := ref.parse()
	if err != nil {
		return // there is none to ask
	}
	s.states.each(t.repo(), (*state).expire)
}

func (s *Store) state(t target, c Credentials) *state {
	return s.states.get(c.identity(s.key, t.repo()), t.repo())
}

// scope names a repository in the names of files.
func (s *Store) scope(t target) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte("archives of " + t.repo()))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
