package bridge

import (
	"encoding/json"
	"errors"

	"cuelang.org/go/cue"
)

var (
	configParameterPath = cue.ParsePath("template.parameter")
	configOutputPath    = cue.ParsePath("template.output")
	configOutputsPath   = cue.ParsePath("template.outputs")
	configReturnsPath   = cue.ParsePath("template.validation.$returns")
	configNacosPath     = cue.ParsePath("template.nacos")
)

const configText = "failed to compile config template: "

// config evaluates the template of a configuration (rows PRV-022, OPS-021, REN-109).
func config(request *configRequest) (*configResult, error) {
	src := newSource("config-template/"+request.Template.Name+".cue", request.Template.Source)
	// With quotes it is no name: what it is given stands outside.
	src.appendText(`template: "parameter": parameter`)
	src.appendData("context", request.Context.text())
	src.appendData("parameter", orEmpty(request.Template.Parameters))
	where := stage{
		source:     src,
		definition: request.Template.Name,
		entity:     "config template",
		label:      request.Template.Name,
		parameters: request.Template.Parameters,
	}
	value, err := src.build(componentPackages.with(request.Packages))
	if err == nil {
		// What is wrong with the parameters is wrong with all that is made of them.
		if err := validParameter(value); err != nil {
			return nil, where.failure(stageValidate, err, configText+err.Error())
		}
		value, err = src.resolve(value, "", request.Replay)
	}
	if err != nil {
		return nil, withText(where.compileFailure(err), configText+err.Error())
	}
	err = validParameter(value, cue.Concrete(true))
	if err == nil {
		err = value.Validate()
	}
	if err != nil {
		return nil, where.failure(stageValidate, err, configText+err.Error())
	}
	result := &configResult{
		Valid:   true,
		Output:  json.RawMessage("null"),
		Outputs: map[string]json.RawMessage{},
		Nacos:   value.LookupPath(configNacosPath).Exists(),
	}
	if err := where.configValidation(value.LookupPath(configReturnsPath), result); err != nil {
		return nil, err
	}
	if output := value.LookupPath(configOutputPath); output.Exists() {
		if result.Output, err = configObject(output); err != nil {
			return nil, where.failure(stageExport, err, "the output format must be secret")
		}
	}
	if outputs := value.LookupPath(configOutputsPath); outputs.Exists() {
		if err := configOutputs(outputs, result); err != nil {
			return nil, where.failure(stageExport, err, "the outputs is invalid "+err.Error())
		}
	}
	return result, nil
}

func validParameter(value cue.Value, options ...cue.Option) error {
	parameter := value.LookupPath(configParameterPath)
	if !parameter.Exists() {
		return nil
	}
	return parameter.Validate(options...)
}

// configValidation reads what the template says of the parameters.
func (s stage) configValidation(returns cue.Value, result *configResult) error {
	if !returns.Exists() {
		return nil
	}
	var said struct {
		Result  *bool  `json:"result"`
		Message string `json:"message"`
	}
	raw, err := exportPart(returns)
	if err == nil {
		err = json.Unmarshal(raw, &said)
	}
	if err != nil {
		return s.failure(stageExport, err, "the validation.$returns format must be validation")
	}
	result.Message = said.Message
	result.Valid = said.Message == "" && (said.Result == nil || *said.Result)
	return nil
}

func configOutputs(outputs cue.Value, result *configResult) error {
	fields, err := outputs.Fields()
	if err != nil {
		return err
	}
	for fields.Next() {
		raw, err := configObject(fields.Value())
		if err != nil {
			return err
		}
		result.Outputs[labelOf(fields.Selector())] = raw
	}
	return nil
}

func configObject(value cue.Value) (json.RawMessage, error) {
	if kindOf(value) != cue.StructKind {
		return nil, errors.New(value.Path().String() + " is no object")
	}
	return exportPart(value)
}
