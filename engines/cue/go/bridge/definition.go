package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	"cuelang.org/go/tools/fix"
)

const (
	apiVersion     = "core.oam.dev/v1beta1"
	aliasKey       = "definition.oam.dev/alias"
	descriptionKey = "definition.oam.dev/description"
	customPrefix   = "custom.definition.oam.dev/"
)

var definitionKinds = map[string]string{
	"component":     "ComponentDefinition",
	"trait":         "TraitDefinition",
	"policy":        "PolicyDefinition",
	"workflow-step": "WorkflowStepDefinition",
	"workload":      "WorkloadDefinition",
}

// definitionFile is a definition in its source form (row REN-001), taken apart.
type definitionFile struct {
	name   string
	source string
	// imports, the quoted field with the metadata, and the struct of the template.
	imports  []*ast.ImportDecl
	metadata *ast.Field
	template *ast.StructLit
}

func parseDefinition(request *parseDefinitionRequest) (*parsedDefinition, error) {
	where := stage{source: newSource(request.File, request.Source)}
	file, err := splitDefinition(request.File, request.Source)
	if err != nil {
		return nil, definitionFailure(where, err)
	}
	object, kind, name, err := file.object()
	if err != nil {
		return nil, definitionFailure(where, err)
	}
	places := map[string]position{}
	file.collectPlaces(file.metadata.Value, "", places)
	return &parsedDefinition{Kind: kind, Name: name, Object: object, Places: places, Unknown: file.unknownFields()}, nil
}

// collectPlaces notes where the fields of the head stand.
func (f *definitionFile) collectPlaces(expr ast.Expr, path string, places map[string]position) {
	switch x := expr.(type) {
	case *ast.StructLit:
		for _, decl := range x.Elts {
			field, ok := decl.(*ast.Field)
			if !ok {
				continue
			}
			label, _, err := ast.LabelName(field.Label)
			if err != nil {
				continue
			}
			below := strings.TrimPrefix(path+"."+label, ".")
			if at := field.Label.Pos(); at.IsValid() {
				places[below] = f.place(at)
			}
			f.collectPlaces(field.Value, below, places)
		}
	case *ast.ListLit:
		for i, element := range x.Elts {
			below := fmt.Sprintf("%s[%d]", path, i)
			if at := element.Pos(); at.IsValid() {
				places[below] = f.place(at)
			}
			f.collectPlaces(element, below, places)
		}
	}
}

func (f *definitionFile) place(at token.Pos) position {
	return position{File: f.name, Line: at.Line(), Column: letters(f.source, at.Line(), at.Column())}
}

// headFields are the fields of a definition beside its template.
var headFields = []string{"alias", "annotations", "attributes", "description", "labels", "type"}

// unknownFields finds what nobody would read: it is misspelt.
func (f *definitionFile) unknownFields() []diagnostic {
	var found []diagnostic
	head, _ := f.metadata.Value.(*ast.StructLit)
	if head == nil {
		return nil
	}
	for _, decl := range head.Elts {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		name, _, err := ast.LabelName(field.Label)
		if err != nil || slices.Contains(headFields, name) || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#") {
			continue
		}
		at := field.Label.Pos()
		found = append(found, diagnostic{
			Kind: kindUnknown, Path: name, Message: fmt.Sprintf("unknown field %q", name),
			Hint:      didYouMean(name, slices.Clone(headFields)),
			Positions: []position{f.place(at)},
		})
	}
	return found
}

func definitionFailure(where stage, err error) error {
	var limit *limitError
	if errors.As(err, &limit) {
		return err
	}
	return where.failure(stageParse, err, err.Error())
}

func splitDefinition(name, source string) (*definitionFile, error) {
	if err := checkNesting(source); err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	file := &definitionFile{name: name, source: source}
	for _, decl := range parsed.Decls {
		switch decl := decl.(type) {
		case *ast.ImportDecl:
			file.imports = append(file.imports, decl)
		case *ast.Field:
			if err := file.take(decl); err != nil {
				return nil, err
			}
		}
	}
	if file.metadata == nil {
		return nil, errors.New("no metadata found, invalid: a definition begins with `\"name\": {type: …, attributes: {…}}`")
	}
	if file.template == nil {
		return nil, errors.New("no template found, invalid: a definition has `template: {…}`")
	}
	return file, nil
}

func (f *definitionFile) take(field *ast.Field) error {
	label, _, err := ast.LabelName(field.Label)
	if err != nil {
		return fmt.Errorf("unexpected field at the top level: %w", err)
	}
	if label == "template" {
		body, ok := field.Value.(*ast.StructLit)
		if !ok {
			return errors.New("`template` must be a struct: template: {…}")
		}
		f.template = body
		return nil
	}
	if f.metadata != nil {
		first, _, _ := ast.LabelName(f.metadata.Label)
		return fmt.Errorf("duplicated definition name found, %s and %s: one file holds one definition", first, label)
	}
	f.metadata = field
	return nil
}

// object makes the Kubernetes object.
func (f *definitionFile) object() (object map[string]any, kind, name string, err error) {
	name, _, err = ast.LabelName(f.metadata.Label)
	if err != nil {
		return nil, "", "", err
	}
	f.statusToText()
	value := newContext().BuildFile(&ast.File{Filename: f.name, Decls: []ast.Decl{f.metadata}})
	metadata := value.LookupPath(cue.MakePath(cue.Str(name)))
	if err := metadata.Err(); err != nil {
		return nil, "", "", err
	}
	raw, err := metadata.MarshalJSON()
	if err != nil {
		return nil, "", "", err
	}
	var head struct {
		Type        string            `json:"type"`
		Alias       *string           `json:"alias"`
		Description *string           `json:"description"`
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
		Attributes  map[string]any    `json:"attributes"`
	}
	if err := unmarshalNumbers(raw, &head); err != nil {
		return nil, "", "", fmt.Errorf("the metadata of %q: %w", name, err)
	}
	kubernetesKind, ok := definitionKinds[head.Type]
	if !ok {
		return nil, "", "", fmt.Errorf("invalid type %s: it must be one of component, trait, policy, workflow-step, workload", head.Type)
	}
	annotations := withPrefix(head.Annotations)
	if head.Alias != nil {
		annotations[aliasKey] = *head.Alias
	}
	if head.Description != nil {
		annotations[descriptionKey] = *head.Description
	}
	spec := head.Attributes
	if spec == nil {
		spec = map[string]any{}
	}
	spec["schematic"] = map[string]any{"cue": map[string]any{"template": f.templateText()}}
	return map[string]any{
		"apiVersion": apiVersion,
		"kind":       kubernetesKind,
		"metadata":   map[string]any{"name": name, "annotations": annotations, "labels": withPrefix(head.Labels)},
		"spec":       spec,
	}, head.Type, name, nil
}

// withPrefix marks keys as the author's, those of the platform excepted.
func withPrefix(texts map[string]string) map[string]string {
	marked := map[string]string{}
	for key, text := range texts {
		if !isPlatform(key) {
			key = customPrefix + key
		}
		marked[key] = text
	}
	return marked
}

// isPlatform says whether a key means something to KubeVela or to Caravel itself.
func isPlatform(key string) bool {
	return strings.Contains(key, "oam.dev") || strings.HasPrefix(key, "caravel.dev/")
}

// templateText is the body of `template` as the author wrote it, under the imports.
func (f *definitionFile) templateText() string {
	var out strings.Builder
	for _, decl := range f.imports {
		if text, err := format.Node(decl); err == nil {
			out.Write(text)
			out.WriteByte('\n')
		}
	}
	if out.Len() > 0 {
		out.WriteByte('\n')
	}
	out.WriteString(f.body(f.template))
	return out.String()
}

// body gives what stands between the braces of a struct, shifted to the left.
func (f *definitionFile) body(body *ast.StructLit) string {
	from, to := body.Lbrace.Offset()+1, body.Rbrace.Offset()
	if from < 1 || to < from || to > len(f.source) {
		return ""
	}
	return dedent(f.source[from:to])
}

func dedent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	indent, first := "", true
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		lead := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if first {
			indent, first = lead, false
		}
		for !strings.HasPrefix(lead, indent) {
			indent = indent[:len(indent)-1]
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(line, indent), " \t")
		if strings.TrimSpace(line) == "" {
			lines[i] = ""
		}
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

// statusToText turns status fields that are written as structs into texts.
func (f *definitionFile) statusToText() {
	status := fieldOf(fieldOf(f.metadata.Value, "attributes"), "status")
	body, ok := status.(*ast.StructLit)
	if !ok {
		return
	}
	for _, decl := range body.Elts {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		label, _, _ := ast.LabelName(field.Label)
		switch label {
		case "healthPolicy", "customStatus", "details":
			if inner, ok := field.Value.(*ast.StructLit); ok && inner.Lbrace.IsValid() {
				field.Value = ast.NewString(f.body(inner))
			}
		}
	}
}

// fieldOf gives the value of a field of a struct literal; nil where there is none.
func fieldOf(expr ast.Expr, name string) ast.Expr {
	body, ok := expr.(*ast.StructLit)
	if !ok {
		return nil
	}
	for _, decl := range body.Elts {
		if field, ok := decl.(*ast.Field); ok {
			if label, _, _ := ast.LabelName(field.Label); label == name {
				return field.Value
			}
		}
	}
	return nil
}

func printDefinition(request *printDefinitionRequest) (string, error) {
	var object struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name        string            `json:"name"`
			Annotations map[string]string `json:"annotations"`
			Labels      map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec map[string]json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(request.Object, &object); err != nil {
		return "", &badRequestError{"the object is not a definition: " + err.Error()}
	}
	kind := typeOfKind(object.Kind)
	if kind == "" {
		return "", &badRequestError{fmt.Sprintf("the object is a %q, not a definition", object.Kind)}
	}
	var schematic struct {
		CUE struct {
			Template string `json:"template"`
		} `json:"cue"`
	}
	if raw, ok := object.Spec["schematic"]; ok {
		if err := json.Unmarshal(raw, &schematic); err != nil {
			return "", &badRequestError{"spec.schematic: " + err.Error()}
		}
	}
	delete(object.Spec, "schematic")
	metadata := &ast.StructLit{Elts: []ast.Decl{
		text("type", kind),
		text("alias", object.Metadata.Annotations[aliasKey]),
		text("description", object.Metadata.Annotations[descriptionKey]),
		&ast.Field{Label: ast.NewIdent("annotations"), Value: custom(object.Metadata.Annotations)},
		&ast.Field{Label: ast.NewIdent("labels"), Value: custom(object.Metadata.Labels)},
	}}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, jsonObject(object.Spec).text(), "", "\t"); err != nil {
		return "", &badRequestError{"spec: " + err.Error()}
	}
	attributes, err := parser.ParseExpr("attributes", pretty.Bytes())
	if err != nil {
		return "", &badRequestError{"spec: " + err.Error()}
	}
	multiline(attributes, 2)
	metadata.Elts = append(metadata.Elts, &ast.Field{Label: ast.NewIdent("attributes"), Value: attributes})
	return assemble(object.Metadata.Name, metadata, schematic.CUE.Template)
}

// assemble writes imports, metadata and template as one file.
func assemble(name string, metadata *ast.StructLit, template string) (string, error) {
	where := stage{source: newSource("template.cue", template)}
	if err := checkNesting(template); err != nil {
		return "", err
	}
	parsed, err := parser.ParseFile(where.source.file, template, parser.ParseComments)
	if err != nil {
		return "", definitionFailure(where, err)
	}
	var imports, rest []ast.Decl
	for _, decl := range parsed.Decls {
		if _, ok := decl.(*ast.ImportDecl); ok {
			imports = append(imports, decl)
		} else {
			rest = append(rest, decl)
		}
	}
	var out strings.Builder
	for _, part := range []*ast.File{
		{Decls: imports},
		{Decls: []ast.Decl{&ast.Field{Label: ast.NewString(name), Value: metadata}}},
	} {
		bytes, err := format.Node(part, format.Simplify())
		if err != nil {
			return "", definitionFailure(where, err)
		}
		out.Write(bytes)
		out.WriteByte('\n')
	}
	below := &ast.File{Decls: rest}
	// Comments that stand alone at the top.
	ast.SetComments(below, ast.Comments(parsed))
	body, err := format.Node(below)
	if err != nil {
		return "", definitionFailure(where, err)
	}
	out.WriteString("template: {\n" + indent(string(body)) + "}\n")
	formatted, err := format.Source([]byte(strings.TrimLeft(out.String(), "\n")))
	if err != nil {
		return "", definitionFailure(where, err)
	}
	return string(formatted), nil
}

func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "\t" + line
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func typeOfKind(kind string) string {
	for name, candidate := range definitionKinds {
		if candidate == kind {
			return name
		}
	}
	return ""
}

func text(name, value string) *ast.Field {
	return &ast.Field{Label: ast.NewIdent(name), Value: ast.NewString(value)}
}

// custom gives the author's own keys without their prefix, and those of the platform. What others put on
// the object stays away.
func custom(texts map[string]string) *ast.StructLit {
	body := &ast.StructLit{}
	for _, key := range sortedKeys(texts) {
		name, own := strings.CutPrefix(key, customPrefix)
		platform := isPlatform(key) && key != aliasKey && key != descriptionKey
		if own || platform {
			body.Elts = append(body.Elts, &ast.Field{Label: ast.NewString(name), Value: ast.NewString(texts[key])})
		}
	}
	return body
}

// multiline writes texts of several lines as blocks, indented for their depth.
func multiline(expr ast.Expr, depth int) {
	switch x := expr.(type) {
	case *ast.StructLit:
		for _, decl := range x.Elts {
			if field, ok := decl.(*ast.Field); ok {
				multiline(field.Value, depth+1)
			}
		}
	case *ast.ListLit:
		for _, element := range x.Elts {
			multiline(element, depth+1)
		}
	case *ast.BasicLit:
		if x.Kind != token.STRING {
			return
		}
		plainText, err := literal.Unquote(x.Value)
		if err != nil || !strings.Contains(plainText, "\n") {
			return
		}
		x.Value = block(plainText, depth)
	}
}

// block quotes a text as #""" … """#, with as many # as it takes.
func block(text string, depth int) string {
	hashes := "#"
	for strings.Contains(text, `"""`+hashes) || strings.Contains(text, `\`+hashes) {
		hashes += "#"
	}
	lead := strings.Repeat("\t", depth)
	var out strings.Builder
	out.WriteString(hashes + "\"\"\"\n")
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if line != "" {
			out.WriteString(lead + line)
		}
		out.WriteByte('\n')
	}
	if strings.HasSuffix(text, "\n") {
		out.WriteByte('\n')
	}
	out.WriteString(lead + "\"\"\"" + hashes)
	return out.String()
}

// formatSource formats CUE text, and mends what `cue fix` mends.
func formatSource(request *formatRequest) (string, error) {
	name := request.File
	if name == "" {
		name = "source.cue"
	}
	where := stage{source: newSource(name, request.Source)}
	if err := checkNesting(request.Source); err != nil {
		return "", err
	}
	file, err := parser.ParseFile(name, request.Source, parser.ParseComments)
	if err != nil {
		return "", definitionFailure(where, err)
	}
	fixed := fix.File(file)
	// Of imports that nothing uses it leaves the empty brackets.
	fixed.Decls = slices.DeleteFunc(fixed.Decls, func(decl ast.Decl) bool {
		imports, ok := decl.(*ast.ImportDecl)
		return ok && len(imports.Specs) == 0
	})
	formatted, err := format.Node(fixed)
	if err != nil {
		return "", definitionFailure(where, err)
	}
	return string(formatted), nil
}
