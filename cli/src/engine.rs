//! The template engine of commands that work offline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use caravel_core::api::Package;
use caravel_core::appfile::Definition;
use caravel_core::engine::{
    DefinitionKind, Diagnostic, Evaluator, Fault, Operation, Outcome, ParseDefinitionRequest,
    ParsedDefinition, Reply, Request,
};
use caravel_core::packages::Packages;
use caravel_engines::{Answer, Direct, Engine, EngineError, Job, Pool};
use futures::executor::block_on;
use serde_json::Value;
use tokio::task::unconstrained;

use crate::serve::workers;

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

/// Carries out a request, in a process of its own: what does not end, or eats the memory, is stopped as the hub would
/// stop it.
pub(crate) fn eval(request: &Request) -> Reply {
    let mut operation = request.operation.clone();
    let known = PACKAGES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(packages) = known.as_ref() {
        packages.attach(NAMESPACE, &mut operation);
    }
    let job = Job::new(operation, request.evaluator, NAMESPACE);
    let outcome = match engine() {
        // Without the budget of a task: this waits many times within one, and it would wait for ever once that is spent.
        Ok(engine) => outcome(block_on(unconstrained(engine.call(job)))),
        Err(error) => outcome(Err(error.clone())),
    };
    Reply {
        id: request.id,
        outcome,
    }
}

/// The engine of this command, which is started when it is needed first.
fn engine() -> Result<&'static dyn Engine, &'static EngineError> {
    static ENGINE: OnceLock<Result<Box<dyn Engine>, EngineError>> = OnceLock::new();
    let started = ENGINE.get_or_init(|| {
        // The program of unit tests cannot be started as a worker.
        if cfg!(test) {
            return Ok(Box::new(Direct::new(caravel_cue::call)));
        }
        let mut options = workers().map_err(|error| EngineError::Fault(format!("{error:#}")))?;
        // One question follows another.
        options.lanes = 1;
        Ok(Box::new(Pool::start(options)?))
    });
    started.as_deref()
}

fn outcome(answer: Result<Answer, EngineError>) -> Outcome {
    match answer {
        Ok(Answer::Done(value)) => Outcome::Ok(value),
        Ok(Answer::Need(calls)) => Outcome::Need(calls),
        Err(EngineError::Template(error)) => Outcome::Error(*error),
        Err(EngineError::Fault(message)) => Outcome::Panic(Fault { message }),
        Err(limit) => Outcome::Limit(Fault {
            message: limit.to_string(),
        }),
    }
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

/// Reads a definition file in CUE form: the object as it would be applied, and what of the file means nothing.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse_definition(file: &str, source: String) -> Result<ParsedDefinition, String> {
    let request = ParseDefinitionRequest {
        file: file.to_owned(),
        source,
    };
    run(Operation::ParseDefinition(request))
}

/// A built-in definition, if there is one.
pub(crate) fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    let found = caravel_definitions::get(kind, name)?;
    let parsed = parse_definition(&found.file, found.source.into_owned())
        .and_then(|parsed| Definition::from_object(&parsed.object));
    Some(parsed.map_err(|problem| format!("built-in definition {}: {problem}", found.file)))
}

/// Names of the built-in definitions of a kind.
pub(crate) fn builtin_names(kind: DefinitionKind) -> Vec<String> {
    let of_kind = caravel_definitions::all().filter(|definition| definition.kind == kind);
    of_kind.map(|definition| definition.name).collect()
}
