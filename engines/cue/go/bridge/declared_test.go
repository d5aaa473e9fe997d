package bridge

import (
	"encoding/json"
	"strings"
	"testing"

	"cuelang.org/go/cue/parser"
)

// An empty struct is open: what is in it has an effect, unless nobody uses it.
func TestUndeclaredFieldsOfEmptyStructs(t *testing.T) {
	const objects, data = `{"objects": [{"a": 1, "b": 2}]}`, `{"data": {"a": 1}}`
	for _, one := range []struct{ source, parameters, want string }{
		{"output: parameter.objects[0]\nparameter: objects: [...{}]", objects, ""},
		{"output: data: parameter.data\nparameter: data: {}", data, ""},
		{"output: {}\nparameter: {}", objects, "objects"},
		{"output: {}\nparameter: data: {b?: int}", data, "data.a"},
		{"output: n: parameter.n\nparameter: {n?: int, objects: [...{a: int}]}", objects, "objects.0.b"},
	} {
		file, err := parser.ParseFile("x.cue", one.source)
		if err != nil {
			t.Fatal(err)
		}
		d := declarations{file}
		var found []string
		report := func(path []string, _ []string) { found = append(found, strings.Join(path[1:], ".")) }
		d.undeclared([]string{"parameter"}, d.topLevel("parameter"), json.RawMessage(one.parameters), report)
		if got := strings.Join(found, " "); got != one.want {
			t.Errorf("%s\nreports %q, want %q", one.source, got, one.want)
		}
	}
}
