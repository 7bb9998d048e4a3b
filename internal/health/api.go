package health

import (
	"fmt"

	"abide.dev/abide/api/v1alpha1"
)

// MaxAppText is how many bytes the expressions of an App's own rules may have
// together: whoever may write an App makes abide compile and keep them.
const MaxAppText = 32 << 10

// OfHealthRule returns the rules of a HealthRule, and what is wrong with them.
//
// A rule that does not compile is among them none the less: an object that it is
// asked of is Unknown, with the error as its message. Were it left out, a mistake
// in a rule that says what is broken would make that healthy.
func OfHealthRule(r *v1alpha1.HealthRule) (Rules, error) {
	rules, err := ofKinds([]v1alpha1.KindHealth{r.Spec}, func(int) string { return "HealthRule " + r.Name + " spec" })
	if err != nil {
		return rules, err
	}
	return rules, rules.Check()
}

// OfApp returns the rules of an App of its own. Whether they compile, Check tells;
// it is as with those of a HealthRule.
func OfApp(app *v1alpha1.App) (Rules, error) {
	if app.Spec.Health == nil {
		return Rules{}, nil
	}
	name, size := fmt.Sprintf("App %s/%s spec.health.rules", app.Namespace, app.Name), 0
	for _, k := range app.Spec.Health.Rules {
		for _, r := range k.Rules {
			size += len(r.When) + len(r.Message)
		}
	}
	if size > MaxAppText {
		return Rules{}, fmt.Errorf("%s: its expressions have %d bytes together, at most %d, and none of them counts; what is for many Apps may be a HealthRule", name, size, MaxAppText)
	}
	return ofKinds(app.Spec.Health.Rules, func(i int) string { return fmt.Sprintf("%s[%d]", name, i) })
}

// Check compiles the rules, and says what is wrong with the first that does not
// compile, and where it stands.
func (r Rules) Check() error { return first(r.compile()) }

// ofKinds returns the rules of several kinds; place says where those of one stand.
// An error is of what the API server does not take.
func ofKinds(list []v1alpha1.KindHealth, place func(int) string) (Rules, error) {
	var out Rules
	var errs []error
	for i := range list {
		f := fileEntry{Group: placed{text: list[i].Group}, Kinds: list[i].Kinds, Versions: list[i].Versions}
		for _, r := range list[i].Rules {
			f.Rules = append(f.Rules, fileRule{
				When: placed{text: r.When}, Health: placed{text: string(r.Health)}, Message: placed{text: r.Message},
			})
		}
		e, err := f.entry(func(rule int) string { return fmt.Sprintf("%s.rules[%d]", place(i), rule) })
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place(i), err))
			continue
		}
		out.entries = append(out.entries, e)
	}
	return out, first(errs)
}

// first is the first of some errors, which says how many there are.
func first(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}
