package bridge

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/token"
)

// describer writes down what the values of a template's `parameter` may be, as an OpenAPI schema (version 3.0). CUE's
// own converter stops at constraints that are common (`*80 | uint16`, `!=""`, a list with a least length) and does
// not end where a type contains itself. Where OpenAPI has no word for something, an extension has:
//
//   - `x-items`: the types of the elements of a list whose places have types of their own.
//   - `x-rules`: what else must hold, as CUE writes it.
//   - `x-default`: what CUE computes a default from.
//   - `x-if`: the condition under which there is such a field.
//   - `x-same-as`: where in the schema the type stands that is repeated here, as a JSON pointer.
type describer struct {
	template cue.Value
	names    declarations
	// open are the types that are being described, from the outside in.
	open []openType
	// repeated are the references to types that contain themselves.
	repeated []reference
	// left is how many more schemas there may be.
	left int
}

// reference is a name for a type, and where the type is.
type reference struct {
	name   string
	target token.Pos
}

type openType struct {
	reference
	// at is where its schema is.
	at string
}

// oneSchema is an OpenAPI schema.
type oneSchema map[string]any

const (
	// maxSchemas bounds the size of a description.
	maxSchemas = 4000
	keyItems   = "x-items"
	keyRules   = "x-rules"
	keyDefault = "x-default"
	keyIf      = "x-if"
	keySameAs  = "x-same-as"
)

// described describes the `parameter` of a template.
func described(src *source, template cue.Value) (oneSchema, []reference) {
	d := &describer{template: template, names: declarations{src.authored()}, left: maxSchemas}
	parameter := template.LookupPath(cue.ParsePath("parameter"))
	if !parameter.Exists() {
		return oneSchema{"type": "object"}, nil
	}
	return d.describe(parameter, []string{"parameter"}, ""), d.repeated
}

// describe gives the schema of a value; path is where it is in the template, at where its schema will be.
func (d *describer) describe(v cue.Value, path []string, at string) oneSchema {
	d.left--
	if d.left < 0 || len(path) > maxHops {
		return oneSchema{}
	}
	schema := d.anyOf(v, path, at)
	// That of all parameters together is made of those of each.
	if fallback, ok := v.Default(); ok && fallback.IsConcrete() && at != "" {
		setDefault(schema, fallback)
	} else if text := d.computedDefault(path); text != "" {
		schema[keyDefault] = text
	}
	if text := docText(v); text != "" {
		schema["description"] = text
	}
	return schema
}

// setDefault tells a default; an empty list or struct is what nobody would ask about.
func setDefault(schema oneSchema, fallback cue.Value) {
	raw, err := fallback.MarshalJSON()
	if err != nil || string(raw) == "[]" || string(raw) == "{}" {
		return
	}
	var value any
	if unmarshalNumbers(raw, &value) != nil {
		return
	}
	// What can only have one value is no choice.
	if choices, ok := schema["enum"].([]any); ok && len(choices) == 1 {
		return
	}
	schema["default"] = value
}

func isDisjunction(v cue.Value) bool {
	op, _ := v.Expr()
	return op == cue.OrOp
}

// computedDefault gives the text of a default that is not known before there is a component.
func (d *describer) computedDefault(path []string) string {
	marked := markedDefault(d.names.at(path))
	switch marked.(type) {
	case nil, *ast.StructLit, *ast.ListLit:
		return ""
	}
	text, err := format.Node(marked)
	if err != nil || strings.Contains(string(text), "\n") {
		return ""
	}
	return string(text)
}

// markedDefault gives the alternative that is marked with `*`.
func markedDefault(expr ast.Expr) ast.Expr {
	switch x := expr.(type) {
	case *ast.BinaryExpr:
		if x.Op != token.OR {
			return nil
		}
		if left := markedDefault(x.X); left != nil {
			return left
		}
		return markedDefault(x.Y)
	case *ast.ParenExpr:
		return markedDefault(x.X)
	case *ast.UnaryExpr:
		if x.Op == token.MUL {
			return x.X
		}
	}
	return nil
}

func docText(v cue.Value) string {
	var all []string
	for _, group := range v.Doc() {
		all = append(all, group.Text())
	}
	return strings.TrimSpace(strings.Join(all, "\n\n"))
}

// anyOf describes a value that may be one of several.
func (d *describer) anyOf(v cue.Value, path []string, at string) oneSchema {
	var choices []any
	var others []alternative
	nullable := false
	for _, one := range alternatives(v) {
		switch {
		case one.Null() == nil:
			nullable = true
		case isScalarValue(one.Value):
			if value, ok := jsonValue(one.Value); ok && !containsValue(choices, value) {
				choices = append(choices, value)
			}
		default:
			others = append(others, one)
		}
	}
	schema := d.joined(choices, others, path, at)
	if nullable {
		schema["nullable"] = true
		if len(choices) == 0 && len(others) == 0 {
			schema["enum"] = []any{nil}
		}
	}
	return schema
}

func (d *describer) joined(choices []any, others []alternative, path []string, at string) oneSchema {
	switch {
	case len(others) == 0 && len(choices) == 0:
		return oneSchema{}
	case len(others) == 0:
		return choice(choices)
	case len(others) == 1 && len(choices) == 0:
		return d.one(others[0], path, at)
	}
	var all []any
	if len(choices) > 0 {
		all = append(all, choice(choices))
	}
	for _, other := range others {
		inner := d.one(other, path, at+"/anyOf/"+strconv.Itoa(len(all)))
		if len(inner) == 0 {
			// Anything at all.
			return oneSchema{}
		}
		all = append(all, inner)
	}
	schema := oneSchema{"anyOf": all}
	if kind := commonType(all); kind != "" {
		schema["type"] = kind
	}
	return schema
}

// choice is the schema of some values.
func choice(values []any) oneSchema {
	if len(values) == 2 && values[0] != values[1] && jsonType(values[0]) == "boolean" && jsonType(values[1]) == "boolean" {
		return oneSchema{"type": "boolean"}
	}
	schema := oneSchema{"enum": values}
	kind := jsonType(values[0])
	for _, value := range values {
		if other := jsonType(value); other != kind {
			if !isNumeric(kind) || !isNumeric(other) {
				return schema
			}
			kind = "number"
		}
	}
	schema["type"] = kind
	return schema
}

func isNumeric(kind string) bool { return kind == "integer" || kind == "number" }

func jsonType(value any) string {
	switch x := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(x.String(), ".eE") {
			return "number"
		}
		return "integer"
	}
	return ""
}

// commonType is the type that all of some schemas have.
func commonType(all []any) string {
	common := ""
	for i, one := range all {
		kind, _ := one.(oneSchema)["type"].(string)
		if i > 0 && kind != common {
			return ""
		}
		common = kind
	}
	return common
}

// alternative is one of the values that a value may be, and the types that it is made of by name.
type alternative struct {
	cue.Value
	types []reference
}

// alternatives lists the values of which one may be chosen, without those that another one includes, and without those
// that depend on what is not known yet.
func alternatives(v cue.Value) []alternative {
	all := split(v, nil, 0)
	known := slices.DeleteFunc(slices.Clone(all), func(one alternative) bool {
		return one.Err() != nil && len(rulesOf(one.Value)) == 0
	})
	if len(known) == 0 {
		return all
	}
	fallback, _ := v.Default()
	var needed []alternative
	for i, one := range known {
		isDefault := one.Equals(fallback) || isNothing(one.Value) && isNothing(fallback)
		if !(isDefault || isScalarValue(one.Value)) || !isIncluded(known, i) {
			needed = append(needed, one)
		}
	}
	return needed
}

// isNothing says whether a value is `{}`, which as a default only says that nothing has to be given.
func isNothing(v cue.Value) bool {
	if !isStruct(v) || v.LookupPath(cue.MakePath(cue.AnyString)).Exists() {
		return false
	}
	fields, err := v.Fields(cue.Optional(true))
	return err == nil && !fields.Next()
}

// isIncluded says whether another alternative, which is no single value, accepts the value of one, too.
func isIncluded(all []alternative, i int) bool {
	one := all[i].Value
	for j, other := range all {
		if i == j || isScalarValue(other.Value) {
			continue
		}
		// The first of two that are equal is left out.
		if other.Subsume(one, cue.Final()) == nil && (i < j || one.Subsume(other.Value, cue.Final()) != nil) {
			return true
		}
		if isNothing(one) && isStruct(other.Value) && !isNothing(other.Value) {
			return true
		}
	}
	return false
}

func split(v cue.Value, types []reference, hops int) []alternative {
	if found, ok := referenceOf(v); ok {
		types = append(types[:len(types):len(types)], found)
		v = cue.Dereference(v)
	}
	op, operands := v.Expr()
	if op == cue.AndOp {
		for _, operand := range operands {
			types = append(types[:len(types):len(types)], namesOf(operand, 0)...)
		}
		// Once the sides are brought together, it may turn out to be a choice.
		if merged, inner := v.Eval().Expr(); merged == cue.OrOp {
			op, operands, hops = merged, inner, maxHops
		} else if merged == cue.NoOp && v.IncompleteKind()&(cue.StructKind|cue.ListKind) == 0 {
			op, operands = merged, inner
		}
	}
	// What has a default may be a choice of which CUE shows only the alternative that includes it.
	_, marked := v.Default()
	switch {
	case op == cue.OrOp && hops > maxHops, op == cue.NoOp && (!marked || hops > maxShown || len(operands) != 1):
	case op == cue.OrOp, op == cue.NoOp:
		var all []alternative
		for _, operand := range operands {
			all = append(all, split(operand, types, hops+1)...)
		}
		return all
	}
	return []alternative{{v, types}}
}

// maxShown bounds how many defaults are taken off a value.
const maxShown = 4

// referenceOf gives the name by which a value is given, if it is.
func referenceOf(v cue.Value) (reference, bool) {
	root, path := v.ReferencePath()
	selectors := path.Selectors()
	if len(selectors) == 0 {
		return reference{}, false
	}
	target := root.LookupPath(path).Pos()
	return reference{selectors[len(selectors)-1].String(), target}, target.IsValid()
}

// namesOf lists the types that all hold for a value.
func namesOf(v cue.Value, hops int) []reference {
	var names []reference
	if found, ok := referenceOf(v); ok {
		names = append(names, found)
		v = cue.Dereference(v)
	}
	if op, operands := v.Expr(); op == cue.AndOp && hops < maxHops {
		for _, operand := range operands {
			names = append(names, namesOf(operand, hops+1)...)
		}
	}
	return names
}

func isScalarValue(v cue.Value) bool {
	return v.IsConcrete() && v.Kind()&(cue.StructKind|cue.ListKind) == 0 && v.Err() == nil
}

func jsonValue(v cue.Value) (any, bool) {
	raw, err := v.MarshalJSON()
	if err != nil {
		return nil, false
	}
	var value any
	return value, unmarshalNumbers(raw, &value) == nil
}

func containsValue(all []any, value any) bool {
	for _, one := range all {
		if one == value {
			return true
		}
	}
	return false
}

// one describes a value that is no choice.
func (d *describer) one(v alternative, path []string, at string) oneSchema {
	depth := len(d.open)
	defer func() { d.open = d.open[:depth] }()
	for _, found := range v.types {
		if outer := d.opened(found); outer != nil {
			d.repeated = append(d.repeated, found)
			return oneSchema{"type": "object", keySameAs: outer.at}
		}
	}
	for _, found := range v.types {
		d.open = append(d.open, openType{found, at})
	}
	return d.plain(v.Value, path, at)
}

func (d *describer) opened(wanted reference) *openType {
	for i := range d.open {
		if d.open[i].target == wanted.target {
			return &d.open[i]
		}
	}
	return nil
}

func (d *describer) plain(v cue.Value, path []string, at string) oneSchema {
	schema := oneSchema{}
	bare := withoutRules(v)
	kind := bare.IncompleteKind() &^ cue.NullKind
	switch {
	case bare.Err() != nil && !isList(bare) && !isStruct(bare):
		if op, _ := v.Expr(); op == cue.InterpolationOp {
			schema["type"] = "string"
		}
		return schema
	case kind == cue.StructKind:
		schema["type"] = "object"
		d.fields(schema, bare, path, at)
	case kind == cue.ListKind:
		schema["type"] = "array"
		d.elements(schema, bare, path, at)
	default:
		if name := scalarType(kind); name != "" {
			schema["type"] = name
		}
		if kind == cue.BytesKind {
			schema["format"] = "byte"
		}
	}
	for _, rule := range append(boundsOf(v), rulesOf(v)...) {
		constrain(schema, rule)
	}
	return schema
}

func isList(v cue.Value) bool   { return v.IncompleteKind() == cue.ListKind }
func isStruct(v cue.Value) bool { return v.IncompleteKind() == cue.StructKind }

func scalarType(kind cue.Kind) string {
	switch kind {
	case cue.StringKind, cue.BytesKind:
		return "string"
	case cue.IntKind:
		return "integer"
	case cue.FloatKind, cue.NumberKind:
		return "number"
	case cue.BoolKind:
		return "boolean"
	}
	return ""
}

// fields describes the fields of a struct.
func (d *describer) fields(schema oneSchema, v cue.Value, path []string, at string) {
	properties, required := oneSchema{}, []any{}
	iterator, err := v.Fields(cue.Optional(true))
	for err == nil && iterator.Next() {
		selector := iterator.Selector()
		name := selector.Unquoted()
		field := iterator.Value()
		below := append(path[:len(path):len(path)], name)
		inner := d.describe(field, below, at+"/properties/"+pointerPart(name))
		mark(name, inner)
		properties[name] = inner
		if d.isNeeded(selector, field, below, inner) {
			required = append(required, name)
		}
	}
	if len(properties) > 0 {
		schema["properties"] = properties
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	if rest := v.LookupPath(cue.MakePath(cue.AnyString)); rest.Exists() {
		inner := d.describe(rest, append(path[:len(path):len(path)], "*"), at+"/additionalProperties")
		mark("", inner)
		schema["additionalProperties"] = inner
	} else if !v.Allows(cue.Str("any other")) {
		schema["additionalProperties"] = false
	}
	d.conditional(schema, path, at)
}

// conditional adds what only the text shows: the fields that are declared under a condition, and those whose names a
// pattern describes.
func (d *describer) conditional(schema oneSchema, path []string, at string) {
	for _, body := range d.names.literals(d.names.at(path), 0) {
		for _, decl := range body.Elts {
			switch x := decl.(type) {
			case *ast.Comprehension:
				d.underCondition(schema, x, "", path, at)
			case *ast.Field:
				if pattern, ok := x.Label.(*ast.ListLit); ok && schema["additionalProperties"] == nil && len(pattern.Elts) == 1 {
					if inner, ok := d.declaredBy(x.Value, path, at+"/additionalProperties"); ok {
						schema["additionalProperties"] = inner
					}
				}
			}
		}
	}
}

// underCondition adds the fields of a conditional part; outer is the condition under which that part is there.
func (d *describer) underCondition(schema oneSchema, x *ast.Comprehension, outer string, path []string, at string) {
	body, isBody := x.Value.(*ast.StructLit)
	if !isBody || !isConditional(x) {
		return
	}
	text, err := format.Node(x.Clauses[0].(*ast.IfClause).Condition)
	if err != nil {
		return
	}
	condition := string(text)
	if outer != "" {
		condition = outer + " && " + condition
	}
	for _, decl := range body.Elts {
		switch inner := decl.(type) {
		case *ast.Comprehension:
			d.underCondition(schema, inner, condition, path, at)
		case *ast.Field:
			d.conditionalField(schema, inner, condition, path, at)
		}
	}
}

func (d *describer) conditionalField(schema oneSchema, field *ast.Field, condition string, path []string, at string) {
	name, _, err := ast.LabelName(field.Label)
	if err != nil || !ast.IsValidIdent(name) || strings.HasPrefix(name, "_") {
		return
	}
	properties, _ := schema["properties"].(oneSchema)
	known, isKnown := properties[name].(oneSchema)
	if isKnown && known[keyIf] == nil {
		return
	}
	inner, ok := d.declaredBy(field.Value, append(path[:len(path):len(path)], name), at+"/properties/"+pointerPart(name))
	if !ok {
		inner = oneSchema{}
	}
	inner["description"] = commentText(field)
	mark(name, inner)
	if isKnown {
		condition = known[keyIf].(string) + " || " + condition
		delete(known, keyIf)
		inner = either([]any{known, inner})
	}
	inner[keyIf] = condition
	if properties == nil {
		properties = oneSchema{}
		schema["properties"] = properties
	}
	properties[name] = inner
}

// declaredBy describes what an expression of the template accepts, as far as it stands for itself.
func (d *describer) declaredBy(expr ast.Expr, path []string, at string) (oneSchema, bool) {
	text, err := format.Node(expr)
	if err != nil {
		return nil, false
	}
	value := d.template.Context().CompileBytes(text, cue.Scope(d.template))
	if value.Err() != nil {
		return nil, false
	}
	return d.describe(value, path, at), true
}

func commentText(field *ast.Field) string {
	var all []string
	for _, group := range ast.Comments(field) {
		all = append(all, group.Text())
	}
	return strings.TrimSpace(strings.Join(all, "\n\n"))
}

func pointerPart(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// isNeeded says whether an Application must give a field: nothing else gives it a value.
func (d *describer) isNeeded(selector cue.Selector, field cue.Value, path []string, schema oneSchema) bool {
	switch selector.ConstraintType() {
	case cue.OptionalConstraint:
		return false
	case cue.RequiredConstraint:
		return true
	}
	if field.Validate(cue.Concrete(true)) == nil {
		return false
	}
	if isStruct(field) && schema["anyOf"] == nil {
		return schema["required"] != nil
	}
	return !d.names.isComputed(path)
}

// elements describes the elements of a list.
func (d *describer) elements(schema oneSchema, v cue.Value, path []string, at string) {
	var fixed []any
	below := append(path[:len(path):len(path)], "0")
	for iterator, err := v.List(); err == nil && iterator.Next(); {
		place := at + "/" + keyItems + "/" + strconv.Itoa(len(fixed))
		fixed = append(fixed, d.describe(iterator.Value(), below, place))
	}
	rest := v.LookupPath(cue.MakePath(cue.AnyIndex))
	if len(fixed) == 0 {
		schema["items"] = oneSchema{}
		if rest.Exists() {
			inner := d.describe(rest, below, at+"/items")
			mark("", inner)
			schema["items"] = inner
		}
		return
	}
	schema[keyItems] = fixed
	schema["minItems"] = len(fixed)
	if v.Allows(cue.Index(len(fixed))) {
		inner := oneSchema{}
		if rest.Exists() {
			inner = d.describe(rest, below, at+"/items")
		}
		schema["items"] = inner
		return
	}
	schema["maxItems"] = len(fixed)
	schema["items"] = either(fixed)
}

// either is the schema of what one of several accepts.
func either(all []any) oneSchema {
	var different []any
	seen := map[string]bool{}
	for _, one := range all {
		text, _ := marshal(one)
		if !seen[string(text)] {
			seen[string(text)] = true
			different = append(different, one)
		}
	}
	if len(different) == 1 {
		return different[0].(oneSchema)
	}
	return oneSchema{"anyOf": different}
}
