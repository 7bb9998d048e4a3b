package manifest

import "abide.dev/abide/internal/render/limit"

// FromValue returns the object that v, decoded elsewhere, is, or the objects of
// the list that it is. Numbers in v are int64 or float64. v belongs to the
// objects afterwards. Errors are [*fault.Error].
func FromValue(at Origin, v map[string]any, lim limit.Limits) ([]Object, error) {
	d := decoder{file: at.File, lim: lim}
	var err error
	if items, ok := listItems(v); ok {
		err = d.list(v, items, at.Line, nil)
	} else {
		err = d.object(v, at.Line)
	}
	return d.objects, err
}
