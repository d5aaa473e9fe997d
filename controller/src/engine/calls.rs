//! The calls that a step's template may make (PRV-001 to PRV-014).

use caravel_core::engine::{Call, Endpoint};
use caravel_workflow::{Event, Outcome, Reason, Suspension, parse_duration};
use serde_json::{Value, json};

use super::attempt::{Attempt, Called, Unwanted, Work, execute, unable, waiting};
use super::ports::{ComponentRequest, DeployRequest, PortError, outputs_value};
use super::run::read;
pub(super) use crate::calls::text;

impl Attempt {
    /// Carries out one call, or says how the attempt ends with it.
    pub(super) async fn call(&self, work: &mut Work, call: &Call) -> Result<Called, Unwanted> {
        let action = call.action.as_str();
        if let Some(endpoint) = &call.endpoint {
            return self.external(work, call, endpoint).await;
        }
        // The legacy package `op` has the operations of several packages under one name.
        let provider = match (call.provider.as_str(), action) {
            ("op", "wait" | "suspend" | "break" | "fail" | "message" | "steps" | "var") => {
                "builtin"
            }
            ("op", "apply" | "read") => "kube",
            ("op", "do") => "http",
            ("op", "send") => "email",
            ("op", "deploy") => "multicluster",
            ("op", "component-apply") => "oam",
            ("op", "promCheck") => "metrics",
            ("op", "log") => "util",
            (other, _) => other,
        };
        let called = match (provider, action) {
            ("builtin", "steps") => Called::Answer(Value::Null),
            ("builtin", "message") => {
                note(work, call);
                Called::Answer(Value::Null)
            }
            ("builtin", "wait") => wait(work, call),
            ("builtin", "suspend") => self.suspend(call),
            ("builtin", "break") => Called::End(Outcome::Broken {
                message: said(call, &work.message),
                outputs: std::collections::BTreeMap::new(),
            }),
            ("builtin", "fail") => {
                let message = said(call, &work.message);
                Called::End(Outcome::Failed {
                    reason: Reason::Action,
                    message,
                })
            }
            ("builtin", "var") => self.variable(call).await?,
            ("kube", "apply") => self.apply(call).await,
            ("kube", "read") => self.read(call).await,
            ("http", "do") => self.http(work, call).await?,
            ("email", "send") => self.mail(work, call).await?,
            ("oam", "component-apply") => self.apply_component(call).await,
            ("multicluster", "deploy") => self.deploy(call).await,
            ("util", "log") => self.log(call).await,
            ("metrics", "promCheck") => self.check_metric(work, call).await?,
            _ => match self.ports.other(call).await {
                Ok(Some(value)) => Called::Answer(value),
                Ok(None) => failed(call, refusal(call)),
                Err(error) => refused(call, error),
            },
        };
        Ok(called)
    }

    /// A call of a package is a request to its server (PRV-045): intent, send, result.
    async fn external(
        &self,
        work: &Work,
        call: &Call,
        endpoint: &Endpoint,
    ) -> Result<Called, Unwanted> {
        let posted = match crate::calls::posted(call, endpoint) {
            Ok(posted) => posted,
            Err(why) => return Ok(failed(call, why)),
        };
        Ok(match self.http(work, &posted).await? {
            Called::Answer(answer) => match crate::calls::answered(&answer) {
                Ok(value) => Called::Answer(value),
                Err(why) => failed(call, why),
            },
            end @ Called::End(_) => end,
        })
    }

    async fn log(&self, call: &Call) -> Called {
        let step = read(&self.state).dag().step(self.step).name.clone();
        match self.ports.log(&step, &call.params).await {
            Ok(()) => Called::Answer(Value::Null),
            Err(error) => failed(call, error),
        }
    }

    fn suspend(&self, call: &Call) -> Called {
        if read(&self.state).suspension(self.step, &call.path) == Suspension::Lifted {
            return Called::Answer(Value::Null);
        }
        let duration = match text(&call.params, "duration")
            .map(parse_duration)
            .transpose()
        {
            Ok(duration) => duration,
            Err(invalid) => return failed(call, invalid),
        };
        // Upstream loses the template's message (measured trap 15).
        let message = text(&call.params, "message").map(str::to_owned);
        let message = message.unwrap_or_else(|| format!("Suspended by field {}", call.path));
        Called::End(Outcome::Suspended {
            field: call.path.clone(),
            message,
            duration,
        })
    }

    async fn variable(&self, call: &Call) -> Result<Called, Unwanted> {
        let Some(path) = text(&call.params, "path").map(str::to_owned) else {
            return Ok(failed(call, "path is missing"));
        };
        if text(&call.params, "method") == Some("Put") {
            let value = call.params.get("value").cloned().unwrap_or(Value::Null);
            let (step, attempt) = (self.step, self.number);
            self.tell(Event::Put {
                step,
                attempt,
                path,
                value,
            })
            .await?;
            return Ok(Called::Answer(Value::Null));
        }
        let found = read(&self.state).values().get(&path).cloned();
        Ok(match found {
            Some(value) => Called::Answer(json!({ "value": value })),
            None => failed(
                call,
                format!("failed to lookup value: var(path={path}) not exist"),
            ),
        })
    }

    async fn apply(&self, call: &Call) -> Called {
        let Some(object) = call.params.get("value").filter(|value| !is_empty(value)) else {
            return failed(call, "Object 'Kind' is missing in '{}'");
        };
        let cluster = text(&call.params, "cluster").unwrap_or_default();
        let patch = call.params.get("patch").filter(|patch| !is_empty(patch));
        let object = match patch {
            None => object.clone(),
            Some(patch) => match self.ports.merge(object, patch).await {
                Ok(merged) => merged,
                Err(error) => return refused(call, error),
            },
        };
        let applied = self.ports.apply(cluster, object).await;
        self.parts.faults.point("apply.done").await;
        answered(call, applied.map(|live| json!({ "value": live })))
    }

    /// What cannot be read is data for the template, not a failure (PRV-011).
    /// That it failed is data for the template, beside the object as it was asked for (PRV-011).
    async fn read(&self, call: &Call) -> Called {
        let Some(object) = call.params.get("value").filter(|value| !is_empty(value)) else {
            return failed(call, "Object 'Kind' is missing in '{}'");
        };
        let cluster = text(&call.params, "cluster").unwrap_or_default();
        let answer = match self.ports.read(cluster, object).await {
            Ok(Some(live)) => json!({ "value": live }),
            Ok(None) => json!({ "value": object, "err": not_found(object) }),
            Err(error) => json!({ "value": object, "err": error.to_string() }),
        };
        Called::Answer(answer)
    }

    async fn apply_component(&self, call: &Call) -> Called {
        let params = &call.params;
        let value = params.get("value").cloned();
        let name = value.as_ref().and_then(|value| text(value, "name"));
        let Some(component) = name.map(str::to_owned) else {
            return failed(
                call,
                "value.name is missing: it says which component to apply",
            );
        };
        let owned = |key: &str| text(params, key).unwrap_or_default().to_owned();
        let request = ComponentRequest {
            component,
            cluster: owned("cluster"),
            namespace: owned("namespace"),
            value,
            patch: params
                .get("patch")
                .filter(|patch| !is_empty(patch))
                .cloned(),
        };
        let wait = params
            .get("waitHealthy")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        let applied = self.ports.apply_component(request).await;
        self.parts.faults.point("apply.done").await;
        match applied {
            Ok(applied) if wait && !applied.healthy => Called::End(waiting(applied)),
            Ok(applied) => Called::Answer(
                json!({ "output": *applied.output, "outputs": outputs_value(&applied.outputs) }),
            ),
            Err(error) => refused(call, error),
        }
    }

    async fn deploy(&self, call: &Call) -> Called {
        let params = &call.params;
        let list = |key: &str| {
            params
                .get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let parallelism = params
            .get("parallelism")
            .and_then(Value::as_u64)
            .unwrap_or(5);
        let request = DeployRequest {
            policies: list("policies")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            parallelism: usize::try_from(parallelism).unwrap_or(5).max(1),
            ignore_terraform: params
                .get("ignoreTerraformComponent")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            inline_policies: list("inlinePolicies"),
            values: read(&self.state).values().as_map().clone(),
        };
        let applied = self.ports.deploy(request).await;
        self.parts.faults.point("apply.done").await;
        match applied {
            Ok(applied) if !applied.healthy => Called::End(waiting(applied)),
            Ok(_) => Called::Answer(Value::Null),
            Err(error) => refused(call, error),
        }
    }
}

fn note(work: &mut Work, call: &Call) {
    if let Some(message) = text(&call.params, "message") {
        message.clone_into(&mut work.message);
    }
}

fn wait(work: &Work, call: &Call) -> Called {
    if call.params.get("continue").and_then(Value::as_bool) == Some(true) {
        return Called::Answer(Value::Null);
    }
    Called::End(Outcome::Waiting {
        message: said(call, &work.message),
    })
}

/// A call that failed, in KubeVela's words.
pub(super) fn failed(call: &Call, error: impl std::fmt::Display) -> Called {
    Called::End(execute(format!(
        "function call error for {}: {error}",
        call.path
    )))
}

fn answered(call: &Call, result: Result<Value, PortError>) -> Called {
    match result {
        Ok(value) => Called::Answer(value),
        Err(error) => refused(call, error),
    }
}

/// A call that could not be carried out, or not yet.
fn refused(call: &Call, error: PortError) -> Called {
    match error {
        PortError::Failed(message) => failed(call, message),
        later @ PortError::Later(_) => Called::End(unable(later)),
    }
}

/// What is not known here, and what is.
pub(super) fn refusal(call: &Call) -> String {
    format!(
        "{}.{} is not supported; supported are builtin.{{wait,suspend,break,fail,message,steps,var}}, \
         kube.{{apply,apply-in-parallel,delete,list,patch,read}}, config.{{create,delete,list,read}}, http.do, \
         email.send, helm.render, metrics.promCheck, \
         multicluster.{{deploy,list-clusters,get-placements-from-topology-policies}}, \
         oam.{{component-apply,component-render,load,load-comps-in-order,load-policies}}, \
         op.{{make-placement-decisions,patch-application}}, \
         query.{{collectLogsInPod,collectResources,collectServiceEndpoints,listAppliedResources,listResourcesInApp,\
         searchEvents}}, terraform.{{get-connection-status,load-terraform-components}}, time.{{date,timestamp}} and \
         util.{{log,patch-k8s-object,string}}",
        call.provider, call.action
    )
}

/// The call's message, or what was said before.
fn said(call: &Call, before: &str) -> String {
    text(&call.params, "message").unwrap_or(before).to_owned()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The words of an API server for an object that is not there, as far as the kind tells the resource.
fn not_found(object: &Value) -> String {
    let kind = text(object, "kind").unwrap_or("object").to_lowercase();
    let group = text(object, "apiVersion").and_then(|version| version.split_once('/'));
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let resource = plural(&kind);
    match group {
        Some((group, _)) => format!("{resource}.{group} {name:?} not found"),
        None => format!("{resource} {name:?} not found"),
    }
}

/// Kubernetes' own guess of a resource's name (apimachinery, `UnsafeGuessKindToResource`).
fn plural(kind: &str) -> String {
    if let Some(stem) = kind.strip_suffix('y') {
        return format!("{stem}ies");
    }
    let suffix = if kind.ends_with('s') { "es" } else { "s" };
    format!("{kind}{suffix}")
}
