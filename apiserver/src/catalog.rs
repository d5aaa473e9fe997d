//! What is served now: built-in kinds and those of CustomResourceDefinitions.

use std::collections::HashMap;
use std::sync::Arc;

use caravel_schema::resources::{Resource, builtins};

use crate::custom::{self, CustomKind};
use crate::store::{Range, Store};

/// Where CustomResourceDefinitions are stored.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One served resource in one version.
#[derive(Debug)]
pub(crate) struct Kind {
    /// What discovery says of it.
    pub(crate) resource: Resource,
    /// The resource under which its objects are stored; versions share it.
    pub(crate) stored_as: String,
    /// Present for kinds of CustomResourceDefinitions.
    pub(crate) custom: Option<Arc<CustomKind>>,
}

impl Kind {
    pub(crate) fn builtin(resource: Resource) -> Self {
        let stored_as = match (resource.group.as_ref(), resource.plural.as_ref()) {
            ("events.k8s.io", "events") => "events".to_owned(),
            (group, plural) => crate::status::qualified(plural, group),
        };
        Self {
            resource,
            stored_as,
            custom: None,
        }
    }

    pub(crate) fn group(&self) -> &str {
        &self.resource.group
    }

    pub(crate) fn plural(&self) -> &str {
        &self.resource.plural
    }

    pub(crate) fn kind(&self) -> &str {
        &self.resource.kind
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }
}

type ByPath = HashMap<(String, String, String), Arc<Kind>>;

/// All that is served, built anew when a CustomResourceDefinition changes.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    kinds: Vec<Arc<Kind>>,
    by_path: ByPath,
}

impl Catalog {
    /// The built-in kinds and those of the definitions that are in `store`.
    pub(crate) fn load(store: &Store) -> Self {
        let mut kinds: Vec<Arc<Kind>> = builtins()
            .iter()
            .map(|resource| Arc::new(Kind::builtin(resource.clone())))
            .collect();
        let definitions = store
            .list(CRDS, &Range::default(), |_| true)
            .map(|listed| listed.objects);
        for object in definitions.unwrap_or_default() {
            kinds.extend(custom::kinds(&object.value()).into_iter().map(Arc::new));
        }
        let mut by_path = ByPath::new();
        kinds.retain(|kind| {
            let path = (
                kind.group().to_owned(),
                kind.resource.version.to_string(),
                kind.plural().to_owned(),
            );
            // What is built in cannot be taken over, and of two definitions the first keeps the name.
            match by_path.entry(path) {
                std::collections::hash_map::Entry::Occupied(_) => false,
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(Arc::clone(kind));
                    true
                }
            }
        });
        Self { kinds, by_path }
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The resource in whatever version.
    pub(crate) fn find_any(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| kind.is(group, plural))
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.kinds.iter().map(|kind| &kind.resource)
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }
}
