package bridge

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMarkersOfParameters(t *testing.T) {
	raw, err := schema(&schemaRequest{Name: "demo", Source: `
output: {}
parameter: {
	// +usage=The image
	// +short=i
	// +immutable
	image: string
	// +immutable
	bare: int
	deep: {
		// +immutable
		// +usage=Inside
		inner?: string
	}
	none: *null | string
}`})
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Properties map[string]map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(raw, &parsed); err != nil {
		t.Fatal(err)
	}
	inner := parsed.Properties["deep"]["properties"].(map[string]any)["inner"].(map[string]any)
	for name, want := range map[string]struct {
		schema      map[string]any
		description any
		immutable   any
	}{
		"image": {parsed.Properties["image"], "The image", true},
		"bare":  {parsed.Properties["bare"], nil, true},
		"inner": {inner, "Inside", true},
		"none":  {parsed.Properties["none"], nil, nil},
	} {
		if want.schema["description"] != want.description || want.schema["x-immutable"] != want.immutable {
			t.Errorf("%s: %v", name, want.schema)
		}
	}
	if value, found := parsed.Properties["none"]["default"]; found {
		t.Errorf("a default of %v", value)
	}
}

func TestMarkersAreToldInDetail(t *testing.T) {
	source := "output: {}\nparameter: {\n\t// +usage=The port\n\t// +short=p\n\t// +alias=listen on\n\t// +ignore\n\t// +immutable\n\tport: int\n}\n"
	for _, detailed := range []bool{false, true} {
		raw, err := schema(&schemaRequest{Name: "x", Source: source, Detailed: detailed})
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		told := strings.Contains(text, `"x-short":"p"`) && strings.Contains(text, `"x-alias":"listen on"`) &&
			strings.Contains(text, `"x-ignore":true`)
		if told != detailed || !strings.Contains(text, `"x-immutable":true`) || !strings.Contains(text, `"description":"The port"`) {
			t.Errorf("detailed %v: %s", detailed, text)
		}
	}
}
