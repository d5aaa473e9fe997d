//! What is served now: built-in kinds and those of `CustomResourceDefinitions`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, OnceLock};

use caravel_merge::Schema;
use caravel_schema::resources::{Resource, builtins};

use serde_json::{Value, json};

use crate::custom::{self, CustomKind};
use crate::documents::Documents;
use crate::store::{Object, Range, Store};

/// Where `CustomResourceDefinitions` are stored.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One served resource in one version.
#[derive(Debug)]
pub(crate) struct Kind {
    /// What discovery says of it.
    pub(crate) resource: Resource,
    /// The resource under which its objects are stored; versions share it.
    pub(crate) stored_as: Arc<str>,
    /// Present for kinds of `CustomResourceDefinitions`.
    pub(crate) custom: Option<CustomKind>,
    merge: OnceLock<Schema>,
}

/// The built-in kinds; they outlive every catalog, with what was compiled for them.
static BUILTIN: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| {
    builtins()
        .iter()
        .map(|resource| Arc::new(Kind::builtin(resource.clone())))
        .collect()
});

impl Kind {
    pub(crate) fn builtin(resource: Resource) -> Self {
        let stored_as = match (resource.group.as_ref(), resource.plural.as_ref()) {
            ("events.k8s.io", "events") => "events".to_owned(),
            (group, plural) => crate::status::qualified(plural, group),
        };
        Self {
            resource,
            stored_as: stored_as.into(),
            custom: None,
            merge: OnceLock::new(),
        }
    }

    pub(crate) fn custom(custom: CustomKind) -> Self {
        let resource = custom.version.resource.clone();
        let stored_as = crate::status::qualified(&resource.plural, &resource.group);
        Self {
            resource,
            stored_as: stored_as.into(),
            custom: Some(custom),
            merge: OnceLock::new(),
        }
    }

    /// The schema by which objects are merged, compiled when it is first asked for.
    pub(crate) fn merge_schema(&self) -> &Schema {
        self.merge.get_or_init(|| crate::fields::schema(self))
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

    /// What a client that uses this version should know, if it had better not.
    pub(crate) fn deprecation(&self) -> Option<&str> {
        if let Some(custom) = &self.custom {
            return custom.version.deprecation_warning.as_deref();
        }
        self.is("", "endpoints").then_some(
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        )
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }
}

type ByPath = HashMap<(String, String, String), Arc<Kind>>;

/// A `CustomResourceDefinition` and what became of it.
#[derive(Clone, Debug)]
struct Definition {
    version: u64,
    spec: Value,
    kinds: Vec<Arc<Kind>>,
}

impl Definition {
    /// Compiles a stored definition, unless it is known and says nothing new.
    fn of(object: &Object, known: Option<&Self>) -> Self {
        if let Some(known) = known.filter(|known| known.version == object.version) {
            return known.clone();
        }
        let definition = object.value();
        // A definition that is being deleted takes no new objects.
        let deleted = &definition["metadata"]["deletionTimestamp"];
        let spec = json!([definition["spec"], deleted.is_string()]);
        let kinds = match known.filter(|known| known.spec == spec) {
            Some(known) => known.kinds.clone(),
            None => custom::kinds(&definition, object.version)
                .into_iter()
                .map(Arc::new)
                .collect(),
        };
        Self {
            version: object.version,
            spec,
            kinds,
        }
    }
}

/// All that is served, built anew when a `CustomResourceDefinition` changes.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    kinds: Vec<Arc<Kind>>,
    by_path: ByPath,
    definitions: BTreeMap<String, Definition>,
    documents: OnceLock<Documents>,
}

impl Catalog {
    /// The built-in kinds and those of the definitions that are in `store`. What `previous` has compiled of an
    /// unchanged definition is kept.
    pub(crate) fn load(store: &Store, previous: Option<&Self>) -> Self {
        let mut kinds = BUILTIN.clone();
        let mut definitions = BTreeMap::new();
        let stored = store
            .list(CRDS, &Range::default(), |_| true)
            .map(|listed| listed.objects);
        for object in stored.unwrap_or_default() {
            let known = previous.and_then(|previous| previous.definitions.get(&*object.key.name));
            let definition = Definition::of(&object, known);
            kinds.extend(definition.kinds.iter().cloned());
            definitions.insert(object.key.name.to_string(), definition);
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
        Self {
            kinds,
            by_path,
            definitions,
            documents: OnceLock::new(),
        }
    }

    /// The `OpenAPI` documents of everything that is served.
    pub(crate) fn documents(&self) -> &Documents {
        self.documents.get_or_init(|| Documents::make(self))
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.kinds.iter().map(|kind| &kind.resource)
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }
}
