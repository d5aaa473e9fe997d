package bridge

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
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
// by @step(n) and then as declared, one after the other, each result filled in before the next is looked
// for. Calls that need the world are looked up in the replay; the first that is not there ends in a
// needError. scope keeps the keys of several templates in one request apart.
func (s *source) resolve(value cue.Value, scope string, answers replay) (cue.Value, error) {
	if !s.mayCall {
		return value, nil
	}
	executed := map[string]bool{}
	for {
		next, found := nextCall(value, executed)
		if !found {
			return value, nil
		}
		path := next.Path().String()
		executed[path] = true
		result, err := s.execute(next, scope, answers)
		if err != nil {
			return value, err
		}
		value = value.FillPath(next.Path(), result)
	}
}

func nextCall(value cue.Value, executed map[string]bool) (next cue.Value, found bool) {
	iterate(value, func(v cue.Value) bool {
		do, _ := v.LookupPath(doPath).String()
		if do == "" || executed[v.Path().String()] {
			return false
		}
		next, found = v, true
		return true
	})
	return next, found
}

// iterate visits a value depth first, what is inside definitions excepted, until visit says stop.
func iterate(value cue.Value, visit func(cue.Value) bool) bool {
	if strings.Contains(value.Path().String(), "#") {
		return false
	}
	for _, child := range children(value) {
		if iterate(child, visit) {
			return true
		}
	}
	return visit(value)
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

// execute gives the value of a call after it was carried out.
func (s *source) execute(value cue.Value, scope string, answers replay) (cue.Value, error) {
	path := value.Path().String()
	do, _ := value.LookupPath(doPath).String()
	provider, _ := value.LookupPath(providerPath).String()
	if native, ok := natives[provider+"."+do]; ok {
		result, err := native(value)
		if err != nil {
			return value, &callError{path, err}
		}
		return result, nil
	}
	key := scope + path
	if answer, ok := answers[key]; ok {
		return fillAnswer(value, provider, answer)
	}
	params, err := paramsOf(value, provider, do)
	if err != nil {
		return value, &callError{path, err}
	}
	return value, &needError{[]call{{
		Key: key, Path: path, Provider: provider, Do: do, Params: params, Endpoint: s.packages.endpointOf(provider),
	}}}
}

// fillAnswer puts the result of a call where the package expects it.
func fillAnswer(value cue.Value, provider string, answer json.RawMessage) (cue.Value, error) {
	if isNull(answer) {
		return value, nil
	}
	result, err := valueOf(value.Context(), "result of "+value.Path().String(), answer)
	if err != nil {
		return value, err
	}
	target := returnsPath
	if legacy(provider) {
		target = cue.Path{}
	}
	return value.FillPath(target, result), nil
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
