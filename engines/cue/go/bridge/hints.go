package bridge

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
)

// advise adds what to do, where that is known.
func (s stage) advise(found *diagnostic, path []string) {
	switch found.Kind {
	case kindMissing:
		if len(path) > 1 && path[0] == "parameter" {
			found.Hint = fmt.Sprintf("set `%s` in the properties", strings.TrimPrefix(found.Path, "parameter."))
		}
	case kindUnknown:
		found.Hint = s.hintUnknown(path)
	case kindReference:
		found.Hint = s.hintReference(found.Message)
	case kindConflict:
		if found.Found != "" && strings.Contains(found.Expected, " | ") {
			if near := nearest(plain(found.Found), plainAll(strings.Split(found.Expected, " | "))); near != "" {
				found.Hint = fmt.Sprintf("did you mean `%s`?", near)
			}
		}
	}
}

func plainAll(quoted []string) []string {
	texts := make([]string, len(quoted))
	for i, text := range quoted {
		texts[i] = plain(text)
	}
	return texts
}

func (s stage) hintUnknown(path []string) string {
	if s.source == nil || len(path) < 2 {
		return ""
	}
	file, err := parser.ParseFile(s.source.file, s.source.text.String())
	if err != nil {
		return ""
	}
	names := declarations{file}
	parent := names.at(path[:len(path)-1])
	if parent == nil {
		return ""
	}
	return didYouMean(path[len(path)-1], sortedKeys(names.of(parent).fields))
}

func didYouMean(name string, known []string) string {
	if near := nearest(plain(name), known); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	if len(known) > 0 && len(known) <= 12 {
		return "known fields: " + strings.Join(known, ", ")
	}
	return ""
}

// hintReference looks for the name that a reference was meant to be.
func (s stage) hintReference(message string) string {
	match := referenceText.FindStringSubmatch(message)
	if s.source == nil || len(match) < 2 || match[1] == "" {
		return ""
	}
	file, err := parser.ParseFile(s.source.file, s.source.text.String())
	if err != nil {
		return ""
	}
	var known []string
	ast.Walk(file, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.Field:
			if name, _, err := ast.LabelName(x.Label); err == nil {
				known = append(known, name)
			}
		case *ast.LetClause:
			known = append(known, x.Ident.Name)
		}
		return true
	}, nil)
	if near := nearest(match[1], known); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	return ""
}
