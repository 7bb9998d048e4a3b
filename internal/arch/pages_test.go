package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testLink = regexp.MustCompile("\\[`(Test[A-Za-z0-9]+)`\\]\\(\\.\\./([^)#]+)\\)")

// TestPagesNameTests: a page that names the test of a promise names one that is
// there.
func TestPagesNameTests(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal("there are no pages", err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testLink.FindAllStringSubmatch(string(text), -1) {
			named++
			file, err := os.ReadFile(filepath.Join(root, m[2]))
			if err != nil || !strings.Contains(string(file), "\nfunc "+m[1]+"(") {
				t.Errorf("%s names %s of %s: %v", filepath.Base(page), m[1], m[2], err)
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test, so this one proves nothing")
	}
}
