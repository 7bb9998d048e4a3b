package health

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	yaml "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// The bounds of a file of rules.
const (
	MaxFileBytes  = 1 << 20
	MaxRules      = 2000    // of one file
	MaxExpression = 8 << 10 // bytes
)

// Rules are rules for kinds, in the order in which they are tried. The zero value
// has none. Rules don't change and may be shared.
type Rules struct{ entries []*entry }

// entry holds the rules of the kinds that it names.
type entry struct {
	group    string // with a leading "*.": each group that ends so
	kinds    []string
	versions []string // empty: all
	rules    []*rule
}

// rule is one rule. It is compiled when it is first needed.
type rule struct {
	at      string // file:line
	when    string
	health  v1alpha1.Health
	message string

	once     sync.Once
	compiled programs
	err      error
}

// Before returns the rules of r followed by those of others: for a kind that both
// have rules for, those of r are tried first.
func (r Rules) Before(others Rules) Rules {
	return Rules{slices.Concat(r.entries, others.entries)}
}

// Same tells whether objects of a kind are judged alike by r and by others, with
// the same words.
func (r Rules) Same(others Rules, gvk schema.GroupVersionKind) bool {
	return slices.EqualFunc(r.of(gvk), others.of(gvk), func(a, b *rule) bool {
		return a == b || a.at == b.at && a.when == b.when && a.health == b.health && a.message == b.message
	})
}

// Empty tells whether there are no rules.
func (r Rules) Empty() bool { return len(r.entries) == 0 }

// of returns the rules of a kind in their order.
func (r Rules) of(gvk schema.GroupVersionKind) []*rule {
	var out []*rule
	for _, e := range r.entries {
		if e.matches(gvk) {
			out = append(out, e.rules...)
		}
	}
	return out
}

// Kinds names the kinds that there are rules for, as Kind.group or, where the
// rules are for all kinds of a group, *.group, in their order.
func (r Rules) Kinds() []string {
	var out []string
	for _, e := range r.entries {
		for _, k := range e.kinds {
			name := k
			if e.group != "" {
				name += "." + e.group
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// matches tells whether the rules of an entry are for a kind.
func (e *entry) matches(gvk schema.GroupVersionKind) bool {
	if suffix, ok := strings.CutPrefix(e.group, "*"); ok {
		if !strings.HasSuffix(gvk.Group, suffix) {
			return false
		}
	} else if e.group != gvk.Group {
		return false
	}
	return (e.kinds[0] == "*" || slices.Contains(e.kinds, gvk.Kind)) &&
		(len(e.versions) == 0 || slices.Contains(e.versions, gvk.Version))
}

// The form of a file.
type (
	fileOfRules struct {
		Health []fileEntry `yaml:"health"`
	}
	fileEntry struct {
		Group    placed     `yaml:"group"`
		Kinds    []string   `yaml:"kinds"`
		Versions []string   `yaml:"versions"`
		Rules    []fileRule `yaml:"rules"`
	}
	fileRule struct {
		When    placed `yaml:"when"`
		Health  placed `yaml:"health"`
		Message placed `yaml:"message"`
	}
)

// placed is text that remembers its line.
type placed struct {
	text string
	line int
}

// UnmarshalYAML takes a scalar, so that `when: true` needs no quotes.
func (p *placed) UnmarshalYAML(n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: it takes text", n.Line)
	}
	*p = placed{n.Value, n.Line}
	return nil
}

// Parse reads rules from YAML and compiles each, so that a mistake is found now.
// file is their name in messages. The form is
//
//	health:
//	- group: example.com      # "*.example.com": all groups that end so; left out: the core group
//	  kinds: [Database]       # ["*"]: every kind of the group
//	  versions: [v1]          # left out: every version
//	  rules:                  # the first whose condition holds decides
//	  - when: self.is('Ready')
//	    health: Healthy
//	  - when: self.text('status.phase') == 'Failed'
//	    health: Degraded
//	    message: self.text('status.error')
//
// where when is an expression in CEL that is true or false and message one that
// gives text; only what is Healthy has none.
// Entries for one kind add up. docs/health.md says what expressions can use.
func Parse(file string, content []byte) (Rules, error) {
	rules, err := decode(file, content)
	if err != nil {
		return Rules{}, err
	}
	if errs := rules.compile(); len(errs) > 0 {
		return Rules{}, errors.Join(errs...)
	}
	return rules, nil
}

// compile compiles every rule and returns what is wrong, with its place.
func (r Rules) compile() []error {
	var errs []error
	for _, e := range r.entries {
		for _, rule := range e.rules {
			if _, err := rule.programs(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", rule.at, err))
			}
		}
	}
	return errs
}

// decode reads rules without compiling them.
func decode(file string, content []byte) (Rules, error) {
	if len(content) > MaxFileBytes {
		return Rules{}, fmt.Errorf("%s: it has %d bytes, at most %d", file, len(content), MaxFileBytes)
	}
	var in fileOfRules
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return Rules{}, fmt.Errorf("%s: %w", file, plain(err))
	}
	if err := d.Decode(&fileOfRules{}); !errors.Is(err, io.EOF) {
		return Rules{}, fmt.Errorf("%s: it has more than one document; put all rules into one list", file)
	}
	var out Rules
	n := 0
	for i, e := range in.Health {
		made, err := e.entry(func(rule int) string { return fmt.Sprintf("%s:%d", file, e.Rules[rule].When.line) })
		if err != nil {
			return Rules{}, fmt.Errorf("%s: entry %d: %w", file, i+1, err)
		}
		if n += len(made.rules); n > MaxRules {
			return Rules{}, fmt.Errorf("%s: it has more than %d rules", file, MaxRules)
		}
		out.entries = append(out.entries, made)
	}
	if len(out.entries) == 0 {
		return Rules{}, fmt.Errorf("%s: it has no rules; they are a list under \"health\"", file)
	}
	return out, nil
}

// plain takes the names of our types out of an error of the YAML library.
func plain(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	said := make([]string, len(wrong.Errors))
	for i, e := range wrong.Errors {
		said[i], _, _ = strings.Cut(e, " in type health.")
		said[i], _, _ = strings.Cut(said[i], " into ")
	}
	return errors.New(strings.Join(said, "; "))
}

// entry checks the form of an entry; place says where a rule of it stands.
func (f *fileEntry) entry(place func(rule int) string) (*entry, error) {
	all := slices.Contains(f.Kinds, "*")
	switch {
	case len(f.Kinds) == 0 || slices.Contains(f.Kinds, ""):
		return nil, errors.New("it names no kinds")
	case all && (len(f.Kinds) > 1 || f.Group.text == ""):
		return nil, errors.New("\"*\" stands alone, and not for the core group")
	case strings.Contains(strings.TrimPrefix(f.Group.text, "*."), "*"):
		return nil, fmt.Errorf("group %q: a \"*\" stands at the beginning, followed by a dot", f.Group.text)
	case len(f.Rules) == 0:
		return nil, errors.New("it has no \"rules\"")
	}
	e := &entry{group: f.Group.text, kinds: f.Kinds, versions: f.Versions}
	for i := range f.Rules {
		r, err := f.Rules[i].rule()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		r.at = place(i)
		e.rules = append(e.rules, r)
	}
	return e, nil
}

// rule checks the form of a rule; whoever calls it knows where that stands.
func (f *fileRule) rule() (*rule, error) {
	h := v1alpha1.Health(f.Health.text)
	_, known := rank[h]
	switch {
	case f.When.text == "":
		return nil, errors.New("it has no \"when\"; write when: true for what always holds")
	case !known:
		return nil, fmt.Errorf("health: %q is none of Healthy, Progressing, Degraded, Suspended, Unknown", f.Health.text)
	case h == v1alpha1.HealthHealthy && f.Message.text != "":
		return nil, errors.New("what is Healthy has no message")
	case h != v1alpha1.HealthHealthy && f.Message.text == "":
		return nil, fmt.Errorf("what is %s needs a message that says why", h)
	case len(f.When.text) > MaxExpression || len(f.Message.text) > MaxExpression:
		return nil, fmt.Errorf("an expression has more than %d bytes", MaxExpression)
	}
	return &rule{when: f.When.text, health: h, message: f.Message.text}, nil
}
