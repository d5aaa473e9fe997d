package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
)

// step evaluates the template of a workflow step up to the next call that it needs, and reads its outputs
// when there is none left (rows WF-014, WF-024).
func step(request *stepRequest) (*stepResult, error) {
	src := newSource("workflow-step/"+request.Template.Name+".cue", request.Template.Source)
	src.appendData("context", request.Context.text())
	src.appendData("parameter", orEmpty(request.Template.Parameters))
	where := stage{
		source:     src,
		definition: request.Template.Name,
		entity:     "step",
		label:      request.Template.Name,
		parameters: request.Template.Parameters,
	}
	value, err := src.build(workflowPackages.with(request.Packages))
	if err == nil {
		value, err = src.resolve(value, "", request.Replay)
	}
	if err != nil {
		return nil, stepFailure(where, err)
	}
	if err := value.Err(); err != nil {
		return nil, where.failure(stageValidate, err, err.Error())
	}
	result := &stepResult{Outputs: map[string]json.RawMessage{}, Missing: map[string]string{}}
	for _, output := range request.Outputs {
		raw, err := readOutput(value, output.ValueFrom)
		if err != nil {
			result.Missing[output.Name] = fmt.Sprintf("failed to get output from %s: %s", output.ValueFrom, withoutField(err))
			continue
		}
		result.Outputs[output.Name] = raw
	}
	if result.Value = concretePart(value); result.Value == nil {
		result.Value = json.RawMessage("{}")
	}
	return result, nil
}

// stepFailure is compileFailure without the words that KubeVela has for components and traits only.
func stepFailure(where stage, err error) error {
	return withText(where.compileFailure(err), err.Error())
}

// withText replaces KubeVela's text of a template's error; other errors pass through.
func withText(err error, text string) error {
	var wrong *templateError
	if errors.As(err, &wrong) {
		wrong.body.KubevelaText = text
	}
	return err
}

// readOutput evaluates an output's expression in the scope of the step. Where it does not exist, it is
// tried again with `$returns` behind the name of the call: definitions written for the legacy packages
// find their values there (row WF-014).
func readOutput(value cue.Value, expression string) (json.RawMessage, error) {
	found, err := lookupExpression(value, expression)
	if (err != nil || found.Err() != nil) && !strings.Contains(expression, "$returns.") {
		if retried, again := lookupExpression(value, withReturns(expression)); again == nil && retried.Err() == nil {
			found, err = retried, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	return found.MarshalJSON()
}

func withReturns(expression string) string {
	before, after, found := strings.Cut(expression, "output.")
	if !found {
		return expression + ".$returns"
	}
	return before + "output.$returns." + after
}

// concretePart gives what is concrete of a value as JSON; nil where nothing is.
func concretePart(value cue.Value) json.RawMessage {
	if raw, err := value.MarshalJSON(); err == nil {
		return raw
	}
	switch value.IncompleteKind() {
	case cue.StructKind:
		fields, err := value.Fields()
		if err != nil {
			return nil
		}
		object := jsonObject{}
		for fields.Next() {
			if raw := concretePart(fields.Value()); raw != nil {
				object[labelOf(fields.Selector())] = raw
			}
		}
		return object.text()
	case cue.ListKind:
		items, err := value.List()
		if err != nil {
			return nil
		}
		list := []json.RawMessage{}
		for items.Next() {
			raw := concretePart(items.Value())
			if raw == nil {
				raw = json.RawMessage("null")
			}
			list = append(list, raw)
		}
		raw, err := marshal(list)
		if err != nil {
			return nil
		}
		return raw
	}
	return nil
}
