package bridge

import (
	"strings"
	"testing"
)

// What can be said of a health policy without anything that lives.
func TestHealthPoliciesThatCannotWork(t *testing.T) {
	const source = `
output: {apiVersion: "v1", kind: "ConfigMap"}
outputs: service: {apiVersion: "v1", kind: "Service"}
parameter: {replicas: int, deep: size: int}
`
	for _, one := range []struct {
		policy, said string
		isError      bool
	}{
		{`isHealth: context.outputs.service.spec.clusterIP != ""`, "", false},
		{`isHealth: context.output.status.ready == parameter.replicas`, "", false},
		{`isHealth: parameter.deep.size == 1`, "", false},
		{`p: context.output.status.phase
isHealth: p == "A" || p == "B"`, "", false},
		{`isHealth: true`, "", false},
		{`if context.output.a { isHealth: true }`, "", false},
		{`isHealth: context.outputs.svc.spec.clusterIP != ""`, "the template makes no outputs.svc", false},
		{`isHealth: context.outputs["servic"].spec.x != ""`, "the template makes no outputs.servic", false},
		{`isHealth: parameter.nope == 1`, "the health policy uses parameter.nope", false},
		{`isHealth: parameter.deep.siz == 1`, "the health policy uses parameter.deep.siz", false},
		{`if false { isHealth: true }`, "isHealth can never be true", true},
		{`p: context.output.status.phase
isHealth: p == "A" && p == "B"`, "isHealth can never be true", true},
		{`isHealth: (context.output.a == 1 && context.output.b == 1) && context.output.a == 2`, "isHealth can never be true", true},
	} {
		result, err := validate(&validateRequest{
			Kind: "component", Template: template{Name: "x", Source: source},
			Status: definitionStatusText{HealthPolicy: one.policy},
		})
		if err != nil {
			t.Fatal(err)
		}
		found := result.Warnings
		if one.isError {
			found = result.Errors
		}
		all := len(result.Warnings) + len(result.Errors)
		if one.said == "" && all > 0 || one.said != "" &&
			(all != 1 || len(found) != 1 || !strings.Contains(found[0].Message, one.said) || len(found[0].Positions) != 1) {
			t.Errorf("%s: %+v", one.policy, result)
		}
	}
}
