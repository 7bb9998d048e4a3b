package health

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

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
	when    *program
	message *program // nil without
}

// program is a compiled expression.
type program struct {
	cel.Program
	// cost is that of an expression whose steps are not counted while it is
	// evaluated.
	cost uint64
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
		cost = findCost(0)
		if o, ok := args[0].Value().(map[string]any); ok {
			all, _ := conditionsOf(o)
			cost = findCost(len(all))
		}
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
		if r.compiled.when, r.err = compiled(r.when, cel.BoolType); r.err != nil {
			r.err = about("when", r.when, r.err)
			return
		}
		if r.message == "" {
			return
		}
		if r.compiled.message, r.err = compiled(r.message, cel.StringType); r.err != nil {
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

// source is what a program is made of.
type source struct {
	expression string
	want       *cel.Type
}

// inUse are the programs in use, so that Apps that have the same rules share them:
// one takes some 8 KiB.
var inUse = struct {
	sync.Mutex
	programs map[source]weak.Pointer[program]
}{programs: map[source]weak.Pointer[program]{}}

// compiled is compile, or what it gave before.
func compiled(expression string, want *cel.Type) (*program, error) {
	from := source{expression, want}
	inUse.Lock()
	p := inUse.programs[from].Value()
	inUse.Unlock()
	if p != nil {
		return p, nil
	}
	made, err := compile(expression, want)
	if err != nil {
		return nil, err
	}
	p = &made
	inUse.Lock()
	defer inUse.Unlock()
	if other := inUse.programs[from].Value(); other != nil {
		return other, nil
	}
	inUse.programs[from] = weak.Make(p)
	runtime.AddCleanup(p, func(from source) {
		inUse.Lock()
		defer inUse.Unlock()
		if inUse.programs[from].Value() == nil {
			delete(inUse.programs, from)
		}
	}, from)
	return p, nil
}

// compile compiles an expression that must give a type, or one that can't be told
// before it is evaluated.
func compile(expression string, want *cel.Type) (p program, err error) {
	env, err := language()
	if err != nil {
		return p, err
	}
	return compileIn(env, expression, want)
}

func compileIn(env *cel.Env, expression string, want *cel.Type) (p program, err error) {
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		first := issues.Errors()[0]
		return p, errors.New(place(first.Location) + strings.TrimSuffix(first.Message, " (in container '')"))
	}
	if got := ast.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return p, fmt.Errorf("it gives %s, and must give %s", typeName(got), typeName(want))
	}
	if err := grows(ast); err != nil {
		return p, err
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	var short bool
	if p.cost, short = costOf(ast.NativeRep()); !short {
		p.cost = 0
		options = append(options, cel.CostLimit(maxCost), cel.CostTracking(costs{}))
	}
	p.Program, err = env.Program(ast, options...)
	return p, err
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
	"text", "flag", "list", "number", "annotation", "label",
}

// finders are the functions that look for a condition.
var finders = []string{"condition", "is", "isNot", "reason", "why"}

// findCost is what a look for one of so many conditions costs.
func findCost(conditions int) uint64 { return 10 + uint64(conditions)/4 }

// compared are the functions that are quick on what is known to be one number,
// text or truth.
var compared = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
}

// costOf returns the cost of an expression, and true, if it is evaluated in a time
// that the length of its text bounds. To count the cost of such a one while it runs
// costs more than to evaluate it, and most conditions are so.
func costOf(a *celast.AST) (cost uint64, short bool) {
	short = true
	celast.PostOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		cost++
		switch e.Kind() {
		case celast.IdentKind, celast.SelectKind, celast.LiteralKind:
		case celast.ListKind:
			for _, element := range e.AsList().Elements() {
				short = short && element.Kind() == celast.LiteralKind
			}
		case celast.CallKind:
			call := e.AsCall()
			switch name := call.FunctionName(); {
			case slices.Contains(finders, name):
				cost += findCost(maxConditions)
			case slices.Contains(quick, name):
			case slices.Contains(compared, name):
				for _, arg := range call.Args() {
					short = short && single(a, arg)
				}
			case name == operators.In:
				short = short && single(a, call.Args()[0]) && call.Args()[1].Kind() == celast.ListKind
			default:
				short = false
			}
		default:
			short = false
		}
	}))
	return cost, short
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
func (s *subject) isTrue(p *program) (bool, error) {
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
func (s *subject) text(p *program) (string, error) {
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
func (s *subject) eval(p *program) (ref.Val, error) {
	if s.spent += p.cost; s.spent > maxCost {
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
