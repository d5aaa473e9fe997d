package bridge

import (
	"fmt"
	_ "unsafe" // for go:linkname

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// experiments mirrors the layout of cueexperiment.Config in the pinned version of CUE; a test proves that
// flipping the fields selects the evaluator.
type experiments struct {
	evalV3, cmdReferencePkg, keepValidators                      bool
	modules, yamlV3Decoder, decodeInt64, embedding, topologySort bool
}

// cueExperiments is CUE's own global. Normally CUE_EXPERIMENT fills it once per process, but the merge
// package makes contexts of its own with the default evaluator, and a process has to serve both.
//
//go:linkname cueExperiments cuelang.org/go/internal/cueexperiment.Flags
var cueExperiments experiments

// current is the evaluator of the request that holds the lane.
var current cuecontext.EvalVersion

// useEvaluator selects the evaluator for every context that is made until the next call. With v2,
// validators are simplified as KubeVela's chart asks for (`evalv3=0,keepvalidators=0`).
func useEvaluator(name string) error {
	switch name {
	case "", "v2":
		setEvaluator(cuecontext.EvalV2)
	case "v3":
		setEvaluator(cuecontext.EvalV3)
	default:
		return fmt.Errorf("unknown evaluator %q: v2 and v3 exist", name)
	}
	return nil
}

func setEvaluator(version cuecontext.EvalVersion) {
	cuecontext.New() // lets CUE read its environment before we overrule it
	current = version
	v3 := current == cuecontext.EvalV3
	cueExperiments.evalV3 = v3
	cueExperiments.keepValidators = v3
}

// newContext makes a context for one evaluation. Contexts grow with use, so none outlives its request.
func newContext() *cue.Context {
	return cuecontext.New(cuecontext.EvaluatorVersion(current))
}
