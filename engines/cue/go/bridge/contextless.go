package bridge

import (
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
)

// contextless takes out of a template's `parameter` what only the context of a component decides: alternatives
// and fields that refer to it, and what is declared under a condition on it. The schema is made of what is left
// where it cannot be made of the whole. It is empty where nothing had to be taken out, or the text is no CUE.
func contextless(name, text string) string { return reduced(name, text, withoutContext) }

// unconditional takes out of a template's `parameter` what is declared under a condition: where the condition needs a
// parameter that has no default, the whole struct has no value before it is given.
func unconditional(name, text string) string { return reduced(name, text, withoutConditions) }

// reduced writes the text with the expressions that parameters are made of in place of those that it has, and without
// the objects. It is empty where nothing had to be changed, or the text is no CUE.
func reduced(name, text string, replace func(ast.Expr, *bool) ast.Expr) string {
	file, err := parser.ParseFile(name, text, parser.ParseComments)
	if err != nil {
		return ""
	}
	changed := false
	var kept []ast.Decl
	for _, decl := range file.Decls {
		field, ok := decl.(*ast.Field)
		if !ok {
			kept = append(kept, decl)
			continue
		}
		label, _, err := ast.LabelName(field.Label)
		// Objects say nothing about parameters, and use what is taken away.
		if err == nil && isObject(label) {
			continue
		}
		// Definitions may be what `parameter` is made of.
		if err == nil && (label == "parameter" || isDefinition(label)) {
			field.Value = replace(field.Value, &changed)
		}
		kept = append(kept, decl)
	}
	if !changed {
		return ""
	}
	file.Decls = kept
	written, err := format.Node(file)
	if err != nil {
		return ""
	}
	return string(written)
}

func withoutConditions(expr ast.Expr, changed *bool) ast.Expr {
	ast.Walk(expr, func(node ast.Node) bool {
		if body, ok := node.(*ast.StructLit); ok {
			before := len(body.Elts)
			body.Elts = slices.DeleteFunc(body.Elts, isConditional)
			*changed = *changed || len(body.Elts) < before
		}
		return true
	}, nil)
	return expr
}

func isConditional(decl ast.Decl) bool {
	x, ok := decl.(*ast.Comprehension)
	if !ok {
		return false
	}
	_, ok = x.Clauses[0].(*ast.IfClause)
	return ok && len(x.Clauses) == 1
}

func isObject(label string) bool {
	switch label {
	case "output", "outputs", "patch", "patchOutputs", "processing", "errs":
		return true
	}
	return false
}

func isDefinition(label string) bool { return len(label) > 0 && label[0] == '#' }

// withoutContext gives what an expression says without the context: `_` where that is nothing.
func withoutContext(expr ast.Expr, changed *bool) ast.Expr {
	if !refersToContext(expr) {
		return expr
	}
	switch x := expr.(type) {
	case *ast.StructLit:
		var kept []ast.Decl
		for _, decl := range x.Elts {
			if decl := declWithoutContext(decl, changed); decl != nil {
				kept = append(kept, decl)
			}
		}
		x.Elts = kept
		return x
	case *ast.ParenExpr:
		x.X = withoutContext(x.X, changed)
		return x
	case *ast.BinaryExpr:
		// `*context.name | string` accepts any string; of `context.x & string` the type is left.
		*changed = true
		switch left, right := refersToContext(x.X), refersToContext(x.Y); {
		case left && right:
			return ast.NewIdent("_")
		case left:
			return x.Y
		default:
			return x.X
		}
	}
	*changed = true
	return ast.NewIdent("_")
}

func declWithoutContext(decl ast.Decl, changed *bool) ast.Decl {
	if !refersToContext(decl) {
		return decl
	}
	switch x := decl.(type) {
	case *ast.Field:
		x.Value = withoutContext(x.Value, changed)
		return x
	case *ast.EmbedDecl:
		x.Expr = withoutContext(x.Expr, changed)
		return x
	}
	*changed = true
	return nil
}

func refersToContext(node ast.Node) bool {
	found := false
	ast.Walk(node, func(inner ast.Node) bool {
		if ident, ok := inner.(*ast.Ident); ok && ident.Name == "context" {
			found = true
		}
		return !found
	}, nil)
	return found
}
