package bridge

import (
	"strings"
	"testing"

	"cuelang.org/go/cue/parser"
)

// What a template hands on has an effect, declared or not; what it does not read has none.
func TestWhatATemplateReadsOfItsParameters(t *testing.T) {
	for _, one := range []struct {
		source, path string
		want         bool
	}{
		{"output: env: parameter.env", "env.0.valueFrom.fieldRef", true},
		{"output: env: parameter.env", "environ", false},
		{"if parameter.env != _|_ {output: 1}", "env.0.x", false},
		{"if parameter.env != _|_ {output: 1}", "env", true},
		{"output: {if parameter.on {x: parameter.env}}", "env.0.x", true},
		{"output: {for v in parameter.volumes {name: v.name}}", "volumes.0.subPath", false},
		{"output: {for v in parameter.volumes {if v.subPath != _|_ {sub: v.subPath}}}", "volumes.0.subPath", true},
		{"output: [for v in parameter.tolerations {v}]", "tolerations.0.zz", true},
		{"output: [for c in parameter.constraints {for k, v in c {(k): v}}]", "constraints.0.zz", true},
		{"output: {for k, _ in parameter.labels {(k): \"1\"}}", "labels.zz", true},
		{"output: {for k in [\"cpu\", \"memory\"] if parameter[k] != _|_ {(k): parameter[k]}}", "gpu", false},
		{"output: {for k in [\"cpu\", \"memory\"] if parameter[k] != _|_ {(k): parameter[k]}}", "cpu", true},
		{"k: \"cpu\"\noutput: parameter[k]", "gpu", true},
		{"output: parameter[\"cpu\"]", "gpu", false},
		{"let p = parameter.probe\noutput: port: p.port", "probe.zz", false},
		{"let p = parameter.probe\noutput: p", "probe.zz", true},
		{"output: json.Marshal(parameter.message)", "message.extra", true},
		{"output: \"\\(parameter.name)-\\(len(parameter.list))\"", "list.0.x", false},
		{"#A: {#p: _, x: #p.x}\noutput: #A & {#p: parameter}", "zz", false},
		{"#A: {#p: _, x: #p.x}\noutput: #A & {#p: parameter}", "x.zz", true},
		{"#A: {#p: _, x: #p}\noutput: #A & {#p: parameter}", "zz", true},
		{"_all: [for v in parameter.volumes {given: v}]\noutput: [for v in _all {name: v.given.name}]", "volumes.0.zz", false},
		{"_all: [for v in parameter.volumes {given: v}]\noutput: [for v in _all {v}]", "volumes.0.zz", true},
		{"_all: [for v in parameter.volumes {v}]\n_some: [for v in _all if v.on {v}]\noutput: [for v in _some {v.name}]", "volumes.0.zz", false},
		{"all: [for i, v in parameter.volumes if list.Contains(list.Slice(parameter.volumes, 0, i), 1) {v.name}]\noutput: all", "volumes.0.zz", true},
		{"_all: [for v in parameter.volumes {v}]\noutput: [for i, v in _all if len([for w in list.Slice(_all, 0, i) {w.name}]) > 0 {v.name}]", "volumes.0.zz", false},
		{"_p: [if parameter.a != _|_ {parameter.a}, parameter.b][0]\noutput: _p.x", "a.zz", false},
		{"_p: [if parameter.a != _|_ {parameter.a}, parameter.b][0]\noutput: _p.x", "b.x", true},
		{"output: [for v in [for w in parameter.volumes {w}] {v.name}]", "volumes.0.zz", false},
		{"_call: kube.#Read & {$params: parameter.object}\noutput: 1", "object.zz", true},
		{"_call: {#do: \"read\", value: parameter.object}\noutput: 1", "object.zz", true},
		{"_call: mine.#Thing & {#of: parameter}\noutput: 1", "zz", true},
		{"_unused: parameter", "zz", false},
		{"output: context.parameter", "zz", false},
		{"output: parameter: 1", "zz", false},
		{"parameter: {a: int, b: parameter}", "zz", false},
		{"output: {for parameter in context.list {parameter}}", "zz", false},
	} {
		file, err := parser.ParseFile("x.cue", one.source)
		if err != nil {
			t.Fatal(err)
		}
		path := append([]string{"parameter"}, strings.Split(one.path, ".")...)
		if got := flowsOf(file, "trait").read(path); got != one.want {
			t.Errorf("%s\n%s matters: %t", one.source, one.path, got)
		}
	}
}

// Any field of a step may be one of its outputs, and calls stand in fields of any name.
func TestEveryFieldOfAStepCounts(t *testing.T) {
	file, err := parser.ParseFile("x.cue", "call: {$params: parameter}\n_help: parameter.message")
	if err != nil {
		t.Fatal(err)
	}
	if flows := flowsOf(file, "workflow-step"); !flows.read(place{"parameter", "zz"}) {
		t.Error("what a call is given does not count")
	}
}
