//! Name, labels, annotations and attributes of every definition (the columns of rows BD-001 to BD-101).

use std::collections::BTreeMap;

use caravel_definitions::Definition;
use caravel_tests::render::parse_object;
use serde_json::{Value, json};

/// What a definition says about itself, its texts left out.
fn attributes(definition: &Definition) -> Value {
    let object = parse_object(definition).unwrap();
    let mut spec = object["spec"].clone();
    spec.as_object_mut().unwrap().remove("schematic");
    if let Some(status) = spec.get_mut("status") {
        let texts = status
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        *status = json!(texts);
    }
    json!({
        "kind": object["kind"],
        "annotations": object["metadata"]["annotations"],
        "labels": object["metadata"]["labels"],
        "spec": spec,
    })
}

fn table(definitions: impl Iterator<Item = Definition>) -> BTreeMap<String, Value> {
    definitions
        .map(|definition| {
            let mut says = attributes(&definition);
            // The words are in the file; what counts here is that there are some.
            let words = &mut says["annotations"]["definition.oam.dev/description"];
            assert!(
                words.as_str().is_some_and(|words| words.len() > 20),
                "{}",
                definition.file
            );
            says["annotations"]
                .as_object_mut()
                .unwrap()
                .remove("definition.oam.dev/description");
            (definition.file, says)
        })
        .collect()
}

#[test]
fn built_in_definitions_say_what_they_are() {
    insta::assert_yaml_snapshot!(table(caravel_definitions::all()));
}

#[test]
fn samples_say_what_they_are() {
    insta::assert_yaml_snapshot!(table(caravel_definitions::samples()));
}
