package bridge

import (
	"os"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// The layout of CUE's flags is ours to keep in step. The evaluators report a list that is too short in
// different words; the choice must hold for contexts that others make with the defaults, too.
func TestTheEvaluatorIsChosenForEveryContext(t *testing.T) {
	const text = `{a: ["x"]} & {a: ["y", "z"]}`
	for name, want := range map[string]string{
		"v2": `incompatible list lengths (1 and 2)`,
		"v3": `conflicting values "y" and "x"`,
	} {
		if err := useEvaluator(name); err != nil {
			t.Fatal(err)
		}
		for _, ctx := range []*cue.Context{newContext(), cuecontext.New()} {
			if found := ctx.CompileString(text).Validate().Error(); !strings.Contains(found, want) {
				t.Errorf("%s: %s, want %s", name, found, want)
			}
		}
	}
}

func TestTheVersionIsThatOfTheModule(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	if err != nil || !strings.Contains(string(text), "cuelang.org/go "+CueVersion+"\n") {
		t.Fatalf("CueVersion %s is not that of go.mod (%v)", CueVersion, err)
	}
}
