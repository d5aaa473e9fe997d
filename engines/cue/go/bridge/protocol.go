package bridge

import "encoding/json"

// The types of this file mirror `caravel_core::engine`, which is the source of truth and documents
// each field; docs/protocol.md is generated from there.

type request struct {
	ID        uint64          `json:"id"`
	Evaluator string          `json:"evaluator"`
	Op        string          `json:"op"`
	Body      json.RawMessage `json:"body"`
}

type reply struct {
	ID     uint64 `json:"id"`
	Status string `json:"status"`
	Body   any    `json:"body"`
}

const (
	statusOk         = "ok"
	statusNeed       = "need"
	statusError      = "error"
	statusBadRequest = "badRequest"
	statusLimit      = "limit"
	statusPanic      = "panic"
)

type fault struct {
	Message string `json:"message"`
}

type engineInfo struct {
	Engine   string `json:"engine"`
	Version  string `json:"version"`
	Protocol uint32 `json:"protocol"`
}

type template struct {
	Name       string          `json:"name"`
	Source     string          `json:"source"`
	Parameters json.RawMessage `json:"parameters"`
}

type jsonObject map[string]json.RawMessage

type replay map[string]json.RawMessage

type call struct {
	Key      string          `json:"key"`
	Path     string          `json:"path"`
	Provider string          `json:"provider"`
	Do       string          `json:"do"`
	Params   json.RawMessage `json:"params"`
	Endpoint *endpoint       `json:"endpoint,omitempty"`
}

type userPackage struct {
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	Files    map[string]string `json:"files"`
	Endpoint *endpoint         `json:"endpoint"`
}

type endpoint struct {
	Protocol string `json:"protocol"`
	Address  string `json:"address"`
	CA       string `json:"ca,omitempty"`
}

type renderRequest struct {
	Component *template   `json:"component"`
	Base      *renderBase `json:"base"`
	Traits    []template  `json:"traits"`
	// TraitEvaluators has an entry for each trait, or none at all.
	TraitEvaluators []*string         `json:"traitEvaluators"`
	Context         jsonObject        `json:"context"`
	WorkloadPatch   *string           `json:"workloadPatch"`
	OutputPatches   map[string]string `json:"outputPatches"`
	Packages        []userPackage     `json:"packages"`
	Replay          replay            `json:"replay"`
}

type renderBase struct {
	Output  json.RawMessage            `json:"output"`
	Outputs map[string]json.RawMessage `json:"outputs"`
	// Live says that the objects are only seen, and not exported.
	Live bool `json:"live"`
}

type renderResult struct {
	Output   json.RawMessage  `json:"output"`
	Outputs  []renderedOutput `json:"outputs"`
	Warnings []diagnostic     `json:"warnings,omitempty"`
}

type renderedOutput struct {
	Name       string          `json:"name"`
	TraitIndex *int            `json:"traitIndex,omitempty"`
	Object     json.RawMessage `json:"object"`
}

type policyRequest struct {
	Template template      `json:"template"`
	Context  jsonObject    `json:"context"`
	Packages []userPackage `json:"packages"`
	Replay   replay        `json:"replay"`
}

type policyResult struct {
	Enabled  bool            `json:"enabled"`
	Output   json.RawMessage `json:"output"`
	Config   json.RawMessage `json:"config"`
	Warnings []diagnostic    `json:"warnings,omitempty"`
}

type configRequest struct {
	Template template      `json:"template"`
	Context  jsonObject    `json:"context"`
	Packages []userPackage `json:"packages"`
	Replay   replay        `json:"replay"`
}

type configResult struct {
	Valid   bool                       `json:"valid"`
	Message string                     `json:"message"`
	Output  json.RawMessage            `json:"output"`
	Outputs map[string]json.RawMessage `json:"outputs"`
	Nacos   bool                       `json:"nacos"`
}

type stepRequest struct {
	Template template      `json:"template"`
	Context  jsonObject    `json:"context"`
	Outputs  []stepOutput  `json:"outputs"`
	Packages []userPackage `json:"packages"`
	Replay   replay        `json:"replay"`
}

type stepOutput struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

type stepResult struct {
	Outputs map[string]json.RawMessage `json:"outputs"`
	Missing map[string]string          `json:"missing"`
	Value   json.RawMessage            `json:"value"`
}

type expressionRequest struct {
	Expression string            `json:"expression"`
	Scope      jsonObject        `json:"scope"`
	Texts      map[string]string `json:"texts"`
}

type statusRequest struct {
	HealthPolicy string          `json:"healthPolicy"`
	CustomStatus string          `json:"customStatus"`
	Details      string          `json:"details"`
	Context      jsonObject      `json:"context"`
	Parameters   json.RawMessage `json:"parameters"`
}

type statusResult struct {
	Healthy bool              `json:"healthy"`
	Message string            `json:"message"`
	Details map[string]string `json:"details"`
	Errors  []diagnostic      `json:"errors"`
}

type mergeRequest struct {
	Base  string `json:"base"`
	Patch string `json:"patch"`
}

type schemaRequest struct {
	Name     string        `json:"name"`
	Source   string        `json:"source"`
	Packages []userPackage `json:"packages"`
	Detailed bool          `json:"detailed"`
}

type validateRequest struct {
	Kind          string               `json:"kind"`
	Template      template             `json:"template"`
	ProvidedLater []string             `json:"providedLater"`
	Previous      json.RawMessage      `json:"previous"`
	Status        definitionStatusText `json:"status"`
	DefaultsOnly  bool                 `json:"defaultsOnly"`
	Packages      []userPackage        `json:"packages"`
}

type definitionStatusText struct {
	HealthPolicy string `json:"healthPolicy,omitempty"`
	CustomStatus string `json:"customStatus,omitempty"`
	Details      string `json:"details,omitempty"`
}

type validateResult struct {
	Errors   []diagnostic `json:"errors"`
	Warnings []diagnostic `json:"warnings"`
}

type parseDefinitionRequest struct {
	File   string `json:"file"`
	Source string `json:"source"`
}

type parsedDefinition struct {
	Kind   string              `json:"kind"`
	Name   string              `json:"name"`
	Object any                 `json:"object"`
	Places map[string]position `json:"places,omitempty"`
	// Unknown are fields of the head that mean nothing.
	Unknown []diagnostic `json:"unknown,omitempty"`
}

type printDefinitionRequest struct {
	Object json.RawMessage `json:"object"`
}

type formatRequest struct {
	File   string `json:"file"`
	Source string `json:"source"`
}

type evalError struct {
	Stage        string       `json:"stage"`
	Definition   string       `json:"definition"`
	TraitIndex   *int         `json:"traitIndex,omitempty"`
	NoticedBy    *int         `json:"noticedBy,omitempty"`
	Errors       []diagnostic `json:"errors"`
	KubevelaText string       `json:"kubevelaText"`
}

const (
	stageParse    = "parse"
	stageValidate = "validate"
	stageExport   = "export"
	stagePatch    = "patch"
)

type diagnostic struct {
	Kind      string     `json:"kind"`
	Path      string     `json:"path"`
	Message   string     `json:"message"`
	Expected  string     `json:"expected,omitempty"`
	Found     string     `json:"found,omitempty"`
	Hint      string     `json:"hint,omitempty"`
	Positions []position `json:"positions,omitempty"`
	// at is the path as CUE has it.
	at []string
}

const (
	kindSyntax     = "syntax"
	kindReference  = "reference"
	kindPackage    = "package"
	kindConflict   = "conflict"
	kindMissing    = "missing"
	kindUnknown    = "unknown"
	kindUndeclared = "undeclared"
	kindUser       = "user"
	kindOther      = "other"
)

type position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

type upgradeResult struct {
	Source  string       `json:"source"`
	Changes []diagnostic `json:"changes"`
}
