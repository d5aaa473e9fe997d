package bridge

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

type explainRequest struct {
	Render renderRequest `json:"render"`
	Output string        `json:"output"`
	Trait  *int          `json:"traitIndex"`
	Path   []string      `json:"path"`
}

type explainResult struct {
	Value   json.RawMessage `json:"value"`
	Origins []origin        `json:"origins"`
}

type origin struct {
	Definition string           `json:"definition"`
	TraitIndex *int             `json:"traitIndex,omitempty"`
	Field      string           `json:"field"`
	Text       string           `json:"text,omitempty"`
	Position   *position        `json:"position,omitempty"`
	Conditions []originClause   `json:"conditions"`
	Parameters []originArgument `json:"parameters"`
	Value      json.RawMessage  `json:"value"`
}

type originClause struct {
	Text     string   `json:"text"`
	Position position `json:"position"`
}

type originArgument struct {
	Path      string     `json:"path"`
	Given     bool       `json:"given"`
	Positions []position `json:"positions"`
}

// maxOrigins bounds what is said of a field that very many lines make.
const maxOrigins = 64

// moment is a template at the time when it was evaluated.
type moment struct {
	where stage
	value cue.Value
	// before is the field as earlier stages made it.
	before string
}

// explain renders, and says which lines of which templates made one field of one object.
func explain(request *explainRequest) (*explainResult, error) {
	e := &explanation{request: request}
	e.renderer = &renderer{request: &request.Render, observe: e.note}
	r := e.renderer
	if err := r.begin(); err != nil {
		return nil, err
	}
	for index := range request.Render.Traits {
		if err := r.applyTrait(index); err != nil {
			return nil, err
		}
	}
	if err := r.applyPatches(); err != nil {
		return nil, err
	}
	return e.result(), nil
}

type explanation struct {
	request  *explainRequest
	renderer *renderer
	moments  []moment
	origins  []origin
}

// note is called with each template that was evaluated, before it has an effect.
func (e *explanation) note(where stage, value cue.Value) {
	e.moments = append(e.moments, moment{where, value, string(e.field())})
}

// object is what is asked about, as far as it is made.
func (e *explanation) object() cue.Value {
	if e.request.Output == "" {
		return e.renderer.workload.value
	}
	for _, other := range e.renderer.outputs {
		if other.name == e.request.Output && sameTrait(other.by.trait, e.request.Trait) {
			return other.value
		}
	}
	return cue.Value{}
}

func sameTrait(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// field is the field that is asked about as JSON; nil where it is not there.
func (e *explanation) field() json.RawMessage {
	object := e.object()
	if !object.Exists() {
		return nil
	}
	return jsonOf(descend(object, e.request.Path))
}

func jsonOf(value cue.Value) json.RawMessage {
	if !value.Exists() {
		return nil
	}
	raw, err := value.MarshalJSON()
	if err != nil {
		return nil
	}
	return raw
}

// child goes one part of a path down: an index in a list, a name everywhere else.
func child(value cue.Value, part string) cue.Value {
	if index, err := strconv.Atoi(part); err == nil && value.IncompleteKind() == cue.ListKind {
		return value.LookupPath(cue.MakePath(cue.Index(index)))
	}
	return value.LookupPath(cue.MakePath(cue.Str(part)))
}

func descend(value cue.Value, path []string) cue.Value {
	for _, part := range path {
		value = child(value, part)
	}
	return value
}

func (e *explanation) result() *explainResult {
	final := e.object()
	for i, at := range e.moments {
		after := string(e.field())
		if i+1 < len(e.moments) {
			after = e.moments[i+1].before
		}
		e.originsAt(at, final, after)
	}
	result := &explainResult{Value: e.field(), Origins: e.origins}
	if result.Value == nil {
		result.Value = json.RawMessage("null")
	}
	if result.Origins == nil {
		result.Origins = []origin{}
	}
	return result
}

// originsAt finds the lines of one template.
func (e *explanation) originsAt(at moment, final cue.Value, after string) {
	own := e.ownField(at.where)
	if own == nil {
		return
	}
	root := at.value
	for _, part := range own {
		root = root.LookupPath(cue.MakePath(cue.Str(part)))
	}
	if !root.Exists() {
		return
	}
	found := false
	for _, field := range aligned(root, final, e.request.Path) {
		for _, part := range conjuncts(field) {
			found = e.add(at, own, part, after) || found
		}
	}
	// A patch of another form (a JSON patch, a computed list) changed the field from further away.
	if !found && at.before != after && at.where.trait != nil {
		e.add(at, own, root, after)
	}
}

// ownField is where in a template the object that is asked about is made or patched; nil where the
// template has no part in it.
func (e *explanation) ownField(where stage) []string {
	output := e.request.Output
	switch {
	case output == "" && where.trait == nil:
		return []string{"output"}
	case output == "":
		return []string{"patch"}
	case sameTrait(where.trait, e.request.Trait):
		return []string{"outputs", output}
	case where.trait != nil:
		return []string{"patchOutputs", output}
	}
	return nil
}

// aligned follows a path of the finished object in a template. The elements of a list in a patch stand
// at other places than in the result: one that is part of the finished element is meant.
func aligned(value, final cue.Value, path []string) []cue.Value {
	if len(path) == 0 {
		return []cue.Value{value}
	}
	next := child(final, path[0])
	if _, err := strconv.Atoi(path[0]); err != nil || value.IncompleteKind() != cue.ListKind {
		if value = child(value, path[0]); !value.Exists() {
			return nil
		}
		return aligned(value, next, path[1:])
	}
	elements, err := value.List()
	if err != nil {
		return nil
	}
	var found []cue.Value
	wanted := jsonOf(next)
	for elements.Next() {
		element := elements.Value()
		if raw := jsonOf(element); raw == nil || wanted == nil || within(raw, wanted) {
			found = append(found, aligned(element, next, path[1:])...)
		}
	}
	return found
}

// within says whether one JSON value is part of another.
func within(part, whole json.RawMessage) bool {
	var a, b any
	if json.Unmarshal(part, &a) != nil || json.Unmarshal(whole, &b) != nil {
		return false
	}
	return isWithin(a, b)
}

func isWithin(part, whole any) bool {
	switch x := part.(type) {
	case map[string]any:
		other, ok := whole.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range x {
			if inner, ok := other[key]; !ok || !isWithin(value, inner) {
				return false
			}
		}
		return true
	case []any:
		other, ok := whole.([]any)
		if !ok {
			return false
		}
		for _, value := range x {
			if !containsPart(other, value) {
				return false
			}
		}
		return true
	}
	return part == whole
}

func containsPart(list []any, part any) bool {
	for _, element := range list {
		if isWithin(part, element) {
			return true
		}
	}
	return false
}

// conjuncts are the declarations that a value is made of.
func conjuncts(value cue.Value) []cue.Value {
	op, parts := value.Expr()
	if op != cue.AndOp || len(parts) == 0 {
		return []cue.Value{value}
	}
	return parts
}

// add notes one declaration, which is in a field of the template; false where nobody wrote it.
func (e *explanation) add(at moment, own []string, part cue.Value, after string) bool {
	src := at.where.source
	node, pos := declaration(part, append(slices.Clone(own), e.request.Path...))
	if !pos.IsValid() || pos.Filename() != src.file {
		return false
	}
	place, ok := src.locate(pos.Line(), pos.Column())
	if !ok || len(e.origins) >= maxOrigins {
		return false
	}
	made := origin{
		Definition: at.where.definition,
		TraitIndex: at.where.trait,
		Field:      strings.Join(own, "."),
		Position:   &place,
		Conditions: []originClause{},
		Parameters: []originArgument{},
		Value:      json.RawMessage("null"),
	}
	if after != "" {
		made.Value = json.RawMessage(after)
	}
	for _, known := range e.origins {
		if *known.Position == place && sameTrait(known.TraitIndex, made.TraitIndex) {
			return true
		}
	}
	expr := node
	if field, ok := node.(*ast.Field); ok {
		expr = field.Value
	}
	made.Text = nodeText(expr)
	if file, err := parser.ParseFile(src.file, src.author); err == nil && place.File == src.file {
		clauses := clausesAround(file, pos)
		for _, clause := range clauses {
			if place, ok := src.place(clause.Pos()); ok {
				made.Conditions = append(made.Conditions, originClause{Text: clauseText(clause), Position: place})
			}
		}
	}
	made.Parameters = parametersOf(at, expr)
	e.origins = append(e.origins, made)
	return true
}

// declaration gives the syntax that a value at a path of a template is made of, and where it stands; no place where it is
// not in force. What a condition adds is known as the whole condition: the field in it is meant.
func declaration(part cue.Value, path []string) (ast.Node, token.Pos) {
	node := part.Source()
	comprehension, ok := node.(*ast.Comprehension)
	if !ok {
		return node, part.Pos()
	}
	// A condition that does not hold leaves nothing.
	if part.IncompleteKind() == cue.TopKind || string(jsonOf(part)) == "{}" {
		return nil, token.NoPos
	}
	// How far above the field the condition stands is not known: the nearest is tried first.
	for _, computed := range []bool{false, true} {
		for from := len(path) - 1; from >= 0; from-- {
			if field := fieldAt(comprehension.Value, path[from:], computed); field != nil {
				return field, field.Pos()
			}
		}
	}
	return nil, comprehension.Pos()
}

// fieldAt follows a path through the syntax of structs and the conditions in them. With computed, a field whose
// name is computed may be meant.
func fieldAt(node ast.Node, path []string, computed bool) *ast.Field {
	body, ok := node.(*ast.StructLit)
	if !ok || len(path) == 0 {
		return nil
	}
	for _, decl := range body.Elts {
		switch x := decl.(type) {
		case *ast.Field:
			label, _, err := ast.LabelName(x.Label)
			if err != nil && !computed || err == nil && label != path[0] {
				continue
			}
			if len(path) == 1 {
				return x
			}
			if found := fieldAt(x.Value, path[1:], computed); found != nil {
				return found
			}
		case *ast.Comprehension:
			if found := fieldAt(x.Value, path, computed); found != nil {
				return found
			}
		}
	}
	return nil
}

// maxText is how much of an expression is repeated.
const maxText = 200

func nodeText(node ast.Node) (text string) {
	if node == nil {
		return ""
	}
	// The formatter panics on nodes that it knows only as parts of others.
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	raw, err := format.Node(node)
	if err != nil {
		return ""
	}
	text = strings.TrimSpace(string(raw))
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}

// clausesAround gives the conditions and loops that a place stands in, the outermost first.
func clausesAround(file *ast.File, at token.Pos) []ast.Node {
	var found []ast.Node
	ast.Walk(file, func(node ast.Node) bool {
		comprehension, ok := node.(*ast.Comprehension)
		if !ok {
			return true
		}
		from, to := comprehension.Value.Pos(), comprehension.Value.End()
		after := at.Line() > from.Line() || at.Line() == from.Line() && at.Column() >= from.Column()
		before := at.Line() < to.Line() || at.Line() == to.Line() && at.Column() <= to.Column()
		if after && before {
			for _, clause := range comprehension.Clauses {
				found = append(found, clause)
			}
		}
		return true
	}, nil)
	return found
}

// clauseText writes a clause, which CUE's formatter does only as a part of a comprehension.
func clauseText(clause ast.Node) string {
	switch x := clause.(type) {
	case *ast.IfClause:
		return "if " + nodeText(x.Condition)
	case *ast.ForClause:
		name := x.Value.Name
		if x.Key != nil {
			name = x.Key.Name + ", " + name
		}
		return "for " + name + " in " + nodeText(x.Source)
	case *ast.LetClause:
		return "let " + x.Ident.Name + " = " + nodeText(x.Expr)
	}
	return ""
}

// parametersOf finds the parameters that an expression names, and where each comes from.
func parametersOf(at moment, expr ast.Node) []originArgument {
	found := []originArgument{}
	if expr == nil {
		return found
	}
	inner, seen := map[ast.Node]bool{}, map[string]bool{}
	ast.Walk(expr, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || inner[node] {
			return true
		}
		path, _ := selection(selector, inner)
		if len(path) < 2 || path[0] != "parameter" || seen[pathText(path)] {
			return true
		}
		seen[pathText(path)] = true
		found = append(found, argument(at, path))
		return true
	}, nil)
	return found
}

func argument(at moment, path []string) originArgument {
	found := originArgument{Path: pathText(path), Positions: []position{}}
	src := at.where.source
	for _, part := range conjuncts(descend(at.value, path)) {
		pos := part.Pos()
		if !pos.IsValid() || pos.Filename() != src.file {
			continue
		}
		place, ok := src.locate(pos.Line(), pos.Column())
		if !ok {
			continue
		}
		if place.File == "parameter" {
			found.Given = true
			continue
		}
		found.Positions = append(found.Positions, place)
	}
	return found
}
