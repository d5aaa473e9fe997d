package bridge

import (
	"encoding/json"
	"errors"
	"sort"
	"strings"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"
)

// stage is what an error needs to know of the evaluation in which it happened.
type stage struct {
	source     *source
	definition string
	// entity and label are what KubeVela's messages call the thing: workload web, trait scaler.
	entity, label string
	trait         *int
	parameters    json.RawMessage
	// value is what the template came to, once that is known.
	value cue.Value
	// unparsed says that the error is one of syntax.
	unparsed bool
	// more adds what is known of a mistake at a path besides what CUE says; may be nil.
	more func(found *diagnostic, path []string)
}

// failure makes an error of one CUE error, or of a text alone.
func (s stage) failure(stageName string, err error, text string) error {
	if err == nil {
		err = errors.New(text)
	}
	s.unparsed = isSyntax(err)
	return s.wrap(stageName, s.diagnose(err), text)
}

func isSyntax(err error) bool {
	var wrong *syntaxError
	return errors.As(err, &wrong)
}

func (s stage) wrap(stageName string, found []diagnostic, text string) error {
	return &templateError{evalError{
		Stage:        stageName,
		Definition:   s.definition,
		TraitIndex:   s.trait,
		Errors:       found,
		KubevelaText: text,
	}}
}

// compileFailure explains why a template could not be compiled or a call of it not be made. Limits and
// needs pass through.
func (s stage) compileFailure(err error) error {
	var needed *needError
	var limit *limitError
	var bad *badRequestError
	if errors.As(err, &needed) || errors.As(err, &limit) || errors.As(err, &bad) {
		return err
	}
	var missing *missingPackages
	if errors.As(err, &missing) {
		all := cueerrors.Errors(missing.err)
		var groups sections
		groups.add(all)
		return s.wrap(stageValidate, s.reduce(all), groups.text("validation failed for "+s.entity+" "+s.label+":"))
	}
	name := stageParse
	var failed *callError
	if errors.As(err, &failed) {
		name = stageExport
	}
	return s.failure(name, err, "failed to compile "+s.entity+" "+s.label+" after merge parameter and context: "+err.Error())
}

// validationFailure explains why template, parameters and context do not fit together (row REN-007).
func (s stage) validationFailure(err error, users []string, value cue.Value) error {
	found := userDiagnostics(users)
	groups := sections{users: users}
	if err != nil {
		all := withConcrete(err, value)
		groups.add(all)
		found = append(found, s.reduce(all)...)
	}
	return s.wrap(stageValidate, found, groups.text("validation failed for "+s.entity+" "+s.label+":"))
}

// exportText is what KubeVela says where the workload is not concrete.
func (s stage) exportText(err error) string {
	if s.source == nil {
		return err.Error()
	}
	var groups sections
	groups.add(withConcrete(err, s.value))
	return groups.text("cannot generate manifests from component " + s.label + ":")
}

// noticedBy says at which trait's turn an error of what was made before shows: KubeVela's text names that one.
func noticedBy(err error, trait int) error {
	var wrong *templateError
	if errors.As(err, &wrong) {
		wrong.body.NoticedBy = &trait
	}
	return err
}

// withConcrete lists the errors and what else is not concrete in the value: a missing parameter is found
// only there.
func withConcrete(err error, value cue.Value) []cueerrors.Error {
	all := cueerrors.Errors(err)
	if incomplete := value.Validate(cue.Concrete(true)); incomplete != nil {
		all = append(all, cueerrors.Errors(incomplete)...)
	}
	return all
}

// userErrors reads `errs`; a malformed one is ignored (TRAPS 23).
func userErrors(value cue.Value) []string {
	list, err := value.LookupPath(errsPath).List()
	if err != nil {
		return nil
	}
	var found []string
	for list.Next() {
		if text, err := list.Value().String(); err == nil && text != "" {
			found = append(found, text)
		}
	}
	return found
}

func userDiagnostics(texts []string) []diagnostic {
	var found []diagnostic
	for _, text := range texts {
		found = append(found, diagnostic{Kind: kindUser, Path: "errs", Message: text})
	}
	return found
}

// sections is the text that KubeVela groups errors in (row REN-007, TRAPS 23).
type sections struct {
	users      []string
	parameters map[string]bool
	templates  map[string]bool
}

func (g *sections) add(all []cueerrors.Error) {
	if g.parameters == nil {
		g.parameters, g.templates = map[string]bool{}, map[string]bool{}
	}
	for _, err := range all {
		text := err.Error()
		if strings.HasPrefix(text, "parameter.") {
			g.parameters[text] = true
		} else {
			g.templates[text] = true
		}
	}
}

func (g *sections) text(title string) string {
	var out strings.Builder
	out.WriteString(title)
	write := func(name string, lines []string) {
		if len(lines) == 0 {
			return
		}
		out.WriteString("\n\n" + name + ":\n")
		for _, line := range lines {
			out.WriteString("  " + line + "\n")
		}
	}
	write("User Errors", g.users)
	write("Parameter errors", sorted(g.parameters))
	write("Template errors", sorted(g.templates))
	return strings.TrimRight(out.String(), "\n")
}

func sorted(set map[string]bool) []string {
	lines := make([]string, 0, len(set))
	for line := range set {
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return lines
}
