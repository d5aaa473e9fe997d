package bridge

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestExpressionUsesTextsByName(t *testing.T) {
	text := "package x\n\nimport \"strings\"\n\n_a: 1\nshown: _a + 1\nfits: strings.MinRunes(3)\nwrong: fits & \"x\"\n"
	request := &expressionRequest{Texts: map[string]string{"cases": text}, Expression: "cases.shown"}
	got, err := expression(request)
	if err != nil || string(got) != "2" {
		t.Fatalf("%s, %v", got, err)
	}
	request.Expression = `cases["fits"] & #given`
	request.Scope = jsonObject{"#given": json.RawMessage(`"long enough"`)}
	if got, err := expression(request); err != nil || string(got) != `"long enough"` {
		t.Fatalf("%s, %v", got, err)
	}
	request.Expression = "cases.wrong"
	_, err = expression(request)
	var failed *templateError
	if !errors.As(err, &failed) || len(failed.body.Errors) == 0 {
		t.Fatalf("%v", err)
	}
	for _, place := range failed.body.Errors[0].Positions {
		if place.File == "cases" && place.Line > 6 {
			return
		}
	}
	t.Fatalf("%+v", failed.body.Errors)
}
