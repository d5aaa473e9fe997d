package bridge

import (
	"math/rand"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/format"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

// TestMergePatchesAreThoseOfKubeVela merges whatever both ways, and merges a further patch into both results.
func TestMergePatchesAreThoseOfKubeVela(t *testing.T) {
	random := rand.New(rand.NewSource(11))
	merged := 0
	for _, evaluator := range []string{"v2", "v3"} {
		if err := useEvaluator(evaluator); err != nil {
			t.Fatal(err)
		}
		for range 400 {
			base := compiledJSON(t, random, "base: ").LookupPath(cue.ParsePath("base"))
			patch := compiledJSON(t, random, "// +patchStrategy=jsonMergePatch\npatch: ").LookupPath(patchPath)
			expected, problem := sets.StrategyUnify(base, patch, sets.CreateUnifyOptionsForPatcher(patch)...)
			found, err := applyPatch(base, patch)
			if (problem == nil) != (err == nil) || problem != nil && problem.Error() != err.Error() {
				t.Fatalf("%v instead of %v", err, problem)
			}
			if problem != nil {
				continue
			}
			merged++
			compare(t, expected, found)
			further := newContext().CompileString("patch: {added: [{name: \"x\"}], a: more: 1}").LookupPath(patchPath)
			expected, problem = sets.StrategyUnify(expected, further)
			found, err = sets.StrategyUnify(found, further)
			if (problem == nil) != (err == nil) {
				t.Fatalf("then: %v instead of %v", err, problem)
			}
			if problem == nil {
				compare(t, expected, found)
			}
		}
	}
	if merged < 200 {
		t.Fatalf("only %d were merged", merged)
	}
}

func compiledJSON(t *testing.T, random *rand.Rand, label string) cue.Value {
	t.Helper()
	data := randomJSON(random, 3)
	if random.Intn(4) > 0 {
		data = map[string]any{"a": data, "b": randomJSON(random, 2), "1": nil}
	}
	raw, err := marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return newContext().CompileString(label + string(raw))
}

func compare(t *testing.T, expected, found cue.Value) {
	t.Helper()
	text := func(value cue.Value) string {
		raw, err := format.Node(value.Syntax(cue.Docs(true), cue.ResolveReferences(true)))
		if err != nil {
			t.Fatal(err)
		}
		json, err := value.MarshalJSON()
		if err != nil {
			return string(raw) + err.Error()
		}
		return string(raw) + string(json)
	}
	if a, b := text(expected), text(found); a != b {
		t.Fatalf("%s\ninstead of\n%s", b, a)
	}
}
