//! One ResourceTracker.

use caravel_core::api::labels::{self, annotations, finalizers};
use caravel_core::api::{
    Algorithm, Compression, CompressionError, ManagedResource, ResourceTrackerSpec, TrackerType,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::InventoryError;
use crate::key::{ObjectKey, text};
use crate::owner::{Owner, object_at};

/// A ResourceTracker, with its entries unpacked. Fields that we do not know stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracker {
    raw: Value,
    type_: TrackerType,
    generation: i64,
    entries: Vec<ManagedResource>,
    changed: bool,
}

impl Tracker {
    /// A tracker that is not stored yet.
    pub(super) fn new(owner: &Owner, type_: TrackerType) -> Self {
        let versioned = type_ == TrackerType::Versioned;
        let generation = if versioned { owner.generation } else { 0 };
        let mut raw = json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "ResourceTracker",
            "metadata": {
                "name": name_of(owner, type_),
                "finalizers": [finalizers::TRACKER],
                "labels": {
                    labels::APP_NAME: owner.name,
                    labels::APP_NAMESPACE: owner.namespace,
                    labels::APP_UID: owner.uid,
                },
            },
            "spec": { "type": type_, "applicationGeneration": generation },
        });
        if let Some(revision) = &owner.revision {
            object_at(&mut raw, "labels")
                .insert(labels::APP_REVISION.to_owned(), revision.clone().into());
        }
        if let Some(version) = owner.publish_version.as_ref().filter(|_| versioned) {
            object_at(&mut raw, "annotations").insert(
                annotations::PUBLISH_VERSION.to_owned(),
                version.clone().into(),
            );
        }
        Self {
            raw,
            type_,
            generation,
            entries: Vec::new(),
            changed: true,
        }
    }

    /// Reads a stored tracker.
    ///
    /// # Errors
    /// If its content is damaged.
    pub fn read(raw: Value) -> Result<Self, InventoryError> {
        let name = text(&raw["metadata"]["name"]).to_owned();
        let spec: ResourceTrackerSpec =
            serde_json::from_value(raw["spec"].clone()).map_err(|error| {
                InventoryError::Malformed {
                    name: name.clone(),
                    message: error.to_string(),
                }
            })?;
        let entries = match spec.resources() {
            Ok(entries) => entries.into_owned(),
            Err(source) => return Err(InventoryError::Compressed { name, source }),
        };
        Ok(Self {
            raw,
            type_: spec.type_.unwrap_or_default(),
            generation: spec.application_generation,
            entries,
            changed: false,
        })
    }

    /// The object as it is to be stored.
    pub(super) fn write(&self, algorithm: Option<Algorithm>) -> Result<Value, CompressionError> {
        let mut spec = ResourceTrackerSpec::default();
        spec.set_resources(self.entries.clone(), algorithm)?;
        let mut raw = self.raw.clone();
        let stored = as_map(&mut raw["spec"]);
        if spec.managed_resources.is_empty() {
            stored.remove("managedResources");
        } else {
            stored.insert("managedResources".to_owned(), json!(spec.managed_resources));
        }
        if spec.compression == Compression::default() {
            stored.remove("compression");
        } else {
            stored.insert("compression".to_owned(), json!(spec.compression));
        }
        Ok(raw)
    }

    /// Takes over what the API server made of a stored tracker.
    pub(super) fn stored(&mut self, raw: Value) {
        self.raw = raw;
        self.changed = false;
    }

    /// Takes over what was stored of a copy; what was edited since is still to be written.
    pub(super) fn take_stored(&mut self, copy: Self) {
        if copy.changed {
            // It was not written.
            return;
        }
        self.changed = self.entries != copy.entries;
        self.raw = copy.raw;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        text(&self.raw["metadata"]["name"])
    }

    /// What it lists.
    pub fn type_(&self) -> TrackerType {
        self.type_
    }

    /// The generation of the Application that it belongs to.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The publish version that it belongs to.
    pub fn publish_version(&self) -> Option<&String> {
        match &self.raw["metadata"]["annotations"][annotations::PUBLISH_VERSION] {
            Value::String(version) => Some(version),
            _ => None,
        }
    }

    /// The uid of the Application that it belongs to.
    pub fn app_uid(&self) -> Option<&str> {
        self.raw["metadata"]["labels"][labels::APP_UID].as_str()
    }

    /// Somebody asked to delete it.
    pub fn is_deleting(&self) -> bool {
        self.raw["metadata"]["deletionTimestamp"].is_string()
    }

    /// Its objects.
    pub fn entries(&self) -> &[ManagedResource] {
        &self.entries
    }

    /// The entry of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&ManagedResource> {
        self.entries
            .iter()
            .find(|entry| ObjectKey::of_entry(entry) == *key)
    }

    /// As if it had never been stored.
    pub(super) fn unstore(&mut self) {
        let metadata = as_map(&mut self.raw["metadata"]);
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "managedFields",
        ] {
            metadata.remove(field);
        }
        metadata.insert("finalizers".to_owned(), json!([finalizers::TRACKER]));
        self.changed = true;
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    pub(super) fn is_stored(&self) -> bool {
        self.raw["metadata"]["resourceVersion"].is_string()
    }

    pub(super) fn raw(&self) -> &Value {
        &self.raw
    }

    pub(super) fn put(&mut self, entry: ManagedResource) {
        let key = ObjectKey::of_entry(&entry);
        match self
            .entries
            .iter_mut()
            .find(|known| ObjectKey::of_entry(known) == key)
        {
            Some(known) if *known == entry => {}
            Some(known) => {
                *known = entry;
                self.changed = true;
            }
            None => {
                self.entries.push(entry);
                self.changed = true;
            }
        }
    }

    pub(super) fn settle(&mut self, key: &ObjectKey, uid: &str) {
        self.edit(key, |entry| entry.uid = Some(uid.to_owned()));
    }

    pub(super) fn unsettle(&mut self, key: &ObjectKey) {
        self.edit(key, |entry| entry.uid = None);
    }

    pub(super) fn mark_deleted(&mut self, key: &ObjectKey) {
        self.edit(key, |entry| entry.deleted = true);
    }

    fn edit(&mut self, key: &ObjectKey, change: impl Fn(&mut ManagedResource)) {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| ObjectKey::of_entry(entry) == *key)
        {
            let before = entry.clone();
            change(entry);
            self.changed |= *entry != before;
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let before = self.entries.len();
        self.entries
            .retain(|entry| ObjectKey::of_entry(entry) != *key);
        self.changed |= self.entries.len() != before;
    }
}

/// The name of a tracker (APP-041).
fn name_of(owner: &Owner, type_: TrackerType) -> String {
    let Owner {
        name, namespace, ..
    } = owner;
    match (type_, &owner.publish_version) {
        (TrackerType::Root, _) => format!("{name}-{namespace}"),
        (TrackerType::ComponentRevision, _) => format!("{name}-comp-rev-{namespace}"),
        (TrackerType::Versioned, Some(version)) => format!("{name}-{version}-{namespace}"),
        (TrackerType::Versioned, None) => format!("{name}-v{}-{namespace}", owner.generation),
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the line above made it a map"),
    }
}
