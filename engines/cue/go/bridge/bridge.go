// Package bridge evaluates CUE for Caravel: one JSON request in, one JSON reply out.
package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Protocol is the major version of the frame protocol.
const Protocol = 1

// CueVersion is the version of the evaluator that this module is built with; a test compares it with go.mod.
const CueVersion = "v0.14.1"

const (
	// MaxRequest is how many bytes a request may have.
	MaxRequest = 2 << 20
	maxReply   = 8 << 20
	maxNesting = 500
)

// Configure sets the collector of the Go runtime: a percentage for GOGC and a soft limit in bytes. A value
// of zero or less leaves the setting alone. The live heap is tiny between requests, so a high percentage
// doubles the throughput.
func Configure(gogc int, memoryLimit int64) {
	if gogc > 0 {
		debug.SetGCPercent(gogc)
	}
	if memoryLimit > 0 {
		debug.SetMemoryLimit(memoryLimit)
	}
	debug.SetMaxStack(256 << 20)
}

// lane serialises evaluation: contexts, values, parsed packages and the choice of the evaluator belong to
// whoever holds it.
var lane sync.Mutex

// Call serves one request. It never panics and never keeps the input.
func Call(in []byte) []byte {
	var id uint64
	outcome, body := serve(in, &id)
	return encode(id, outcome, body)
}

// TooLarge is the reply to a request of more than MaxRequest bytes, which need not be copied to be refused.
func TooLarge(size uint64) []byte { return encode(0, statusLimit, tooLarge(size)) }

func tooLarge(size uint64) fault {
	return fault{Message: fmt.Sprintf("the request has %d bytes; the limit is %d", size, MaxRequest)}
}

func serve(in []byte, id *uint64) (outcome string, body any) {
	var req request
	defer func() {
		if cause := recover(); cause != nil {
			outcome, body = crashed(req.Op, cause)
		}
	}()
	if len(in) > MaxRequest {
		return statusLimit, tooLarge(uint64(len(in)))
	}
	if err := json.Unmarshal(in, &req); err != nil {
		return statusBadRequest, fault{Message: "the request is not JSON of the protocol: " + err.Error()}
	}
	*id = req.ID
	lane.Lock()
	defer lane.Unlock()
	if err := useEvaluator(req.Evaluator); err != nil {
		return statusBadRequest, fault{Message: err.Error()}
	}
	result, err := dispatch(req.Op, req.Body)
	return classify(result, err)
}

// crashed is the answer where CUE's own code fails. The same request always ends so: it is no fault that passes, but an
// error of the template that leads there. What is only checked is not refused for it.
func crashed(op string, cause any) (string, any) {
	if op == "validate" {
		return statusPanic, fault{Message: crashText(cause)}
	}
	return classify(nil, stage{}.crashed(cause))
}

// crashed is the error of a template that ends CUE's own code.
func (s stage) crashed(cause any) error {
	text := crashText(cause)
	return s.wrap(stageValidate, []diagnostic{{
		Kind: kindOther, Message: text,
		Hint: "write the template in another way: values that are read from what is not there often lead to this",
	}}, text)
}

func crashText(cause any) string {
	return fmt.Sprintf("CUE's evaluator (%s) fails on this template: %v", CueVersion, cause)
}

// classify turns what an operation returned into an outcome.
func classify(result any, err error) (string, any) {
	if err == nil {
		return statusOk, result
	}
	var needed *needError
	var wrong *templateError
	var limit *limitError
	var bad *badRequestError
	switch {
	case errors.As(err, &needed):
		return statusNeed, needed.calls
	case errors.As(err, &wrong):
		return statusError, wrong.body
	case errors.As(err, &limit):
		return statusLimit, fault{Message: limit.Error()}
	case errors.As(err, &bad):
		return statusBadRequest, fault{Message: bad.Error()}
	}
	return statusPanic, fault{Message: err.Error()}
}

func encode(id uint64, outcome string, body any) []byte {
	out, err := marshal(reply{ID: id, Status: outcome, Body: body})
	if err != nil {
		out, _ = marshal(reply{ID: id, Status: statusPanic, Body: fault{Message: "the reply cannot be written: " + err.Error()}})
	}
	if len(out) > maxReply {
		message := fmt.Sprintf("the result has %d bytes; the limit is %d", len(out), maxReply)
		out, _ = marshal(reply{ID: id, Status: statusLimit, Body: fault{Message: message}})
	}
	return out
}

// marshal writes JSON without the escapes that Go adds for web pages.
func marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

type operation func(body json.RawMessage) (any, error)

var operations = map[string]operation{
	"ping":            func(json.RawMessage) (any, error) { return engineInfo{"cue", CueVersion, Protocol}, nil },
	"render":          decoded(render),
	"explain":         decoded(explain),
	"policy":          decoded(policy),
	"config":          decoded(config),
	"step":            decoded(step),
	"expression":      decoded(expression),
	"status":          decoded(status),
	"merge":           decoded(merge),
	"schema":          decoded(schema),
	"validate":        decoded(validate),
	"parseDefinition": decoded(parseDefinition),
	"printDefinition": decoded(printDefinition),
	"format":          decoded(formatSource),
	"upgrade":         decoded(upgrade),
}

func dispatch(op string, body json.RawMessage) (any, error) {
	serveOp, ok := operations[op]
	if !ok {
		return nil, &badRequestError{fmt.Sprintf("unknown operation %q", op)}
	}
	return serveOp(body)
}

// decoded wraps an operation with the decoding of its body.
func decoded[Request any, Result any](serve func(*Request) (Result, error)) operation {
	return func(body json.RawMessage) (any, error) {
		req := new(Request)
		if len(body) > 0 {
			if err := json.Unmarshal(body, req); err != nil {
				return nil, &badRequestError{"the body does not fit the operation: " + err.Error()}
			}
		}
		return serve(req)
	}
}
