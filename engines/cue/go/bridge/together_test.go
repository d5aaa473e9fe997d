package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// rounds gives the calls that a step asks for, round by round; each is answered with its own place as the body.
func rounds(t *testing.T, source, parameters string) (asked [][]string, value json.RawMessage) {
	t.Helper()
	lane.Lock()
	defer lane.Unlock()
	if err := useEvaluator("v2"); err != nil {
		t.Fatal(err)
	}
	request := &stepRequest{
		Template: template{Name: "demo", Source: source, Parameters: json.RawMessage(parameters)},
		Replay:   replay{},
	}
	for {
		result, err := step(request)
		var need *needError
		if !errors.As(err, &need) {
			if err != nil {
				t.Fatal(err)
			}
			return asked, result.Value
		}
		var round []string
		for _, one := range need.calls {
			round = append(round, one.Path)
			request.Replay[one.Key] = json.RawMessage(fmt.Sprintf(`{"body":%q,"statusCode":200}`, one.Path))
		}
		asked = append(asked, round)
	}
}

// What a template asks for in each round: calls that decide about others are waited for.
func TestCallsOfARound(t *testing.T) {
	const head = "import (\n\"vela/http\"\n\"vela/builtin\"\n\"vela/kube\"\n\"list\"\n\"strings\"\n)\nparameter: {n: *2 | int, url: string, full: url + \"/x\"}\n" +
		"#used: [http.#HTTPGet, kube.#Apply, builtin.#Message, list.Range, strings.ToLower]\n"
	cases := []struct{ name, source, expected string }{
		{"a loop", `for i in list.Range(0, parameter.n, 1) {"r\(i)": http.#HTTPGet & {$params: url: parameter.full + "\(i)"}}`, "r0 r1"},
		{"a loop in a field", `all: {for i in list.Range(0, parameter.n, 1) {"r\(i)": http.#HTTPGet & {$params: url: parameter.url}}}`, "all.r0 all.r1"},
		{"a list", `all: [for i in list.Range(0, parameter.n, 1) {http.#HTTPGet & {$params: url: parameter.url}}]`, "all[0] all[1]"},
		{"fields", "a: http.#HTTPGet & {$params: url: parameter.url}\nb: #get & {$params: url: \"u\"}\n#get: http.#HTTPGet", "a b"},
		{"one uses the result of another", "a: http.#HTTPGet & {$params: url: parameter.url}\nb: http.#HTTPGet & {$params: url: a.$returns.body}", "a, b"},
		{"by way of a third", "a: http.#HTTPGet & {$params: url: parameter.url}\nb: http.#HTTPGet & {$params: url: c}\nc: *a.$returns.body | \"u\"", "a, b"},
		{"by way of a name", "let A = a\na: http.#HTTPGet & {$params: url: parameter.url}\nb: http.#HTTPGet & {$params: url: *A.$returns.body | \"u\"}", "a, b"},
		{"by way of an alias", "A=a: http.#HTTPGet & {$params: url: parameter.url}\nb: http.#HTTPGet & {$params: url: *A.$returns.body | \"u\"}", "a, b"},
		{"a condition that a result turns off", "a: http.#HTTPGet & {$params: url: parameter.url}\nif a.$returns == _|_ {b: http.#HTTPGet & {$params: url: \"u\"}}", "b, a"},
		{"a loop over results decides what comes after", "a: http.#HTTPGet & {$params: url: parameter.url}\n" +
			"x: {if a.$returns != _|_ {late: http.#HTTPGet & {$params: url: \"u\"}}}\nb: http.#HTTPGet & {$params: url: parameter.url}", "a, x.late, b"},
		{"a loop, and what waits for it", `all: {for i in list.Range(0, parameter.n, 1) {"r\(i)": http.#HTTPGet & {$params: url: parameter.url}}}
end: builtin.#Message & {$params: message: "\(len([for r in all if r.$returns != _|_ {r}])) done"}`, "all.r0 all.r1, end"},
		{"pairs in a loop", `for i in list.Range(0, parameter.n, 1) {"r\(i)": {one: http.#HTTPGet & {$params: url: parameter.url}, two: http.#HTTPGet & {$params: url: *one.$returns.body | "u"}}}`,
			"r0.one, r0.two, r1.one, r1.two"},
		{"a call within a call", "a: kube.#Apply & {$params: value: {kind: \"A\", data: http.#HTTPGet & {$params: url: \"u\"}}}", "a.$params.value.data, a"},
		{"numbered", "a: http.#HTTPGet & {$params: url: parameter.url} @step(2)\nb: http.#HTTPGet & {$params: url: parameter.url} @step(1)", "b, a"},
		{"by hand", "a: {#do: \"do\", #provider: \"http\", $params: url: \"u\"}\nb: {#do: \"do\", #provider: \"http\", $params: url: \"u\"}", "a, b"},
		{"an unknown input", "a: http.#HTTPGet & {$params: url: parameter.url}\nb: http.#HTTPGet & {$params: url: strings.ToLower(\"U\")}", "a b"},
	}
	for _, one := range cases {
		asked, _ := rounds(t, head+one.source, `{"url":"u"}`)
		var told []string
		for _, round := range asked {
			told = append(told, strings.Join(round, " "))
		}
		if got := strings.Join(told, ", "); got != one.expected {
			t.Errorf("%s: asked for %q, expected %q", one.name, got, one.expected)
		}
	}
}

// Results that are filled in together mean what they mean one by one.
func TestResultsOfARound(t *testing.T) {
	source := "import \"vela/http\"\n" +
		`all: [for i in [0, 1] {http.#HTTPGet & {$params: url: "u\(i)"}}]
a: http.#HTTPGet & {$params: url: "a"}
"b.c": http.#HTTPGet & {$params: url: "b"}
bodies: [all[0].$returns.body, all[1].$returns.body, a.$returns.body]
`
	asked, value := rounds(t, source, `{}`)
	var result struct{ Bodies []string }
	if err := json.Unmarshal(value, &result); err != nil {
		t.Fatal(err, string(value))
	}
	if expected := []string{"all[0]", "all[1]", "a"}; !reflect.DeepEqual(result.Bodies, expected) {
		t.Errorf("%v after %v", result.Bodies, asked)
	}
}

// A thousand calls are no thousand evaluations: the time of the whole is bounded by that of a few.
func TestAThousandCalls(t *testing.T) {
	source := "import (\n\"vela/http\"\n\"list\"\n)\nparameter: n: int\n" +
		`for i in list.Range(0, parameter.n, 1) {"r\(i)": http.#HTTPGet & {$params: url: "u\(i)"}}`
	begin := time.Now()
	asked, _ := rounds(t, source, `{"n":1000}`)
	t.Log(time.Since(begin))
	if len(asked) != 1 || len(asked[0]) != 1000 {
		t.Errorf("%d rounds, the first of %d calls", len(asked), len(asked[0]))
	}
}
