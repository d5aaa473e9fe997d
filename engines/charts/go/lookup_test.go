package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
)

// shopWith is a chart with one template.
func shopWith(template string) *chart.Chart {
	return &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: "v2", Name: "shop", Version: "1.0.0"},
		Templates: []*chart.File{{Name: "templates/said.yaml", Data: []byte("apiVersion: v1\nkind: ConfigMap\ndata:\n" + template)}},
	}
}

// said renders a template with what was looked up before: what it says, or what it wants to know.
func said(t *testing.T, template string, given ...found) (map[string]any, []lookup) {
	t.Helper()
	request := chartRequest{Release: releaseName{"shop", "prod"}, Lookups: given}
	result, err := request.renderChart(shopWith(template))
	if open := (*needs)(nil); errors.As(err, &open) {
		return nil, open.lookups
	}
	if err != nil {
		t.Fatal(err)
	}
	data, _ := result.Resources[0]["data"].(object)
	return data, nil
}

func secret(text string) found {
	one := found{lookup: lookup{"v1", "Secret", "prod", "login"}}
	if text != "" {
		one.Object = json.RawMessage(text)
	}
	return one
}

const keptPassword = `
{{- $old := lookup "v1" "Secret" .Release.Namespace "login" }}
  password: {{ if $old }}{{ $old.data.password }}{{ else }}new{{ end }}
`

func TestWhatIsNotGivenIsAskedFor(t *testing.T) {
	_, wanted := said(t, keptPassword)
	if !reflect.DeepEqual(wanted, []lookup{{"v1", "Secret", "prod", "login"}}) {
		t.Fatalf("wanted %v", wanted)
	}
}

func TestWhatIsThereIsKeptAndWhatIsNotIsMade(t *testing.T) {
	if data, wanted := said(t, keptPassword, secret(`{"kind":"Secret","data":{"password":"b2xk"}}`)); wanted != nil || data["password"] != "b2xk" {
		t.Fatalf("%v, wanted %v", data, wanted)
	}
	if data, wanted := said(t, keptPassword, secret("")); wanted != nil || data["password"] != "new" {
		t.Fatalf("%v, wanted %v", data, wanted)
	}
}

// A template that fails without what it looks up is asked again with it, and all that it wants is asked for at once.
func TestAFailureForWantOfAnswersIsNoFailure(t *testing.T) {
	_, wanted := said(t, `
  one: {{ (lookup "v1" "Namespace" "" "prod").kind | default "none" }}
{{- if not (lookup "apps/v1" "Deployment" "prod" "") }}{{ fail "there is none" }}{{ end }}
`)
	expected := []lookup{{"v1", "Namespace", "", "prod"}, {"apps/v1", "Deployment", "prod", ""}}
	if !reflect.DeepEqual(wanted, expected) {
		t.Fatalf("wanted %v", wanted)
	}
}

func TestListsHaveItemsAndWholeNumbers(t *testing.T) {
	list := found{lookup: lookup{"apps/v1", "Deployment", "prod", ""}}
	list.Object = json.RawMessage(`{"kind":"DeploymentList","items":[{"kind":"Deployment","spec":{"replicas":12345678}}]}`)
	data, _ := said(t, `
{{- range (lookup "apps/v1" "Deployment" "prod" "").items }}
  replicas: "{{ .spec.replicas }} {{ eq .spec.replicas 12345678 }}"
{{- end }}
`, list)
	if data["replicas"] != "12345678 true" {
		t.Fatalf("%v", data)
	}
}

// What a template does to an object that it looked up is not seen by the next one who looks.
func TestAnswersAreNotChangedByTemplates(t *testing.T) {
	data, _ := said(t, `
{{- $_ := set (lookup "v1" "Secret" "prod" "login").data "password" "spoilt" }}
  password: {{ (lookup "v1" "Secret" "prod" "login").data.password }}
`, secret(`{"kind":"Secret","data":{"password":"b2xk"}}`))
	if data["password"] != "b2xk" {
		t.Fatalf("%v", data)
	}
}

func TestWhatMayNotBeReadFailsWithItsReason(t *testing.T) {
	refused := secret("")
	refused.Error = `secrets "login" is forbidden`
	request := chartRequest{Release: releaseName{"shop", "prod"}, Lookups: []found{refused}}
	_, err := request.renderChart(shopWith(keptPassword))
	if err == nil || !strings.Contains(err.Error(), "is forbidden") {
		t.Fatalf("%v", err)
	}
}
