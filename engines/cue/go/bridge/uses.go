package bridge

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// place is where a value stands in a template: `parameter.env` is {parameter, env}.
type place []string

// anyPart is a part of a place that only an evaluation knows: an item of a list, a field that is computed.
const anyPart = "*"

// use is a place that a template reads.
type use struct {
	place
	// whole says that what is in there comes along. Not so where it is only asked whether the place is there.
	whole bool
}

// alias says that what stands at one place is what stands at another.
type alias struct{ at, of place }

// flows is how values go through a template, as far as its syntax tells. It errs on one side: what it does not
// understand counts as read.
type flows struct {
	uses    []use
	aliases []alias
}

// sinks are the fields in which the template of a component or trait has its results; all others only help.
var sinks = []string{"output", "outputs", "patch", "patchOutputs", "processing", "errs"}

// flowsOf reads a template. In those of steps and policies every field is a result, but hidden ones.
func flowsOf(file *ast.File, kind string) *flows {
	found := &flows{}
	scope := flowScope{names: map[string][]place{"parameter": {{"parameter"}}}, words: map[string][]string{}, found: found}
	isResult := func(name string) bool {
		if kind == "component" || kind == "workload" || kind == "trait" {
			return slices.Contains(sinks, name)
		}
		return !isHidden(name)
	}
	for _, decl := range file.Decls {
		if name := fieldName(decl); name != "" && name != "parameter" && !isResult(name) {
			scope.names[name] = []place{{name}}
		}
	}
	scope.lets(file.Decls)
	for _, decl := range file.Decls {
		switch name := fieldName(decl); {
		case name == "parameter":
		case name != "" && !isResult(name):
			scope.decl(decl, place{})
		default:
			scope.decl(decl, nil)
		}
	}
	return found
}

func isHidden(name string) bool { return strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#") }

// fieldName is the name of a field; empty for one that is computed, and for what is no field.
func fieldName(decl ast.Decl) string {
	if field, ok := decl.(*ast.Field); ok {
		if name, _, err := ast.LabelName(field.Label); err == nil {
			return name
		}
	}
	return ""
}

// read says whether anything comes of what stands at a place of the parameters.
func (f *flows) read(at place) bool {
	known := map[string]bool{}
	return slices.ContainsFunc(f.uses, func(one use) bool { return f.reaches(one, at, known) })
}

// reaches says whether a use, or what flows into the place that is used, is about a place of the parameters.
func (f *flows) reaches(one use, at place, known map[string]bool) bool {
	key := fmt.Sprint(one.whole, " ", strings.Join(one.place, "\x00"))
	if known[key] || len(one.place) > maxHops {
		return false
	}
	known[key] = true
	if one.place[0] == "parameter" {
		return shares(one.place, at) && (len(one.place) >= len(at) || one.whole)
	}
	return slices.ContainsFunc(f.aliases, func(alias alias) bool {
		if !shares(alias.at, one.place) {
			return false
		}
		if len(alias.at) <= len(one.place) {
			return f.reaches(use{below(alias.of, one.place[len(alias.at):]...), one.whole}, at, known)
		}
		comesAlong := one.whole && !slices.ContainsFunc(alias.at[len(one.place):], isHidden)
		return comesAlong && f.reaches(use{alias.of, true}, at, known)
	})
}

// shares says whether one of two places may lie in the other.
func shares(a, b place) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && a[i] != anyPart && b[i] != anyPart {
			return false
		}
	}
	return true
}

func below(of place, parts ...string) place {
	return append(slices.Clone(of), parts...)
}

// flowScope is what names mean in a part of a template.
type flowScope struct {
	names map[string][]place
	// words are variables of loops over texts: `for k in ["cpu", "memory"]`.
	words map[string][]string
	found *flows
}

func (s flowScope) inner() flowScope {
	return flowScope{names: maps.Clone(s.names), words: maps.Clone(s.words), found: s.found}
}

// bind has a name mean places, or nothing that is of interest.
func (s flowScope) bind(name string, to []place) {
	delete(s.words, name)
	delete(s.names, name)
	if to != nil {
		s.names[name] = to
	}
}

// fresh binds a name to a place of its own, which an expression flows into.
func (s flowScope) fresh(name string, at token.Pos) place {
	own := place{fmt.Sprintf("%s at %d", name, at.Offset())}
	s.bind(name, []place{own})
	return own
}

// give has places flow to one, or out of the template where that is nil.
func (s flowScope) give(places []place, to place) {
	for _, of := range places {
		if to == nil {
			s.found.uses = append(s.found.uses, use{of, true})
		} else {
			s.found.aliases = append(s.found.aliases, alias{to, of})
		}
	}
}

func (s flowScope) lets(decls []ast.Decl) {
	var own []place
	for _, decl := range decls {
		if let, ok := decl.(*ast.LetClause); ok {
			own = append(own, s.fresh(let.Ident.Name, let.Ident.Pos()))
		}
	}
	for _, decl := range decls {
		if let, ok := decl.(*ast.LetClause); ok {
			s.expr(let.Expr, own[0])
			own = own[1:]
		}
	}
}

// structure has the fields of a struct flow to those of a place.
func (s flowScope) structure(decls []ast.Decl, to place) {
	scope := s.inner()
	for _, decl := range decls {
		name := fieldName(decl)
		if name == "#do" || name == "$params" {
			// A call takes what it is given out of the template.
			to = nil
		}
	}
	for _, decl := range decls {
		if name := fieldName(decl); name != "" {
			scope.bind(name, nil)
			if own := ownPlace(decl, name, to); own != nil {
				scope.names[name] = []place{own}
			}
		}
	}
	scope.lets(decls)
	for _, decl := range decls {
		scope.decl(decl, to)
	}
}

// ownPlace is where a field of a struct stands. A hidden one does not come out with the others.
func ownPlace(field ast.Decl, name string, of place) place {
	switch {
	case of != nil:
		return below(of, name)
	case isHidden(name):
		return place{fmt.Sprintf("%s at %d", name, field.Pos().Offset())}
	}
	return nil
}

func (s flowScope) decl(decl ast.Decl, to place) {
	switch x := decl.(type) {
	case *ast.Field:
		name := fieldName(x)
		if name == "" {
			name = anyPart
			ast.Walk(x.Label, func(node ast.Node) bool {
				if inner, ok := node.(*ast.Interpolation); ok {
					s.expr(inner, nil)
				}
				return true
			}, nil)
		}
		s.expr(x.Value, ownPlace(x, name, to))
	case *ast.EmbedDecl:
		s.expr(x.Expr, to)
	case *ast.Comprehension:
		s.comprehension(x, to)
	}
}

// expr has the value of an expression flow to a place.
func (s flowScope) expr(expr ast.Expr, to place) {
	if places := s.places(expr); places != nil {
		s.give(places, to)
		return
	}
	switch x := expr.(type) {
	case *ast.StructLit:
		s.structure(x.Elts, to)
	case *ast.ListLit:
		if to != nil {
			to = below(to, anyPart)
		}
		s.items(x, to)
	case *ast.Comprehension:
		s.comprehension(x, to)
	case *ast.ParenExpr:
		s.expr(x.X, to)
	case *ast.Alias:
		if to != nil {
			s.bind(x.Ident.Name, []place{to})
		}
		s.expr(x.Expr, to)
	case *ast.UnaryExpr:
		s.expr(x.X, to)
	case *ast.BinaryExpr:
		s.binary(x, to)
	case *ast.SelectorExpr:
		s.expr(x.X, nil)
	case *ast.IndexExpr:
		s.expr(x.Index, nil)
		// `[if a {b}, c][0]` is one of the items.
		if list, ok := x.X.(*ast.ListLit); ok {
			s.items(list, to)
		} else {
			s.expr(x.X, nil)
		}
	case *ast.CallExpr:
		s.call(x)
	case *ast.Interpolation:
		for _, part := range x.Elts {
			s.expr(part, nil)
		}
	case *ast.SliceExpr:
		s.expr(x.X, to)
	}
}

func (s flowScope) items(list *ast.ListLit, to place) {
	for _, item := range list.Elts {
		if _, ok := item.(*ast.Ellipsis); !ok {
			s.expr(item, to)
		}
	}
}

func (s flowScope) binary(x *ast.BinaryExpr, to place) {
	switch x.Op {
	case token.OR:
		s.expr(x.X, to)
		s.expr(x.Y, to)
	case token.AND:
		s.expr(x.X, to)
		s.expr(x.Y, to)
		s.unified(x.X, x.Y)
		s.unified(x.Y, x.X)
	default:
		if _, ok := x.Y.(*ast.BottomLit); ok {
			s.asked(x.X)
			return
		}
		s.expr(x.X, nil)
		s.expr(x.Y, nil)
	}
}

// unified has what one side of a unification gives flow into the other: `#Change & {#params: parameter}`. What a package
// does with it is not known.
func (s flowScope) unified(given, taker ast.Expr) {
	literal, ok := given.(*ast.StructLit)
	if !ok {
		return
	}
	places := s.places(taker)
	for _, into := range places {
		s.expr(given, into)
	}
	if _, ok := taker.(*ast.SelectorExpr); !ok || places != nil {
		return
	}
	for _, decl := range literal.Elts {
		if field, ok := decl.(*ast.Field); ok {
			s.expr(field.Value, nil)
		}
	}
}

// asked is a place of which only its being there counts: `parameter.port != _|_`.
func (s flowScope) asked(expr ast.Expr) {
	places := s.places(expr)
	for _, at := range places {
		s.found.uses = append(s.found.uses, use{at, false})
	}
	if places == nil {
		s.expr(expr, nil)
	}
}

func (s flowScope) call(x *ast.CallExpr) {
	if name, ok := x.Fun.(*ast.Ident); ok && name.Name == "len" && len(x.Args) == 1 {
		s.asked(x.Args[0])
		return
	}
	for _, argument := range x.Args {
		s.expr(argument, nil)
	}
}

func (s flowScope) comprehension(x *ast.Comprehension, to place) {
	scope := s.inner()
	for _, clause := range x.Clauses {
		switch clause := clause.(type) {
		case *ast.IfClause:
			scope.expr(clause.Condition, nil)
		case *ast.LetClause:
			scope.lets([]ast.Decl{clause})
		case *ast.ForClause:
			scope.loop(clause)
		}
	}
	scope.expr(x.Value, to)
}

// loop binds the variables of a loop to what it goes over.
func (s flowScope) loop(clause *ast.ForClause) {
	over := s.places(clause.Source)
	words := texts(clause.Source)
	if over == nil && words == nil {
		own := place{fmt.Sprintf("for at %d", clause.For.Offset())}
		s.expr(clause.Source, own)
		over = []place{own}
	}
	var items []place
	for _, one := range over {
		items = append(items, below(one, anyPart))
	}
	if clause.Key != nil {
		s.bind(clause.Key.Name, nil)
		for _, one := range items {
			// The names of the fields are read.
			s.found.uses = append(s.found.uses, use{one, false})
		}
	}
	s.bind(clause.Value.Name, items)
	if words != nil {
		s.words[clause.Value.Name] = words
	}
}

// places is what an expression stands for; nil where that is no place that is followed.
func (s flowScope) places(expr ast.Expr) []place {
	switch x := expr.(type) {
	case *ast.Ident:
		return s.names[x.Name]
	case *ast.ParenExpr:
		return s.places(x.X)
	case *ast.SelectorExpr:
		if name, _, err := ast.LabelName(x.Sel); err == nil {
			return selected(s.places(x.X), []string{name})
		}
	case *ast.IndexExpr:
		if of := s.places(x.X); of != nil {
			return selected(of, s.parts(x.Index))
		}
	case *ast.CallExpr:
		if isSlice(x) {
			return s.places(x.Args[0])
		}
	}
	return nil
}

// isSlice says whether a call gives a part of a list.
func isSlice(x *ast.CallExpr) bool {
	selector, ok := x.Fun.(*ast.SelectorExpr)
	if !ok || len(x.Args) == 0 {
		return false
	}
	of, isName := selector.X.(*ast.Ident)
	name, _, err := ast.LabelName(selector.Sel)
	return err == nil && isName && of.Name == "list" && (name == "Slice" || name == "Take" || name == "Drop")
}

// parts is what an index may be.
func (s flowScope) parts(index ast.Expr) []string {
	switch x := index.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil {
			return []string{text}
		}
		return []string{x.Value}
	case *ast.Ident:
		if words, ok := s.words[x.Name]; ok {
			return words
		}
	}
	s.expr(index, nil)
	return []string{anyPart}
}

func selected(places []place, parts []string) []place {
	var all []place
	for _, at := range places {
		for _, part := range parts {
			all = append(all, below(at, part))
		}
	}
	return all
}

// texts are the items of a list of texts that is written out; nil for anything else.
func texts(expr ast.Expr) []string {
	list, ok := expr.(*ast.ListLit)
	if !ok {
		return nil
	}
	var all []string
	for _, item := range list.Elts {
		literal, ok := item.(*ast.BasicLit)
		if !ok {
			return nil
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return nil
		}
		all = append(all, text)
	}
	return all
}
