//! Objects of clusters: patched, listed, deleted (PRV-009 to PRV-013).

use caravel_clusters::ObjectKey;
use caravel_clusters::connect::{Cluster, TEMPLATE_MANAGER, Target};
use caravel_core::engine::{Call, MergeRequest, Operation};
use kube::core::params::{Patch, Preconditions};
use serde_json::{Map, Value, json};

use super::super::delivery::Delivery;
use super::super::ports::in_default_namespace;
use crate::calls::{list, text};
use crate::engine::PortError;

impl Delivery {
    /// `kube.#Patch`: reads the object, merges the patch with its strategies, writes what differs.
    pub(super) async fn patch(&self, params: &Value) -> Result<Value, PortError> {
        let (cluster, target) = self.located(params).await?;
        let live = cluster.get(&target).await.map_err(PortError::new)?;
        let live = live.ok_or_else(|| PortError::new(missing(&target)))?;
        let patched = self.merged(&live, &params["patch"]).await?;
        let difference = difference(&live, &patched);
        let result = match difference {
            None => live,
            Some(patch) => cluster
                .patch_as(TEMPLATE_MANAGER, &target, &Patch::Merge(&patch))
                .await
                .map_err(PortError::new)?,
        };
        Ok(json!({"result": result}))
    }

    /// A patch, in CUE text or as a value, merged into an object with the strategies of its comments.
    pub(crate) async fn merged(&self, base: &Value, patch: &Value) -> Result<Value, PortError> {
        let patch = match patch {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let request = MergeRequest {
            base: base.to_string(),
            patch,
        };
        let namespace = &self.appfile.namespace;
        self.evaluation
            .call(namespace, Operation::Merge(request))
            .await
            .map_err(|error| PortError::evaluation(&error, format!("patch: {error}")))
    }

    /// `kube.#ApplyInParallel`.
    pub(super) async fn apply_all(&self, params: &Value) -> Result<Value, PortError> {
        let cluster = text(params, "cluster").unwrap_or_default();
        let objects = params.get("value").and_then(Value::as_array);
        let mut applied = Vec::new();
        for object in objects.into_iter().flatten() {
            let mut object = object.clone();
            in_default_namespace(&mut object);
            let live = self.apply_object(cluster, object).await;
            applied.push(live.map_err(PortError::new)?);
        }
        Ok(json!({"value": applied}))
    }

    /// `kube.#List`: the type stands in `resource`, or in `value` (TRAP-016). A list that failed is an empty one (PRV-012).
    pub(super) async fn list(&self, call: &Call) -> Value {
        let mut asked = call.params.clone();
        let given = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
        if !given(&asked["resource"]) {
            asked["resource"] = asked["value"].take();
        }
        let key = if call.provider == "op" {
            "list"
        } else {
            "values"
        };
        match list(&self.clusters, &asked).await {
            Ok(list) => json!({key: list}),
            Err(why) => {
                let resource = &asked["resource"];
                let none = json!({"apiVersion": resource["apiVersion"], "kind": resource["kind"], "items": []});
                json!({key: none, "err": why})
            }
        }
    }

    /// `kube.#Delete`: one object, or all that a filter selects. Each is deleted as the one that was seen (its uid). One
    /// that is not there is deleted.
    pub(super) async fn delete(&self, params: &Value) -> Result<Value, PortError> {
        let value = &params["value"];
        let filter = &params["filter"];
        if !filter.is_object() {
            let (cluster, target) = self.located(params).await?;
            if let Some(found) = cluster.get(&target).await.map_err(PortError::new)? {
                self.delete_one(&cluster, &found).await?;
            }
            return Ok(json!({}));
        }
        let name = text(params, "cluster").unwrap_or_default();
        let cluster = self.clusters.get(name).map_err(PortError::new)?;
        let mut filter = filter.clone();
        if text(&filter, "namespace").is_none() {
            let namespace = text(&value["metadata"], "namespace").unwrap_or("default");
            filter["namespace"] = namespace.into();
        }
        let asked = json!({"cluster": name, "resource": value, "filter": filter});
        let found = list(&self.clusters, &asked).await.map_err(PortError::new)?;
        for object in found["items"].as_array().into_iter().flatten() {
            self.delete_one(&cluster, object).await?;
        }
        Ok(json!({}))
    }

    pub(super) async fn delete_one(
        &self,
        cluster: &Cluster,
        object: &Value,
    ) -> Result<(), PortError> {
        let target = cluster.target(object).await.map_err(PortError::new)?;
        let uid = text(&object["metadata"], "uid").map(str::to_owned);
        let only_this = Preconditions {
            uid,
            ..Preconditions::default()
        };
        // What state-keeping must not bring back is recorded before it goes (APP-049).
        let key = ObjectKey::of(Some(cluster.name()), object);
        let is_ours = self
            .inventory
            .edit(|inventory| {
                let is_ours = inventory.entry(&key).is_some();
                if is_ours {
                    inventory.mark_deleted(&key);
                }
                is_ours
            })
            .await;
        if is_ours {
            self.commit().await?;
        }
        match cluster.delete(&target, only_this).await {
            Err(error) if error.code() == 404 => Ok(()),
            other => other.map_err(PortError::new),
        }
    }

    pub(super) async fn located(
        &self,
        params: &Value,
    ) -> Result<(std::sync::Arc<Cluster>, Target), PortError> {
        let name = text(params, "cluster").unwrap_or_default();
        let cluster = self.clusters.get(name).map_err(PortError::new)?;
        let mut object = params["value"].clone();
        if !object.is_object() {
            return Err(PortError::new("value is missing"));
        }
        in_default_namespace(&mut object);
        let target = cluster.target(&object).await.map_err(PortError::new)?;
        Ok((cluster, target))
    }
}

fn missing(target: &Target) -> String {
    let resource = &target.resource;
    let group = match resource.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", resource.plural),
        None => resource.plural.clone(),
    };
    format!("{group} {:?} not found", target.name)
}

/// The JSON merge patch (RFC 7396) that makes the second of the first; none where they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        let changed = match before.get(key) {
            Some(old) => difference(old, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(key.clone(), changed);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let before = json!({"a": {"x": 1, "y": 2}, "list": [1, 2], "gone": true, "same": "s"});
        let after = json!({"a": {"x": 1, "y": 3}, "list": [1], "new": {}, "same": "s"});
        assert_eq!(
            difference(&before, &after),
            Some(json!({"a": {"y": 3}, "list": [1], "gone": null, "new": {}}))
        );
        assert_eq!(difference(&before, &before), None);
    }
}
