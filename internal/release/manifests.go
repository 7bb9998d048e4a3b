package release

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

const (
	// PartSize is the number of bytes of compressed manifests in one Secret. The
	// API allows a mebibyte, and they grow by a third on their way there.
	PartSize = 768 << 10
	// MaxParts is the number of Secrets that the manifests of one release take.
	MaxParts = 256
	// SecretType is the type of the Secrets that hold manifests.
	SecretType corev1.SecretType = v1alpha1.Group + "/manifests"

	// maxPlain bounds manifests before they are compressed, in bytes.
	maxPlain = 512 << 20
	// manifestsOf is the label and the annotation that say whose they are.
	manifestsOf = v1alpha1.Group + "/manifests-of"
	dataField   = "manifests"
	namePrefix  = "abide-manifests-"
	format      = 1
)

// part is the keyed hash of a part of manifests.
type part [16]byte

// appHash is how names of Secrets say whose they are.
func appHash(app object.App) string {
	sum := sha256.Sum256([]byte(app.String()))
	return hex.EncodeToString(sum[:8])
}

func (p part) name(app object.App) string {
	return namePrefix + appHash(app) + "-" + hex.EncodeToString(p[:])
}

// partOf reads the hash from the name of a Secret of an App.
func partOf(app object.App, name string) (p part, ok bool) {
	text, found := strings.CutPrefix(name, namePrefix+appHash(app)+"-")
	if !found || len(text) != hex.EncodedLen(len(p)) {
		return p, false
	}
	if _, err := hex.Decode(p[:], []byte(text)); err != nil || p.name(app) != name {
		return p, false
	}
	return p, true
}

// partsOf reads the names that a record has.
func partsOf(app object.App, names []string) ([]part, error) {
	if len(names) == 0 {
		return nil, nil
	}
	out := make([]part, 0, len(names))
	for _, n := range names {
		p, ok := partOf(app, n)
		if !ok {
			return nil, fmt.Errorf("it names Secret %q, which does not hold manifests of App %s", n, app)
		}
		out = append(out, p)
	}
	return out, nil
}

// hashPart is the hash of a part; that of an App and that of another differ.
func hashPart(key []byte, app string, data []byte) (p part) {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("part\x00" + app + "\x00"))
	m.Write(data)
	copy(p[:], m.Sum(nil))
	return p
}

// heading is the first line of manifests.
type heading struct {
	Format  int    `json:"format"`
	App     string `json:"app"`
	Objects int    `json:"objects"`
	Hooks   int    `json:"hooks"`
}

// Item is an object to keep.
type Item struct {
	Key object.Key
	// Hash of the object as it is kept; empty if it has to be looked at anyway.
	Hash string
	// Hook tells that it is one.
	Hook bool
}

// Fetch returns objects by their keys.
type Fetch func(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error)

// groupSize is about how many objects are compressed together: of an App of many
// objects, a change of one costs as much as that many.
const groupSize = 32

// maxGroups bounds them, and with them the Secrets of an App of very many objects.
const maxGroups = 64

// keeping is what the last Keep of an App has stored, for the next one.
type keeping struct {
	names  []string
	sums   [][sha256.Size]byte // of the items of each group
	groups [][]part
}

// Keep stores what was rendered for an App, and returns the names of the Secrets
// that hold it, for the record of the release. It sends nothing for what a release
// of the App has already, and fetches only objects of groups that are not as the
// last call had them. The error is a [TooLargeError] if it is too much.
func (s *Store) Keep(ctx context.Context, app object.App, items []Item, fetch Fetch) (names []string, err error) {
	key, err := s.haveKey(ctx)
	if err != nil {
		return nil, err
	}
	h := s.lock(app)
	defer h.writing.Unlock()
	k := &keeping{}
	blobs := map[part][]byte{}
	for i, group := range grouped(items) {
		sum, sure := sumOf(group)
		parts := s.same(h, i, sum)
		if len(group) > 0 && (!sure || parts == nil) {
			if parts, err = packGroup(ctx, key, app, group, fetch, blobs); err != nil {
				return nil, fmt.Errorf("keeping the manifests of App %s: %w", app, err)
			}
		}
		k.sums, k.groups = append(k.sums, sum), append(k.groups, parts)
		for _, p := range parts {
			k.names = append(k.names, p.name(app))
		}
	}
	if len(k.names) > MaxParts {
		return nil, fmt.Errorf("keeping the manifests of App %s: %w", app, &TooLargeError{App: app})
	}
	if err := s.storeParts(ctx, app, h, slices.Concat(k.groups...), blobs); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.last = k
	return k.names, nil
}

// grouped puts items in groups by their keys, so that those of two releases fall in
// the same one as long as their number is about the same. There is one at least.
func grouped(items []Item) [][]Item {
	n := 1
	for n*groupSize < len(items) && n < maxGroups {
		n *= 2
	}
	out := make([][]Item, n)
	for _, it := range items {
		g := 0 // hooks stay together: they run in the order in which they are kept
		if !it.Hook {
			g = groupOf(it.Key, n)
		}
		if out[g] == nil {
			out[g] = make([]Item, 0, len(items)/n+groupSize/2)
		}
		out[g] = append(out[g], it)
	}
	return out
}

func groupOf(k object.Key, n int) int {
	f := fnv.New32a()
	f.Write([]byte(k.String()))
	return int(f.Sum32() & uint32(n-1))
}

// sumOf is the hash of the items of a group; sure is false if one of them has to be
// looked at.
func sumOf(group []Item) (sum [sha256.Size]byte, sure bool) {
	b := make([]byte, 0, 128*len(group))
	sure = true
	for i := range group {
		it := &group[i]
		for _, s := range []string{it.Key.Group, it.Key.Kind, it.Key.Namespace, it.Key.Name, it.Hash} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
		b = strconv.AppendBool(b, it.Hook)
		sure = sure && it.Hash != ""
	}
	return sha256.Sum256(b), sure
}

// same returns the parts of a group that the last Keep has stored, if they are there
// still.
func (s *Store) same(h *history, i int, sum [sha256.Size]byte) []part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.last == nil || i >= len(h.last.sums) || h.last.sums[i] != sum {
		return nil
	}
	for _, p := range h.last.groups[i] {
		if h.lost[p] || !h.names(p) {
			return nil
		}
	}
	return h.last.groups[i]
}

// packGroup compresses the objects of a group, and adds the parts to blobs.
func packGroup(ctx context.Context, key []byte, app object.App, group []Item, fetch Fetch, blobs map[part][]byte) ([]part, error) {
	keys := make(map[object.Key]bool, len(group))
	for i := range group {
		keys[group[i].Key] = true
	}
	found, err := fetch(ctx, keys)
	if err != nil {
		return nil, err
	}
	var objects, hooks []*unstructured.Unstructured
	for _, it := range group {
		u := found[it.Key]
		switch {
		case u == nil:
			return nil, fmt.Errorf("%s is no longer among the rendered objects", it.Key)
		case it.Hook:
			hooks = append(hooks, u)
		default:
			objects = append(objects, u)
		}
	}
	list, err := pack(app, objects, hooks)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, b := range list {
		p := hashPart(key, app.String(), b)
		blobs[p] = b
		parts = append(parts, p)
	}
	return parts, nil
}

// storeParts creates the Secrets that are not there yet. The caller has writing.
func (s *Store) storeParts(ctx context.Context, app object.App, h *history, parts []part, blobs map[part][]byte) error {
	s.mu.Lock()
	var missing []part
	for _, p := range parts {
		if blobs[p] != nil && (!h.names(p) || h.lost[p]) {
			missing = append(missing, p)
		}
	}
	h.pending = parts
	s.mu.Unlock()
	for _, p := range missing {
		err := s.client.Create(ctx, s.secret(app, p, blobs[p]))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("keeping the manifests of App %s in Secret %s/%s: %w", app, s.namespace, p.name(app), err)
		}
		s.mu.Lock()
		delete(h.lost, p)
		s.mu.Unlock()
	}
	return nil
}

// Kept returns some of the objects that the newest release of an App rendered: of
// many, no more is read than is needed.
func (s *Store) Kept(ctx context.Context, app object.App, keys map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
	note, ok := s.Last(app)
	if !ok || len(note.Manifests) == 0 {
		return nil, nil
	}
	names := note.Manifests
	s.mu.Lock()
	if h := s.apps[app]; h != nil && h.last != nil && slices.Equal(h.last.names, names) {
		wanted := map[int]bool{}
		for k := range keys {
			wanted[groupOf(k, len(h.last.groups))] = true
		}
		names = nil
		for i, g := range h.last.groups {
			for _, p := range g {
				if wanted[i] {
					names = append(names, p.name(app))
				}
			}
		}
	}
	s.mu.Unlock()
	if len(names) == 0 { // the groups of these keys are empty
		return nil, nil
	}
	objects, _, err := s.Manifests(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make(map[object.Key]*unstructured.Unstructured, len(keys))
	for _, u := range objects {
		if k := object.KeyOf(u); keys[k] {
			out[k] = u
		}
	}
	return out, nil
}

// names tells whether a release has the part, or will have.
func (h *history) names(p part) bool {
	return slices.Contains(h.pending, p) || slices.ContainsFunc(h.releases, func(e entry) bool { return slices.Contains(e.parts, p) })
}

func (s *Store) secret(app object.App, p part, data []byte) *corev1.Secret {
	immutable := true
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: p.name(app),
			Labels:      map[string]string{manifestsOf: app.Label()},
			Annotations: map[string]string{manifestsOf: app.String()},
		},
		Immutable: &immutable,
		Type:      SecretType,
		Data:      map[string][]byte{dataField: data},
	}
}

// compressors are kept for the next: one takes most of a megabyte. What they write
// has no time and no name in its header.
var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestCompression) // the level is one that there is
	return z
}}

// pack compresses objects and cuts the result into parts. Equal objects give
// equal parts.
func pack(app object.App, objects, hooks []*unstructured.Unstructured) ([][]byte, error) {
	w := &cutter{}
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	plain := 0
	write := func(v any) error {
		line, err := jsonLine(v) // the keys of maps are sorted
		if err != nil {
			return err
		}
		if plain += len(line); plain > maxPlain {
			return &TooLargeError{App: app}
		}
		_, err = z.Write(line)
		return err
	}
	err := write(heading{Format: format, App: app.String(), Objects: len(objects), Hooks: len(hooks)})
	for _, list := range [][]*unstructured.Unstructured{objects, hooks} {
		for i := 0; err == nil && i < len(list); i++ {
			err = write(list[i].Object)
		}
	}
	if err == nil {
		err = z.Close()
	}
	if errors.Is(err, errTooManyParts) {
		err = &TooLargeError{App: app}
	}
	parts := w.parts
	w.parts = nil // the compressor still knows w
	return parts, err
}

var errTooManyParts = errors.New("too many parts")

// cutter collects what is written in parts.
type cutter struct{ parts [][]byte }

func (c *cutter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(c.parts) == 0 || len(c.parts[len(c.parts)-1]) == PartSize {
			if len(c.parts) == MaxParts {
				return 0, errTooManyParts
			}
			c.parts = append(c.parts, nil)
		}
		p := &c.parts[len(c.parts)-1]
		m := min(len(b), PartSize-len(*p))
		*p = append(*p, b[:m]...)
		b = b[m:]
	}
	return n, nil
}

// Manifests reads what [Store.Keep] stored under these names, which [Store.Read]
// or [Store.Last] gave: the objects and the hooks, group by group. Nothing is returned that is not as it was written: the error is a
// [MissingError] or an [AlteredError] that names the Secret.
func (s *Store) Manifests(ctx context.Context, names []string) (objects, hooks []*unstructured.Unstructured, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("no manifests of this release are kept: choose another release (abide history), or put the commit back in Git")
	}
	key, err := s.readKey(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil, &KeyError{Secret: s.namespace + "/" + KeySecret, Why: "is not there"}
	}
	if err != nil {
		return nil, nil, err
	}
	var blobs []io.Reader
	var of string
	for i, n := range names {
		data, app, err := s.readPart(ctx, key, n)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 && app != of {
			return nil, nil, &AlteredError{Object: "Secret " + s.namespace + "/" + n, Why: "it holds manifests of App " + app + ", and the one before of App " + of}
		}
		of = app
		blobs = append(blobs, bytes.NewReader(data))
	}
	if objects, hooks, err = unpack(io.MultiReader(blobs...), of); err != nil {
		// Each Secret is as it was written: they do not belong together.
		return nil, nil, &AlteredError{Object: "the list of Secrets " + strings.Join(names, ", "), Why: err.Error()}
	}
	return objects, hooks, nil
}

// readPart reads a Secret and verifies it.
func (s *Store) readPart(ctx context.Context, key []byte, name string) (data []byte, app string, err error) {
	var secret corev1.Secret
	id := s.namespace + "/" + name
	err = s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		s.miss(name)
		return nil, "", &MissingError{Secret: id}
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading manifests from Secret %s: %w", id, err)
	}
	owner, ok := object.ParseApp(secret.Annotations[manifestsOf])
	if !ok || secret.Type != SecretType {
		return nil, "", &AlteredError{Object: "Secret " + id, Why: fmt.Sprintf("it is not of the type %s, or its annotation %s names no App", SecretType, manifestsOf)}
	}
	data = secret.Data[dataField]
	if p := hashPart(key, owner.String(), data); p.name(owner) != name {
		return nil, "", &AlteredError{Object: "Secret " + id, Why: fmt.Sprintf("its content does not have the hash that its name says, or the key in Secret %s is another one now", KeySecret)}
	}
	return data, owner.String(), nil
}

// miss notes that a Secret is gone, so that the next Keep of its content writes
// it again.
func (s *Store) miss(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for app, h := range s.apps {
		if p, ok := partOf(app, name); ok {
			if h.lost == nil {
				h.lost = map[part]bool{}
			}
			h.lost[p] = true
			return
		}
	}
}

// unpack reads groups of manifests of an App: each is a heading, and lines of what
// that says.
func unpack(r io.Reader, app string) (objects, hooks []*unstructured.Unstructured, err error) {
	z, err := gzip.NewReader(bufio.NewReader(r)) // it reads one after the other as one
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewReader(io.LimitReader(z, maxPlain+1))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return objects, hooks, nil
		}
		var head heading
		if err == nil {
			err = json.Unmarshal(line, &head)
		}
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("the first line of a group: %w", err)
		case head.Format != format:
			return nil, nil, fmt.Errorf("its format is %d, and this abide reads format %d", head.Format, format)
		case head.App != app || head.Objects < 0 || head.Hooks < 0:
			return nil, nil, fmt.Errorf("the first line of a group says %d objects and %d hooks of App %s, and it is of App %s", head.Objects, head.Hooks, head.App, app)
		}
		for i := range head.Objects + head.Hooks {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return nil, nil, fmt.Errorf("a group of %d objects and %d hooks: %w", head.Objects, head.Hooks, err)
			}
			u := &unstructured.Unstructured{}
			if err := kjson.Unmarshal(line, &u.Object); err != nil {
				return nil, nil, err
			}
			if i < head.Objects {
				objects = append(objects, u)
			} else {
				hooks = append(hooks, u)
			}
		}
	}
}
