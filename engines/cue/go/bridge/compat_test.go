package bridge

import (
	"strings"
	"testing"
)

func TestUpgradeRewritesOlderText(t *testing.T) {
	cases := map[string]string{
		`_x: ["a"] + ["b"]`:                       `_x: list.Concat([["a"], ["b"]])`,
		"a: [1]\nb: [2]\nc: a + b + a":            `c: list.Concat([a, b, a])`,
		"a: [1] * 3":                              `a: list.Repeat([1], 3)`,
		"let l = [1]\na: 2 * l":                   `a: list.Repeat(l, 2)`,
		"p: {l: *[] | [...string]}\na: p.l + p.l": `a: list.Concat([p.l, p.l])`,
		`error: "e"`:                              `"error": "e"`,
		"import \"strings\"\na: \"x\"":            `a: "x"`,
		"import (\n\t\"strings\"\n\t\"list\"\n)\na: [1] + [2]\nb: strings.ToUpper(\"x\")": "\"list\"",
		"import (\"strings\", j \"encoding/json\")\na: strings.ToUpper(\"x\")":            `import ("strings")`,
		"import \"vela/nosuch\"\na: {nosuch: 1}\nb: a.nosuch":                             "a: {nosuch: 1}",
	}
	for source, want := range cases {
		result, err := upgrade(&formatRequest{Source: source})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if !strings.Contains(result.Source, want) || len(result.Changes) != 1 {
			t.Errorf("%s\nbecomes\n%s\nwith %v, want %s", source, result.Source, result.Changes, want)
		}
	}
}

func TestUpgradeLeavesOtherArithmeticAlone(t *testing.T) {
	for _, source := range []string{"a: 1 + 2", `a: "x" + "y"`, "a: *[1] | [...int]", "a: 2 * 3",
		// Used in a label, in an interpolation, under another name; and one that clashes with a field.
		"import \"strings\"\n\n(strings.ToUpper(\"x\")): 1", "import \"strings\"\n\na: \"\\(strings.ToUpper(\"x\"))\"",
		"import s \"strings\"\n\na: s.ToUpper(\"x\")", "import \"strings\"\n\nstrings: 1",
	} {
		result, err := upgrade(&formatRequest{Source: source})
		if err != nil || result.Source != source || len(result.Changes) != 0 {
			t.Errorf("%s: %v, %v", source, result, err)
		}
	}
}

func TestRewrittenTextEvaluates(t *testing.T) {
	result, err := status(&statusRequest{HealthPolicy: "_x: [\"a\"] + [\"b\"]\nisHealth: len(_x) == 2"})
	if err != nil || !result.Healthy {
		t.Fatalf("%v %v", result, err)
	}
}

// KubeVela's kinds of templates have one thing in common: an import that nothing uses stops CUE.
func TestUnusedImportsAreLeftOut(t *testing.T) {
	source := "import (\"vela/kube\", \"encoding/json\", \"strings\")\nname: strings.ToUpper(parameter.name)\nparameter: name: string\n"
	made, err := step(&stepRequest{
		Template: template{Name: "s", Source: source, Parameters: []byte(`{"name":"x"}`)},
		Context:  jsonObject{}, Outputs: []stepOutput{{Name: "n", ValueFrom: "name"}},
	})
	if err != nil || string(made.Outputs["n"]) != `"X"` {
		t.Fatalf("step: %v %v", made, err)
	}
	source += "output: {labels: a: name}\n"
	changed, err := policy(&policyRequest{Template: template{Name: "p", Source: source, Parameters: []byte(`{"name":"x"}`)}, Context: jsonObject{}})
	if err != nil || len(changed.Warnings) != 2 {
		t.Errorf("policy: %+v %v", changed, err)
	}
	checked, err := validate(&validateRequest{Kind: "workflow-step", Template: template{Name: "s", Source: source}})
	if err != nil || len(checked.Errors) != 0 || len(checked.Warnings) != 2 || checked.Warnings[1].Positions[0] != (position{"workflow-step/s.cue", 1, 22}) {
		t.Errorf("definition: %+v %v", checked, err)
	}
	health, err := status(&statusRequest{HealthPolicy: "import \"strings\"\nisHealth: true"})
	if err != nil || !health.Healthy {
		t.Errorf("health policy: %v %v", health, err)
	}
}
