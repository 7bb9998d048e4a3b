package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// maxCost bounds one evaluation, in the unit of CEL's cost model: a step costs
// about 1. Kubernetes allows ten times as much for a rule of a
// CustomResourceDefinition, which is a tenth of a second.
const maxCost = 100_000

// programs are the compiled expressions of a rule.
type programs struct {
	when    cel.Program
	message cel.Program // nil without
}

// language is what expressions can use: CEL's standard library without regular
// expressions, whose cost the length of the text does not bound; optional fields
// (self.?status.?phase); and our own functions.
var language = sync.OnceValues(func() (*cel.Env, error) { return languageOf(self) })

// self is the object that a rule is about.
const self = "self"

// languageOf is the language of expressions about one object, which they call by
// a name.
func languageOf(name string) (*cel.Env, error) {
	return cel.NewCustomEnv(slices.Concat(functions(), texts(), []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&celenv.LibrarySubset{
			ExcludeFunctions: []*celenv.Function{celenv.NewFunction("matches")},
		})),
		cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)),
		cel.OptionalTypes(),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(100),
	})...)
}

// costs are those of our own functions, which CEL takes for one step each.
type costs struct{}

// CallCost is what a call cost.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	var cost uint64
	switch function {
	case "condition", "is", "isNot", "reason", "why":
		cost = 10
	case "join", "split", "replace", "format", "trim", "lowerAscii", "upperAscii":
		cost = 1
		for _, v := range append(slices.Clip(args), result) {
			switch v := v.(type) {
			case types.String:
				cost += uint64(len(v)) / 10
			case traits.Sizer:
				if n, ok := v.Size().(types.Int); ok {
					cost += uint64(n)
				}
			}
		}
	default:
		return nil
	}
	return &cost
}

// programs compiles the rule, once.
func (r *rule) programs() (*programs, error) {
	r.once.Do(func() {
		if r.compiled.when, r.err = compile(r.when, cel.BoolType); r.err != nil {
			r.err = about("when", r.when, r.err)
			return
		}
		if r.message == "" {
			return
		}
		if r.compiled.message, r.err = compile(r.message, cel.StringType); r.err != nil {
			r.err = about("message", r.message, r.err)
		}
	})
	return &r.compiled, r.err
}

// about says which expression of a rule an error is about.
func about(field, expression string, err error) error {
	return fmt.Errorf("%s (%s): %w", field, brief(expression), err)
}

// brief is an expression on one line of a bounded length.
func brief(expression string) string {
	const most = 200
	text := strings.Join(strings.Fields(expression), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// compile compiles an expression that must give a type, or one that can't be told
// before it is evaluated.
func compile(expression string, want *cel.Type) (cel.Program, error) {
	env, err := language()
	if err != nil {
		return nil, err
	}
	return compileIn(env, expression, want)
}

func compileIn(env *cel.Env, expression string, want *cel.Type) (cel.Program, error) {
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		first := issues.Errors()[0]
		return nil, errors.New(place(first.Location) + strings.TrimSuffix(first.Message, " (in container '')"))
	}
	if got := ast.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s, and must give %s", typeName(got), typeName(want))
	}
	if err := grows(ast); err != nil {
		return nil, err
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !short(ast.NativeRep()) {
		options = append(options, cel.CostLimit(maxCost), cel.CostTracking(costs{}))
	}
	return env.Program(ast, options...)
}

// typeName is a type as people know it.
func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.BoolKind:
		return "true or false"
	case types.StringKind:
		return "text"
	}
	return t.String()
}

// quick are the functions that take a short time whatever they are called on:
// CEL's own where their operands are no lists, maps or texts to be searched, and
// ours.
var quick = []string{
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse, operators.Conditional,
	operators.Index, operators.OptIndex, operators.OptSelect, "hasValue",
	"condition", "is", "isNot", "reason", "why", "text", "flag", "list", "number", "annotation", "label",
}

// compared are the functions that are quick on what is known to be one number,
// text or truth.
var compared = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
}

// short tells whether an expression is evaluated in a time that the length of its
// text bounds. To count the cost of such a one costs more than to evaluate it, and
// most conditions are so.
func short(a *celast.AST) bool {
	yes := true
	celast.PostOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		switch e.Kind() {
		case celast.IdentKind, celast.SelectKind, celast.LiteralKind:
		case celast.ListKind:
			for _, element := range e.AsList().Elements() {
				yes = yes && element.Kind() == celast.LiteralKind
			}
		case celast.CallKind:
			call := e.AsCall()
			switch name := call.FunctionName(); {
			case slices.Contains(quick, name):
			case slices.Contains(compared, name):
				for _, arg := range call.Args() {
					yes = yes && single(a, arg)
				}
			case name == operators.In:
				yes = yes && single(a, call.Args()[0]) && call.Args()[1].Kind() == celast.ListKind
			default:
				yes = false
			}
		default:
			yes = false
		}
	}))
	return yes
}

// subject is an object as a variable, and what it cost so far.
type subject struct {
	name  string
	value ref.Val
	spent uint64
}

func subjectOf(name string, object map[string]any) *subject {
	return &subject{name: name, value: types.NewStringInterfaceMap(types.DefaultTypeAdapter, object)}
}

// ResolveName implements cel.Activation.
func (s *subject) ResolveName(name string) (any, bool) {
	if name == s.name {
		return s.value, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (s *subject) Parent() cel.Activation { return nil }

// isTrue evaluates an expression that is true or false.
func (s *subject) isTrue(p cel.Program) (bool, error) {
	v, err := s.eval(p)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errors.New("it is neither true nor false")
	}
	return bool(b), nil
}

// text evaluates an expression that gives text.
func (s *subject) text(p cel.Program) (string, error) {
	v, err := s.eval(p)
	if err != nil {
		return "", err
	}
	t, ok := v.(types.String)
	if !ok {
		return "", errors.New("it is not text")
	}
	return string(t), nil
}

// eval evaluates an expression. The rules of a kind have the bound of one together:
// there may be many.
func (s *subject) eval(p cel.Program) (ref.Val, error) {
	if s.spent > maxCost {
		return nil, errors.New("the rules before it took too long")
	}
	v, details, err := p.Eval(s)
	if cost := details.ActualCost(); cost != nil {
		s.spent += *cost
	}
	if cancelled := (interpreter.EvalCancelledError{}); errors.As(err, &cancelled) {
		return nil, errors.New("it takes too long: what it goes over is too much")
	}
	return v, err
}
