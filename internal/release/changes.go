package release

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/plan"
)

// Changes are the fields in which two forms of an object differ, as a record
// has them: the first [MaxFields], with values shortened, and how many there are
// in all. Values of Secrets are what secret makes of them: see [Store.Secret]. An
// object that is created or deleted (before or after is nil) has none: all of it
// is new, or gone.
func Changes(before, after *unstructured.Unstructured, secret func(value string) string) (fields []v1alpha1.FieldChange, total int) {
	if before == nil || after == nil {
		return nil, 0
	}
	list := plan.Diff(before, after, plan.Redacting(secret))
	for _, c := range list[:min(len(list), MaxFields)] {
		f := v1alpha1.FieldChange{Path: c.Path}
		if c.Had {
			f.From = valueText(c.Before)
		}
		if c.Has {
			f.To = valueText(c.After)
		}
		fields = append(fields, f)
	}
	return boundFields(fields, MaxFields, maxValue), len(list)
}

// valueText is a value on one line; that of an empty text differs from none.
func valueText(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	b, err := jsonLine(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(string(b), "\n")
}
