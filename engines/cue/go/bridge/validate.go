package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// validate checks a definition when it is registered, or parameters before they are rendered.
func validate(request *validateRequest) (*validateResult, error) {
	v := &validation{request: request, result: validateResult{Errors: []diagnostic{}, Warnings: []diagnostic{}}}
	var err error
	if isNull(request.Template.Parameters) {
		err = v.definition()
	} else {
		err = v.parameters()
	}
	if err != nil {
		return nil, err
	}
	return &v.result, nil
}

type validation struct {
	request *validateRequest
	result  validateResult
}

func (v *validation) packages() *packageSet {
	if v.request.Kind == "workflow-step" {
		return workflowPackages.with(v.request.Packages)
	}
	return componentPackages.with(v.request.Packages)
}

// fail notes errors of a text; limits end the request.
func (v *validation) fail(where stage, err error) error {
	var limit *limitError
	if errors.As(err, &limit) {
		return err
	}
	where.unparsed = isSyntax(err)
	v.result.Errors = append(v.result.Errors, where.diagnose(err)...)
	return nil
}

// definition checks a template without parameters, and the status texts.
func (v *validation) definition() error {
	template := v.request.Template
	src := newSource(v.request.Kind+"/"+template.Name+".cue", template.Source)
	src.appendText("context: _\nparameter: _\n")
	where := stage{source: src, definition: template.Name}
	value, err := src.build(v.packages())
	v.result.Warnings = append(v.result.Warnings, where.warnings(src.rewritten)...)
	if err == nil {
		err = value.Validate()
	}
	if err != nil {
		if err := v.fail(where, err); err != nil {
			return err
		}
	} else if file, err := parser.ParseFile(src.file, template.Source); err == nil {
		v.outputPresent(where, file)
		v.undeclaredUses(where, file)
		v.misspelt(where)
		v.defaults(where, value)
		v.repeatedTypes(where, value)
	}
	return v.statusTexts()
}

// defaults checks that a template can do without parameters, where nobody gives it any (row POL-015).
func (v *validation) defaults(where stage, value cue.Value) {
	parameter := value.LookupPath(cue.ParsePath("parameter"))
	if !v.request.DefaultsOnly || !parameter.Exists() {
		return
	}
	for _, missing := range where.diagnose(parameter.Validate(cue.Concrete(true))) {
		if missing.Kind != kindMissing {
			continue
		}
		missing.Message = fmt.Sprintf("%s has no default, and nobody gives a global policy its parameters", missing.Path)
		missing.Hint = fmt.Sprintf("write a default, such as `%s: *… | %s`", lastOf(missing.Path), missing.Expected)
		v.result.Errors = append(v.result.Errors, missing)
	}
}

func lastOf(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// repeatedTypes warns of parameters that contain themselves: there is no end to their schema.
func (v *validation) repeatedTypes(where stage, value cue.Value) {
	_, repeated := described(where.source, value)
	told := map[string]bool{}
	for _, found := range repeated {
		place, ok := where.source.place(found.target)
		if !ok || told[found.name] {
			continue
		}
		told[found.name] = true
		v.result.Warnings = append(v.result.Warnings, diagnostic{
			Kind: kindOther, Path: "parameter", Message: "the parameter contains itself through " + found.name,
			Hint: "its schema ends there with an object of any fields, for forms and documentation; KubeVela does not come to an " +
				"end with such a definition",
			Positions: []position{place},
		})
	}
}

// outputPresent checks that a template makes what its kind is for.
func (v *validation) outputPresent(where stage, file *ast.File) {
	names := declarations{file}
	top := names.of(&ast.StructLit{Elts: file.Decls})
	has := func(wanted ...string) bool {
		for _, name := range wanted {
			if _, ok := top.fields[name]; ok {
				return true
			}
		}
		return false
	}
	switch v.request.Kind {
	case "component", "workload":
		if !has("output") {
			v.result.Errors = append(v.result.Errors, diagnostic{
				Kind: kindMissing, Path: "output", Message: "field not found: output",
				Hint:      "a component makes its workload in `output: {apiVersion: …, kind: …}`",
				Positions: []position{{File: where.source.file, Line: 1, Column: 1}},
			})
			return
		}
		v.identified(where, names, "output", top.fields["output"])
	case "trait":
		if !has("patch", "outputs", "patchOutputs", "processing") {
			v.result.Warnings = append(v.result.Warnings, diagnostic{
				Kind: kindMissing, Message: "the trait has no effect",
				Hint:      "a trait has one of `patch`, `outputs`, `patchOutputs`",
				Positions: []position{{File: where.source.file, Line: 1, Column: 1}},
			})
		}
	case "policy":
		if has("outputs") && !has("output") {
			v.result.Errors = append(v.result.Errors, diagnostic{
				Kind: kindMissing, Path: "output", Message: "field not found: output",
				Hint:      "a policy that makes objects makes the first in `output: {apiVersion: …, kind: …}`, and others in `outputs`",
				Positions: []position{{File: where.source.file, Line: 1, Column: 1}},
			})
		}
		return
	default:
		return
	}
	if outputs, ok := top.fields["outputs"]; ok {
		fields := names.of(outputs).fields
		for _, name := range sortedKeys(fields) {
			v.identified(where, names, "outputs."+name, fields[name])
		}
	}
}

// identified checks that an object says what it is, as far as its syntax tells.
func (v *validation) identified(where stage, names declarations, path string, object ast.Expr) {
	found := names.of(object)
	if found.open || !isPlain(object) {
		return
	}
	for _, name := range []string{"apiVersion", "kind"} {
		if _, ok := found.fields[name]; ok {
			continue
		}
		missing := diagnostic{
			Kind: kindMissing, Path: path + "." + name, Message: "field not found: " + path + "." + name,
			Hint: "an object says what it is with `apiVersion` and `kind`",
		}
		if at := object.Pos(); at.IsValid() {
			if place, ok := where.source.locate(at.Line(), at.Column()); ok {
				missing.Positions = []position{place}
			}
		}
		v.result.Errors = append(v.result.Errors, missing)
	}
}

// isPlain says whether an expression is a struct that takes nothing in from elsewhere.
func isPlain(expr ast.Node) bool {
	literal, ok := expr.(*ast.StructLit)
	if !ok {
		return false
	}
	for _, decl := range literal.Elts {
		switch x := decl.(type) {
		case *ast.EmbedDecl:
			return false
		case *ast.Comprehension:
			if !isPlain(x.Value) {
				return false
			}
		}
	}
	return true
}

// statusTexts checks syntax and references of the three texts, and that they say what is read from them.
func (v *validation) statusTexts() error {
	for _, one := range []struct{ name, text, field string }{
		{"healthPolicy", v.request.Status.HealthPolicy, "isHealth"},
		{"customStatus", v.request.Status.CustomStatus, "message"},
		{"details", v.request.Status.Details, ""},
	} {
		if one.text == "" {
			continue
		}
		src := newSource("status/"+one.name+".cue", one.text)
		src.appendText("context: _\nparameter: _\n")
		where := stage{source: src, definition: v.request.Template.Name}
		value, err := src.build(noPackages)
		v.result.Warnings = append(v.result.Warnings, where.warnings(src.rewritten)...)
		if err == nil {
			err = value.Validate()
		}
		if err != nil {
			if err := v.fail(where, err); err != nil {
				return err
			}
			continue
		}
		v.statusField(one.name, one.field, src, value)
	}
	return nil
}

// statusField checks that a text says what is read from it, and that a health policy can come true. Conditions
// are not evaluated: they depend on what is live.
func (v *validation) statusField(name, field string, src *source, value cue.Value) {
	file, err := parser.ParseFile(src.file, src.author)
	if err != nil {
		return
	}
	v.statusUses(stage{source: src, definition: v.request.Template.Name}, statusNames[name], file)
	if field == "" {
		return
	}
	top := declarations{file}.of(&ast.StructLit{Elts: file.Decls})
	if _, ok := top.fields[field]; !ok {
		if top.open {
			return
		}
		missing := diagnostic{
			Kind: kindMissing, Path: field, Message: "field not found: " + field,
			Hint:      fmt.Sprintf("%s is read from `%s`", name, field),
			Positions: []position{{File: src.file, Line: 1, Column: 1}},
		}
		// Without isHealth nothing is ever healthy; without a message there is only none to show.
		if field == "isHealth" {
			v.result.Errors = append(v.result.Errors, missing)
		} else {
			v.result.Warnings = append(v.result.Warnings, missing)
		}
		return
	}
	if field == "isHealth" {
		v.mayBeTrue(src, file, value.LookupPath(cue.ParsePath(field)))
	}
}

// mayBeTrue finds health policies that say no whatever is live.
func (v *validation) mayBeTrue(src *source, file *ast.File, health cue.Value) {
	wrong := diagnostic{Kind: kindConflict, Path: "isHealth", Expected: "bool"}
	if kind := health.IncompleteKind(); kind&cue.BoolKind == 0 && kind != cue.BottomKind {
		wrong.Message = "isHealth is no truth value"
		wrong.Found = kind.String()
	} else if neverTrue(file, health) {
		wrong.Message = "isHealth can never be true"
		wrong.Expected, wrong.Found = "a condition on context.output or context.outputs", "false"
		wrong.Hint = "leave the health policy out if the workload is healthy as soon as it is there"
	} else {
		return
	}
	if at := health.Pos(); at.IsValid() {
		if place, ok := src.locate(at.Line(), at.Column()); ok {
			wrong.Positions = []position{place}
		}
	}
	if len(wrong.Positions) == 0 {
		wrong.Positions = []position{{File: src.file, Line: 1, Column: 1}}
	}
	v.result.Errors = append(v.result.Errors, wrong)
}

// statusNames are the status texts in words.
var statusNames = map[string]string{
	"healthPolicy": "the health policy", "customStatus": "the custom status", "details": "the details",
}

// neverTrue says whether a health policy says no whatever it reads.
func neverTrue(file *ast.File, health cue.Value) bool {
	names := declarations{file}
	if contradicts(names, names.topLevel("isHealth")) {
		return true
	}
	healthy, err := health.Bool()
	return !dependsOnLife(file) && (!health.Exists() || err == nil && !healthy)
}

// dependsOnLife says whether a text reads anything that is not in it: then its value may change.
func dependsOnLife(file *ast.File) bool {
	found := false
	ast.Walk(file, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && (ident.Name == "context" || ident.Name == "parameter") {
			found = true
		}
		return !found
	}, nil)
	return found
}

// parameters checks parameters against a template: wrong and missing ones are errors, undeclared ones
// warnings.
func (v *validation) parameters() error {
	template := v.request.Template
	where, value, err := v.filledIn(template.Parameters)
	if err != nil {
		return v.fail(where, err)
	}
	names := declarations{where.source.authored()}
	found := v.wrong(where, names, value, nil)
	v.result.Errors = append(v.result.Errors, found...)
	for rest, round := newHoles(template.Parameters), 0; rest != nil && round < maxRounds && rest.take(found); round++ {
		text, err := rest.text()
		if err != nil {
			break
		}
		where, value, err := v.filledIn(text)
		if err != nil {
			break
		}
		found = v.wrong(where, names, value, rest)
		v.result.Errors = append(v.result.Errors, found...)
	}
	v.missing(names, []string{"parameter"}, names.topLevel("parameter"), value.LookupPath(cue.ParsePath("parameter")))
	v.undeclared(names)
	if !isNull(v.request.Previous) {
		schema := names.topLevel("parameter")
		v.immutableChanges(names, []string{"parameter"}, schema, v.request.Previous, template.Parameters)
	}
	return nil
}

// filledIn is the template with parameters.
func (v *validation) filledIn(parameters []byte) (stage, cue.Value, error) {
	template := v.request.Template
	src := newSource(v.request.Kind+"/"+template.Name+".cue", template.Source)
	src.appendText("context: _\nparameter: _\n")
	if !v.takesNothing(parameters) {
		src.appendData("parameter", parameters)
	}
	value, err := src.build(v.packages())
	return stage{source: src, definition: template.Name, parameters: template.Parameters}, value, err
}

// takesNothing says whether a trait without parameters is one of `parameter: null`: nothing is unified with that.
func (v *validation) takesNothing(parameters []byte) bool {
	if v.request.Kind != "trait" || string(bytes.TrimSpace(parameters)) != "{}" {
		return false
	}
	file, err := parser.ParseFile("", v.request.Template.Source)
	if err != nil {
		return false
	}
	literal, ok := declarations{file}.topLevel("parameter").(*ast.BasicLit)
	return ok && literal.Kind == token.NULL
}

// wrong lists what is wrong with parameters, where some were taken out with the rest of them: what cannot be said
// for want of these is not told.
func (v *validation) wrong(where stage, names declarations, value cue.Value, rest *holes) []diagnostic {
	err := value.LookupPath(cue.ParsePath("parameter")).Validate(cue.Concrete(true))
	if err == nil {
		return nil
	}
	var found []cueerrors.Error
	for _, one := range cueerrors.Errors(err) {
		if !v.later(one) && !(isOpen(where.classify(one)) && names.isComputed(one.Path())) {
			found = append(found, one)
		}
	}
	all := where.reduce(found)
	if rest == nil {
		return all
	}
	return slices.DeleteFunc(all, func(one diagnostic) bool {
		isKnown := one.Kind == kindMissing || one.Kind == kindConflict || one.Kind == kindUnknown
		return !isKnown || rest.concerns(one.at) || v.reported(one.Path)
	})
}

// isOpen says whether more knowledge, for instance of the context, may resolve an error.
func isOpen(found diagnostic) bool {
	return found.Kind == kindMissing || found.Kind == kindReference || found.Kind == kindOther
}

// missing adds what else is required and not there: CUE does not say so where a condition is open.
func (v *validation) missing(names declarations, path []string, schema ast.Expr, value cue.Value) {
	fields := names.of(schema).fields
	for _, name := range sortedKeys(fields) {
		below := append(path[:len(path):len(path)], label(name))
		field := value.LookupPath(cue.MakePath(cue.Str(name)))
		if !field.Exists() || field.Err() != nil || len(below) > maxHops {
			continue
		}
		if field.IncompleteKind() == cue.StructKind {
			v.missing(names, below, fields[name], field)
			continue
		}
		if names.isComputed(below) {
			continue
		}
		if text := pathText(below); !field.IsConcrete() && field.Validate(cue.Concrete(true)) != nil && !v.reported(text) {
			relative := strings.TrimPrefix(text, "parameter.")
			if v.isLater(relative, true) {
				continue
			}
			kind := field.IncompleteKind().String()
			v.result.Errors = append(v.result.Errors, diagnostic{
				Kind: kindMissing, Path: text, Message: "incomplete value " + kind, Expected: kind,
				Hint: fmt.Sprintf("set `%s` in the properties", relative),
			})
		}
	}
}

func (v *validation) reported(path string) bool {
	for _, found := range v.result.Errors {
		if found.Path == path {
			return true
		}
	}
	return false
}

// later says whether an error is about a value that an input will fill.
func (v *validation) later(err cueerrors.Error) bool {
	text := message(err)
	incomplete := strings.Contains(text, "incomplete") || strings.Contains(text, "required but not present")
	return v.isLater(strings.TrimPrefix(pathText(err.Path()), "parameter."), incomplete)
}

// isLater says whether a path is filled later, or, for what is only incomplete, something in it.
func (v *validation) isLater(path string, incomplete bool) bool {
	for _, provided := range v.request.ProvidedLater {
		if path == provided || strings.HasPrefix(path, provided+".") || strings.HasPrefix(path, provided+"[") {
			return true
		}
		if incomplete && (strings.HasPrefix(provided, path+".") || strings.HasPrefix(provided, path+"[")) {
			return true
		}
	}
	return false
}

func (v *validation) undeclared(names declarations) {
	flows := flowsOf(names.file, v.request.Kind)
	schema := names.topLevel("parameter")
	names.undeclared([]string{"parameter"}, schema, v.request.Template.Parameters, func(path, known []string) {
		text := pathText(path)
		kind := kindUnknown
		if flows.read(path) {
			kind = kindUndeclared
		}
		// `parameter: {}` takes what the template reads.
		if v.reported(text) || kind == kindUndeclared && isEmpty(schema) {
			return
		}
		hint := didYouMean(path[len(path)-1], known)
		if near := v.meant(path, known); near != "" {
			hint = fmt.Sprintf("did you mean `%s`?", near)
		}
		v.result.Warnings = append(v.result.Warnings, diagnostic{
			Kind: kind, Path: text, Message: "the definition does not declare this parameter", Hint: hint,
		})
	})
}

// meant gives the missing parameter that an undeclared one beside it probably is, and tells so where the missing
// one is reported: of two mistakes that are one, the second would only be found after the first was mended.
func (v *validation) meant(path, known []string) string {
	name := plain(path[len(path)-1])
	beside := func(sibling string) *diagnostic {
		wanted := pathText(append(path[:len(path)-1:len(path)-1], label(sibling)))
		for i := range v.result.Errors {
			if found := &v.result.Errors[i]; found.Kind == kindMissing && found.Path == wanted {
				return found
			}
		}
		return nil
	}
	var missing []string
	for _, sibling := range known {
		if beside(sibling) != nil {
			missing = append(missing, sibling)
		}
	}
	for _, sibling := range missing {
		if yamlTruths[strings.ToLower(sibling)] == name {
			beside(sibling).Hint = fmt.Sprintf("YAML reads %s without quotes as %s: write \"%s\" with quotes", sibling, name, sibling)
			return sibling
		}
	}
	near := nearest(name, missing)
	if near == "" || editDistance(name, near) > editDistance(name, nearest(name, known)) {
		return ""
	}
	found := beside(near)
	found.Hint = fmt.Sprintf("`%s` is given, which is not declared: did you mean `%s`?", name, near)
	return near
}

// yamlTruths are words that YAML 1.1, which Kubernetes reads, takes for truth values, also as names of fields.
var yamlTruths = map[string]string{"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false", "off": "false"}
