//! Hooks: objects that Helm makes at moments of an installation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The moments of an installation that a delivery has as well.
const OF_A_DELIVERY: [&str; 4] = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"];

/// An object that Helm would make at some moment of an installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChartHook {
    /// For instance `pre-install`.
    pub events: Vec<String>,
    /// Lower ones go first.
    pub weight: i64,
    /// The object.
    pub object: Value,
}

impl ChartHook {
    /// Why it is not delivered; nothing for one that is.
    pub fn left_out(&self, skip_hooks: bool) -> Option<&'static str> {
        let has = |wanted: &str| self.events.iter().any(|event| event == wanted);
        if OF_A_DELIVERY.into_iter().any(has) {
            return skip_hooks.then_some("options.skipHooks is set");
        }
        Some(if has("test") {
            "tests of charts are not run"
        } else {
            "a delivery has no such moment"
        })
    }
}

/// What it is, and when Helm makes it.
impl std::fmt::Display for ChartHook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (&self.object["kind"], &self.object["metadata"]["name"]);
        let (kind, name, events) = (text(kind), text(name), self.events.join(", "));
        write!(out, "{kind} {name} ({events}; weight {})", self.weight)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_delivery_has_is_delivered_and_the_rest_says_why_not() {
        let hook = |events: &[&str]| ChartHook {
            events: events.iter().map(|&event| event.to_owned()).collect(),
            weight: -5,
            object: json!({"kind": "Job", "metadata": {"name": "migrate"}}),
        };
        let mixed = hook(&["pre-delete", "post-upgrade"]);
        assert_eq!(mixed.left_out(false), None);
        assert_eq!(mixed.left_out(true), Some("options.skipHooks is set"));
        assert_eq!(
            mixed.to_string(),
            "Job migrate (pre-delete, post-upgrade; weight -5)"
        );
        let test = hook(&["test"]).left_out(false);
        assert_eq!(test, Some("tests of charts are not run"));
        let rollback = hook(&["pre-rollback"]).left_out(false);
        assert_eq!(rollback, Some("a delivery has no such moment"));
    }
}
