package bridge

import (
	"fmt"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// statusUses finds what a status text reads and the template never has: parameters that it does not declare, and
// outputs that it does not make.
func (v *validation) statusUses(where stage, user string, file *ast.File) {
	template, err := parser.ParseFile("template.cue", v.request.Template.Source, parser.ParseComments)
	if err != nil || v.request.Template.Source == "" {
		return
	}
	names := declarations{template}
	v.undeclaredIn(where, user, file, names)
	v.absentOutputs(where, file, names)
}

// absentOutputs looks at `context.outputs.name` and `context.outputs["name"]`.
func (v *validation) absentOutputs(where stage, file *ast.File, names declarations) {
	made := names.of(&ast.StructLit{Elts: names.file.Decls})
	known := declared{fields: map[string]ast.Expr{}}
	if outputs, ok := made.fields["outputs"]; ok {
		known = names.of(outputs)
	}
	if known.open || made.open {
		return
	}
	reported := map[string]bool{}
	ast.Walk(file, func(node ast.Node) bool {
		name, at := outputRead(node)
		if name == "" || reported[name] {
			return true
		}
		if _, ok := known.fields[name]; !ok {
			reported[name] = true
			v.warn(where, at, diagnostic{
				Kind: kindReference, Path: "context.outputs." + name,
				Message: fmt.Sprintf("the template makes no outputs.%s", name),
				Hint:    didYouMean(name, sortedKeys(known.fields)),
			})
		}
		return true
	}, nil)
}

// outputRead gives the name of the output that an expression selects; empty for others.
func outputRead(node ast.Node) (string, token.Pos) {
	switch x := node.(type) {
	case *ast.SelectorExpr:
		if name, _, err := ast.LabelName(x.Sel); err == nil && isOutputs(x.X) {
			return name, x.Sel.Pos()
		}
	case *ast.IndexExpr:
		if literal, ok := x.Index.(*ast.BasicLit); ok && literal.Kind == token.STRING && isOutputs(x.X) {
			return plain(literal.Value), literal.Pos()
		}
	}
	return "", token.NoPos
}

func isOutputs(expr ast.Expr) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	name, _, err := ast.LabelName(selector.Sel)
	base, ok := selector.X.(*ast.Ident)
	return err == nil && ok && name == "outputs" && base.Name == "context"
}

// contradicts says whether a condition wants one value to be two things at once, so that it never holds.
func contradicts(names declarations, expr ast.Expr) bool {
	wanted := map[string]string{}
	var holds func(ast.Expr) bool
	holds = func(expr ast.Expr) bool {
		switch x := expr.(type) {
		case *ast.ParenExpr:
			return holds(x.X)
		case *ast.BinaryExpr:
			if x.Op == token.LAND {
				return holds(x.X) && holds(x.Y)
			}
			if literal, ok := x.Y.(*ast.BasicLit); ok && x.Op == token.EQL {
				side := sideText(names, x.X)
				before, known := wanted[side]
				wanted[side] = literal.Value
				return side == "" || !known || before == literal.Value
			}
		}
		return true
	}
	return !holds(expr)
}

// sideText writes one side of a comparison, behind the name that the text gives it.
func sideText(names declarations, expr ast.Expr) string {
	if ident, ok := expr.(*ast.Ident); ok {
		if selected, ok := names.topLevel(ident.Name).(*ast.SelectorExpr); ok {
			expr = selected
		}
	}
	text, err := format.Node(expr)
	if err != nil {
		return ""
	}
	return string(text)
}
