// Package objhash computes the names that Git gives to blobs and trees in a
// repository of the SHA-1 object format. It reads and writes nothing.
package objhash

import (
	"crypto/sha1" //nolint:gosec // the name of a Git object, not a signature
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"abide.dev/abide/internal/snapshot"
)

// Zero is the name of no object.
const Zero = "0000000000000000000000000000000000000000"

// Blob returns the object name of content in hexadecimal.
func Blob(content []byte) string {
	h := header("blob", int64(len(content)))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// BlobFrom returns the object name of the size bytes that r gives. A reader
// that gives another number of bytes is an error: the file changed meanwhile.
func BlobFrom(r io.Reader, size int64) (string, error) {
	h := header("blob", size)
	n, err := io.Copy(h, r)
	if err != nil {
		return "", err
	}
	if n != size {
		return "", fmt.Errorf("expected %d bytes and read %d: the file changed while it was read", size, n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Tree returns the object name of a directory with the given entries, in any
// order. The entries are not changed.
func Tree(entries []snapshot.Entry) (string, error) {
	sorted := slices.Clone(entries)
	// Git orders a directory as if its name ended in a slash.
	slices.SortFunc(sorted, func(a, b snapshot.Entry) int { return strings.Compare(sortName(a), sortName(b)) })
	var body []byte
	for _, e := range sorted {
		raw, err := hex.DecodeString(e.Hash)
		if err != nil {
			return "", fmt.Errorf("hash of %s: %w", e.Name, err)
		}
		body = append(body, mode(e.Kind)...)
		body = append(body, ' ')
		body = append(body, e.Name...)
		body = append(body, 0)
		body = append(body, raw...)
	}
	h := header("tree", int64(len(body)))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func header(kind string, size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "%s %d\x00", kind, size)
	return h
}

func sortName(e snapshot.Entry) string {
	if e.Kind == snapshot.Dir {
		return e.Name + "/"
	}
	return e.Name
}

func mode(k snapshot.Kind) string {
	switch k {
	case snapshot.Executable:
		return "100755"
	case snapshot.Symlink:
		return "120000"
	case snapshot.Dir:
		return "40000"
	case snapshot.Submodule:
		return "160000"
	}
	return "100644"
}
