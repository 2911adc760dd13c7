package main

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// anyError reports tests that ask only whether there was an error. A test of a
// refusal holds the error against the one that is meant: any other error, such
// as a missing file, would pass for it.
var anyError = &analysis.Analyzer{
	Name: "anyerror",
	Doc:  "report tests that are content with any error: expect the error that is meant, by errors.Is, errors.As or its text",
	Run: func(pass *analysis.Pass) (any, error) {
		return nil, eachTestNode(pass, func(n ast.Node) { reportAnyError(pass, n) })
	},
}

// reportAnyError looks at statements `if err := f(); err == nil { t.Error(...) }`.
// There err ends with the statement, so nothing else can look at it.
func reportAnyError(pass *analysis.Pass, n ast.Node) {
	statement, ok := n.(*ast.IfStmt)
	if !ok || statement.Init == nil || !failsTest(pass, statement.Body) {
		return
	}
	failed, ok := comparedWithNil(statement.Cond)
	if !ok {
		return
	}
	object := pass.TypesInfo.ObjectOf(failed)
	if object == nil || !isError(object.Type()) || object.Pos() < statement.Pos() || object.Pos() >= statement.End() {
		return
	}
	if statement.Else == nil || !mentions(pass, statement.Else, object) {
		pass.Reportf(statement.Pos(), "any error passes this test: expect the one that is meant, by errors.Is, errors.As or its text")
	}
}

// comparedWithNil is err of the condition `err == nil`.
func comparedWithNil(condition ast.Expr) (*ast.Ident, bool) {
	comparison, ok := condition.(*ast.BinaryExpr)
	if !ok || comparison.Op != token.EQL {
		return nil, false
	}
	if right, ok := comparison.Y.(*ast.Ident); !ok || right.Name != "nil" {
		return nil, false
	}
	left, ok := comparison.X.(*ast.Ident)
	return left, ok
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// failsTest says whether a block itself, not one inside it, calls Error, Errorf,
// Fatal or Fatalf of package testing.
func failsTest(pass *analysis.Pass, block *ast.BlockStmt) bool {
	for _, statement := range block.List {
		expression, ok := statement.(*ast.ExprStmt)
		if !ok {
			continue
		}
		call, ok := expression.X.(*ast.CallExpr)
		if !ok {
			continue
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); ok && failures[method.Sel.Name] {
			called := pass.TypesInfo.ObjectOf(method.Sel)
			return called != nil && called.Pkg() != nil && called.Pkg().Path() == "testing"
		}
	}
	return false
}

var failures = map[string]bool{"Error": true, "Errorf": true, "Fatal": true, "Fatalf": true}

func mentions(pass *analysis.Pass, within ast.Node, object types.Object) bool {
	found := false
	ast.Inspect(within, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && pass.TypesInfo.ObjectOf(name) == object {
			found = true
		}
		return true
	})
	return found
}
