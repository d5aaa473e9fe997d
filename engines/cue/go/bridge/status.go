package bridge

import (
	"encoding/json"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/format"
)

// maxDetailName is how long the name of a detail may be (row REN-028).
const maxDetailName = 31

// status evaluates details, then health, then the message, because the message may use both (rows REN-026
// to REN-028). Errors are reported beside the result: KubeVela swallows them (TRAPS 39).
func status(request *statusRequest) (*statusResult, error) {
	s := &statusEvaluation{request: request, result: statusResult{Details: map[string]string{}, Errors: []diagnostic{}}}
	if err := s.details(); err != nil {
		return nil, err
	}
	if err := s.health(); err != nil {
		return nil, err
	}
	if err := s.message(); err != nil {
		return nil, err
	}
	return &s.result, nil
}

type statusEvaluation struct {
	request *statusRequest
	result  statusResult
	// all holds the details as CUE sees them, those included that the result hides.
	all jsonObject
}

// note keeps an error of one text; only what is the request's fault ends the whole.
func (s *statusEvaluation) note(where stage, err error) error {
	if limit, ok := err.(*limitError); ok {
		return limit
	}
	for _, found := range where.diagnose(err) {
		if len(found.Positions) == 0 {
			// Of which text it is.
			found.Positions = []position{{File: where.source.file, Line: 1, Column: 1}}
		}
		s.result.Errors = append(s.result.Errors, found)
	}
	return nil
}

func (s *statusEvaluation) compile(file, text string, context jsonObject) (stage, cue.Value, error) {
	src := newSource(file, text)
	src.appendData("context", context.text())
	src.appendData("parameter", orEmpty(s.request.Parameters))
	where := stage{source: src, parameters: s.request.Parameters}
	value, err := src.build(noPackages)
	return where, value, err
}

func (s *statusEvaluation) health() error {
	if s.request.HealthPolicy == "" {
		s.result.Healthy = true
		return nil
	}
	context := s.request.Context
	if len(s.all) > 0 {
		context = context.with("status", jsonObject{"details": s.all.text()}.text())
	}
	where, value, err := s.compile("status/healthPolicy.cue", s.request.HealthPolicy, context)
	if err == nil {
		s.result.Healthy, err = value.LookupPath(cue.ParsePath("isHealth")).Bool()
	}
	if err != nil {
		s.result.Healthy = false
		return s.note(where, err)
	}
	return nil
}

func (s *statusEvaluation) message() error {
	if s.request.CustomStatus == "" {
		return nil
	}
	where, value, err := s.compile("status/customStatus.cue", s.request.CustomStatus, s.messageContext())
	if err == nil {
		err = value.Err()
	}
	// A message under a condition that does not hold is none.
	if message := value.LookupPath(cue.ParsePath("message")); err == nil && isWritten(message) {
		s.result.Message, err = message.String()
	}
	if err != nil {
		return s.note(where, err)
	}
	return nil
}

// messageContext adds what was found out so far as `context.status`.
func (s *statusEvaluation) messageContext() jsonObject {
	healthy, _ := json.Marshal(s.result.Healthy)
	found := jsonObject{"healthy": healthy}
	if len(s.all) > 0 {
		found["details"] = s.all.text()
	}
	return s.request.Context.with("status", found.text())
}

func (s *statusEvaluation) details() error {
	if s.request.Details == "" {
		return nil
	}
	where, value, err := s.compile("status/details.cue", s.request.Details, s.request.Context)
	if err == nil {
		err = value.Err()
	}
	if err != nil {
		return s.note(where, err)
	}
	fields, err := value.Fields()
	if err != nil {
		return s.note(where, err)
	}
	s.all = jsonObject{}
	for fields.Next() {
		name := labelOf(fields.Selector())
		if name == "context" || name == "parameter" || len(name) > maxDetailName || isPrivate(fields.Value()) {
			continue
		}
		s.detail(name, fields.Value())
	}
	return nil
}

// detail records one field: strings as they are, everything else as CUE text, `_|_` where it is not
// concrete. A name that begins with `$` is only for the message.
func (s *statusEvaluation) detail(name string, value cue.Value) {
	text := cue.BottomKind.String()
	if value.Validate(cue.Concrete(true)) == nil {
		if raw, err := value.MarshalJSON(); err == nil {
			s.all[name] = raw
		}
		text = detailText(value)
	}
	if !strings.HasPrefix(name, "$") {
		s.result.Details[name] = text
	}
}

func detailText(value cue.Value) string {
	if text, err := value.String(); err == nil {
		return text
	}
	text, err := format.Node(value.Syntax(cue.Final()))
	if err != nil {
		return fmt.Sprintf("%s: %s", cue.BottomKind, err)
	}
	return string(text)
}

func isPrivate(value cue.Value) bool {
	for _, attribute := range value.Attributes(cue.FieldAttr) {
		if attribute.Name() == "local" || attribute.Name() == "private" {
			return true
		}
	}
	return false
}
