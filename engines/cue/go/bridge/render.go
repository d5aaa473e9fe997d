package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"

	"cuelang.org/go/cue"
)

var (
	outputPath       = cue.ParsePath("output")
	outputsPath      = cue.ParsePath("outputs")
	patchOutputsPath = cue.ParsePath("patchOutputs")
	processingPath   = cue.ParsePath("processing")
	errsPath         = cue.ParsePath("errs")
)

// renderer carries a component through its template and its traits. The base stays CUE on the way, so
// that later patches see defaults and comments (rows REN-003 to REN-006, REN-018).
type renderer struct {
	request  *renderRequest
	workload made
	outputs  []made
	warnings []diagnostic
	// at is the template that was evaluated last.
	at stage
	// observe sees each template that was evaluated, before it has an effect; may be nil.
	observe func(stage, cue.Value)
}

func render(request *renderRequest) (result *renderResult, err error) {
	r := &renderer{request: request}
	defer func() {
		if cause := recover(); cause != nil {
			result, err = nil, r.at.crashed(cause)
		}
	}()
	if err := r.begin(); err != nil {
		return nil, err
	}
	for index := range request.Traits {
		if err := r.applyTrait(index); err != nil {
			return nil, err
		}
	}
	if err := r.applyPatches(); err != nil {
		return nil, err
	}
	return r.export()
}

// begin sets the base: from the component's template, or from live objects.
func (r *renderer) begin() error {
	if r.request.Component != nil {
		return r.applyComponent(r.request.Component)
	}
	if r.request.Base == nil {
		return &badRequestError{"a render needs a component or a base"}
	}
	ctx := newContext()
	workload, err := valueOf(ctx, "base", orEmpty(r.request.Base.Output))
	if err != nil {
		return err
	}
	r.workload = newMade("", stage{}, workload)
	for _, name := range sortedKeys(r.request.Base.Outputs) {
		value, err := valueOf(ctx, "base", r.request.Base.Outputs[name])
		if err != nil {
			return err
		}
		r.outputs = append(r.outputs, newMade(name, stage{}, value))
	}
	return nil
}

func (r *renderer) applyComponent(component *template) error {
	src := newSource("component/"+component.Name+".cue", component.Source)
	src.appendText("context: _\nparameter: _\n")
	src.appendData("parameter", orEmpty(component.Parameters))
	src.appendData("context", r.request.Context.text())
	where := stage{source: src, definition: component.Name, entity: "workload", label: r.contextName(component), parameters: component.Parameters}
	value, err := r.evaluate(where, "component|")
	if err != nil {
		return err
	}
	where.value = value
	r.workload = newMade("", where, value.LookupPath(outputPath))
	return r.collectOutputs(where)
}

// contextName is what KubeVela's messages call a workload.
func (r *renderer) contextName(component *template) string {
	var name string
	if json.Unmarshal(r.request.Context["name"], &name) == nil && name != "" {
		return name
	}
	return component.Name
}

// evaluate compiles a template, carries out its calls and validates it.
func (r *renderer) evaluate(where stage, scope string) (cue.Value, error) {
	r.at = where
	value, err := where.source.build(componentPackages.with(r.request.Packages))
	r.warnings = append(r.warnings, where.warnings(where.source.rewritten)...)
	if err == nil {
		value, err = where.source.resolve(value, scope, r.request.Replay)
	}
	if err != nil {
		return value, where.compileFailure(err)
	}
	problem := value.Validate()
	if users := userErrors(value); problem != nil || len(users) > 0 {
		return value, where.validationFailure(problem, users, value)
	}
	if r.observe != nil {
		r.observe(where, value)
	}
	return value, nil
}

// collectOutputs takes the objects under `outputs`; definitions, hidden and optional fields are none.
func (r *renderer) collectOutputs(where stage) error {
	outputs := where.value.LookupPath(outputsPath)
	if !outputs.Exists() {
		return nil
	}
	fields, err := outputs.Fields(cue.Definitions(true), cue.Hidden(true), cue.All())
	if err != nil {
		return where.failure(stageValidate, err, fmt.Sprintf("invalid outputs of %s %s: %s", where.entity, where.label, err))
	}
	for fields.Next() {
		selector := fields.Selector()
		if selector.IsDefinition() || selector.PkgPath() != "" || fields.IsOptional() {
			continue
		}
		r.outputs = append(r.outputs, newMade(labelOf(selector), where, fields.Value()))
	}
	return nil
}

func labelOf(selector cue.Selector) string {
	if selector.LabelType() == cue.StringLabel {
		return selector.Unquoted()
	}
	return selector.String()
}

func (r *renderer) applyTrait(index int) error {
	trait := &r.request.Traits[index]
	src := newSource("trait/"+trait.Name+".cue", trait.Source)
	if !isNull(trait.Parameters) {
		src.appendData("parameter", trait.Parameters)
	}
	where := stage{source: src, definition: trait.Name, entity: "trait", label: trait.Name, trait: &index, parameters: trait.Parameters}
	context, err := r.traitContext()
	if err != nil {
		return noticedBy(err, index)
	}
	src.appendData("context", context.text())
	value, err := r.evaluateTrait(where, index)
	if err != nil {
		return err
	}
	if where.value, err = r.processHTTP(where, value); err != nil {
		return err
	}
	if err := r.collectOutputs(where); err != nil {
		return err
	}
	if err := r.patchWorkload(where); err != nil {
		return err
	}
	return r.patchOutputs(where)
}

// evaluateTrait evaluates a trait's template with the evaluator of its own definition. What it makes is merged
// with the request's.
func (r *renderer) evaluateTrait(where stage, index int) (cue.Value, error) {
	scope := "trait." + strconv.Itoa(index) + "|"
	if index >= len(r.request.TraitEvaluators) || r.request.TraitEvaluators[index] == nil {
		return r.evaluate(where, scope)
	}
	of := current
	if err := useEvaluator(*r.request.TraitEvaluators[index]); err != nil {
		return cue.Value{}, &badRequestError{err.Error()}
	}
	defer setEvaluator(of)
	return r.evaluate(where, scope)
}

// traitContext adds what earlier stages made; it must be concrete by now.
func (r *renderer) traitContext() (jsonObject, error) {
	workload, err := r.workload.value.MarshalJSON()
	if err != nil {
		return nil, r.workload.failure(err, err.Error(), true)
	}
	context := r.request.Context.with("output", workload)
	if len(r.outputs) == 0 {
		return context, nil
	}
	outputs := jsonObject{}
	for i := range r.outputs {
		other := &r.outputs[i]
		if outputs[other.name], err = other.value.MarshalJSON(); err != nil {
			return nil, other.failure(err, err.Error(), false)
		}
	}
	return context.with("outputs", outputs.text()), nil
}

// processHTTP asks for the request that a trait declares under `processing.http` and fills its answer
// into `processing.output` (row REN-006).
func (r *renderer) processHTTP(where stage, value cue.Value) (cue.Value, error) {
	processing := value.LookupPath(processingPath)
	if !processing.Exists() {
		return value, nil
	}
	http := processing.LookupPath(cue.ParsePath("http"))
	if !http.Exists() {
		return value, nil
	}
	key := fmt.Sprintf("trait.%d|processing.http", *where.trait)
	answer, ok := r.request.Replay[key]
	if !ok {
		params, err := http.MarshalJSON()
		if err != nil {
			return value, where.failure(stageExport, err, fmt.Sprintf("invalid process of trait %s: %s", where.label, err))
		}
		return value, &needError{[]call{{Key: key, Path: "processing.http", Provider: "processing", Do: "http", Params: params}}}
	}
	result, err := valueOf(value.Context(), "processing.output", orEmpty(answer))
	if err != nil {
		return value, err
	}
	return value.FillPath(cue.ParsePath("processing.output"), result), nil
}

func (r *renderer) patchWorkload(where stage) error {
	patch := where.value.LookupPath(patchPath)
	if !patch.Exists() {
		return nil
	}
	if r.workload.value.Err() != nil || !r.workload.value.Exists() {
		return where.failure(stagePatch, nil, fmt.Sprintf("patch trait %s into an invalid workload", where.label))
	}
	return r.workload.lay(where, patch, applyPatch, fmt.Sprintf("invalid patch trait %s into workload", where.label))
}

// patchOutputs patches objects of the component and of earlier traits, by their name.
func (r *renderer) patchOutputs(where stage) error {
	patches := where.value.LookupPath(patchOutputsPath)
	if !patches.Exists() {
		return nil
	}
	for i := range r.outputs {
		other := &r.outputs[i]
		patch := patches.LookupPath(cue.MakePath(cue.Str(other.name)))
		if !patch.Exists() {
			continue
		}
		doing := fmt.Sprintf("trait=%s, to=%s, invalid patch trait into auxiliary workload", where.label, other.name)
		if err := other.lay(where, patch, unify, doing); err != nil {
			return err
		}
	}
	return nil
}

// applyPatches applies what a policy or a workflow step adds after the traits (row REN-019).
func (r *renderer) applyPatches() error {
	if text := r.request.WorkloadPatch; text != nil {
		where := patchStage(r, "patch/workload.cue", *text)
		patch, err := where.patchValue()
		if err != nil {
			return err
		}
		if err := r.workload.lay(where, patch, applyPatch, "patch workload"); err != nil {
			return err
		}
	}
	for i := range r.outputs {
		other := &r.outputs[i]
		text, ok := r.request.OutputPatches[other.name]
		if !ok {
			continue
		}
		where := patchStage(r, "patch/"+other.name+".cue", text)
		patch, err := where.patchValue()
		if err != nil {
			return err
		}
		if err := other.lay(where, patch, unify, "patch outputs."+other.name); err != nil {
			return err
		}
	}
	return nil
}

func patchStage(r *renderer, file, text string) stage {
	where := stage{source: newSource(file, text), entity: "workload"}
	if r.request.Component != nil {
		where.definition, where.label = r.request.Component.Name, r.contextName(r.request.Component)
	}
	return where
}

func (s stage) patchValue() (cue.Value, error) {
	value, err := s.source.build(noPackages)
	if err == nil {
		err = value.Err()
	}
	if err != nil {
		return value, s.failure(stagePatch, err, "invalid patch: "+err.Error())
	}
	return value, nil
}

// export writes the objects as JSON, which they must be concrete for.
func (r *renderer) export() (*renderResult, error) {
	result := &renderResult{Output: json.RawMessage("null"), Outputs: []renderedOutput{}, Warnings: r.warnings}
	isLive := r.request.Base != nil && r.request.Base.Live
	if !isLive {
		output, err := exportObject(r.workload.value)
		if err != nil {
			return nil, r.workload.failure(err, r.workload.by.exportText(err), true)
		}
		result.Output = output
	}
	for i := range r.outputs {
		other := &r.outputs[i]
		if isLive && other.by.trait == nil {
			continue
		}
		object, err := exportObject(other.value)
		if err != nil {
			return nil, other.failure(err, unstructuredText(err), false)
		}
		result.Outputs = append(result.Outputs, renderedOutput{Name: other.name, TraitIndex: other.by.trait, Object: object})
	}
	return result, nil
}

func unstructuredText(err error) string {
	var shape *shapeError
	if errors.As(err, &shape) {
		return err.Error()
	}
	return "failed to have the workload/trait unstructured: " + err.Error()
}

// shapeError says that a value is JSON, but no Kubernetes object; in the words of client-go.
type shapeError struct{ text string }

func (e *shapeError) Error() string { return e.text }

func exportObject(value cue.Value) (json.RawMessage, error) {
	if err := value.Err(); err != nil {
		return nil, err
	}
	if err := value.Validate(cue.Concrete(true), cue.Final()); err != nil {
		return nil, err
	}
	raw, err := value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return nil, &shapeError{fmt.Sprintf("json: cannot unmarshal %s into Go value of type map[string]interface {}", mismatch.Value)}
		}
		return nil, err
	}
	var kind string
	if json.Unmarshal(object["kind"], &kind) != nil || kind == "" {
		return nil, &shapeError{fmt.Sprintf("Object 'Kind' is missing in '%s'", raw)}
	}
	return raw, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
