package dirtree

import (
	"io"
	"path"
	"regexp"
	"strings"

	"abide.dev/abide/internal/snapshot/objhash"
)

var objectName = regexp.MustCompile(`^[0-9a-f]{40}$`)

// submoduleHead returns the commit that is checked out in the repository at
// dir, or the zero hash where that cannot be told from files inside the
// working copy.
func (t *Tree) submoduleHead(dir string) string {
	head, err := t.readHead(dir)
	if err != nil {
		return objhash.Zero
	}
	return head
}

func (t *Tree) readHead(dir string) (string, error) {
	gitDir := path.Join(dir, ".git")
	if info, err := t.root.Lstat(gitDir); err != nil {
		return "", err
	} else if info.Mode().IsRegular() {
		// A submodule's .git is a file that says where its repository is.
		pointer, err := t.readSmall(gitDir)
		if err != nil {
			return "", err
		}
		target, ok := strings.CutPrefix(pointer, "gitdir: ")
		if !ok || path.IsAbs(target) {
			return "", errNoHead
		}
		gitDir = path.Join(dir, target)
	}
	head, err := t.readSmall(path.Join(gitDir, "HEAD"))
	if err != nil {
		return "", err
	}
	ref, symbolic := strings.CutPrefix(head, "ref: ")
	if !symbolic {
		return checkName(head)
	}
	if loose, err := t.readSmall(path.Join(gitDir, ref)); err == nil {
		return checkName(loose)
	}
	packed, err := t.readSmall(path.Join(gitDir, "packed-refs"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(packed) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " "+ref); ok {
			return checkName(name)
		}
	}
	return "", errNoHead
}

func checkName(s string) (string, error) {
	if !objectName.MatchString(s) {
		return "", errNoHead
	}
	return s, nil
}

// readSmall reads one of Git's own small files, without its last newline.
// os.Root keeps it inside the working copy.
func (t *Tree) readSmall(p string) (string, error) {
	f, err := t.root.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return strings.TrimSuffix(string(b), "\n"), err
}
