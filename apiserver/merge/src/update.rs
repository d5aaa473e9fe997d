//! Ownership when an object changes: who loses fields, who gains them, what a new apply prunes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::conflict::{Conflict, Conflicts};
use crate::managed::{Managed, Manager, Owned};
use crate::schema::Schema;
use crate::set::FieldSet;
use crate::typed::{Comparison, compare, field_set, merge, reconcile, remove, with_named_parents};

/// The versions in which the objects of a resource exist. Ownership is recorded in the version that
/// the owner wrote, so that comparing needs the object in that version.
pub trait Versions {
    /// The schema of a version such as `apps/v1`; `None` if it is not served any more. Entries of
    /// such a version are dropped.
    fn schema(&self, api_version: &str) -> Option<&Schema>;

    /// The object in another version; `None` if it is not served any more. By default only
    /// `apiVersion` changes, which is Kubernetes' conversion strategy `None`.
    fn convert<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>> {
        self.schema(api_version)?;
        if object.get("apiVersion").and_then(Value::as_str) == Some(api_version) {
            return Some(Cow::Borrowed(object));
        }
        let mut converted = object.clone();
        converted
            .as_object_mut()?
            .insert("apiVersion".to_owned(), api_version.into());
        Some(Cow::Owned(converted))
    }
}

/// One schema for every version: for resources with a single version.
impl Versions for Schema {
    fn schema(&self, _: &str) -> Option<&Schema> {
        Some(self)
    }
}

/// What a write is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Updater<'a> {
    pub(crate) versions: &'a dyn Versions,
    /// Fields that the endpoint resets, such as the status outside of `/status`: never owned by it.
    pub(crate) reset_fields: &'a FieldSet,
    pub(crate) api_version: &'a str,
}

impl Updater<'_> {
    /// Ownership after a plain write by a manager that is not among `managed` yet. Returns what the
    /// write changed, which is what its manager owns now.
    pub(crate) fn update(&self, live: &Value, new: &Value, managed: &mut Managed) -> FieldSet {
        self.reconcile(managed);
        let changes = self
            .compare(live, new, self.api_version)
            .unwrap_or_default();
        let taken = self.taken(live, new, &changes, managed, None);
        release(managed, &taken);
        let mut own = changes.modified;
        own.extend(&changes.added);
        own.recursive_difference(self.reset_fields)
    }

    /// The object after an apply. `managed` holds the new ownership.
    pub(crate) fn apply(
        &self,
        live: &Value,
        config: &Value,
        managed: &mut Managed,
        manager: &Manager,
        force: bool,
    ) -> Result<Value, Conflicts> {
        let Some(schema) = self.versions.schema(self.api_version) else {
            return Ok(live.clone());
        };
        self.reconcile(managed);
        let merged = merge(schema, live, config);
        let own = field_set(schema, config).recursive_difference(self.reset_fields);
        let last = managed.entries.insert(
            manager.clone(),
            Owned {
                set: own,
                api_version: self.api_version.to_owned(),
                time: None,
            },
        );
        if let (Some(last), Some(entry)) = (&last, managed.entries.get_mut(manager)) {
            entry.time.clone_from(&last.time);
        }
        let new = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, managed, &last),
            _ => merged,
        };
        let changes = self
            .compare(live, &new, self.api_version)
            .unwrap_or_default();
        let taken = self.taken(live, &new, &changes, managed, Some(manager));
        if !force && let Some(conflicts) = conflicts(&taken) {
            return Err(conflicts);
        }
        release(managed, &taken);
        Ok(new)
    }

    fn compare(&self, old: &Value, new: &Value, api_version: &str) -> Option<Comparison> {
        let schema = self.versions.schema(api_version)?;
        let old = self.versions.convert(old, api_version)?;
        let new = self.versions.convert(new, api_version)?;
        Some(compare(schema, &old, &new).without(self.reset_fields))
    }

    /// Carries every entry over to the present schema.
    fn reconcile(&self, managed: &mut Managed) {
        managed.entries.retain(|_, owned| {
            let Some(schema) = self.versions.schema(&owned.api_version) else {
                return false;
            };
            if let Some(set) = reconcile(schema, &owned.set) {
                owned.set = set;
            }
            true
        });
    }

    /// What a change takes from each manager but the one that makes it.
    fn taken(
        &self,
        live: &Value,
        new: &Value,
        changes: &Comparison,
        managed: &Managed,
        by: Option<&Manager>,
    ) -> BTreeMap<Manager, Taken> {
        let mut by_version: BTreeMap<&str, Cow<'_, Comparison>> = BTreeMap::new();
        by_version.insert(self.api_version, Cow::Borrowed(changes));
        let mut taken = BTreeMap::new();
        for (manager, owned) in &managed.entries {
            if Some(manager) == by {
                continue;
            }
            let changes = by_version.entry(&owned.api_version).or_insert_with(|| {
                Cow::Owned(
                    self.compare(live, new, &owned.api_version)
                        .unwrap_or_default(),
                )
            });
            let mut changed = owned.set.intersection(&changes.modified);
            changed.extend(&owned.set.intersection(&changes.added));
            let removed = changes.removed.clone();
            if !changed.is_empty() || !removed.is_empty() {
                taken.insert(manager.clone(), Taken { changed, removed });
            }
        }
        taken
    }

    /// Takes out what the manager applied before and does not apply now, unless another owns it.
    fn prune(&self, merged: Value, managed: &Managed, last: &Owned) -> Value {
        let version = &last.api_version;
        let Some(schema) = self.versions.schema(version) else {
            return merged;
        };
        let Some(merged) = self.versions.convert(&merged, version).map(Cow::into_owned) else {
            return merged;
        };
        let last = with_named_parents(schema, &last.set);
        let pruned = remove(schema, merged.clone(), &last);
        let pruned = self.add_back_owned(&merged, pruned, version, managed);
        let pruned = add_back_dangling(schema, merged, &pruned, &last);
        match self.versions.convert(&pruned, self.api_version) {
            Some(Cow::Owned(converted)) => converted,
            _ => pruned,
        }
    }

    /// Puts back what any manager owns, first in the version that was pruned.
    fn add_back_owned(
        &self,
        merged: &Value,
        mut pruned: Value,
        version: &str,
        managed: &Managed,
    ) -> Value {
        let mut by_version: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for owned in managed.entries.values() {
            by_version
                .entry(&owned.api_version)
                .or_default()
                .extend(&owned.set);
        }
        let versions: BTreeSet<_> = by_version
            .keys()
            .copied()
            .filter(|v| *v != version)
            .collect();
        for version in std::iter::once(version).chain(versions) {
            let (Some(owned), Some(schema)) =
                (by_version.get(version), self.versions.schema(version))
            else {
                continue;
            };
            let (Some(merged), Some(kept)) = (
                self.versions.convert(merged, version),
                self.versions.convert(&pruned, version),
            ) else {
                continue;
            };
            let mut keep = with_named_parents(schema, &field_set(schema, &kept));
            keep.extend(&with_named_parents(schema, owned));
            let all = with_named_parents(schema, &field_set(schema, &merged));
            pruned = remove(schema, merged.into_owned(), &all.difference(&keep));
        }
        pruned
    }
}

/// Puts back items that only went because what contained them went, though nobody applied them.
fn add_back_dangling(schema: &Schema, merged: Value, pruned: &Value, last: &FieldSet) -> Value {
    let pruned = with_named_parents(schema, &field_set(schema, pruned));
    let all = with_named_parents(schema, &field_set(schema, &merged));
    let gone = all.difference(&pruned).intersection(last);
    remove(schema, merged, &gone)
}

/// What a change takes from a manager.
pub(crate) struct Taken {
    /// Changed by somebody else: a conflict for an apply.
    changed: FieldSet,
    /// Not there any more.
    removed: FieldSet,
}

fn release(managed: &mut Managed, taken: &BTreeMap<Manager, Taken>) {
    for (manager, taken) in taken {
        if let Some(owned) = managed.entries.get_mut(manager) {
            owned.set = owned
                .set
                .difference(&taken.changed)
                .difference(&taken.removed);
        }
    }
    managed.entries.retain(|_, owned| !owned.set.is_empty());
}

fn conflicts(taken: &BTreeMap<Manager, Taken>) -> Option<Conflicts> {
    let mut conflicts: Vec<_> = taken
        .iter()
        .flat_map(|(manager, taken)| {
            taken.changed.paths().into_iter().map(|path| Conflict {
                manager: manager.clone(),
                path,
            })
        })
        .collect();
    conflicts.sort_by_cached_key(|conflict| conflict.manager.identifier());
    (!conflicts.is_empty()).then_some(Conflicts(conflicts))
}
