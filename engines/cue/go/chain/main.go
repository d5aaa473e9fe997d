// Command chain times what KubeVela does with a template: the same packages (cuelang.org/go, and the merge
// package of github.com/kubevela/workflow), driven straight, without the bridge and without anything of it
// remembered. Requests come as JSON on standard input, times go as JSON to standard output. The benchmark
// (tests/bench) sends the same templates here and through the bridge.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/encoding/openapi"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

type template struct {
	Source     string          `json:"source"`
	Parameters json.RawMessage `json:"parameters"`
}

type work struct {
	Rounds    int                        `json:"rounds"`
	WarmUp    int                        `json:"warmUp"`
	Component template                   `json:"component"`
	Traits    []template                 `json:"traits"`
	Context   map[string]json.RawMessage `json:"context"`
	// Health is a policy and the context that it reads.
	Health        string          `json:"health"`
	HealthContext json.RawMessage `json:"healthContext"`
}

// times are nanoseconds, one for each round.
type times struct {
	Render []int64         `json:"render"`
	Health []int64         `json:"health"`
	Schema []int64         `json:"schema"`
	Output json.RawMessage `json:"output"`
}

func main() {
	// As the workers of the pool have it.
	debug.SetGCPercent(800)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chain:", err)
		os.Exit(1)
	}
}

func run() error {
	var todo work
	if err := json.NewDecoder(os.Stdin).Decode(&todo); err != nil {
		return err
	}
	var found times
	var err error
	render := func() error {
		found.Output, err = todo.render()
		return err
	}
	if found.Render, err = clock(&todo, todo.Rounds, render); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if found.Health, err = clock(&todo, todo.Rounds, todo.health); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if found.Schema, err = clock(&todo, max(1, todo.Rounds/10), todo.schema); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func clock(todo *work, rounds int, do func() error) ([]int64, error) {
	var samples []int64
	for round := range todo.WarmUp + rounds {
		begin := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		if round >= todo.WarmUp {
			samples = append(samples, time.Since(begin).Nanoseconds())
		}
	}
	return samples, nil
}

// compile builds a text in a context of its own.
func compile(text string) (cue.Value, error) {
	instance := build.NewContext().NewInstance("", nil)
	file, err := parser.ParseFile("-", text, parser.ParseComments)
	if err != nil {
		return cue.Value{}, err
	}
	if err := instance.AddSyntax(file); err != nil {
		return cue.Value{}, err
	}
	value := cuecontext.New(cuecontext.EvaluatorVersion(cuecontext.EvalV2)).BuildInstance(instance)
	return value, value.Validate()
}

func (w *work) data(context map[string]json.RawMessage, parameters json.RawMessage) (string, error) {
	raw, err := json.Marshal(context)
	return "\nparameter: " + string(parameters) + "\ncontext: " + string(raw), err
}

// render is a component with its traits: each trait sees the workload as JSON, and patches it as CUE.
func (w *work) render() (json.RawMessage, error) {
	data, err := w.data(w.Context, w.Component.Parameters)
	if err != nil {
		return nil, err
	}
	component, err := compile(w.Component.Source + "\ncontext: _\nparameter: _\n" + data)
	if err != nil {
		return nil, err
	}
	base := component.LookupPath(cue.ParsePath("output"))
	var outputs []cue.Value
	if fields, err := component.LookupPath(cue.ParsePath("outputs")).Fields(); err == nil {
		for fields.Next() {
			outputs = append(outputs, fields.Value())
		}
	}
	for _, trait := range w.Traits {
		context := map[string]json.RawMessage{}
		for key, value := range w.Context {
			context[key] = value
		}
		if context["output"], err = base.MarshalJSON(); err != nil {
			return nil, err
		}
		if data, err = w.data(context, trait.Parameters); err != nil {
			return nil, err
		}
		value, err := compile(trait.Source + data)
		if err != nil {
			return nil, err
		}
		if patch := value.LookupPath(cue.ParsePath("patch")); patch.Exists() {
			if base, err = sets.StrategyUnify(base, patch, sets.CreateUnifyOptionsForPatcher(patch)...); err != nil {
				return nil, err
			}
		}
	}
	for _, output := range outputs {
		if _, err := export(output); err != nil {
			return nil, err
		}
	}
	return export(base)
}

func export(value cue.Value) (json.RawMessage, error) {
	if err := value.Validate(cue.Concrete(true), cue.Final()); err != nil {
		return nil, err
	}
	return value.MarshalJSON()
}

func (w *work) health() error {
	text := w.Health + "\ncontext: " + string(w.HealthContext) + "\nparameter: {}"
	value := cuecontext.New(cuecontext.EvaluatorVersion(cuecontext.EvalV2)).CompileString(text)
	_, err := value.LookupPath(cue.ParsePath("isHealth")).Bool()
	return err
}

func (w *work) schema() error {
	value, err := compile(w.Component.Source + "\ncontext: _\n")
	if err != nil {
		return err
	}
	parameter := value.LookupPath(cue.ParsePath("parameter"))
	filled := value.Context().CompileString("").FillPath(cue.ParsePath("#parameter"), parameter)
	_, err = openapi.Gen(filled, &openapi.Config{ExpandReferences: true})
	return err
}
