package bridge

import (
	"slices"
	"strconv"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
)

// holes are parameters whose wrong values were taken out, so that what else is wrong shows: CUE stops at values that
// exclude each other, and says nothing of what is missing beside them.
type holes struct {
	data  ast.Expr
	paths [][]string
}

// maxRounds is how often wrong values are taken out.
const maxRounds = 8

func newHoles(parameters []byte) *holes {
	data, err := parser.ParseExpr("parameter", parameters)
	if err != nil {
		return nil
	}
	return &holes{data: data}
}

// take takes out the wrong values that were found; false where there is nothing to take out. A field that is not
// allowed goes, for another value anything may stand: elements of lists keep their numbers.
func (h *holes) take(found []diagnostic) bool {
	taken := false
	for _, one := range found {
		if len(one.at) < 2 || one.Kind == kindMissing || h.concerns(one.at) {
			continue
		}
		if takeOut(h.data, one.at[1:], one.Kind == kindUnknown) {
			h.paths = append(h.paths, one.at)
			taken = true
		}
	}
	return taken
}

// concerns says whether a path leads into what was taken out, or to what it was taken out of: what is said of that
// would be about the hole.
func (h *holes) concerns(path []string) bool {
	return slices.ContainsFunc(h.paths, func(taken []string) bool {
		depth := min(len(taken), len(path))
		return slices.Equal(taken[:depth], path[:depth])
	})
}

func (h *holes) text() ([]byte, error) { return format.Node(h.data) }

func takeOut(data ast.Expr, path []string, whole bool) bool {
	isLast := len(path) == 1
	switch x := data.(type) {
	case *ast.StructLit:
		at := slices.IndexFunc(x.Elts, func(decl ast.Decl) bool {
			field, ok := decl.(*ast.Field)
			if !ok {
				return false
			}
			name, _, err := ast.LabelName(field.Label)
			return err == nil && name == plain(path[0])
		})
		if at < 0 {
			return false
		}
		field := x.Elts[at].(*ast.Field)
		switch {
		case !isLast:
			return takeOut(field.Value, path[1:], whole)
		case whole:
			x.Elts = slices.Delete(x.Elts, at, at+1)
		default:
			field.Value = ast.NewIdent("_")
		}
		return true
	case *ast.ListLit:
		at, err := strconv.Atoi(path[0])
		if err != nil || at < 0 || at >= len(x.Elts) {
			return false
		}
		if !isLast {
			return takeOut(x.Elts[at], path[1:], whole)
		}
		x.Elts[at] = ast.NewIdent("_")
		return true
	}
	return false
}
