//! What an object is made of that nobody may touch when its Application is taken over.

use serde_json::Value;

use super::recorded::Recorded;
use crate::place::Place;

/// Cases of which an object is written once when they are taken over, and why.
const WRITTEN: [(&str, &str); 1] = [(
    "c-multi-stage-traits",
    "a trait of stage PostDispatch is rendered anew over the live objects, as KubeVela does at each look",
)];

/// An object of a case, by identity, generation and what KubeVela wrote.
#[derive(PartialEq)]
pub(super) struct Standing {
    kind: String,
    namespace: String,
    name: String,
    /// Another one if it was made anew or written.
    uid: Value,
    generation: Value,
    labels: Value,
    spec: Value,
    data: Value,
}

impl Standing {
    /// The objects of all cases.
    pub(super) fn of_all(place: &Place, cases: &[Recorded]) -> Vec<Self> {
        let kinds = "get deploy,sts,ds,svc,cm,secret,ingress,hpa,cronjob -A -o json";
        let text = place.kubectl.run(kinds).ok();
        let mut list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        let Value::Array(all) = list["items"].take() else {
            panic!("kubectl prints no list: {text}");
        };
        all.into_iter()
            .filter(|object| object["metadata"]["labels"]["app.oam.dev/name"].is_string())
            .map(Self::of)
            .filter(|one| cases.iter().any(|case| case.namespace == one.namespace))
            .collect()
    }

    fn of(mut object: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut metadata = object["metadata"].take();
        Self {
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: metadata["uid"].take(),
            generation: metadata["generation"].take(),
            labels: metadata["labels"].take(),
            spec: object["spec"].take(),
            data: object["data"].take(),
        }
    }

    /// How it was touched, if it was.
    pub(super) fn touched(&self, after: &[Self], cases: &[Recorded]) -> Option<String> {
        let name = (&self.kind, &self.namespace, &self.name);
        let found = after
            .iter()
            .find(|new| (&new.kind, &new.namespace, &new.name) == name);
        let is_written = WRITTEN.iter().any(|(case, _)| self.namespace == *case);
        match found {
            Some(new) if new == self => None,
            Some(new) if (is_written || self.was_missing(cases)) && self.says_what(new) => None,
            // What has no specification is what the trait wrote.
            _ if is_written && self.spec.is_null() => None,
            Some(new) => Some(format!("{name:?}: {}", self.changed(new))),
            None => Some(format!("{name:?} is gone")),
        }
    }

    /// Whether it was deleted for a sign, so that it is made anew.
    fn was_missing(&self, cases: &[Recorded]) -> bool {
        let is_it = |case: &Recorded| {
            case.namespace == self.namespace
                && case.first_object() == (self.kind.as_str(), self.name.as_str())
        };
        cases.iter().any(is_it)
    }

    fn says_what(&self, other: &Self) -> bool {
        (&self.spec, &self.data) == (&other.spec, &other.data)
    }

    fn changed(&self, new: &Self) -> String {
        let fields = [
            ("uid", &self.uid, &new.uid),
            ("generation", &self.generation, &new.generation),
            ("labels", &self.labels, &new.labels),
            ("spec", &self.spec, &new.spec),
            ("data", &self.data, &new.data),
        ];
        let differing = fields.into_iter().filter(|(_, old, new)| old != new);
        let parts: Vec<_> = differing
            .map(|(field, old, new)| format!("{field} {old} is now {new}"))
            .collect();
        parts.join("; ")
    }
}
