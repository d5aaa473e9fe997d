//! The rules of a cluster role with an `aggregationRule` are those of the cluster roles that it selects.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::watching::{already, insist, watch};

const MANAGER: &str = "clusterrole-aggregation-controller";
/// It is gone, or somebody wrote it in between: the event of that comes next.
const FINE: &[u16] = &[404, 409];

/// Keeps the rules of all aggregated cluster roles for ever.
pub(super) async fn run(client: Client) {
    let api: Api<ClusterRole> = Api::all(client);
    let mut events = watch(api.clone(), watcher::Config::default());
    let mut roles = BTreeMap::new();
    let mut complete = false;
    while let Some(event) = events.next().await {
        match event {
            Event::Init => {
                roles.clear();
                complete = false;
            }
            Event::InitDone => complete = true,
            Event::Apply(role) | Event::InitApply(role) => {
                roles.insert(role.name_any(), role);
            }
            Event::Delete(role) => {
                roles.remove(&role.name_any());
            }
        }
        // Half of the roles would take rights away.
        if !complete {
            continue;
        }
        for (name, rules) in due(&roles) {
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": roles[&name].resource_version()}, "rules": rules,
            }));
            let parameters = PatchParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let write = || async { already(api.patch(&name, &parameters, &patch).await, FINE) };
            insist("aggregating cluster roles", write).await;
        }
    }
}

/// The roles whose rules are not those that they should be, and these.
fn due(roles: &BTreeMap<String, ClusterRole>) -> Vec<(String, Vec<PolicyRule>)> {
    let wanted = |name: &String, role: &ClusterRole| {
        let selectors = role
            .aggregation_rule
            .as_ref()?
            .cluster_role_selectors
            .as_ref()?;
        let mut rules: Vec<PolicyRule> = Vec::new();
        for (other, part) in roles {
            if other == name || !selectors.iter().any(|selector| selects(selector, part)) {
                continue;
            }
            for rule in part.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        (role.rules.as_deref().unwrap_or_default() != rules).then_some(rules)
    };
    roles
        .iter()
        .filter_map(|(name, role)| Some((name.clone(), wanted(name, role)?)))
        .collect()
}

fn selects(selector: &LabelSelector, role: &ClusterRole) -> bool {
    let labels = role.labels();
    let equal = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    equal
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| {
            let value = labels.get(&expression.key);
            let named = value
                .is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
            match expression.operator.as_str() {
                "In" => named,
                "NotIn" => !named,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
