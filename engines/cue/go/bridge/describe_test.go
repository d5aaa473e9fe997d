package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// describedProperties gives the schemas of the parameters of a template, once both evaluators agree on them.
func describedProperties(t *testing.T, source string) map[string]string {
	t.Helper()
	defer useEvaluator("v2")
	var both [2]map[string]json.RawMessage
	for i, evaluator := range []string{"v2", "v3"} {
		useEvaluator(evaluator)
		raw, err := schema(&schemaRequest{Name: "x", Source: source, Detailed: true})
		if err != nil {
			t.Fatalf("%s: %v", evaluator, err)
		}
		var parsed struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Required   []string                   `json:"required"`
		}
		if err := json.Unmarshal(raw, &parsed); err != nil {
			t.Fatal(err)
		}
		for _, name := range parsed.Required {
			parsed.Properties[name] = append(parsed.Properties[name], " required"...)
		}
		both[i] = parsed.Properties
	}
	found := map[string]string{}
	for name, v2 := range both[0] {
		if v3 := both[1][name]; string(v2) != string(v3) {
			t.Errorf("%s: v2 %s\nv3 %s", name, v2, v3)
		}
		found[name] = strings.Replace(string(v2), `"title":"`+name+`",`, "", 1)
	}
	return found
}

func TestUsualConstraintsAreDescribed(t *testing.T) {
	found := describedProperties(t, `
import ("list", "strings", "struct", "time")
output: {}
#Least: [...string] & list.MinItems(2)
parameter: {
	port: *80 | uint16
	count: int & >=1
	both: *1 | int & >0 & <9
	twice: int & >=1 & >=3
	text: string & !=""
	other: string & !="a"
	few: [...string] & list.MinItems(1)
	some: [...string] & list.MaxItems(3) & list.UniqueItems()
	least: #Least
	pair?: [string, int]
	alist: *["a"] | [...string]
	word: "a" | "b" | *"c"
	mixed: 1 | "a"
	union: string | int
	null1: null | string
	null2: *null | {a: string}
	yes: *true | bool
	flag: *true | false
	map: *{} | {[string]: string}
	names: [=~"^a"]: int
	size: {[string]: int} & struct.MinFields(1)
	runes: strings.MinRunes(3) & strings.MaxRunes(9)
	pattern: =~"^a" & =~"b$" & !~"c"
	lasts: time.Duration
	name: *context.name | string
	joined: "\(context.name)-x"
	fixed: "a"
	must!: string
	inner: {a: *1 | int}
	needs: {a: int}
	closed?: close({a: string})
	one: {kind: "one", a: string} | {kind: "two", b: int}
	any: _
	mode: *"a" | "b"
	if mode == "b" {
		// +usage=Only for b
		extra: string
	}
}`)
	for name, want := range map[string]string{
		"port":  `{"default":80,"maximum":65535,"minimum":0,"type":"integer"}`,
		"count": `{"minimum":1,"type":"integer"} required`,
		"both":  `{"default":1,"exclusiveMaximum":true,"exclusiveMinimum":true,"maximum":9,"minimum":0,"type":"integer"}`,
		"twice": `{"minimum":3,"type":"integer"} required`,
		"text":  `{"minLength":1,"type":"string"} required`,
		"other": `{"not":{"enum":["a"]},"type":"string"} required`,
		"few":   `{"items":{"type":"string"},"minItems":1,"type":"array"} required`,
		"some":  `{"items":{"type":"string"},"maxItems":3,"type":"array","uniqueItems":true}`,
		"least": `{"items":{"type":"string"},"minItems":2,"type":"array"} required`,
		"pair": `{"items":{"anyOf":[{"type":"string"},{"type":"integer"}]},"maxItems":2,"minItems":2,"type":"array",` +
			`"x-items":[{"type":"string"},{"type":"integer"}]}`,
		"alist":   `{"default":["a"],"items":{"type":"string"},"type":"array"}`,
		"word":    `{"default":"c","enum":["a","b","c"],"type":"string"}`,
		"mixed":   `{"enum":[1,"a"],"title":"mixed"} required`,
		"union":   `{"anyOf":[{"type":"string"},{"type":"integer"}],"title":"union"} required`,
		"null1":   `{"nullable":true,"type":"string"} required`,
		"null2":   `{"nullable":true,"properties":{"a":{"title":"a","type":"string"}},"required":["a"],"type":"object"}`,
		"yes":     `{"default":true,"type":"boolean"}`,
		"flag":    `{"default":true,"type":"boolean"}`,
		"map":     `{"additionalProperties":{"type":"string"},"type":"object"}`,
		"names":   `{"additionalProperties":{"type":"integer"},"type":"object"}`,
		"size":    `{"additionalProperties":{"type":"integer"},"minProperties":1,"type":"object"} required`,
		"runes":   `{"maxLength":9,"minLength":3,"type":"string"} required`,
		"pattern": `{"not":{"pattern":"c"},"pattern":"^a","type":"string","x-rules":["=~\"b$\""]} required`,
		"lasts":   `{"type":"string","x-rules":["time.Duration"]} required`,
		"name":    `{"type":"string","x-default":"context.name"}`,
		"joined":  `{"title":"joined","type":"string"}`,
		"fixed":   `{"enum":["a"],"type":"string"}`,
		"must":    `{"title":"must","type":"string"} required`,
		"inner":   `{"properties":{"a":{"default":1,"title":"a","type":"integer"}},"type":"object"}`,
		"needs":   `{"properties":{"a":{"title":"a","type":"integer"}},"required":["a"],"type":"object"} required`,
		"closed":  `{"additionalProperties":false,"properties":{"a":{"title":"a","type":"string"}},"required":["a"],"type":"object"}`,
		"one": `{"anyOf":[{"properties":{"a":{"title":"a","type":"string"},"kind":{"enum":["one"],"title":"kind","type":"string"}},` +
			`"required":["a"],"type":"object"},{"properties":{"b":{"title":"b","type":"integer"},"kind":{"enum":["two"],"title":"kind",` +
			`"type":"string"}},"required":["b"],"type":"object"}],"type":"object"} required`,
		"any":   `{"title":"any"} required`,
		"extra": `{"description":"Only for b","type":"string","x-if":"mode == \"b\""}`,
	} {
		plain := strings.Replace(want, `"title":"`+name+`",`, "", 1)
		if found[name] != plain && found[name] != want {
			t.Errorf("%s: %s\nnot %s", name, found[name], want)
		}
	}
}

func TestParametersUnderAConditionOnWhatHasNoDefault(t *testing.T) {
	const claim = `{"type":"string","x-if":"name == \"pvc\""}`
	for source, want := range map[string]string{
		"parameter: {name: \"pvc\" | \"dir\", size?: int, if name == \"pvc\" {claim: string}}": `{"properties":{"claim":` + claim +
			`,"name":{"enum":["pvc","dir"],"title":"name","type":"string"},"size":{"title":"size","type":"integer"}},"required":["name"],"type":"object"}`,
		"parameter: {n: bool, if n {a: int, if context.x {b: int}}, if !n {a: string}}": `{"properties":{` +
			`"a":{"anyOf":[{"title":"a","type":"integer"},{"title":"a","type":"string"}],"x-if":"n || !n"},` +
			`"b":{"title":"b","type":"integer","x-if":"n && context.x"},"n":{"title":"n","type":"boolean"}},"required":["n"],"type":"object"}`,
		"#V: {name: string, if name == \"pvc\" {claim: string}}\nparameter: v: [...#V]": `{"properties":{"v":{"items":{"additionalProperties":false,"properties":{"claim":` +
			claim + `,"name":{"title":"name","type":"string"}},"required":["name"],"type":"object"},"title":"v","type":"array"}},` +
			`"type":"object"}`,
	} {
		raw, err := schema(&schemaRequest{Name: "x", Source: source, Detailed: true})
		if got := strings.ReplaceAll(string(raw), `"title":"claim",`, ""); err != nil || got != want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", source, got, err, want)
		}
	}
}

// A type that contains itself has no finite schema, and CUE's converter does not end with it.
func TestParametersThatContainThemselves(t *testing.T) {
	for name, source := range map[string]string{
		"list":    "#Group: {name: string, children?: [...#Group]}\nparameter: root: #Group",
		"field":   "#Rec: {v: string, n?: #Rec}\nparameter: r?: #Rec",
		"map":     "#Rec: {m?: [string]: #Rec}\nparameter: {#Rec, x: int}",
		"two":     "#A: {b?: #B}\n#B: {a?: #A}\nparameter: a: #A",
		"bounded": "import \"list\"\n#A: {a?: [...#A] & list.MaxItems(2)}\nparameter: a: null | #A",
		"hidden":  "_rec: {next?: _rec}\nparameter: _rec",
	} {
		for _, evaluator := range []string{"v2", "v3"} {
			useEvaluator(evaluator)
			for _, detailed := range []bool{false, true} {
				raw, err := schema(&schemaRequest{Name: "x", Source: source, Detailed: detailed})
				if err != nil || !strings.Contains(string(raw), `"x-same-as":`) {
					t.Errorf("%s %s: %s %v", name, evaluator, raw, err)
				}
			}
			result, err := validate(&validateRequest{Kind: "policy", Template: template{Name: "x", Source: source}})
			if err != nil || len(result.Errors) > 0 || len(result.Warnings) == 0 {
				t.Fatalf("%s %s: %v %v", name, evaluator, result, err)
			}
			first := result.Warnings[0]
			if !strings.HasPrefix(first.Message, "the parameter contains itself through ") || len(first.Positions) != 1 {
				t.Errorf("%s %s: %+v", name, evaluator, first)
			}
		}
	}
	useEvaluator("v2")
}

// A type that is used at several places does not contain itself.
func TestTypesThatAreUsedTwice(t *testing.T) {
	found := describedProperties(t, `
output: {}
#Port: {port: int, name?: string}
#Side: {ports: [...#Port], main: #Port}
parameter: {
	a: #Side
	b: #Side & {main: port: 80}
	c: #Port | {ports: [...#Port]}
}`)
	for name, schema := range found {
		if strings.Contains(schema, "x-same-as") {
			t.Errorf("%s: %s", name, schema)
		}
	}
}

// Types that double with each level are cut where they get too large.
func TestDescriptionsOfLargeTypesEnd(t *testing.T) {
	source := "#T0: {a: string}\nparameter: t: #T13\n"
	for i := 1; i <= 13; i++ {
		source += fmt.Sprintf("#T%d: {l?: #T%d, r?: #T%d}\n", i, i-1, i-1)
	}
	raw, err := schema(&schemaRequest{Name: "x", Source: source, Detailed: true})
	if err != nil || len(raw) > 1<<20 {
		t.Error(len(raw), err)
	}
}
