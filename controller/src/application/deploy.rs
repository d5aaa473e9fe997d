//! The `deploy` step: components times placements (row WF-031).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caravel_core::appfile::{Appfile, Override, PolicyRule, Replication, Topology, assemble};
use caravel_core::plan::{
    Delivery as Planned, KnownCluster, PlacementRules, deliveries, overrides, place, replicate,
};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::delivery::Delivery;
use super::health::Place;
use super::ports::{healthy, told};
use crate::engine::{Applied, DeployRequest, PortError};

/// Delivers every component to every place that the step's policies say, each as soon as what it depends on is
/// healthy there. What waits is looked at again by the engine.
pub(crate) async fn deploy(
    delivery: &Delivery,
    request: &DeployRequest,
) -> Result<Applied, PortError> {
    if !request.inline_policies.is_empty() {
        return Err(PortError::new(
            "inline policies are not supported in a deploy step: name policies",
        ));
    }
    let named = Named::of(&delivery.appfile, &request.policies)?;
    let appfile = overridden(delivery, &named)?;
    let planned = plan(delivery, &appfile, &named)?;
    if let Some(copy) = planned.iter().find(|one| !one.copy.replica_key.is_empty()) {
        return Err(PortError::new(format!(
            "component {} is replicated, which is not supported yet",
            copy.copy.component.name
        )));
    }
    carry_out(delivery, &appfile, &planned, request.parallelism).await
}

/// The Application as the steps that deliver a component to a place see it: with what they override.
pub(crate) fn appfile_of(delivery: &Delivery, component: &str, place: &Place) -> Arc<Appfile> {
    let steps = &delivery.appfile.workflow.steps;
    let inner = steps.iter().flat_map(|step| &step.sub_steps);
    let of_steps = steps.iter().map(|step| (&step.type_, &step.properties));
    let of_inner = inner.map(|step| (&step.type_, &step.properties));
    for (type_, properties) in of_steps.chain(of_inner) {
        let Some(properties) = properties.as_ref().filter(|_| type_ == "deploy") else {
            continue;
        };
        let names = properties["policies"].as_array().into_iter().flatten();
        let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        // A step that cannot be planned has said so itself.
        let planned = || {
            let named = Named::of(&delivery.appfile, &names)?;
            let appfile = overridden(delivery, &named)?;
            plan(delivery, &appfile, &named).map(|planned| (appfile, planned))
        };
        let Ok((appfile, planned)) = planned() else {
            continue;
        };
        let delivers = |one: &Planned| {
            one.copy.component.name == component && place_of(one, &appfile) == *place
        };
        if planned.iter().any(delivers) {
            return appfile;
        }
    }
    delivery.appfile.clone()
}

/// The policies that a step names, by what they do.
#[derive(Default)]
struct Named<'a> {
    topologies: Vec<(&'a str, &'a Topology)>,
    overrides: Vec<&'a Override>,
    replications: Vec<&'a Replication>,
}

impl<'a> Named<'a> {
    fn of(appfile: &'a Appfile, names: &[String]) -> Result<Self, PortError> {
        let mut named = Self::default();
        for name in names {
            let policy = appfile.policies.iter().rfind(|policy| policy.name == *name);
            let policy =
                policy.ok_or_else(|| PortError::new(format!("policy {name} not found")))?;
            match &policy.rule {
                PolicyRule::Topology(topology) => named.topologies.push((&policy.name, topology)),
                PolicyRule::Override(patch) => named.overrides.push(patch),
                PolicyRule::Replication(replication) => named.replications.push(replication),
                _ => {}
            }
        }
        Ok(named)
    }
}

/// The Application with its components overridden; the same one where no override is named.
fn overridden(delivery: &Delivery, named: &Named<'_>) -> Result<Arc<Appfile>, PortError> {
    if named.overrides.is_empty() {
        return Ok(delivery.appfile.clone());
    }
    let mut application = (*delivery.application).clone();
    for patch in &named.overrides {
        application.spec.components = overrides::apply(&application.spec.components, patch);
    }
    let mut appfile = assemble(&application, &*delivery.source)
        .map_err(|rejection| PortError::new(rejection.kubevela_text()))?;
    appfile.revision.clone_from(&delivery.appfile.revision);
    Ok(Arc::new(appfile))
}

fn plan(
    delivery: &Delivery,
    appfile: &Appfile,
    named: &Named<'_>,
) -> Result<Vec<Planned>, PortError> {
    let clusters: Vec<KnownCluster> = delivery
        .clusters
        .names()
        .into_iter()
        .map(|name| KnownCluster {
            name,
            labels: BTreeMap::new(),
        })
        .collect();
    let rules = PlacementRules {
        clusters: &clusters,
        app_namespace: &appfile.namespace,
        cross_namespace: true,
    };
    let placements = place(&named.topologies, rules)
        .map_err(|finding| PortError::new(text(&finding.kubevela_text, finding.to_string())))?;
    let components: Vec<_> = appfile
        .components
        .iter()
        .map(|one| one.spec.clone())
        .collect();
    Ok(deliveries(
        &replicate(&components, &named.replications),
        &placements,
    ))
}

fn text(known: &str, ours: String) -> String {
    if known.is_empty() {
        ours
    } else {
        known.to_owned()
    }
}

async fn carry_out(
    delivery: &Delivery,
    appfile: &Arc<Appfile>,
    planned: &[Planned],
    parallelism: usize,
) -> Result<Applied, PortError> {
    let mut done: BTreeSet<(String, Place)> = BTreeSet::new();
    let mut waiting = Vec::new();
    let mut left: Vec<&Planned> = planned.iter().collect();
    loop {
        let (ready, rest): (Vec<&Planned>, Vec<&Planned>) = left.into_iter().partition(|one| {
            let place = place_of(one, appfile);
            let mut needed = one.copy.component.depends_on.iter();
            needed.all(|name| done.contains(&(name.clone(), place.clone())))
        });
        if ready.is_empty() {
            let names = rest.iter().map(|one| one.copy.component.name.clone());
            waiting.extend(names.map(|name| format!("{name} is waiting dependents")));
            break;
        }
        let before = done.len();
        for (name, place, outcome) in apply_all(delivery, appfile, &ready, parallelism).await? {
            if outcome.healthy {
                done.insert((name, place));
            } else {
                waiting.push(format!("{name} is not healthy"));
            }
        }
        left = rest;
        if left.is_empty() || done.len() == before {
            let names = left.iter().map(|one| one.copy.component.name.clone());
            waiting.extend(names.map(|name| format!("{name} is waiting dependents")));
            break;
        }
    }
    Ok(Applied {
        healthy: waiting.is_empty(),
        message: if waiting.is_empty() {
            String::new()
        } else {
            format!("wait healthy: {}", waiting.join(","))
        },
        output: Value::Null,
        outputs: BTreeMap::new(),
    })
}

fn place_of(planned: &Planned, appfile: &Appfile) -> Place {
    let placement = &planned.placement;
    let namespace = if placement.namespace.is_empty() {
        appfile.namespace.clone()
    } else {
        placement.namespace.clone()
    };
    Place {
        cluster: placement.cluster.clone(),
        namespace,
    }
}

async fn apply_all(
    delivery: &Delivery,
    appfile: &Arc<Appfile>,
    ready: &[&Planned],
    parallelism: usize,
) -> Result<Vec<(String, Place, Applied)>, PortError> {
    let futures: Vec<_> = ready
        .iter()
        .map(|planned| apply_one(delivery, appfile, planned))
        .collect();
    stream::iter(futures)
        .buffered(parallelism.max(1))
        .try_collect()
        .await
}

async fn apply_one(
    delivery: &Delivery,
    appfile: &Arc<Appfile>,
    planned: &Planned,
) -> Result<(String, Place, Applied), PortError> {
    let name = planned.copy.component.name.clone();
    let component = appfile.components.iter().find(|one| one.spec.name == name);
    let component =
        component.ok_or_else(|| PortError::new(format!("component {name} not found")))?;
    let place = place_of(planned, appfile);
    let delivered = delivery
        .apply_component(appfile, component, &place)
        .await
        .map_err(told)?;
    let is_healthy = healthy(&delivered.row);
    Ok((
        name,
        place,
        Applied {
            healthy: is_healthy,
            ..Applied::default()
        },
    ))
}
