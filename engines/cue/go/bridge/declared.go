package bridge

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// declared is what a template's syntax says about the fields of a struct. It is read from the syntax,
// because the evaluated schema is gone once a value does not fit it.
type declared struct {
	fields map[string]ast.Expr
	// open says that further fields may be there, or that the syntax does not tell.
	open bool
	// closed says that no others are accepted: `close` or a definition.
	closed bool
	// immutable are the fields that a comment marks so (row REN-032).
	immutable map[string]bool
}

// declarations resolves names in a file.
type declarations struct{ file *ast.File }

// of gives the fields that an expression declares; several alternatives are taken together.
func (d declarations) of(expr ast.Expr) declared {
	found := declared{fields: map[string]ast.Expr{}}
	d.collect(expr, &found, 0)
	return found
}

// maxHops bounds how far references are followed: definitions may refer to themselves.
const maxHops = 32

func (d declarations) collect(expr ast.Node, found *declared, hops int) {
	if hops > maxHops {
		found.open = true
		return
	}
	switch x := expr.(type) {
	case *ast.StructLit:
		for _, decl := range x.Elts {
			d.collectDecl(decl, found, hops)
		}
	case *ast.BinaryExpr:
		d.collect(x.X, found, hops+1)
		d.collect(x.Y, found, hops+1)
	case *ast.UnaryExpr:
		d.collect(x.X, found, hops+1)
	case *ast.ParenExpr:
		d.collect(x.X, found, hops+1)
	case *ast.CallExpr:
		if name, ok := x.Fun.(*ast.Ident); ok && name.Name == "close" && len(x.Args) == 1 {
			d.collect(x.Args[0], found, hops+1)
			found.closed = true
			return
		}
		found.open = true
	case *ast.Ident, *ast.SelectorExpr:
		if name, ok := x.(*ast.Ident); ok && strings.HasPrefix(name.Name, "#") {
			found.closed = true
		}
		if target := d.resolve(x.(ast.Expr), hops+1); target != nil {
			d.collect(target, found, hops+1)
			return
		}
		found.open = true
	case *ast.BasicLit, *ast.ListLit, *ast.BottomLit:
	default:
		found.open = true
	}
}

func (d declarations) collectDecl(decl ast.Decl, found *declared, hops int) {
	switch x := decl.(type) {
	case *ast.Field:
		name, _, err := ast.LabelName(x.Label)
		if err != nil {
			// A pattern or a computed name.
			found.open = true
			return
		}
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#") {
			return
		}
		if isImmutable(x) {
			if found.immutable == nil {
				found.immutable = map[string]bool{}
			}
			found.immutable[name] = true
		}
		if other, ok := found.fields[name]; ok {
			found.fields[name] = &ast.BinaryExpr{X: other, Y: x.Value}
			return
		}
		found.fields[name] = x.Value
	case *ast.EmbedDecl:
		d.collect(x.Expr, found, hops+1)
	case *ast.Comprehension:
		d.collect(x.Value, found, hops+1)
	case *ast.Ellipsis:
		found.open = true
	}
}

// resolve gives what a name or a selection refers to, as far as the syntax tells.
func (d declarations) resolve(expr ast.Expr, hops int) ast.Expr {
	switch x := expr.(type) {
	case *ast.Ident:
		if target, ok := x.Node.(ast.Expr); ok {
			return target
		}
		if target, ok := x.Node.(*ast.Field); ok {
			return target.Value
		}
		return d.topLevel(x.Name)
	case *ast.SelectorExpr:
		name, _, err := ast.LabelName(x.Sel)
		if err != nil {
			return nil
		}
		var found declared
		found.fields = map[string]ast.Expr{}
		d.collect(x.X, &found, hops+1)
		return found.fields[name]
	}
	return nil
}

// topLevel gives the value of a field of the file; several declarations are taken together.
func (d declarations) topLevel(name string) ast.Expr {
	var value ast.Expr
	for _, decl := range d.file.Decls {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		if label, _, err := ast.LabelName(field.Label); err != nil || label != name {
			continue
		}
		if value == nil {
			value = field.Value
		} else {
			value = &ast.BinaryExpr{X: value, Y: field.Value}
		}
	}
	return value
}

// element gives what a list's elements are; nil where the syntax does not tell.
func (d declarations) element(expr ast.Node, hops int) ast.Expr {
	if hops > maxHops {
		return nil
	}
	switch x := expr.(type) {
	case *ast.ListLit:
		for _, element := range x.Elts {
			if rest, ok := element.(*ast.Ellipsis); ok {
				return rest.Type
			}
		}
	case *ast.BinaryExpr:
		if found := d.element(x.X, hops+1); found != nil {
			return found
		}
		return d.element(x.Y, hops+1)
	case *ast.UnaryExpr:
		return d.element(x.X, hops+1)
	case *ast.ParenExpr:
		return d.element(x.X, hops+1)
	case *ast.Ident, *ast.SelectorExpr:
		if target := d.resolve(x.(ast.Expr), hops+1); target != nil {
			return d.element(target, hops+1)
		}
	}
	return nil
}

// literals gives the structs, as they are written, that an expression is made of.
func (d declarations) literals(expr ast.Expr, hops int) []*ast.StructLit {
	if hops > maxHops {
		return nil
	}
	switch x := expr.(type) {
	case *ast.StructLit:
		all := []*ast.StructLit{x}
		for _, decl := range x.Elts {
			if embedded, ok := decl.(*ast.EmbedDecl); ok {
				all = append(all, d.literals(embedded.Expr, hops+1)...)
			}
		}
		return all
	case *ast.ParenExpr:
		return d.literals(x.X, hops+1)
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			return append(d.literals(x.X, hops+1), d.literals(x.Y, hops+1)...)
		}
	case *ast.Ident, *ast.SelectorExpr:
		return d.literals(d.resolve(x.(ast.Expr), hops+1), hops+1)
	}
	return nil
}

// at follows a path, as errors have it, from a top-level field.
func (d declarations) at(path []string) ast.Expr {
	if len(path) == 0 {
		return nil
	}
	expr := d.topLevel(path[0])
	for _, part := range path[1:] {
		if expr == nil {
			return nil
		}
		if _, err := strconv.Atoi(part); err == nil {
			if element := d.element(expr, 0); element != nil {
				expr = element
				continue
			}
		}
		expr = d.of(expr).fields[plain(part)]
	}
	return expr
}

// usesContext says whether the declaration at a path depends on `context`, which is not known when
// parameters are checked.
func (d declarations) usesContext(path []string) bool {
	expr := d.at(path)
	if expr == nil {
		return false
	}
	found := false
	ast.Walk(expr, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && ident.Name == "context" {
			found = true
		}
		return !found
	}, nil)
	return found
}

// hasDefault says whether the declaration at a path has a default: what is missing then is what the default is
// made of, and that may be the context.
func (d declarations) hasDefault(path []string) bool {
	return marksDefault(d.at(path))
}

// isComputed says whether a value may be open only because the context is not known.
func (d declarations) isComputed(path []string) bool {
	return d.usesContext(path) || d.hasDefault(path)
}

func marksDefault(expr ast.Expr) bool {
	switch x := expr.(type) {
	case *ast.BinaryExpr:
		return x.Op == token.OR && (marksDefault(x.X) || marksDefault(x.Y))
	case *ast.ParenExpr:
		return marksDefault(x.X)
	case *ast.UnaryExpr:
		return x.Op == token.MUL
	}
	return false
}

// undeclared lists the fields of some JSON that a schema does not have, with the names that it has.
func (d declarations) undeclared(path []string, expr ast.Expr, raw json.RawMessage, report func(path, known []string)) {
	raw = bytes.TrimSpace(raw)
	if expr == nil || len(raw) == 0 {
		return
	}
	switch raw[0] {
	case '[':
		var items []json.RawMessage
		element := d.element(expr, 0)
		if json.Unmarshal(raw, &items) != nil || element == nil {
			return
		}
		for i, item := range items {
			d.undeclared(append(path[:len(path):len(path)], strconv.Itoa(i)), element, item, report)
		}
	case '{':
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return
		}
		schema := d.of(expr)
		if isEmpty(expr) && len(path) > 1 {
			// `{}` says that it is a struct, and nothing about its fields.
			return
		}
		for _, key := range sortedKeys(object) {
			below := append(path[:len(path):len(path)], label(key))
			field, ok := schema.fields[key]
			switch {
			case ok:
				d.undeclared(below, field, object[key], report)
			case !schema.open:
				report(below, sortedKeys(schema.fields))
			}
		}
	}
}

func isEmpty(expr ast.Expr) bool {
	literal, ok := expr.(*ast.StructLit)
	return ok && len(literal.Elts) == 0
}

// nearest gives the known name that somebody probably meant; empty where none is close.
func nearest(name string, known []string) string {
	best, distance := "", max(len(name)/3, 1)+1
	sort.Strings(known)
	for _, candidate := range known {
		if strings.EqualFold(candidate, name) {
			return candidate
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements, and swaps of neighbours.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
