package bridge

import (
	"path"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// Each round of calls evaluates a template anew, so a loop of calls must not need a round for each of them. Calls are
// still carried out one after the other, in KubeVela's order; but those of which it is certain that no result of one
// decides about another are asked for in one round. What is certain is read from the text: CUE is lexically scoped,
// so a declaration that names neither a call nor `$returns`, directly or by way of others, depends on no result.

// topLevel is what matters of a declaration at the top of a template.
type topLevel struct {
	// names are what it declares at the top: its label and aliases.
	names map[string]bool
	// inside are the labels and aliases within it.
	inside map[string]bool
	// uses are the names that it mentions, whatever they mean.
	uses map[string]bool
	// open says that it may contribute to any field: a loop, a condition, something embedded, a pattern.
	open bool
	// calls says that there may be calls in it.
	calls bool
	// dependent says that a call in it may depend on the result of another one.
	dependent bool
}

// wiring says which declarations of a template can see each other.
type wiring struct {
	declarations []*topLevel
	byName       map[string][]*topLevel
	// roots are the fields at the top in which there are calls.
	roots map[string]bool
	// order is where each field at the top stands: not always where it is written.
	order map[string]int
	// ordered says that calls have numbers.
	ordered bool
}

// wire reads how the declarations of the template are connected, where calls wait at these places.
func (s *source) wire(whole cue.Value, pending []cue.Value) *wiring {
	w := &wiring{byName: map[string][]*topLevel{}, roots: map[string]bool{}, order: map[string]int{}}
	for i, field := range children(whole) {
		w.order[rootOf(field)] = i
	}
	for _, value := range pending {
		w.roots[rootOf(value)] = true
	}
	file := s.authored()
	packages := callPackages(file)
	for _, decl := range file.Decls {
		if read := w.read(decl, packages); read != nil {
			w.declarations = append(w.declarations, read)
			for name := range read.names {
				w.byName[name] = append(w.byName[name], read)
			}
		}
	}
	for _, one := range w.declarations {
		w.settle(one)
	}
	return w
}

// together gives how many of the waiting calls, from the first on, may be asked for in one round.
func (w *wiring) together(pending []cue.Value) int {
	if w.ordered {
		return 1
	}
	end := len(w.order)
	for _, one := range w.declarations {
		if !one.calls || !one.dependent {
			continue
		}
		if one.open {
			return 1
		}
		// What a result makes appear there comes before all that stands behind it.
		for name := range one.names {
			if at, ok := w.order[name]; ok {
				end = min(end, at)
			}
		}
	}
	seen := map[string]bool{}
	for i, value := range pending {
		at, root := value.Path().String(), rootOf(value)
		if seen[at] || w.order[root] >= end || !w.isFree(root) {
			return max(i, 1)
		}
		for prefix := range ancestors(value) {
			seen[prefix] = true
		}
	}
	return len(pending)
}

// isFree says whether all that contributes to a field with calls depends on no result.
func (w *wiring) isFree(root string) bool {
	found := false
	for _, one := range w.declarations {
		if !one.open && !one.names[root] {
			continue
		}
		if one.dependent {
			return false
		}
		found = found || one.calls
	}
	return found
}

// settle finds out whether a declaration sees a result, by way of all that it mentions.
func (w *wiring) settle(one *topLevel) {
	reached := map[*topLevel]bool{one: true}
	queue := []*topLevel{one}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		one.calls = one.calls || next.calls
		for name := range next.uses {
			one.dependent = one.dependent || w.roots[name] || next.calls && next.inside[name]
			for _, other := range w.byName[name] {
				if !reached[other] {
					reached[other] = true
					queue = append(queue, other)
				}
			}
		}
		one.dependent = one.dependent || next.dependent
	}
}

// callPackages gives by which names a file refers to packages: true for those whose calls stand alone, each with its
// inputs and its result.
func callPackages(file *ast.File) map[string]bool {
	found := map[string]bool{}
	for _, spec := range file.Imports {
		wanted := strings.Trim(spec.Path.Value, `"`)
		if isStandard(wanted) {
			continue
		}
		name := path.Base(wanted)
		if _, after, ok := strings.Cut(name, ":"); ok {
			name = after
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		found[name] = strings.HasPrefix(wanted, importPrefix) && !legacy(path.Base(wanted))
	}
	return found
}

// read takes in a declaration; nil where it declares nothing.
func (w *wiring) read(decl ast.Decl, packages map[string]bool) *topLevel {
	one := &topLevel{names: map[string]bool{}, inside: map[string]bool{}, uses: map[string]bool{}}
	switch decl := decl.(type) {
	case *ast.ImportDecl, *ast.Package, *ast.CommentGroup, *ast.Attribute:
		return nil
	case *ast.Field:
		one.open = !w.label(one, decl.Label, one.names)
		w.attributes(decl)
		w.walk(one, decl.Value)
	case *ast.LetClause:
		one.names[decl.Ident.Name] = true
		w.walk(one, decl.Expr)
	default:
		one.open = true
		w.walk(one, decl)
	}
	for name := range one.uses {
		alone, isPackage := packages[name]
		one.calls = one.calls || isPackage
		one.dependent = one.dependent || isPackage && !alone
	}
	return one
}

// label takes in a label; false where the field may have any name.
func (w *wiring) label(one *topLevel, label ast.Label, names map[string]bool) bool {
	if alias, ok := label.(*ast.Alias); ok {
		names[alias.Ident.Name] = true
		if label, ok = alias.Expr.(ast.Label); !ok {
			return false
		}
	}
	name, _, err := ast.LabelName(label)
	if err != nil {
		w.walk(one, label)
		return false
	}
	names[name] = true
	one.mark(name)
	return true
}

// mark takes in a name that says what a field is.
func (d *topLevel) mark(name string) {
	switch name {
	case "#do", "#provider":
		d.calls, d.dependent = true, true
	case "$returns":
		d.dependent = true
	}
}

func (w *wiring) attributes(field *ast.Field) {
	for _, attribute := range field.Attrs {
		w.ordered = w.ordered || strings.HasPrefix(attribute.Text, "@step")
	}
}

// walk takes in what is within a declaration.
func (w *wiring) walk(one *topLevel, node ast.Node) {
	ast.Walk(node, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Field:
			w.label(one, node.Label, one.inside)
			w.attributes(node)
			w.walk(one, node.Value)
			return false
		case *ast.SelectorExpr:
			if name, _, err := ast.LabelName(node.Sel); err == nil {
				one.mark(name)
			}
			w.walk(one, node.X)
			return false
		case *ast.Alias:
			one.inside[node.Ident.Name] = true
			w.walk(one, node.Expr)
			return false
		case *ast.LetClause:
			w.walk(one, node.Expr)
			return false
		case *ast.ForClause:
			w.walk(one, node.Source)
			return false
		case *ast.Attribute:
			w.ordered = w.ordered || strings.HasPrefix(node.Text, "@step")
		case *ast.BasicLit:
			if text, err := strconv.Unquote(node.Value); err == nil {
				one.mark(text)
			}
		case *ast.Ident:
			one.uses[node.Name] = true
		}
		return true
	}, nil)
}

// rootOf gives the field at the top that a value is in.
func rootOf(value cue.Value) string {
	selectors := value.Path().Selectors()
	if len(selectors) == 0 {
		return ""
	}
	return labelOf(selectors[0])
}

// ancestors gives the places that a value is within.
func ancestors(value cue.Value) map[string]bool {
	found := map[string]bool{}
	selectors := value.Path().Selectors()
	for i := range selectors {
		found[cue.MakePath(selectors[:i]...).String()] = true
	}
	return found
}
