package bridge

import (
	"errors"
	"strings"
	"testing"
)

func TestPackagesThatAreMissing(t *testing.T) {
	for path, kind := range map[string]string{
		"ext/greeter": kindPackage, "example.com/a/b": kindPackage,
		"encoding/jsn": kindReference, "string": kindReference, "vela/kub": kindReference,
	} {
		source := "import p \"" + path + "\"\nx: p.#G\noutput: {apiVersion: \"v1\", kind: \"ConfigMap\"}\nparameter: name: string\n"
		text := `package "` + path + `" not found`
		for _, parameters := range []string{"", `{"name":"x"}`} {
			request := &validateRequest{Kind: "component", Template: template{Name: "c", Source: source, Parameters: []byte(parameters)}}
			result, err := validate(request)
			if err != nil || len(result.Errors) != 1 || result.Errors[0].Message != text || result.Errors[0].Kind != kind || result.Errors[0].Hint == "" {
				t.Errorf("%s %s: %+v %v", path, parameters, result, err)
			}
		}
		_, err := render(&renderRequest{Component: &template{Name: "c", Source: source, Parameters: []byte(`{"name":"x"}`)}})
		var wrong *templateError
		if !errors.As(err, &wrong) || wrong.body.Errors[0].Message != text || !strings.Contains(wrong.body.KubevelaText, "validation failed for workload c:\n\nTemplate errors:\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
