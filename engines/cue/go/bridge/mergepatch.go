package bridge

import (
	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	jsonpatch "github.com/evanphx/json-patch"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

// applyPatch merges a patch into a base as KubeVela does. Its package prints the whole base before a JSON merge
// patch, and does not use what it printed; that is a third of the time, and is not done here.
func applyPatch(base, patch cue.Value) (cue.Value, error) {
	if sets.IsJSONMergePatch(patch) {
		if merged, ok := mergePatch(base, patch); ok {
			return merged, nil
		}
	}
	return sets.StrategyUnify(base, patch, sets.CreateUnifyOptionsForPatcher(patch)...)
}

// unify merges a patch into an object that is not the workload: it has no strategies for the whole.
func unify(base, patch cue.Value) (cue.Value, error) { return sets.StrategyUnify(base, patch) }

// mergePatch is RFC 7396 with a result that later patches can add to; ok is false where there is an error, which is
// KubeVela's to word.
func mergePatch(base, patch cue.Value) (merged cue.Value, ok bool) {
	if base.Err() != nil {
		return merged, false
	}
	ofBase, err := base.MarshalJSON()
	if err != nil {
		return merged, false
	}
	ofPatch, err := patch.MarshalJSON()
	if err != nil {
		return merged, false
	}
	result, err := jsonpatch.MergePatch(ofBase, ofPatch)
	if err != nil {
		return merged, false
	}
	expr, err := parser.ParseExpr("-", result, parser.ParseComments)
	object, isObject := expr.(*ast.StructLit)
	if err != nil || !isObject {
		return merged, false
	}
	open(object)
	file := &ast.File{Filename: "-", Decls: object.Elts}
	return cuecontext.New().BuildFile(file), true
}

// open lets every list and struct in a field have more.
func open(object ast.Node) {
	more := func() *ast.Ellipsis { return &ast.Ellipsis{} }
	ast.Walk(object, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		switch value := field.Value.(type) {
		case *ast.StructLit:
			value.Elts = append(value.Elts, more())
		case *ast.ListLit:
			value.Elts = append(value.Elts, more())
		}
		return true
	}, nil)
}
