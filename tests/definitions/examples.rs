//! A golden for every definition, beside it: what its example renders to, or what its step does.
//!
//! `INSTA_UPDATE=always` writes them. Both evaluators must come to the same.

use caravel_core::appfile::{Definition, DefinitionSet, Layered, parse, read_application};
use caravel_core::engine::{DefinitionKind, Evaluator, Operation, Outcome, Reply, Request};
use caravel_core::plan::{DryRunError, dry_run, render_group};
use caravel_core::render::ClusterVersion;
use caravel_core::yaml;
use caravel_definitions::Definition as File;
use caravel_tests::play::{Unplayable, play, standing};
use caravel_tests::render::{builtin, eval, parse_object};
use caravel_tests::world::World;
use serde_json::{Value, json};

/// Texts whose fields the evaluators order differently: JSON in an annotation.
const ORDER_DIFFERS: [&str; 1] = ["nocalhost"];

/// Examples that cannot be rendered without a cluster: what they refer to is there.
const NEEDS_A_CLUSTER: [&str; 1] = ["ref-objects"];

/// Evaluates; the calls of examples are answered by a world that has one chart and one account.
fn answered(request: &Request) -> Reply {
    let reply = eval(request);
    let (Outcome::Need(calls), Operation::Render(render)) = (&reply.outcome, &request.operation)
    else {
        return reply;
    };
    let mut render = render.clone();
    for call in calls {
        let answer = match call.provider.as_str() {
            "helm" => json!({ "resources": [
                { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "of-the-chart" } },
                { "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "of-the-chart" } },
            ] }),
            _ => json!({ "credentials": "robot" }),
        };
        render.replay.insert(call.key.clone(), answer);
    }
    answered(&Request {
        operation: Operation::Render(render),
        ..request.clone()
    })
}

/// Where definitions come from: a sample goes before a built-in definition of its name.
fn source(file: &File) -> Layered<'static> {
    let mut set = DefinitionSet::default();
    if file.file.starts_with("samples/") {
        let mut object = parse_object(file).unwrap();
        object["metadata"]["namespace"] = "vela-system".into();
        set.add(&object, "default").unwrap();
    }
    Layered::new(
        set,
        builtin as fn(DefinitionKind, &str) -> Option<Result<Definition, String>>,
    )
}

fn version() -> ClusterVersion {
    ClusterVersion::parse("v1.31.0").unwrap()
}

/// What a dry run of the example shows.
fn objects(file: &File, evaluator: Evaluator) -> Vec<Value> {
    let example = yaml::parse_one(file.example.as_ref().unwrap()).unwrap();
    let app = read_application(&example).unwrap();
    let source = source(file);
    let groups = dry_run(&app, &source)
        .unwrap_or_else(|rejection| panic!("{}: {}", file.file, rejection.kubevela_text()));
    let mut objects = Vec::new();
    for group in &groups {
        let rendered = render_group(group, &version(), evaluator, &mut |request: &Request| {
            answered(request)
        });
        let rendered = match rendered {
            Err(DryRunError::Render(error)) if NEEDS_A_CLUSTER.contains(&file.name.as_str()) => {
                return vec![json!({ "without a cluster": error.kubevela_text })];
            }
            rendered => rendered.unwrap_or_else(|error| panic!("{}: {error:?}", file.file)),
        };
        objects.extend(rendered.objects().map(|object| object.object.clone()));
    }
    objects
}

/// What an HTTP server says to the steps of examples.
fn server(_method: &str, _path: &str, _body: &Value) -> (u16, String) {
    (200, r#"{"status": "success", "answer": 42}"#.to_owned())
}

/// What the workflow of the example does, as far as it gets at once.
fn deeds(file: &File, evaluator: Evaluator) -> Vec<Value> {
    let example = yaml::parse_one(file.example.as_ref().unwrap()).unwrap();
    let app = read_application(&example).unwrap();
    let source = source(file);
    let appfile = parse(&app, &source).unwrap();
    let mut world = World::new(app, appfile, &source, evaluator, server);
    // A step may change its own Application.
    world.seed(example);
    world.cluster_version = version();
    let played = play(&mut world);
    let mut shown = match played {
        Ok(state) => standing(&state),
        Err(Unplayable::Unknown(call)) => json!({ "not carried out": call }),
        Err(Unplayable::Refused(why)) => panic!("{}: {why}", file.file),
    };
    shown["does"] = world.actions.into();
    vec![shown]
}

fn golden(file: &File) -> (String, Result<(), String>) {
    let made = |evaluator| match file.kind {
        DefinitionKind::WorkflowStep => deeds(file, evaluator),
        _ => objects(file, evaluator),
    };
    let text = |evaluator| {
        let text = yaml::stream(&made(evaluator));
        // Names that hold the id of a step differ from run to run only with the seed.
        text.trim_start_matches("---\n").to_owned()
    };
    let (v2, v3) = (text(Evaluator::V2), text(Evaluator::V3));
    let same = v2 == v3 || ORDER_DIFFERS.contains(&file.name.as_str());
    let verdict = if same {
        Ok(())
    } else {
        Err(format!("{}: v3 makes\n{v3}", file.file))
    };
    (v2, verdict)
}

#[test]
fn every_example_comes_to_its_golden() {
    let mut differ = Vec::new();
    for file in caravel_definitions::all().chain(caravel_definitions::samples()) {
        let (text, verdict) = golden(&file);
        differ.extend(verdict.err());
        let folder = std::path::Path::new(&file.file).parent().unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(std::path::Path::new("../../definitions").join(folder));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(format!("What the example of {} comes to", file.name));
        settings.bind(|| insta::assert_snapshot!(format!("{}.golden", file.name), text));
    }
    assert!(
        differ.is_empty(),
        "the evaluators differ:\n{}",
        differ.join("\n")
    );
}
