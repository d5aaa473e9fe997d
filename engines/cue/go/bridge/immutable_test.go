package bridge

import (
	"strings"
	"testing"
)

func TestImmutableParametersDoNotChangeOnceTheyAreSet(t *testing.T) {
	const source = `output: {apiVersion: "v1", kind: "Pod"}
parameter: {
	// +usage=Where it is
	// +immutable
	zone?: string
	db: {
		// +immutable
		size: *1 | int
	}
	disks?: [...{
		// +immutable
		class: string
		gb: int
	}]
}`
	cases := []struct{ before, after, path string }{
		{`{"zone": "a", "db": {}}`, `{"zone": "b", "db": {}}`, "parameter.zone"},
		{`{"zone": "a", "db": {}}`, `{"db": {}}`, "parameter.zone"},
		{`{"db": {}}`, `{"zone": "b", "db": {}}`, ""},
		{`{"db": {"size": 1}}`, `{"db": {"size": 2}}`, "parameter.db.size"},
		{`{"db": {}, "disks": [{"class": "ssd", "gb": 1}]}`, `{"db": {}, "disks": [{"class": "hdd", "gb": 1}]}`, "parameter.disks[0].class"},
		{`{"db": {}, "disks": [{"class": "ssd", "gb": 1}]}`, `{"db": {}, "disks": [{"class": "ssd", "gb": 2}]}`, ""},
	}
	for _, one := range cases {
		result, err := validate(&validateRequest{
			Kind:     "component",
			Template: template{Name: "x", Source: source, Parameters: []byte(one.after)},
			Previous: []byte(one.before),
		})
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, found := range result.Errors {
			paths = append(paths, found.Path)
		}
		if strings.Join(paths, " ") != one.path {
			t.Errorf("%s to %s: %+v, want %q", one.before, one.after, result.Errors, one.path)
		}
	}
	written, err := schema(&schemaRequest{Name: "x", Source: source})
	if err != nil || !strings.Contains(string(written), `"zone":{"description":"Where it is","title":"zone","type":"string","x-immutable":true}`) {
		t.Errorf("%s (%v)", written, err)
	}
}
