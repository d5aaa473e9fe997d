use serde_json::json;

use super::*;
use crate::api::Application;
use crate::appfile::{DefinitionSet, parse};
use crate::engine::{
    Diagnostic, Evaluator, Outcome, Position, RenderResult, RenderedOutput, Reply,
};
use crate::render::{ComponentRender, Input, Progress, Render as _, RenderStage};

fn library() -> DefinitionSet {
    let mut set = DefinitionSet::default();
    let text =
        "isHealth: context.output.kind != _|_ && context.outputs != _|_ && context.cluster != _|_";
    let status = json!({"healthPolicy": text, "customStatus": "message: \"\""});
    let cue = json!({"cue": {"template": "x"}});
    for object in [
        json!({"kind": "ComponentDefinition", "metadata": {"name": "web"}, "spec": {
            "schematic": cue, "status": status,
            "workload": {"definition": {"apiVersion": "apps/v1", "kind": "Deployment"}},
        }}),
        json!({"kind": "ComponentDefinition", "metadata": {"name": "cloud"}, "spec": {
            "schematic": {"terraform": {"configuration": "x"}},
        }}),
        json!({"kind": "TraitDefinition", "metadata": {"name": "route"},
               "spec": {"schematic": cue, "status": status}}),
        json!({"kind": "TraitDefinition", "metadata": {"name": "scaler"}, "spec": {"schematic": cue}}),
        json!({"kind": "TraitDefinition", "metadata": {"name": "early"},
               "spec": {"schematic": cue, "status": status, "stage": "PreDispatch"}}),
        json!({"kind": "TraitDefinition", "metadata": {"name": "modern",
                   "annotations": {"caravel.dev/cue-evaluator": "v3"}},
               "spec": {"schematic": cue, "status": status}}),
        json!({"kind": "TraitDefinition", "metadata": {"name": "late"},
               "spec": {"schematic": cue, "status": status, "stage": "PostDispatch"}}),
        json!({"kind": "PolicyDefinition", "metadata": {"name": "judge"},
               "spec": {"schematic": cue, "manageHealthCheck": true}}),
    ] {
        set.add(&object, "default").unwrap();
    }
    set
}

fn appfile(type_: &str, traits: &[&str]) -> Appfile {
    let traits: Vec<Value> = traits.iter().map(|type_| json!({"type": type_})).collect();
    let app: Application = serde_json::from_value(json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"components": [
            {"name": "front", "type": type_, "properties": {"image": "x"}, "traits": traits},
        ]},
    }))
    .unwrap();
    parse(&app, &library()).unwrap()
}

fn rendered(appfile: &Appfile, outputs: &[(&str, usize)]) -> RenderedComponent {
    let result = RenderResult {
        output: json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        outputs: outputs
            .iter()
            .map(|(name, index)| RenderedOutput {
                name: (*name).to_owned(),
                trait_index: Some(*index),
                object: json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}),
            })
            .collect(),
        warnings: Vec::new(),
    };
    let (component, stage) = (&appfile.components[0], RenderStage::Dispatch);
    let target = Target::default();
    let mut render = ComponentRender::new(appfile, component, target, stage, Evaluator::V2);
    let outcome = Outcome::Ok(serde_json::to_value(result).unwrap());
    match render.next(Input::Reply(Reply { id: 0, outcome })) {
        Ok(Progress::Done(done)) => done,
        other => panic!("{other:?}"),
    }
}

fn healthy(message: &str) -> StatusResult {
    StatusResult {
        healthy: true,
        message: message.to_owned(),
        ..StatusResult::default()
    }
}

struct Scene {
    appfile: Appfile,
    rendered: RenderedComponent,
    live: Vec<Arc<Value>>,
    target: Target,
}

impl Scene {
    fn new(traits: &[&str], outputs: &[(&str, usize)]) -> Self {
        let appfile = appfile("web", traits);
        let rendered = rendered(&appfile, outputs);
        let live = rendered
            .objects
            .iter()
            .map(|one| Arc::new(one.object.clone()))
            .collect();
        let target = Target {
            cluster: "berlin".to_owned(),
            ..Target::default()
        };
        Self {
            appfile,
            rendered,
            live,
            target,
        }
    }

    fn observation(&self) -> Observation<'_> {
        Observation {
            appfile: &self.appfile,
            component: &self.appfile.components[0],
            target: &self.target,
            rendered: &self.rendered,
            live: &self.live,
            reached: Stage::Default,
        }
    }
}

#[test]
fn only_definitions_that_say_something_are_asked() {
    let scene = Scene::new(&["scaler", "route", "late"], &[("svc", 1)]);
    let questions = scene.observation().questions();
    let subjects: Vec<Subject> = questions.iter().map(|one| one.subject).collect();
    assert_eq!(subjects, [Subject::Component, Subject::Trait(1)]);
    let of_component = &questions[0].request.context;
    assert_eq!(of_component["cluster"], "berlin");
    assert_eq!(of_component["output"]["kind"], "Deployment");
    assert_eq!(of_component["outputs"], json!({}));
    assert_eq!(
        questions[1].request.context["outputs"]["svc"]["kind"],
        "Service"
    );
}

#[test]
fn a_definition_chooses_who_evaluates_its_status() {
    let scene = Scene::new(&["route", "modern"], &[]);
    let questions = scene.observation().questions();
    let chosen: Vec<_> = questions.iter().map(|one| one.evaluator).collect();
    assert_eq!(chosen, [None, None, Some(Evaluator::V3)]);
}

#[test]
fn behind_a_closed_gate_nothing_is_judged_but_the_gate() {
    let scene = Scene::new(&["late", "route", "early"], &[]);
    let gate = Observation {
        reached: Stage::PreDispatch,
        ..scene.observation()
    };
    let subjects: Vec<_> = gate.questions().iter().map(|one| one.subject).collect();
    assert_eq!(subjects, [Subject::Trait(2)]);
    let row_of = |message: &str| {
        let closed = StatusResult {
            message: message.to_owned(),
            ..StatusResult::default()
        };
        gate.assess(&Answers::from([(Subject::Trait(2), Ok(closed))]))
    };
    let row = row_of("");
    assert_eq!((row.healthy, row.workload_healthy), (false, false));
    assert_eq!(row.message.as_deref(), Some(GATED_MESSAGE));
    let traits: Vec<_> = row
        .traits
        .iter()
        .map(|part| (part.type_.as_str(), part.pending, part.message.as_deref()))
        .collect();
    assert_eq!(
        traits,
        [
            ("early", false, None),
            ("route", true, Some(GATED_MESSAGE)),
            ("late", true, Some(PENDING_MESSAGE)),
        ]
    );
    let row = row_of("ask the operators");
    assert_eq!(row.message.as_deref(), Some("ask the operators"));
}

#[test]
fn traits_of_one_type_see_the_objects_of_each_other() {
    let scene = Scene::new(&["route", "route"], &[("a", 0), ("b", 0)]);
    let questions = scene.observation().questions();
    for question in &questions[1..] {
        let outputs = question.request.context["outputs"].as_object().unwrap();
        assert_eq!(outputs.len(), 2, "{:?}", question.subject);
    }
    assert_eq!(questions.len(), 3);
}

#[test]
fn a_row_of_a_healthy_component() {
    let scene = Scene::new(&["scaler", "route", "late"], &[("svc", 1)]);
    let answers = Answers::from([
        (Subject::Component, Ok(healthy("Ready:1/1"))),
        (Subject::Trait(1), Ok(healthy(""))),
    ]);
    let row = scene.observation().assess(&answers);
    insta::assert_json_snapshot!(row);
    assert!(is_healthy(&[row], &[]));
}

#[test]
fn an_unhealthy_trait_makes_the_component_unhealthy_but_not_its_workload() {
    let scene = Scene::new(&["route"], &[("svc", 0)]);
    let error = Diagnostic {
        message: "undefined field: status".to_owned(),
        positions: vec![Position {
            file: "status/healthPolicy.cue".to_owned(),
            line: 2,
            column: 7,
        }],
        ..Diagnostic::default()
    };
    let failed = StatusResult {
        errors: vec![error],
        ..StatusResult::default()
    };
    let answers = Answers::from([
        (Subject::Component, Ok(healthy(""))),
        (Subject::Trait(0), Ok(failed)),
    ]);
    let row = scene.observation().assess(&answers);
    assert!(!row.healthy);
    assert!(row.workload_healthy);
    // Not the Application is at fault.
    let why = "the health policy of `route` fails at line 2, column 7: undefined field: status";
    assert_eq!(row.traits[0].message.as_deref(), Some(why));
    assert_eq!(row.message.as_deref(), Some(why));
    assert!(!is_healthy(&[row], &[]));
}

#[test]
fn an_object_that_is_gone_is_named() {
    let mut scene = Scene::new(&[], &[]);
    scene.live[0] = Arc::default();
    let answers = Answers::from([(Subject::Component, Ok(healthy("fine")))]);
    let row = scene.observation().assess(&answers);
    assert!(!row.healthy);
    assert_eq!(
        row.message.as_deref(),
        Some("Deployment front is not there")
    );
}

#[test]
fn a_question_without_an_answer_is_unhealthy_with_the_reason() {
    let scene = Scene::new(&[], &[]);
    let answers = Answers::from([(Subject::Component, Err("deadline exceeded".to_owned()))]);
    let row = scene.observation().assess(&answers);
    assert_eq!(
        (row.healthy, row.message.as_deref()),
        (false, Some("deadline exceeded"))
    );
}

#[test]
fn a_terraform_configuration_is_judged_by_its_state_for_the_present_spec() {
    let state = |state: &str, seen: i64| {
        terraform(&json!({
            "metadata": {"generation": 2},
            "status": {"observedGeneration": seen, "apply": {"state": state, "message": "m"}},
        }))
    };
    assert!(state("Available", 2).healthy);
    assert!(!state("Available", 1).healthy);
    assert!(!state("ProvisioningAndChecking", 2).healthy);
    assert_eq!(state("Available", 2).message, "m");
    assert!(!terraform(&Value::Null).healthy);
    let appfile = appfile("cloud", &[]);
    let rendered = rendered(&appfile, &[]);
    let (live, target) = ([Arc::default()], Target::default());
    let component = &appfile.components[0];
    let scene = Observation {
        appfile: &appfile,
        component,
        target: &target,
        rendered: &rendered,
        live: &live,
        reached: Stage::Default,
    };
    assert_eq!(scene.questions(), []);
}

#[test]
fn a_policy_may_take_over_the_judgement() {
    let set = library();
    let app: Application = serde_json::from_value(json!({
        "metadata": {"name": "a"},
        "spec": {"components": [], "policies": [{"name": "j", "type": "judge", "properties": {}}]},
    }))
    .unwrap();
    let appfile = parse(&app, &set).unwrap();
    let row = ComponentStatus::default();
    assert!(is_healthy(std::slice::from_ref(&row), &appfile.policies));
    assert!(!is_healthy(&[row], &[]));
}
