//! Where the parts of a component stand that overrides have changed: in the component, or in an override.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::policy::{ComponentPatch, Override, TraitPatch};
use crate::api::{ApplicationComponent, ApplicationTrait};
use crate::path::{Part, below, join, parts};

/// Where the parts of a component stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    path: String,
    /// The component after the same overrides, with places in place of values; none where nothing overrides it.
    traced: Option<Arc<ApplicationComponent>>,
}

impl Provenance {
    /// Of a component that is as it was written at a path.
    pub fn written(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            traced: None,
        }
    }

    /// Of a component that was overridden as its [`traced_component`] twin was.
    pub fn overridden(traced: ApplicationComponent) -> Self {
        let own = traced.properties.as_ref().and_then(Value::as_object);
        Self {
            path: own.and_then(first_place).unwrap_or_default().to_owned(),
            traced: Some(Arc::new(traced)),
        }
    }

    /// Where the component itself stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where a part of the component stands, for instance `traits[0].properties.replicas`.
    pub fn place(&self, part: &str) -> String {
        let inner = parts(part);
        let placed = self.traced.as_ref().and_then(|one| place(one, &inner));
        placed.unwrap_or_else(|| join(&self.path, &inner))
    }

    /// As [`Self::place`], for a path as if the whole component stood at its own.
    pub fn relocate(&self, path: &str) -> String {
        let (whole, own) = (parts(path), parts(&self.path));
        match whole.strip_prefix(own.as_slice()) {
            Some(inner) if self.traced.is_some() => self.place(&join("", inner)),
            _ => path.to_owned(),
        }
    }
}

fn place(traced: &ApplicationComponent, inner: &[Part]) -> Option<String> {
    let traits = |part: &Part| part.key() == "traits";
    match inner {
        [first, Part::Index(index), rest @ ..] if traits(first) => {
            let part = traced.traits.get(*index)?;
            Some(walk(part.properties.as_ref()?, rest))
        }
        _ => Some(walk(traced.properties.as_ref()?, inner)),
    }
}

/// Begins the names of the fields that say where an object stands: no field of a manifest is called so.
const MARK: char = '\0';

/// Where a value stands, as deep as its tracing goes.
fn walk(traced: &Value, inner: &[Part]) -> String {
    let fields = match traced {
        Value::Object(fields) => fields,
        other => return join(other.as_str().unwrap_or_default(), inner),
    };
    if let [first, rest @ ..] = inner
        && let Some(next) = fields.get(&first.key())
    {
        return walk(next, rest);
    }
    join(first_place(fields).unwrap_or_default(), inner)
}

/// Where an object stands that several places make together: in the component, if that is one of them.
fn first_place(fields: &Map<String, Value>) -> Option<&str> {
    let places = fields.keys().filter_map(|key| key.strip_prefix(MARK));
    places.min_by_key(|place| !place.starts_with("spec.components"))
}

/// A component with places in place of its values, to be overridden by those of [`traced_override`].
pub fn traced_component(component: &ApplicationComponent, path: &str) -> ApplicationComponent {
    let traits = component.traits.iter().enumerate();
    let traits = traits.map(|(index, part)| ApplicationTrait {
        type_: part.type_.clone(),
        properties: Some(marked(
            &format!("{path}.traits[{index}]"),
            part.properties.as_ref(),
        )),
    });
    ApplicationComponent {
        properties: Some(marked(path, component.properties.as_ref())),
        traits: traits.collect(),
        ..component.clone()
    }
}

/// An override with places in place of its values; `path` is that of its policy.
pub fn traced_override(rule: &Override, path: &str) -> Override {
    let components = rule.components.iter().enumerate();
    let components = components.map(|(index, patch)| {
        let path = format!("{path}.properties.components[{index}]");
        let traits = patch.traits.iter().enumerate();
        let traits = traits.map(|(index, part)| TraitPatch {
            properties: Some(marked(
                &format!("{path}.traits[{index}]"),
                part.properties.as_ref(),
            )),
            ..part.clone()
        });
        ComponentPatch {
            properties: Some(marked(&path, patch.properties.as_ref())),
            traits: traits.collect(),
            ..patch.clone()
        }
    });
    Override {
        components: components.collect(),
        selector: rule.selector.clone(),
    }
}

/// Properties one level down, so that what has them can be marked too.
fn marked(path: &str, properties: Option<&Value>) -> Value {
    let mut fields = mark(path);
    if let Some(value) = properties {
        let traced = trace(value, &below(path, "properties"));
        fields.insert("properties".to_owned(), traced);
    }
    Value::Object(fields)
}

fn mark(path: &str) -> Map<String, Value> {
    Map::from_iter([(format!("{MARK}{path}"), Value::Null)])
}

/// Objects are merged field by field, so each of their fields is traced; everything else is taken whole.
fn trace(value: &Value, path: &str) -> Value {
    let Value::Object(fields) = value else {
        return path.into();
    };
    let mut traced = mark(path);
    for (name, inner) in fields {
        traced.insert(name.clone(), trace(inner, &below(path, name)));
    }
    Value::Object(traced)
}
