package chart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// versionsOf reads an index and every chart in it, as a Store would.
func versionsOf(text string) (map[string][]string, error) {
	idx, err := readIndex(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	add := func(name string, offers []offer) {
		out[name] = []string{}
		for _, o := range offers {
			out[name] = append(out[name], fmt.Sprintf("%s %s %s %d", o.version, o.url, o.digest, o.line))
		}
	}
	for name, offers := range idx.whole {
		add(name, offers)
	}
	for name, s := range idx.spans {
		offers, err := readOffers(strings.NewReader(text), int64(len(text)), name, s)
		if err != nil {
			return nil, err
		}
		add(name, offers)
	}
	return out, nil
}

const helmIndex = `apiVersion: v1
entries:
  # the first
  web:
  - apiVersion: v2
    created: "2026-01-01T00:00:00Z"
    description: |
      A chart.

      other:
      - version: 9.9.9
    digest: sha256:AB
    name: web
    urls:
    - web-1.0.0.tgz
    - https://example.com/second
    version: 1.0.0

  - urls:
      - web-1.1.0.tgz
    version: "1.1.0"
  - version: nonsense
  - null
  "quoted":
    - {version: 0.1.0, urls: [q.tgz], digest: cd}
  none: []
generated: "2026-01-01T00:00:00Z"
serverInfo:
  entries: {}
`

func TestReadIndex(t *testing.T) {
	want := map[string][]string{
		"web":    {"1.1.0 web-1.1.0.tgz  19", "1.0.0 web-1.0.0.tgz ab 5"},
		"quoted": {"0.1.0 q.tgz cd 25"},
		"none":   {},
	}
	got, err := versionsOf(helmIndex)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("block style (-want +got):\n%s", d)
	}
	if got, err = versionsOf(strings.ReplaceAll(helmIndex, "\n", "\r\n")); err != nil || len(got) != 3 {
		t.Errorf("line ends of Windows: %v, %v", got, err)
	}
	for _, tt := range []struct{ why, text string }{
		{"JSON", `{"apiVersion":"v1","x":{"y":[1,{"z":null}]},"entries":{"web":[{"version":"1.0.0","urls":["u"],"digest":"ab"},null,{"version":"1.1.0"}]},"generated":"now"}`},
		{"flow style", `apiVersion: v1` + "\n" + `entries: {web: [{version: 1.0.0, urls: [u], digest: ab}, {version: 1.1.0}]}`},
		{"a block style that Helm does not write", "apiVersion: v1\nentries:\n  ? web\n  : - version: 1.0.0\n      urls: [u]\n      digest: ab\n    - version: 1.1.0\n"},
		{"an anchor of another chart", "apiVersion: v1\nentries:\n  a:\n  - &x\n    version: 1.0.0\n    urls: [u]\n    digest: ab\n  web:\n  - *x\n  - version: 1.1.0\n"},
		{"a mark at the beginning", "\uFEFF---\napiVersion: v1\nentries:\n  web:\n  - version: 1.0.0\n    urls: [u]\n    digest: ab\n  - version: 1.1.0\n"},
		{"a value that is no text", "apiVersion: v1\nentries:\n  web:\n  - version: 1.0.0\n    urls: [u]\n    digest: ab\n    appVersion: 1\n    keywords:\n      - a\n      -  b\n  -\n    version: 1.1.0\n"},
	} {
		got, err := versionsOf(tt.text)
		if err != nil || len(got["web"]) != 2 || !strings.HasPrefix(got["web"][0], "1.1.0 ") || !strings.HasPrefix(got["web"][1], "1.0.0 u ab") {
			t.Errorf("%s: %v, %v", tt.why, got, err)
		}
	}
}

func TestInvalidIndex(t *testing.T) {
	head := "apiVersion: v1\nentries:\n"
	bomb := head + "  web:\n  - version: 1.0.0\n    urls: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("    k%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for _, tt := range []struct {
		why, text, says string
		large           bool
	}{
		{"empty", "", "empty", false},
		{"blank", " \n\n", "empty", false},
		{"a web page", "<!DOCTYPE html><html></html>", "web page", false},
		{"no apiVersion", "entries:\n  web:\n  - version: 1.0.0\n", "apiVersion", false},
		{"no apiVersion in JSON", `{"entries":{}}`, "apiVersion", false},
		{"something else", "hello", "YAML", false},
		{"a list", "- a\n", "YAML", false},
		{"binary", "\x00\x01\x02", "YAML", false},
		{"broken in a chart: the line is said", head + "  web:\n  - version: 1.0.0\n    urls: [\n", "line 5", false},
		{"a wrong type: the line is said", head + "  db: []\n  web:\n  - version: 1.0.0\n    urls: x\n", "line 6", false},
		{"a key twice in a version", head + "  web:\n  - version: 1.0.0\n    version: 2.0.0\n", "line 5", false},
		{"a chart twice", head + "  web:\n  - version: 1.0.0\n  web:\n  - version: 1.0.0\n", "line 5: it has chart web twice", false},
		{"a chart twice in JSON", `{"apiVersion":"v1","entries":{"a":[],"a":[]}}`, "chart a twice", false},
		{"entries twice", head + "  web: []\nentries:\n", "twice", false},
		{"entries twice in JSON", `{"apiVersion":"v1","entries":{},"entries":{}}`, "twice", false},
		{"JSON cut off", `{"apiVersion":"v1","entries":{"a":[{"version":"1`, "JSON", false},
		{"JSON of another kind", `{"apiVersion":"v1","entries":[]}`, "where one should be", false},
		{"JSON with a number for a version", `{"apiVersion":"v1","entries":{"a":[{"version":1}]}}`, "JSON", false},
		{"aliases that multiply", bomb + "    version: *a11\n", "YAML", false},
		{"aliases that multiply where they count", strings.Replace(bomb, "urls: &a0", "k0: &a0", 1) + "    urls: *a11\n", "YAML", false},
		{"nested without end", head + "  web:\n  - " + strings.Repeat("[", 20_000), "YAML", false},
		{"one version too large", head + "  web:\n  - version: 1.0.0\n    description: " + strings.Repeat("x", maxEntry) + "\n", "bytes", true},
		{"many lines in one version", head + "  web:\n  - version: 1.0.0\n" + strings.Repeat("    # x\n", maxEntry/8), "bytes", true},
		{"large and not as Helm writes it", head + "  ? web\n  : - version: 1.0.0\n# " + strings.Repeat("x", maxWhole), "8 MiB", true},
		{"many charts", head + manyCharts(maxCharts+1), "more than 100000 charts", true},
		{"many versions in JSON", `{"apiVersion":"v1","entries":{"a":[null` + strings.Repeat(",null", maxOffers) + `]}}`, "versions", true},
	} {
		_, err := versionsOf(tt.text)
		var e *indexError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.says) || e.large != tt.large {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

func manyCharts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  c%d:\n", i)
	}
	return b.String()
}

// What is read of a large index is the chart that is asked for.
func BenchmarkLargeIndex(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("apiVersion: v1\nentries:\n")
	for c := range 500 {
		fmt.Fprintf(&text, "  chart-%d:\n", c)
		for v := range 100 {
			fmt.Fprintf(&text, "  - apiVersion: v2\n    description: %s\n    digest: %064d\n    name: chart-%d\n    urls:\n    - c-%d.tgz\n    version: 1.%d.0\n",
				strings.Repeat("text ", 200), v, c, v, v)
		}
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := bytes.NewReader(text.Bytes())
		idx, err := readIndex(r)
		if err != nil {
			b.Fatal(err)
		}
		if offers, err := readChart(r, idx.spans["chart-250"]); err != nil || len(offers) != 100 {
			b.Fatal(len(offers), err)
		}
	}
}

func FuzzReadIndex(f *testing.F) {
	f.Add(helmIndex)
	f.Add(`{"apiVersion":"v1","entries":{"web":[{"version":"1.0.0","urls":["u"]},null]}}`)
	f.Add("apiVersion: v1\nentries: {web: [{version: 1.0.0}]}")
	f.Add("apiVersion: v1\nentries:\n  a:\n  - &x\n    version: 1.0.0\n  web:\n  - *x\n")
	f.Add("---\n\"apiVersion\": v1\nentries:\n 'a':\n   -\n    version: \"1\n  b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		charts, err := versionsOf(text)
		var e *indexError
		if err != nil && !errors.As(err, &e) && !errors.Is(err, errIrregular) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n\u202e") {
			t.Fatalf("not safe to print: %q", err)
		}
		for name := range charts {
			if len(text) < len(name) {
				t.Fatalf("chart %q is from nowhere", name)
			}
		}
	})
}

func FuzzDockerConfig(f *testing.F) {
	f.Add(`{"auths":{"example.com":{"auth":"YTpi"}}}`, "example.com", "/a")
	f.Add(`{"https://index.docker.io/v1/":{"username":"a","password":"b"}}`, "docker.io", "/library")
	f.Add(`{"auths":{"*.example.com/team":{"identitytoken":"x"}}}`, "r.example.com", "/team/x")
	f.Fuzz(func(t *testing.T, text, host, path string) {
		d, err := parseDockerConfig(text)
		if err != nil {
			return
		}
		if a, b := d.lookup(host, path), d.lookup(host, path); a != b {
			t.Fatalf("not always the same: %v, %v", a, b)
		}
	})
}
