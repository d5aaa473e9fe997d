package bridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const databaseTemplate = `
import "strings"

metadata: {name: "db", scope: "system", sensitive: false}
template: {
	output: {
		apiVersion: "v1", kind: "Secret", type: "db/" + parameter.kind
		stringData: url: "\(context.namespace)-\(context.name)-\(parameter.host):\(parameter.port)"
	}
	outputs: map: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-map", data: host: strings.ToUpper(parameter.host)}
	validation: $returns: {
		result:  parameter.port > 1024
		message: *"" | string
		if parameter.port == 80 {message: "80 is taken"}
	}
	parameter: {
		kind: *"mysql" | "postgres"
		host: string
		port: *3306 | int
	}
}
context: {name: string, namespace: string}
`

func configOf(parameters string) (*configResult, error) {
	return config(&configRequest{
		Template: template{Name: "db", Source: databaseTemplate, Parameters: json.RawMessage(parameters)},
		Context:  jsonObject{"name": json.RawMessage(`"one"`), "namespace": json.RawMessage(`"demo"`)},
	})
}

func TestConfigGivesItsObjects(t *testing.T) {
	made, err := configOf(`{"host":"h"}`)
	if err != nil {
		t.Fatal(err)
	}
	output := `{"apiVersion":"v1","kind":"Secret","type":"db/mysql","stringData":{"url":"demo-one-h:3306"}}`
	object := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one-map"},"data":{"host":"H"}}`
	if string(made.Output) != output || string(made.Outputs["map"]) != object || !made.Valid || made.Nacos {
		t.Errorf("%+v\n%s\n%s", made, made.Output, made.Outputs["map"])
	}
	refused, err := configOf(`{"host":"h","port":80}`)
	if err != nil || refused.Valid || refused.Message != "80 is taken" {
		t.Errorf("%+v %v", refused, err)
	}
	refused, err = configOf(`{"host":"h","port":1000}`)
	if err != nil || refused.Valid {
		t.Errorf("%+v %v", refused, err)
	}
}

func TestConfigTellsWhatIsWrong(t *testing.T) {
	for parameters, expected := range map[string]string{
		`{"host":"h","port":"x"}`: `failed to compile config template: template.parameter.port: 2 errors in empty disjunction`,
		`{"host":5}`:              `failed to compile config template: template.parameter.host: conflicting values string and 5`,
		`{"port":1}`:              `failed to compile config template: template.parameter.host: incomplete value string`,
	} {
		_, err := configOf(parameters)
		var wrong *templateError
		if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.body.KubevelaText, expected) || len(wrong.body.Errors) == 0 {
			t.Errorf("%s: %v", parameters, err)
		}
	}
}
