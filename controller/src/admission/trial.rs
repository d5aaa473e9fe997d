//! A definition is tried with sample parameters, and the hub is asked about what it makes.

use std::sync::Arc;

use caravel_core::api::Application;
use caravel_core::appfile::{Appfile, Definition, DefinitionSet, Finding, FindingKind, assemble};
use caravel_core::check::{
    Extent, PolicyTrial, SAMPLE_NAME, TEMPLATE, is_for_known_workloads, is_of_author,
    place_of_path, sample, unidentified, unknown_output,
};
use caravel_core::engine::{DefinitionKind, Operation, Outcome, Position, SchemaRequest};
use caravel_core::path::last_name;
use caravel_core::plan::scoped::APPLICATION_SCOPE;
use caravel_core::render::{ComponentRender, RenderStage, RenderedComponent, Role, Target};
use kube::Client;
use kube::api::{Api, DynamicObject, GroupVersionKind, PostParams, Request};
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};

use super::OamAdmission;
use super::attempt::{Tried, attempt};

/// Name of the Application, its component and its objects.
const SAMPLE: &str = "sample";

/// What is to be said about what a definition makes of sample parameters. Samples that do not render say nothing: they are
/// ours, not the author's.
pub(crate) async fn findings(admission: &OamAdmission, definition: &Definition) -> Vec<Finding> {
    let is_scoped =
        definition.kind == DefinitionKind::Policy && definition.scope == APPLICATION_SCOPE;
    let makes_objects = matches!(
        definition.kind,
        DefinitionKind::Component | DefinitionKind::Trait
    );
    if !makes_objects && !is_scoped {
        return Vec::new();
    }
    let schema = match schema(admission, definition).await {
        Ok(schema) => schema,
        Err(finding) => return finding.into_iter().collect(),
    };
    let mut findings: Vec<Finding> = Vec::new();
    for extent in Extent::ALL {
        let parameters = sample(&schema, extent);
        let found = if is_scoped {
            of_policy(admission, definition, parameters, extent).await
        } else {
            of_objects(admission, definition, parameters).await
        };
        for finding in found {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings
}

/// What the hub says against the objects.
async fn of_objects(
    admission: &OamAdmission,
    definition: &Definition,
    parameters: Value,
) -> Vec<Finding> {
    let Some(appfile) = appfile(definition, &parameters) else {
        return Vec::new();
    };
    let Some(rendered) = rendered(admission, definition, &appfile).await else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (name, object) in objects(definition, rendered) {
        findings.extend(judged(&admission.client, definition, &name, object).await);
    }
    findings
}

/// What is wrong with what a policy makes of a sample Application.
async fn of_policy(
    admission: &OamAdmission,
    definition: &Definition,
    parameters: Value,
    extent: Extent,
) -> Vec<Finding> {
    let component = json!({"name": SAMPLE, "type": "webservice", "properties": {"image": SAMPLE}});
    let Some(application) = application(definition, &component) else {
        return Vec::new();
    };
    let trial = PolicyTrial::new(definition, application, parameters);
    let render = trial.render(admission.evaluation.evaluator());
    match attempt(&admission.evaluation, &definition.namespace, render).await {
        Tried::Done(made) => {
            let found = unknown_output(&PolicyTrial::output(&made)).into_iter();
            let placed = found.map(|finding| {
                let positions = locate(&definition.template, &last_name(&finding.path));
                Finding {
                    path: TEMPLATE.to_owned(),
                    ..finding
                }
                .decided_in(&definition.name, positions)
            });
            placed.collect()
        }
        Tried::Failed(error) if extent == Extent::Required => {
            let said = error.diagnostics().into_iter();
            let told = said.filter(is_of_author).map(|said| {
                let message = format!("it fails on a sample Application: {}", said.message);
                Finding::new(FindingKind::Unserved, TEMPLATE, message)
                    .expected(said.expected, said.found)
                    .decided_in(&definition.name, said.positions)
                    .hint(said.hint)
            });
            told.collect()
        }
        Tried::Failed(_) | Tried::Stopped => Vec::new(),
    }
}

/// The schema of the parameters, or a warning that there will be none.
async fn schema(
    admission: &OamAdmission,
    definition: &Definition,
) -> Result<Value, Option<Finding>> {
    let request = SchemaRequest {
        name: definition.name.clone(),
        source: definition.template.clone(),
        detailed: true,
        ..SchemaRequest::default()
    };
    let operation = Operation::Schema(request);
    let outcome = admission
        .evaluation
        .outcome(&definition.namespace, operation, definition.evaluator)
        .await;
    match outcome {
        Outcome::Ok(schema) => Ok(schema),
        Outcome::Error(error) => {
            let first = error.errors.into_iter().next().unwrap_or_default();
            let message = format!(
                "no OpenAPI schema can be made of the parameters: {}",
                first.message
            );
            Err(Some(
                Finding::new(FindingKind::Unserved, TEMPLATE, message)
                    .decided_in(&definition.name, first.positions)
                    .hint("it renders all the same; forms and documentation have nothing to show"),
            ))
        }
        _ => Err(None),
    }
}

/// The sample component; a trait is put on a workload that it is meant for.
fn appfile(definition: &Definition, parameters: &Value) -> Option<Appfile> {
    let mut set = DefinitionSet::default();
    let component = match definition.kind {
        DefinitionKind::Trait => {
            set.insert(Arc::new(workload(definition)));
            json!({"name": SAMPLE, "type": SAMPLE,
                "traits": [{"type": definition.name, "properties": parameters}]})
        }
        _ => json!({"name": SAMPLE, "type": definition.name, "properties": parameters}),
    };
    set.insert(Arc::new(definition.clone()));
    assemble(&application(definition, &component)?, &set).ok()
}

/// An Application of one component.
fn application(definition: &Definition, component: &Value) -> Option<Application> {
    serde_json::from_value(json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": SAMPLE, "namespace": definition.namespace},
        "spec": {"components": [component]},
    }))
    .ok()
}

/// A workload of the first kind that the trait is meant for, as far as we know one.
fn workload(definition: &Definition) -> Definition {
    let targets = &definition.applies_to_workloads;
    let known = [
        ("deployments.apps", "apps/v1", "Deployment"),
        ("statefulsets.apps", "apps/v1", "StatefulSet"),
        ("daemonsets.apps", "apps/v1", "DaemonSet"),
        ("jobs.batch", "batch/v1", "Job"),
    ];
    let (_, api_version, kind) = known
        .into_iter()
        .find(|(name, ..)| {
            targets.is_empty() || targets.iter().any(|target| target == "*" || target == name)
        })
        .unwrap_or(known[0]);
    let template = json!({
        "output": {
            "apiVersion": api_version, "kind": kind,
            "spec": {"template": {
                "metadata": {"labels": {"app": SAMPLE}},
                "spec": {"containers": [{"name": SAMPLE, "image": SAMPLE}]},
            }},
        },
        "parameter": {},
    });
    Definition {
        name: SAMPLE.to_owned(),
        namespace: definition.namespace.clone(),
        // JSON is CUE.
        template: template.to_string(),
        ..Definition::default()
    }
}

async fn rendered(
    admission: &OamAdmission,
    definition: &Definition,
    appfile: &Appfile,
) -> Option<RenderedComponent> {
    let component = appfile.components.first()?;
    let target = Target::dry_run(admission.cluster_version.clone());
    let evaluator = admission.evaluation.evaluator();
    let render = ComponentRender::new(appfile, component, target, RenderStage::All, evaluator);
    match attempt(&admission.evaluation, &definition.namespace, render).await {
        Tried::Done(rendered) => Some(rendered),
        _ => None,
    }
}

/// What the definition has made, with its name in the template: of a trait's workload, nothing where we do not
/// know what it is meant for.
fn objects(definition: &Definition, rendered: RenderedComponent) -> Vec<(String, Value)> {
    let is_trait = definition.kind == DefinitionKind::Trait;
    let is_judged = !is_trait || is_for_known_workloads(definition);
    let objects = rendered.objects.into_iter();
    let judged = objects.filter(|object| is_judged || object.role != Role::Workload);
    let named = judged.map(|object| match object.role {
        Role::Workload if is_trait => ("patch".to_owned(), object.object),
        Role::Workload => ("output".to_owned(), object.object),
        _ => (format!("outputs.{}", object.output_name), object.object),
    });
    named.collect()
}

/// A dry run of the creation, strict about fields.
async fn judged(
    client: &Client,
    definition: &Definition,
    name: &str,
    mut object: Value,
) -> Vec<Finding> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let place = |finding: Finding, field: &str| {
        let positions = locate(&definition.template, &format!("{name}.{field}"));
        finding.decided_in(&definition.name, positions).about(name)
    };
    if let Some(missing) = unidentified(&object) {
        let message = format!("the object has no {missing}: it cannot be applied");
        let finding = Finding::new(FindingKind::Missing, TEMPLATE, message)
            .hint(format!("write {name}: {{apiVersion: …, kind: …}}"));
        return vec![place(finding, "")];
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    let Ok((resource, capabilities)) = pinned_kind(client, &gvk).await else {
        let message = format!("the hub does not know the kind {kind} of {api_version}");
        let finding = Finding::new(FindingKind::Unserved, TEMPLATE, message).hint(
            "check apiVersion and kind; if only the target clusters have the kind, this is fine",
        );
        return vec![place(finding, "kind")];
    };
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), &definition.namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    };
    match capabilities.scope {
        Scope::Namespaced => object["metadata"]["namespace"] = json!(definition.namespace),
        Scope::Cluster => {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
        }
    }
    let Err(said) = dry_run(client, api.resource_url(), &object).await else {
        return Vec::new();
    };
    // What a sample has names for is the user's to name.
    let faults = faults(&said).into_iter();
    faults
        .filter(|fault| last_name(&fault.path) != SAMPLE_NAME)
        .map(|fault| {
            let message = format!("{kind} {}", fault.words);
            let finding = Finding::new(FindingKind::Unserved, TEMPLATE, message)
                .expected(fault.expected, fault.found)
                .hint("the hub's schema of the kind decides; `kubectl explain` shows it");
            place(finding, &fault.path)
        })
        .collect()
}

/// What the hub says against a creation; nothing else counts.
async fn dry_run(client: &Client, url: &str, object: &Value) -> Result<(), String> {
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let body = object.to_string().into_bytes();
    let Ok(mut request) = Request::new(url).create(&parameters, body) else {
        return Ok(());
    };
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    if let Ok(uri) = strict.parse() {
        *request.uri_mut() = uri;
    }
    match client.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 400 => Err(status.message.clone()),
        // Values of samples are refused for being samples.
        _ => Ok(()),
    }
}

/// One thing that the hub says against an object.
#[derive(Debug, PartialEq)]
struct Fault {
    words: String,
    /// The field's path.
    path: String,
    expected: String,
    found: String,
}

/// Unknown fields, and values of another type, in the words of Kubernetes' decoder.
fn faults(said: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for part in said.split("unknown field \"").skip(1) {
        let path = part.split('"').next().unwrap_or_default();
        faults.push(Fault {
            words: format!("has no field `{path}`"),
            path: path.to_owned(),
            expected: String::new(),
            found: String::new(),
        });
    }
    if let Some((_, rest)) = said.split_once("cannot unmarshal ") {
        let mut parts = rest.splitn(2, " into Go struct field ");
        let found = parts.next().unwrap_or_default();
        let (path, type_) = parts
            .next()
            .and_then(|rest| rest.split_once(" of type "))
            .unwrap_or_default();
        let path = path.split_once('.').map_or(path, |(_, path)| path);
        if !path.is_empty() {
            faults.push(Fault {
                words: format!("takes another type of value in `{path}`"),
                path: path.to_owned(),
                expected: type_.to_owned(),
                found: found.to_owned(),
            });
        }
    }
    faults
}

/// Where the field at a path is given.
fn locate(template: &str, path: &str) -> Vec<Position> {
    let at = |(line, column)| Position {
        file: "template".to_owned(),
        line,
        column,
    };
    place_of_path(template, path).map(at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_wrong_types_are_read_from_the_servers_words() {
        let said = "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: \
                    unknown field \"spec.replica\", unknown field \"spec.template.spec.containers[0].imag\"";
        let paths: Vec<String> = faults(said).into_iter().map(|fault| fault.path).collect();
        assert_eq!(
            paths,
            ["spec.replica", "spec.template.spec.containers[0].imag"]
        );
        let said = "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal \
                    string into Go struct field DeploymentSpec.spec.replicas of type int32";
        let fault = &faults(said)[0];
        assert_eq!(
            fault.words,
            "takes another type of value in `spec.replicas`"
        );
        assert_eq!(
            (fault.expected.as_str(), fault.found.as_str()),
            ("int32", "string")
        );
        assert_eq!(faults("something else"), []);
    }
}
