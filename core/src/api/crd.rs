//! The `CustomResourceDefinitions` of all kinds, made from the types.
//!
//! Names, columns and scope come from the derive; the schemas are made here, because a field is
//! *required* when Go always writes it, which is what schemars calls the serialize contract.

use kube_core::CustomResourceExt;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::{
    Application, ApplicationRevision, ComponentDefinition, DefinitionRevision, Package, Policy,
    PolicyDefinition, ResourceTracker, TraitDefinition, Workflow, WorkflowRun,
    WorkflowStepDefinition, WorkloadDefinition,
};
use super::{
    application, definition, package, revision, tracker, v1alpha2, workflow as workflow_types,
};

/// The `CustomResourceDefinitions` of all kinds, as `kubectl apply` takes them.
pub fn crds() -> Vec<Value> {
    use definition as def;
    vec![
        kind::<Application, application::ApplicationSpec, application::ApplicationStatus>(),
        kind::<
            ApplicationRevision,
            revision::ApplicationRevisionSpec,
            revision::ApplicationRevisionStatus,
        >(),
        kind::<ComponentDefinition, def::ComponentDefinitionSpec, def::DefinitionStatus>(),
        kind::<TraitDefinition, def::TraitDefinitionSpec, def::DefinitionStatus>(),
        kind::<PolicyDefinition, def::PolicyDefinitionSpec, def::DefinitionStatus>(),
        kind::<WorkflowStepDefinition, def::WorkflowStepDefinitionSpec, def::DefinitionStatus>(),
        workload_definition(),
        kind::<DefinitionRevision, def::DefinitionRevisionSpec, NoStatus>(),
        kind::<ResourceTracker, tracker::ResourceTrackerSpec, tracker::ResourceTrackerStatus>(),
        top_level::<Policy, application::PolicySpec>(),
        top_level::<Workflow, workflow_types::WorkflowSpec>(),
        kind::<WorkflowRun, workflow_types::WorkflowRunSpec, workflow_types::WorkflowRunStatus>(),
        kind::<Package, package::PackageSpec, NoStatus>(),
    ]
}

/// The name of the file under `deploy/crds` that holds a definition.
pub fn crd_file_name(crd: &Value) -> String {
    let part = |pointer| {
        crd.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}_{}.yaml",
        part("/spec/group"),
        part("/spec/names/plural")
    )
}

/// Stands for the status of a kind that has none.
#[derive(JsonSchema)]
struct NoStatus {}

/// The definition of a kind with `spec` and `status`.
fn kind<K: CustomResourceExt, Spec: JsonSchema, Status: JsonSchema>() -> Value {
    let spec = schema_of::<Spec>();
    let description = spec.get("description").cloned();
    let mut properties = Map::new();
    properties.insert("spec".to_owned(), spec);
    if std::any::type_name::<Status>() != std::any::type_name::<NoStatus>() {
        let mut status = schema_of::<Status>();
        // What a later version or another controller reports is kept.
        status["x-kubernetes-preserve-unknown-fields"] = json!(true);
        properties.insert("status".to_owned(), status);
    }
    definition_of::<K>(root(description, properties, Vec::new()))
}

/// The definition of a kind whose content stands at the top level of the object.
fn top_level<K: CustomResourceExt, Content: JsonSchema>() -> Value {
    let mut content = schema_of::<Content>();
    let description = content.get("description").cloned();
    let required = content["required"].as_array().cloned().unwrap_or_default();
    let properties = match content["properties"].take() {
        Value::Object(properties) => properties,
        _ => Map::new(),
    };
    definition_of::<K>(root(description, properties, required))
}

/// `WorkloadDefinition` is the only kind with two versions, and its status is no subresource
/// (CRD-007).
fn workload_definition() -> Value {
    let mut stored = kind::<
        WorkloadDefinition,
        definition::WorkloadDefinitionSpec,
        definition::WorkloadDefinitionStatus,
    >();
    let mut old = v1alpha2::WorkloadDefinition::crd_json();
    old["spec"]["versions"][0]["schema"] = stored["spec"]["versions"][0]["schema"].clone();
    old["spec"]["versions"][0]["subresources"] = json!({});
    stored["spec"]["versions"][0]["subresources"] = json!({});
    if let Some(versions) = stored["spec"]["versions"].as_array_mut() {
        versions.insert(0, old["spec"]["versions"][0].take());
    }
    stored
}

/// Writes a `CustomResourceDefinition` as JSON.
trait CrdJson: CustomResourceExt {
    fn crd_json() -> Value {
        serde_json::to_value(Self::crd()).unwrap_or_default()
    }
}

impl<K: CustomResourceExt> CrdJson for K {}

/// The definition that the derive makes, with our schema.
fn definition_of<K: CustomResourceExt>(schema: Value) -> Value {
    let mut crd = K::crd_json();
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
    crd["spec"]["names"]["listKind"] = json!(format!("{kind}List"));
    crd["spec"]["versions"][0]["schema"] = json!({ "openAPIV3Schema": schema });
    crd
}

/// The schema of a whole object.
fn root(
    description: Option<Value>,
    mut properties: Map<String, Value>,
    required: Vec<Value>,
) -> Value {
    properties.insert(
        "apiVersion".to_owned(),
        json!({ "type": "string", "description": "API group and version of the object." }),
    );
    properties.insert(
        "kind".to_owned(),
        json!({ "type": "string", "description": "Kind of the object." }),
    );
    properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    let mut schema = json!({ "type": "object", "properties": properties });
    if let Some(description) = description {
        schema["description"] = description;
    }
    if !required.is_empty() {
        schema["required"] = Value::Array(required);
    }
    schema
}

/// The structural schema of a type.
fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    tidy(&mut schema);
    schema.to_value()
}

/// Leaves only what Kubernetes allows and what is meant: no titles; nulls only for times, which Go
/// writes as null; sorted lists of what is required; only defaults that are marked with `x-default`.
fn tidy(schema: &mut Schema) {
    schemars::transform::transform_subschemas(&mut tidy, schema);
    let is_time = schema.get("format") == Some(&json!("date-time"));
    schema.remove("title");
    schema.remove("default");
    if !is_time {
        schema.remove("nullable");
    }
    if let Some(default) = schema.remove("x-default") {
        schema.insert("default".to_owned(), default);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    let lines = schema
        .get("description")
        .and_then(Value::as_str)
        .map(|text| text.replace('\n', " "));
    if let Some(description) = lines {
        schema.insert("description".to_owned(), json!(description));
    }
}
