package bridge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

// expressionField holds an expression among the names that it may use.
const expressionField = "zz_output__"

// expression evaluates one expression over named values, for instance the `if` of a step (row WF-004).
func expression(request *expressionRequest) (json.RawMessage, error) {
	where := stage{source: newSource("expression.cue", request.Expression)}
	file, err := parseExpression(where.source.file, request.Expression)
	if err != nil {
		return nil, where.failure(stageParse, &syntaxError{text: err.Error(), own: err}, err.Error())
	}
	for _, name := range sortedKeys(request.Scope) {
		scope := newSource(name, "")
		scope.appendData(name, request.Scope[name])
		parsed, err := scope.parse()
		if err != nil {
			return nil, where.failure(stageParse, err, err.Error())
		}
		file.Decls = append(file.Decls, parsed.Decls...)
	}
	files := []*ast.File{file}
	if len(request.Texts) > 0 {
		file.Decls = append([]ast.Decl{shared()}, file.Decls...)
	}
	for _, name := range sortedKeys(request.Texts) {
		named, err := underName(name, request.Texts[name])
		if err != nil {
			return nil, where.failure(stageParse, &syntaxError{text: err.Error(), own: err}, err.Error())
		}
		files = append(files, named)
	}
	value, err := buildFiles(files, nil)
	if err != nil {
		return nil, where.failure(stageParse, err, err.Error())
	}
	found := value.LookupPath(cue.ParsePath(expressionField))
	if err := found.Err(); err != nil {
		// A name that is not there spoils the whole: then the field itself is not found.
		if own := value.Err(); own != nil && !found.Exists() {
			err = own
		}
		return nil, where.failure(stageValidate, err, withoutField(err))
	}
	raw, err := found.MarshalJSON()
	if err != nil {
		return nil, where.failure(stageExport, err, withoutField(err))
	}
	return raw, nil
}

// withoutField is an error's text without the name that nobody but this file knows.
func withoutField(err error) string {
	return strings.ReplaceAll(err.Error(), expressionField+": ", "")
}

// parseExpression gives a file with the expression as value of expressionField. Text before it may import
// packages; several declarations are a struct.
func parseExpression(name, text string) (*ast.File, error) {
	if err := checkNesting(text); err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(name, strings.TrimSpace(text), parser.ParseComments)
	if err != nil {
		return nil, err
	}
	head, body := divide(file)
	field := &ast.Field{Label: ast.NewIdent(expressionField)}
	if embedded, ok := single(body).(*ast.EmbedDecl); ok {
		field.Value = embedded.Expr
	} else {
		field.Value = &ast.StructLit{Elts: body}
	}
	file.Decls = append(head, field)
	return file, nil
}

// underName gives a file with the text as a struct under a name. It imports what the text imports; places in it are
// those in the text, which is called by that name.
func underName(name, text string) (*ast.File, error) {
	if err := checkNesting(text); err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	head, body := divide(file)
	imports := slices.DeleteFunc(head, func(decl ast.Decl) bool {
		_, isClause := decl.(*ast.Package)
		return isClause
	})
	field := &ast.Field{Label: ast.NewIdent(name), Value: &ast.StructLit{Elts: body}}
	file.Decls = append(append([]ast.Decl{shared()}, imports...), field)
	unresolve(file)
	return file, nil
}

// shared is the clause of files that know each other's names.
func shared() *ast.Package {
	return &ast.Package{Name: ast.NewIdent("expression")}
}

// divide gives what a file begins with, its package clause and imports, and what it says.
func divide(file *ast.File) (head, body []ast.Decl) {
	for _, decl := range file.Decls {
		switch decl.(type) {
		case *ast.ImportDecl, *ast.Package:
			head = append(head, decl)
		default:
			body = append(body, decl)
		}
	}
	return head, body
}

func single(decls []ast.Decl) ast.Decl {
	if len(decls) == 1 {
		return decls[0]
	}
	return nil
}

// lookupExpression reads a path of a value, or evaluates an expression in its scope.
func lookupExpression(value cue.Value, text string) (cue.Value, error) {
	text = strings.TrimSpace(text)
	file, err := parseExpression("output.cue", text)
	if err != nil {
		return cue.Value{}, fmt.Errorf("parse script: %w", err)
	}
	if isPath(file) {
		path := cue.ParsePath(text)
		found := value.LookupPath(path)
		if !found.Exists() {
			found = lookupDefaults(value, path)
		}
		if !found.Exists() {
			return found, fmt.Errorf("failed to lookup value: var(path=%s) not exist", text)
		}
		return found, nil
	}
	scope, err := printed(value)
	if err != nil {
		return cue.Value{}, err
	}
	file.Decls = append(file.Decls, scope.Decls...)
	built, err := buildFile(file, nil)
	if err != nil {
		return cue.Value{}, err
	}
	if err := built.Err(); err != nil {
		return cue.Value{}, err
	}
	return built.LookupPath(cue.ParsePath(expressionField)), nil
}

// lookupDefaults follows a path as an expression does: where there is a choice, through its default.
func lookupDefaults(value cue.Value, path cue.Path) cue.Value {
	for _, selector := range path.Selectors() {
		value = value.LookupPath(cue.MakePath(selector))
		if chosen, has := value.Default(); has {
			value = chosen
		}
	}
	return value
}

// isPath says whether an expression only selects.
func isPath(file *ast.File) bool {
	field, ok := single(file.Decls).(*ast.Field)
	if !ok {
		return false
	}
	switch field.Value.(type) {
	case *ast.SelectorExpr, *ast.IndexExpr, *ast.Ident:
		return true
	}
	return false
}

// printed gives the syntax of an evaluated value, parsed anew so that names resolve in it.
func printed(value cue.Value) (*ast.File, error) {
	node, err := sets.ToFile(value.Syntax(cue.Final(), cue.Docs(true), cue.All()))
	if err != nil {
		return nil, err
	}
	text, err := format.Node(node, format.Simplify())
	if err != nil {
		return nil, err
	}
	return parser.ParseFile("scope", text, parser.ParseComments)
}
