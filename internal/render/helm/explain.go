package helm

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
)

var (
	// place is "chart/templates/file:line:column" in a message of the library.
	place = regexp.MustCompile(`([^\s"()<>]+?):(\d+)(?::\d+)?`)
	// quoted is a template that was given to tpl, in full.
	quoted = regexp.MustCompile(`(error during tpl function execution for|cannot parse template) "(?:[^"\\]|\\.)*"`)
	asked  = regexp.MustCompile(`^execution error at \([^)]*\): `)
	white  = regexp.MustCompile(`\s+`)
)

// explain makes an error of the template engine one for people: the innermost
// template and its line, by its path in the repository, then what is wrong
// there and what led there.
func (r *release) explain(err error, made *calls) error {
	if made.ended != nil {
		return made.ended
	}
	msg := quoted.ReplaceAllString(err.Error(), "$1 its text")
	e := fault.New(fault.HelmFailed, r.at, 0, "")
	e.Err = err
	var outer []string
	rest, from := msg, ""
	for _, m := range place.FindAllStringSubmatchIndex(msg, -1) {
		file, known := r.names[msg[m[2]:m[3]]]
		line, convErr := strconv.Atoi(msg[m[4]:m[5]])
		if !known || convErr != nil {
			continue
		}
		at := fmt.Sprintf("%s:%d", file, line)
		if from != "" && from != at && !slices.Contains(outer, from) {
			outer = append(outer, from)
		}
		from, e.File, e.Line, rest = at, file, line, msg[m[1]:]
	}
	// A place may come again further in, on the way to another one.
	outer = slices.DeleteFunc(outer, func(s string) bool { return s == from })
	said := asked.MatchString(msg)
	rest = strings.Trim(white.ReplaceAllString(rest, " "), " :)")
	for name, file := range r.names {
		rest = strings.ReplaceAll(rest, strconv.Quote(name), strconv.Quote(file))
	}
	if e.Msg = rest; rest == "" {
		e.Msg = "helm cannot render it"
	}
	if len(outer) > 0 {
		slices.Reverse(outer)
		e.Msg += " (used by " + strings.Join(outer, ", then ") + ")"
	}
	switch {
	case made.large:
		e.Reason = fault.TooLarge
		e.Hint = "make less in the template"
	case said:
		e.Hint = "the chart itself says so: set the value that it asks for"
	case strings.Contains(msg, "nil pointer evaluating"):
		e.Hint = "a value on the way to it is not set"
	default:
		e.Hint = "correct the template, or the values that it takes"
	}
	return e
}

// redactor hides the values of sources that may be secret.
type redactor struct{ replace *strings.Replacer }

// minSecret is the length from which a value is hidden; shorter ones would make
// messages unreadable and are no secrets.
const minSecret = 4

// secrets collects what must not be quoted.
func secrets(sources []ValuesSource) redactor {
	var found []string
	add := func(s string) {
		for _, part := range append(strings.Split(s, "\n"), s) {
			part = strings.TrimSpace(part)
			if len(part) < minSecret || part == "true" || part == "false" || part == "null" {
				continue
			}
			coded := strconv.Quote(part)
			found = append(found, part, coded[1:len(coded)-1], base64.StdEncoding.EncodeToString([]byte(part)))
		}
		if len(s) >= minSecret {
			found = append(found, base64.StdEncoding.EncodeToString([]byte(s)))
		}
	}
	for _, s := range sources {
		var v map[string]any
		err := manifest.CheckAliases("", []byte(s.Data), limit.Default())
		if err == nil && s.TargetPath == "" {
			v, err = loader.LoadValues(strings.NewReader(s.Data))
		}
		if s.TargetPath != "" || err != nil {
			add(s.Data)
			continue
		}
		eachValue(v, add)
	}
	if len(found) == 0 {
		return redactor{}
	}
	// The longest first: a Replacer prefers what is named first.
	slices.SortStableFunc(found, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range slices.Compact(found) {
		pairs = append(pairs, s, "…")
	}
	return redactor{strings.NewReplacer(pairs...)}
}

func eachValue(v any, visit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			eachValue(item, visit)
		}
	case []any:
		for _, item := range v {
			eachValue(item, visit)
		}
	case string:
		visit(v)
	case float64:
		visit(strconv.FormatFloat(v, 'f', -1, 64))
		visit(strconv.FormatFloat(v, 'g', -1, 64))
	case nil, bool:
	default:
		visit(fmt.Sprint(v))
	}
}

func (h redactor) text(s string) string {
	if h.replace != nil {
		s = h.replace.Replace(s)
	}
	return shorten(s)
}

// error hides values and bounds the length.
func (h redactor) error(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	shown := *e
	shown.Msg, shown.Hint = h.text(e.Msg), h.text(e.Hint)
	if h.replace != nil {
		shown.Err = nil // it may quote as well
	}
	return &shown
}

// output hides values in what is said about the objects.
func (h redactor) output(o *Output) *Output {
	if o == nil {
		return nil
	}
	for i := range o.Warnings {
		o.Warnings[i] = h.text(o.Warnings[i])
	}
	for i := range o.Ignored {
		o.Ignored[i].Reason = h.text(o.Ignored[i].Reason)
	}
	return o
}

// shorten bounds a message.
func shorten(msg string) string {
	const most = 1000
	msg = strings.ToValidUTF8(msg, "?")
	if len(msg) > most {
		msg = strings.ToValidUTF8(msg[:most], "") + "…"
	}
	return msg
}
