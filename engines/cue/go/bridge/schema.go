package bridge

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/encoding/openapi"
)

// schema makes the OpenAPI v3 schema of a template's `parameter`, with KubeVela's titles and markers
// (rows REN-032 to REN-034).
func schema(request *schemaRequest) (result json.RawMessage, err error) {
	src, value, err := compiled(request, componentPackages)
	if err != nil {
		// The request does not say for what kind of definition it is. Packages of one name differ between
		// kinds, so what does not fit one set may fit the other.
		if other, ofStep, failed := compiled(request, workflowPackages); failed == nil {
			src, value, err = other, ofStep, nil
		}
	}
	where := stage{source: src, definition: request.Name}
	if err != nil {
		return nil, where.failure(stageParse, err, err.Error())
	}
	// What is described always ends; CUE's generator does not where a type contains itself.
	own, repeated := described(src, withoutConditionsOf(request, src, value))
	if request.Detailed || len(repeated) > 0 {
		mark("", own)
		return marshal(own)
	}
	defer func() {
		// The generator panics on what it cannot express.
		if r := recover(); r != nil {
			err = where.failure(stageExport, nil, fmt.Sprintf("the parameter cannot be expressed in OpenAPI: %v", r))
		}
	}()
	document, err := generated(value)
	if err != nil {
		if rest := contextless(src.file, request.Source); rest != "" {
			return schema(&schemaRequest{Name: request.Name, Source: rest, Packages: request.Packages})
		}
		return nil, where.failure(stageExport, err, err.Error())
	}
	var parsed struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := unmarshalNumbers(document, &parsed); err != nil {
		return nil, where.failure(stageExport, err, err.Error())
	}
	parameter, ok := parsed.Components.Schemas["parameter"]
	if !ok {
		return nil, where.failure(stageExport, nil, "the template has no parameter")
	}
	if isTuple(parameter) {
		return nil, where.failure(stageExport, nil, tupleText)
	}
	polish("", parameter)
	return marshal(parameter)
}

// withoutConditionsOf is the template with no parameters but those that are always there; itself if there are no others.
func withoutConditionsOf(request *schemaRequest, src *source, value cue.Value) cue.Value {
	rest := unconditional(src.file, request.Source)
	if rest == "" {
		return value
	}
	for _, packages := range []*packageSet{componentPackages, workflowPackages} {
		reduced := *request
		reduced.Source = rest
		if _, value, err := compiled(&reduced, packages); err == nil {
			return value
		}
	}
	return value
}

func generated(value cue.Value) ([]byte, error) {
	return openapi.Gen(parameterDefinition(value), &openapi.Config{ExpandReferences: true})
}

// compiled is the template with the packages of a set; its error is that of the value, too.
func compiled(request *schemaRequest, packages *packageSet) (*source, cue.Value, error) {
	src := newSource(request.Name+".cue", request.Source)
	src.appendText("context: _\n")
	value, err := src.build(packages.with(request.Packages))
	if err == nil {
		err = value.Err()
	}
	return src, value, err
}

// tupleText is KubeVela's error for lists of fixed elements, which OpenAPI v3 has no schema for.
const tupleText = "failed to unmarshal data: json error: json: cannot unmarshal array into field Schema.items of type openapi3.Schema, " +
	"yaml error: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into field Schema.items of type openapi3.Schema"

// isTuple says whether a schema, or one in it, has a list of schemas as its items.
func isTuple(schema any) bool {
	switch x := schema.(type) {
	case map[string]any:
		if _, ok := x["items"].([]any); ok {
			return true
		}
		for _, inner := range x {
			if isTuple(inner) {
				return true
			}
		}
	case []any:
		for _, inner := range x {
			if isTuple(inner) {
				return true
			}
		}
	}
	return false
}

// parameterDefinition puts `parameter` where the generator looks for types: in a definition.
func parameterDefinition(value cue.Value) cue.Value {
	parameter := value.LookupPath(cue.ParsePath("parameter"))
	if !parameter.Exists() {
		return value.Context().CompileString("#parameter: {}")
	}
	return value.Context().CompileString("").FillPath(cue.ParsePath("#parameter"), parameter)
}

func unmarshalNumbers(raw []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// markerLine is a marker that is no usage: `+short=i`, `+alias=port`, `+ignore`.
var markerLine = regexp.MustCompile(`(?m)^\s*\+(short|alias|ignore)(?:=(\S.*))?$`)

// mark is polish for one schema, and tells the markers, of which KubeVela cuts some away, beside the description.
func mark(name string, schema oneSchema) {
	description, _ := schema["description"].(string)
	for _, match := range markerLine.FindAllStringSubmatch(description, -1) {
		if value := strings.TrimSpace(match[2]); value != "" {
			schema["x-"+match[1]] = value
		} else {
			schema["x-"+match[1]] = true
		}
	}
	schema["description"] = strings.TrimSpace(markerLine.ReplaceAllString(description, ""))
	polishOne(name, schema)
}

// polish gives each schema its title and reads the markers in its description.
func polish(name string, schema map[string]any) {
	switch schema["type"] {
	case "object":
		properties, _ := schema["properties"].(map[string]any)
		for key, property := range properties {
			if property, ok := property.(map[string]any); ok {
				polish(key, property)
			}
		}
	case "array":
		if items, ok := schema["items"].(map[string]any); ok {
			polish("", items)
		}
	}
	polishOne(name, schema)
}

func polishOne(name string, schema map[string]any) {
	if name != "" {
		schema["title"] = name
	}
	// KubeVela's types do not tell a default of null from none.
	if value, ok := schema["default"]; ok && value == nil {
		delete(schema, "default")
	}
	description, ok := schema["description"].(string)
	if !ok {
		return
	}
	if strings.Contains(description, immutableMark) {
		schema["x-immutable"] = true
		description = strings.TrimSpace(strings.ReplaceAll(description, immutableMark, ""))
	}
	if _, after, found := strings.Cut(description, "+usage="); found {
		description = after
	}
	if before, _, found := strings.Cut(description, "+short"); found {
		description = strings.TrimSpace(before)
	}
	if schema["description"] = description; description == "" {
		delete(schema, "description")
	}
}

// immutableMark says of a parameter that it must not change (row REN-032).
const immutableMark = "+immutable"
