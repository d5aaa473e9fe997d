package bridge

import (
	"encoding/json"
	"testing"
)

// A message under a condition that does not hold is no mistake, one that cannot be computed is.
func TestACustomStatusMaySayNothing(t *testing.T) {
	for text, want := range map[string]string{
		`if context.output.status != _|_ {message: "seen"}`: "",
		`ready: true`:                          "",
		`message: context.output.status.phase`: "undefined field: status",
		`message: 3`:                           "cannot use value 3 (type int) as string",
	} {
		if err := useEvaluator("v2"); err != nil {
			t.Fatal(err)
		}
		result, err := status(&statusRequest{
			CustomStatus: text, Context: jsonObject{"output": json.RawMessage(`{"kind": "Deployment"}`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(result.Errors) > 0 {
			got = result.Errors[0].Message
			if at := result.Errors[0].Positions; len(at) == 0 || at[0].File != "status/customStatus.cue" {
				t.Errorf("%s is at %v", text, at)
			}
		}
		if got != want || result.Message != "" {
			t.Errorf("%s\nfails with %q, want %q", text, got, want)
		}
	}
}
