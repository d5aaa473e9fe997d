package bridge

import (
	"strings"
	"testing"
)

func TestNestingIsCountedAsTheParserWouldRecurse(t *testing.T) {
	deep := strings.Repeat("[", 400)
	cases := []struct {
		name, text string
		refused    bool
	}{
		{"deep", strings.Repeat("{", 600), true},
		{"wide", strings.Repeat("{}", 6000), false},
		{"closing brackets in strings hide nothing", strings.Repeat(`[ "]", `, 600), true},
		{"opening brackets in strings are none", `a: "` + strings.Repeat("[", 6000) + `"`, false},
		{"nor in comments", "// " + strings.Repeat("[", 6000) + "\na: 1", false},
		{"nor in blocks", "a: #\"\"\"\n" + strings.Repeat("[", 6000) + "\n\"\"\"#", false},
		{"an escaped quote ends no string", `a: "\"` + strings.Repeat("[", 6000) + `"`, false},
		{"interpolations count", strings.Repeat(`"\(`, 600), true},
		{"and what is in them", deep + `"\(` + deep, true},
	}
	for _, one := range cases {
		if err := checkNesting(one.text); (err != nil) != one.refused {
			t.Errorf("%s: %v", one.name, err)
		}
	}
}
