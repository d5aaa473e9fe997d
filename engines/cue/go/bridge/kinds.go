package bridge

import (
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// kinds is what an expression can come to, as far as its text tells.
type kinds uint8

const (
	listKind kinds = 1 << iota
	numberKind
	textKind
	otherKind

	addable  = listKind | numberKind | textKind
	scalar   = numberKind | textKind | otherKind
	anything = addable | otherKind
)

// element is the step of a path to what a list or a map holds; any other step is the name of a field.
const element = "[]"

// Limits of what is followed: beyond them an expression can be anything. They bound the work on a template that
// refers to itself in ever longer ways.
const (
	longestPath   = 16
	mostQuestions = 20_000
)

// typer finds out what expressions of a file can come to. Names are looked up where CUE looks them up, so that two
// fields of one name in different structs do not get in each other's way.
type typer struct {
	decls []ast.Decl
	known map[typed]kinds
}

type typed struct {
	expr ast.Expr
	path string
}

func newTyper(file *ast.File) *typer {
	return &typer{decls: file.Decls, known: map[typed]kinds{}}
}

// isList says whether an operand of + or * can only be a list.
func (t *typer) isList(operand ast.Expr) bool {
	return t.of(operand)&addable == listKind
}

// of gives what is at a path of an expression.
func (t *typer) of(expr ast.Expr, path ...string) kinds {
	if expr == nil || len(path) > longestPath || len(t.known) > mostQuestions {
		return anything
	}
	key := typed{expr, strings.Join(path, "\x00")}
	if found, ok := t.known[key]; ok {
		return found
	}
	// What refers to itself says nothing about itself.
	t.known[key] = anything
	found := t.find(expr, path)
	t.known[key] = found
	return found
}

func (t *typer) find(expr ast.Expr, path []string) kinds {
	switch x := expr.(type) {
	case *ast.ParenExpr:
		return t.of(x.X, path...)
	case *ast.Alias:
		return t.of(x.Expr, path...)
	case *ast.Ident:
		return t.named(x, path)
	case *ast.SelectorExpr:
		if name, _, err := ast.LabelName(x.Sel); err == nil {
			return t.of(x.X, prepend(name, path)...)
		}
	case *ast.IndexExpr:
		return t.of(x.X, prepend(indexed(x.Index), path)...)
	case *ast.StructLit:
		return t.inStruct(x.Elts, path)
	case *ast.ListLit:
		return t.inList(x, path)
	case *ast.BinaryExpr:
		return t.binary(x, path)
	case *ast.UnaryExpr:
		switch x.Op {
		case token.MUL:
			return t.of(x.X, path...)
		case token.NEQ:
			return anything
		}
		return scalar
	case *ast.BasicLit:
		return kindOfLiteral(x.Kind)
	case *ast.Interpolation:
		return textKind
	case *ast.SliceExpr:
		if len(path) == 0 {
			return listKind
		}
		return t.of(x.X, path...)
	case *ast.CallExpr:
		if len(path) == 0 && returnsList(x) {
			return listKind
		}
	}
	return anything
}

func prepend(step string, path []string) []string {
	return append([]string{step}, path...)
}

// indexed is the step that an index takes.
func indexed(index ast.Expr) string {
	if text, ok := index.(*ast.BasicLit); ok && text.Kind == token.STRING {
		if name, err := literal.Unquote(text.Value); err == nil {
			return name
		}
	}
	return element
}

func kindOfLiteral(kind token.Token) kinds {
	switch kind {
	case token.INT, token.FLOAT:
		return numberKind
	case token.STRING:
		return textKind
	}
	return otherKind
}

func (t *typer) binary(x *ast.BinaryExpr, path []string) kinds {
	left, right := t.of(x.X, path...), t.of(x.Y, path...)
	switch {
	case x.Op == token.OR:
		return left | right
	case x.Op == token.AND:
		return left & right
	case x.Op == token.ADD && len(path) > 0:
		return left | right
	case x.Op == token.ADD:
		return left & right & addable
	case x.Op == token.MUL && len(path) > 0:
		return anything
	case x.Op == token.MUL && (left&addable == listKind || right&addable == listKind):
		return listKind
	case x.Op == token.MUL:
		return (left | right) & addable
	}
	return scalar
}

func (t *typer) inList(list *ast.ListLit, path []string) kinds {
	if len(path) == 0 {
		return listKind
	}
	if path[0] != element || len(list.Elts) == 0 {
		return anything
	}
	var found kinds
	for _, one := range list.Elts {
		switch x := one.(type) {
		case *ast.Ellipsis:
			one = x.Type
		case *ast.Comprehension:
			one = x.Value
		}
		found |= t.of(one, path[1:]...)
	}
	return found
}

// inStruct looks into all declarations of a struct: each of them narrows what is there.
func (t *typer) inStruct(decls []ast.Decl, path []string) kinds {
	found := anything
	embeds := false
	for _, decl := range decls {
		switch x := decl.(type) {
		case *ast.EmbedDecl:
			embeds = true
			found &= t.of(x.Expr, path...)
		case *ast.Comprehension:
			embeds = true
			if len(path) > 0 {
				found &= t.of(x.Value, path...)
			}
		case *ast.Field:
			if len(path) > 0 && isFor(x.Label, path[0]) {
				found &= t.of(x.Value, path[1:]...)
			}
		}
	}
	if len(path) == 0 && !embeds {
		return otherKind
	}
	return found
}

// isFor says whether a label surely is that of a step: its name, or a pattern for all names.
func isFor(label ast.Label, step string) bool {
	if alias, ok := label.(*ast.Alias); ok {
		if inner, ok := alias.Expr.(ast.Label); ok {
			label = inner
		}
	}
	if pattern, ok := label.(*ast.ListLit); ok && len(pattern.Elts) == 1 {
		of, ok := pattern.Elts[0].(*ast.Ident)
		hidden := strings.HasPrefix(step, "_") || strings.HasPrefix(step, "#")
		return ok && of.Node == nil && (of.Name == "string" || of.Name == "_") && !hidden
	}
	name, _, err := ast.LabelName(label)
	return err == nil && name == step
}

// named looks up what a name refers to; what the parser put into the identifier is described at astutil.Resolve.
func (t *typer) named(ident *ast.Ident, path []string) kinds {
	if ident.Node == nil {
		return predeclared(ident.Name)
	}
	switch scope := ident.Scope.(type) {
	case *ast.ForClause:
		if ident.Node == ast.Node(scope.Value) {
			return t.of(scope.Source, prepend(element, path)...)
		}
		return numberKind | textKind
	case *ast.LetClause:
		return t.of(scope.Expr, path...)
	}
	switch node := ident.Node.(type) {
	case *ast.LetClause:
		return t.of(node.Expr, path...)
	case *ast.Alias:
		return t.of(node.Expr, path...)
	case *ast.Field:
		return t.of(node.Value, path...)
	}
	switch scope := ident.Scope.(type) {
	case *ast.StructLit:
		return t.inStruct(scope.Elts, prepend(ident.Name, path))
	case *ast.File:
		return t.inStruct(t.decls, prepend(ident.Name, path))
	}
	return anything
}

func predeclared(name string) kinds {
	switch strings.TrimPrefix(name, "__") {
	case "string", "bytes":
		return textKind
	case "int", "uint", "float", "number", "rune", "int8", "int16", "int32", "int64", "int128",
		"uint8", "uint16", "uint32", "uint64", "uint128", "float32", "float64":
		return numberKind
	case "bool":
		return otherKind
	}
	return anything
}

// listFunctions are functions of CUE's packages that give lists.
var listFunctions = map[string]bool{
	"list.Concat": true, "list.Repeat": true, "list.Range": true, "list.Slice": true, "list.Sort": true,
	"list.SortStable": true, "list.SortStrings": true, "list.Drop": true, "list.Take": true, "list.FlattenN": true,
	"list.Reverse": true, "strings.Split": true, "strings.SplitN": true, "strings.SplitAfter": true, "strings.Fields": true,
	"regexp.FindAll": true, "regexp.FindSubmatch": true,
}

func returnsList(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok {
		return false
	}
	spec, ok := pkg.Node.(*ast.ImportSpec)
	if !ok {
		return false
	}
	path, err := literal.Unquote(spec.Path.Value)
	name, _, labelErr := ast.LabelName(selector.Sel)
	return err == nil && labelErr == nil && listFunctions[path+"."+name]
}
