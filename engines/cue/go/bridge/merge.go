package bridge

import (
	"encoding/json"
	"fmt"

	"cuelang.org/go/cue"
)

// merge applies a patch to a base with KubeVela's own package (rows REN-011 to REN-017). A text of which
// all top-level fields are those of a template means its `output` or `patch`, and the comment on `patch`
// chooses jsonPatch or jsonMergePatch; any other text means the whole.
func merge(request *mergeRequest) (json.RawMessage, error) {
	base, _, err := mergeSide("base.cue", request.Base, outputPath)
	if err != nil {
		return nil, err
	}
	patch, where, err := mergeSide("patch.cue", request.Patch, patchPath)
	if err != nil {
		return nil, err
	}
	merged, err := applyPatch(base, patch)
	if err != nil {
		return nil, where.failure(stagePatch, err, err.Error())
	}
	if err := merged.Validate(cue.Concrete(true), cue.Final()); err != nil {
		return nil, where.failure(stageExport, err, err.Error())
	}
	raw, err := merged.MarshalJSON()
	if err != nil {
		return nil, where.failure(stageExport, err, err.Error())
	}
	return raw, nil
}

func mergeSide(file, text string, field cue.Path) (cue.Value, stage, error) {
	where := stage{source: newSource(file, text)}
	value, err := where.source.build(noPackages)
	if err != nil {
		return value, where, where.failure(stageParse, err, fmt.Sprintf("%s: %s", file, err))
	}
	if inner := value.LookupPath(field); isTemplate(value) {
		value = inner
	}
	return value, where, nil
}

func isTemplate(value cue.Value) bool {
	fields, err := value.Fields()
	if err != nil {
		return false
	}
	found := false
	for fields.Next() {
		switch labelOf(fields.Selector()) {
		case "output", "outputs", "patch", "patchOutputs", "parameter", "context":
			found = true
		default:
			return false
		}
	}
	return found
}
