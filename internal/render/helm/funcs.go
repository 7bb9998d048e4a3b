package helm

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"

	"abide.dev/abide/internal/render/fault"
)

const (
	// maxLoop is how long a list of numbers may be, and maxSteps how long all
	// of one execution together.
	maxLoop  = 1_000_000
	maxSteps = 20_000_000
	// maxText is how long a text may be that a function makes of a number, in
	// bytes, and maxTexts how long all of one execution together.
	maxText  = 16 << 20
	maxTexts = 512 << 20
	// costly is what a function counts as steps that takes a millisecond or a
	// hundred.
	costly = 20_000
	// exact is the largest number that sums are made of without a loss.
	exact = 1 << 53
)

// random are the functions of which two calls give different results.
var random = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"bcrypt", "htpasswd", "encryptAES", "genPrivateKey", "genCA", "genCAWithKey",
	"genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

// slow are those that compute for long.
var slow = []string{
	"bcrypt", "htpasswd", "derivePassword", "genPrivateKey", "genCA", "genCAWithKey", "buildCustomCert",
	"genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

// narrow are those whose results are alike by chance often enough to matter.
var narrow = []string{"randInt", "shuffle", "randNumeric", "randAlpha", "randAlphaNum", "randAscii"}

// wide is the number of characters from which a random text is never the same
// by chance.
const wide = 6

var sprigFuncs = sync.OnceValue(sprig.TxtFuncMap)

// calls is what the templates of one execution asked for.
type calls struct {
	shift int
	names map[string]bool // functions called whose results hang on time or chance
	// chancy: another execution may give the same by chance.
	chancy bool
	steps  int
	texts  int
	large  bool  // a limit was reached
	ended  error // the context ended
}

func newCalls(shift int) *calls { return &calls{shift: shift, names: map[string]bool{}} }

// now is the time, in UTC, and long after for a later execution, so that
// whatever hangs on it becomes another.
func (c *calls) now() time.Time {
	t := time.Now().UTC()
	if c.shift > 0 {
		t = t.AddDate(c.shift, 1, 1).Add(time.Hour + time.Minute + time.Second + time.Millisecond)
	}
	return t
}

// charge counts what a function is about to do.
func (c *calls) charge(ctx context.Context, steps, bytes float64) error {
	if err := ctx.Err(); err != nil {
		e := fault.New(fault.DeadlineExceeded, "", 0, "the templates were still running when their time was up")
		e.Err = context.Cause(ctx)
		c.ended = e
		return e
	}
	if steps > maxLoop || bytes > maxText {
		c.large = true
		return fmt.Errorf("it would make %.0f things, and at most %d numbers or %d bytes are made", max(steps, bytes), maxLoop, maxText)
	}
	c.steps += int(max(steps, 0))
	c.texts += int(max(bytes, 0))
	if c.steps > maxSteps || c.texts > maxTexts {
		c.large = true
		return fmt.Errorf("the templates make more than %d numbers or %d bytes together", maxSteps, maxTexts)
	}
	return nil
}

// funcs are what templates get instead of, or besides, the functions of Helm.
func (c *calls) funcs(ctx context.Context) template.FuncMap {
	m := template.FuncMap{}
	for _, name := range append(slices.Clone(slow), random...) {
		m[name] = c.watched(ctx, name)
	}
	c.bounded(ctx, m)
	c.timed(m)
	m["keys"], m["values"] = keys, values
	return m
}

// watched is a function of sprig whose calls are noted. It has the same
// parameters and results, so that a wrong use gives the same error.
func (c *calls) watched(ctx context.Context, name string) any {
	fn := reflect.ValueOf(sprigFuncs()[name])
	chance, takesLong := slices.Contains(random, name), slices.Contains(slow, name)
	return reflect.MakeFunc(fn.Type(), func(args []reflect.Value) []reflect.Value {
		if chance {
			c.names[name] = true
		}
		var steps, bytes float64
		if takesLong {
			steps = costly
		}
		if len(args) == 1 && args[0].Kind() == reflect.Int {
			bytes = float64(args[0].Int())
		}
		if slices.Contains(narrow, name) && (len(args) != 1 || bytes < wide) {
			c.chancy = true
		}
		if err := c.charge(ctx, steps, bytes); err != nil {
			panic(err) // the engine makes an error of it, at the place of the call
		}
		if fn.Type().IsVariadic() {
			return fn.CallSlice(args)
		}
		return fn.Call(args)
	}).Interface()
}

// bounded are the functions that make much of a number.
func (c *calls) bounded(ctx context.Context, m template.FuncMap) {
	until := sprigFuncs()["until"].(func(int) []int)
	untilStep := sprigFuncs()["untilStep"].(func(int, int, int) []int)
	seq := sprigFuncs()["seq"].(func(...int) string)
	m["until"] = func(count int) ([]int, error) {
		if err := c.loop(ctx, 0, count, 1); err != nil {
			return nil, err
		}
		return until(count), nil
	}
	m["untilStep"] = func(start, stop, step int) ([]int, error) {
		if err := c.loop(ctx, start, stop, step); err != nil {
			return nil, err
		}
		return untilStep(start, stop, step), nil
	}
	m["seq"] = func(params ...int) (string, error) {
		start, stop, step := 1, 1, 1
		switch len(params) {
		case 1:
			stop = params[0]
		case 2:
			start, stop = params[0], params[1]
		case 3:
			start, step, stop = params[0], params[1], params[2]
		}
		if err := c.loop(ctx, start, stop, step); err != nil {
			return "", err
		}
		return seq(params...), nil
	}
	m["repeat"] = func(count int, s string) (string, error) {
		if err := c.charge(ctx, 0, float64(count)*float64(len(s))); err != nil {
			return "", err
		}
		return strings.Repeat(s, count), nil
	}
	indent := sprigFuncs()["indent"].(func(int, string) string)
	bounded := func(spaces int, s string) (string, error) {
		lines := float64(strings.Count(s, "\n") + 1)
		if err := c.charge(ctx, 0, float64(spaces)*lines+float64(len(s))); err != nil {
			return "", err
		}
		return indent(spaces, s), nil
	}
	m["indent"] = bounded
	m["nindent"] = func(spaces int, s string) (string, error) {
		s, err := bounded(spaces, s)
		return "\n" + s, err
	}
}

// loop charges for a list of numbers.
func (c *calls) loop(ctx context.Context, start, stop, step int) error {
	for _, n := range []int{start, stop, step} {
		// Sums of larger ones would wrap around, for ever.
		if n > exact || n < -exact {
			c.large = true
			return fmt.Errorf("the number %d is too large", n)
		}
	}
	n := math.Abs(float64(stop) - float64(start))
	return c.charge(ctx, n/max(math.Abs(float64(step)), 1)+1, 0)
}

// timed are the functions that know the time or the time zone of this machine.
func (c *calls) timed(m template.FuncMap) {
	timeNow := func(name string) time.Time {
		c.names[name] = true
		return c.now()
	}
	// at is what sprig takes for a time, and the present for all else.
	at := func(name string, v any) time.Time {
		switch v := v.(type) {
		case time.Time:
			return v
		case *time.Time:
			return *v
		case int64:
			return time.Unix(v, 0)
		case int:
			return time.Unix(int64(v), 0)
		case int32:
			return time.Unix(int64(v), 0)
		}
		return timeNow(name)
	}
	in := func(name, format string, v any, zone string) string {
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			loc = time.UTC
		}
		return at(name, v).In(loc).Format(format)
	}
	const day = "2006-01-02"
	m["now"] = func() time.Time { return timeNow("now") }
	m["date"] = func(format string, v any) string { return in("date", format, v, "UTC") }
	m["htmlDate"] = func(v any) string { return in("htmlDate", day, v, "UTC") }
	m["htmlDateInZone"] = func(v any, zone string) string { return in("htmlDateInZone", day, v, zone) }
	m["dateInZone"] = func(format string, v any, zone string) string { return in("dateInZone", format, v, zone) }
	m["date_in_zone"] = m["dateInZone"]
	m["toDate"] = func(format, s string) time.Time {
		t, _ := time.ParseInLocation(format, s, time.UTC)
		return t
	}
	m["mustToDate"] = func(format, s string) (time.Time, error) { return time.ParseInLocation(format, s, time.UTC) }
	m["ago"] = func(v any) string {
		return timeNow("ago").Sub(at("ago", v)).Round(time.Second).String()
	}
	round := sprigFuncs()["durationRound"].(func(any) string)
	m["durationRound"] = func(v any) string {
		if t, ok := v.(time.Time); ok {
			v = int64(timeNow("durationRound").Sub(t))
		}
		return round(v)
	}
}

// keys and values are those of sprig in an order that is always the same.
func keys(dicts ...map[string]any) []string {
	all := []string{}
	for _, d := range dicts {
		all = append(all, slices.Sorted(maps.Keys(d))...)
	}
	return all
}

func values(dict map[string]any) []any {
	all := []any{}
	for _, k := range keys(dict) {
		all = append(all, dict[k])
	}
	return all
}
