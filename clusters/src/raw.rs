//! Objects of any kind as the API server told them.

use std::borrow::Cow;

use kube::Resource;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// An object of any kind as JSON, for reading. Beside `DynamicObject` it is read in one go, and nothing has to be put
/// together again to have the whole.
#[derive(Clone, Debug, Default)]
pub struct RawObject {
    /// All of it.
    pub value: Value,
    /// Its metadata without `managedFields`.
    metadata: ObjectMeta,
}

impl RawObject {
    /// All of it but `managedFields`: who keeps many objects need not keep those, which are most of a small one.
    #[must_use]
    pub fn without_managed_fields(mut self) -> Value {
        if let Some(Value::Object(metadata)) = self.value.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        self.value
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let metadata = match value.get("metadata") {
            Some(Value::Object(metadata)) => read(metadata).map_err(D::Error::custom)?,
            _ => ObjectMeta::default(),
        };
        Ok(Self { value, metadata })
    }
}

fn read(metadata: &Map<String, Value>) -> serde_json::Result<ObjectMeta> {
    let fields = metadata
        .iter()
        .filter(|(name, _)| *name != "managedFields")
        .map(|(name, value)| (name.as_str(), value));
    ObjectMeta::deserialize(MapDeserializer::new(fields))
}

impl Resource for RawObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_an_object_is_there_and_its_metadata_can_be_read() {
        let value = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a", "resourceVersion": "7", "labels": {"x": "y"},
                "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {}}}],
            },
            "data": {"b": "c"},
        });
        let object: RawObject = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(object.meta().name.as_deref(), Some("a"));
        assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
        assert_eq!(object.meta().labels.as_ref().unwrap()["x"], "y");
        assert_eq!(object.value, value);
        let mut rest = object.without_managed_fields();
        assert_eq!(rest["metadata"]["name"], "a");
        assert_eq!(rest["metadata"]["managedFields"].take(), Value::Null);
    }

    #[test]
    fn wrong_metadata_is_an_error_and_none_is_not() {
        assert!(serde_json::from_str::<RawObject>(r#"{"metadata": {"name": 1}}"#).is_err());
        assert!(serde_json::from_str::<RawObject>(r#"{"kind": "Status"}"#).is_ok());
    }
}
