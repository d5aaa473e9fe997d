//! The engine and the definitions in this process, without a daemon.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use caravel_core::appfile::Definition;
use caravel_core::engine::{
    DefinitionKind, Evaluator, Fault, Operation, Outcome, ParseDefinitionRequest, ParsedDefinition,
    Reply, Request,
};
use serde_json::Value;

/// The engine in this process.
pub fn eval(request: &Request) -> Reply {
    let bytes = caravel_cue::call(&serde_json::to_vec(request).unwrap());
    serde_json::from_slice(&bytes).unwrap_or_else(|error| Reply {
        id: request.id,
        outcome: Outcome::Panic(Fault {
            message: format!("malformed reply: {error}"),
        }),
    })
}

/// The built-in definitions, each parsed once.
pub fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    type Parsed = BTreeMap<(DefinitionKind, String), Option<Result<Definition, String>>>;
    static PARSED: LazyLock<Mutex<Parsed>> = LazyLock::new(Mutex::default);
    let mut parsed = PARSED.lock().unwrap();
    let entry = parsed.entry((kind, name.to_owned()));
    entry.or_insert_with(|| parse_builtin(kind, name)).clone()
}

fn parse_builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    Some(parse_file(&caravel_definitions::get(kind, name)?))
}

/// A definition file, parsed.
///
/// # Errors
/// If the file is no definition.
pub fn parse_file(found: &caravel_definitions::Definition) -> Result<Definition, String> {
    parse_object(found).and_then(|object| Definition::from_object(&object))
}

/// A definition file as the object that a cluster would hold.
///
/// # Errors
/// If the file is no definition.
pub fn parse_object(found: &caravel_definitions::Definition) -> Result<Value, String> {
    let operation = Operation::ParseDefinition(ParseDefinitionRequest {
        file: found.file.clone(),
        source: found.source.clone().into_owned(),
    });
    let reply = eval(&Request {
        id: 1,
        evaluator: Evaluator::V2,
        operation,
    });
    match reply.outcome {
        Outcome::Ok(body) => serde_json::from_value::<ParsedDefinition>(body)
            .map(|parsed| parsed.object)
            .map_err(|error| error.to_string()),
        other => Err(format!("{}: {other:?}", found.file)),
    }
}
