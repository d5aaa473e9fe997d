//! Runs a case through our own path: the same that `caravel dry-run` takes.

use caravel_core::api::Application;
use caravel_core::appfile::{DefinitionSet, FindingKind, Layered, Rejection, read_application};
use caravel_core::engine::{Evaluator, Operation, Outcome, Reply, Request};
use caravel_core::plan::{DryRunError, dry_run_of, render_group, scoped};
use caravel_core::render::{Offline, Scoped, ScopedRender, offline};
pub(crate) use caravel_tests::render::{builtin, eval, parse_file};
use serde_json::{Value, json};

use crate::case::Case;

/// What came of a case.
#[derive(Debug)]
pub(crate) enum Ran {
    Objects(Vec<Value>),
    Failed {
        stage: &'static str,
        text: String,
    },
    /// It needs something that we do not have yet.
    NotCovered(String),
}

/// Runs a case. `expected_unknown` says that KubeVela does not find a type or object either.
pub(crate) fn run(case: &Case, evaluator: Evaluator) -> Ran {
    let (object, definitions) = match (case.application(), case.definitions()) {
        (Ok(object), Ok(definitions)) => (object, definitions),
        (Err(problem), _) | (_, Err(problem)) => return failed("decode", problem),
    };
    let app = match read_application(&object) {
        Ok(app) => app,
        Err(rejection) => return failed("decode", rejection.kubevela_text()),
    };
    let mut set = DefinitionSet::default();
    for object in definitions {
        if let Err(problem) = set.add(&object, "default") {
            return failed("parse", problem);
        }
    }
    let source = Layered::new(set, builtin);
    let made = match changed_by_policies(&app, &source, evaluator) {
        Ok(made) => made,
        Err(problem) => return failed("parse", problem),
    };
    let groups = match dry_run_of(&made, &source) {
        Ok(groups) => groups,
        Err(rejection) => return rejected(case, &rejection),
    };
    if let Some(problem) = source.problems().first() {
        return failed("parse", problem.clone());
    }
    let mut objects = Vec::new();
    for group in &groups {
        let version = case.cluster_version();
        let mut answered = |request: &Request| eval_with_charts(case, request, evaluator);
        match render_group(group, &version, evaluator, &mut answered) {
            Ok(rendered) => objects.extend(rendered.objects().map(|object| object.object.clone())),
            Err(DryRunError::Calls { calls, .. }) => {
                let call = &calls[0];
                return Ran::NotCovered(format!("call {}.{}", call.provider, call.action));
            }
            Err(DryRunError::Render(error)) => {
                let text = &error.kubevela_text;
                let head = "cannot generate manifests from components and traits: ";
                return failed("render", format!("{head}{text}"));
            }
        }
    }
    Ran::Objects(objects)
}

/// The Application as its policies of scope `Application` make it.
pub(crate) fn changed_by_policies(
    app: &Application,
    source: &Layered<'_>,
    evaluator: Evaluator,
) -> Result<Scoped, String> {
    let policies = scoped::of_set(app, source.set(), source).map_err(|finding| finding.message)?;
    let mut render = ScopedRender::new(app, &policies, &[], evaluator);
    match offline(&mut render, &mut eval) {
        Ok(Offline::Done(made)) => Ok(made),
        Ok(Offline::Calls(_)) => Err("calls of policies".to_owned()),
        Err(error) => Err(error.kubevela_text),
    }
}

/// Evaluates a request; the charts that it needs are the recorded ones, as Helm rendered them for KubeVela. So
/// what is compared is our definition, which makes a component of them.
fn eval_with_charts(case: &Case, request: &Request, evaluator: Evaluator) -> Reply {
    let reply = eval(request);
    let (Outcome::Need(calls), Operation::Render(render)) = (&reply.outcome, &request.operation)
    else {
        return reply;
    };
    let charts = case.rendered_charts(evaluator);
    if charts.is_empty() || calls.iter().any(|call| call.provider != "helm") {
        return reply;
    }
    let mut render = render.clone();
    for call in calls {
        let answer = json!({ "resources": charts });
        render.replay.insert(call.key.clone(), answer);
    }
    eval(&Request {
        operation: Operation::Render(render),
        ..request.clone()
    })
}

fn failed(stage: &'static str, text: String) -> Ran {
    Ran::Failed { stage, text }
}

/// A type that KubeVela has and we do not is not covered; everything else is a failure like KubeVela's.
fn rejected(case: &Case, rejection: &Rejection) -> Ran {
    let text = rejection.kubevela_text();
    let expected = case.expected_error(Evaluator::V2).unwrap_or_default();
    let unknown = rejection.findings.iter();
    let mut unknown = unknown.filter(|finding| finding.kind == FindingKind::UnknownType);
    if let Some(finding) = unknown.clone().next()
        // KubeVela names the first that it does not find, we name them all.
        && unknown.all(|finding| !expected.contains(&finding.found))
    {
        return Ran::NotCovered(format!("definition {}", finding.found));
    }
    let late = ["cannot generate appFile", "failed to parse override policy"];
    let stage = if late.iter().any(|head| text.starts_with(head)) {
        "render"
    } else {
        "parse"
    };
    failed(stage, text)
}

/// Mode and steps of the workflow, as the goldens write them.
pub(crate) fn workflow(case: &Case) -> Option<Value> {
    let app = read_application(&case.application().ok()?).ok()?;
    let mut set = DefinitionSet::default();
    for object in case.definitions().ok()? {
        set.add(&object, "default").ok()?;
    }
    let source = Layered::new(set, builtin);
    let appfile = caravel_core::appfile::assemble(&app, &source).ok()?;
    let steps = &appfile.workflow;
    Some(json!({
        "mode": { "steps": steps.mode.as_str(), "subSteps": steps.sub_mode.as_str() },
        "steps": steps.steps,
    }))
}
