package health

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// CEL counts the cost of a step after it was made, and takes a list that holds the
// same list ten times for short. So an expression of a line can make a value that
// no comparison ever gets through: [l, l].map(a, [a, a]).map(a, [a, a])... What
// an expression makes is therefore no larger than what it is made of: a list that
// it makes holds texts, numbers and truths, or parts of the object as they are.

// grows returns an error that names the place if an expression makes a list or map
// of other things.
func grows(a *cel.Ast) error {
	native := a.NativeRep()
	var found error
	at := func(e celast.Expr, text string) {
		if found == nil {
			found = errors.New(place(native.SourceInfo().GetStartLocation(e.ID())) + text)
		}
	}
	elements := func(e celast.Expr, all []celast.Expr, iterVar string) {
		for _, element := range all {
			if single(native, element) || len(all) == 1 && part(native, element, iterVar) {
				continue
			}
			at(element, "a list or map that an expression makes can hold texts, numbers and parts of the object; "+
				"say which text or number is meant, as in x.text('reason')")
		}
	}
	var visit func(e celast.Expr, iterVar string)
	visit = func(e celast.Expr, iterVar string) {
		switch e.Kind() {
		case celast.SelectKind:
			visit(e.AsSelect().Operand(), iterVar)
		case celast.CallKind:
			c := e.AsCall()
			if c.IsMemberFunction() {
				visit(c.Target(), iterVar)
			}
			for _, arg := range c.Args() {
				visit(arg, iterVar)
			}
		case celast.ListKind:
			elements(e, e.AsList().Elements(), iterVar)
			for _, element := range e.AsList().Elements() {
				visit(element, iterVar)
			}
		case celast.MapKind:
			for _, entry := range e.AsMap().Entries() {
				elements(e, []celast.Expr{entry.AsMapEntry().Key(), entry.AsMapEntry().Value()}, iterVar)
				visit(entry.AsMapEntry().Value(), iterVar)
			}
		case celast.StructKind:
			at(e, "expressions make no messages")
		case celast.ComprehensionKind:
			c := e.AsComprehension()
			// Macros that give a value a name begin with that value.
			if k := c.AccuInit(); k.Kind() != celast.LiteralKind && (k.Kind() != celast.ListKind || k.AsList().Size() > 0) {
				at(e, "optMap and optFlatMap are not to be had; use orValue, or the functions that take a path")
			}
			visit(c.IterRange(), iterVar)
			for _, inner := range []celast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
				visit(inner, c.IterVar())
			}
		}
	}
	visit(native.Expr(), "")
	return found
}

// part tells whether an expression gives something of the object, or of what the
// innermost loop goes over, as it is.
func part(a *celast.AST, e celast.Expr, iterVar string) bool {
	switch e.Kind() {
	case celast.LiteralKind:
		return true
	case celast.IdentKind:
		return e.AsIdent() == self || e.AsIdent() == app || e.AsIdent() == iterVar
	case celast.SelectKind:
		return part(a, e.AsSelect().Operand(), iterVar)
	case celast.CallKind:
		c := e.AsCall()
		switch c.FunctionName() {
		case operators.Index, operators.OptIndex, operators.OptSelect:
			return part(a, c.Args()[0], iterVar)
		case "list":
			return c.IsMemberFunction() && part(a, c.Target(), iterVar)
		case "orValue":
			return c.IsMemberFunction() && part(a, c.Target(), iterVar) && single(a, c.Args()[0])
		}
	}
	return false
}

// single tells whether an expression is known to give one number, text or truth.
func single(a *celast.AST, e celast.Expr) bool {
	switch a.GetType(e.ID()).Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.NullTypeKind:
		return true
	}
	return false
}

// place is where in an expression something is, to stand before a message.
func place(at interface {
	Line() int
	Column() int
}) string {
	if at.Line() > 1 {
		return fmt.Sprintf("line %d, column %d: ", at.Line(), at.Column()+1)
	}
	return fmt.Sprintf("column %d: ", at.Column()+1)
}
