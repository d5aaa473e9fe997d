//! What is fuzzed. Each function takes any bytes and panics only if a promise is broken.

use caravel_core::appfile::{self, Definition, DefinitionSet, read_application};
use caravel_core::engine::{
    Evaluator, FormatRequest, Operation, Outcome, ParseDefinitionRequest, ParsedDefinition,
    PrintDefinitionRequest, Reply, Request,
};
use caravel_core::{plan, yaml};
use caravel_engines::{Direct, EngineError, Job};
use serde_json::Value;

/// The lines of a text that mean something: comments may move, and imports that nobody uses may go.
fn code(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| {
            let idle = ["", "import (", "import ()", ")"];
            !line.starts_with("//") && !idle.contains(&line.as_str())
        })
        .collect()
}

/// Any bytes are a request that the engine answers with a reply of the protocol, and a reply that a caller reads
/// or refuses.
pub fn frame(data: &[u8]) {
    let reply = caravel_cue::call(data);
    let reply: Reply = match serde_json::from_slice(&reply) {
        Ok(reply) => reply,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&reply)),
    };
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        assert_eq!(reply.id, request.id, "a reply belongs to its request");
    }

    let bytes = data.to_vec();
    let engine = Direct::new(move |_| bytes.clone());
    let job = Job::new(Operation::Ping, Evaluator::default(), "");
    if let Err(EngineError::Deadline { .. } | EngineError::Exhausted { .. }) =
        engine.call_blocking(job)
    {
        panic!("a reply cannot say what only the pool knows");
    }
}

/// Any text is a definition or is refused with reasons; what is one stays the same when it is written and read
/// again.
pub fn definition(data: &[u8]) {
    let source = String::from_utf8_lossy(data).into_owned();
    let read = |source: String| {
        let file = "fuzz.cue".to_owned();
        evaluate(Operation::ParseDefinition(ParseDefinitionRequest {
            file,
            source,
        }))
    };
    let Some(parsed) = read(source) else { return };
    let parsed: ParsedDefinition = serde_json::from_value(parsed).expect("a definition");
    // It may lack fields that the API asks for; then this says so.
    let _ = Definition::from_object(&parsed.object);
    let object = parsed.object.clone();
    let Some(text) = evaluate(Operation::PrintDefinition(PrintDefinitionRequest {
        object,
    })) else {
        return;
    };
    let text = text.as_str().expect("text").to_owned();
    let again =
        read(text.clone()).unwrap_or_else(|| panic!("what was written is no definition:\n{text}"));
    let again: ParsedDefinition = serde_json::from_value(again).expect("a definition");
    assert_eq!(
        (again.kind, &again.name),
        (parsed.kind, &parsed.name),
        "{text}"
    );
    let template = |parsed: &ParsedDefinition| {
        let source = parsed.object["spec"]["schematic"]["cue"]["template"].as_str();
        let source = source.unwrap_or_default().to_owned();
        let request = FormatRequest {
            file: String::new(),
            source,
        };
        let text = evaluate(Operation::Format(request))?;
        Some(code(text.as_str().expect("text")))
    };
    assert_eq!(template(&again), template(&parsed), "{text}");
}

/// Any text is YAML or is refused; any document is an Application or is refused with findings; what is one is
/// checked, and planned or refused.
pub fn application(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(documents) = yaml::parse(&text) else {
        return;
    };
    for document in documents {
        let written = yaml::to_string(&document);
        assert_eq!(
            yaml::parse_one(&written).ok(),
            Some(document.clone()),
            "{written}"
        );
        let Ok(application) = read_application(&document) else {
            continue;
        };
        let _ = appfile::check(&application);
        let _ = plan::dry_run(&application, &DefinitionSet::default());
    }
}

/// The result of an operation; `None` where somebody can mend what was given.
fn evaluate(operation: Operation) -> Option<Value> {
    let request = Request {
        id: 1,
        evaluator: Evaluator::default(),
        operation,
    };
    let frame = serde_json::to_vec(&request).expect("a request is JSON");
    let reply: Reply = serde_json::from_slice(&caravel_cue::call(&frame)).expect("a reply");
    match reply.outcome {
        Outcome::Ok(value) => Some(value),
        Outcome::Error(error) => {
            assert!(
                !error.errors.is_empty(),
                "an error without reasons: {error:?}"
            );
            None
        }
        Outcome::Limit(_) => None,
        other => panic!("{other:?}"),
    }
}
