package bridge

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"cuelang.org/go/cue"
)

// parts lists what a value must be all at once, behind the names that it is given by.
func parts(v cue.Value) []cue.Value {
	var all []cue.Value
	collectParts(v, &all, 0)
	return all
}

func collectParts(v cue.Value, all *[]cue.Value, hops int) {
	v = cue.Dereference(v)
	op, operands := v.Expr()
	if op != cue.AndOp || hops > maxHops {
		*all = append(*all, v)
		return
	}
	for _, operand := range operands {
		collectParts(operand, all, hops+1)
	}
}

// isRule says whether a value is a check such as `list.MinItems(1)`. A call that computes a value is none.
func isRule(v cue.Value) bool {
	op, _ := v.Eval().Expr()
	return op == cue.CallOp
}

// rulesOf lists the checks that a value must pass.
func rulesOf(v cue.Value) []cue.Value {
	var rules []cue.Value
	for _, one := range parts(v) {
		if isRule(one) {
			rules = append(rules, one)
		}
	}
	return rules
}

// withoutRules is a value without the checks, which an incomplete one does not pass.
func withoutRules(v cue.Value) cue.Value {
	var rest []cue.Value
	all := parts(v)
	for _, one := range all {
		if !isRule(one) {
			rest = append(rest, one)
		}
	}
	if len(rest) == len(all) || len(rest) == 0 {
		return v
	}
	bare := rest[0]
	for _, one := range rest[1:] {
		bare = bare.Unify(one)
	}
	return bare
}

// boundsOf lists the limits of a scalar: `>=1`, `!=""`, `=~"^a"`.
func boundsOf(v cue.Value) []cue.Value {
	var bounds []cue.Value
	for _, one := range parts(v) {
		if op, operands := one.Expr(); isBound(op) && len(operands) == 1 && operands[0].IsConcrete() {
			bounds = append(bounds, one)
		}
	}
	return bounds
}

func isBound(op cue.Op) bool {
	switch op {
	case cue.GreaterThanOp, cue.GreaterThanEqualOp, cue.LessThanOp, cue.LessThanEqualOp,
		cue.NotEqualOp, cue.RegexMatchOp, cue.NotRegexMatchOp:
		return true
	}
	return false
}

// constrain adds a limit or a check to a schema; what OpenAPI has no word for is told as CUE writes it.
func constrain(schema oneSchema, rule cue.Value) {
	op, operands := rule.Expr()
	if isBound(op) {
		if value, ok := jsonValue(operands[0]); ok && bound(schema, op, value) {
			return
		}
	}
	if op == cue.CallOp && called(schema, operands) {
		return
	}
	text := strings.TrimSuffix(fmt.Sprint(rule), "()")
	rules, _ := schema[keyRules].([]any)
	if !containsValue(rules, text) {
		schema[keyRules] = append(rules, text)
	}
}

func bound(schema oneSchema, op cue.Op, value any) bool {
	switch op {
	case cue.GreaterThanOp, cue.GreaterThanEqualOp:
		return limit(schema, "minimum", "exclusiveMinimum", value, op == cue.GreaterThanOp)
	case cue.LessThanOp, cue.LessThanEqualOp:
		return limit(schema, "maximum", "exclusiveMaximum", value, op == cue.LessThanOp)
	case cue.RegexMatchOp:
		return setOnce(schema, "pattern", value)
	case cue.NotRegexMatchOp:
		return setOnce(schema, "not", oneSchema{"pattern": value})
	case cue.NotEqualOp:
		if value == "" {
			return setOnce(schema, "minLength", 1)
		}
		// Not to be null says nothing beside a type.
		return value == nil || setOnce(schema, "not", oneSchema{"enum": []any{value}})
	}
	return false
}

// limit keeps the narrower of two limits.
func limit(schema oneSchema, key, exclusive string, value any, isExclusive bool) bool {
	number, ok := value.(json.Number)
	if !ok {
		return false
	}
	if known, ok := schema[key].(json.Number); ok {
		switch order := compareNumbers(number, known); {
		case order == 0:
			isExclusive = isExclusive || schema[exclusive] == true
		case (order < 0) == (key == "minimum"):
			return true
		}
	}
	schema[key] = number
	delete(schema, exclusive)
	if isExclusive {
		schema[exclusive] = true
	}
	return true
}

func compareNumbers(a, b json.Number) int {
	x, _ := new(big.Float).SetString(a.String())
	y, _ := new(big.Float).SetString(b.String())
	if x == nil || y == nil {
		return 0
	}
	return x.Cmp(y)
}

// setOnce sets a key that can be there only once.
func setOnce(schema oneSchema, key string, value any) bool {
	if _, taken := schema[key]; taken {
		return false
	}
	schema[key] = value
	return true
}

// checks are the functions that OpenAPI has a key for.
var checks = map[string]string{
	"strings.MinRunes": "minLength", "strings.MaxRunes": "maxLength",
	"list.MinItems": "minItems", "list.MaxItems": "maxItems",
	"struct.MinFields": "minProperties", "struct.MaxFields": "maxProperties",
	"math.MultipleOf": "multipleOf",
}

func called(schema oneSchema, call []cue.Value) bool {
	name := strings.TrimSuffix(fmt.Sprint(call[0]), "()")
	if name == "list.UniqueItems" {
		schema["uniqueItems"] = true
		return true
	}
	key, ok := checks[name]
	if !ok || len(call) != 2 {
		return false
	}
	value, ok := jsonValue(call[1])
	return ok && setOnce(schema, key, value)
}
