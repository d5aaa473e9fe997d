//! Why a component could not be rendered, at its place in the Application.

use std::fmt;

use crate::appfile::{AppComponent, Appfile};
use crate::engine::{Call, Diagnostic, DiagnosticKind, EvalError, EvalStage, Position};

/// One mistake: where in the Application, and what the engine says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Field path in the Application: `spec.components[0].properties.image` for a parameter, the
    /// component or trait itself for everything else.
    pub path: String,
    /// What is wrong, with positions in the template.
    pub diagnostic: Diagnostic,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderFailure {
    /// Template, parameters and context do not give objects; somebody can mend them.
    Evaluation(EvalStage),
    /// What was evaluated is not an object that can be delivered.
    Result,
    /// A call (`#do`) of the template did not succeed.
    Call,
    /// Evaluation took too much time, memory or space.
    Limit,
    /// The engine failed; it may succeed elsewhere or later.
    Engine,
    /// The caller broke the protocol.
    Protocol,
}

/// Why a component, or a policy, could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// What failed.
    pub failure: RenderFailure,
    /// Name of the component or policy.
    pub component: String,
    /// Type of the trait whose template failed.
    pub trait_type: Option<String>,
    /// The definition whose template failed.
    pub definition: String,
    /// Where the component or trait stands in the Application.
    pub path: String,
    /// The mistakes, the most useful first.
    pub problems: Vec<Problem>,
    /// In words, where there are no problems to list.
    pub message: String,
    /// What KubeVela says of it.
    pub kubevela_text: String,
}

impl RenderError {
    /// A failure that has no place in a template.
    pub(super) fn plain(
        failure: RenderFailure,
        component: &str,
        path: &str,
        message: impl Into<String>,
    ) -> Box<Self> {
        let message = message.into();
        Box::new(Self {
            failure,
            component: component.to_owned(),
            trait_type: None,
            definition: String::new(),
            path: path.to_owned(),
            problems: Vec::new(),
            kubevela_text: message.clone(),
            message,
        })
    }

    /// Puts an error of a component's evaluation to its place in the Application. `traits` says which
    /// trait of the component each trait of the request is.
    pub(super) fn of_component(
        appfile: &Appfile,
        component: &AppComponent,
        traits: &[usize],
        error: EvalError,
    ) -> Box<Self> {
        let name = &component.spec.name;
        let of_request = |index: Option<usize>| traits.get(index?).copied();
        let type_of = |index: usize| Some(component.traits.get(index)?.resolved.type_name.clone());
        let index = of_request(error.trait_index);
        let path = match index {
            Some(index) => format!("{}.traits[{index}]", component.path()),
            None => component.path().to_owned(),
        };
        let trait_type = index.and_then(type_of);
        let kubevela_text = match of_request(error.noticed_by).and_then(type_of) {
            Some(noticed_by) => in_trait(&noticed_by, name, &error),
            None => kubevela_text(appfile, name, trait_type.as_deref(), &error),
        };
        let mut placed = Self::evaluated(name, trait_type, path, error, kubevela_text);
        let provenance = &component.provenance;
        placed.path = provenance.relocate(&placed.path);
        for problem in &mut placed.problems {
            problem.path = provenance.relocate(&problem.path);
        }
        placed
    }

    /// Puts an error of a policy's evaluation to its place in the Application.
    pub(super) fn of_policy(
        appfile: &Appfile,
        policy: &str,
        path: &str,
        error: EvalError,
    ) -> Box<Self> {
        let kubevela_text = kubevela_text(appfile, policy, None, &error);
        Self::evaluated(policy, None, path.to_owned(), error, kubevela_text)
    }

    /// What is wrong, without where in the Application.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        if !self.problems.is_empty() {
            let problems = self.problems.iter();
            return problems.map(|one| one.diagnostic.clone()).collect();
        }
        let place = self.message.split_once(": ").map(|(place, _)| place);
        let place = place.filter(|place| place.starts_with("output"));
        vec![Diagnostic {
            kind: match self.failure {
                RenderFailure::Result => DiagnosticKind::Conflict,
                _ => DiagnosticKind::Other,
            },
            path: place.unwrap_or_default().to_owned(),
            message: self.message.clone(),
            ..Diagnostic::default()
        }]
    }

    pub(super) fn evaluated(
        component: &str,
        trait_type: Option<String>,
        path: String,
        error: EvalError,
        kubevela_text: String,
    ) -> Box<Self> {
        let problems = error
            .errors
            .into_iter()
            .map(|diagnostic| Problem {
                path: place(&path, &diagnostic),
                diagnostic,
            })
            .collect();
        Box::new(Self {
            failure: RenderFailure::Evaluation(error.stage),
            component: component.to_owned(),
            trait_type,
            definition: error.definition,
            path,
            problems,
            message: String::new(),
            kubevela_text,
        })
    }
}

/// The provider of the request that a trait declares (row REN-006).
const PROCESSING: &str = "processing";

/// What KubeVela says of a call that did not succeed; `entity` is a workload or a trait.
pub(super) fn text_of_call(entity: &str, label: &str, call: &Call, why: &str) -> String {
    if call.provider == PROCESSING {
        format!("invalid process of trait {label}: fail to exec http task, {why}")
    } else {
        format!(
            "failed to compile {entity} {label} after merge parameter and context: function call error for {}: {why}",
            call.path
        )
    }
}

/// `parameter.ports[0].port` of a template is `properties.ports[0].port` in the Application.
fn place(path: &str, diagnostic: &Diagnostic) -> String {
    match diagnostic.path.strip_prefix("parameter") {
        Some("") => format!("{path}.properties"),
        Some(inner) if inner.starts_with(['.', '[']) => format!("{path}.properties{inner}"),
        _ => path.to_owned(),
    }
}

/// The text of the evaluation with what KubeVela puts before it.
fn kubevela_text(
    appfile: &Appfile,
    component: &str,
    trait_type: Option<&str>,
    error: &EvalError,
) -> String {
    let text = &error.kubevela_text;
    if text.starts_with("cannot generate manifests from component") {
        return text.clone();
    }
    let exported = error.stage == EvalStage::Export;
    let output = error.errors.first().and_then(|first| {
        let rest = first.path.strip_prefix("outputs.")?;
        rest.split('.').next()
    });
    match (output.filter(|_| exported), trait_type) {
        (Some(output), _) => format!(
            "evaluate trait={output} template for component={component} app={}: {text}",
            appfile.name
        ),
        (None, Some(trait_type)) => in_trait(trait_type, component, error),
        (None, None) => format!(
            "evaluate base template app={} in namespace={}: {text}",
            appfile.name, appfile.namespace
        ),
    }
}

/// What KubeVela says of an error that shows in a trait's turn.
fn in_trait(trait_type: &str, component: &str, error: &EvalError) -> String {
    format!(
        "evaluate template trait={trait_type} app={component}: {}",
        error.kubevela_text
    )
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return write!(f, "{}: {}", self.path, self.message);
        }
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic {
            kind,
            path,
            message,
            expected,
            found,
            hint,
            positions,
        } = &self.diagnostic;
        write!(f, "{}: ", self.path)?;
        if *kind != DiagnosticKind::User && !path.is_empty() && !message.contains(path.as_str()) {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)?;
        match (expected.is_empty(), found.is_empty()) {
            (false, false) => write!(f, " (expected {expected}, found {found})")?,
            (false, true) => write!(f, " (expected {expected})")?,
            _ => {}
        }
        if let Some(position) = positions.first().cloned().map(Position::in_object) {
            write!(
                f,
                " at {}:{}:{}",
                position.file, position.line, position.column
            )?;
        }
        if !hint.is_empty() {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RenderError {}
