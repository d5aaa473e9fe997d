//! The template engine in this process: for commands that work offline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use caravel_core::api::Package;
use caravel_core::appfile::Definition;
use caravel_core::engine::{
    DefinitionKind, Diagnostic, Evaluator, Fault, Operation, Outcome, ParseDefinitionRequest,
    ParsedDefinition, Reply, Request,
};
use caravel_core::packages::Packages;
use serde_json::Value;

/// The packages of the files that this command reads, and of the hub that it asks: templates may import them.
static PACKAGES: RwLock<Option<Packages>> = RwLock::new(None);

/// Where commands act that have no namespace.
const NAMESPACE: &str = "default";

/// Takes a `Package` object that was read from a file; false where the object is something else.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn take_package(object: &Value) -> Result<bool, String> {
    if object["kind"] != "Package" {
        return Ok(false);
    }
    let mut package: Package = serde_json::from_value(object.clone())
        .map_err(|error| format!("this Package cannot be read: {error}"))?;
    if package.metadata.namespace.is_none() {
        package.metadata.namespace = Some(NAMESPACE.to_owned());
    }
    let mut known = PACKAGES.write().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(package);
    Ok(true)
}

/// Takes packages of a hub, but for those that a file gave.
pub(crate) fn learn_packages(packages: Vec<Package>) {
    let mut known = PACKAGES.write().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    for package in packages {
        known.insert_unless_known(package);
    }
}

/// Carries out a request.
pub(crate) fn eval(request: &Request) -> Reply {
    let failed = |message: String| Reply {
        id: request.id,
        outcome: Outcome::Panic(Fault { message }),
    };
    let known = PACKAGES.read().unwrap_or_else(PoisonError::into_inner);
    let written = match known.as_ref() {
        Some(packages) => {
            let mut request = request.clone();
            packages.attach(NAMESPACE, &mut request.operation);
            serde_json::to_vec(&request)
        }
        None => serde_json::to_vec(request),
    };
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => return failed(format!("the request cannot be written: {error}")),
    };
    serde_json::from_slice(&caravel_cue::call(&bytes))
        .unwrap_or_else(|error| failed(format!("the engine's answer is malformed: {error}")))
}

/// Carries out an operation and reads its result.
///
/// # Errors
/// What went wrong, one line for each mistake.
pub(crate) fn run<T: serde::de::DeserializeOwned>(operation: Operation) -> Result<T, String> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    match eval(&Request {
        id,
        evaluator: Evaluator::default(),
        operation,
    })
    .outcome
    {
        Outcome::Ok(body) => serde_json::from_value(body)
            .map_err(|error| format!("the engine's answer is malformed: {error}")),
        Outcome::Error(error) => {
            let lines: Vec<String> = error.errors.iter().map(describe).collect();
            Err(lines.join("\n"))
        }
        Outcome::Need(_) => Err("the engine asks for calls where there are none".to_owned()),
        Outcome::BadRequest(fault) | Outcome::Limit(fault) | Outcome::Panic(fault) => {
            Err(fault.message)
        }
    }
}

/// `file:line:column: message` of a mistake.
pub(crate) fn describe(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .positions
        .first()
        .map(|at| format!("{}:{}:{}: ", at.file, at.line, at.column))
        .unwrap_or_default();
    format!("{place}{}", diagnostic.message)
}

/// Reads a definition file in CUE form; the result is the object as it would be applied.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse_definition(file: &str, source: String) -> Result<Value, String> {
    let request = ParseDefinitionRequest {
        file: file.to_owned(),
        source,
    };
    run::<ParsedDefinition>(Operation::ParseDefinition(request)).map(|parsed| parsed.object)
}

/// A built-in definition, if there is one.
pub(crate) fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    let found = caravel_definitions::get(kind, name)?;
    let parsed = parse_definition(&found.file, found.source.into_owned())
        .and_then(|object| Definition::from_object(&object));
    Some(parsed.map_err(|problem| format!("built-in definition {}: {problem}", found.file)))
}

/// Names of the built-in definitions of a kind.
pub(crate) fn builtin_names(kind: DefinitionKind) -> Vec<String> {
    let of_kind = caravel_definitions::all().filter(|definition| definition.kind == kind);
    of_kind.map(|definition| definition.name).collect()
}
