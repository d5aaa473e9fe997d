//! Applications: shape, names, types, parameters.

use caravel_core::api::{Application, StepInput};
use caravel_core::appfile::{
    Appfile, Finding, FindingKind, Resolved, is_builtin, named, parse, read_application,
};
use caravel_core::engine::{
    DefinitionKind, Diagnostic, DiagnosticKind, FormatRequest, Operation, Template,
    ValidateRequest, ValidateResult,
};
use caravel_engines::{Answer, EngineError};
use caravel_schema::field;
use serde_json::{Value, json};

use super::definition::in_words;
use super::{OamAdmission, Verdict};
use crate::application::LiveSource;

/// Judges an Application, and names the steps that have no name (CRD-040).
pub(crate) async fn admit(
    admission: &OamAdmission,
    object: &mut Value,
    namespace: &str,
) -> Verdict {
    name_steps(object);
    // The kind's schema is checked after this, and says better what is wrong with a shape.
    let Ok(mut application) = read_application(object) else {
        return Verdict::default();
    };
    application.metadata.namespace = Some(namespace.to_owned());
    let source = match LiveSource::gather(&admission.client, &admission.library, &application).await
    {
        Ok(source) => source,
        Err(error) => {
            return Verdict {
                errors: Vec::new(),
                warnings: vec![format!("the Application could not be checked: {error}")],
            };
        }
    };
    let mut verdict = match parse(&application, &source) {
        Ok(appfile) => parameters(admission, &application, &appfile).await,
        Err(rejection) => findings(rejection.findings.iter()),
    };
    conditions(admission, &application, &mut verdict).await;
    verdict
}

/// The `if` of each step must be an expression: at run time a broken one fails the step.
async fn conditions(admission: &OamAdmission, application: &Application, verdict: &mut Verdict) {
    let steps = application
        .spec
        .workflow
        .iter()
        .flat_map(|flow| &flow.steps);
    let mut found = Vec::new();
    for (index, step) in steps.enumerate() {
        let path = format!("spec.workflow.steps[{index}]");
        found.extend(step.if_.as_deref().map(|text| (path.clone(), text)));
        for (at, sub_step) in step.sub_steps.iter().enumerate() {
            let path = format!("{path}.subSteps[{at}]");
            found.extend(sub_step.if_.as_deref().map(|text| (path, text)));
        }
    }
    let namespace = application
        .metadata
        .namespace
        .as_deref()
        .unwrap_or_default();
    for (path, text) in found {
        // No parentheses: CUE reads a comma where a line ends in them.
        let request = FormatRequest {
            file: "if".to_owned(),
            source: format!("if_: {text}\n"),
        };
        let answer = admission
            .evaluation
            .ask(namespace, Operation::Format(request))
            .await;
        if let Err(EngineError::Template(problem)) = answer {
            let detail = problem.errors.first().map(plain).unwrap_or_default();
            let detail = format!("this is no CUE expression: {detail}");
            verdict
                .errors
                .push(field::Error::invalid(format!("{path}.if"), text, detail));
        }
    }
}

/// Writes generated names into the steps, so that everybody sees the same ones.
fn name_steps(object: &mut Value) {
    let Some(steps) = object.pointer_mut("/spec/workflow/steps") else {
        return;
    };
    let Ok(typed) = serde_json::from_value(steps.clone()) else {
        return;
    };
    let typed: Vec<caravel_core::api::WorkflowStep> = named(typed);
    for (step, named) in steps.as_array_mut().into_iter().flatten().zip(typed) {
        set_name(step, &named.name);
        // Indexing with `[]` would write a null where there is nothing.
        let sub_steps = step
            .get_mut("subSteps")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten();
        for (sub_step, named) in sub_steps.zip(named.sub_steps) {
            set_name(sub_step, &named.name);
        }
    }
}

fn set_name(step: &mut Value, name: &str) {
    if step["name"].as_str().is_none_or(str::is_empty) {
        step["name"] = json!(name);
    }
}

fn findings<'a>(findings: impl Iterator<Item = &'a Finding>) -> Verdict {
    let mut verdict = Verdict::default();
    for finding in findings {
        if finding.kind.may_resolve() {
            verdict.warnings.push(finding.to_string());
        } else {
            verdict.errors.push(field_error(finding));
        }
    }
    verdict
}

fn field_error(finding: &Finding) -> field::Error {
    let mut detail = finding.message.clone();
    if !finding.expected.is_empty() {
        detail = format!("{detail} (expected {})", finding.expected);
    }
    if !finding.hint.is_empty() {
        detail = format!("{detail}; {}", finding.hint);
    }
    let path = if finding.path.is_empty() {
        "spec"
    } else {
        &finding.path
    };
    match finding.kind {
        FindingKind::Missing => field::Error::required(path, detail),
        // What was found is where the other one stands, not a value.
        FindingKind::Duplicate => field::Error::invalid_without_value(path, detail),
        _ if finding.found.is_empty() => field::Error::invalid_without_value(path, detail),
        _ => field::Error::invalid(path, finding.found.clone(), detail),
    }
}

/// One template with the parameters that an Application gives it.
struct Use<'a> {
    kind: DefinitionKind,
    resolved: &'a Resolved,
    parameters: Option<&'a Value>,
    inputs: &'a [StepInput],
    /// Field path of the parameters.
    path: String,
}

async fn parameters(
    admission: &OamAdmission,
    application: &Application,
    appfile: &Appfile,
) -> Verdict {
    let mut verdict = Verdict::default();
    for usage in usages(application, appfile) {
        check(admission, &appfile.namespace, &usage, &mut verdict).await;
    }
    verdict.warnings.extend(misapplied_traits(appfile));
    verdict
}

fn usages<'a>(application: &'a Application, appfile: &'a Appfile) -> Vec<Use<'a>> {
    let mut usages = Vec::new();
    for component in &appfile.components {
        usages.push(Use {
            kind: DefinitionKind::Component,
            resolved: &component.resolved,
            parameters: component.spec.properties.as_ref(),
            inputs: &component.spec.inputs,
            path: format!("{}.properties", component.path),
        });
        for (index, part) in component.traits.iter().enumerate() {
            usages.push(Use {
                kind: DefinitionKind::Trait,
                resolved: &part.resolved,
                parameters: part.properties.as_ref(),
                inputs: &component.spec.inputs,
                path: format!("{}.traits[{index}].properties", component.path),
            });
        }
    }
    let steps = application
        .spec
        .workflow
        .iter()
        .flat_map(|flow| &flow.steps);
    for (index, step) in steps.enumerate() {
        let path = format!("spec.workflow.steps[{index}]");
        usages.extend(step_use(
            appfile,
            &step.type_,
            step.properties.as_ref(),
            &step.inputs,
            &path,
        ));
        for (at, sub) in step.sub_steps.iter().enumerate() {
            let path = format!("{path}.subSteps[{at}]");
            usages.extend(step_use(
                appfile,
                &sub.type_,
                sub.properties.as_ref(),
                &sub.inputs,
                &path,
            ));
        }
    }
    usages
}

fn step_use<'a>(
    appfile: &'a Appfile,
    type_: &str,
    parameters: Option<&'a Value>,
    inputs: &'a [StepInput],
    path: &str,
) -> Option<Use<'a>> {
    if is_builtin(type_) {
        return None;
    }
    let resolved = appfile.step_definitions.get(type_)?;
    let path = format!("{path}.properties");
    Some(Use {
        kind: DefinitionKind::WorkflowStep,
        resolved,
        parameters,
        inputs,
        path,
    })
}

async fn check(admission: &OamAdmission, namespace: &str, usage: &Use<'_>, verdict: &mut Verdict) {
    let definition = &usage.resolved.definition;
    if definition.template.is_empty() {
        return;
    }
    let request = ValidateRequest {
        kind: usage.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            parameters: usage.parameters.cloned().unwrap_or_else(|| json!({})),
        },
        provided_later: usage
            .inputs
            .iter()
            .filter_map(|input| fed(usage.kind, input))
            .collect(),
        status: caravel_core::engine::DefinitionStatusText::default(),
    };
    match admission
        .evaluation
        .ask(namespace, Operation::Validate(request))
        .await
    {
        Ok(Answer::Done(result)) => {
            let result: ValidateResult = serde_json::from_value(result).unwrap_or_default();
            verdict
                .errors
                .extend(result.errors.iter().map(|one| parameter_error(usage, one)));
            let warnings = result.warnings.iter();
            verdict
                .warnings
                .extend(warnings.map(|one| format!("{}: {}", place(usage, one), plain(one))));
        }
        // What a call would answer is not known before the workflow runs.
        Ok(Answer::Need(_)) => {}
        Err(EngineError::Template(problem)) => {
            verdict
                .errors
                .extend(problem.errors.iter().map(|one| parameter_error(usage, one)));
        }
        Err(error) => verdict
            .warnings
            .push(format!("{}: not checked: {error}", usage.path)),
    }
}

/// The parameter that an input feeds, as the template sees it (APP-040).
fn fed(kind: DefinitionKind, input: &StepInput) -> Option<String> {
    let key = input.parameter_key.as_deref()?;
    let key = if kind == DefinitionKind::Component {
        key.strip_prefix("properties.").unwrap_or(key)
    } else {
        key
    };
    Some(key.to_owned())
}

fn parameter_error(usage: &Use<'_>, diagnostic: &Diagnostic) -> field::Error {
    let path = place(usage, diagnostic);
    match diagnostic.kind {
        DiagnosticKind::Missing => field::Error::required(path, plain(diagnostic)),
        _ => field::Error::invalid_without_value(path, in_words(diagnostic)),
    }
}

/// The message without the place in the template: for what is wrong with the parameters themselves.
fn plain(diagnostic: &Diagnostic) -> String {
    in_words(&Diagnostic {
        positions: Vec::new(),
        path: String::new(),
        ..diagnostic.clone()
    })
}

/// Field path in the Application of what a template calls `parameter.x`.
fn place(usage: &Use<'_>, diagnostic: &Diagnostic) -> String {
    match diagnostic.path.strip_prefix("parameter") {
        Some(rest) => format!("{}{rest}", usage.path),
        None => usage.path.clone(),
    }
}

/// Traits that are not meant for the workload, or not for each other (REN-023: KubeVela does not look).
fn misapplied_traits(appfile: &Appfile) -> Vec<String> {
    let mut warnings = Vec::new();
    for component in &appfile.components {
        let workload = component.resolved.definition.workload.as_ref();
        for (index, part) in component.traits.iter().enumerate() {
            let definition = &part.resolved.definition;
            let path = format!("{}.traits[{index}]", component.path);
            let named = workload.map(|w| resource_name(&w.api_version, &w.kind));
            let fits = |pattern: &String| applies(pattern, named.as_deref(), &component.spec.type_);
            let targets = &definition.applies_to_workloads;
            if !targets.is_empty() && named.is_some() && !targets.iter().any(fits) {
                warnings.push(format!(
                    "{path}: the trait `{}` is meant for {}; the workload of `{}` is another kind, and the \
                     trait may have no effect",
                    part.type_,
                    targets.join(", "),
                    component.spec.type_
                ));
            }
            for other in component
                .traits
                .iter()
                .filter(|other| other.type_ != part.type_)
            {
                if definition.conflicts_with.contains(&other.type_) {
                    warnings.push(format!(
                        "{path}: the trait `{}` does not go with `{}`",
                        part.type_, other.type_
                    ));
                }
            }
        }
    }
    warnings
}

/// `deployments.apps` for a Deployment. The plural is guessed as Kubernetes' own kinds form it.
fn resource_name(api_version: &str, kind: &str) -> String {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let lower = kind.to_lowercase();
    let plural = match lower.as_bytes() {
        [.., b's' | b'x'] => format!("{lower}es"),
        [.., b'y'] => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    };
    if group.is_empty() {
        plural
    } else {
        format!("{plural}.{group}")
    }
}

fn applies(pattern: &str, workload: Option<&str>, type_: &str) -> bool {
    if pattern == "*" || pattern == type_ {
        return true;
    }
    let Some(workload) = workload else {
        return true;
    };
    match pattern.strip_prefix("*.") {
        Some(group) => workload.split_once('.').is_some_and(|(_, of)| of == group),
        // `deployments` without a group is what old definitions write.
        None => pattern == workload || workload.split('.').next() == Some(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnamed_steps_get_the_names_that_everybody_sees() {
        let mut object = json!({"spec": {"workflow": {"steps": [
            {"type": "suspend"},
            {"name": "group", "type": "step-group", "subSteps": [{"type": "request"}]},
        ]}}});
        name_steps(&mut object);
        let steps = &object["spec"]["workflow"]["steps"];
        assert_eq!(steps[0], json!({"type": "suspend", "name": "step-0"}));
        assert_eq!(steps[1]["name"], "group");
        assert_eq!(steps[1]["subSteps"][0]["name"], "step-1-0");
    }

    #[test]
    fn traits_apply_by_kind_group_or_definition() {
        let workload = resource_name("apps/v1", "Deployment");
        assert_eq!(workload, "deployments.apps");
        assert_eq!(
            resource_name("networking.k8s.io/v1", "Ingress"),
            "ingresses.networking.k8s.io"
        );
        for (pattern, expected) in [
            ("*", true),
            ("deployments.apps", true),
            ("deployments", true),
            ("*.apps", true),
            ("webservice", true),
            ("jobs.batch", false),
            ("*.batch", false),
        ] {
            assert_eq!(
                applies(pattern, Some(&workload), "webservice"),
                expected,
                "{pattern}"
            );
        }
    }
}
