package health

import (
	"sync"

	"github.com/google/cel-go/cel"
)

// app is what a Condition calls the App that it is about.
const app = "app"

var languageOfApps = sync.OnceValues(func() (*cel.Env, error) { return languageOf(app) })

// Condition is an expression over app, an App as the API has it, that is true or
// false: the language and the bounds are those of rules.
type Condition struct {
	expression string
	program    program
}

// NewCondition compiles a condition. The error says where in the expression it is
// wrong, and quotes it.
func NewCondition(expression string) (*Condition, error) {
	env, err := languageOfApps()
	if err != nil {
		return nil, err
	}
	p, err := compileIn(env, expression, cel.BoolType)
	if err != nil {
		return nil, about("condition", expression, err)
	}
	return &Condition{expression, p}, nil
}

// Holds evaluates the condition on an App. An error says why that can't be told
// of it, such as a field that it does not have; it quotes the expression.
func (c *Condition) Holds(of map[string]any) (bool, error) {
	holds, err := subjectOf(app, of).isTrue(&c.program)
	if err != nil {
		return false, about("condition", c.expression, err)
	}
	return holds, nil
}

// String is the expression, on one line of a bounded length.
func (c *Condition) String() string { return brief(c.expression) }
