package worker

import (
	"path"
	"strings"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
)

// kinder is a tree that can tell the kind of an entry without its hash.
type kinder interface {
	Kind(path string) (snapshot.Kind, error)
}

// served answers the questions of one render. The child may be in the hands of
// the repository: paths are checked, and what it is sent has an end.
type served struct {
	tree   snapshot.Tree
	kinder kinder // nil if the tree is none
	causes []error
	// left is how many bytes may still be sent, listings included.
	left int64
	// questions may still be asked.
	questions int
}

const (
	maxQuestions  = 1 << 20
	maxTreeErrors = 1 << 16
	// entryBytes is what an entry of a listing counts for beside its name.
	entryBytes = 64
)

// serve makes the tree of a request ready. limits are those of the request.
func serve(tree snapshot.Tree, limits render.Limits) *served {
	k, _ := tree.(kinder)
	// What rendering may read, links read twice, and as much again for listings
	// and what is read ahead.
	return &served{tree: tree, kinder: k, left: 3*limits.TotalBytes + maxAnswer, questions: maxQuestions}
}

// answer answers a question. An error is a child that does not keep to what it
// may ask.
func (s *served) answer(q ask) (*answer, error) {
	if s.questions--; s.questions < 0 || len(s.causes) > maxTreeErrors {
		return nil, broken("it asked too often")
	}
	if q.Op != opHash && !validPath(q.Path) || len(q.More) > maxMore || len(q.More) > 0 && q.Op != opReadFile {
		return nil, broken("it asked for what is no path of a tree")
	}
	a := &answer{}
	var err error
	switch q.Op {
	case opHash:
		a.Entry.Hash = s.tree.Hash()
	case opLookup:
		a.Entry, err = s.tree.Lookup(q.Path)
	case opKind:
		if s.kinder == nil {
			return nil, broken("it asked for a kind of a tree that tells none")
		}
		a.Kind, err = s.kinder.Kind(q.Path)
	case opReadDir:
		a.Entries, err = s.tree.ReadDir(q.Path)
		s.left -= listingSize(a.Entries)
	case opReadFile:
		if a.Content, err = s.tree.ReadFile(q.Path); err == nil {
			s.left -= int64(len(a.Content))
			if err := s.ahead(a, q.More); err != nil {
				return nil, err
			}
		}
	default:
		return nil, broken("it asked an unknown question")
	}
	if err != nil {
		s.causes = append(s.causes, err)
		a = &answer{Err: describeError(err, len(s.causes))}
	}
	if s.left < 0 {
		return nil, broken("it read more than there is to read")
	}
	return a, nil
}

// ahead adds the files that are likely to be asked for next, as far as there is
// room.
func (s *served) ahead(a *answer, more []string) error {
	room := maxAhead - int64(len(a.Content))
	for _, p := range more {
		if !validPath(p) {
			return broken("it asked for what is no path of a tree")
		}
		if room <= 0 {
			return nil
		}
		b, err := s.tree.ReadFile(p)
		if err != nil || int64(len(b)) > room {
			return nil
		}
		a.Ahead = append(a.Ahead, b)
		room -= int64(len(b)) + entryBytes
		s.left -= int64(len(b))
	}
	return nil
}

func listingSize(entries []snapshot.Entry) int64 {
	var n int64
	for i := range entries {
		n += int64(len(entries[i].Name)) + entryBytes
	}
	return n
}

// validPath tells whether p is a path that a tree takes. Names in Git need not
// be UTF-8.
func validPath(p string) bool {
	return len(p) <= maxPath && p != "" && path.Clean(p) == p && !path.IsAbs(p) &&
		p != ".." && !strings.HasPrefix(p, "../")
}
