package bridge

import (
	"fmt"
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
		"import \"strings\"\na: \"x\"":            `a: "x"`,
		// What one operand tells of the others, through parentheses and calls.
		"a: [x] + y\nx: _\ny: _":                                              `a: list.Concat([[x], y])`,
		"x: [...int]\na: len((x + [1]) + [2])":                                `a: len(list.Concat([x, [1], [2]]))`,
		"x: [...int]\na: [for i in x + [1] {i}]":                              `for i in list.Concat([x, [1]])`,
		"import \"strings\"\na: strings.Split(x, \",\") + y\nx: string\ny: _": `a: list.Concat([strings.Split(x, ","), y])`,
		// Where names lead to.
		"p: #P\n#P: l: [...int]\na: p.l + p.l":                              `a: list.Concat([p.l, p.l])`,
		"p: \"x-y\": l: [...int]\na: p[\"x-y\"].l + b\nb: _":                `a: list.Concat([p["x-y"].l, b])`,
		"p: [...{args: [...string]}]\na: [for x in p {n: x.args + x.args}]": `n: list.Concat([x.args, x.args])`,
		"p: [string]: [...string]\na: {for k, v in p {(k): v + v}}":         `list.Concat([v, v])`,
		"p: {if true {l: [1]}, l: _}\na: p.l + p.l":                         `a: list.Concat([p.l, p.l])`,
		"p: l: *null | [...int]\na: p.l + p.l":                              `a: list.Concat([p.l, p.l])`,
		"a: b + b\nb: c\nc: [1]":                                            `a: list.Concat([b, b])`,
		// The package has another name where its own means something else.
		"a: [for list in [\"p\"] {[1] + [list]}]":                                         `cuelist.Concat([[1], [list]])`,
		"let list = \"k\"\na: [list] + [list]":                                            `cuelist.Concat([[list], [list]])`,
		"import \"list\"\nb: list.Range(0, 1, 1)\na: [for list in b {[1] + [list]}]":      `cuelist.Concat([[1], [list]])`,
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
		again, err := upgrade(&formatRequest{Source: result.Source})
		if err != nil || len(again.Changes) != 0 {
			t.Errorf("%s\nis not finished: %v %v", result.Source, again, err)
		}
	}
}

func TestUpgradeLeavesOtherArithmeticAlone(t *testing.T) {
	for _, source := range []string{
		// One name is a list here and something else there.
		"a: parameter.cpu * 1000\nparameter: cpu: int\nm: cpu: [{a: 1}]",
		"a: parameter.args + parameter.env\ns: {args: [\"x\"], env: [1]}\nparameter: {args: string, env: string}",
		"args: [1]\nb: {args: int, c: args + args}", "let x = [1]\nb: {let x = 2, c: x * x}",
		// It may be either.
		"p: l: *\"\" | [...string]\na: p.l + p.l",
		// They need no end.
		"a: a.b + a.c", "a: b.x & b.y\nb: a.x & a.y\nc: a * b",
		// A field may be called like a built-in, and is meant by its name.
		"info: {error: \"boom\", msg: error}", "X=error: \"boom\"\nmsg: X", "let error = \"boom\"\nmsg: error",
		"a: 1 + 2", `a: "x" + "y"`, "a: *[1] | [...int]", "a: 2 * 3",
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

const oldDefinition = `// A comment at the head
"old": {
	type: "component"
	attributes: {
		workload: definition: {apiVersion: "v1", kind: "ConfigMap"}
		status: {
			healthPolicy: #"""
				_a: ["x"]
				_b: _a + ["y"]
				isHealth: len(_b) == 2
				"""#
			customStatus: {
				_l: ["a"] + ["b"]
				message: "n=\(len(_l))"
			}
			details: "n: \"\\(len([1] + [2]))\""
		}
	}
}
template: {
	output: data: d: "\(len((parameter.args + ["p"]) + ["q"]))" // why
	parameter: args: [...string]
}
`

func TestUpgradeRewritesTheTextsOfTheStatus(t *testing.T) {
	result, err := upgrade(&formatRequest{File: "old.cue", Source: oldDefinition})
	if err != nil {
		t.Fatal(err)
	}
	for _, expected := range []string{
		"\t\t\thealthPolicy: #\"\"\"\n\t\t\t\timport \"list\"\n\n\t\t\t\t_a: [\"x\"]\n\t\t\t\t_b: list.Concat([_a, [\"y\"]])\n",
		"\t\t\tcustomStatus: #\"\"\"\n\t\t\t\timport \"list\"\n",
		"_l: list.Concat([[\"a\"], [\"b\"]])",
		`n: "\(len(list.Concat([[1], [2]])))"`,
		`"\(len(list.Concat([parameter.args, ["p"], ["q"]])))" // why`,
		"// A comment at the head",
	} {
		if !strings.Contains(result.Source, expected) {
			t.Errorf("%s is missing in\n%s", expected, result.Source)
		}
	}
	var lines []int
	for _, change := range result.Changes {
		lines = append(lines, change.Positions[0].Line)
	}
	if fmt.Sprint(lines) != "[9 13 16 21]" || result.Changes[0].Positions[0].Column != 9 {
		t.Errorf("%v %v", lines, result.Changes)
	}
	again, err := upgrade(&formatRequest{Source: result.Source})
	if err != nil || len(again.Changes) != 0 {
		t.Errorf("not finished: %v %v", again, err)
	}
	if _, err := parseDefinition(&parseDefinitionRequest{File: "old.cue", Source: result.Source}); err != nil {
		t.Error(err)
	}
}
