//! What an author or a user reads when something is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;

use serde_json::{Value, json};
use support::call;

const TEMPLATE: &str = r#"output: {
	kind: "Deployment"
	spec: {image: parameter.image, replicas: parameter.replicas, policy: parameter.policy}
}
#Probe: close({port: int, path?: string})
parameter: {
	// +usage=Which image to run
	image: string
	replicas: *1 | int
	policy: *"Always" | "IfNotPresent" | "Never"
	ports?: [...{port: >0 & <65536, name?: string}]
	probe?: #Probe
	env?: [string]: string
}
"#;

/// Diagnostics as lines, so that a snapshot reads like what a command prints.
fn lines(body: &Value) -> String {
    let mut text = String::new();
    for (title, list) in [("error", &body["errors"]), ("warning", &body["warnings"])] {
        for one in list.as_array().into_iter().flatten() {
            let field = |name: &str| one[name].as_str().unwrap_or_default();
            write!(
                text,
                "{title}[{}] {}: {}",
                field("kind"),
                field("path"),
                field("message")
            )
            .unwrap();
            for name in ["expected", "found", "hint"] {
                if !field(name).is_empty() {
                    write!(text, "\n  {name}: {}", field(name)).unwrap();
                }
            }
            for place in one["positions"].as_array().into_iter().flatten() {
                write!(
                    text,
                    "\n  at {}:{}:{}",
                    place["file"].as_str().unwrap(),
                    place["line"],
                    place["column"]
                )
                .unwrap();
            }
            text.push('\n');
        }
    }
    if let Some(kubevela) = body["kubevelaText"].as_str() {
        writeln!(
            text,
            "--- {} ---\n{kubevela}",
            body["stage"].as_str().unwrap()
        )
        .unwrap();
    }
    text
}

fn validate(source: &str, parameters: &Value) -> String {
    let template = json!({"name": "demo", "source": source, "parameters": parameters});
    let reply = call(
        "v2",
        "validate",
        &json!({"kind": "component", "template": template}),
    );
    assert_eq!(reply["status"], "ok", "{reply}");
    lines(&reply["body"])
}

fn render(source: &str, traits: &Value, parameters: &Value) -> String {
    lines(&failed_render(source, traits, parameters))
}

/// The error of a render that fails.
fn failed_render(source: &str, traits: &Value, parameters: &Value) -> Value {
    let body = json!({
        "component": {"name": "demo", "source": source, "parameters": parameters},
        "traits": traits,
        "context": {"name": "web"},
    });
    let reply = call("v2", "render", &body);
    assert_eq!(reply["status"], "error", "{reply}");
    reply["body"].clone()
}

#[test]
fn parameters() {
    let mut report = String::new();
    for parameters in [
        json!({"imgae": "nginx"}),
        json!({"image": 5}),
        json!({"image": "nginx", "replicas": "3"}),
        json!({"image": "nginx", "policy": "never"}),
        json!({"image": "nginx", "ports": [{"port": 80}, {"port": 70000, "nmae": "x"}]}),
        json!({"image": "nginx", "ports": "80"}),
        json!({"image": "nginx", "probe": {"prot": 80}}),
        json!({"image": "nginx", "env": {"A": 1}}),
        json!({"replicas": "3", "policy": 1, "ports": [{}]}),
    ] {
        writeln!(
            report,
            "# {parameters}\n{}",
            validate(TEMPLATE, &parameters)
        )
        .unwrap();
    }
    insta::assert_snapshot!(report);
}

/// What depends on the context is decided when it is rendered; alternatives are spelled out.
#[test]
fn parameters_that_are_not_plain() {
    let with_context = "output: kind: \"X\"\nparameter: {a: *context.name | string, b: *\"\\(context.name)-x\" | string, if context.c {e: int}, g: int}";
    let alternatives = "output: kind: \"X\"\nparameter: close({x: string}) | close({y: int})";
    let patterns = "output: kind: \"X\"\nparameter: [string]: string";
    let recursive = "output: kind: \"X\"\n#P: {a: string, b?: #P}\nparameter: #P";
    let mut report = String::new();
    for (source, parameters) in [
        (with_context, json!({"g": 1})),
        (with_context, json!({})),
        (alternatives, json!({"y": "3"})),
        (patterns, json!({"y": 3})),
        (recursive, json!({"a": "x", "b": {"a": "y", "b": {"c": 1}}})),
    ] {
        writeln!(
            report,
            "# {source}\n# {parameters}\n{}",
            validate(source, &parameters)
        )
        .unwrap();
    }
    insta::assert_snapshot!(report);
}

#[test]
fn definitions() {
    let mut report = String::new();
    for source in [
        "output: {kind: \"Pod\"\nparameter: {}",
        "output: kind: paramter.kind\nparameter: kind: string",
        "import \"vela/kub\"\noutput: kub.#Get\nparameter: {}",
        "import \"strings\"\noutput: kind: \"Pod\"\nparameter: {}",
        "output: {kind: \"Pod\", kind: \"Job\"}\nparameter: {}",
        "outputs: a: {kind: \"Pod\"}\nparameter: {}",
        "output: {kind: \"Pod\", args: [\"a\"] + [\"b\"]}\nparameter: {}",
        "output: kind: \"Pod\"\nparameter: a: int & string",
        "output: {kind: parameter.king, a: parameter.db.prot}\nparameter: {kind: string, db: {port: int}}",
    ] {
        writeln!(report, "# {source}\n{}", validate(source, &Value::Null)).unwrap();
    }
    insta::assert_snapshot!(report);
}

#[test]
fn status_texts() {
    let template = json!({"name": "demo", "source": "output: kind: \"Pod\"\nparameter: {}"});
    let status = json!({
        "healthPolicy": "isHealthy: true",
        "customStatus": "message: contxt.output.status.phase",
        "details": "a: {",
    });
    let body = json!({"kind": "component", "template": template, "status": status});
    insta::assert_snapshot!(lines(&call("v2", "validate", &body)["body"]));
}

#[test]
fn renders() {
    let mut report = String::new();
    let good = json!({"image": "nginx"});
    let mut case = |name: &str, text: String| writeln!(report, "# {name}\n{text}").unwrap();
    case(
        "wrong parameters",
        render(
            TEMPLATE,
            &json!([]),
            &json!({"image": 5, "policy": "never"}),
        ),
    );
    case(
        "missing parameter",
        render(TEMPLATE, &json!([]), &json!({})),
    );
    case("syntax", render("output: {", &json!([]), &json!({})));
    case("no output", render("parameter: {}", &json!([]), &json!({})));
    case("no kind", render("output: {a: 1}", &json!([]), &json!({})));
    case(
        "author's errors",
        render(
            "errs: [\"too small\"]\noutput: kind: \"Pod\"",
            &json!([]),
            &json!({}),
        ),
    );
    let patch = |source: &str| json!([{"name": "demo-trait", "source": source}]);
    case(
        "patch that does not fit",
        render(TEMPLATE, &patch("patch: spec: image: \"other\""), &good),
    );
    case(
        "patch of a list",
        render(
            "output: {kind: \"Pod\", a: [1, 2]}",
            &patch("patch: a: [1]"),
            &good,
        ),
    );
    case(
        "trait output",
        render(
            TEMPLATE,
            &patch("outputs: x: {kind: \"Service\", port: int}"),
            &good,
        ),
    );
    case(
        "trait needs the workload",
        render(
            TEMPLATE,
            &patch("patch: spec: x: context.output.spec.nothing"),
            &good,
        ),
    );
    insta::assert_snapshot!(report);
}

/// A trait's patch is laid over the workload: what goes wrong there is told of the template that is at fault, at its place.
#[test]
fn patches() {
    let source = r#"output: {
	kind: "Deployment"
	spec: {
		image:    parameter.image
		replicas: 2
		containers: [{name: "main", image: parameter.image}, {name: "side", image: "proxy"}]
	}
}
outputs: service: {kind: "Service", port: 80}
parameter: image: string
"#;
    let fine = r#"patch: metadata: labels: team: "a""#;
    let cases: &[(&str, &[&str])] = &[
        (
            "reads what the workload has not",
            &["patch: spec: {\n\tzone: context.output.spec.zone\n}"],
        ),
        (
            "reads what is nearly there",
            &["patch: spec: first: context.output.spec.imag"],
        ),
        (
            "a text is made of what is not there",
            &[r#"patch: spec: zone: "\(context.output.spec.zone)-a""#],
        ),
        (
            "an optional parameter is read that is not given",
            &["patch: spec: zone: parameter.zone\nparameter: zone?: string"],
        ),
        (
            "the second of three reads what is not there",
            &[fine, "patch: spec: zone: context.output.spec.zone", fine],
        ),
        (
            "the second of three contradicts the component",
            &[fine, "patch: spec: replicas: 3", fine],
        ),
        (
            "the second contradicts the first",
            &["patch: spec: zone: \"a\"", "patch: spec: zone: \"b\""],
        ),
        (
            "items go by their place",
            &["patch: spec: containers: [{name: \"side\"}, {name: \"main\"}]"],
        ),
        (
            "items go by their name",
            &[
                "patch: spec: {\n\t// +patchKey=name\n\tcontainers: [{name: \"new\"}, {name: \"side\", image: \"own\"}]\n}",
            ],
        ),
        (
            "a patch of another object",
            &["patchOutputs: service: port: 81"],
        ),
        (
            "a patch of another object reads what is not there",
            &[
                "patchOutputs: service: target: context.output.spec.port",
                fine,
            ],
        ),
    ];
    let mut report = String::new();
    for (name, templates) in cases {
        let traits: Vec<Value> = templates
            .iter()
            .enumerate()
            .map(|(index, source)| json!({"name": format!("trait-{index}"), "source": source}))
            .collect();
        let error = failed_render(source, &json!(traits), &json!({"image": "nginx"}));
        writeln!(report, "# {name}\n{}", told(&error)).unwrap();
    }
    let traits = json!([{"name": "trait-0", "source": fine}]);
    let error = failed_render(source, &traits, &json!({}));
    let name = "the component is at fault beside a trait";
    writeln!(report, "# {name}\n{}", told(&error)).unwrap();
    insta::assert_snapshot!(report);
}

/// Who is at fault, and the error as lines.
fn told(error: &Value) -> String {
    format!(
        "definition {}, trait {}, noticed by {}\n{}",
        error["definition"],
        error["traitIndex"],
        error["noticedBy"],
        lines(error)
    )
}

#[test]
fn a_request_that_is_not_of_the_protocol_is_answered() {
    for (request, status, words) in [
        ("nonsense", "badRequest", "not JSON of the protocol"),
        (
            r#"{"id":1,"op":"dance","body":{}}"#,
            "badRequest",
            "unknown operation \"dance\"",
        ),
        (
            r#"{"id":1,"op":"render","body":{"component":5}}"#,
            "badRequest",
            "does not fit the operation",
        ),
        (
            r#"{"id":1,"op":"ping","evaluator":"v9"}"#,
            "badRequest",
            "v2 and v3 exist",
        ),
        (
            r#"{"id":1,"op":"render","body":{}}"#,
            "badRequest",
            "needs a component or a base",
        ),
    ] {
        let reply: Value = serde_json::from_slice(&caravel_cue::call(request.as_bytes())).unwrap();
        assert_eq!(reply["status"], status, "{request}: {reply}");
        assert!(
            reply["body"]["message"].as_str().unwrap().contains(words),
            "{request}: {reply}"
        );
    }
    let large = vec![b' '; 3 << 20];
    let reply: Value = serde_json::from_slice(&caravel_cue::call(&large)).unwrap();
    assert_eq!(reply["status"], "limit");
}
