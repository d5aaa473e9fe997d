//! What an engine says of a template that it cannot evaluate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error that somebody can mend in a template or in its input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvalError {
    /// In which part of the chain it happened.
    pub stage: EvalStage,
    /// The definition (`webservice`) whose template was being evaluated.
    #[serde(default)]
    pub definition: String,
    /// Index of the trait in the request; `None` for the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trait_index: Option<usize>,
    /// Index of the trait at whose turn it showed, where an earlier template is at fault; KubeVela's text is about this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noticed_by: Option<usize>,
    /// All errors, the most useful first.
    pub errors: Vec<Diagnostic>,
    /// The text that KubeVela prints for it (row REN-007), for clients that parse it.
    #[serde(default)]
    pub kubevela_text: String,
}

/// Parts of a chain in which an evaluation can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EvalStage {
    /// The text is not CUE.
    #[default]
    Parse,
    /// Template, parameters and context do not fit together.
    Validate,
    /// A value that must be concrete is not.
    Export,
    /// A patch does not fit its base.
    Patch,
}

/// One thing to say about a source text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// What kind of mistake it is.
    pub kind: DiagnosticKind,
    /// Field path, for instance `parameter.ports[0].port`.
    #[serde(default)]
    pub path: String,
    /// In words, as CUE says it.
    pub message: String,
    /// What was expected, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What was found, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// What to do, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// Where, the most telling place first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosticKind {
    /// Not CUE.
    Syntax,
    /// An unresolved reference, or an import of a package that there cannot be.
    Reference,
    /// An import of a package that nobody has registered (yet).
    Package,
    /// Two values that exclude each other, a wrong type included.
    #[default]
    Conflict,
    /// A required value is missing.
    Missing,
    /// A field that the schema does not have.
    Unknown,
    /// A field that the schema does not have, of something that the template takes whole.
    Undeclared,
    /// A message of the definition's author (`errs`).
    User,
    /// Everything else.
    Other,
}

/// What the texts of templates are called, and the kinds of the objects that hold them.
const TEMPLATES: [(&str, &str); 5] = [
    ("component/", "ComponentDefinition/"),
    ("workload/", "WorkloadDefinition/"),
    ("trait/", "TraitDefinition/"),
    ("policy/", "PolicyDefinition/"),
    ("workflow-step/", "WorkflowStepDefinition/"),
];

impl Position {
    /// With the name of the object whose template it is in (`ComponentDefinition/webservice`): there is no file of the name
    /// that the engine gives it. The line is that of the template.
    #[must_use]
    pub fn in_object(self) -> Self {
        let named = TEMPLATES.iter().find_map(|(engine, object)| {
            let name = self.file.strip_prefix(engine)?.strip_suffix(".cue")?;
            Some(format!("{object}{name}"))
        });
        match named {
            Some(file) => Self { file, ..self },
            None => self,
        }
    }

    /// Whether it has a name that only engines give: that of a template or of a status text.
    pub fn is_of_engine(&self) -> bool {
        let of_template = |(engine, _): &(&str, &str)| self.file.starts_with(engine);
        TEMPLATES.iter().any(of_template)
            || self.file.starts_with("status/")
            || self.file == "template"
    }

    /// The object whose template it is in: its kind and name.
    pub fn object(&self) -> Option<(&str, &str)> {
        let (kind, name) = self.file.split_once('/')?;
        let is_known = |(_, object): &(&str, &str)| object.strip_suffix('/') == Some(kind);
        TEMPLATES.iter().any(is_known).then_some((kind, name))
    }
}

/// A place in a source text; lines and columns count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Name of the text, for instance `component/webservice.cue` or `parameter`.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}
