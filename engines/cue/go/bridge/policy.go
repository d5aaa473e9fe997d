package bridge

import (
	"encoding/json"
	"errors"
	"fmt"

	"cuelang.org/go/cue"
)

// policy evaluates the template of a policy that works on the Application (rows POL-014 to POL-018).
func policy(request *policyRequest) (*policyResult, error) {
	src := newSource("policy/"+request.Template.Name+".cue", request.Template.Source)
	src.appendData("parameter", orEmpty(request.Template.Parameters))
	src.appendData("context", request.Context.text())
	where := stage{
		source:     src,
		definition: request.Template.Name,
		entity:     "policy",
		label:      request.Template.Name,
		parameters: request.Template.Parameters,
	}
	value, err := src.build(componentPackages.with(request.Packages))
	if err == nil {
		value, err = src.resolve(value, "", request.Replay)
	}
	if err != nil {
		doing := "failed to compile CUE template: "
		var missing *missingPackages
		if errors.As(err, &missing) {
			doing = "CUE validation failed: "
		}
		return nil, withText(where.compileFailure(err), "failed to render CUE template: "+doing+err.Error())
	}
	problem := value.Validate()
	if users := userErrors(value); problem != nil || len(users) > 0 {
		text := "failed to render CUE template: CUE validation failed: "
		if problem != nil {
			text += problem.Error()
		} else {
			text += users[0]
		}
		return nil, withText(where.validationFailure(problem, users, value), text)
	}
	result := &policyResult{
		Output:   json.RawMessage("{}"),
		Config:   json.RawMessage("{}"),
		Warnings: where.warnings(src.rewritten),
	}
	if result.Enabled, err = where.policyEnabled(value); err != nil {
		return nil, err
	}
	if config := value.LookupPath(cue.ParsePath("config")); config.IncompleteKind() == cue.StructKind {
		if raw := concretePart(config); raw != nil {
			result.Config = raw
		}
	}
	if result.Enabled {
		if result.Output, err = where.policyOutput(value); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// policyEnabled reads `config.enabled`; `enabled` counts only where there is no `config`.
func (s stage) policyEnabled(value cue.Value) (bool, error) {
	name, scope := "enabled", value
	if config := value.LookupPath(cue.ParsePath("config")); config.Exists() {
		name, scope = "config.enabled", config
	}
	enabled := scope.LookupPath(cue.ParsePath("enabled"))
	if !enabled.Exists() {
		return true, nil
	}
	chosen, err := enabled.Bool()
	if err != nil {
		return false, s.failure(stageExport, err, fmt.Sprintf("failed to extract enabled: failed to decode %s (must be boolean): %s", name, err))
	}
	return chosen, nil
}

// policyFields are what `output` may have, and of which kind it is.
var policyFields = map[string]cue.Kind{
	"components": cue.ListKind, "workflow": cue.StructKind, "policies": cue.ListKind,
	"labels": cue.StructKind, "annotations": cue.StructKind, "ctx": cue.StructKind,
}

// policyOutput reads `output`: only fields that it may have, all of them concrete.
func (s stage) policyOutput(value cue.Value) (json.RawMessage, error) {
	output := value.LookupPath(outputPath)
	if !output.Exists() {
		return nil, s.failure(stageExport, nil, "policy must specify 'output' field")
	}
	fields, err := output.Fields()
	if err != nil {
		return nil, s.outputFailure(err)
	}
	object := jsonObject{}
	for fields.Next() {
		name, field := labelOf(fields.Selector()), fields.Value()
		kind, allowed := policyFields[name]
		if !allowed {
			return nil, s.unknownField(name, field)
		}
		if field.Null() == nil {
			continue
		}
		raw, err := exportPart(field)
		if err != nil {
			return nil, s.outputFailure(err)
		}
		if kindOf(field) != kind {
			return nil, s.wrongKind("output."+name, kind.String(), field)
		}
		if name == "labels" || name == "annotations" {
			if err := s.onlyStrings("output."+name, field); err != nil {
				return nil, err
			}
		}
		object[name] = raw
	}
	return object.text(), nil
}

func exportPart(value cue.Value) (json.RawMessage, error) {
	if err := value.Validate(cue.Concrete(true), cue.Final()); err != nil {
		return nil, err
	}
	return value.MarshalJSON()
}

// onlyStrings checks the values of labels and annotations.
func (s stage) onlyStrings(path string, value cue.Value) error {
	fields, err := value.Fields()
	if err != nil {
		return s.outputFailure(err)
	}
	for fields.Next() {
		if kindOf(fields.Value()) != cue.StringKind {
			return s.wrongKind(path+"."+fields.Selector().String(), "string", fields.Value())
		}
	}
	return nil
}

// kindOf gives what a value is, as its default where there is a choice.
func kindOf(value cue.Value) cue.Kind {
	chosen, _ := value.Default()
	return chosen.Kind()
}

const outputText = "failed to extract output: "

func (s stage) outputFailure(err error) error {
	return s.failure(stageExport, err, outputText+"failed to decode output: "+err.Error())
}

func (s stage) unknownField(name string, field cue.Value) error {
	known := sortedKeys(policyFields)
	return s.wrap(stageExport, []diagnostic{{
		Kind:      kindUnknown,
		Path:      "output." + name,
		Message:   "a policy may not change " + name,
		Expected:  "annotations, components, ctx, labels, policies or workflow",
		Found:     name,
		Hint:      didYouMean(name, known),
		Positions: s.placeOf(field),
	}}, outputText+"output."+name+" is not allowed; permitted fields: components, workflow, policies, labels, annotations, ctx")
}

func (s stage) wrongKind(path, expected string, field cue.Value) error {
	found := kindOf(field).String()
	return s.wrap(stageExport, []diagnostic{{
		Kind:      kindConflict,
		Path:      path,
		Message:   fmt.Sprintf("%s is a %s and not a %s", path, found, expected),
		Expected:  expected,
		Found:     found,
		Positions: s.placeOf(field),
	}}, fmt.Sprintf("%sfailed to decode output: %s: cannot use value of type %s as %s", outputText, path, found, expected))
}

// placeOf gives where a value was written.
func (s stage) placeOf(value cue.Value) []position {
	at := value.Pos()
	if !at.IsValid() {
		return nil
	}
	if place, ok := s.source.place(at); ok {
		return []position{place}
	}
	return nil
}
