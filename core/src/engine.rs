//! The vocabulary between Caravel and its template engines.
//!
//! An engine is a program that speaks frames on a pipe (see `docs/protocol.md`, whose JSON schema is
//! made from these types). Each operation is one crossing: bytes in, bytes out. An engine never calls
//! back: where a template wants something done (`#do`), the reply says what it *needs*
//! ([`Outcome::Need`]); the caller does it and sends the same request again with the result in
//! [`Replay`]. So every request is a pure function of its bytes.

mod config;
mod error;
mod package;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use config::{ConfigRequest, ConfigResult};
pub use error::{Diagnostic, DiagnosticKind, EvalError, EvalStage, Position};
pub use package::{Endpoint, Package};

/// Which of CUE's two evaluators reads a template. `V2` is the default of the hub, because KubeVela's
/// chart selects it (reference `cue-engine` section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evaluator {
    /// The evaluator of CUE up to 0.12, with `keepvalidators` off.
    #[default]
    V2,
    /// The evaluator of CUE 0.13 and later.
    V3,
}

/// One request frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Chosen by the caller, repeated in the reply.
    pub id: u64,
    /// Which evaluator to use.
    #[serde(default)]
    pub evaluator: Evaluator,
    /// What to do.
    #[serde(flatten)]
    pub operation: Operation,
}

/// One reply frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The operations of an engine. `body` is the operation's own request type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", content = "body", rename_all = "camelCase")]
pub enum Operation {
    /// Answers `ok` with [`EngineInfo`]; the first frame of a session.
    Ping,
    /// Renders a component and its traits of one stage.
    Render(RenderRequest),
    /// Evaluates a policy that works on the Application itself, before anything of it is rendered (rows
    /// POL-014 to POL-018); the result is [`PolicyResult`].
    Policy(PolicyRequest),
    /// Evaluates the template of a configuration (rows PRV-022, OPS-021); the result is [`ConfigResult`].
    Config(ConfigRequest),
    /// Renders like [`Operation::Render`], and says which lines of which templates made one field; the
    /// result is [`ExplainResult`].
    Explain(ExplainRequest),
    /// Evaluates a workflow step's template up to the next call that it needs.
    Step(StepRequest),
    /// Evaluates an expression, for instance the `if` of a step.
    Expression(ExpressionRequest),
    /// Evaluates health policy, custom status and details against a live object.
    Status(StatusRequest),
    /// Merges a patch into a base with CUE's patch strategies.
    Merge(MergeRequest),
    /// Makes the OpenAPI v3 schema of a template's `parameter`.
    Schema(SchemaRequest),
    /// Checks a template without parameters, or parameters against a template.
    Validate(ValidateRequest),
    /// Reads a definition file in CUE form (row REN-001).
    ParseDefinition(ParseDefinitionRequest),
    /// Writes a definition object in CUE form.
    PrintDefinition(PrintDefinitionRequest),
    /// Formats CUE text.
    Format(FormatRequest),
    /// Rewrites CUE text of older versions for today's (row REN-044); the result is [`UpgradeResult`].
    /// Renders do the same on the way in, with a warning.
    Upgrade(FormatRequest),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", content = "body", rename_all = "camelCase")]
pub enum Outcome {
    /// Done; the body is the result type that belongs to the operation.
    Ok(Value),
    /// The template wants these calls carried out. Send the request again with their results.
    Need(Vec<Call>),
    /// The template or its input is wrong: somebody can mend it.
    Error(EvalError),
    /// The request itself is malformed: a fault of the caller.
    BadRequest(Fault),
    /// A limit was hit (size, depth, time, memory).
    Limit(Fault),
    /// The engine failed; the request may be repeated elsewhere.
    Panic(Fault),
}

/// Why a request could not be served, where the template is not to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// In words.
    pub message: String,
}

/// The result of [`Operation::Ping`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineInfo {
    /// Name of the engine, for instance `cue`.
    pub engine: String,
    /// Version of what it wraps, for instance `v0.14.1`.
    pub version: String,
    /// Major version of this protocol.
    pub protocol: u32,
}

/// A call (`#do`) that a template wants carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Identity of the call in its request: what the result is filed under in [`Replay`]. Opaque to the
    /// caller.
    pub key: String,
    /// CUE path of the value that holds `#do`, for messages.
    pub path: String,
    /// `#provider`, for instance `kube`; `op` for the legacy packages.
    pub provider: String,
    /// `#do`, for instance `apply`.
    #[serde(rename = "do")]
    pub action: String,
    /// `$params`; of legacy packages (`op`, `ql`) the whole value; of `processing` (row REN-006) the value
    /// of `processing.http`. The `patch` of `patch`, `component-apply` and `component-render` is a string
    /// of CUE, because its comments carry strategies: it goes into a [`MergeRequest`] or
    /// [`RenderRequest::workload_patch`].
    pub params: Value,
    /// Where the call goes, if its provider is one of the request's [`Package`]s: the caller posts `params`
    /// there (see [`Endpoint::url`]). A provider of Caravel itself never has one, whatever packages are
    /// called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
}

/// Results of calls by [`Call::key`]; a result is what is filled into `$returns` (legacy packages: into
/// the value itself; `processing`: into `processing.output`). `null` says that the call was carried out
/// and returns nothing.
pub type Replay = BTreeMap<String, Value>;

/// Renders one component with its traits in one chain, because the base stays CUE between traits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderRequest {
    /// The component; `None` where `base` stands for it (`PostDispatch` traits).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Template>,
    /// Objects that earlier stages made (live, with status): the base of the traits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<RenderBase>,
    /// Traits in the order in which they apply.
    #[serde(default)]
    pub traits: Vec<Template>,
    /// The evaluator of each trait, where it is not that of the request: definitions choose theirs one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trait_evaluators: Vec<Option<Evaluator>>,
    /// `context` as the templates see it (row REN-101); the engine adds `output` and `outputs`.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Patch of the workload in CUE text, after component and traits (rows REN-019, APP-040).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_patch: Option<String>,
    /// Patches of further objects in CUE text, by output name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub output_patches: BTreeMap<String, String>,
    /// Packages that the templates may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Results of earlier calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replay: Replay,
}

/// A template with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Name of the definition, for instance `webservice`; names the source in positions.
    pub name: String,
    /// CUE text of `spec.schematic.cue.template`.
    pub source: String,
    /// The user's parameters; `null` where there are none.
    #[serde(default)]
    pub parameters: Value,
}

/// The objects that traits of a later stage build on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderBase {
    /// The workload.
    pub output: Value,
    /// Further objects by output name.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
    /// They are only seen: the result has what the traits make, and not these.
    #[serde(default)]
    pub live: bool,
}

/// The result of [`Operation::Render`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderResult {
    /// The workload as the template made it: names, labels and namespaces are the caller's business. `null` over a live
    /// base.
    pub output: Value,
    /// Outputs of the component, then of each trait, in CUE order.
    #[serde(default)]
    pub outputs: Vec<RenderedOutput>,
    /// What the author should know, for instance of a compatibility rewrite.
    #[serde(default)]
    pub warnings: Vec<Diagnostic>,
}

/// One auxiliary object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderedOutput {
    /// Its key under `outputs`.
    pub name: String,
    /// Index of the trait that made it in the request; `None` for the component's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trait_index: Option<usize>,
    /// The object.
    pub object: Value,
}

/// Evaluates the template of a policy of scope `Application` (rows POL-014 to POL-018).
///
/// The template sees `parameter` and `context` (row REN-105) and says in `output` what becomes of the
/// Application. Templates may call (`#do`) as those of components do.
///
/// What the caller does with the result: where [`PolicyResult::enabled`] is false, nothing. Else the parts of
/// [`PolicyOutput`] that are there replace components, workflow and policies, labels and annotations are merged
/// over those of the Application, and `ctx` is merged into `context.custom`. The next policy's `context` is made
/// of the Application as it is then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRequest {
    /// The policy's definition and parameters.
    pub template: Template,
    /// `context` (rows POL-018, REN-105); the engine adds nothing.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Packages that the templates may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Results of earlier calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replay: Replay,
}

/// The result of [`Operation::Policy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyResult {
    /// `config.enabled`, or `enabled` where there is no `config`; true where neither is given.
    pub enabled: bool,
    /// `output`; empty where the policy is not enabled.
    #[serde(default)]
    pub output: PolicyOutput,
    /// What is concrete of `config`.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What the author should know, for instance of a compatibility rewrite.
    #[serde(default)]
    pub warnings: Vec<Diagnostic>,
}

/// What a policy makes of an Application. No other field is allowed in `output`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyOutput {
    /// Replace `spec.components`: all of them, as the API has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<Vec<Value>>,
    /// Replaces `spec.workflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Value>,
    /// Replace `spec.policies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<Value>>,
    /// Merged over `metadata.labels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Merged over `metadata.annotations`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Merged into `context.custom` of everything that is rendered later.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub ctx: Map<String, Value>,
}

/// Asks which lines of which templates made one field of one rendered object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainRequest {
    /// What to render.
    pub render: RenderRequest,
    /// The key of the object under `outputs`; empty for the workload.
    #[serde(default)]
    pub output: String,
    /// Index of the trait that makes the object; `None` for those of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trait_index: Option<usize>,
    /// The field: names, and indexes of lists.
    pub path: Vec<String>,
}

/// The result of [`Operation::Explain`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainResult {
    /// The field in the end; `null` where no template makes it.
    #[serde(default)]
    pub value: Value,
    /// The lines that made it, in the order in which they took effect.
    #[serde(default)]
    pub origins: Vec<Origin>,
}

/// One declaration that made a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The definition whose template it is.
    pub definition: String,
    /// Index of the trait in the request; `None` for the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trait_index: Option<usize>,
    /// In which part of the template: `output`, `patch`, `outputs.service`.
    pub field: String,
    /// The expression.
    #[serde(default)]
    pub text: String,
    /// Where it stands.
    pub position: Position,
    /// The conditions and loops around it, the outermost first.
    #[serde(default)]
    pub conditions: Vec<OriginClause>,
    /// The parameters that it names.
    #[serde(default)]
    pub parameters: Vec<OriginParameter>,
    /// The field after this template took effect.
    #[serde(default)]
    pub value: Value,
}

/// An `if` or `for` of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginClause {
    /// The clause.
    pub text: String,
    /// Where it stands.
    pub position: Position,
}

/// A parameter that an expression names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginParameter {
    /// For instance `parameter.image`.
    pub path: String,
    /// Whether the user gave it.
    pub given: bool,
    /// Where the template declares it, with its default.
    #[serde(default)]
    pub positions: Vec<Position>,
}

/// Evaluates a step's template. Inputs are already filled into `parameters` by the caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepRequest {
    /// The step's definition and parameters.
    pub template: Template,
    /// `context` (row REN-107).
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Outputs to read once all calls are answered: name and CUE expression (row WF-014).
    #[serde(default)]
    pub outputs: Vec<StepOutput>,
    /// Packages that the templates may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Results of earlier calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replay: Replay,
}

/// An output that a step declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepOutput {
    /// Name that other steps refer to.
    pub name: String,
    /// CUE expression in the scope of the completed step.
    pub value_from: String,
}

/// The result of [`Operation::Step`]: no further call is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Values of the declared outputs; an output that does not exist is absent and has an entry in
    /// `missing`.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
    /// Outputs that could not be read, with the reason as KubeVela words it (TRAPS 36).
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
    /// The concrete value of the completed template, for `debug` and for replay tools.
    #[serde(default)]
    pub value: Value,
}

/// Evaluates one expression over named values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionRequest {
    /// CUE expression.
    pub expression: String,
    /// Top-level names that it may use, for instance `context`, `inputs`, `status`, `parameter`.
    #[serde(default)]
    pub scope: Map<String, Value>,
    /// CUE texts that it may use as structs, by name; they may import standard packages. Positions in them have that name as
    /// file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
}

/// Evaluates the three status texts of a definition (rows REN-026 to REN-028).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusRequest {
    /// `status.healthPolicy`.
    #[serde(default)]
    pub health_policy: String,
    /// `status.customStatus`.
    #[serde(default)]
    pub custom_status: String,
    /// `status.details`.
    #[serde(default)]
    pub details: String,
    /// `context` with the live `output` and `outputs` (row REN-106).
    #[serde(default)]
    pub context: Map<String, Value>,
    /// The component's or trait's parameters.
    #[serde(default)]
    pub parameters: Value,
}

/// The result of [`Operation::Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusResult {
    /// `isHealth`; true where there is no policy.
    pub healthy: bool,
    /// `message`.
    #[serde(default)]
    pub message: String,
    /// Details, as CUE text where they are not strings.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// What went wrong in one of the texts; the others still count.
    #[serde(default)]
    pub errors: Vec<Diagnostic>,
}

/// Merges with KubeVela's patch strategies (rows REN-011 to REN-017); the result is the merged object.
///
/// A text of which all top-level fields are those of a template (`output`, `patch`, `parameter`, …) means
/// its `output` or `patch`; the comment on `patch` then chooses `jsonPatch` or `jsonMergePatch`. Any other
/// text means the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergeRequest {
    /// Base in CUE text (JSON is CUE).
    pub base: String,
    /// Patch in CUE text; its comments carry the strategies.
    pub patch: String,
}

/// Makes an OpenAPI schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaRequest {
    /// Name of the definition.
    pub name: String,
    /// CUE text of the template.
    pub source: String,
    /// Packages that the templates may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Describe in detail what the template says, in place of the schema that KubeVela makes: also what its converter
    /// has no words for, and the markers `+short`, `+alias` and `+ignore` (row REN-032). Required is then only what
    /// nothing else gives a value. Extensions tell what OpenAPI cannot: `x-items` the elements of a list one by one,
    /// `x-rules` what else must hold, `x-default` what a default is computed from, `x-if` under which condition a field
    /// is there, and `x-same-as` (a JSON pointer) which type around it is repeated here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detailed: bool,
}

/// Checks a template, and parameters where given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidateRequest {
    /// What kind of definition it is.
    pub kind: DefinitionKind,
    /// The template; with `parameters` other than `null` these are checked against `parameter`.
    pub template: Template,
    /// Paths of parameters that a step's or component's `inputs` will fill: not missing yet.
    #[serde(default)]
    pub provided_later: Vec<String>,
    /// The parameters as they were before: those that the template marks as immutable must not have changed
    /// (row REN-032).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub previous: Value,
    /// Status texts to check for syntax and references.
    #[serde(default)]
    pub status: DefinitionStatusText,
    /// Nobody gives parameters: each needs a default (row POL-015).
    #[serde(default)]
    pub defaults_only: bool,
    /// Packages that the templates may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
}

/// The three status texts of a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionStatusText {
    /// `healthPolicy`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health_policy: String,
    /// `customStatus`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub custom_status: String,
    /// `details`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// The result of [`Operation::Validate`]: everything that was found, in source order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidateResult {
    /// What makes the template or the parameters unusable.
    #[serde(default)]
    pub errors: Vec<Diagnostic>,
    /// What works but is probably not meant, for instance an undeclared parameter.
    #[serde(default)]
    pub warnings: Vec<Diagnostic>,
}

/// The kinds of definition.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DefinitionKind {
    /// `ComponentDefinition`.
    #[default]
    Component,
    /// `TraitDefinition`.
    Trait,
    /// `PolicyDefinition`.
    Policy,
    /// `WorkflowStepDefinition`.
    WorkflowStep,
    /// `WorkloadDefinition` (legacy).
    Workload,
}

/// Reads a definition file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParseDefinitionRequest {
    /// Name of the file, for positions.
    pub file: String,
    /// Its text.
    pub source: String,
}

/// The result of [`Operation::ParseDefinition`]: the object as it would be applied, without namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParsedDefinition {
    /// What kind it is.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: String,
    /// The Kubernetes object.
    pub object: Value,
    /// Where the fields of its head stand: `description`, `attributes.workload.definition.kind`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, Position>,
    /// Fields of its head that mean nothing: they are misspelt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Diagnostic>,
}

/// Writes a definition object as a CUE file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrintDefinitionRequest {
    /// The Kubernetes object.
    pub object: Value,
}

/// Formats CUE text; the result is a string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormatRequest {
    /// Name of the file, for positions.
    #[serde(default)]
    pub file: String,
    /// Its text.
    pub source: String,
}

/// The result of [`Operation::Upgrade`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeResult {
    /// The text for today's CUE; as it was where nothing had to be changed.
    pub source: String,
    /// What was changed, at its place in the text before.
    #[serde(default)]
    pub changes: Vec<Diagnostic>,
}
