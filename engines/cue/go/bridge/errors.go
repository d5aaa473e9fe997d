package bridge

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
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
		if strings.HasPrefix(found.Message, "builtin package") || strings.Contains(found.Message, "imported but not defined in") {
			// Said again as "package … not found".
			continue
		}
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
			kept = append(kept, withoutSides(found))
		}
	}
	return kept
}

// withoutSides forgets which of two values was expected where nobody can tell.
func withoutSides(found diagnostic) diagnostic {
	if found.Kind == kindConflict && !isSchema(found.Expected) {
		found.Expected, found.Found = "", ""
	}
	return found
}

// cause is equal for an error of a parameter and the same error where the parameter is used.
func cause(found diagnostic) string {
	if found.Kind == kindMissing {
		return found.Kind + found.Expected
	}
	if found.Expected == "" && found.Found == "" {
		return found.Kind + "\x00" + found.Message
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
	found := s.classify(first)
	found.at, found.Path = first.Path(), pathText(first.Path())
	found.Positions = s.positions(group)
	if len(group) > 1 {
		s.describeBranches(&found, group[1:])
	}
	if s.more != nil {
		s.more(&found, first.Path())
	}
	s.declaredFirst(&found)
	s.advise(&found, first)
	return found
}

var (
	// incompleteText matches both what validation and what the JSON encoder say.
	incompleteText = regexp.MustCompile(`(?:incomplete value (.*)|cannot convert incomplete value "(.*)" to JSON)$`)
	referenceText  = regexp.MustCompile(`^(?:reference ".*" not found|package ".*" not found|builtin package ".*" undefined|imported and not used: .*|cannot reference optional field: .*|undefined field: .*)$`)
)

// classify reads the kind, and what was expected and found, from CUE's message.
func (s stage) classify(err cueerrors.Error) diagnostic {
	format, args := err.Msg()
	found := diagnostic{Message: strings.TrimSuffix(fmt.Sprintf(format, args...), ":")}
	if strings.TrimSpace(found.Message) == "" {
		found.Message = err.Error()
	}
	if found.Message == "invalid interpolation" {
		// Why is what says something.
		if _, why, ok := strings.Cut(err.Error(), found.Message+": "); ok {
			found.Message += ": " + why
		}
	}
	operand := func(i int) string {
		if i < len(args) {
			return fmt.Sprint(args[i])
		}
		return ""
	}
	switch {
	case strings.HasPrefix(format, "conflicting values %s and %s"):
		found.Kind = kindConflict
		found.Expected, found.Found = s.sortOperands(operand(0), operand(1), err.Path())
	case strings.HasPrefix(format, "invalid value %"):
		found.Kind, found.Found, found.Expected = kindConflict, operand(0), operand(1)
	case strings.HasPrefix(format, "field is required but not present"):
		found.Kind = kindMissing
	case incompleteText.MatchString(found.Message):
		match := incompleteText.FindStringSubmatch(found.Message)
		found.Kind, found.Expected = kindMissing, match[1]+match[2]
		found.Message = "incomplete value " + found.Expected
	case found.Message == "field not allowed":
		found.Kind = kindUnknown
	case mayCome(found.Message):
		found.Kind = kindPackage
	case referenceText.MatchString(found.Message):
		found.Kind = kindReference
	case strings.Contains(format, "errors in empty disjunction"),
		strings.HasPrefix(format, "incompatible list lengths"),
		strings.HasPrefix(format, "conflicting values"):
		found.Kind = kindConflict
	case strings.HasPrefix(found.Message, "field not found: "):
		found.Kind = kindMissing
	case s.unparsed:
		found.Kind = kindSyntax
	default:
		found.Kind = kindOther
	}
	return found
}

var typeNames = map[string]bool{
	"string": true, "int": true, "bool": true, "number": true, "float": true, "bytes": true, "null": false,
	"struct": true, "list": true, "uint": true, "int64": true, "int32": true, "{...}": true, "[...]": true,
}

// sortOperands tells the schema's side from the user's: the two evaluators order them differently.
func (s stage) sortOperands(a, b string, path []string) (expected, found string) {
	given := s.given(path)
	switch {
	case given == a && given != b:
		return b, a
	case given == b && given != a:
		return a, b
	case isAlike(b, given) && !isAlike(a, given):
		return a, b
	case isAlike(a, given) && !isAlike(b, given):
		return b, a
	case isSchema(b) && !isSchema(a):
		return b, a
	}
	return a, b
}

// given is what the user wrote at a path of the parameters, as CUE prints it; empty where that is
// something else.
func (s stage) given(path []string) string {
	if len(path) == 0 || path[0] != "parameter" || isNull(s.parameters) {
		return ""
	}
	raw := s.parameters
	for _, part := range path[1:] {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		if index, err := strconv.Atoi(part); err == nil && json.Unmarshal(raw, &list) == nil && index < len(list) {
			raw = list[index]
		} else if json.Unmarshal(raw, &object) == nil {
			raw = object[plain(part)]
		} else {
			return ""
		}
	}
	return string(raw)
}

// isAlike says whether a value that CUE prints is a list or struct as the given JSON is.
func isAlike(operand, given string) bool {
	given = strings.TrimSpace(given)
	return given != "" && strings.ContainsAny(given[:1], "[{") && strings.HasPrefix(operand, given[:1]) && !isSchema(operand)
}

func isSchema(operand string) bool {
	return typeNames[operand] || strings.HasPrefix(operand, "[...") || strings.HasPrefix(operand, ">") ||
		strings.HasPrefix(operand, "<") || strings.HasPrefix(operand, "!=") || strings.HasPrefix(operand, "=~") ||
		strings.Contains(operand, "|")
}

// describeBranches says in one sentence what a failed disjunction would have accepted.
func (s stage) describeBranches(found *diagnostic, branches []cueerrors.Error) {
	// Of a disjunction in a disjunction the branches follow.
	branches = slices.DeleteFunc(slices.Clone(branches), func(branch cueerrors.Error) bool {
		return disjunctionText.MatchString(message(branch))
	})
	if closest, ok := s.closestBranches(found.Path, branches); ok {
		branches = closest
		found.at, found.Path = branches[0].Path(), pathText(branches[0].Path())
		found.Positions = s.positions(branches)
	}
	var pairs [][2]string
	for _, branch := range branches {
		one := s.classify(branch)
		if one.Kind != kindConflict || one.Found == "" || pathText(branch.Path()) != found.Path {
			found.Message = "no alternative fits: " + branchTexts(branches)
			return
		}
		pairs = append(pairs, [2]string{one.Expected, one.Found})
	}
	if len(pairs) == 0 {
		return
	}
	for _, offered := range []string{pairs[0][1], pairs[0][0]} {
		if accepted, ok := opposites(pairs, offered); ok {
			found.Found = offered
			found.Expected = strings.Join(withoutNull(withoutDefaults(unique(accepted))), " | ")
			found.Message = fmt.Sprintf("%s is not %s", offered, found.Expected)
			return
		}
	}
}

// closestBranches are the errors of the alternatives that fit but for one field of them: whoever gave that field
// chose one of these. It is false where they do not agree on the field.
func (s stage) closestBranches(path string, branches []cueerrors.Error) ([]cueerrors.Error, bool) {
	var closest []cueerrors.Error
	for _, branch := range branches {
		one := s.classify(branch)
		at := pathText(branch.Path())
		switch {
		case one.Kind == kindUnknown:
			continue
		case one.Kind != kindConflict || one.Found == "" || !strings.HasPrefix(at, path+"."):
			return nil, false
		case len(closest) > 0 && pathText(closest[0].Path()) != at:
			return nil, false
		}
		closest = append(closest, branch)
	}
	return closest, len(closest) > 0
}

// maxBranches is how many alternatives a message spells out.
const maxBranches = 4

func branchTexts(branches []cueerrors.Error) string {
	var texts []string
	for _, branch := range branches {
		texts = append(texts, pathText(branch.Path())+": "+strings.TrimSuffix(message(branch), ":"))
	}
	texts = unique(texts)
	if len(texts) > maxBranches {
		texts = append(texts[:maxBranches], "…")
	}
	return strings.Join(texts, "; ")
}

// opposites gives what stands against a value in each pair; false where it is not in each.
func opposites(pairs [][2]string, value string) ([]string, bool) {
	var others []string
	for _, pair := range pairs {
		switch value {
		case pair[1]:
			others = append(others, pair[0])
		case pair[0]:
			others = append(others, pair[1])
		default:
			return nil, false
		}
	}
	return others, true
}

// withoutDefaults leaves out the values of a type that is accepted anyway: `*1 | int` accepts int.
func withoutDefaults(accepted []string) []string {
	types := map[string]bool{}
	for _, one := range accepted {
		types[one] = typeNames[one]
	}
	var kept []string
	for _, one := range accepted {
		if kind := literalKind(one); kind == "" || !types[kind] {
			kept = append(kept, one)
		}
	}
	return kept
}

// withoutNull leaves out null beside others: it stands for what is not given.
func withoutNull(accepted []string) []string {
	if len(accepted) < 2 {
		return accepted
	}
	return slices.DeleteFunc(accepted, func(one string) bool { return one == "null" })
}

// literalKind gives the type of a literal; empty for everything else.
func literalKind(text string) string {
	switch {
	case strings.HasPrefix(text, `"`):
		return "string"
	case text == "true" || text == "false":
		return "bool"
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "int"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return "float"
	}
	return ""
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
			place, ok := s.source.place(pos)
			if ok && place.File != "" && place.File != "-" && !seen[place] {
				seen[place] = true
				found = append(found, place)
			}
		}
	}
	return found
}

// declaredFirst puts the place where a parameter is declared before those where it is used.
func (s stage) declaredFirst(found *diagnostic) {
	if s.source == nil || len(found.at) == 0 || found.at[0] != "parameter" {
		return
	}
	names := declarations{s.source.authored()}
	for depth := len(found.at); depth > 0; depth-- {
		declared := names.at(found.at[:depth])
		if declared == nil || !declared.Pos().IsValid() {
			continue
		}
		place, ok := s.source.place(declared.Pos())
		if depth < len(found.at) {
			// What stands for fields of any name is the most telling place that CUE names there.
			place = s.within(declared, found.Positions, place)
		}
		if ok {
			others := slices.DeleteFunc(found.Positions, func(other position) bool { return other == place })
			found.Positions = append([]position{place}, others...)
		}
		return
	}
}

// within is the first of some places that lies in a declaration; another where none does.
func (s stage) within(declared ast.Expr, places []position, otherwise position) position {
	from, to := declared.Pos().Line(), declared.End().Line()
	for _, place := range places {
		if place.File == s.source.file && place.Line >= from && place.Line <= to {
			return place
		}
	}
	return otherwise
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

// label writes a key as CUE has it in paths.
func label(key string) string {
	if ast.IsValidIdent(key) {
		return key
	}
	return literal.String.Quote(key)
}

// plain removes the quotes of a CUE string.
func plain(text string) string {
	if text == "" {
		return text
	}
	if unquoted, err := literal.Unquote(text); err == nil {
		return unquoted
	}
	return text
}
