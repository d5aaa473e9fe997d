package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// templateFields are the top-level fields of a template that mean something (row REN-003).
var templateFields = []string{"output", "outputs", "patch", "patchOutputs", "parameter", "processing", "errs", "config"}

// strategies are the values of +patchStrategy. The last two mean nothing, and occur (row REN-017).
var strategies = []string{"retainKeys", "replace", "jsonPatch", "jsonMergePatch", "merge", "open"}

// contextNames are the fields of `context` in templates of components and traits (rows REN-101 to REN-103).
var contextNames = []string{
	"name", "namespace", "appName", "appRevision", "appRevisionNum", "appLabels", "appAnnotations", "components",
	"cluster", "clusterVersion", "publishVersion", "workflowName", "replicaKey", "revision", "custom", "parameter",
	"output", "outputs", "componentType", "config", "outputSecretName", "artifacts",
}

// misspelt warns of what looks like a word that a template can say, and is none: nothing else would tell.
func (v *validation) misspelt(where stage) {
	file, err := parser.ParseFile(where.source.file, v.request.Template.Source, parser.ParseComments)
	if err != nil {
		return
	}
	v.misspeltSections(where, file)
	v.misspeltContext(where, file)
	ast.Walk(file, func(node ast.Node) bool {
		for _, group := range ast.Comments(node) {
			for _, comment := range group.List {
				v.misspeltMarker(where, comment)
			}
		}
		return true
	}, nil)
}

// misspeltSections looks at top-level fields that nobody reads and that are nearly a section.
func (v *validation) misspeltSections(where stage, file *ast.File) {
	used := map[string]bool{}
	ast.Walk(file, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.Field:
			ast.Walk(x.Value, func(inner ast.Node) bool {
				if ident, ok := inner.(*ast.Ident); ok {
					used[ident.Name] = true
				}
				return true
			}, nil)
			return false
		case *ast.Ident:
			used[x.Name] = true
		}
		return true
	}, nil)
	for _, decl := range file.Decls {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		name, _, err := ast.LabelName(field.Label)
		if err != nil || used[name] || slices.Contains(templateFields, name) || name == "context" || isCall(field.Value) {
			continue
		}
		near := nearest(name, templateFields)
		// Whatever stands in a step can be one of its outputs.
		if v.request.Kind == "workflow-step" && near != "parameter" {
			near = ""
		}
		if near != "" {
			v.warn(where, field.Pos(), diagnostic{
				Kind: kindUnknown, Path: name,
				Message: fmt.Sprintf("the field `%s` means nothing in a template, and nothing uses it", name),
				Hint:    fmt.Sprintf("did you mean `%s`?", near),
			})
		}
	}
}

// isCall says whether a field has an effect of its own: `kube.#Apply & {…}`, or `#do`.
func isCall(expr ast.Expr) bool {
	found := false
	ast.Walk(expr, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.SelectorExpr:
			name, _, err := ast.LabelName(x.Sel)
			found = found || err == nil && isDefinition(name)
		case *ast.Field:
			name, _, err := ast.LabelName(x.Label)
			found = found || err == nil && name == "#do"
		}
		return !found
	}, nil)
	return found
}

// misspeltContext looks at what templates of components and traits read of `context`. Contexts of steps may have
// fields of their own (row REN-107).
func (v *validation) misspeltContext(where stage, file *ast.File) {
	if v.request.Kind != "component" && v.request.Kind != "trait" {
		return
	}
	reported := map[string]bool{}
	ast.Walk(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		base, ok := selector.X.(*ast.Ident)
		if !ok || base.Name != "context" {
			return true
		}
		name, _, err := ast.LabelName(selector.Sel)
		if err != nil || slices.Contains(contextNames, name) || reported[name] {
			return true
		}
		reported[name] = true
		v.warn(where, selector.Sel.Pos(), diagnostic{
			Kind: kindReference, Path: "context." + name,
			Message: fmt.Sprintf("context has no field `%s`", name),
			Hint:    didYouMean(name, slices.Clone(contextNames)),
		})
		return true
	}, nil)
}

var markerText = regexp.MustCompile(`^//\s*\+(patch\w*)(\s*)([=:]?)(\s*)(\S*)`)

// misspeltMarker looks at comments that are nearly a marker of patches (rows REN-012 to REN-016).
func (v *validation) misspeltMarker(where stage, comment *ast.Comment) {
	match := markerText.FindStringSubmatch(comment.Text)
	if match == nil {
		// In another case altogether: `+PatchKey`.
		match = markerText.FindStringSubmatch(strings.Replace(comment.Text, "+Patch", "+patch", 1))
		if match == nil {
			return
		}
	}
	marker, value := match[1], match[5]
	if marker == "patchMergeKey" {
		return
	}
	proper := nearest(marker, []string{"patchKey", "patchStrategy"})
	if proper == "" {
		return
	}
	if proper == "patchStrategy" && !slices.Contains(strategies, value) {
		if near := nearest(value, slices.Clone(strategies)); near != "" {
			value = near
		} else {
			value = strings.Join(strategies[:4], ", ")
		}
	}
	wanted := fmt.Sprintf("+%s=%s", proper, value)
	written := strings.TrimSpace(strings.TrimPrefix(comment.Text, "//"))
	if written == wanted || strings.HasPrefix(written, wanted+" ") {
		return
	}
	v.warn(where, comment.Pos(), diagnostic{
		Kind: kindUnknown, Message: fmt.Sprintf("the comment `%s` is no marker, and has no effect", written),
		Hint: fmt.Sprintf("write `// %s`", wanted),
	})
}

func (v *validation) warn(where stage, at token.Pos, found diagnostic) {
	if place, ok := where.source.locate(at.Line(), at.Column()); ok && at.IsValid() {
		found.Positions = []position{place}
	}
	v.result.Warnings = append(v.result.Warnings, found)
}
