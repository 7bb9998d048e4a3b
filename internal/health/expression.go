package health

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
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

// language is what expressions can use: CEL's standard library, optional fields
// (self.?status.?phase), its extension for strings, and our own functions.
var language = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(append(functions(),
		cel.Variable("self", cel.MapType(cel.StringType, cel.DynType)),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(4)),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(100),
	)...)
})

// programs compiles the rule, once.
func (r *rule) programs() (*programs, error) {
	r.once.Do(func() {
		if r.compiled.when, r.err = compile(r.when, cel.BoolType); r.err != nil {
			r.err = fmt.Errorf("when: %w", r.err)
			return
		}
		if r.message == "" {
			return
		}
		if r.compiled.message, r.err = compile(r.message, cel.StringType); r.err != nil {
			r.err = fmt.Errorf("message: %w", r.err)
		}
	})
	return &r.compiled, r.err
}

// compile compiles an expression that must give a type, or one that can't be told
// before it is evaluated.
func compile(expression string, want *cel.Type) (cel.Program, error) {
	env, err := language()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if got := ast.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s, and must give %s", got, want)
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !short(ast.NativeRep()) {
		options = append(options, cel.CostLimit(maxCost))
	}
	return env.Program(ast, options...)
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

// single tells whether an expression is known to give one number, text or truth.
func single(a *celast.AST, e celast.Expr) bool {
	switch a.GetType(e.ID()).Kind() {
	case types.BoolKind, types.IntKind, types.StringKind:
		return true
	}
	return false
}

// subject is an object as the variable self.
type subject struct{ self ref.Val }

func subjectOf(object map[string]any) *subject {
	return &subject{types.NewStringInterfaceMap(types.DefaultTypeAdapter, object)}
}

// ResolveName implements cel.Activation.
func (s *subject) ResolveName(name string) (any, bool) {
	if name == "self" {
		return s.self, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (s *subject) Parent() cel.Activation { return nil }

// isTrue evaluates an expression that is true or false.
func (s *subject) isTrue(p cel.Program) (bool, error) {
	v, _, err := p.Eval(s)
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
	v, _, err := p.Eval(s)
	if err != nil {
		return "", err
	}
	t, ok := v.(types.String)
	if !ok {
		return "", errors.New("it is not text")
	}
	return string(t), nil
}
