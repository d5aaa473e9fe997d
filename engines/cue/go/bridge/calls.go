package bridge

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
	cuejson "cuelang.org/go/encoding/json"
	"github.com/kubevela/workflow/pkg/cue/model/sets"
)

var (
	doPath       = cue.MakePath(cue.Def("#do"))
	providerPath = cue.MakePath(cue.Def("#provider"))
	paramsPath   = cue.ParsePath("$params")
	returnsPath  = cue.ParsePath("$returns")
	valuePath    = cue.ParsePath("value")
	patchPath    = cue.ParsePath("patch")
	resourcePath = cue.ParsePath("resource")
)

// callError says that a call could not be prepared or carried out inside the bridge. Its text is that of
// KubeVela, without the dump of the value.
type callError struct {
	path string
	err  error
}

func (e *callError) Error() string {
	return fmt.Sprintf("function call error for %s: %s (value: <omitted>)", e.path, e.err)
}

func (e *callError) Unwrap() error { return e.err }

// resolve carries out the calls (`#do`) of a value in KubeVela's order: children before parents, siblings
// by @step(n) and then as declared. Calls that need the world are looked up in the replay; where one is not there, it
// ends in a needError with all that can be asked for together. scope keeps the keys of several templates in one
// request apart.
func (s *source) resolve(value cue.Value, scope string, answers replay) (cue.Value, error) {
	if !s.mayCall {
		return value, nil
	}
	executed := map[string]bool{}
	for {
		pending := pendingCalls(value, executed)
		if len(pending) == 0 {
			return value, nil
		}
		known := answered(pending, scope, answers)
		if len(known) == 0 {
			if _, ok := nativeOf(pending[0]); !ok {
				return value, s.needed(value, pending, scope)
			}
			known = pending[:1]
		}
		for _, one := range known {
			executed[one.Path().String()] = true
		}
		var err error
		if value, err = fillAll(value, known, scope, answers); err != nil {
			return value, err
		}
	}
}

// pendingCalls gives the calls that were not executed yet.
func pendingCalls(value cue.Value, executed map[string]bool) (found []cue.Value) {
	iterate(value, func(v cue.Value) {
		do, _ := v.LookupPath(doPath).String()
		if do != "" && !executed[v.Path().String()] {
			found = append(found, v)
		}
	})
	return found
}

// answered gives those of the calls whose results are known.
func answered(pending []cue.Value, scope string, answers replay) (found []cue.Value) {
	for _, value := range pending {
		if _, ok := nativeOf(value); ok {
			continue
		}
		if _, ok := answers[scope+value.Path().String()]; ok {
			found = append(found, value)
		}
	}
	return found
}

// needed asks for the first of the calls, and for those after it that can be told by now.
func (s *source) needed(whole cue.Value, pending []cue.Value, scope string) error {
	together := 1
	if len(pending) > 1 {
		together = s.wire(whole, pending).together(pending)
	}
	var calls []call
	for i, value := range pending[:together] {
		wanted, err := s.call(value, scope)
		if i > 0 && (err != nil || wanted.Endpoint != nil || legacy(wanted.Provider)) {
			break
		}
		if err != nil {
			return &callError{value.Path().String(), err}
		}
		calls = append(calls, wanted)
		if wanted.Endpoint != nil || legacy(wanted.Provider) {
			break
		}
	}
	return &needError{calls}
}

// iterate visits a value depth first, what is inside definitions excepted.
func iterate(value cue.Value, visit func(cue.Value)) {
	if strings.Contains(value.Path().String(), "#") {
		return
	}
	for _, child := range children(value) {
		iterate(child, visit)
	}
	visit(value)
}

// children gives elements or fields, those with @step(n) first.
func children(value cue.Value) []cue.Value {
	var found []cue.Value
	if value.Kind() == cue.ListKind {
		for items, _ := value.List(); items.Next(); {
			found = append(found, items.Value())
		}
	} else if fields, err := value.Fields(cue.Optional(true), cue.Hidden(true)); err == nil {
		for fields.Next() {
			found = append(found, fields.Value())
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, hasA := stepOf(found[i])
		b, hasB := stepOf(found[j])
		if hasA && hasB {
			return a < b
		}
		return hasA && !hasB
	})
	return found
}

func stepOf(value cue.Value) (int64, bool) {
	attribute := value.Attribute("step")
	n, err := strconv.ParseInt(attribute.Contents(), 10, 32)
	return n, err == nil
}

// legacy says whether a provider takes its inputs from, and gives its results at, the root of the call.
func legacy(provider string) bool { return provider == "op" || provider == "ql" }

// nativeOf gives how a call is carried out here, if it is.
func nativeOf(value cue.Value) (native func(cue.Value) (cue.Value, error), ok bool) {
	do, _ := value.LookupPath(doPath).String()
	provider, _ := value.LookupPath(providerPath).String()
	native, ok = natives[provider+"."+do]
	return native, ok
}

// call says what is to be carried out.
func (s *source) call(value cue.Value, scope string) (call, error) {
	path := value.Path().String()
	do, _ := value.LookupPath(doPath).String()
	provider, _ := value.LookupPath(providerPath).String()
	params, err := paramsOf(value, provider, do)
	return call{
		Key: scope + path, Path: path, Provider: provider, Do: do, Params: params, Endpoint: s.packages.endpointOf(provider),
	}, err
}

// fillAll puts the results of calls where the packages expect them. A value is evaluated anew by each filling, so those
// whose place can be written as data are filled in at once.
func fillAll(value cue.Value, calls []cue.Value, scope string, answers replay) (cue.Value, error) {
	results := &results{}
	for _, one := range calls {
		path := one.Path()
		if native, ok := nativeOf(one); ok {
			result, err := native(one)
			if err != nil {
				return value, &callError{path.String(), err}
			}
			value = value.FillPath(path, result)
			continue
		}
		answer := answers[scope+path.String()]
		if isNull(answer) {
			continue
		}
		target := path.Selectors()
		if provider, _ := one.LookupPath(providerPath).String(); !legacy(provider) {
			target = append(target, returnsPath.Selectors()...)
		}
		result, err := cuejson.Extract("result of "+path.String(), answer)
		if err != nil {
			return value, &badRequestError{path.String() + ": " + err.Error()}
		}
		if !results.put(target, result) {
			value = value.FillPath(cue.MakePath(target...), value.Context().BuildExpr(result))
		}
	}
	if results.fields == nil {
		return value, nil
	}
	return value.FillPath(cue.Path{}, value.Context().BuildExpr(results.expr())), nil
}

// results are values by place, to be written as one.
type results struct {
	value  ast.Expr
	order  []string
	fields map[string]*results
}

// put adds a value; false where its place is not one that data has: an item of a list, a hidden field.
func (r *results) put(at []cue.Selector, value ast.Expr) bool {
	for _, selector := range at {
		if selector.LabelType() != cue.StringLabel || selector.ConstraintType() != 0 {
			return false
		}
	}
	for _, selector := range at {
		name := selector.Unquoted()
		if r.fields == nil {
			r.fields = map[string]*results{}
		}
		if r.fields[name] == nil {
			r.fields[name] = &results{}
			r.order = append(r.order, name)
		}
		r = r.fields[name]
	}
	r.value = value
	return true
}

func (r *results) expr() ast.Expr {
	var written ast.Expr
	if r.fields != nil {
		object := &ast.StructLit{}
		for _, name := range r.order {
			object.Elts = append(object.Elts, &ast.Field{Label: ast.NewString(name), Value: r.fields[name].expr()})
		}
		written = object
	}
	switch {
	case written == nil:
		return r.value
	case r.value == nil:
		return written
	}
	return ast.NewBinExpr(token.AND, r.value, written)
}

// withPatch names the calls whose `patch` travels as CUE text, because its comments carry strategies.
var withPatch = map[string]bool{
	"kube.patch": true, "op.patch": true,
	"oam.component-apply": true, "oam.component-render": true,
	"op.component-apply": true, "op.component-render": true,
}

// mayPatch names the calls whose `patch` travels so if there is one.
var mayPatch = map[string]bool{"kube.apply": true, "op.apply": true}

// patches says whether the `patch` of a call travels as CUE text.
func patches(value cue.Value, provider, do string) bool {
	name := provider + "." + do
	params := value
	if !legacy(provider) {
		params = value.LookupPath(paramsPath)
	}
	switch {
	case name == "kube.patch":
		// The package for components has a `resource`, and patches of Kubernetes' own kinds, which are data.
		return !params.LookupPath(resourcePath).Exists()
	case mayPatch[name]:
		return params.LookupPath(patchPath).Exists()
	}
	return withPatch[name]
}

// paramsOf gives the inputs of a call as JSON. As in KubeVela the whole value must be concrete, but for
// the calls that take CUE.
func paramsOf(value cue.Value, provider, do string) (json.RawMessage, error) {
	if patches(value, provider, do) {
		return patchParams(value, provider)
	}
	whole, err := value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if legacy(provider) {
		return whole, nil
	}
	var outer struct {
		Params json.RawMessage `json:"$params"`
	}
	if err := json.Unmarshal(whole, &outer); err != nil {
		return nil, err
	}
	return orEmpty(outer.Params), nil
}

func patchParams(value cue.Value, provider string) (json.RawMessage, error) {
	params := value
	if !legacy(provider) {
		params = value.LookupPath(paramsPath)
	}
	fields, err := params.Fields()
	if err != nil {
		return nil, err
	}
	object := jsonObject{}
	for fields.Next() {
		name := fields.Selector().Unquoted()
		field := fields.Value()
		if name == "patch" {
			text, err := sets.ToString(field)
			if err != nil {
				return nil, err
			}
			if object[name], err = marshal(text); err != nil {
				return nil, err
			}
			continue
		}
		raw, err := field.MarshalJSON()
		if err != nil {
			if legacy(provider) {
				// The results of a legacy call stand beside its inputs and are open yet.
				continue
			}
			return nil, err
		}
		object[name] = raw
	}
	return object.text(), nil
}

// natives are the calls that need CUE itself, carried out here.
var natives = map[string]func(cue.Value) (cue.Value, error){
	"cue.strategyUnify":     strategyUnifyCall,
	"util.patch-k8s-object": patchObjectCall,
	"op.patch-k8s-object":   legacyPatchObjectCall,
}

func strategyUnifyCall(value cue.Value) (cue.Value, error) {
	params := value.LookupPath(paramsPath)
	merged, err := sets.StrategyUnify(params.LookupPath(valuePath), params.LookupPath(patchPath))
	if err != nil {
		return value, err
	}
	file, err := sets.ToFile(merged.Syntax(cue.Docs(true), cue.ResolveReferences(true)))
	if err != nil {
		return value, err
	}
	return value.FillPath(returnsPath, value.Context().BuildFile(file)), nil
}

func patchObjectCall(value cue.Value) (cue.Value, error) {
	params := value.LookupPath(paramsPath)
	if !params.Exists() {
		return value, fmt.Errorf("$params not found")
	}
	return patchObject(value, params, "$returns.result", "$returns.err")
}

func legacyPatchObjectCall(value cue.Value) (cue.Value, error) {
	return patchObject(value, value, "result", "err")
}

// patchObject merges; a merge that fails is data of the template, not an error.
func patchObject(value, params cue.Value, result, failure string) (cue.Value, error) {
	merged, err := sets.StrategyUnify(params.LookupPath(valuePath), params.LookupPath(patchPath))
	if err == nil {
		err = merged.Validate(cue.Concrete(true), cue.Final())
	}
	if err != nil {
		return value.FillPath(cue.ParsePath(failure), err.Error()), nil
	}
	return fillMerged(value, cue.ParsePath(result), merged)
}

// fillMerged brings a merged value, which lives in another context, into the caller's.
func fillMerged(value cue.Value, target cue.Path, merged cue.Value) (cue.Value, error) {
	raw, err := merged.MarshalJSON()
	if err != nil {
		return value, err
	}
	result, err := valueOf(value.Context(), "merged", raw)
	if err != nil {
		return value, err
	}
	return value.FillPath(target, result), nil
}
