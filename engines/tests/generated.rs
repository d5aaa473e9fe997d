//! `docs/protocol.md` holds the schema of the protocol's types as they are.

use std::fs;
use std::path::Path;

use caravel_core::engine::{
    EngineInfo, ExplainResult, ParsedDefinition, PolicyResult, RenderResult, Reply, Request,
    StatusResult, StepResult, UpgradeResult, ValidateResult,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

const BEGIN: &str = "<!-- begin generated -->\n";
const END: &str = "<!-- end generated -->\n";

/// Request and reply, with the types of results beside them: a reply's body is any of those.
fn schema() -> Value {
    fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
        generator.subschema_for::<T>();
    }
    let mut generator = SchemaGenerator::default();
    add::<Request>(&mut generator);
    add::<Reply>(&mut generator);
    add::<EngineInfo>(&mut generator);
    add::<RenderResult>(&mut generator);
    add::<ExplainResult>(&mut generator);
    add::<PolicyResult>(&mut generator);
    add::<StepResult>(&mut generator);
    add::<StatusResult>(&mut generator);
    add::<ValidateResult>(&mut generator);
    add::<ParsedDefinition>(&mut generator);
    add::<UpgradeResult>(&mut generator);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Caravel engine protocol",
        "anyOf": [{"$ref": "#/$defs/Request"}, {"$ref": "#/$defs/Reply"}],
        "$defs": generator.definitions(),
    })
}

#[test]
fn the_generated_schema_in_the_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).unwrap() + BEGIN.len();
    let end = text.find(END).unwrap();
    let schema = serde_json::to_string_pretty(&schema()).unwrap();
    let fresh = format!("{}```json\n{schema}\n```\n{}", &text[..begin], &text[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, fresh).unwrap();
        return;
    }
    assert!(
        text == fresh,
        "docs/protocol.md is stale: run `make generate` and commit the result"
    );
}
