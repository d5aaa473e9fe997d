package main

import (
	"testing"

	"helm.sh/helm/v3/pkg/chart"
)

// crd is a file of the crds folder.
const crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: visits.example.com}\n" +
	"spec: {group: example.com, names: {kind: Visit}, versions: [{name: v1, served: true}]}\n"

func TestTheFolderOfCRDsIsGivenUnlessItIsLeftOut(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		loaded := shopWith(`  visits: '{{ .Capabilities.APIVersions.Has "example.com/v1/Visit" }}'`)
		loaded.Files = []*chart.File{{Name: "crds/visits.yaml", Data: []byte(crd)}}
		request := chartRequest{Release: releaseName{"r", "prod"}, IncludeCRDs: wanted, APIVersions: []string{"v1"}}
		result, err := request.renderChart(loaded)
		if err != nil {
			t.Fatal(err)
		}
		data := result.Resources[0]["data"].(object)
		if (len(result.CRDs) == 1) != wanted || (data["visits"] == "true") != wanted {
			t.Errorf("includeCRDs: %v: %v, %v", wanted, result.CRDs, data)
		}
	}
}

func TestAReleaseIsWhereAndWhatItIsCalled(t *testing.T) {
	request := chartRequest{Release: releaseName{"shop-a", "cellar"}}
	result, err := request.renderChart(shopWith("  is: '{{ .Release.Namespace }}/{{ .Release.Name }}'"))
	if err != nil {
		t.Fatal(err)
	}
	one := result.Resources[0]
	metadata := one["metadata"].(object)
	annotations := metadata["annotations"].(object)
	if one["data"].(object)["is"] != "cellar/shop-a" || metadata["namespace"] != "cellar" || annotations["meta.helm.sh/release-name"] != "shop-a" {
		t.Errorf("%v", one)
	}
}

func TestHooksComeByWeightAndRunAnewWithEachChange(t *testing.T) {
	hooks := func(values map[string]any) []hook {
		loaded := shopWith("  a: b")
		loaded.Templates = append(loaded.Templates, &chart.File{Name: "templates/hooks.yaml", Data: []byte(
			"apiVersion: batch/v1\nkind: Job\nmetadata: {name: late, annotations: {helm.sh/hook: post-install, helm.sh/hook-weight: '5'}}\n---\n" +
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: early, annotations: {helm.sh/hook: 'pre-install,pre-upgrade', helm.sh/hook-weight: '-1'}}\n",
		)})
		result, err := chartRequest{Release: releaseName{"r", "prod"}, Values: values}.renderChart(loaded)
		if err != nil {
			t.Fatal(err)
		}
		return result.Hooks
	}
	name := func(one hook) any { return one.Object["metadata"].(object)["name"] }
	before, after := hooks(nil), hooks(map[string]any{"a": 1})
	if len(before) != 2 || name(before[0]) != "early" || len(before[0].Events) != 2 {
		t.Fatalf("%v", before)
	}
	if name(before[1]) == name(after[1]) || name(before[0]) != name(after[0]) {
		t.Errorf("%v, %v", before, after)
	}
}
