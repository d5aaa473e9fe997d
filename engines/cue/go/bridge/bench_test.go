package bridge

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// builtIn gives the template of a built-in definition.
func builtIn(b *testing.B, path string) string {
	source, err := os.ReadFile("../../../../definitions/" + path)
	if err != nil {
		b.Skip(err)
	}
	file, err := splitDefinition(path, string(source))
	if err != nil {
		b.Fatal(err)
	}
	return file.templateText()
}

// BenchmarkRenderCold renders webservice with two traits that patch it, and remembers nothing.
func BenchmarkRenderCold(b *testing.B) {
	defer RememberTemplates(defaultKnown)
	RememberTemplates(0)
	benchmarkRender(b)
}

// BenchmarkRenderKnown renders the same with the templates known.
func BenchmarkRenderKnown(b *testing.B) { benchmarkRender(b) }

func benchmarkRender(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	if err := useEvaluator("v2"); err != nil {
		b.Fatal(err)
	}
	request := &renderRequest{
		Component: &template{
			Name:       "webservice",
			Source:     builtIn(b, "component/webservice.cue"),
			Parameters: json.RawMessage(`{"image":"nginx","ports":[{"port":80,"expose":true}],"env":[{"name":"A","value":"1"}]}`),
		},
		Traits: []template{
			{Name: "labels", Source: builtIn(b, "trait/labels.cue"), Parameters: json.RawMessage(`{"a":"b"}`)},
			{Name: "env", Source: builtIn(b, "trait/env.cue"), Parameters: json.RawMessage(`{"env":{"B":"2"}}`)},
		},
		Context: jsonObject{
			"name":           json.RawMessage(`"web"`),
			"appName":        json.RawMessage(`"web"`),
			"namespace":      json.RawMessage(`"default"`),
			"clusterVersion": json.RawMessage(`{"major":"1","minor":29}`),
		},
	}
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		if _, err := render(request); err != nil {
			b.Fatal(err)
		}
	}
	// On a machine that does other things too, this says more than the clock.
	b.ReportMetric(float64(processorTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
}

// processorTime is what this process used so far, its collector included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkSchema makes the schema of webservice.
func BenchmarkSchema(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	if err := useEvaluator("v2"); err != nil {
		b.Fatal(err)
	}
	request := &schemaRequest{Name: "webservice", Source: builtIn(b, "component/webservice.cue")}
	before := processorTime()
	for b.Loop() {
		if _, err := schema(request); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
}
