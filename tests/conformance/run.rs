//! Runs a case through our own path: the same that `caravel dry-run` takes.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use caravel_core::appfile::{
    Definition, DefinitionSet, FindingKind, Layered, Rejection, read_application,
};
use caravel_core::engine::{
    DefinitionKind, Evaluator, Fault, Operation, Outcome, ParseDefinitionRequest, ParsedDefinition,
    Reply, Request,
};
use caravel_core::plan::{DryRunError, dry_run, render_group};
use serde_json::{Value, json};

use crate::case::Case;

/// What came of a case.
#[derive(Debug)]
pub(crate) enum Ran {
    Objects(Vec<Value>),
    Failed {
        stage: &'static str,
        text: String,
    },
    /// It needs something that we do not have yet.
    NotCovered(String),
}

/// The engine in this process.
pub(crate) fn eval(request: &Request) -> Reply {
    let bytes = caravel_cue::call(&serde_json::to_vec(request).unwrap());
    serde_json::from_slice(&bytes).unwrap_or_else(|error| Reply {
        id: request.id,
        outcome: Outcome::Panic(Fault {
            message: format!("malformed reply: {error}"),
        }),
    })
}

/// The built-in definitions, each parsed once.
pub(crate) fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    type Parsed = BTreeMap<(DefinitionKind, String), Option<Result<Definition, String>>>;
    static PARSED: LazyLock<Mutex<Parsed>> = LazyLock::new(Mutex::default);
    let mut parsed = PARSED.lock().unwrap();
    let entry = parsed.entry((kind, name.to_owned()));
    entry.or_insert_with(|| parse_builtin(kind, name)).clone()
}

fn parse_builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    let found = caravel_definitions::get(kind, name)?;
    let operation = Operation::ParseDefinition(ParseDefinitionRequest {
        file: found.file.clone(),
        source: found.source.into_owned(),
    });
    let reply = eval(&Request {
        id: 1,
        evaluator: Evaluator::V2,
        operation,
    });
    Some(match reply.outcome {
        Outcome::Ok(body) => serde_json::from_value::<ParsedDefinition>(body)
            .map_err(|error| error.to_string())
            .and_then(|parsed| Definition::from_object(&parsed.object)),
        other => Err(format!("{}: {other:?}", found.file)),
    })
}

/// Runs a case. `expected_unknown` says that KubeVela does not find a type or object either.
pub(crate) fn run(case: &Case, evaluator: Evaluator) -> Ran {
    let (object, definitions) = match (case.application(), case.definitions()) {
        (Ok(object), Ok(definitions)) => (object, definitions),
        (Err(problem), _) | (_, Err(problem)) => return failed("decode", problem),
    };
    let app = match read_application(&object) {
        Ok(app) => app,
        Err(rejection) => return failed("decode", rejection.kubevela_text()),
    };
    let mut set = DefinitionSet::default();
    for object in definitions {
        if let Err(problem) = set.add(&object, "default") {
            return failed("parse", problem);
        }
    }
    let source = Layered::new(set, builtin);
    let groups = match dry_run(&app, &source) {
        Ok(groups) => groups,
        Err(rejection) => return rejected(case, &rejection),
    };
    if let Some(problem) = source.problems().first() {
        return failed("parse", problem.clone());
    }
    let mut objects = Vec::new();
    for group in &groups {
        let version = case.cluster_version();
        match render_group(group, &version, evaluator, &mut |request| eval(request)) {
            Ok(rendered) => objects.extend(rendered.objects().map(|object| object.object.clone())),
            Err(DryRunError::Calls { calls, .. }) => {
                let call = &calls[0];
                return Ran::NotCovered(format!("call {}.{}", call.provider, call.action));
            }
            Err(DryRunError::Render(error)) => {
                let text = &error.kubevela_text;
                let head = "cannot generate manifests from components and traits: ";
                return failed("render", format!("{head}{text}"));
            }
        }
    }
    Ran::Objects(objects)
}

fn failed(stage: &'static str, text: String) -> Ran {
    Ran::Failed { stage, text }
}

/// A type that KubeVela has and we do not is not covered; everything else is a failure like KubeVela's.
fn rejected(case: &Case, rejection: &Rejection) -> Ran {
    let text = rejection.kubevela_text();
    let expected = case.expected_error(Evaluator::V2).unwrap_or_default();
    let unknown = rejection.findings.iter().find(|finding| {
        finding.kind == FindingKind::UnknownType && !expected.contains(&finding.found)
    });
    if let Some(finding) = unknown {
        return Ran::NotCovered(format!("definition {}", finding.found));
    }
    let late = ["cannot generate appFile", "failed to parse override policy"];
    let stage = if late.iter().any(|head| text.starts_with(head)) {
        "render"
    } else {
        "parse"
    };
    failed(stage, text)
}

/// Mode and steps of the workflow, as the goldens write them.
pub(crate) fn workflow(case: &Case) -> Option<Value> {
    let app = read_application(&case.application().ok()?).ok()?;
    let mut set = DefinitionSet::default();
    for object in case.definitions().ok()? {
        set.add(&object, "default").ok()?;
    }
    let source = Layered::new(set, builtin);
    let appfile = caravel_core::appfile::assemble(&app, &source).ok()?;
    let steps = &appfile.workflow;
    Some(json!({
        "mode": { "steps": steps.mode.as_str(), "subSteps": steps.sub_mode.as_str() },
        "steps": steps.steps,
    }))
}
