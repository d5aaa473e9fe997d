// Command oracle answers, one JSON document per line, what Kubernetes' own libraries make of a
// sequence of writes or of a strategic merge patch. It is the judge in the differential test of
// crate caravel-merge.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// request is a sequence of writes, or a strategic merge patch if Patch is there. Changed is the
// schema after a change, for the steps that ask for it.
type request struct {
	Components map[string]*spec.Schema `json:"components"`
	Changed    map[string]*spec.Schema `json:"changed"`
	Name       string                  `json:"name"`
	Steps      []step                  `json:"steps"`
	Object     json.RawMessage         `json:"object"`
	Patch      json.RawMessage         `json:"patch"`
}

// step is one write; each works on the result of the one before.
type step struct {
	Apply       bool            `json:"apply"`
	Changed     bool            `json:"changed"`
	Manager     string          `json:"manager"`
	Force       bool            `json:"force"`
	Subresource string          `json:"subresource"`
	Reset       []string        `json:"reset"`
	Object      json.RawMessage `json:"object"`
}

// answer is the object after a write, or why it was refused.
type answer struct {
	Object map[string]any       `json:"object,omitempty"`
	Error  string               `json:"error,omitempty"`
	Causes []metav1.StatusCause `json:"causes,omitempty"`
}

var gvk = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Thing"}

// same stands for conversion, defaulting and creation where there is one version without defaults.
type same struct{}

func (same) Convert(_, _, _ any) error { return errors.New("not needed") }
func (same) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}
func (same) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
func (same) Default(runtime.Object) {}
func (same) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	empty := &unstructured.Unstructured{Object: map[string]any{}}
	empty.SetGroupVersionKind(kind)
	return empty, nil
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 1 {
			reply, err := json.Marshal(handle(line))
			if err != nil {
				reply = []byte(`[{"error":"cannot encode"}]`)
			}
			fmt.Fprintf(out, "%s\n", reply)
			out.Flush()
		}
		if err != nil {
			return
		}
	}
}

func handle(line []byte) []answer {
	var ask request
	if err := json.Unmarshal(line, &ask); err != nil {
		return []answer{{Error: "oracle: " + err.Error()}}
	}
	if ask.Patch != nil {
		return []answer{patch(ask)}
	}
	converter, err := managedfields.NewTypeConverter(ask.Components, false)
	if err != nil {
		return []answer{{Error: "oracle: " + err.Error()}}
	}
	changed, err := managedfields.NewTypeConverter(ask.Changed, false)
	if err != nil {
		return []answer{{Error: "oracle: " + err.Error()}}
	}
	answers := []answer{}
	live, _ := same{}.New(gvk)
	for _, s := range ask.Steps {
		used := converter
		if s.Changed {
			used = changed
		}
		next, err := write(used, live, s)
		if err != nil {
			answers = append(answers, refused(err))
			continue
		}
		stored := next.(*unstructured.Unstructured)
		stored.SetUID("uid")
		live = stored
		answers = append(answers, answer{Object: stored.DeepCopy().Object})
	}
	return answers
}

func write(converter managedfields.TypeConverter, live runtime.Object, s step) (runtime.Object, error) {
	var reset map[fieldpath.APIVersion]fieldpath.Filter
	if len(s.Reset) > 0 {
		set := fieldpath.NewSet()
		for _, name := range s.Reset {
			set.Insert(fieldpath.MakePathOrDie(name))
		}
		reset = fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{"example.com/v1": set})
	}
	manager, err := managedfields.NewDefaultCRDFieldManager(converter, same{}, same{}, same{}, gvk, gvk.GroupVersion(), s.Subresource, reset)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := utiljson.Unmarshal(s.Object, &object); err != nil {
		return nil, err
	}
	given := &unstructured.Unstructured{Object: object}
	if s.Apply {
		return manager.Apply(live.DeepCopyObject(), given, s.Manager, s.Force)
	}
	return manager.Update(live.DeepCopyObject(), given, s.Manager)
}

func refused(err error) answer {
	a := answer{Error: err.Error()}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		a.Causes = status.Status().Details.Causes
	}
	return a
}

func patch(ask request) (a answer) {
	defer func() {
		// Some patches make the library panic; kube-apiserver turns that into an error.
		if fault := recover(); fault != nil {
			a = answer{Error: fmt.Sprint(fault)}
		}
	}()
	object, change := map[string]any{}, map[string]any{}
	if err := utiljson.Unmarshal(ask.Object, &object); err != nil {
		return answer{Error: err.Error()}
	}
	if err := utiljson.Unmarshal(ask.Patch, &change); err != nil {
		return answer{Error: err.Error()}
	}
	lookup := strategicpatch.PatchMetaFromOpenAPIV3{SchemaList: ask.Components, Schema: ask.Components[ask.Name]}
	merged, err := strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(object, change, lookup)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Object: merged}
}
