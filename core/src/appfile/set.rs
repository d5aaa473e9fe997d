//! A source of definitions in memory: for files, tests and snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::definition::{Definition, DefinitionSource, kind_of, own_revision};
use crate::api::{Policy, SYSTEM_NAMESPACE, Workflow};
use crate::engine::DefinitionKind;

/// How the name of the first revision of a definition ends.
const FIRST: &str = "-v1";

type Key = (DefinitionKind, String, String);

/// Definitions, their revisions, policies and workflows, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct DefinitionSet {
    definitions: BTreeMap<Key, Arc<Definition>>,
    revisions: BTreeMap<Key, Arc<Definition>>,
    policies: BTreeMap<(String, String), Policy>,
    workflows: BTreeMap<(String, String), Workflow>,
}

impl DefinitionSet {
    /// Adds an object; one of the same kind, namespace and name is replaced. Without a namespace,
    /// definitions go to [`SYSTEM_NAMESPACE`], policies and workflows to `namespace`.
    ///
    /// Says whether the object is of a kind that is kept here.
    ///
    /// # Errors
    /// If the object has the wrong shape; the text names it and the field.
    pub fn add(&mut self, object: &Value, namespace: &str) -> Result<bool, String> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let place = object["metadata"]["namespace"]
            .as_str()
            .filter(|place| !place.is_empty());
        let describe = |error: String| format!("{kind} {name}: {error}");
        match kind {
            "DefinitionRevision" => self.add_revision(object, place, &name).map_err(describe)?,
            "Policy" => {
                let policy = typed(object).map_err(describe)?;
                self.policies
                    .insert((place.unwrap_or(namespace).to_owned(), name), policy);
            }
            "Workflow" => {
                let workflow = typed(object).map_err(describe)?;
                self.workflows
                    .insert((place.unwrap_or(namespace).to_owned(), name), workflow);
            }
            _ if kind_of(kind).is_some() => {
                let mut definition = Definition::from_object(object).map_err(describe)?;
                place
                    .unwrap_or(SYSTEM_NAMESPACE)
                    .clone_into(&mut definition.namespace);
                self.insert(Arc::new(definition));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Adds a definition as a hub would that has seen no other text of it: with the revision that it makes, its own version or the
    /// first. A revision that is known stays.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn register(&mut self, object: &Value, namespace: &str) -> Result<bool, String> {
        let is_kept = self.add(object, namespace)?;
        let kind = object["kind"].as_str().and_then(kind_of);
        if let Some(kind) = kind.filter(|_| is_kept) {
            let definition = Definition::from_object(object)?;
            let place = match definition.namespace.as_str() {
                "" => SYSTEM_NAMESPACE.to_owned(),
                named => named.to_owned(),
            };
            let revision = own_revision(object);
            let revision = revision.unwrap_or_else(|| format!("{}{FIRST}", definition.name));
            let known = self.revisions.entry((kind, place, revision));
            known.or_insert_with(|| Arc::new(definition));
        }
        Ok(is_kept)
    }

    /// Adds a definition under its own namespace; without one under [`SYSTEM_NAMESPACE`].
    pub fn insert(&mut self, definition: Arc<Definition>) {
        let place = match definition.namespace.as_str() {
            "" => SYSTEM_NAMESPACE.to_owned(),
            named => named.to_owned(),
        };
        let key = (definition.kind, place, definition.name.clone());
        self.definitions.insert(key, definition);
    }

    fn add_revision(
        &mut self,
        object: &Value,
        place: Option<&str>,
        name: &str,
    ) -> Result<(), String> {
        let spec = &object["spec"];
        let (field, kind) = match spec["definitionType"].as_str() {
            Some("Component") => ("componentDefinition", "ComponentDefinition"),
            Some("Trait") => ("traitDefinition", "TraitDefinition"),
            Some("Policy") => ("policyDefinition", "PolicyDefinition"),
            Some("WorkflowStep") => ("workflowStepDefinition", "WorkflowStepDefinition"),
            other => {
                return Err(format!(
                    "spec.definitionType must be Component, Trait, Policy or WorkflowStep, found {}",
                    other.unwrap_or("nothing")
                ));
            }
        };
        let mut recorded = spec[field].clone();
        if let Some(fields) = recorded.as_object_mut() {
            fields.entry("kind").or_insert_with(|| kind.into());
        }
        let definition =
            Definition::from_object(&recorded).map_err(|error| format!("spec.{field}: {error}"))?;
        let place = place.unwrap_or(SYSTEM_NAMESPACE).to_owned();
        self.revisions.insert(
            (definition.kind, place, name.to_owned()),
            Arc::new(definition),
        );
        Ok(())
    }
}

fn typed<T: serde::de::DeserializeOwned>(object: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(object)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))
}

impl DefinitionSource for DefinitionSet {
    fn definition(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        self.definitions
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    fn revision(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        self.revisions
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    fn revision_names(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        definition: &str,
    ) -> Vec<String> {
        let of_definition = self.revisions.iter().filter(|((of, place, _), recorded)| {
            *of == kind && place == namespace && recorded.name == definition
        });
        of_definition
            .map(|((_, _, name), _)| name.clone())
            .collect()
    }

    fn names(&self, kind: DefinitionKind, namespace: &str) -> Vec<String> {
        let of_kind = self.definitions.keys().filter(|(of, place, _)| {
            *of == kind && (place == namespace || place == SYSTEM_NAMESPACE)
        });
        of_kind.map(|(_, _, name)| name.clone()).collect()
    }

    fn policy(&self, namespace: &str, name: &str) -> Option<Policy> {
        self.policies
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    fn workflow(&self, namespace: &str, name: &str) -> Option<Workflow> {
        self.workflows
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }
}

/// Reads a definition by kind and name, for instance a built-in one. An error is in words.
type Load<'a> = dyn Fn(DefinitionKind, &str) -> Option<Result<Definition, String>> + 'a;

/// Names of definitions of a kind.
type List<'a> = dyn Fn(DefinitionKind) -> Vec<String> + 'a;

/// What was read so far; `None` for what is not there.
type Loaded = BTreeMap<(DefinitionKind, String), Option<Arc<Definition>>>;

/// A set, and behind it definitions that are read when they are first asked for. These stand in
/// [`SYSTEM_NAMESPACE`].
pub struct Layered<'a> {
    set: DefinitionSet,
    load: Box<Load<'a>>,
    list: Box<List<'a>>,
    loaded: Mutex<Loaded>,
    problems: Mutex<Vec<String>>,
}

impl<'a> Layered<'a> {
    /// A set with something behind it.
    pub fn new(
        set: DefinitionSet,
        load: impl Fn(DefinitionKind, &str) -> Option<Result<Definition, String>> + 'a,
    ) -> Self {
        Self {
            set,
            load: Box::new(load),
            list: Box::new(|_| Vec::new()),
            loaded: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// Says which names there are behind the set, for hints.
    #[must_use]
    pub fn listing(mut self, list: impl Fn(DefinitionKind) -> Vec<String> + 'a) -> Self {
        self.list = Box::new(list);
        self
    }

    /// The set, without what is behind it.
    pub fn set(&self) -> &DefinitionSet {
        &self.set
    }

    /// What could not be read so far. Such a definition counts as not there.
    pub fn problems(&self) -> Vec<String> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn behind(&self, kind: DefinitionKind, name: &str) -> Option<Arc<Definition>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, name.to_owned());
        if let Some(known) = loaded.get(&key) {
            return known.clone();
        }
        let found = match (self.load)(kind, name) {
            Some(Ok(mut definition)) => {
                SYSTEM_NAMESPACE.clone_into(&mut definition.namespace);
                Some(Arc::new(definition))
            }
            Some(Err(problem)) => {
                let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
                problems.push(problem);
                None
            }
            None => None,
        };
        loaded.insert(key, found.clone());
        found
    }
}

impl DefinitionSource for Layered<'_> {
    fn definition(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        let known = self.set.definition(kind, namespace, name);
        if known.is_some() || namespace != SYSTEM_NAMESPACE {
            return known;
        }
        self.behind(kind, name)
    }

    fn revision(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        let known = self.set.revision(kind, namespace, name);
        if known.is_some() || namespace != SYSTEM_NAMESPACE {
            return known;
        }
        // What comes with the program is the first revision of a new hub.
        self.behind(kind, name.strip_suffix(FIRST)?)
    }

    fn revision_names(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        definition: &str,
    ) -> Vec<String> {
        self.set.revision_names(kind, namespace, definition)
    }

    fn names(&self, kind: DefinitionKind, namespace: &str) -> Vec<String> {
        let mut names = self.set.names(kind, namespace);
        names.extend((self.list)(kind));
        names
    }

    fn policy(&self, namespace: &str, name: &str) -> Option<Policy> {
        self.set.policy(namespace, name)
    }

    fn workflow(&self, namespace: &str, name: &str) -> Option<Workflow> {
        self.set.workflow(namespace, name)
    }
}
