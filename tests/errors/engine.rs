//! The engine in this process, and the built-in definitions.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use caravel_core::appfile::{Definition, DefinitionSet, Layered};
use caravel_core::engine::{
    DefinitionKind, Evaluator, Operation, Outcome, ParseDefinitionRequest, ParsedDefinition, Reply,
    Request,
};
use serde_json::Value;

pub(crate) fn eval(request: &Request) -> Reply {
    let bytes = caravel_cue::call(&serde_json::to_vec(request).unwrap());
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn outcome(operation: Operation, evaluator: Option<Evaluator>) -> Outcome {
    let evaluator = evaluator.unwrap_or_default();
    eval(&Request {
        id: 1,
        evaluator,
        operation,
    })
    .outcome
}

/// A definition file as an object.
pub(crate) fn parsed(file: &str, source: String) -> Value {
    let request = ParseDefinitionRequest {
        file: file.to_owned(),
        source,
    };
    match outcome(Operation::ParseDefinition(request), None) {
        Outcome::Ok(body) => {
            serde_json::from_value::<ParsedDefinition>(body)
                .unwrap()
                .object
        }
        other => panic!("{file}: {other:?}"),
    }
}

/// A case's definitions, and behind them the built-in ones.
pub(crate) fn layered(set: DefinitionSet) -> Layered<'static> {
    Layered::new(set, builtin).listing(|kind| {
        let all = caravel_definitions::all().filter(move |known| known.kind == kind);
        all.map(|known| known.name).collect()
    })
}

fn builtin(kind: DefinitionKind, name: &str) -> Option<Result<Definition, String>> {
    type Known = BTreeMap<(DefinitionKind, String), Option<Definition>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap();
    let entry = known.entry((kind, name.to_owned())).or_insert_with(|| {
        let found = caravel_definitions::get(kind, name)?;
        let object = parsed(&found.file, found.source.into_owned());
        Some(Definition::from_object(&object).unwrap())
    });
    entry.clone().map(Ok)
}
