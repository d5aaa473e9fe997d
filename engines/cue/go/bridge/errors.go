package bridge

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/literal"
)

// diagnose turns whatever CUE reports into diagnostics.
func (s stage) diagnose(err error) []diagnostic { return s.reduce(cueerrors.Errors(err)) }

// reduce lists what somebody can act on: errors of parameters first; the branches of a failed disjunction
// as one; nothing twice, and not again at each place that uses the value.
func (s stage) reduce(all []cueerrors.Error) []diagnostic {
	var ofParameters, others []diagnostic
	for _, group := range groupDisjunctions(all) {
		found := s.describe(group)
		if strings.HasPrefix(found.Path, "parameter") {
			ofParameters = append(ofParameters, found)
		} else {
			others = append(others, found)
		}
	}
	seen := map[string]bool{}
	causes := map[string]bool{}
	var kept []diagnostic
	for _, found := range ofParameters {
		key := found.Path + "\x00" + found.Message
		if !seen[key] {
			seen[key] = true
			kept = append(kept, found)
			causes[cause(found)] = true
		}
	}
	for _, found := range others {
		key := found.Path + "\x00" + found.Message
		if !seen[key] && !causes[cause(found)] {
			seen[key] = true
			kept = append(kept, found)
		}
	}
	return kept
}

// cause is equal for an error of a parameter and the same error where the parameter is used.
func cause(found diagnostic) string {
	if found.Kind == kindMissing {
		return found.Kind + found.Expected
	}
	operands := []string{found.Expected, found.Found}
	if operands[0] > operands[1] {
		operands[0], operands[1] = operands[1], operands[0]
	}
	return found.Kind + strings.Join(operands, "\x00")
}

var disjunctionText = regexp.MustCompile(`^(\d+) errors in empty disjunction`)

// groupDisjunctions puts the branches that CUE lists after "N errors in empty disjunction" with it.
func groupDisjunctions(all []cueerrors.Error) [][]cueerrors.Error {
	var groups [][]cueerrors.Error
	for i := 0; i < len(all); {
		group := []cueerrors.Error{all[i]}
		i++
		if match := disjunctionText.FindStringSubmatch(message(group[0])); match != nil {
			n, _ := strconv.Atoi(match[1])
			for ; n > 0 && i < len(all); n-- {
				group = append(group, all[i])
				i++
			}
		}
		groups = append(groups, group)
	}
	return groups
}

func message(err cueerrors.Error) string {
	format, args := err.Msg()
	return fmt.Sprintf(format, args...)
}

// describe makes one diagnostic of an error, or of a failed disjunction with its branches.
func (s stage) describe(group []cueerrors.Error) diagnostic {
	first := group[0]
	found := diagnostic{Path: pathText(first.Path()), Message: strings.TrimSuffix(message(first), ":"), Positions: s.positions(group)}
	s.classify(&found)
	if len(group) > 1 {
		s.describeBranches(&found, group[1:])
	}
	s.advise(&found, first.Path())
	return found
}

var (
	conflictText   = regexp.MustCompile(`^conflicting values (.*) and (.*?)(?: \(mismatched types .*\))?$`)
	boundText      = regexp.MustCompile(`^invalid value (.*) \((?:out of bound|does not satisfy) (.*)\)$`)
	incompleteText = regexp.MustCompile(`^(?:incomplete value|.*cannot convert incomplete value) "?(.*?)"?(?: to JSON)?$`)
	requiredText   = regexp.MustCompile(`^field is required but not present`)
	unknownText    = regexp.MustCompile(`^(?:field not allowed|undefined field: (.*))$`)
	referenceText  = regexp.MustCompile(`^(?:reference "(.*)" not found|.*(?:package|import).*not found.*|imported and not used: .*|cannot reference optional field: (.*)|undefined field: (.*))$`)
)

// classify reads the kind, and what was expected and found, from CUE's message.
func (s stage) classify(found *diagnostic) {
	text := found.Message
	switch {
	case conflictText.MatchString(text):
		match := conflictText.FindStringSubmatch(text)
		found.Kind = kindConflict
		found.Expected, found.Found = s.sortOperands(match[1], match[2])
	case boundText.MatchString(text):
		match := boundText.FindStringSubmatch(text)
		found.Kind, found.Found, found.Expected = kindConflict, match[1], match[2]
	case requiredText.MatchString(text):
		found.Kind = kindMissing
	case incompleteText.MatchString(text):
		found.Kind, found.Expected = kindMissing, incompleteText.FindStringSubmatch(text)[1]
	case text == "field not allowed":
		found.Kind = kindUnknown
	case referenceText.MatchString(text):
		found.Kind = kindReference
	case disjunctionText.MatchString(text), strings.HasPrefix(text, "incompatible list lengths"), strings.HasPrefix(text, "conflicting values"):
		found.Kind = kindConflict
	case strings.HasPrefix(text, "field not found: "):
		found.Kind = kindMissing
	case found.Path == "" && len(found.Positions) > 0:
		found.Kind = kindSyntax
	default:
		found.Kind = kindOther
	}
}

var typeNames = map[string]bool{
	"string": true, "int": true, "bool": true, "number": true, "float": true, "bytes": true, "null": false,
	"struct": true, "list": true, "uint": true, "int64": true, "int32": true, "{...}": true, "[...]": true,
}

// sortOperands tells the schema's side from the user's: the two evaluators order them differently.
func (s stage) sortOperands(a, b string) (expected, found string) {
	switch {
	case isSchema(a) && !isSchema(b):
		return a, b
	case isSchema(b) && !isSchema(a):
		return b, a
	case len(s.parameters) > 0 && strings.Contains(string(s.parameters), a) && !strings.Contains(string(s.parameters), b):
		return b, a
	}
	return a, b
}

func isSchema(operand string) bool {
	return typeNames[operand] || strings.HasPrefix(operand, "[...") || strings.HasPrefix(operand, ">") ||
		strings.HasPrefix(operand, "<") || strings.HasPrefix(operand, "!=") || strings.HasPrefix(operand, "=~") ||
		strings.Contains(operand, "|")
}

// describeBranches says in one sentence what a failed disjunction would have accepted.
func (s stage) describeBranches(found *diagnostic, branches []cueerrors.Error) {
	var accepted []string
	offered := ""
	for _, branch := range branches {
		one := diagnostic{Message: message(branch)}
		s.classify(&one)
		if one.Kind != kindConflict || one.Found == "" || pathText(branch.Path()) != found.Path {
			return
		}
		expected, value := one.Expected, one.Found
		if offered == "" {
			offered = value
		}
		if value != offered && expected == offered {
			expected, value = value, expected
		}
		if value != offered {
			return
		}
		accepted = append(accepted, expected)
	}
	if len(accepted) == 0 {
		return
	}
	found.Expected = strings.Join(unique(accepted), " | ")
	found.Found = offered
	found.Message = fmt.Sprintf("%s is none of the allowed values %s", offered, found.Expected)
}

func unique(texts []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept
}

// positions gives the places of a group in the author's texts, without repetition.
func (s stage) positions(group []cueerrors.Error) []position {
	var found []position
	seen := map[position]bool{}
	for _, err := range group {
		for _, pos := range cueerrors.Positions(err) {
			if !pos.IsValid() {
				continue
			}
			place, ok := position{File: pos.Filename(), Line: pos.Line(), Column: pos.Column()}, true
			if s.source != nil && place.File == s.source.file {
				place, ok = s.source.locate(place.Line, place.Column)
			}
			if ok && place.File != "" && place.File != "-" && !seen[place] {
				seen[place] = true
				found = append(found, place)
			}
		}
	}
	return found
}

// pathText writes a path as users write it: parameter.ports[0]."my-key".
func pathText(path []string) string {
	var out strings.Builder
	for i, part := range path {
		if _, err := strconv.Atoi(part); err == nil && i > 0 {
			out.WriteString("[" + part + "]")
			continue
		}
		if i > 0 {
			out.WriteByte('.')
		}
		out.WriteString(part)
	}
	return out.String()
}

// plain removes the quotes of a CUE string.
func plain(text string) string {
	if unquoted, err := literal.Unquote(text); err == nil {
		return unquoted
	}
	return text
}
