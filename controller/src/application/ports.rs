//! The world of one run: what its steps do to clusters.

use std::sync::Arc;

use async_trait::async_trait;
use caravel_core::api::{ApplicationComponent, ComponentStatus};
use caravel_core::appfile::{AppComponent, Appfile, assemble};
use caravel_core::engine::{Call, ExpressionRequest, Operation};
use serde_json::Value;

use super::component::{Asked, Delivered, Patches};
use super::delivery::{Delivery, DeliveryError};
use super::health::Place;
use crate::engine::{
    Applied, ComponentRequest, DeployRequest, PortError, Ports, StepTemplate, UnknownOutcome,
};

/// Where Kubernetes puts what names no namespace.
const DEFAULT_NAMESPACE: &str = "default";

#[async_trait]
impl Ports for Delivery {
    async fn template(&self, type_: &str) -> Result<Option<StepTemplate>, PortError> {
        let definition = match self.appfile.step_definitions.get(type_) {
            Some(resolved) => resolved.definition.clone(),
            // Types that need no definition in an Application still have one in the hub (WF-023).
            None => match self.builtin_step(type_) {
                Some(definition) => definition,
                None => return Ok(None),
            },
        };
        let declared = definition.annotations.get(UnknownOutcome::ANNOTATION);
        let unknown_outcome = match declared {
            None => UnknownOutcome::default(),
            Some(text) => UnknownOutcome::parse(text).ok_or_else(|| {
                PortError::new(format!(
                    "definition {}: annotation {} is {text:?}: expected repeat or fail",
                    definition.name,
                    UnknownOutcome::ANNOTATION
                ))
            })?,
        };
        Ok(Some(StepTemplate {
            name: definition.name.clone(),
            source: definition.template.clone(),
            evaluator: definition.evaluator,
            unknown_outcome,
        }))
    }

    async fn apply(&self, cluster: &str, mut object: Value) -> Result<Value, PortError> {
        in_default_namespace(&mut object);
        self.apply_object(cluster, object)
            .await
            .map_err(PortError::new)
    }

    async fn read(&self, cluster: &str, object: &Value) -> Result<Option<Value>, PortError> {
        let mut object = object.clone();
        in_default_namespace(&mut object);
        self.read_object(cluster, &object)
            .await
            .map_err(PortError::new)
    }

    async fn apply_component(&self, request: ComponentRequest) -> Result<Applied, PortError> {
        let (appfile, component) = self.component(&request)?;
        let patches = match &request.patch {
            Some(patch) => Some(self.patches(patch).await?),
            None => None,
        };
        let namespace = if request.namespace.is_empty() {
            self.appfile.namespace.clone()
        } else {
            request.namespace
        };
        let place = Place {
            cluster: request.cluster,
            namespace,
            replica_key: String::new(),
        };
        let asked = Asked {
            appfile: &appfile,
            component: &component,
            place: &place,
            patches: patches.as_ref(),
        };
        let delivered = Self::apply_component(self, asked).await.map_err(told)?;
        Ok(applied(delivered))
    }

    async fn deploy(&self, request: DeployRequest) -> Result<Applied, PortError> {
        super::deploy::deploy(self, &request).await
    }

    async fn log(&self, step: &str, params: &Value) -> Result<(), PortError> {
        self.note_log(step, params).await
    }

    async fn debug(&self, step_id: &str, value: &Value) -> Result<(), PortError> {
        self.note_debug(step_id, value).await
    }

    async fn merge(&self, base: &Value, patch: &Value) -> Result<Value, PortError> {
        self.merged(base, patch).await
    }

    async fn other(&self, call: &Call) -> Result<Option<Value>, PortError> {
        self.provide(call).await
    }
}

impl Delivery {
    /// The component with what the step says differently of it. One that the Application does not have is taken as
    /// the step gives it.
    pub(super) fn component(
        &self,
        request: &ComponentRequest,
    ) -> Result<(Arc<Appfile>, AppComponent), PortError> {
        let of_value = request
            .value
            .as_ref()
            .and_then(|value| value["name"].as_str());
        let name = Some(request.component.as_str())
            .filter(|name| !name.is_empty())
            .or(of_value)
            .unwrap_or_default();
        let mut components = self.appfile.components.iter();
        let found = components.find(|one| one.spec.name == name);
        let Some(found) = found else {
            let given = request.value.as_ref();
            let given = given.filter(|value| value["type"].is_string());
            let given = given.ok_or_else(|| told(DeliveryError::NoComponent(name.to_owned())))?;
            return self.foreign(given);
        };
        let mut component = found.clone();
        let Some(value) = &request.value else {
            return Ok((self.appfile.clone(), component));
        };
        if is_another(found, value) {
            return self.foreign(value);
        }
        if let Some(properties) = value.get("properties").filter(|given| !given.is_null()) {
            overlay(
                component.spec.properties.get_or_insert_with(Value::default),
                properties,
            );
        }
        let given = value
            .get("traits")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (part, given) in component.traits.iter_mut().zip(given) {
            if let Some(properties) = given.get("properties").filter(|given| !given.is_null()) {
                overlay(
                    part.properties.get_or_insert_with(Value::default),
                    properties,
                );
            }
        }
        Ok((self.appfile.clone(), component))
    }

    /// A component that only a step knows, or knows otherwise.
    fn foreign(&self, given: &Value) -> Result<(Arc<Appfile>, AppComponent), PortError> {
        let component: ApplicationComponent = serde_json::from_value(given.clone())
            .map_err(|error| PortError::new(format!("value is no component: {error}")))?;
        let component = self.assembled(component)?;
        let mut appfile = (*self.appfile).clone();
        let name = &component.spec.name;
        appfile.components.retain(|one| one.spec.name != *name);
        appfile.components.push(component.clone());
        Ok((Arc::new(appfile), component))
    }

    /// A component with its definitions.
    pub(super) fn assembled(
        &self,
        component: ApplicationComponent,
    ) -> Result<AppComponent, PortError> {
        let mut application = (*self.application).clone();
        application.spec.components = vec![component];
        application.spec.workflow = None;
        application.spec.policies.clear();
        let assembled = assemble(&application, &*self.source)
            .map_err(|rejection| PortError::new(rejection.kubevela_text()))?;
        let component = assembled.components.into_iter().next();
        component.ok_or_else(|| PortError::new("value is no component"))
    }

    /// What a step's patch, in CUE text, says of the workload and, under `traits`, of further objects (row REN-019).
    pub(super) async fn patches(&self, patch: &Value) -> Result<Patches, PortError> {
        // JSON is CUE.
        let text = match patch {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let asked = format!(
            "{{let _patch = {{\n{text}\n}}\nworkload: _patch.workload != _|_\n\
             traits: [if _patch.traits != _|_ for name, _ in _patch.traits {{name}}]}}"
        );
        let operation = Operation::Expression(ExpressionRequest {
            expression: asked,
            ..ExpressionRequest::default()
        });
        let parts: PatchParts = self
            .evaluation
            .call(&self.appfile.namespace, operation)
            .await
            .map_err(|error| {
                let words = format!("the patch of the component: {error}");
                PortError::evaluation(&error, words)
            })?;
        let part = |path: &str| format!("let _patch = {{\n{text}\n}}\n_patch.{path}\n");
        Ok(Patches {
            workload: parts.workload.then(|| part("workload")),
            outputs: parts
                .traits
                .into_iter()
                .map(|name| {
                    let path = format!("traits[{}]", Value::from(name.as_str()));
                    (name, part(&path))
                })
                .collect(),
        })
    }
}

/// Which parts a patch has.
#[derive(serde::Deserialize)]
struct PatchParts {
    workload: bool,
    traits: Vec<String>,
}

/// Lays values over others: objects field by field, lists item by item, everything else as a whole.
fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => {
            for (index, value) in over.iter().enumerate() {
                match base.get_mut(index) {
                    Some(item) => overlay(item, value),
                    None => base.push(value.clone()),
                }
            }
        }
        // A hole in a list that an input left: what was there stays.
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

/// Objects that a step names without a namespace are those of `default`, and not of the Application's own
/// (measured trap 5).
pub(super) fn in_default_namespace(object: &mut Value) {
    let namespace = &mut object["metadata"]["namespace"];
    if namespace.as_str().is_none_or(str::is_empty) {
        *namespace = Value::from(DEFAULT_NAMESPACE);
    }
}

/// In KubeVela's words, which clients know; ours stand in the conditions.
pub(super) fn told(error: DeliveryError) -> PortError {
    match &error {
        DeliveryError::Engine(of_engine) => PortError::evaluation(of_engine, &error),
        _ => PortError::new(error),
    }
}

/// A component that was applied, as steps see it.
pub(super) fn applied(delivered: Delivered) -> Applied {
    Applied {
        healthy: delivered.is_ready,
        message: unhealthy_message(&delivered.row),
        awaits: delivered.awaits,
        output: delivered.output,
        outputs: delivered.outputs,
    }
}

fn unhealthy_message(row: &ComponentStatus) -> String {
    let of_trait = row
        .traits
        .iter()
        .find(|part| !part.healthy && !part.pending);
    let text = row.message.clone().filter(|_| !row.workload_healthy);
    let text = text.or_else(|| of_trait.and_then(|part| part.message.clone()));
    match text {
        Some(text) => format!("wait healthy: {text}"),
        None => "wait healthy".to_owned(),
    }
}

/// Whether a value is a whole component (it has a type) of another type, or with other traits, than the Application has.
fn is_another(found: &AppComponent, value: &Value) -> bool {
    let Some(type_) = value["type"].as_str() else {
        return false;
    };
    let traits = value["traits"].as_array().into_iter().flatten();
    let given = traits.map(|given| given["type"].as_str().unwrap_or_default());
    type_ != found.spec.type_ || !given.eq(found.traits.iter().map(|part| part.type_.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_are_laid_over_what_the_component_says() {
        let mut base = json!({"image": "a:1", "ports": [{"port": 80, "expose": true}], "env": 1});
        overlay(
            &mut base,
            &json!({"ports": [{"port": 81}, {"port": 82}], "cpu": "1"}),
        );
        assert_eq!(
            base,
            json!({"image": "a:1", "cpu": "1", "env": 1,
                   "ports": [{"port": 81, "expose": true}, {"port": 82}]})
        );
    }
}
