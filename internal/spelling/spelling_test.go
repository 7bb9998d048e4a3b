package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"web", "web", 0},
		{"", "web", 3},
		{"web", "wob", 1},
		{"web", "weeb", 1},
		{"web", "we", 1},
		{"kitten", "sitting", 3},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want || Distance(tt.b, tt.a) != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d, either way round", tt.a, tt.b, got, tt.want)
		}
	}
}
