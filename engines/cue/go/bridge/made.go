package bridge

import (
	"errors"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"
)

// made is an object with what it is made of: what a template made at first, and the patches over it.
type made struct {
	// name is the object's under `outputs`; empty for the workload.
	name  string
	value cue.Value
	// by is whose template made it at first, and first what that was; by is empty for an object that was given.
	by      stage
	first   cue.Value
	patches []patched
}

// patched is a patch, and the object that it was laid over.
type patched struct {
	by            stage
	patch, before cue.Value
}

func newMade(name string, by stage, value cue.Value) made {
	return made{name: name, value: value, by: by, first: value}
}

// lay lays a patch over the object; doing is what KubeVela's message of a failure begins with.
func (m *made) lay(by stage, patch cue.Value, merge func(base, patch cue.Value) (cue.Value, error), doing string) error {
	step := patched{by: by, patch: patch, before: m.value}
	merged, err := guarded(merge, m.value, patch)
	if err != nil {
		return m.explaining(step).failure(stagePatch, unprinted(err, by, patch), doing+": "+err.Error())
	}
	m.patches = append(m.patches, step)
	m.value = merged
	return nil
}

// unprinted is why a patch could not be merged. A patch is printed for that and read again; of one that cannot be computed
// names are left that mean nothing any more, and that nobody wrote.
func unprinted(err error, by stage, patch cue.Value) error {
	for _, one := range cueerrors.Errors(err) {
		if by.classify(one).Kind != kindReference {
			return err
		}
	}
	if cause := patch.Validate(cue.Concrete(true)); cause != nil {
		return cause
	}
	return err
}

// guarded merges. A merge prints its patch first, and some values that cannot be computed end CUE's printer with a panic:
// why they cannot be computed is what the author of the patch needs to hear.
func guarded(merge func(base, patch cue.Value) (cue.Value, error), base, patch cue.Value) (merged cue.Value, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			if err = patch.Validate(cue.Concrete(true)); err == nil {
				err = errors.New(crashText(cause))
			}
		}
	}()
	return merge(base, patch)
}

// broken is the patch since which the object cannot be written as JSON; nil where that is not the doing of a patch.
// Errors of what a patch reads show only then: until it is written, a value may be left open.
func (m *made) broken() *patched {
	for i := len(m.patches) - 1; i >= 0; i-- {
		if _, err := exportObject(m.patches[i].before); err == nil {
			return &m.patches[i]
		}
	}
	return nil
}

// failure says why the object cannot be written, of the template that is at fault. Of a template that made it at
// first, what else is not concrete in there is told too where that says more (withCauses).
func (m *made) failure(err error, text string, withCauses bool) error {
	if step := m.broken(); step != nil {
		return m.explaining(*step).failure(stageExport, err, text)
	}
	if withCauses && m.by.source != nil {
		return m.by.wrap(stageExport, m.by.reduce(withConcrete(err, m.by.value)), text)
	}
	return m.by.failure(stageExport, err, text)
}

// explaining is the evaluation that a patch comes from; its errors say where the patch stands, and against what.
func (m *made) explaining(step patched) stage {
	where := step.by
	where.more = func(found *diagnostic, path []string) {
		along := step.follow(path)
		found.Positions = where.placesOf(along.value)
		if found.Kind == kindConflict {
			found.Hint = join(m.against(step, path), along.advice(path))
		}
		if m.name != "" {
			found.Path = pathText(append([]string{"outputs", m.name}, path...))
		}
	}
	return where
}
