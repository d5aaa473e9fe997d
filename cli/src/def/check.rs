//! Checks of one definition: those of its registration, and what only a trial shows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use caravel_core::check::{
    DefinitionCheck, Extent, SAMPLE_NAME, is_for_known_workloads, is_of_author, sample,
    unknown_output,
};
use caravel_core::engine::{
    DefinitionKind, Diagnostic, Evaluator, Operation, Template, ValidateRequest, ValidateResult,
};
use caravel_core::path::last_name;
use serde_json::{Value, json};

use super::ask::{Refusal, ask};
use super::compared;
use super::kind::Kind;
use super::parameter;
use super::problem::{Level, Problem};
use super::served::Served;
use super::source::Source;
use super::trial::{Outcome, Trial};
use crate::input;

/// Everything that is wrong with a definition, errors first; what it makes is for targets that serve these kinds.
pub(crate) fn check(source: &Source, served: &Served) -> Vec<Problem> {
    let mut problems = registration(source);
    let is_good = problems.iter().all(|problem| problem.level != Level::Error);
    // A definition may say which evaluator reads it: then the other does not matter.
    if is_good {
        problems.extend(compared::impossible(source, served));
        problems.extend(trials(source, served));
    }
    problems.sort_by_key(|problem| (problem.level == Level::Warning, problem.line));
    problems
}

/// The names of definitions, and the files that they stand in.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<(&'static str, String, String), String>);

impl Names {
    /// Notes a definition; what is wrong where another one has its name: the hub would keep only the last.
    pub(crate) fn taken(&mut self, source: &Source) -> Option<Problem> {
        let namespace = source.object["metadata"]["namespace"].as_str();
        let definition = &source.definition;
        let name = (
            Kind::of(definition.kind).word,
            namespace.unwrap_or_default().to_owned(),
            definition.name.clone(),
        );
        let other = match self.0.entry(name) {
            Entry::Vacant(free) => {
                free.insert(source.file.clone());
                return None;
            }
            Entry::Occupied(taken) => taken.get().clone(),
        };
        let message = format!(
            "the {} {} stands in {other}, too",
            Kind::of(definition.kind).word,
            definition.name
        );
        Some(Problem::of_file(&source.file, message).hint("one of the two needs another name"))
    }
}

/// What the hub checks when a definition is registered.
pub(crate) fn registration(source: &Source) -> Vec<Problem> {
    let mut problems = shape(source);
    if source.definition.template.trim().is_empty() {
        problems.extend(without_template(source));
    } else {
        let evaluator = source.definition.evaluator.unwrap_or_default();
        problems.extend(validated(source, evaluator));
    }
    problems
}

/// What is wrong with the definition around its template: fields, version, scope.
fn shape(source: &Source) -> Vec<Problem> {
    // They change nothing, and KubeVela takes them.
    let unknown = source.unknown.iter();
    let head = unknown.map(|unknown| source.problem(unknown).warning());
    let findings = DefinitionCheck::new(&source.object).findings().into_iter();
    let around = findings.map(|finding| {
        let is_warning = finding.kind.is_warning();
        let place = source.place_of_path(&finding.path);
        // In the source format `spec` is called `attributes`.
        let in_file = |text: &str| {
            if input::is_cue(&source.file) {
                text.replace("spec.", "attributes.")
            } else {
                text.to_owned()
            }
        };
        let mut problem =
            Problem::of_file(&source.file, in_file(&finding.message)).hint(finding.hint);
        problem.path = in_file(&finding.path);
        problem.expected = finding.expected;
        problem.found = finding.found;
        if let Some((line, column)) = place {
            problem = problem.at(&source.text, line, column);
        }
        if is_warning {
            problem.warning()
        } else {
            problem
        }
    });
    head.chain(around).collect()
}

fn validated(source: &Source, evaluator: Evaluator) -> Vec<Problem> {
    let definition = &source.definition;
    let request = ValidateRequest {
        kind: definition.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            parameters: Value::Null,
        },
        status: definition.status.clone(),
        defaults_only: source.object["spec"]["global"] == true,
        ..ValidateRequest::default()
    };
    match ask::<ValidateResult>(Operation::Validate(request), evaluator) {
        Ok(result) => {
            let errors = result.errors.iter().map(|one| source.problem(one));
            let warnings = result.warnings.iter();
            errors
                .chain(warnings.map(|one| source.problem(one).warning()))
                .collect()
        }
        Err(Refusal::Wrong(errors)) => errors.iter().map(|one| source.problem(one)).collect(),
        Err(Refusal::Calls(_)) => Vec::new(),
        Err(Refusal::Fault(message)) => vec![Problem::of_file(&source.file, message)],
    }
}

/// What only the evaluator that is not the default says.
fn refused_by_v3(source: &Source) -> Vec<Problem> {
    if source.definition.template.trim().is_empty() {
        return Vec::new();
    }
    let errors = validated(source, Evaluator::V3).into_iter();
    errors
        .filter(|problem| problem.level == Level::Error)
        .map(|mut problem| {
            problem.message = format!(
                "evaluator v3 refuses it, and v2 does not: {}",
                problem.message
            );
            problem.warning().hint(ON_EVALUATORS)
        })
        .collect()
}

fn without_template(source: &Source) -> Vec<Problem> {
    let definition = &source.definition;
    // Policies that are part of the program have no template.
    if definition.terraform.is_some() || definition.kind != DefinitionKind::Component {
        return Vec::new();
    }
    let message = format!("{} has no template: it makes nothing", definition.name);
    let problem = Problem::of_file(&source.file, message)
        .hint("a component makes its workload in `template: {output: {…}}`");
    vec![problem]
}

/// What both evaluators make of sample parameters. A definition may say which of them reads it: then the other does
/// not matter.
fn trials(source: &Source, served: &Served) -> Vec<Problem> {
    let chosen = source.definition.evaluator;
    let mut problems = match chosen {
        Some(_) => Vec::new(),
        None => refused_by_v3(source),
    };
    let (schema, of_schema) = match chosen {
        Some(one) => {
            let schema = parameter::schema(source, one).ok().flatten();
            (schema.unwrap_or_default(), Vec::new())
        }
        None => schemas(source),
    };
    problems.extend(of_schema);
    if source.definition.template.is_empty() {
        return problems;
    }
    for extent in Extent::ALL {
        let parameters = fitting(source, sample(&schema, extent));
        let run = |evaluator| {
            let context = [("clusterVersion".to_owned(), json!(served.version))];
            let trial = Trial {
                evaluator,
                context: context.into_iter().collect(),
                ..Trial::new(&source.definition, parameters.clone())
            };
            trial.render()
        };
        let v2 = run(chosen.unwrap_or_default());
        problems.extend(other_workload(source, &v2).filter(|_| extent == Extent::Required));
        for problem in unserved(source, &v2, served) {
            if !problems
                .iter()
                .any(|known| known.message == problem.message)
            {
                problems.push(problem);
            }
        }
        let found = match chosen {
            Some(_) => v2
                .err()
                .and_then(|errors| unrendered(source, extent, &errors)),
            None => compare(source, extent, v2, run(Evaluator::V3)),
        };
        // The second sample would only say the same again.
        if let Some(problem) = found {
            problems.push(problem);
            break;
        }
    }
    problems
}

/// What the attributes say of the workload must be true: traits and health are chosen by it.
fn other_workload(source: &Source, rendered: &Rendered) -> Option<Problem> {
    let definition = &source.definition;
    let said = definition
        .workload
        .as_ref()
        .filter(|said| !said.kind.is_empty())?;
    let Ok(Outcome::Objects(objects)) = rendered else {
        return None;
    };
    if definition.kind != DefinitionKind::Component {
        return None;
    }
    let made = &objects.first()?.object;
    if made["apiVersion"] == said.api_version.as_str() && made["kind"] == said.kind.as_str() {
        return None;
    }
    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    let message = format!(
        "its output is a {} {}, and attributes.workload.definition says {} {}",
        text("apiVersion"),
        text("kind"),
        said.api_version,
        said.kind
    );
    let hint = "traits and health are chosen by what the attributes say: correct one of them";
    Some(Problem::of_file(&source.file, message).warning().hint(hint))
}

/// What would be said against the objects by targets, and is dropped of what a policy gives an Application.
fn unserved(source: &Source, rendered: &Rendered, served: &Served) -> Vec<Problem> {
    let objects = match rendered {
        Ok(Outcome::Objects(objects)) => objects,
        Ok(Outcome::Application(output)) => return dropped(source, output),
        _ => return Vec::new(),
    };
    let is_trait = source.definition.kind == DefinitionKind::Trait;
    let of_object = |shown: &super::trial::Shown| {
        let name = match shown.name.as_str() {
            "output" if is_trait => "patch".to_owned(),
            "output" => "output".to_owned(),
            other => format!("outputs.{other}"),
        };
        let faults = served.faults(&shown.object).into_iter();
        faults
            .filter(|fault| last_name(&fault.path) != SAMPLE_NAME)
            .map(|fault| {
                let path = format!("{name}.{}", fault.path);
                at_field(source, format!("{name}: {}", fault.message), &path)
            })
            .collect::<Vec<_>>()
    };
    // What a trait changes is of no kind that is known, unless it says so.
    let is_judged = |shown: &&super::trial::Shown| {
        !is_trait || shown.name != "output" || is_for_known_workloads(&source.definition)
    };
    objects
        .iter()
        .filter(is_judged)
        .flat_map(of_object)
        .collect()
}

fn dropped(source: &Source, output: &Value) -> Vec<Problem> {
    let findings = unknown_output(output).into_iter();
    let problems = findings.map(|finding| {
        at_field(source, finding.message, &last_name(&finding.path)).hint(finding.hint)
    });
    problems.collect()
}

/// A warning at the place where the template gives the field at a path.
fn at_field(source: &Source, message: String, path: &str) -> Problem {
    let problem = Problem::of_file(&source.file, message).warning();
    match source.place_in_template(path) {
        Some((line, column)) => problem.at(&source.text, line, column),
        None => problem,
    }
}

/// The schema of the parameters, and what is to be said about it.
fn schemas(source: &Source) -> (Value, Vec<Problem>) {
    let schema = |evaluator| parameter::schema(source, evaluator);
    match (schema(Evaluator::V2), schema(Evaluator::V3)) {
        (Ok(v2), Ok(v3)) => {
            let (v2, v3) = (v2.unwrap_or_default(), v3.unwrap_or_default());
            let problems = difference(&v2, &v3, "")
                .map(|(path, left, right)| {
                    Problem::of_file(
                        &source.file,
                        format!(
                            "the parameters have another schema with evaluator v3 than with v2: {path} is \
                             {right}, not {left}"
                        ),
                    )
                    .warning()
                    .hint(ON_EVALUATORS)
                })
                .into_iter()
                .collect();
            (v2, problems)
        }
        (Ok(v2), Err(refusal)) => {
            let problem = only_one(source, "v2", "v3", "no schema of its parameters", &refusal);
            (v2.unwrap_or_default(), vec![problem])
        }
        (Err(refusal), Ok(v3)) => {
            let problem = only_one(source, "v3", "v2", "no schema of its parameters", &refusal);
            (v3.unwrap_or_default(), vec![problem])
        }
        (Err(Refusal::Wrong(errors)), Err(_)) => {
            let problems = errors.iter().map(|error| {
                let mut problem = source.problem(error).warning();
                problem.message = format!(
                    "no schema of the parameters can be made: {}",
                    problem.message
                );
                problem
            });
            (json!({}), problems.collect())
        }
        _ => (json!({}), Vec::new()),
    }
}

const ON_EVALUATORS: &str = "write the template so that both agree, or choose one with the annotation caravel.dev/cue-evaluator";

fn only_one(source: &Source, good: &str, bad: &str, what: &str, refusal: &Refusal) -> Problem {
    let reason = match refusal {
        Refusal::Wrong(errors) => errors.first().map_or("", |error| &error.message),
        Refusal::Calls(_) => "it depends on calls",
        Refusal::Fault(message) => message,
    };
    Problem::of_file(
        &source.file,
        format!("evaluator {bad} gives {what}, and {good} does: {reason}"),
    )
    .warning()
    .hint(ON_EVALUATORS)
}

/// A sample without the parameters that the template does not take: a schema does not say everything.
fn fitting(source: &Source, mut parameters: Value) -> Value {
    for _ in 0..16 {
        let request = ValidateRequest {
            kind: source.definition.kind,
            template: Template {
                name: source.definition.name.clone(),
                source: source.definition.template.clone(),
                parameters: parameters.clone(),
            },
            ..ValidateRequest::default()
        };
        let Ok(result) = ask::<ValidateResult>(Operation::Validate(request), Evaluator::default())
        else {
            break;
        };
        let wrong = result.errors.iter().filter_map(|error| {
            let rest = error.path.strip_prefix("parameter.")?;
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            Some(rest[..end].trim_matches('"').to_owned())
        });
        let wrong: Vec<String> = wrong.collect();
        let Some(fields) = parameters.as_object_mut() else {
            break;
        };
        let before = fields.len();
        fields.retain(|name, _| !wrong.contains(name));
        if fields.len() == before {
            break;
        }
    }
    parameters
}

type Rendered = Result<Outcome, Vec<Diagnostic>>;

fn compare(source: &Source, extent: Extent, v2: Rendered, v3: Rendered) -> Option<Problem> {
    match (v2, v3) {
        (Ok(v2), Ok(v3)) => {
            let (path, left, right) = difference(&as_value(&v2), &as_value(&v3), "")?;
            let problem = Problem::of_file(
                &source.file,
                format!(
                    "with {} it means something else under evaluator v3 than under v2: {path} is {right}, \
                     not {left}",
                    extent.words()
                ),
            );
            Some(problem.warning().hint(ON_EVALUATORS))
        }
        (Ok(_), Err(errors)) => Some(one_fails(source, extent, "v3", "v2", &errors)),
        (Err(errors), Ok(_)) => Some(one_fails(source, extent, "v2", "v3", &errors)),
        (Err(errors), Err(_)) => unrendered(source, extent, &errors),
    }
}

/// With everything at once parameters may exclude each other; the required ones must do.
fn unrendered(source: &Source, extent: Extent, errors: &[Diagnostic]) -> Option<Problem> {
    let is_told = |error: &&Diagnostic| extent == Extent::Required && is_of_author(error);
    let first = errors.first().filter(is_told)?;
    let mut problem = source.problem(first).warning();
    problem.message = format!(
        "with {} it does not render: {}",
        extent.words(),
        first.message
    );
    Some(problem)
}

fn one_fails(
    source: &Source,
    extent: Extent,
    bad: &str,
    good: &str,
    errors: &[Diagnostic],
) -> Problem {
    let mut problem = match errors.first() {
        Some(first) => source.problem(first),
        None => Problem::of_file(&source.file, ""),
    };
    problem.message = format!(
        "with {} it renders under evaluator {good} and not under {bad}: {}",
        extent.words(),
        problem.message
    );
    problem.warning().hint(ON_EVALUATORS)
}

fn as_value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Objects(objects) => objects
            .iter()
            .map(|shown| (shown.name.clone(), shown.object.clone()))
            .collect(),
        Outcome::Step { calls, value } => json!({ "calls": calls, "value": value }),
        Outcome::Calls(calls) => json!(calls),
        Outcome::Application(value) => value.clone(),
    }
}

/// The first place where two values differ, with what stands there.
pub(crate) fn difference(
    left: &Value,
    right: &Value,
    path: &str,
) -> Option<(String, String, String)> {
    if left == right {
        return None;
    }
    let missing = "absent".to_owned();
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => difference(a, b, &path),
                    (Some(a), None) => Some((path, short(a), missing.clone())),
                    (None, b) => Some((path, missing.clone(), b.map_or(String::new(), short))),
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| difference(a, b, &format!("{path}[{index}]"))),
        // Evaluators write the fields of JSON in a text in another order. An annotation of the object itself is read by
        // programs, and its order restarts nothing.
        (Value::String(a), Value::String(b)) if is_same_json(a, b) => {
            if is_annotation(path) {
                return None;
            }
            let other = "the same JSON with its fields in another order".to_owned();
            Some((path.to_owned(), short(left), other))
        }
        _ => Some((path.to_owned(), short(left), short(right))),
    }
}

fn is_annotation(path: &str) -> bool {
    let inner = path.split_once('.').map(|(_, inner)| inner);
    inner.is_some_and(|inner| inner.starts_with("metadata.annotations."))
}

fn is_same_json(left: &str, right: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    read(left).is_some_and(|left| Some(left) == read(right))
}

/// A value on one line, cut where it is long.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 {
        return text;
    }
    let start: String = text.chars().take(117).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_counts_where_a_text_counts() {
        let text = |text: &str| {
            let annotated = |value: Value| json!({"metadata": {"annotations": value}});
            let inner = annotated(json!({"a": text}));
            [
                annotated(json!({"a": text})),
                json!({"spec": {"template": inner}}),
            ]
            .map(|object| json!({ "output": object }))
        };
        let (ours, theirs) = (text(r#"{"a": 1, "b": 2}"#), text(r#"{"b": 2, "a": 1}"#));
        assert_eq!(difference(&ours[0], &theirs[0], ""), None);
        let in_pod = difference(&ours[1], &theirs[1], "").map(|(path, ..)| path);
        assert_eq!(
            in_pod.as_deref(),
            Some("output.spec.template.metadata.annotations.a")
        );
    }
}
