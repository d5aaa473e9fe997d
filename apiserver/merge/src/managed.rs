//! `metadata.managedFields`: who owns which fields of an object, and when it was last written.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::set::FieldSet;

/// Entries from plain writes are kept apart per writer up to this number; then the oldest are
/// folded into one.
const MAX_UPDATE_ENTRIES: usize = 10;
/// The writer that folded entries belong to.
const FOLDED_MANAGER: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What makes two entries the same. An applier has one entry whatever version it applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) operation: Operation,
    pub(crate) name: String,
    /// Empty for appliers.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Manager {
    pub(crate) fn applier(name: &str, subresource: &str) -> Self {
        Self {
            operation: Operation::Apply,
            name: known(name),
            api_version: String::new(),
            subresource: subresource.to_owned(),
        }
    }

    pub(crate) fn updater(name: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            operation: Operation::Update,
            name: known(name),
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// The text that Kubernetes sorts managers by.
    pub(crate) fn identifier(&self) -> String {
        let parts = [
            ("manager", self.name.as_str()),
            ("operation", self.operation.as_str()),
            ("apiVersion", &self.api_version),
            ("subresource", &self.subresource),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name:?}:{}", Value::from(*value)))
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    /// How messages name the manager.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

fn known(name: &str) -> String {
    if name.is_empty() { "unknown" } else { name }.to_owned()
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) set: FieldSet,
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) entries: BTreeMap<Manager, Owned>,
}

/// Why `metadata.managedFields` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManagedFieldsError(String);

impl Managed {
    /// Reads the entries of an object; none is fine.
    pub(crate) fn of(object: &Value) -> Result<Self, ManagedFieldsError> {
        let mut managed = Self::default();
        match object.pointer("/metadata/managedFields") {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for (position, entry) in entries.iter().enumerate() {
                    let (manager, owned) = decode(entry, position)?;
                    managed.entries.insert(manager, owned);
                }
            }
            Some(_) => {
                return Err(ManagedFieldsError(
                    "managedFields must be a list".to_owned(),
                ));
            }
        }
        Ok(managed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the entries into an object, in the order in which Kubernetes lists them. Without any,
    /// the field is absent.
    pub(crate) fn write(&self, object: &mut Value) {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by(|(m, a), (n, b)| {
            (
                m.operation,
                &a.time,
                &m.name,
                &a.api_version,
                &m.subresource,
            )
                .cmp(&(
                    n.operation,
                    &b.time,
                    &n.name,
                    &b.api_version,
                    &n.subresource,
                ))
        });
        let entries: Vec<_> = entries.into_iter().map(encode).collect();
        let Value::Object(root) = object else { return };
        if entries.is_empty() {
            if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
                metadata.remove("managedFields");
            }
            return;
        }
        let metadata = root
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// Folds the oldest entries of plain writes, per version, until few enough are left.
    pub(crate) fn fold_old_updates(&mut self) {
        let mut updaters: Vec<_> = self
            .entries
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (owned.time.clone(), manager.identifier(), manager.clone()))
            .collect();
        let mut left = updaters.len();
        updaters.sort();
        let mut first_of_version: BTreeMap<String, Manager> = BTreeMap::new();
        for (time, _, manager) in updaters {
            if left <= MAX_UPDATE_ENTRIES {
                return;
            }
            let version = manager.api_version.clone();
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, manager);
                continue;
            };
            let folded = Manager::updater(FOLDED_MANAGER, &version, "");
            if !self.entries.contains_key(&folded)
                && let Some(owned) = self.entries.remove(first)
            {
                self.entries.insert(folded.clone(), owned);
            }
            if let Some(owned) = self.entries.remove(&manager) {
                let entry = self.entries.entry(folded).or_insert_with(|| Owned {
                    set: FieldSet::default(),
                    api_version: version,
                    time: None,
                });
                entry.set.extend(&owned.set);
                // The folded entry is the more recent one.
                entry.time = time;
            }
            left -= 1;
        }
    }
}

fn decode(entry: &Value, position: usize) -> Result<(Manager, Owned), ManagedFieldsError> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let fail = |reason: String| Err(ManagedFieldsError(reason));
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return fail("operation must be `Apply` or `Update`".to_owned()),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return fail("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => {
            return fail(format!(
                "missing fieldsType in managed fields entry {position}"
            ));
        }
        other => {
            return fail(format!(
                "invalid fieldsType {other:?} in managed fields entry {position}"
            ));
        }
    }
    let set = match entry.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::default(),
        Some(fields) => FieldSet::from_fields_v1(fields).map_err(|error| {
            ManagedFieldsError(format!("managed fields entry {position}: {error}"))
        })?,
    };
    let manager = Manager {
        operation,
        name: text("manager").to_owned(),
        api_version: match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.to_owned(),
        },
        subresource: text("subresource").to_owned(),
    };
    let owned = Owned {
        set,
        api_version: api_version.to_owned(),
        time: Some(text("time"))
            .filter(|time| !time.is_empty())
            .map(str::to_owned),
    };
    Ok((manager, owned))
}

fn encode((manager, owned): (&Manager, &Owned)) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            entry.insert(name.to_owned(), value.into());
        }
    };
    put("manager", &manager.name);
    put("operation", manager.operation.as_str());
    put("apiVersion", &owned.api_version);
    put("time", owned.time.as_deref().unwrap_or_default());
    put("fieldsType", "FieldsV1");
    put("subresource", &manager.subresource);
    entry.insert("fieldsV1".to_owned(), owned.set.to_fields_v1());
    Value::Object(entry)
}

/// Whether a request asks to forget who owns what: an empty list, or one empty entry.
pub(crate) fn is_reset(object: &Value) -> bool {
    match object.pointer("/metadata/managedFields") {
        Some(Value::Array(entries)) => match entries.as_slice() {
            [] => true,
            [only] => only.as_object().is_some_and(Map::is_empty),
            _ => false,
        },
        _ => false,
    }
}

/// The object without its `metadata.managedFields`.
pub(crate) fn without_managed_fields(object: &Value) -> Value {
    let Value::Object(root) = object else {
        return object.clone();
    };
    // Entries can be most of an object, so they are not even copied.
    let members = |map: &Map<String, Value>, without: &str| -> Map<String, Value> {
        let kept = map.iter().filter(|(name, _)| *name != without);
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut copy = members(root, "metadata");
    if let Some(metadata) = root.get("metadata") {
        let metadata = match metadata {
            Value::Object(metadata) => Value::Object(members(metadata, "managedFields")),
            other => other.clone(),
        };
        copy.insert("metadata".to_owned(), metadata);
    }
    Value::Object(copy)
}

fn same_but_managed_fields(one: &Value, other: &Value) -> bool {
    let members = |map: &Map<String, Value>, without: &str| {
        map.len() - usize::from(map.contains_key(without))
    };
    let same = |one: &Map<String, Value>, other: &Map<String, Value>, without: &str| {
        members(one, without) == members(other, without)
            && one
                .iter()
                .filter(|(name, _)| *name != without)
                .all(|(name, value)| other.get(name) == Some(value))
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let metadata = match (one.get("metadata"), other.get("metadata")) {
                (Some(Value::Object(one)), Some(Value::Object(other))) => {
                    same(one, other, "managedFields")
                }
                (one, other) => one == other,
            };
            metadata && same(one, other, "metadata")
        }
        _ => one == other,
    }
}

/// Checks entries that a client sent, as the API server does before it stores them.
///
/// # Errors
/// The first entry that cannot be read.
pub fn validate_managed_fields(object: &Value) -> Result<(), ManagedFieldsError> {
    Managed::of(object).map(drop)
}

/// Keeps the old entries when nothing but their times changed, so that a write without effect stays
/// one. Call it after defaulting and before comparing with the stored object.
pub fn keep_times_if_unchanged(live: &Value, new: &mut Value) {
    // Most writes change something: that is found out without reading any entry.
    if !same_but_managed_fields(live, new) {
        return;
    }
    let (Ok(before), Ok(after)) = (Managed::of(live), Managed::of(new)) else {
        return;
    };
    if before.is_empty() || before == after {
        return;
    }
    let timeless = |managed: &Managed| {
        let mut managed = managed.clone();
        managed
            .entries
            .values_mut()
            .for_each(|owned| owned.time = None);
        managed
    };
    if timeless(&before) == timeless(&after) {
        before.write(new);
    }
}
