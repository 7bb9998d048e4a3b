package release

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

const (
	// labelReleaseOf finds the Releases of one App, for people.
	labelReleaseOf = v1alpha1.Group + "/release-of"
	// annotationGone is when an App was first seen to be gone, on its newest
	// Release.
	annotationGone = v1alpha1.Group + "/gone-since"
	// fieldApp is a selectable field of the definition.
	fieldApp = "spec.app"
	// listPage is the number of objects that one list request asks for.
	listPage = 500
)

// Store keeps Releases and what they rendered.
type Store struct {
	client    client.Client
	namespace string // abide's own
	now       func() time.Time
	random    io.Reader

	mu     sync.Mutex // guards what follows, and what histories hold; never held during a request
	loaded bool
	apps   map[object.App]*history
	key    []byte
	swept  time.Time // when manifests were last looked through
}

// history is what is known of one App's releases.
type history struct {
	// writing is held by whoever changes the App's records, its requests included.
	writing sync.Mutex

	dropped  bool    // nothing is known of it, and it is not in Store.apps any more
	releases []entry // by number, ascending
	// pending are the parts that were kept last, which no record may name yet.
	pending []part
	// lost are parts that records name and that are not there.
	lost map[part]bool
	// written is what the last Write has stored, so that the same is not sent twice.
	written struct {
		number int64
		sum    [sha256.Size]byte
	}
	// last is what the last Keep has stored.
	last *keeping
	// gone is when the App was first seen to be gone; goneOn is the number of the
	// Release that says so, 0 if none does yet.
	gone   time.Time
	goneOn int64
}

// entry is what is held of one release.
type entry struct {
	number  int64
	uid     types.UID
	hash    string
	outcome v1alpha1.Outcome
	parts   []part
}

// New returns a Store that keeps manifests in a namespace of abide's own. The
// client must cache neither Releases nor the Secrets of that namespace.
func New(c client.Client, namespace string, now func() time.Time) *Store {
	return &Store{client: c, namespace: namespace, now: now, random: rand.Reader, apps: map[object.App]*history{}}
}

// Note is what is known of a release without a request.
type Note struct {
	Number int64
	// UID of the App whose release it is.
	UID types.UID
	// Hash is the desired hash.
	Hash    string
	Outcome v1alpha1.Outcome
	// Manifests are the names of the Secrets that hold them.
	Manifests []string
	// Healthy is the newest release that succeeded, nil if none did. Its own
	// Healthy is nil.
	Healthy *Note
}

// Name is the name of the Release of an App.
func Name(app string, number int64) string { return app + "-" + strconv.FormatInt(number, 10) }

// Load reads every Release there is, in place of what was held.
func (s *Store) Load(ctx context.Context) error {
	apps := map[object.App]*history{}
	err := s.list(ctx, func(r *v1alpha1.Release) {
		app := object.App{Namespace: r.Namespace, Name: r.Spec.App}
		h := apps[app]
		if h == nil {
			h = &history{}
			apps[app] = h
		}
		h.note(app, &r.Spec)
		h.noteGone(r)
	})
	if err != nil {
		return fmt.Errorf("reading the releases: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps, s.loaded = apps, true
	return nil
}

// list reads the Releases that are genuine.
func (s *Store) list(ctx context.Context, take func(*v1alpha1.Release), opts ...client.ListOption) error {
	for token := ""; ; {
		var l v1alpha1.ReleaseList
		err := s.client.List(ctx, &l, append(slices.Clone(opts), client.Limit(listPage), client.Continue(token))...)
		if err != nil {
			return err
		}
		for i := range l.Items {
			if genuine(&l.Items[i]) {
				take(&l.Items[i])
			}
		}
		if token = l.Continue; token == "" {
			return nil
		}
	}
}

// genuine tells Releases that abide wrote from a copy under another name.
func genuine(r *v1alpha1.Release) bool {
	return r.Spec.Number > 0 && r.Name == Name(r.Spec.App, r.Spec.Number)
}

// note takes a record into memory.
func (h *history) note(app object.App, r *v1alpha1.ReleaseSpec) {
	e := entry{number: r.Number, uid: r.AppUID, hash: r.DesiredHash, outcome: constant(r.Outcome)}
	e.parts, _ = partsOf(app, r.Manifests) // names that are not of this App are none of its own
	i, found := h.find(r.Number)
	if !found {
		h.releases = slices.Insert(h.releases, i, entry{})
	}
	if i > 0 && h.releases[i-1].uid == e.uid {
		e.uid = h.releases[i-1].uid // one text in memory for all
	}
	h.releases[i] = e
}

// noteGone takes from the newest Release since when its App is gone.
func (h *history) noteGone(r *v1alpha1.Release) {
	if n := len(h.releases); r.Spec.Number != h.releases[n-1].number {
		return
	}
	h.gone, h.goneOn = time.Time{}, 0
	if v := r.Annotations[annotationGone]; v != "" {
		h.goneOn = r.Spec.Number
		h.gone, _ = time.Parse(time.RFC3339, v) // what can't be read is noted anew
	}
}

// constant is an outcome that takes no memory of its own.
func constant(o v1alpha1.Outcome) v1alpha1.Outcome {
	for _, c := range []v1alpha1.Outcome{
		v1alpha1.OutcomeRunning, v1alpha1.OutcomeSucceeded, v1alpha1.OutcomeFailed,
		v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeRejected,
	} {
		if o == c {
			return c
		}
	}
	return o
}

func (h *history) find(number int64) (int, bool) {
	return slices.BinarySearchFunc(h.releases, number, func(e entry, n int64) int { return cmp.Compare(e.number, n) })
}

// healthy is the index of the newest release that succeeded, -1 if there is none.
func (h *history) healthy() int {
	for i := len(h.releases) - 1; i >= 0; i-- {
		if h.releases[i].outcome == v1alpha1.OutcomeSucceeded {
			return i
		}
	}
	return -1
}

// lock returns what is known of an App, for one who changes its records. The
// caller unlocks writing.
func (s *Store) lock(app object.App) *history {
	for {
		s.mu.Lock()
		h := s.apps[app]
		if h == nil {
			h = &history{}
			s.apps[app] = h
		}
		s.mu.Unlock()
		h.writing.Lock()
		s.mu.Lock()
		dropped := h.dropped
		s.mu.Unlock()
		if !dropped {
			return h
		}
		h.writing.Unlock()
	}
}

// drop lets go of what holds nothing. The caller has writing.
func (s *Store) drop(app object.App, h *history) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(h.releases) == 0 && len(h.pending) == 0 && s.apps[app] == h {
		h.dropped = true
		delete(s.apps, app)
	}
}

// Last returns the newest release of an App; ok is false if it has none.
func (s *Store) Last(app object.App) (n Note, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.apps[app]
	if h == nil || len(h.releases) == 0 {
		return Note{}, false
	}
	n = h.releases[len(h.releases)-1].asNote(app)
	if i := h.healthy(); i >= 0 {
		healthy := h.releases[i].asNote(app)
		n.Healthy = &healthy
	}
	return n, true
}

func (e *entry) asNote(app object.App) Note {
	n := Note{Number: e.number, UID: e.uid, Hash: e.hash, Outcome: e.outcome}
	for _, p := range e.parts {
		n.Manifests = append(n.Manifests, p.name(app))
	}
	return n
}

// Read reads the record of a release. The error is a [NotFoundError] if there is
// none, and an [AlteredError] if it is not genuine or names manifests of another
// App.
func (s *Store) Read(ctx context.Context, app object.App, number int64) (*v1alpha1.Release, error) {
	r := &v1alpha1.Release{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: app.Namespace, Name: Name(app.Name, number)}, r)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &NotFoundError{App: app, Number: number}
	case err != nil:
		return nil, fmt.Errorf("reading release %s#%d: %w", app.Name, number, err)
	case r.Spec.App != app.Name || r.Spec.Number != number:
		return nil, &AlteredError{Object: "Release " + app.Namespace + "/" + r.Name,
			Why: fmt.Sprintf("it says that it is %s#%d", r.Spec.App, r.Spec.Number)}
	}
	if _, err := partsOf(app, r.Spec.Manifests); err != nil {
		return nil, &AlteredError{Object: "Release " + app.Namespace + "/" + r.Name, Why: err.Error()}
	}
	return r, nil
}

// List reads the records of an App's releases, the newest first.
func (s *Store) List(ctx context.Context, app object.App) ([]v1alpha1.Release, error) {
	var out []v1alpha1.Release
	err := s.list(ctx, func(r *v1alpha1.Release) {
		if r.Spec.App == app.Name {
			out = append(out, *r)
		}
	}, client.InNamespace(app.Namespace), client.MatchingFields{fieldApp: app.Name})
	if err != nil {
		return nil, fmt.Errorf("reading the releases of App %s: %w", app.Name, err)
	}
	slices.SortFunc(out, func(a, b v1alpha1.Release) int { return cmp.Compare(b.Spec.Number, a.Spec.Number) })
	return out, nil
}

// Write stores the record of a release, within its bounds: r itself is not
// changed. It creates the Release if this Store does not know of one with that
// number, and sends nothing if the last call for the App said the same. The error
// is a [TakenError] if another release has the number.
func (s *Store) Write(ctx context.Context, app object.App, r *v1alpha1.ReleaseSpec) error {
	if r.Number < 1 {
		return fmt.Errorf("writing a release of App %s: the number is %d, and numbers count from 1", app, r.Number)
	}
	spec, err := bounded(r)
	if err != nil {
		return fmt.Errorf("writing release %s#%d: %w", app, r.Number, err)
	}
	spec.App = app.Name
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("writing release %s#%d: %w", app, r.Number, err)
	}
	sum := sha256.Sum256(text)

	h := s.lock(app)
	defer h.writing.Unlock()
	s.mu.Lock()
	_, known := h.find(spec.Number)
	same := h.written.number == spec.Number && h.written.sum == sum
	s.mu.Unlock()
	if same {
		return nil
	}
	if err := s.put(ctx, app, h, spec, text, known); err != nil {
		return fmt.Errorf("writing release %s#%d: %w", app, r.Number, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.note(app, spec)
	h.written.number, h.written.sum = spec.Number, sum
	h.gone = time.Time{} // whoever writes is there
	return nil
}

// put stores a record: known tells that there should be one.
func (s *Store) put(ctx context.Context, app object.App, h *history, spec *v1alpha1.ReleaseSpec, text []byte, known bool) error {
	r := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{
		Namespace: app.Namespace,
		Name:      Name(app.Name, spec.Number),
		Labels:    map[string]string{labelReleaseOf: app.Label()},
	}}
	replace := client.RawPatch(types.JSONPatchType, slices.Concat([]byte(`[{"op":"replace","path":"/spec","value":`), text, []byte(`}]`)))
	if known {
		// There is one writer: nothing is overwritten that it has not seen. If
		// somebody deleted the record, it is written anew.
		if err := s.client.Patch(ctx, r.DeepCopy(), replace); !apierrors.IsNotFound(err) {
			return err
		}
	}
	created := r.DeepCopy()
	created.Spec = *spec
	err := s.client.Create(ctx, created)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	// Of this very release, before an answer was lost or before a restart; or of
	// another one, which has to stay.
	var have v1alpha1.Release
	if err := s.client.Get(ctx, client.ObjectKeyFromObject(r), &have); err != nil {
		return err
	}
	switch {
	case equality.Semantic.DeepEqual(&have.Spec, spec):
		return nil
	case genuine(&have) && !sameRun(&have.Spec, spec):
		s.mu.Lock()
		h.note(app, &have.Spec)
		s.mu.Unlock()
		return &TakenError{App: app, Number: spec.Number}
	}
	return s.client.Patch(ctx, r.DeepCopy(), replace)
}

// sameRun tells whether two records are of one release.
func sameRun(a, b *v1alpha1.ReleaseSpec) bool {
	if a.AppUID != b.AppUID || a.DesiredHash != b.DesiredHash {
		return false
	}
	return a.StartedAt == nil || b.StartedAt == nil ||
		a.StartedAt.Truncate(time.Microsecond).Equal(b.StartedAt.Truncate(time.Microsecond))
}

// Forget notes that an App is gone: nothing is sent. Its releases stay known,
// since numbers go on if it comes back, until [Store.Sweep] has removed them.
func (s *Store) Forget(app object.App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.apps[app]
	if h == nil {
		return
	}
	if h.gone.IsZero() {
		h.gone = s.now()
	}
	h.pending, h.lost, h.written.number, h.last = nil, nil, 0, nil
}

// jsonLine is a value as one line of JSON, as it is: without the escapes that
// only HTML needs.
func jsonLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
