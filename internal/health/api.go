package health

import (
	"fmt"

	"abide.dev/abide/api/v1alpha1"
)

// OfHealthRule returns the rules of a HealthRule, and what is wrong with them.
//
// A rule that does not compile is among them none the less: an object that it is
// asked of is Unknown, with the error as its message. Were it left out, a mistake
// in a rule that says what is broken would make that healthy.
func OfHealthRule(r *v1alpha1.HealthRule) (Rules, error) {
	return ofKinds([]v1alpha1.KindHealth{r.Spec}, func(int) string { return "HealthRule " + r.Name + " spec" })
}

// OfApp returns the rules of an App of its own, and what is wrong with them, as
// OfHealthRule does.
func OfApp(app *v1alpha1.App) (Rules, error) {
	if app.Spec.Health == nil {
		return Rules{}, nil
	}
	return ofKinds(app.Spec.Health.Rules, func(i int) string {
		return fmt.Sprintf("App %s/%s spec.health.rules[%d]", app.Namespace, app.Name, i)
	})
}

// ofKinds returns the rules of several kinds; place says where those of one stand.
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
		if err != nil { // which the API server would not have taken
			errs = append(errs, fmt.Errorf("%s: %w", place(i), err))
			continue
		}
		out.entries = append(out.entries, e)
	}
	errs = append(errs, out.compile()...)
	switch len(errs) {
	case 0:
		return out, nil
	case 1:
		return out, errs[0]
	}
	return out, fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}
