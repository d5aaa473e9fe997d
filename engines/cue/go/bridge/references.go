package bridge

import (
	"fmt"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

const theTemplate = "the template"

// undeclaredUses finds where a template selects a field of `parameter` that it does not declare: that is
// no error for CUE until the template is rendered.
func (v *validation) undeclaredUses(where stage, file *ast.File) {
	v.undeclaredIn(where, theTemplate, file, declarations{file})
}

// undeclaredIn looks at the fields of `parameter` that a text reads, and another one declares.
func (v *validation) undeclaredIn(where stage, user string, file *ast.File, names declarations) {
	if names.topLevel("parameter") == nil {
		return
	}
	inner := map[ast.Node]bool{}
	reported := map[string]bool{}
	ast.Walk(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || inner[node] {
			return true
		}
		path, labels := selection(selector, inner)
		if len(path) < 2 || path[0] != "parameter" {
			return true
		}
		for i := 1; i < len(path); i++ {
			schema := names.of(names.at(path[:i]))
			if _, ok := schema.fields[path[i]]; ok {
				continue
			}
			text := pathText(path[:i+1])
			if schema.open || len(schema.fields) == 0 || reported[text] {
				return true
			}
			reported[text] = true
			v.undeclaredUse(where, user, text, path[i], labels[i], schema)
			return true
		}
		return true
	}, nil)
}

// undeclaredUse is an error where the parameter is closed: nobody can ever give it.
func (v *validation) undeclaredUse(where stage, user, path, name string, at token.Pos, schema declared) {
	owner := "it"
	if user != theTemplate {
		owner = theTemplate
	}
	found := diagnostic{
		Kind: kindReference, Path: path,
		Message: fmt.Sprintf("%s uses %s, which %s does not declare", user, path, owner),
		Hint:    didYouMean(name, sortedKeys(schema.fields)),
	}
	if place, ok := where.source.locate(at.Line(), at.Column()); ok && at.IsValid() {
		found.Positions = []position{place}
	}
	if schema.closed {
		v.result.Errors = append(v.result.Errors, found)
	} else {
		v.result.Warnings = append(v.result.Warnings, found)
	}
}

// selection gives the names of a.b.c and where they stand; what is inside it is marked as seen. It is
// empty for a selection of anything but names.
func selection(selector *ast.SelectorExpr, inner map[ast.Node]bool) ([]string, []token.Pos) {
	label, _, err := ast.LabelName(selector.Sel)
	if err != nil {
		return nil, nil
	}
	var path []string
	var places []token.Pos
	switch x := selector.X.(type) {
	case *ast.Ident:
		path, places = []string{x.Name}, []token.Pos{x.Pos()}
	case *ast.SelectorExpr:
		inner[x] = true
		path, places = selection(x, inner)
	}
	if len(path) == 0 {
		return nil, nil
	}
	return append(path, label), append(places, selector.Sel.Pos())
}
