//! Definition files: between their source form and the Kubernetes object (row REN-001).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::call;

const SOURCE: &str = r##"import "strings"

// What it is.
"my-comp": {
	alias: "mc"
	type: "component"
	description: "A demo."
	annotations: {
		"mine": "1"
		"definition.oam.dev/category": "x"
	}
	labels: {}
	attributes: {
		workload: definition: {
			apiVersion: "apps/v1"
			kind:       "Deployment"
		}
		status: {
			healthPolicy: {
				isHealth: context.output.status.ready
			}
			customStatus: #"""
				message: "\(context.name)"
				"""#
		}
	}
}

template: {
	// The workload.
	output: {
		kind: strings.ToTitle(parameter.kind)
		text: """
			two
			lines
			"""
	}

	parameter: kind: string
}
"##;

fn parse(source: &str) -> Value {
    call(
        "v2",
        "parseDefinition",
        &json!({"file": "my-comp.cue", "source": source}),
    )
}

#[test]
fn a_definition_file_becomes_an_object() {
    let reply = parse(SOURCE);
    insta::assert_json_snapshot!(reply);
}

#[test]
fn an_object_becomes_a_definition_file_and_back() {
    let object = parse(SOURCE)["body"]["object"].clone();
    let printed = call("v2", "printDefinition", &json!({"object": object}));
    let text = printed["body"].as_str().unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(parse(text)["body"]["object"], object);
}

#[test]
fn what_is_no_definition_says_so() {
    for (source, words) in [
        ("template: {output: {}}", "no metadata found"),
        ("\"a\": type: \"component\"", "no template found"),
        ("\"a\": type: \"thing\"\ntemplate: {}", "invalid type thing"),
        (
            "\"a\": type: \"trait\"\n\"b\": type: \"trait\"\ntemplate: {}",
            "duplicated definition name found, a and b",
        ),
        ("\"a\": {", "expected '}', found 'EOF'"),
        (
            "\"a\": type: \"trait\"\ntemplate: [1]",
            "`template` must be a struct",
        ),
    ] {
        let reply = parse(source);
        assert_eq!(reply["status"], "error", "{source}: {reply}");
        let text = reply["body"]["kubevelaText"].as_str().unwrap();
        assert!(text.contains(words), "{source}: {text}");
    }
}

/// Every built-in definition: it parses, its template and status texts hold, its schema can be made, and
/// it survives being printed.
#[test]
fn the_built_in_definitions_are_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../definitions");
    let mut checked = 0;
    for kind in ["component", "trait", "policy", "workflow-step"] {
        let Ok(entries) = fs::read_dir(root.join(kind)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "cue") {
                continue;
            }
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let parsed = parse(&fs::read_to_string(&path).unwrap());
            assert_eq!(parsed["status"], "ok", "{name}: {parsed}");
            let object = &parsed["body"]["object"];
            let source = &object["spec"]["schematic"]["cue"]["template"];
            for evaluator in ["v2", "v3"] {
                let body = json!({
                    "kind": kind,
                    "template": {"name": name, "source": source},
                    "status": object["spec"].get("status").unwrap_or(&json!({})),
                });
                let found = call(evaluator, "validate", &body);
                assert_eq!(
                    found["body"]["errors"],
                    json!([]),
                    "{name} under {evaluator}"
                );
            }
            let printed = call("v2", "printDefinition", &json!({"object": object}));
            assert_eq!(printed["status"], "ok", "{name}: {printed}");
            let again = parse(printed["body"].as_str().unwrap());
            assert_eq!(
                again["body"]["object"]["spec"]["status"], object["spec"]["status"],
                "{name}"
            );
            assert_eq!(
                again["body"]["object"]["metadata"]["name"],
                object["metadata"]["name"]
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "no definition was found");
}

#[test]
fn text_is_formatted() {
    let reply = call("v2", "format", &json!({"source": "a:1\n// why\nb : {c:2}"}));
    assert_eq!(reply["body"], "a: 1\n// why\nb: {c: 2}\n");
    let reply = call("v2", "upgrade", &json!({"source": "a: [1] + [2]"}));
    assert_eq!(
        reply["body"]["source"],
        "import \"list\"\n\na: list.Concat([[1], [2]])\n"
    );
    assert_eq!(
        reply["body"]["changes"][0]["positions"][0],
        json!({"file": "source.cue", "line": 1, "column": 4})
    );
}
