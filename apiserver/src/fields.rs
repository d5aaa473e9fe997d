//! Who owns which field: server-side apply and `managedFields`.

use std::sync::{Arc, LazyLock};

use caravel_merge::{ApplyOptions, FieldSet, Schema, UpdateOptions, Versions};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Kind};
use crate::registry::{Call, has_status};
use crate::status::{Result, Status};

static NOTHING: LazyLock<FieldSet> = LazyLock::new(FieldSet::default);
/// What an ordinary write cannot set where `status` is apart.
static STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_fields(&[&["status"]]));
/// What a write of `status` cannot set.
static ALL_BUT_STATUS: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata"]]));
static ALL_BUT_STATUS_BUILTIN: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata", "labels"]]));

/// The definitions of built-in kinds, without the descriptions, by which objects are merged.
static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    caravel_schema::openapi::definitions()
        .iter()
        .map(|(name, schema)| (name.clone(), undescribed(schema)))
        .collect()
});

fn undescribed(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(name, value)| *name != "description" || !value.is_string())
                .map(|(name, value)| (name.clone(), undescribed(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(undescribed).collect()),
        other => other.clone(),
    }
}

/// The schema by which a kind's objects are merged.
pub(crate) fn schema(kind: &Kind) -> Schema {
    let compiled = match (&kind.custom, kind.resource.definition) {
        (Some(custom), _) if custom.version.open_api.is_null() => Ok(Schema::deduced()),
        (Some(custom), _) => Schema::for_custom_resource(&custom.version.open_api),
        (None, Some(definition)) => Schema::from_openapi(&DEFINITIONS, definition),
        (None, None) => Ok(Schema::deduced()),
    };
    compiled.unwrap_or_else(|error| {
        tracing::warn!(%error, kind = kind.kind(), "objects are merged without a schema");
        Schema::deduced()
    })
}

/// The served versions of one resource.
struct Served<'a> {
    catalog: &'a Catalog,
    kind: &'a Arc<Kind>,
}

impl Versions for Served<'_> {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        if api_version == self.kind.resource.api_version() {
            return Some(self.kind.merge_schema());
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if group != self.kind.group() {
            return None;
        }
        Some(
            self.catalog
                .find(group, version, self.kind.plural())?
                .merge_schema(),
        )
    }
}

fn reset_fields(call: &Call) -> &'static FieldSet {
    match call.subresource.as_str() {
        "status" if call.kind.custom.is_some() => &ALL_BUT_STATUS,
        "status" => &ALL_BUT_STATUS_BUILTIN,
        "" if has_status(&call.kind) => &STATUS,
        _ => &NOTHING,
    }
}

/// Brings `managedFields` of an object that is about to be written up to date.
pub(crate) fn track(call: &Call, object: &mut Value, old: Option<&Value>) {
    let now = call.core.now();
    let api_version = call.kind.resource.api_version();
    let options = UpdateOptions {
        manager: &call.options.field_manager,
        api_version: &api_version,
        subresource: &call.subresource,
        reset_fields: reset_fields(call),
        time: (call.subresource != "scale").then_some(now.as_str()),
    };
    let catalog = call.core.catalog.load();
    let served = Served {
        catalog: &catalog,
        kind: &call.kind,
    };
    if let Err(error) = caravel_merge::update_in_place(old, object, &options, &served) {
        // As Kubernetes does: the write is fine, only its ownership is not known.
        tracing::debug!(%error, "the owners of fields are not recorded");
    }
    keep_times(object, old);
}

/// A write that changes nothing but the times of owners changes nothing.
pub(crate) fn keep_times(object: &mut Value, old: Option<&Value>) {
    if let Some(old) = old {
        caravel_merge::keep_times_if_unchanged(old, object);
    }
}

/// Server-side apply of `wanted` on the live object, or on nothing.
pub(crate) fn apply(call: &Call, live: Option<&Value>, wanted: &Value) -> Result<Value> {
    let now = call.core.now();
    let api_version = call.kind.resource.api_version();
    let options = ApplyOptions {
        manager: &call.options.field_manager,
        force: call.options.force,
        api_version: &api_version,
        subresource: &call.subresource,
        reset_fields: reset_fields(call),
        time: &now,
    };
    let catalog = call.core.catalog.load();
    let served = Served {
        catalog: &catalog,
        kind: &call.kind,
    };
    caravel_merge::apply(live, wanted, &options, &served)
        .map_err(|error| Status::from_value(&error.to_status()))
}

/// Strategic merge of a patch into an object of a built-in kind.
pub(crate) fn strategic_merge(kind: &Kind, object: &Value, patch: &Value) -> Result<Value> {
    caravel_merge::patch::strategic(object, patch, kind.merge_schema())
        .map_err(|error| Status::from_value(&error.to_status()))
}

/// A JSON patch.
pub(crate) fn json_patch(object: &Value, patch: &Value) -> Result<Value> {
    caravel_merge::patch::json(object, patch)
        .map_err(|error| Status::from_value(&error.to_status()))
}

/// A JSON merge patch.
pub(crate) fn merge_patch(object: &Value, patch: &Value) -> Result<Value> {
    caravel_merge::patch::merge(object, patch)
        .map_err(|error| Status::from_value(&error.to_status()))
}
