package bridge

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
)

func isImmutable(field *ast.Field) bool {
	groups := append(ast.Comments(field), ast.Comments(field.Label)...)
	for _, group := range groups {
		for _, comment := range group.List {
			if strings.Contains(comment.Text, immutableMark) {
				return true
			}
		}
	}
	return false
}

// immutableChanges finds, at any depth, the immutable parameters that were set before and are something else now.
func (v *validation) immutableChanges(names declarations, path []string, schema ast.Expr, before, after json.RawMessage) {
	if schema == nil || len(path) > maxHops {
		return
	}
	var was, is map[string]json.RawMessage
	if json.Unmarshal(before, &was) == nil && was != nil {
		// What is no object any more has none of its fields.
		_ = json.Unmarshal(after, &is)
		found := names.of(schema)
		for _, name := range sortedKeys(was) {
			below := append(path[:len(path):len(path)], label(name))
			if !found.immutable[name] {
				v.immutableChanges(names, below, found.fields[name], was[name], is[name])
			} else if !sameJSON(was[name], is[name]) {
				v.result.Errors = append(v.result.Errors, diagnostic{
					Kind: kindOther, Path: pathText(below),
					Message:  "it is immutable, and does not change once it is set",
					Expected: compactJSON(was[name]), Found: compactJSON(is[name]),
					Hint: "set it back; the annotation app.oam.dev/force-param-mutations=true on the Application lets it change",
				})
			}
		}
		return
	}
	var items, now []json.RawMessage
	if json.Unmarshal(before, &items) != nil || json.Unmarshal(after, &now) != nil {
		return
	}
	element := names.element(schema, 0)
	for i := 0; i < min(len(items), len(now)); i++ {
		v.immutableChanges(names, append(path[:len(path):len(path)], strconv.Itoa(i)), element, items[i], now[i])
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func compactJSON(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "nothing"
	}
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}
