package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// Older CUE added and multiplied lists with + and *, and had no built-in `error`. Definitions written then
// are rewritten on the way in (row REN-044). Imports that nothing uses are left out as well: KubeVela ends a
// workflow step that has one as succeeded without doing anything (docs/decisions/0009-unused-imports.md).

var errorLabel = regexp.MustCompile(`\berror\s*[?!]?\s*:`)

// modernise rewrites a parsed file in place and says what it changed; the positions are those before.
func modernise(file *ast.File, text string) []rewrite {
	unused := unusedImports(file)
	var made []rewrite
	if strings.ContainsAny(text, "+*") {
		made = append(made, listArithmetic(file)...)
	}
	if len(made) > 0 {
		// What was just rewritten calls it.
		unused = slices.DeleteFunc(unused, func(spec *ast.ImportSpec) bool { return spec.Path.Value == `"list"` })
	}
	made = append(made, dropImports(file, unused)...)
	if errorLabel.MatchString(text) {
		made = append(made, quoteErrorLabels(file)...)
	}
	return made
}

// rewrite is one change.
type rewrite struct {
	at      token.Pos
	message string
}

func (s stage) warnings(made []rewrite) []diagnostic {
	var found []diagnostic
	for _, change := range made {
		one := diagnostic{Kind: kindOther, Message: change.message, Hint: "`caravel def upgrade` rewrites the file"}
		if place, ok := s.source.locate(change.at.Line(), change.at.Column()); ok {
			one.Positions = []position{place}
		}
		found = append(found, one)
	}
	return found
}

// unusedImports finds the imports that no name of the file refers to. One whose name is also a field at the top
// is left to CUE, which tells the author that they clash.
func unusedImports(file *ast.File) []*ast.ImportSpec {
	if len(file.Imports) == 0 {
		return nil
	}
	used := map[string]bool{}
	for _, ident := range file.Unresolved {
		used[ident.Name] = true
	}
	for _, decl := range file.Decls {
		if field, ok := decl.(*ast.Field); ok {
			if name, _, err := ast.LabelName(field.Label); err == nil {
				used[name] = true
			}
		}
	}
	referred := map[ast.Node]bool{}
	ast.Walk(file, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && ident.Node != nil {
			referred[ident.Node] = true
		}
		return true
	}, nil)
	var unused []*ast.ImportSpec
	for _, spec := range file.Imports {
		info, err := astutil.ParseImportSpec(spec)
		if err == nil && !used[info.Ident] && !referred[spec] {
			unused = append(unused, spec)
		}
	}
	return unused
}

// dropImports takes imports out of a file.
func dropImports(file *ast.File, unused []*ast.ImportSpec) []rewrite {
	if len(unused) == 0 {
		return nil
	}
	var made []rewrite
	for _, spec := range unused {
		made = append(made, rewrite{spec.Pos(), fmt.Sprintf("imported and not used: %s", spec.Path.Value)})
	}
	isUnused := func(spec *ast.ImportSpec) bool { return slices.Contains(unused, spec) }
	file.Imports = slices.DeleteFunc(file.Imports, isUnused)
	file.Decls = slices.DeleteFunc(file.Decls, func(decl ast.Decl) bool {
		imports, ok := decl.(*ast.ImportDecl)
		if !ok {
			return false
		}
		imports.Specs = slices.DeleteFunc(imports.Specs, isUnused)
		return len(imports.Specs) == 0
	})
	return made
}

func quoteErrorLabels(file *ast.File) []rewrite {
	var made []rewrite
	ast.Walk(file, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		if ident, ok := field.Label.(*ast.Ident); ok && ident.Name == "error" {
			label := ast.NewString("error")
			ast.SetPos(label, ident.Pos())
			field.Label = label
			made = append(made, rewrite{ident.Pos(), "the field error must be quoted, because error is a built-in of CUE now"})
		}
		return true
	}, nil)
	return made
}

func listArithmetic(file *ast.File) []rewrite {
	if !mayAddLists(file) {
		return nil
	}
	lists := listNames(file)
	list, imported := listImport(file)
	var made []rewrite
	astutil.Apply(file, func(cursor astutil.Cursor) bool {
		binary, ok := cursor.Node().(*ast.BinaryExpr)
		if !ok {
			return true
		}
		switch binary.Op {
		case token.ADD:
			operands := summands(binary)
			for _, operand := range operands {
				if !lists.isList(operand) {
					return true
				}
			}
			made = append(made, rewrite{binary.Pos(), "lists are added with + : list.Concat([…]) is meant"})
			cursor.Replace(callOf(list, "Concat", &ast.ListLit{Elts: operands}))
		case token.MUL:
			x, count := binary.X, binary.Y
			if !lists.isList(x) {
				x, count = count, x
			}
			if !lists.isList(x) || lists.isList(count) {
				return true
			}
			made = append(made, rewrite{binary.Pos(), "a list is repeated with * : list.Repeat(list, count) is meant"})
			cursor.Replace(callOf(list, "Repeat", x, count))
		}
		return true
	}, nil)
	if len(made) > 0 && !imported {
		spec := ast.NewImport(nil, "list")
		if list != "list" {
			spec = ast.NewImport(ast.NewIdent(list), "list")
		}
		file.Imports = append(file.Imports, spec)
		file.Decls = append([]ast.Decl{&ast.ImportDecl{Specs: []*ast.ImportSpec{spec}}}, file.Decls...)
	}
	if len(made) > 0 {
		unresolve(file)
	}
	return made
}

// mayAddLists says whether there is a + that does not plainly add texts or numbers, or a * at all: a fast
// answer for most templates.
func mayAddLists(file *ast.File) bool {
	found := false
	ast.Walk(file, func(node ast.Node) bool {
		if binary, ok := node.(*ast.BinaryExpr); ok {
			found = found || binary.Op == token.MUL || binary.Op == token.ADD && !isScalar(binary)
		}
		return !found
	}, nil)
	return found
}

// isScalar says whether an expression is a text or a number by its looks.
func isScalar(expr ast.Expr) bool {
	switch x := expr.(type) {
	case *ast.BasicLit, *ast.Interpolation:
		return true
	case *ast.BinaryExpr:
		return isScalar(x.X) || isScalar(x.Y)
	}
	return false
}

// unresolve forgets what names refer to, because some of it was replaced; CUE resolves them anew.
func unresolve(file *ast.File) {
	file.Unresolved = nil
	ast.Walk(file, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok {
			ident.Node, ident.Scope = nil, nil
		}
		return true
	}, nil)
}

// listImport gives the name under which a file has, or can have, the package list.
func listImport(file *ast.File) (name string, imported bool) {
	for _, spec := range file.Imports {
		if spec.Path.Value == `"list"` {
			if spec.Name != nil {
				return spec.Name.Name, true
			}
			return "list", true
		}
	}
	name = "list"
	ast.Walk(file, func(node ast.Node) bool {
		if field, ok := node.(*ast.Field); ok {
			if label, _, _ := ast.LabelName(field.Label); label == "list" {
				name = "cuelist"
			}
		}
		return true
	}, nil)
	return name, false
}

// callOf makes <list>.<name>(args…).
func callOf(list, name string, args ...ast.Expr) ast.Expr {
	for _, arg := range args {
		ast.SetRelPos(arg, token.NoRelPos)
	}
	return &ast.CallExpr{Fun: &ast.SelectorExpr{X: ast.NewIdent(list), Sel: ast.NewIdent(name)}, Args: args}
}

// summands takes a chain of + apart.
func summands(expr ast.Expr) []ast.Expr {
	if binary, ok := expr.(*ast.BinaryExpr); ok && binary.Op == token.ADD {
		return append(summands(binary.X), summands(binary.Y)...)
	}
	return []ast.Expr{expr}
}

// listFields knows which fields and let clauses hold lists, by name: good enough, because a name that is
// a list somewhere is hardly a number elsewhere, and only + and * between two of them are touched.
type listFields map[string]bool

func listNames(file *ast.File) listFields {
	lists := listFields{}
	for grew := true; grew; {
		grew = false
		ast.Walk(file, func(node ast.Node) bool {
			name, value := "", ast.Expr(nil)
			switch x := node.(type) {
			case *ast.Field:
				name, _, _ = ast.LabelName(x.Label)
				value = x.Value
			case *ast.LetClause:
				name, value = x.Ident.Name, x.Expr
			}
			if name != "" && !lists[name] && lists.isList(value) {
				lists[name], grew = true, true
			}
			return true
		}, nil)
	}
	return lists
}

func (l listFields) isList(expr ast.Expr) bool {
	switch x := expr.(type) {
	case *ast.ListLit:
		return true
	case *ast.Ident:
		return l[x.Name]
	case *ast.SelectorExpr:
		if name, _, err := ast.LabelName(x.Sel); err == nil {
			return l[name]
		}
	case *ast.ParenExpr:
		return l.isList(x.X)
	case *ast.UnaryExpr:
		return x.Op == token.MUL && l.isList(x.X)
	case *ast.BinaryExpr:
		switch x.Op {
		case token.OR, token.AND:
			return l.isList(x.X) || l.isList(x.Y)
		case token.ADD:
			return l.isList(x.X) && l.isList(x.Y)
		case token.MUL:
			return l.isList(x.X) != l.isList(x.Y)
		}
	case *ast.CallExpr:
		selector, ok := x.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := selector.X.(*ast.Ident)
		name, _, _ := ast.LabelName(selector.Sel)
		return ok && pkg.Name == "list" && returnsList[name]
	}
	return false
}

var returnsList = map[string]bool{
	"Concat": true, "Repeat": true, "Range": true, "Slice": true, "Sort": true, "SortStable": true, "SortStrings": true,
	"Drop": true, "Take": true, "FlattenN": true, "Reverse": true,
}

// upgrade rewrites a text for today's CUE.
func upgrade(request *formatRequest) (*upgradeResult, error) {
	name := request.File
	if name == "" {
		name = "source.cue"
	}
	where := stage{source: newSource(name, request.Source)}
	file, err := where.source.parse()
	if err != nil {
		return nil, definitionFailure(where, err)
	}
	made := modernise(file, request.Source)
	result := &upgradeResult{Source: request.Source, Changes: append([]diagnostic{}, where.warnings(made)...)}
	if len(made) == 0 {
		return result, nil
	}
	text, err := format.Node(file)
	if err != nil {
		return nil, definitionFailure(where, err)
	}
	if _, err := parser.ParseFile(name, text); err != nil {
		return nil, fmt.Errorf("the rewritten text does not parse: %w", err)
	}
	result.Source = string(text)
	return result, nil
}
