package bridge

import "testing"

func TestSchemaWithoutTheContext(t *testing.T) {
	cases := map[string]string{
		"parameter: {name: context.name, b: int}": `{"properties":{"b":{"title":"b","type":"integer"},"name":{"title":"name"}},` +
			`"required":["name","b"],"type":"object"}`,
		"parameter: {b: int\nif context.clusterVersion.minor > 20 {c: string}}\noutput: x: parameter.c": `{"properties":` +
			`{"b":{"title":"b","type":"integer"}},"required":["b"],"type":"object"}`,
		"parameter: #P\n#P: {a: string & context.name, b?: bool}": `{"properties":{"a":{"title":"a","type":"string"},` +
			`"b":{"title":"b","type":"boolean"}},"required":["a"],"type":"object"}`,
	}
	for source, want := range cases {
		got, err := schema(&schemaRequest{Name: "x", Source: source})
		if err != nil || string(got) != want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", source, got, err, want)
		}
	}
}

func TestHealthPoliciesThatSayNoWhateverIsLive(t *testing.T) {
	cases := map[string]int{
		"isHealth: false":                    1,
		"isHealth: 1 == 2":                   1,
		"isHealth: \"yes\"":                  1,
		"healthy: true":                      1,
		"isHealth: context.output.status.ok": 0,
		"ok: *false | bool\nif context.output.status.ok {ok: true}\nisHealth: ok": 0,
		"isHealth: true": 0,
	}
	for policy, want := range cases {
		result, err := validate(&validateRequest{
			Kind:     "component",
			Template: template{Name: "x", Source: "output: {apiVersion: \"v1\", kind: \"Pod\"}\nparameter: {}"},
			Status:   definitionStatusText{HealthPolicy: policy},
		})
		if err != nil || len(result.Errors) != want {
			t.Errorf("%s: %v, %+v", policy, err, result)
			continue
		}
		for _, found := range result.Errors {
			if len(found.Positions) == 0 || found.Positions[0].File != "status/healthPolicy.cue" {
				t.Errorf("%s: no place: %+v", policy, found)
			}
		}
	}
}

func TestTemplatesThatCannotMakeAnObject(t *testing.T) {
	const head = "output: {apiVersion: \"v1\", kind: \"Pod\"}\n"
	cases := map[string]int{
		"output: {kind: \"Pod\"}\nparameter: {}":                                   1,
		"output: {}\nparameter: {}":                                                2,
		"output: {parameter.object}\nparameter: object: {}":                        0,
		"output: parameter.object\nparameter: object: {...}":                       0,
		head + "outputs: x: {spec: {}}\nparameter: {}":                             2,
		head + "output: x: parameter.a\nparameter: close({b: int})":                1,
		head + "output: x: parameter.a\nparameter: #P\n#P: b: int":                 1,
		head + "if parameter.a != _|_ {output: x: parameter.a}\nparameter: b: int": 0,
	}
	for source, want := range cases {
		result, err := validate(&validateRequest{Kind: "component", Template: template{Name: "x", Source: source}})
		if err != nil || len(result.Errors) != want {
			t.Errorf("%s: %v, %+v", source, err, result)
		}
	}
}
