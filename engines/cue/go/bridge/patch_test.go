package bridge

import (
	"encoding/json"
	"reflect"
	"testing"

	"cuelang.org/go/cue"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

// Odd patches: what a render makes of them must be what KubeVela's merge package makes of them when it is
// called with the same values and nothing else (rows REN-011 to REN-017).
var oddPatches = []struct{ name, output, patch string }{
	{"composite key", `{kind: "T", l: [{a: 1, b: 1, x: 0}, {a: 2, b: 2}]}`, `{
	// +patchKey=a,b
	l: [{a: 2, b: 2, y: 1}, {a: 3, b: 3}]
}`},
	{"composite key, one part equal", `{kind: "T", l: [{a: 1, b: 1}]}`, `{
	// +patchKey=a,b
	l: [{a: 1, b: 2}]
}`},
	{"key that is no text", `{kind: "T", l: [{n: 1}, {n: 2}]}`, `{
	// +patchKey=n
	l: [{n: 2, x: true}]
}`},
	{"key that items lack", `{kind: "T", l: [{a: 1}, {name: "x"}]}`, `{
	// +patchKey=name
	l: [{name: "x", b: 2}]
}`},
	{"key on a struct", `{kind: "T", s: {name: "x"}}`, `{
	// +patchKey=name
	s: {y: 1}
}`},
	{"key with an open end", `{kind: "T", l: [{name: "a"}, {name: "b"}]}`, `{
	// +patchKey=name
	l: [{name: "b", x: 1}, ...]
}`},
	{"the same key twice in the patch", `{kind: "T", l: [{name: "a"}]}`, `{
	// +patchKey=name
	l: [{name: "b", x: 1}, {name: "b", y: 2}]
}`},
	{"the same key twice in the base", `{kind: "T", l: [{name: "a", n: 1}, {name: "a", n: 2}]}`, `{
	// +patchKey=name
	l: [{name: "a", x: 1}]
}`},
	{"dotted key", `{kind: "T", l: [{m: {n: "a"}}, {m: {n: "b"}}]}`, `{
	// +patchKey=m.n
	l: [{m: {n: "b"}, x: 1}]
}`},
	{"key and strategy in one comment", `{kind: "T", l: [{name: "a", x: 1}, {name: "b"}]}`, `{
	// +patchKey=name
	// +patchStrategy=retainKeys
	l: [{name: "a", y: 2}]
}`},
	{"retained keys of a list without a key", `{kind: "T", l: ["a"]}`, `{
	// +patchStrategy=retainKeys
	l: ["b"]
}`},
	{"retained keys of an absent field", `{kind: "T"}`, `{
	// +patchStrategy=retainKeys
	s: {a: 1}
}`},
	{"retained keys deep inside", `{kind: "T", a: b: c: {x: 1, y: 2}}`, `{
	a: b: {
		// +patchStrategy=retainKeys
		c: {x: 3}
	}
}`},
	{"replace a struct", `{kind: "T", s: {a: 1}}`, `{
	// +patchStrategy=replace
	s: {b: 2}
}`},
	{"replace with an empty list", `{kind: "T", l: [1, 2]}`, `{
	// +patchStrategy=replace
	l: []
}`},
	{"comments that mean nothing", `{kind: "T", l: [{name: "a"}]}`, `{
	// +patchStrategy=merge
	// +patchMergeKey=name
	l: [{x: 1}]
}`},
	{"text beside the marker", `{kind: "T", l: [{name: "a"}, {name: "b"}]}`, `{
	// items go by name
	// +patchKey=name
	l: [{name: "b", x: 1}]
}`},
	{"blank in the marker", `{kind: "T", l: [{name: "a"}, {name: "b"}]}`, `{
	// +patchKey = name
	l: [{name: "b", x: 1}, {name: "c"}]
}`},
	{"comprehension in a list with a key", `{kind: "T", l: [{name: "a"}]}`, `{
	// +patchKey=name
	l: [for n in ["a", "z"] {name: n, x: len(n)}]
}`},
	{"definition in the patch", `{kind: "T", s: {a: 1}}`, `{
	#S: {b: *2 | int}
	s: #S
}`},
	{"defaults on both sides", `{kind: "T", n: *1 | int, m: *"x" | string}`, `{n: *2 | int, m: "y"}`},
	{"closed base", `{kind: "T", s: close({a: 1})}`, `{s: {b: 2}}`},
	{"list that is longer", `{kind: "T", l: [1]}`, `{l: [1, 2]}`},
	{"list that is shorter", `{kind: "T", l: [1, 2]}`, `{l: [1]}`},
	{"null over a struct", `{kind: "T", s: {a: 1}}`, `{s: null}`},
	{"hidden and optional fields", `{kind: "T", a: 1}`, `{_h: 3, b?: 2, c: _h}`},
}

func TestPatchesAreThoseOfKubeVela(t *testing.T) {
	for _, evaluator := range []string{"v2", "v3"} {
		if err := useEvaluator(evaluator); err != nil {
			t.Fatal(err)
		}
		for _, odd := range oddPatches {
			t.Run(odd.name+" "+evaluator, func(t *testing.T) {
				want, wantErr := mergedDirectly(odd.output, odd.patch)
				got, gotErr := rendered(odd.output, odd.patch)
				if (wantErr == nil) != (gotErr == nil) {
					t.Fatalf("KubeVela's package: %v, %v\nours: %v, %v", want, wantErr, got, gotErr)
				}
				if wantErr == nil && !reflect.DeepEqual(want, got) {
					t.Errorf("KubeVela's package makes\n%v\nwe make\n%v", want, got)
				}
			})
		}
	}
}

func mergedDirectly(output, patch string) (any, error) {
	ctx := newContext()
	base := ctx.CompileString("output: " + output).LookupPath(cue.ParsePath("output"))
	value := ctx.CompileString("patch: " + patch).LookupPath(cue.ParsePath("patch"))
	merged, err := sets.StrategyUnify(base, value, sets.CreateUnifyOptionsForPatcher(value)...)
	if err != nil {
		return nil, err
	}
	raw, err := merged.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return plainValue(raw), nil
}

func rendered(output, patch string) (any, error) {
	result, err := render(&renderRequest{
		Component: &template{Name: "thing", Source: "output: " + output},
		Traits:    []template{{Name: "odd", Source: "patch: " + patch}},
	})
	if err != nil {
		return nil, err
	}
	return plainValue(result.Output), nil
}

func plainValue(raw []byte) any {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		panic(err)
	}
	return value
}
