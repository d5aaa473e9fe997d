package bridge

import "cuelang.org/go/cue/ast"

// liftComments moves comments that the parser hung on a label to its field. It does so for the inner
// fields of a short form over several lines (`patch: spec:⏎ // +patchKey=name⏎ containers: …`); printed and
// read again, as KubeVela does, they are comments of the field.
func liftComments(file *ast.File) {
	ast.Walk(file, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		if comments := ast.Comments(field.Label); len(comments) > 0 {
			ast.SetComments(field, append(ast.Comments(field), comments...))
			ast.SetComments(field.Label, nil)
		}
		return true
	}, nil)
}
