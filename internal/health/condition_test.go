package health

import (
	"strings"
	"testing"
)

func TestCondition(t *testing.T) {
	app := map[string]any{
		"metadata": map[string]any{"name": "db", "annotations": map[string]any{"team": "data"}},
		"status":   map[string]any{"objects": map[string]any{"total": int64(4)}, "health": "Healthy"},
	}
	for _, c := range []struct {
		why, expression string
		holds           bool
		wrong           string // the error, when it is compiled
		untold          string // the error, when it is evaluated
	}{
		{why: "a number", expression: "app.status.objects.total > 3", holds: true},
		{why: "another number", expression: "app.status.objects.total > 4"},
		{why: "the functions of rules", expression: "app.text('status.health') == 'Healthy' && app.annotation('team') == 'data'", holds: true},
		{why: "what an expression makes of parts of the App", expression: "[app.status].all(s, s.health == 'Healthy')", holds: true},
		{why: "it does not parse", expression: "app.status >", wrong: "condition (app.status >): column 13: "},
		{why: "it is about something else", expression: "self.is('Ready')", wrong: "undeclared reference to 'self'"},
		{why: "it is no truth", expression: "1 + 1", wrong: "it gives int, and must give true or false"},
		{why: "a field that the App does not have", expression: "app.status.release.number > 3", untold: "condition (app.status.release.number > 3): no such key: release"},
		{why: "no truth once it is evaluated", expression: "app.status.health", untold: "neither true nor false"},
		{why: "it takes for ever", wrong: "", untold: "takes too long",
			expression: "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a + b + c + d + e > 0)))))"},
	} {
		t.Run(c.why, func(t *testing.T) {
			cond, err := NewCondition(c.expression)
			if got := said(err); (c.wrong == "") != (got == "") || !strings.Contains(got, c.wrong) {
				t.Fatalf("compiled: %q, want %q", got, c.wrong)
			}
			if err != nil {
				return
			}
			holds, err := cond.Holds(app)
			if got := said(err); (c.untold == "") != (got == "") || !strings.Contains(got, c.untold) {
				t.Errorf("evaluated: %q, want %q", got, c.untold)
			}
			if holds != c.holds {
				t.Errorf("it holds: %v", holds)
			}
		})
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
