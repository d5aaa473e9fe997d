//! Writing one object.

use std::sync::Arc;
use std::time::Duration;

use kube::core::params::Preconditions;
use serde_json::Value;

use super::failure::forget_if_missing;
use super::{Applied, Change, ObjectError, Plan, Preview, Step, decide};
use crate::error::ClusterError;
use crate::key::{ObjectKey, text};
use crate::owner::{Owner, object_at};
use crate::rules::Purpose;

/// How often a decision is made again because the object changed under it.
const ATTEMPTS: usize = 4;
/// How often it is checked whether something is there or gone, and how long to wait between. Longer
/// waits are the caller's: it comes again.
const CHECKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Carries out a step. If the object changed since the decision, reads and decides again.
pub(super) async fn carry_out(
    mut plan: Plan,
    mut step: Step,
    owner: &Owner,
    purpose: Purpose,
) -> (ObjectKey, Result<Applied, ObjectError>) {
    let key = plan.key.clone();
    for attempt in 1.. {
        let error = match act(&plan, &step).await {
            Ok((change, object)) => {
                return (
                    key.clone(),
                    Ok(Applied {
                        key,
                        change,
                        object: Arc::new(object),
                    }),
                );
            }
            Err(ObjectError::Cluster(error)) => error,
            Err(other) => return (key, Err(other)),
        };
        forget_if_missing(&plan.cluster, &plan.target.resource.api_version, &error);
        let may_differ_now = error.is_conflict() || error.code() == 404;
        if !may_differ_now || attempt == ATTEMPTS {
            return (key.clone(), Err(ObjectError::of(&key, error)));
        }
        match plan.cluster.get(&plan.target).await {
            // What the object needs is missing, not the object: its namespace, for example.
            Ok(None) if matches!(step, Step::Create(_)) => {
                return (key.clone(), Err(ObjectError::of(&key, error)));
            }
            Ok(live) => plan.live = live,
            Err(error) => return (key, Err(ObjectError::Cluster(error))),
        }
        match decide(
            &plan.desired,
            plan.live.as_ref(),
            owner,
            &plan.rules,
            purpose,
        ) {
            Ok(next) => step = next,
            Err(refusal) => return (key, Err(refusal.into())),
        }
    }
    unreachable!("the loop ends at the last attempt")
}

/// Asks the cluster what a step would come to.
pub(super) async fn dry_run(plan: Plan, step: Step) -> Result<Preview, (ObjectKey, ObjectError)> {
    let Plan {
        cluster,
        target,
        live,
        key,
        ..
    } = plan;
    let answer = match &step {
        Step::Create(body) => match cluster.dry_create(&target, body).await {
            // Its namespace or kind would be there by then: the same dispatch brings it.
            Err(error) if error.code() == 404 => Ok(Some(body.clone())),
            other => other.map(Some),
        },
        Step::Apply { body, .. } => cluster.apply(&target, body, true).await.map(Some),
        Step::Replace(body) | Step::Recreate { body, .. } => Ok(Some(body.clone())),
        Step::Share(_) | Step::Nothing(_) => Ok(None),
    };
    match answer {
        Ok(after) => Ok(Preview {
            key,
            step,
            before: live,
            after,
        }),
        Err(error) => Err((key.clone(), ObjectError::of(&key, error))),
    }
}

async fn act(plan: &Plan, step: &Step) -> Result<(Change, Value), ObjectError> {
    let Plan {
        cluster, target, ..
    } = plan;
    let failed = |error| match error {
        error @ ClusterError::Api { .. } if error.code() == 422 => {
            ObjectError::of(&plan.key, error)
        }
        error => ObjectError::Cluster(error),
    };
    let live = plan.live.as_ref();
    match step {
        Step::Create(body) => {
            if live.is_none() {
                wait_for_kind(plan).await.map_err(failed)?;
            }
            Ok((
                Change::Created,
                cluster.create(target, body).await.map_err(failed)?,
            ))
        }
        Step::Apply { body, adoption } => {
            if let Some(patch) = adoption {
                cluster.json_patch(target, patch).await.map_err(failed)?;
            }
            let body = bound(body, live, &["uid"]);
            Ok((
                Change::Updated,
                cluster.apply(target, &body, false).await.map_err(failed)?,
            ))
        }
        Step::Replace(body) => {
            let body = bound(body, live, &["uid", "resourceVersion"]);
            Ok((
                Change::Updated,
                cluster.replace(target, &body).await.map_err(failed)?,
            ))
        }
        Step::Recreate { body, field } => recreate(plan, body, field)
            .await
            .map(|object| (Change::Recreated(field.clone()), object)),
        Step::Share(patch) => Ok((
            Change::Shared,
            cluster.merge_patch(target, patch).await.map_err(failed)?,
        )),
        Step::Nothing(reason) => Ok((
            Change::Unchanged(*reason),
            live.cloned().unwrap_or_default(),
        )),
    }
}

/// The body, valid only for the object that was read.
fn bound(body: &Value, live: Option<&Value>, fields: &[&str]) -> Value {
    let mut body = body.clone();
    object_at(&mut body, "labels");
    if let (Some(metadata), Some(live)) = (body["metadata"].as_object_mut(), live) {
        for field in fields {
            metadata.insert((*field).to_owned(), live["metadata"][*field].clone());
        }
    }
    body
}

async fn recreate(plan: &Plan, body: &Value, field: &str) -> Result<Value, ObjectError> {
    let Plan {
        cluster,
        target,
        live,
        ..
    } = plan;
    let metadata = live.as_ref().map_or(&Value::Null, |live| &live["metadata"]);
    let preconditions = Preconditions {
        uid: Some(text(&metadata["uid"]).to_owned()),
        resource_version: Some(text(&metadata["resourceVersion"]).to_owned()),
    };
    match cluster.delete(target, preconditions).await {
        Ok(()) => {}
        Err(error) if error.is_gone() => {}
        Err(error) => return Err(ObjectError::Cluster(error)),
    }
    for _ in 0..CHECKS {
        if cluster
            .get(target)
            .await
            .map_err(ObjectError::Cluster)?
            .is_none()
        {
            return cluster
                .create(target, body)
                .await
                .map_err(ObjectError::Cluster);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(ObjectError::Recreating {
        object: plan.key.clone(),
        field: field.to_owned(),
    })
}

/// A kind that was defined a moment ago may not be served yet.
async fn wait_for_kind(plan: &Plan) -> Result<(), ClusterError> {
    let resource = &plan.target.resource;
    for check in 1.. {
        match plan
            .cluster
            .resource(&resource.api_version, &resource.kind)
            .await
        {
            Err(ClusterError::KindNotServed { .. }) if check < CHECKS => {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other.map(drop),
        }
    }
    unreachable!("the loop ends at the last check")
}
