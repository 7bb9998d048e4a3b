package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/plan"
)

func TestPrintField(t *testing.T) {
	ten := "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n"
	tests := []struct {
		why    string
		change plan.FieldChange
		want   string
	}{
		{"a value", plan.FieldChange{Before: int64(1), After: int64(2), Had: true, Has: true}, "- 1\n+ 2\n"},
		{"a field that comes", plan.FieldChange{After: "x", Has: true}, "+ x\n"},
		{"null is a value", plan.FieldChange{Before: nil, Had: true}, "- null\n"},
		{"a number in a text is told from a number", plan.FieldChange{Before: "1", After: int64(1), Had: true, Has: true}, "- \"1\"\n+ 1\n"},
		{"a line break at the end shows", plan.FieldChange{Before: "x", After: "x\n", Had: true, Has: true}, "- x\n+ \"x\\n\"\n"},
		{"of a long text, what differs", plan.FieldChange{Before: ten, After: strings.Replace(ten, "nine", "9", 1), Had: true, Has: true},
			"@@ -6,5 +6,5 @@\n six\n seven\n eight\n-nine\n+9\n ten\n"},
		{"a long text that ends otherwise", plan.FieldChange{Before: ten, After: strings.TrimSuffix(ten, "\n"), Had: true, Has: true},
			"@@ -7,4 +7,4 @@\n seven\n eight\n nine\n-ten\n+ten\n\\ No newline at end of file\n"},
		{"text can't speak to the terminal", plan.FieldChange{After: "a\n\x1b[2J\nb", Has: true}, "+ a\n+ \ufffd[2J\n+ b\n"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			var out bytes.Buffer
			tt.change.Path = "p"
			printField(&out, style{}, &tt.change)
			want := "  p\n"
			for l := range strings.SplitSeq(strings.TrimSuffix(tt.want, "\n"), "\n") {
				want += "  " + l + "\n"
			}
			if d := cmp.Diff(want, out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}
