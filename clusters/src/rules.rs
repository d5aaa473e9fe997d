//! Which policy holds for which object (POL-001 … POL-006).

use caravel_core::api::labels;
use caravel_core::appfile::{
    Affect, ApplyOnce, GarbageCollect, GarbageOrder, GarbageStrategy, PolicyRule, Propagation,
    ResourceUpdate, Selection, Selector, UpdateOp,
};
use serde_json::Value;

use crate::key::text;

/// All policies of an Application that speak of objects. Several of one type count as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourcePolicies {
    apply_once: ApplyOnce,
    garbage: GarbageCollect,
    shared: Selection,
    read_only: Selection,
    take_over: Selection,
    update: ResourceUpdate,
}

/// Why an object is written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The Application changed.
    Update,
    /// Drift is repaired.
    StateKeep,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a policy of its own"
)]
/// What holds for one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// An object without owner may be adopted.
    pub take_over: bool,
    /// The object is never written, and must exist.
    pub read_only: bool,
    /// Several Applications may use the object.
    pub shared: bool,
    /// The object is written as a whole.
    pub replace: bool,
    /// A change in one of these fields deletes and creates the object.
    pub recreate_fields: Vec<String>,
    /// These fields are left as they are in the cluster; `*` for all.
    pub keep_update: Vec<String>,
    /// The same when drift is repaired.
    pub keep_state: Vec<String>,
    /// When the object is deleted.
    pub garbage: GarbageStrategy,
    /// How the object is deleted.
    pub propagation: Propagation,
}

impl Rules {
    /// The fields that are left as they are.
    pub fn kept(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Update => &self.keep_update,
            Purpose::StateKeep => &self.keep_state,
        }
    }
}

impl ResourcePolicies {
    /// Collects what the policies of an Application say about objects.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a PolicyRule>) -> Self {
        let mut all = Self::default();
        for rule in rules {
            match rule {
                PolicyRule::ApplyOnce(policy) => {
                    all.apply_once.enable |= policy.enable;
                    all.apply_once.rules.extend(policy.rules.iter().cloned());
                }
                PolicyRule::GarbageCollect(policy) => all.merge_garbage(policy),
                PolicyRule::SharedResource(policy) => extend(&mut all.shared, policy),
                PolicyRule::ReadOnly(policy) => extend(&mut all.read_only, policy),
                PolicyRule::TakeOver(policy) => extend(&mut all.take_over, policy),
                PolicyRule::ResourceUpdate(policy) => {
                    all.update.rules.extend(policy.rules.iter().cloned());
                }
                PolicyRule::Topology(_)
                | PolicyRule::Override(_)
                | PolicyRule::Replication(_)
                | PolicyRule::EnvBinding(_)
                | PolicyRule::Debug
                | PolicyRule::Custom(_) => {}
            }
        }
        all
    }

    /// The same for an Application of an addon, whose objects are written once (POL-001).
    #[must_use]
    pub fn for_addon(mut self) -> Self {
        self.apply_once.enable = true;
        self
    }

    fn merge_garbage(&mut self, policy: &GarbageCollect) {
        let all = &mut self.garbage;
        let limit = all
            .application_revision_limit
            .or(policy.application_revision_limit);
        all.application_revision_limit = limit;
        all.keep_legacy_resource |= policy.keep_legacy_resource;
        all.continue_on_failure |= policy.continue_on_failure;
        if all.order == GarbageOrder::None {
            all.order = policy.order;
        }
        all.rules.extend(policy.rules.iter().cloned());
    }

    /// What is collected, and when.
    pub fn garbage(&self) -> &GarbageCollect {
        &self.garbage
    }

    /// Drift is not repaired at all, and manifests are not kept (APP-044, APP-048).
    pub fn applies_once(&self) -> bool {
        self.apply_once.enable && self.apply_once.rules.is_empty()
    }

    /// What holds for the object of this manifest. The first rule that matches counts.
    pub fn rules_for(&self, manifest: &Value) -> Rules {
        let update = self
            .update
            .rules
            .iter()
            .find(|rule| matches(&rule.selector, manifest));
        let garbage = |wanted: fn(&caravel_core::appfile::GarbageRule) -> bool| {
            let mut rules = self.garbage.rules.iter();
            rules.find(|rule| wanted(rule) && matches(&rule.selector, manifest))
        };
        let once = self
            .apply_once
            .rules
            .iter()
            .filter(|_| self.apply_once.enable);
        let once = once
            .filter(|rule| matches(&rule.selector, manifest))
            .find_map(|rule| rule.strategy.as_ref());
        let kept = |affects: &[Affect]| {
            once.filter(|once| affects.contains(&once.affect))
                .map(|once| once.path.clone())
                .unwrap_or_default()
        };
        Rules {
            take_over: selects(&self.take_over, manifest),
            read_only: selects(&self.read_only, manifest),
            shared: selects(&self.shared, manifest),
            replace: update.is_some_and(|rule| rule.strategy.op == UpdateOp::Replace),
            recreate_fields: update
                .map(|rule| rule.strategy.recreate_fields.clone())
                .unwrap_or_default(),
            keep_update: kept(&[Affect::Always, Affect::OnUpdate]),
            keep_state: kept(&[Affect::Always, Affect::OnStateKeep]),
            garbage: garbage(|rule| rule.strategy.is_some())
                .and_then(|rule| rule.strategy)
                .unwrap_or_else(|| unless_told(manifest)),
            propagation: garbage(|rule| rule.propagation.is_some())
                .and_then(|rule| rule.propagation)
                .unwrap_or_default(),
        }
    }
}

/// When an object is deleted that no policy speaks of. Helm's own word for it holds for the objects of charts.
fn unless_told(manifest: &Value) -> GarbageStrategy {
    let annotations = &manifest["metadata"]["annotations"];
    let of_chart = annotations.get("meta.helm.sh/release-name").is_some();
    if of_chart && annotations["helm.sh/resource-policy"] == "keep" {
        GarbageStrategy::Never
    } else {
        GarbageStrategy::default()
    }
}

fn extend(all: &mut Selection, more: &Selection) {
    all.rules.extend(more.rules.iter().cloned());
}

fn selects(selection: &Selection, manifest: &Value) -> bool {
    selection
        .rules
        .iter()
        .any(|rule| matches(&rule.selector, manifest))
}

/// All criteria that are given match; an empty selector matches nothing.
fn matches(selector: &Selector, manifest: &Value) -> bool {
    let label = |key: &str| text(&manifest["metadata"]["labels"][key]);
    let criteria = [
        (&selector.component_names, label(labels::APP_COMPONENT)),
        (&selector.component_types, label(labels::WORKLOAD_TYPE)),
        (&selector.oam_types, label(labels::RESOURCE_TYPE)),
        (&selector.trait_types, label(labels::TRAIT_TYPE)),
        (&selector.resource_types, text(&manifest["kind"])),
        (
            &selector.resource_names,
            text(&manifest["metadata"]["name"]),
        ),
    ];
    let mut given = criteria
        .iter()
        .filter(|(wanted, _)| !wanted.is_empty())
        .peekable();
    given.peek().is_some() && given.all(|(wanted, found)| wanted.iter().any(|word| word == found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {
            "app.oam.dev/component": "web", "workload.oam.dev/type": "webservice",
            "app.oam.dev/resourceType": "WORKLOAD",
        }}})
    }

    fn policies(rules: Value) -> ResourcePolicies {
        let selection: Selection = serde_json::from_value(rules).unwrap();
        ResourcePolicies::of(&[PolicyRule::ReadOnly(selection)])
    }

    #[test]
    fn all_criteria_must_match_and_an_empty_selector_matches_nothing() {
        let read_only = |rules| policies(rules).rules_for(&manifest()).read_only;
        assert!(read_only(
            json!({"rules": [{"selector": {"componentNames": ["a", "web"]}}]})
        ));
        assert!(read_only(
            json!({"rules": [{"selector": {"resourceTypes": ["Deployment"],
            "resourceNames": ["web"], "oamTypes": ["WORKLOAD"]}}]})
        ));
        assert!(!read_only(
            json!({"rules": [{"selector": {"componentNames": ["web"],
            "resourceTypes": ["Service"]}}]})
        ));
        assert!(!read_only(json!({"rules": [{"selector": {}}]})));
        assert!(!read_only(json!({})));
    }

    #[test]
    fn apply_once_counts_when_it_says() {
        let once: ApplyOnce = serde_json::from_value(json!({"enable": true, "rules": [
            {"selector": {"resourceTypes": ["Deployment"]},
             "strategy": {"path": ["spec.replicas"], "affect": "onStateKeep"}}]}))
        .unwrap();
        let policies = ResourcePolicies::of(&[PolicyRule::ApplyOnce(once)]);
        let rules = policies.rules_for(&manifest());
        assert_eq!(rules.kept(Purpose::Update), [] as [String; 0]);
        assert_eq!(rules.kept(Purpose::StateKeep), ["spec.replicas"]);
        assert!(!policies.applies_once());
        assert!(ResourcePolicies::default().for_addon().applies_once());
    }

    #[test]
    fn the_first_garbage_rule_that_says_something_counts() {
        let garbage: GarbageCollect = serde_json::from_value(json!({"rules": [
            {"selector": {"componentTypes": ["webservice"]}, "propagation": "orphan"},
            {"selector": {"componentTypes": ["webservice"]}, "strategy": "onAppDelete"},
            {"selector": {"componentTypes": ["webservice"]}, "strategy": "never"},
        ]}))
        .unwrap();
        let rules =
            ResourcePolicies::of(&[PolicyRule::GarbageCollect(garbage)]).rules_for(&manifest());
        assert_eq!(rules.garbage, GarbageStrategy::OnAppDelete);
        assert_eq!(rules.propagation, Propagation::Orphan);
    }

    #[test]
    fn a_chart_keeps_what_it_says_unless_a_policy_says_otherwise() {
        let mut object = manifest();
        object["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        let none = ResourcePolicies::default();
        assert_eq!(none.rules_for(&object).garbage, GarbageStrategy::default());
        object["metadata"]["annotations"]["meta.helm.sh/release-name"] = "web".into();
        assert_eq!(none.rules_for(&object).garbage, GarbageStrategy::Never);
        let garbage: GarbageCollect = serde_json::from_value(json!({"rules": [
            {"selector": {"componentNames": ["web"]}, "strategy": "onAppDelete"},
        ]}))
        .unwrap();
        let told = ResourcePolicies::of(&[PolicyRule::GarbageCollect(garbage)]);
        assert_eq!(
            told.rules_for(&object).garbage,
            GarbageStrategy::OnAppDelete
        );
    }
}
