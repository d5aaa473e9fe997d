package bridge

import (
	"fmt"
	"sort"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// upgrade rewrites a text for today's CUE: a template, or a definition with the texts of its status.
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
	changes := where.upgradeStatus(file, request.Source)
	changes = append(changes, where.warnings(modernise(file, request.Source))...)
	result := &upgradeResult{Source: request.Source, Changes: append([]diagnostic{}, changes...)}
	if len(changes) == 0 {
		return result, nil
	}
	sort.SliceStable(changes, func(i, j int) bool {
		a, b := changes[i].Positions[0], changes[j].Positions[0]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	result.Changes = changes
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

// statusTexts are the fields of `attributes.status` that hold CUE, as text or as a struct.
var statusTexts = map[string]bool{"healthPolicy": true, "customStatus": true, "details": true}

// upgradeStatus rewrites the texts of a definition's status, each of which is a template of its own.
func (s stage) upgradeStatus(file *ast.File, source string) []diagnostic {
	var changes []diagnostic
	for _, decl := range file.Decls {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		status, ok := fieldOf(fieldOf(field.Value, "attributes"), "status").(*ast.StructLit)
		if !ok {
			continue
		}
		for _, decl := range status.Elts {
			text, ok := decl.(*ast.Field)
			if !ok {
				continue
			}
			if label, _, _ := ast.LabelName(text.Label); statusTexts[label] {
				changes = append(changes, s.upgradeText(text, source)...)
			}
		}
	}
	return changes
}

// upgradeText rewrites one text of a status. One that does not parse is left to whoever checks the definition.
func (s stage) upgradeText(field *ast.Field, source string) []diagnostic {
	plain, line, column := "", field.Value.Pos().Line(), field.Value.Pos().Column()
	depth := indentation(source, line) + 1
	switch x := field.Value.(type) {
	case *ast.BasicLit:
		if x.Kind != token.STRING {
			return nil
		}
		text, err := literal.Unquote(x.Value)
		if err != nil {
			return nil
		}
		plain = text
		if strings.Contains(x.Value, "\n") {
			line, column = line+1, depth+1
		}
	case *ast.StructLit:
		if !x.Lbrace.IsValid() || len(x.Elts) == 0 {
			return nil
		}
		body := &definitionFile{source: source}
		plain = body.body(x)
		if x.Elts[0].Pos().Line() > line {
			line, column = line+1, depth+1
		}
	default:
		return nil
	}
	upgraded, err := upgrade(&formatRequest{File: s.source.file, Source: plain})
	if err != nil || len(upgraded.Changes) == 0 {
		return nil
	}
	for i := range upgraded.Changes {
		place := &upgraded.Changes[i].Positions[0]
		place.Line, place.Column = place.Line+line-1, place.Column+column-1
	}
	text := upgraded.Source
	if !strings.HasSuffix(plain, "\n") {
		text = strings.TrimRight(text, "\n")
	}
	field.Value = &ast.BasicLit{Kind: token.STRING, Value: block(text, depth)}
	return upgraded.Changes
}

// indentation counts the tabs before a line.
func indentation(source string, line int) int {
	lines := strings.Split(source, "\n")
	if line < 1 || line > len(lines) {
		return 0
	}
	text := lines[line-1]
	return len(text) - len(strings.TrimLeft(text, "\t"))
}
