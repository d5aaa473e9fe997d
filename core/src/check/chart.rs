//! Options of Helm charts that steer an installation. Charts are rendered and delivered here, so nothing comes of them.

use serde_json::{Value, json};

use super::usage::Usage;
use crate::appfile::{Finding, FindingKind};
use crate::engine::DefinitionKind;

/// What the definition of a chart calls.
const RENDER: &str = "helm.#Render";

/// An option without effect, with the value that asks for nothing, and what to do instead.
fn options() -> [(&'static str, Value, &'static str); 7] {
    let recover = "`wait` tells whether it works; what was applied stays: apply what worked before";
    let dispatch = "objects that cannot be changed are replaced by a policy `resource-update`";
    [
        ("skipTests", true.into(), "tests of charts are never run"),
        (
            "timeout",
            "5m".into(),
            "a step `apply-component` may have a timeout",
        ),
        (
            "maxHistory",
            json!(10),
            "the hub keeps the latest revisions of every Application",
        ),
        ("atomic", false.into(), recover),
        ("force", false.into(), dispatch),
        (
            "recreatePods",
            false.into(),
            "pods are made anew where their template changes",
        ),
        (
            "cleanupOnFail",
            false.into(),
            "what is no longer rendered is collected anyway",
        ),
    ]
}

/// The options that ask for something which is not done.
pub(super) fn without_effect(usage: &Usage) -> Vec<Finding> {
    let is_chart = usage.kind == DefinitionKind::Component;
    if !is_chart || !usage.definition.template.contains(RENDER) {
        return Vec::new();
    }
    let given = &usage.parameters["options"];
    let asked = options().into_iter().filter(|(name, nothing, _)| {
        let value = &given[*name];
        !value.is_null() && value != nothing
    });
    let told = asked.map(|(name, _, instead)| {
        let path = format!("{}.options.{name}", usage.path);
        let message = format!(
            "the option `{name}` has no effect: the objects of a chart are delivered, and Helm installs nothing"
        );
        Finding::new(FindingKind::Undeclared, path, message)
            .about(&usage.subject)
            .hint(instead)
    });
    told.collect()
}
