//! A step as the conditions (`if`) of other steps see it (row WF-004).

use super::steps::is_apply_component;
use serde_json::{Map, Value, json};

/// How a step stands, in KubeVela's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepState<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub type_: &'a str,
    /// How it stands.
    pub phase: &'a str,
    /// Why, in words.
    pub message: &'a str,
    /// Why, in one word.
    pub reason: &'a str,
}

impl StepState<'_> {
    /// What `status.<step>` holds: the texts, and what of them is mostly asked as a truth value.
    pub fn fields(&self) -> Map<String, Value> {
        let texts = [
            ("id", self.id),
            ("name", self.name),
            ("type", self.type_),
            ("phase", self.phase),
            ("message", self.message),
            ("reason", self.reason),
        ];
        let flags = [
            ("succeeded", self.phase == "succeeded"),
            ("failed", self.phase == "failed"),
            ("skipped", self.phase == "skipped"),
            ("timeout", self.reason == "Timeout"),
            ("failedAfterRetries", self.reason == "FailedAfterRetries"),
            ("terminate", self.reason == "Terminate"),
        ];
        let texts = texts.map(|(field, text)| (field.to_owned(), json!(text)));
        let flags = flags.map(|(field, flag)| (field.to_owned(), json!(flag)));
        texts.into_iter().chain(flags).collect()
    }
}

/// The other name of a step, in `status` and `dependsOn`: what its properties call `name` or `component`. What an
/// `apply-component` step applies stands in `value` once it is ready to run ([`super::apply_component_step`]).
pub fn step_alias<'a>(type_: &str, properties: &'a Value) -> Option<&'a str> {
    let text = |value: &'a Value| value.as_str().filter(|name| !name.is_empty());
    let mut given = ["name", "component"].into_iter();
    let given = given.find_map(|key| text(properties.get(key)?));
    given.or_else(|| {
        let applied = properties
            .get("value")
            .filter(|_| is_apply_component(type_));
        text(applied?.get("name")?)
    })
}
