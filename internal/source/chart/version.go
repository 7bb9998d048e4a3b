package chart

import (
	"cmp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"abide.dev/abide/internal/spelling"
)

// offer is one version of a chart that a repository has.
type offer struct {
	version string // as written
	parsed  *semver.Version
	url     string
	digest  string // hexadecimal; "" if the repository does not say
	line    int    // in the index; 0 if not known
}

// sortOffers puts the newest first. Of equal ones the one with the greater
// build metadata is first, then the one that came first.
func sortOffers(offers []offer) {
	slices.SortStableFunc(offers, func(a, b offer) int {
		return cmp.Or(b.parsed.Compare(a.parsed), cmp.Compare(b.parsed.Metadata(), a.parsed.Metadata()))
	})
}

// pick finds what is wanted among sorted offers: the very text, or else the
// newest in the range. Whether a prerelease is in a range is as
// Masterminds/semver has it: only if the range names one.
func pick(offers []offer, w want) (offer, bool) {
	if w.exact {
		for _, o := range offers {
			if o.version == w.text {
				return o, true
			}
		}
	}
	for _, o := range offers {
		if w.within.Check(o.parsed) {
			return o, true
		}
	}
	return offer{}, false
}

// noVersion says that sorted offers have nothing that is wanted.
func noVersion(t target, offers []offer) *Error {
	e := errorf(VersionNotFound, t.repo(), "", "chart %s has no version %s", t.name, t.want.text)
	switch {
	case t.want.text == "":
		e.Problem = "chart " + t.name + " has no version that is not a prerelease"
	case t.want.within != nil && !t.want.exact:
		e.Problem = "chart " + t.name + " has no version in " + quote(t.want.text)
	case t.want.tag != "" && !t.want.exact:
		e.Problem = "chart " + t.name + " has no tag " + t.want.text
	case t.want.digest != "":
		e.Problem = "chart " + t.name + " has no manifest " + t.want.digest
	}
	const most = 5
	var names []string
	for _, o := range offers[:min(most, len(offers))] {
		names = append(names, show(o.version))
	}
	switch {
	case len(names) == 0:
		e.Hint = "it has no version at all that abide can read"
	case offers[0].parsed.Prerelease() != "" && t.want.within != nil && !t.want.exact:
		e.Hint = "the newest it has: " + strings.Join(names, ", ") + `; a range takes prereleases only if it names one (">=1.2.0-0")`
	default:
		e.Hint = "the newest it has: " + strings.Join(names, ", ")
	}
	return e
}

// similar returns the names that are nearest to one, nearest first.
func similar(name string, names []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	lower := strings.ToLower(name)
	for _, n := range names {
		if len(n) > maxName {
			continue
		}
		d := spelling.Distance(lower, strings.ToLower(n))
		if d <= max(1, len(name)/3) || len(name) >= 4 && strings.Contains(strings.ToLower(n), lower) {
			found = append(found, near{n, d})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	const most = 3
	var out []string
	for _, f := range found[:min(most, len(found))] {
		out = append(out, show(f.name))
	}
	return out
}

// show makes text from a repository fit for a message.
func show(s string) string {
	const most = 80
	s = printable(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// printable replaces what a terminal would obey, or would turn text around, by
// spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func quote(s string) string { return `"` + show(s) + `"` }
