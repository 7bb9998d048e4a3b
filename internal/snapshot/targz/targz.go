// Package targz shows an archive (a gzipped tar with one folder in it, as Helm
// packs charts) as a snapshot.
//
// The root of the [Tree] is the content of that one folder. Names, modes and
// content hash to the object names that Git gives (SHA-1 object format), as in
// the other snapshots: the same files in a repository and in an archive have
// the same hash. As in the other snapshots, anything named .git is left out.
//
// The archive is read once, from beginning to end, into memory; nothing is ever
// written to disk. An archive is foreign: what it may cost is bounded by
// [Limits], and what has more than one meaning is refused instead of guessed:
// absolute names, "..", links and devices, the same name twice, names that are
// one name where case counts for nothing, a file that has something below it, files
// outside the one folder, names that are not UTF-8 or have control characters,
// a backslash or a colon after a drive letter in them.
package targz

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

// Limits bounds an archive; a zero field has the default.
type Limits struct {
	Unpacked int64 // bytes after decompression, the headers of tar included, 100 MiB
	File     int64 // bytes of one file, 16 MiB
	Entries  int   // files and folders, 10,000
	Depth    int   // elements of a path, 32
	Name     int   // bytes of a path, 512
}

func (l Limits) withDefaults() Limits {
	def(&l.Unpacked, 100<<20)
	def(&l.File, 16<<20)
	def(&l.Entries, 10_000)
	def(&l.Depth, 32)
	def(&l.Name, 512)
	return l
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Error says what is wrong with an archive. Its text is safe to print.
type Error struct {
	Path    string // in the archive, with its folder; "" when it is about the whole
	Problem string
	// TooLarge tells that a limit was passed.
	TooLarge bool
	Err      error // the cause, or nil
}

func (e *Error) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("%s: %s", e.Path, e.Problem)
	}
	return e.Problem
}

func (e *Error) Unwrap() error { return e.Err }

// Tree implements [snapshot.Tree] over the content of an archive.
type Tree struct {
	*memtree.Tree
	folder string
	size   int64
}

var _ snapshot.Tree = (*Tree)(nil)

// Folder is the name of the one folder that the archive has at its top.
func (t *Tree) Folder() string { return t.folder }

// Size is how many bytes the files have together.
func (t *Tree) Size() int64 { return t.size }

// Read reads an archive to its end. What is wrong with it is an [*Error]; an
// error of r itself is returned wrapped.
func Read(r io.Reader, limits Limits) (*Tree, error) {
	limits = limits.withDefaults()
	source := &source{r: r}
	u := &unpacker{
		limits: limits,
		nodes:  map[string]memtree.Node{},
		folded: map[string]string{},
		dirs:   map[string]bool{},
	}
	if err := u.read(source); err != nil {
		if source.err != nil { // the reader's own, whatever gzip and tar make of it
			return nil, fmt.Errorf("reading the archive: %w", source.err)
		}
		return nil, err
	}
	return &Tree{Tree: memtree.New(u.nodes), folder: u.folder, size: u.size}, nil
}

// source remembers why the reader below gzip failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// bounded ends a stream with an error after limit bytes.
type bounded struct {
	r    io.Reader
	left int64
}

var errBound = errors.New("over the limit")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One more byte tells the end of the stream from one that goes on.
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n > 0 {
			return 0, errBound
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

type unpacker struct {
	limits  Limits
	folder  string
	nodes   map[string]memtree.Node
	dirs    map[string]bool   // folders, in the tree
	folded  map[string]string // a path without case, and the path that has it
	entries int
	size    int64
}

func (u *unpacker) read(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return &Error{Problem: "it is not compressed with gzip, or damaged", Err: err}
	}
	stream := &bounded{r: z, left: u.limits.Unpacked}
	t := tar.NewReader(stream)
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return u.broken("", err)
		}
		if err := u.entry(h, t); err != nil {
			return err
		}
	}
	// What follows the end of the tar is read too, for the checksum of gzip.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return u.broken("", err)
	}
	if len(u.nodes) == 0 {
		return &Error{Problem: "there is no file in it"}
	}
	return nil
}

// broken turns an error of gzip or tar into ours.
func (u *unpacker) broken(name string, err error) error {
	if errors.Is(err, errBound) {
		return &Error{Problem: fmt.Sprintf("it unpacks to more than %d bytes", u.limits.Unpacked), TooLarge: true, Err: err}
	}
	return &Error{Path: name, Problem: "the archive is damaged (" + err.Error() + ")", Err: err}
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // "git archive" puts one in front
		return nil
	}
	shown := show(h.Name)
	if u.entries++; u.entries > u.limits.Entries {
		return &Error{Problem: fmt.Sprintf("it has more than %d files and folders", u.limits.Entries), TooLarge: true}
	}
	elements, err := u.split(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		return &Error{Path: shown, Problem: "it is a link, and abide takes no links from an archive"}
	default:
		return &Error{Path: shown, Problem: fmt.Sprintf("it is neither a file nor a folder (type %q of tar)", h.Typeflag)}
	}
	if len(elements) == 0 { // "./"
		if h.Typeflag == tar.TypeReg {
			return &Error{Path: shown, Problem: "a file without a name"}
		}
		return nil
	}
	if err := u.top(shown, elements, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	elements = elements[1:]
	for _, e := range elements {
		if strings.EqualFold(e, ".git") {
			return nil
		}
	}
	if h.Typeflag == tar.TypeDir {
		return u.addDirs(shown, elements)
	}
	return u.addFile(shown, elements, h, content)
}

// driveForm is a path of Windows.
var driveForm = regexp.MustCompile(`^[A-Za-z]:`)

// split checks a name and cuts it into its elements.
func (u *unpacker) split(name string) ([]string, error) {
	shown := show(name)
	bad := func(format string, args ...any) ([]string, error) {
		return nil, &Error{Path: shown, Problem: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(name) > u.limits.Name:
		return nil, &Error{Path: shown, Problem: fmt.Sprintf("the name is longer than %d bytes", u.limits.Name), TooLarge: true}
	case !utf8.ValidString(name):
		return bad("the name is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !printable(r) }):
		return bad("the name has a control character in it")
	case strings.Contains(name, `\`):
		return bad("the name has a backslash in it")
	case strings.HasPrefix(name, "/"), driveForm.MatchString(name):
		return bad("the name is an absolute path")
	}
	var out []string
	for _, e := range strings.Split(name, "/") {
		switch e {
		case "", ".":
		case "..":
			return bad(`the name has ".." in it`)
		default:
			out = append(out, e)
		}
	}
	if len(out) > u.limits.Depth {
		return nil, &Error{Path: shown, Problem: fmt.Sprintf("it is more than %d folders deep", u.limits.Depth), TooLarge: true}
	}
	return out, nil
}

// top keeps everything in one folder.
func (u *unpacker) top(shown string, elements []string, dir bool) error {
	if len(elements) == 1 && !dir {
		return &Error{Path: shown, Problem: "it is outside the one folder that the archive should have at its top"}
	}
	if u.folder == "" {
		u.folder = elements[0]
	}
	if elements[0] != u.folder {
		return &Error{Path: shown, Problem: fmt.Sprintf("the archive has two folders at its top, %s and %s", show(u.folder), show(elements[0]))}
	}
	return nil
}

// addDirs takes a folder and all above it.
func (u *unpacker) addDirs(shown string, elements []string) error {
	for i := range elements {
		p := path.Join(elements[:i+1]...)
		if u.dirs[p] {
			continue
		}
		if err := u.claim(shown, p); err != nil {
			return err
		}
		u.dirs[p] = true
	}
	return nil
}

// claim takes a path that nothing had before.
func (u *unpacker) claim(shown, p string) error {
	if _, ok := u.nodes[p]; ok || u.dirs[p] {
		return &Error{Path: shown, Problem: fmt.Sprintf("%s is in the archive twice", show(path.Join(u.folder, p)))}
	}
	f := fold(p)
	if other, ok := u.folded[f]; ok {
		return &Error{Path: shown, Problem: fmt.Sprintf("its name differs from %s by case alone", show(path.Join(u.folder, other)))}
	}
	u.folded[f] = p
	return nil
}

func (u *unpacker) addFile(shown string, elements []string, h *tar.Header, content io.Reader) error {
	p := path.Join(elements...)
	if err := u.addDirs(shown, elements[:len(elements)-1]); err != nil {
		return err
	}
	if err := u.claim(shown, p); err != nil {
		return err
	}
	if h.Size > u.limits.File {
		return &Error{Path: shown, Problem: fmt.Sprintf("it has %d bytes, and at most %d are read of a file", h.Size, u.limits.File), TooLarge: true}
	}
	b, err := io.ReadAll(content)
	if err != nil {
		return u.broken(shown, err)
	}
	if int64(len(b)) != h.Size {
		return &Error{Path: shown, Problem: fmt.Sprintf("it has %d bytes, and its header says %d", len(b), h.Size)}
	}
	node := memtree.File(string(b))
	if h.FileInfo().Mode()&0o100 != 0 {
		node = memtree.Exec(string(b))
	}
	u.nodes[p] = node
	u.size += int64(len(b))
	return nil
}

// fold brings a name into a form that is equal for names that differ by case
// alone: each rune becomes the least of those that are equal to it.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

// printable leaves out what a terminal could obey or what turns text around.
func printable(r rune) bool {
	return !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) && r != 0x2028 && r != 0x2029
}

// show makes a name fit for a message.
func show(name string) string {
	const most = 120
	name = strings.Map(func(r rune) rune {
		if !printable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
