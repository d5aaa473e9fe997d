package bridge

import (
	"fmt"
	"strings"
	"testing"
)

// Only the branch that is in force made the field, however deep in it the field stands, and the line is that of
// the field and not of the condition.
func TestABranchThatIsNotInForceMadeNothing(t *testing.T) {
	const text = `output: {
	kind: "ConfigMap"
	data: {
		if parameter.loud {
			text: "a"
			more: x: "1"
			list: ["a"]
		}
		if !parameter.loud {
			text: "b"
			more: x: "2"
			list: ["b", "c"]
		}
		if parameter.loud {
			more: y: parameter.p
		}
		for k in ["k"] {
			"\(k)": k
		}
	}
}
parameter: {loud: *true | bool, p: *"x" | string}
if parameter.loud {
	output: top: z: "1"
}
`
	for _, evaluator := range []string{"v2", "v3"} {
		for path, want := range map[string]string{
			"kind":        "2",
			"data.text":   "5 if parameter.loud",
			"data.more":   "6 if parameter.loud, 15 if parameter.loud",
			"data.more.x": "6 if parameter.loud",
			"data.more.y": "15 if parameter.loud",
			"data.list":   "7 if parameter.loud",
			"data.list.0": "7 if parameter.loud",
			"data.k":      `18 for k in ["k"]`,
			"data.none":   "",
			"top.z":       "24 if parameter.loud",
		} {
			if err := useEvaluator(evaluator); err != nil {
				t.Fatal(err)
			}
			request := &explainRequest{
				Render: renderRequest{Component: &template{Name: "w", Source: text}, Context: jsonObject{}},
				Path:   strings.Split(path, "."),
			}
			result, err := explain(request)
			if err != nil {
				t.Fatal(err)
			}
			var places []string
			for _, origin := range result.Origins {
				place := fmt.Sprint(origin.Position.Line)
				for _, clause := range origin.Conditions {
					place += " " + clause.Text
				}
				places = append(places, place)
			}
			if found := strings.Join(places, ", "); found != want {
				t.Errorf("%s: %s: found %q, want %q", evaluator, path, found, want)
			}
		}
	}
}

// A patch has its own order of lists: the element that became part of the asked one is meant.
func TestAPatchOfAListElementIsFoundByWhatItBecame(t *testing.T) {
	if err := useEvaluator("v2"); err != nil {
		t.Fatal(err)
	}
	request := &explainRequest{
		Render: renderRequest{
			Component: &template{Name: "w", Source: `output: {kind: "Pod", spec: containers: [{name: "a"}, {name: "b"}]}`},
			Traits: []template{{Name: "t", Source: `patch: spec: {
	// +patchKey=name
	containers: [{
		name:  "b"
		image: parameter.image
	}]
}
parameter: image: string`, Parameters: []byte(`{"image": "nginx"}`)}},
			Context: jsonObject{},
		},
		Path: []string{"spec", "containers", "1", "image"},
	}
	result, err := explain(request)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Origins) != 1 || string(result.Value) != `"nginx"` {
		t.Fatalf("found %v", result)
	}
	origin := result.Origins[0]
	if origin.Field != "patch" || origin.Position.Line != 5 || !origin.Parameters[0].Given {
		t.Errorf("found %+v", origin)
	}
}
