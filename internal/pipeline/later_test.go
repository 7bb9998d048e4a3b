package pipeline

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

type notNow struct{ later bool }

func (*notNow) Error() string    { return "not now" }
func (e *notNow) Later() bool    { return e.later }
func (e *notNow) Reason() string { return "NotNow" }

// TestNotItsTurn: what can't be had yet is no failure of the App.
func TestNotItsTurn(t *testing.T) {
	for _, row := range []struct {
		why     string
		err     error
		passing bool
	}{
		{"others come first", fmt.Errorf("rendering: %w", &notNow{true}), true},
		{"it has been asked, and refused", &notNow{false}, false},
		{"anything else", errors.New("broken"), false},
	} {
		r := &run{Pipeline: &Pipeline{Now: time.Now}, mem: &memory{}}
		r.unreadable(row.err)
		if r.out.Passing != row.passing || r.out.Again == 0 || (r.out.Err == nil) != row.passing {
			t.Errorf("%s: passing %v, again in %v, error %v", row.why, r.out.Passing, r.out.Again, r.out.Err)
		}
	}
}
