package bridge

import (
	"strings"
	"testing"
)

func TestUpgradeRewritesListArithmetic(t *testing.T) {
	cases := map[string]string{
		`_x: ["a"] + ["b"]`:                       `_x: list.Concat([["a"], ["b"]])`,
		"a: [1]\nb: [2]\nc: a + b + a":            `c: list.Concat([a, b, a])`,
		"a: [1] * 3":                              `a: list.Repeat([1], 3)`,
		"let l = [1]\na: 2 * l":                   `a: list.Repeat(l, 2)`,
		"p: {l: *[] | [...string]}\na: p.l + p.l": `a: list.Concat([p.l, p.l])`,
		`error: "e"`:                              `"error": "e"`,
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
	for _, source := range []string{"a: 1 + 2", `a: "x" + "y"`, "a: *[1] | [...int]", "a: 2 * 3"} {
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
