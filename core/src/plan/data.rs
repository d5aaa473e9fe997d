//! Data that components give to each other within one `deploy` step (row REN-040).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::StepInput;
use crate::appfile::AppComponent;
use crate::render::object;

/// Where a copy of a component is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The cluster.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// Which copy; empty for a component that is not replicated.
    pub replica_key: String,
}

impl Spot {
    /// The same place, of what is not replicated.
    #[must_use]
    pub fn unreplicated(&self) -> Self {
        Self {
            replica_key: String::new(),
            ..self.clone()
        }
    }
}

/// Outputs of components, by place and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passed(BTreeMap<Spot, Map<String, Value>>);

impl Passed {
    /// Takes an output.
    pub fn put(&mut self, at: Spot, name: &str, value: Value) {
        self.0.entry(at).or_default().insert(name.to_owned(), value);
    }

    /// An output of the same copy, else one of a component at the same place that is not replicated. `from` may go
    /// into the value (`output-name.field`).
    pub fn get(&self, at: &Spot, from: &str) -> Option<Value> {
        [at.clone(), at.unreplicated()]
            .iter()
            .filter_map(|spot| self.0.get(spot))
            .find_map(|values| look_up(values, from))
    }
}

/// A value by its name, or by a path that begins with a name.
pub fn look_up(values: &Map<String, Value>, from: &str) -> Option<Value> {
    if let Some(value) = values.get(from) {
        return Some(value.clone());
    }
    let names = values.keys().filter(|name| {
        from.strip_prefix(name.as_str())
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    });
    let name = names.max_by_key(|name| name.len())?;
    let rest = from[name.len()..].trim_start_matches('.');
    object::get_path(&values[name], rest).cloned()
}

/// Fills the inputs of a component into its properties, and those of its traits.
///
/// # Errors
/// The `from` of the first input that is not there yet; or, with [`InputError::Path`], what is wrong with where it
/// goes.
pub fn fill(
    component: &AppComponent,
    mut value_of: impl FnMut(&str) -> Option<Value>,
) -> Result<AppComponent, InputError> {
    let mut filled = component.clone();
    let inputs = std::mem::take(&mut filled.spec.inputs);
    if inputs.is_empty() {
        return Ok(filled);
    }
    let traits: Vec<Value> = filled
        .traits
        .iter()
        .map(|part| json!({"properties": part.properties}))
        .collect();
    let mut fields = json!({"properties": filled.spec.properties, "traits": traits});
    for input in &inputs {
        let value = value_of(&input.from).ok_or_else(|| InputError::Waiting(input.from.clone()))?;
        let Some(key) = target(input) else { continue };
        object::set_path(&mut fields, &key, value).map_err(InputError::Path)?;
    }
    filled.spec.properties = Some(fields["properties"].take()).filter(|value| !value.is_null());
    for (index, part) in filled.traits.iter_mut().enumerate() {
        part.properties =
            Some(fields["traits"][index]["properties"].take()).filter(|value| !value.is_null());
    }
    Ok(filled)
}

/// Why an input cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Nothing has given it yet.
    #[error("waiting for {0}")]
    Waiting(String),
    /// It cannot go where it should.
    #[error("{0}")]
    Path(String),
}

/// Where an input goes: a parameter, unless it says otherwise (APP-040).
fn target(input: &StepInput) -> Option<String> {
    let key = input.parameter_key.as_deref()?.trim();
    if key.is_empty() {
        return None;
    }
    Some(
        if key.starts_with("properties") || key.starts_with("traits[") {
            key.to_owned()
        } else {
            format!("properties.{key}")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appfile::{AppTrait, Provenance, Resolved};

    fn component(inputs: Value) -> AppComponent {
        let resolved = Resolved {
            definition: std::sync::Arc::default(),
            type_name: String::new(),
        };
        AppComponent {
            spec: serde_json::from_value(json!({
                "name": "web", "type": "webservice", "properties": {"image": "a"}, "inputs": inputs,
            }))
            .unwrap(),
            traits: vec![AppTrait {
                type_: "env".to_owned(),
                resolved: resolved.clone(),
                properties: None,
            }],
            resolved,
            provenance: Provenance::default(),
        }
    }

    fn spot(key: &str) -> Spot {
        Spot {
            cluster: "local".to_owned(),
            namespace: "prod".to_owned(),
            replica_key: key.to_owned(),
        }
    }

    #[test]
    fn inputs_reach_properties_and_traits() {
        let component = component(json!([
            {"from": "address", "parameterKey": "env[0].value"},
            {"from": "db.port", "parameterKey": "properties.port"},
            {"from": "address", "parameterKey": "traits[0].properties.host"},
            {"from": "address"},
        ]));
        let mut passed = Passed::default();
        passed.put(spot(""), "address", json!("10.0.0.1"));
        passed.put(spot("a"), "db", json!({"port": 5432}));
        let filled = fill(&component, |from| passed.get(&spot("a"), from)).unwrap();
        assert_eq!(
            filled.spec.properties,
            Some(json!({"image": "a", "port": 5432, "env": [{"value": "10.0.0.1"}]}))
        );
        assert_eq!(
            filled.traits[0].properties,
            Some(json!({"host": "10.0.0.1"}))
        );
    }

    #[test]
    fn what_is_not_there_is_waited_for_and_another_copy_does_not_help() {
        let component = component(json!([{"from": "address", "parameterKey": "host"}]));
        let mut passed = Passed::default();
        passed.put(spot("b"), "address", json!("10.0.0.1"));
        assert_eq!(
            fill(&component, |from| passed.get(&spot("a"), from)),
            Err(InputError::Waiting("address".to_owned()))
        );
    }

    #[test]
    fn a_place_that_cannot_be_is_an_error() {
        let component = component(json!([{"from": "x", "parameterKey": "image.tag"}]));
        let filled = fill(&component, |_| Some(json!(1)));
        assert!(
            matches!(&filled, Err(InputError::Path(why)) if why.contains("image")),
            "{filled:?}"
        );
    }
}
