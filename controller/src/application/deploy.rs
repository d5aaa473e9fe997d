//! The `deploy` step: components times placements (row WF-031).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caravel_core::api::{AppPolicy, ApplicationComponent};
use caravel_core::appfile::{
    AppComponent, Appfile, Finding, Policy, assemble, assemble_overridden,
};
use caravel_core::engine::{ExpressionRequest, Operation};
use caravel_core::plan::data::{self, InputError, Passed, Spot};
use caravel_core::plan::{
    Chosen, Delivery as Planned, KnownCluster, PlacementRules, deliveries, place, replicate,
};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value};

use super::component::{Asked, Delivered};
use super::delivery::Delivery;
use super::health::Place;
use super::ports::told;
use crate::engine::{Applied, DeployRequest, PortError, outputs_value};

/// Delivers every component to every place that the step's policies say, each as soon as what it depends on is
/// healthy there and what it needs was given. What waits is looked at again by the engine.
pub(crate) async fn deploy(
    delivery: &Delivery,
    request: &DeployRequest,
) -> Result<Applied, PortError> {
    let inline = inline_policies(delivery, &request.inline_policies)?;
    let named = chosen(&delivery.appfile, &request.policies, &inline)?;
    let appfile = overridden(delivery, &named)?;
    let mut planned = plan(delivery, &appfile, &named)?;
    if request.ignore_terraform {
        planned.retain(|one| !is_terraform(&appfile, &one.copy.component.name));
    }
    Deployment {
        delivery,
        appfile: &appfile,
        values: &request.values,
        passed: Passed::default(),
        done: BTreeSet::new(),
        parallelism: request.parallelism.max(1),
    }
    .carry_out(&planned)
    .await
}

fn is_terraform(appfile: &Appfile, name: &str) -> bool {
    let mut components = appfile.components.iter();
    components
        .find(|one| one.spec.name == name)
        .is_some_and(|one| one.resolved.definition.terraform.is_some())
}

/// Policies that the step's template brings along, read as those of the Application are.
fn inline_policies(delivery: &Delivery, given: &[Value]) -> Result<Vec<Policy>, PortError> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let mut application = (*delivery.application).clone();
    application.spec.components.clear();
    application.spec.workflow = None;
    application.spec.policies = given
        .iter()
        .enumerate()
        .map(|(index, policy)| {
            let mut policy: AppPolicy = serde_json::from_value(policy.clone())
                .map_err(|error| PortError::new(format!("inlinePolicies[{index}]: {error}")))?;
            if policy.name.is_empty() {
                policy.name = format!("internal-inline-{index}");
            }
            Ok(policy)
        })
        .collect::<Result<_, PortError>>()?;
    let appfile = assemble(&application, &*delivery.source)
        .map_err(|rejection| PortError::new(rejection.kubevela_text()))?;
    let mut policies = appfile.policies;
    for (index, policy) in policies.iter_mut().enumerate() {
        policy.path = format!("inlinePolicies[{index}]");
    }
    Ok(policies)
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
            let named = chosen(&delivery.appfile, &names, &[])?;
            let appfile = overridden(delivery, &named)?;
            plan(delivery, &appfile, &named).map(|planned| (appfile, planned))
        };
        let Ok((appfile, planned)) = planned() else {
            continue;
        };
        let delivers = |one: &Planned| {
            let at = place_of(one, &appfile);
            one.copy.component.name == component
                && (&at.cluster, &at.namespace) == (&place.cluster, &place.namespace)
        };
        if planned.iter().any(delivers) {
            return appfile;
        }
    }
    delivery.appfile.clone()
}

fn chosen<'a>(
    appfile: &'a Appfile,
    names: &[String],
    inline: &'a [Policy],
) -> Result<Chosen<'a>, PortError> {
    let mut chosen = Chosen::of(appfile, names).map_err(|finding| told_by(&finding))?;
    for policy in inline {
        chosen.add(policy);
    }
    Ok(chosen)
}

/// The Application with its components overridden; the same one where no override is named.
fn overridden(delivery: &Delivery, named: &Chosen<'_>) -> Result<Arc<Appfile>, PortError> {
    if named.overrides.is_empty() {
        return Ok(delivery.appfile.clone());
    }
    let application = &delivery.application;
    let components = named.overridden(&application.spec.components);
    let mut appfile = assemble_overridden(application, components, &*delivery.source)
        .map_err(|rejection| PortError::new(rejection.kubevela_text()))?;
    appfile.revision.clone_from(&delivery.appfile.revision);
    Ok(Arc::new(appfile))
}

fn plan(
    delivery: &Delivery,
    appfile: &Appfile,
    named: &Chosen<'_>,
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
    let placements = place(&named.topologies, rules).map_err(|finding| told_by(&finding))?;
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

/// In KubeVela's words, where it has some.
fn told_by(finding: &Finding) -> PortError {
    PortError::new(if finding.kubevela_text.is_empty() {
        finding.to_string()
    } else {
        finding.kubevela_text.clone()
    })
}

/// A `deploy` step under way.
struct Deployment<'a> {
    delivery: &'a Delivery,
    appfile: &'a Arc<Appfile>,
    /// What steps gave to others.
    values: &'a Map<String, Value>,
    /// What components gave to others.
    passed: Passed,
    /// What is healthy.
    done: BTreeSet<(String, Spot)>,
    parallelism: usize,
}

/// A component at a place.
struct Task<'a> {
    planned: &'a Planned,
    place: Place,
    spot: Spot,
}

impl Task<'_> {
    fn component(&self) -> &ApplicationComponent {
        &self.planned.copy.component
    }
}

impl Deployment<'_> {
    async fn carry_out(mut self, planned: &[Planned]) -> Result<Applied, PortError> {
        let tasks: Vec<Task<'_>> = planned
            .iter()
            .map(|planned| {
                let place = place_of(planned, self.appfile);
                Task {
                    planned,
                    spot: spot_of(&place),
                    place,
                }
            })
            .collect();
        let mut waiting = Vec::new();
        let mut left: Vec<&Task<'_>> = tasks.iter().collect();
        loop {
            let (may_go, rest): (Vec<&Task<'_>>, Vec<&Task<'_>>) = left
                .into_iter()
                .partition(|task| self.is_unblocked(task, &tasks));
            let mut ready = Vec::new();
            left = rest;
            for task in may_go {
                match self.with_inputs(task)? {
                    Some(component) => ready.push((task, component)),
                    None => left.push(task),
                }
            }
            let before = self.done.len();
            for (task, component, delivered) in self.apply_all(ready).await? {
                if delivered.is_ready {
                    self.take_outputs(task, &component, &delivered).await?;
                    self.done
                        .insert((component.spec.name.clone(), task.spot.clone()));
                } else {
                    waiting.push(format!("{} is not healthy", component.spec.name));
                }
            }
            if left.is_empty() || self.done.len() == before {
                break;
            }
        }
        let names = left.iter().map(|task| &task.component().name);
        waiting.extend(names.map(|name| format!("{name} is waiting dependents")));
        Ok(Applied {
            healthy: waiting.is_empty(),
            message: if waiting.is_empty() {
                String::new()
            } else {
                format!("wait healthy: {}", waiting.join(","))
            },
            ..Applied::default()
        })
    }

    /// Whether everything that a component depends on is healthy at its place: the same copy, else what is not
    /// replicated, else all copies.
    fn is_unblocked(&self, task: &Task<'_>, all: &[Task<'_>]) -> bool {
        let is_done = |name: &String, spot: Spot| self.done.contains(&(name.clone(), spot));
        task.component().depends_on.iter().all(|name| {
            if is_done(name, task.spot.clone()) || is_done(name, task.spot.unreplicated()) {
                return true;
            }
            let mut copies = all
                .iter()
                .filter(|other| other.component().name == *name)
                .filter(|other| other.spot.unreplicated() == task.spot)
                .peekable();
            copies.peek().is_some() && copies.all(|copy| is_done(name, copy.spot.clone()))
        })
    }

    /// The component with its inputs; none while one is not there.
    fn with_inputs(&self, task: &Task<'_>) -> Result<Option<AppComponent>, PortError> {
        let name = &task.component().name;
        let found = self
            .appfile
            .components
            .iter()
            .find(|one| one.spec.name == *name);
        let component =
            found.ok_or_else(|| PortError::new(format!("component {name} not found")))?;
        let value_of = |from: &str| {
            let given = self.passed.get(&task.spot, from);
            given.or_else(|| data::look_up(self.values, from))
        };
        match data::fill(component, value_of) {
            Ok(filled) => Ok(Some(filled)),
            Err(InputError::Waiting(_)) => Ok(None),
            Err(InputError::Path(why)) => Err(PortError::new(format!(
                "an input of component {name} cannot be filled: {why}"
            ))),
        }
    }

    async fn apply_all<'t>(
        &self,
        ready: Vec<(&'t Task<'t>, AppComponent)>,
    ) -> Result<Vec<(&'t Task<'t>, AppComponent, Delivered)>, PortError> {
        let futures: Vec<_> = ready
            .into_iter()
            .map(|(task, component)| self.apply_one(task, component))
            .collect();
        stream::iter(futures)
            .buffered(self.parallelism)
            .try_collect()
            .await
    }

    async fn apply_one<'t>(
        &self,
        task: &'t Task<'t>,
        component: AppComponent,
    ) -> Result<(&'t Task<'t>, AppComponent, Delivered), PortError> {
        let asked = Asked {
            appfile: self.appfile,
            component: &component,
            place: &task.place,
            patches: None,
        };
        let delivered = self.delivery.apply_component(asked).await.map_err(told)?;
        Ok((task, component, delivered))
    }

    /// Reads the outputs of a component from its live objects.
    async fn take_outputs(
        &mut self,
        task: &Task<'_>,
        component: &AppComponent,
        delivered: &Delivered,
    ) -> Result<(), PortError> {
        for output in &component.spec.outputs {
            let scope = [
                ("output".to_owned(), Value::clone(&delivered.output)),
                ("outputs".to_owned(), outputs_value(&delivered.outputs)),
            ];
            let operation = Operation::Expression(ExpressionRequest {
                expression: output.value_from.clone(),
                scope: scope.into_iter().collect(),
                ..ExpressionRequest::default()
            });
            let namespace = &self.appfile.namespace;
            let value = self.delivery.evaluation.call::<Value>(namespace, operation);
            match value.await {
                Ok(value) => self.passed.put(task.spot.clone(), &output.name, value),
                // It may be one of a late trait: who needs it waits.
                Err(_) if delivered.awaits.is_some() => {}
                Err(error) => {
                    let words = format!(
                        "output {} of component {}: {}: {error}",
                        output.name, component.spec.name, output.value_from
                    );
                    return Err(PortError::evaluation(&error, words));
                }
            }
        }
        Ok(())
    }
}

fn spot_of(place: &Place) -> Spot {
    Spot {
        cluster: place.cluster.clone(),
        namespace: place.namespace.clone(),
        replica_key: place.replica_key.clone(),
    }
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
        replica_key: planned.copy.replica_key.clone(),
    }
}
