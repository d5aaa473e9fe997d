package bridge

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/token"
)

// Older CUE added and multiplied lists with + and *. Definitions written then are rewritten on the way in (row REN-044).
// A field that is called `error` like the built-in needs no quotes: names mean the field before they mean a built-in, and
// with quotes they would no longer. Imports that nothing uses are left out as well: KubeVela ends a
// workflow step that has one as succeeded without doing anything (docs/decisions/0009-unused-imports.md).

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

// listArithmetic replaces + and * of lists. Others are left alone, and so is what could be both: CUE evaluates it
// where it is none of lists, and says what to write where it is.
func listArithmetic(file *ast.File) []rewrite {
	if !mayAddLists(file) {
		return nil
	}
	found := findOperators(file)
	if len(found.made) == 0 {
		return nil
	}
	found.list = importList(file)
	astutil.Apply(file, nil, func(cursor astutil.Cursor) bool {
		if binary, ok := cursor.Node().(*ast.BinaryExpr); ok && found.ofLists[binary] {
			cursor.Replace(found.call(binary))
		}
		return true
	})
	unresolve(file)
	return found.made
}

// operators are the + and * of a file that add and repeat lists.
type operators struct {
	types   *typer
	ofLists map[*ast.BinaryExpr]bool
	made    []rewrite
	// list is what the package is called; sums are the calls of it that are new.
	list string
	sums map[ast.Expr]*ast.ListLit
}

func findOperators(file *ast.File) *operators {
	found := &operators{types: newTyper(file), ofLists: map[*ast.BinaryExpr]bool{}, sums: map[ast.Expr]*ast.ListLit{}}
	for _, decl := range file.Decls {
		ast.Walk(decl, func(node ast.Node) bool {
			if binary, ok := node.(*ast.BinaryExpr); ok && !found.ofLists[binary] {
				found.look(binary)
			}
			return true
		}, nil)
	}
	return found
}

func (o *operators) look(binary *ast.BinaryExpr) {
	switch binary.Op {
	case token.ADD:
		for _, operand := range summands(binary) {
			if o.types.isList(operand) {
				o.made = append(o.made, rewrite{binary.Pos(), "lists are added with + : list.Concat([…]) is meant"})
				o.markSum(binary)
				return
			}
		}
	case token.MUL:
		if o.types.isList(binary.X) != o.types.isList(binary.Y) {
			o.made = append(o.made, rewrite{binary.Pos(), "a list is repeated with * : list.Repeat(list, count) is meant"})
			o.ofLists[binary] = true
		}
	}
}

// markSum marks a sum with all sums in it: what is added to a list is a list.
func (o *operators) markSum(expr ast.Expr) {
	switch x := expr.(type) {
	case *ast.ParenExpr:
		o.markSum(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			o.ofLists[x] = true
			o.markSum(x.X)
			o.markSum(x.Y)
		}
	}
}

// call is what a + or * of lists becomes. What is in it has been replaced already.
func (o *operators) call(binary *ast.BinaryExpr) ast.Expr {
	if binary.Op == token.MUL {
		if o.types.isList(binary.X) {
			return callOf(o.list, "Repeat", binary.X, binary.Y)
		}
		return callOf(o.list, "Repeat", binary.Y, binary.X)
	}
	all := &ast.ListLit{}
	for _, operand := range []ast.Expr{binary.X, binary.Y} {
		inner := operand
		for paren, ok := inner.(*ast.ParenExpr); ok; paren, ok = inner.(*ast.ParenExpr) {
			inner = paren.X
		}
		if sum, ok := o.sums[inner]; ok {
			all.Elts = append(all.Elts, sum.Elts...)
		} else {
			ast.SetRelPos(operand, token.NoRelPos)
			all.Elts = append(all.Elts, operand)
		}
	}
	call := callOf(o.list, "Concat", all)
	o.sums[call] = all
	return call
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

// importList gives the name under which a file has the package list, which it imports if need be: under another name
// where the file uses that one for something else.
func importList(file *ast.File) string {
	taken := bindings(file)
	for _, spec := range file.Imports {
		if info, err := astutil.ParseImportSpec(spec); err == nil && info.ID == "list" && !taken[info.Ident] {
			return info.Ident
		}
	}
	name, spec := "list", ast.NewImport(nil, "list")
	for taken[name] || isImported(file, name) {
		name = "cue" + name
		spec = ast.NewImport(ast.NewIdent(name), "list")
	}
	file.Imports = append(file.Imports, spec)
	at := slices.IndexFunc(file.Decls, func(decl ast.Decl) bool {
		_, isPackage := decl.(*ast.Package)
		return !isPackage
	})
	file.Decls = slices.Insert(file.Decls, max(at, 0), ast.Decl(&ast.ImportDecl{Specs: []*ast.ImportSpec{spec}}))
	return name
}

// isImported says whether a package has the name in a file.
func isImported(file *ast.File, name string) bool {
	return slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool {
		info, err := astutil.ParseImportSpec(spec)
		return err == nil && info.Ident == name
	})
}

// bindings gives all names that a file declares anywhere, its imports excepted.
func bindings(file *ast.File) map[string]bool {
	names := map[string]bool{}
	add := func(node ast.Node) {
		if ident, ok := node.(*ast.Ident); ok && ident != nil {
			names[ident.Name] = true
		}
	}
	for _, decl := range file.Decls {
		ast.Walk(decl, func(node ast.Node) bool {
			switch x := node.(type) {
			case *ast.Field:
				add(x.Label)
			case *ast.Alias:
				add(x.Ident)
			case *ast.LetClause:
				add(x.Ident)
			case *ast.ForClause:
				add(x.Key)
				add(x.Value)
			}
			return true
		}, nil)
	}
	return names
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
	switch x := expr.(type) {
	case *ast.ParenExpr:
		return summands(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			return append(summands(x.X), summands(x.Y)...)
		}
	}
	return []ast.Expr{expr}
}
