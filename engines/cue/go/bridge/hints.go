package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"caravel.dev/cuebridge/packages"

	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
)

// advise adds what to do, where that is known.
func (s stage) advise(found *diagnostic, err cueerrors.Error) {
	path := err.Path()
	switch found.Kind {
	case kindMissing:
		if len(path) > 1 && path[0] == "parameter" {
			found.Hint = fmt.Sprintf("set `%s` in the properties", strings.TrimPrefix(found.Path, "parameter."))
		}
	case kindUnknown:
		found.Hint = s.hintUnknown(path)
	case kindReference, kindPackage:
		found.Hint = join(s.hintReference(err), s.hintAbsent(found))
	case kindOther:
		found.Hint = s.hintAbsent(found)
	case kindConflict:
		found.Hint = join(found.Hint, hintConflict(found.Expected, found.Found))
	}
}

// truthWords tells which words of a manifest arrive as a truth value: which of them was written is not known any more.
var truthWords = map[string]string{"true": "y, yes, on and true", "false": "n, no, off and false"}

// hintConflict helps with quotes, and with values that are nearly right.
func hintConflict(expected, given string) string {
	if given == "" {
		return ""
	}
	alternatives := strings.Split(expected, " | ")
	kind := literalKind(given)
	for _, one := range alternatives {
		inner := literalKind(plain(given))
		switch {
		case kind == "string" && one == inner:
			return fmt.Sprintf("write %s without quotes", plain(given))
		case one == "string" && kind == "bool":
			return fmt.Sprintf("YAML reads %s without quotes as %s: write what is meant with quotes", truthWords[given], given)
		case one == "string" && kind != "" && kind != "string":
			return fmt.Sprintf("write %q with quotes", given)
		}
	}
	if kind != "string" || len(alternatives) < 2 {
		return ""
	}
	if near := nearest(plain(given), plainAll(alternatives)); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	return ""
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
	file, err := parser.ParseFile(s.source.file, s.source.author)
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

func join(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "; " + second
}

// hintReference looks for the name that a reference was meant to be.
func (s stage) hintReference(reported cueerrors.Error) string {
	format, args := reported.Msg()
	if match := packageText.FindStringSubmatch(message(reported)); match != nil {
		return hintPackage(match[1])
	}
	if s.source == nil || !strings.HasPrefix(format, "reference %") || len(args) == 0 {
		return ""
	}
	file, err := parser.ParseFile(s.source.file, s.source.author)
	if err != nil {
		return ""
	}
	known := append([]string{"parameter", "context"}, ownNames...)
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
	wanted := fmt.Sprint(args[0])
	if slices.Contains(known, wanted) {
		return "it is declared inside of another struct, an `if` for instance, where it cannot be seen from here"
	}
	if near := nearest(wanted, known); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	if unicode.IsUpper([]rune(wanted)[0]) {
		return fmt.Sprintf("a text is written with quotes: %q", wanted)
	}
	return ""
}

// ownNames are names of CUE itself that templates use most.
var ownNames = []string{"string", "int", "bool", "number", "float", "bytes", "uint", "len", "close", "and", "or"}

var packageText = regexp.MustCompile(`^package "(.*)" not found$`)

// mayCome says whether a message is about a package that somebody may still register: it is none of our own, and is not
// called nearly like one that there is.
func mayCome(message string) bool {
	match := packageText.FindStringSubmatch(message)
	if match == nil {
		return false
	}
	wanted := match[1]
	return strings.Contains(wanted, "/") && !strings.HasPrefix(wanted, importPrefix) && nearestPackage(wanted) == ""
}

// hintPackage says where packages come from.
func hintPackage(wanted string) string {
	if near := nearestPackage(wanted); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	return "a package of your own is registered as a Package object, and named offline with --packages"
}

func nearestPackage(wanted string) string {
	known := slices.Clone(commonPackages)
	for _, folder := range []string{componentPackages.folder, workflowPackages.folder} {
		entries, err := packages.Files.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if name, ok := strings.CutSuffix(entry.Name(), ".cue"); ok {
				known = append(known, importPrefix+name)
			}
		}
	}
	return nearest(wanted, known)
}

// commonPackages are those of CUE that templates import most.
var commonPackages = []string{
	"strings", "strconv", "list", "math", "regexp", "struct", "time", "net", "path", "text/template",
	"encoding/json", "encoding/yaml", "encoding/base64", "encoding/hex", "crypto/md5", "crypto/sha256",
}
