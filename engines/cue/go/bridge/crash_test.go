package bridge

import (
	"encoding/json"
	"strings"
	"testing"
)

// CUE prints a patch before it is merged, and its printer panics on some values that cannot be computed: what cannot be
// computed is the error, of the trait that reads it.
func TestAPatchThatCannotBePrintedIsAnErrorOfItsTrait(t *testing.T) {
	const object = `{"kind": "Deployment", "spec": {"containers": [{"image": "x"}]}}`
	trait := template{Name: "namer", Source: `
_names: [for c in context.output.spec.containers {c.name}]
_container: [for n in _names if n == context.name {n}, for n in _names {n}, context.name][0]
patch: spec: {
	// +patchKey=name
	containers: [{name: _container}]
}`}
	for _, evaluator := range []string{"v2", "v3"} {
		if err := useEvaluator(evaluator); err != nil {
			t.Fatal(err)
		}
		_, err := render(&renderRequest{
			Base: &renderBase{Output: json.RawMessage(object)}, Traits: []template{trait},
			Context: jsonObject{"name": json.RawMessage(`"web"`)},
		})
		outcome, body := classify(nil, err)
		wrong, ok := body.(evalError)
		if outcome != statusError || !ok {
			t.Fatalf("%s: %s %v", evaluator, outcome, body)
		}
		if first := wrong.Errors[0]; wrong.Definition != "namer" || !strings.Contains(first.Message, "undefined field: name") ||
			len(first.Positions) == 0 || first.Positions[0].Line != 2 {
			t.Errorf("%s: %+v", evaluator, wrong)
		}
	}
}

// The same request always ends so: to say that the engine is at fault would let it be tried for ever.
func TestWhatEndsCUEIsAnErrorOfTheTemplate(t *testing.T) {
	for op, want := range map[string]string{"render": statusError, "status": statusError, "validate": statusPanic} {
		serveOp := operations[op]
		operations[op] = func(json.RawMessage) (any, error) { panic("nothing there") }
		answer := string(Call([]byte(`{"id": 1, "op": "` + op + `"}`)))
		operations[op] = serveOp
		if !strings.Contains(answer, `"status":"`+want+`"`) || !strings.Contains(answer, CueVersion) {
			t.Errorf("%s: %s", op, answer)
		}
	}
}
