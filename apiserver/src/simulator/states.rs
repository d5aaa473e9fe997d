//! The states that objects of each kind reach. Pure: an object, a stage and the time in, a status
//! out. Facts: what kube-controller-manager 1.36 writes.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A kind that the simulator animates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Pod,
    Job,
    Service,
    Ingress,
    PersistentVolumeClaim,
}

/// How far an object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Seen and started, not ready yet.
    Started,
    /// As wanted.
    Ready,
    /// Given up.
    Failed,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Pod,
        Self::Job,
        Self::Service,
        Self::Ingress,
        Self::PersistentVolumeClaim,
    ];

    /// Group, version, kind and plural.
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::PersistentVolumeClaim => {
                ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
            }
        }
    }

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.names().2 == name)
    }

    /// The status of an object at a stage. `None`: nothing runs for this object, or it has come to
    /// its end.
    pub(crate) fn status(self, object: &Value, stage: Stage, now: &str) -> Option<Value> {
        let at = At { object, stage, now };
        match self {
            Self::Deployment => Some(at.deployment()),
            Self::StatefulSet => Some(at.stateful_set()),
            Self::DaemonSet => Some(at.daemon_set()),
            Self::ReplicaSet => Some(at.replica_set()),
            Self::Pod => at.pod(),
            Self::Job => at.job(),
            Self::Service => at.service(),
            Self::Ingress => at.address(&json!({"ip": at.ip()})),
            Self::PersistentVolumeClaim => Some(at.claim()),
        }
    }
}

struct At<'a> {
    object: &'a Value,
    stage: Stage,
    now: &'a str,
}

/// What a condition says.
struct Says<'a> {
    kind: &'a str,
    holds: bool,
    reason: &'a str,
    message: &'a str,
}

impl At<'_> {
    fn spec(&self, name: &str) -> &Value {
        &self.object["spec"][name]
    }

    fn status(&self, name: &str) -> &Value {
        &self.object["status"][name]
    }

    fn count(&self, name: &str, default: i64) -> i64 {
        self.spec(name).as_i64().unwrap_or(default)
    }

    /// A condition; its times move only with what it says.
    fn condition(&self, says: &Says<'_>) -> Value {
        let holds = if says.holds { "True" } else { "False" };
        let message = format!("{} (simulated)", says.message);
        let before = self.status("conditions").as_array().into_iter().flatten();
        let before = before.into_iter().find(|c| c["type"] == says.kind);
        let same = before.filter(|c| c["status"] == holds);
        let untouched =
            same.filter(|c| c["reason"] == says.reason && c["message"] == message.as_str());
        let time = |condition: Option<&Value>, name: &str| {
            condition.map_or_else(|| self.now.into(), |condition| condition[name].clone())
        };
        json!({
            "type": says.kind,
            "status": holds,
            "reason": says.reason,
            "message": message,
            "lastTransitionTime": time(same, "lastTransitionTime"),
            "lastUpdateTime": time(untouched, "lastUpdateTime"),
        })
    }

    /// Counts of zero are left out, as Kubernetes does.
    fn with_counts(&self, mut status: Map<String, Value>, counts: &[(&str, i64)]) -> Value {
        for (name, count) in counts.iter().filter(|(_, count)| *count != 0) {
            status.insert((*name).to_owned(), (*count).into());
        }
        status.insert(
            "observedGeneration".to_owned(),
            self.object["metadata"]["generation"].clone(),
        );
        Value::Object(status)
    }

    fn deployment(&self) -> Value {
        let wanted = self.count("replicas", 1);
        let served = self.status("availableReplicas").as_i64().unwrap_or(0);
        let (ready, updated, replicas) = match self.stage {
            Stage::Ready => (wanted, wanted, wanted),
            // What ran before keeps running while the new does not come up.
            _ if served > 0 && wanted > 0 => (served.min(wanted), 1, served.min(wanted) + 1),
            _ => (0, wanted, wanted),
        };
        let available = Says {
            kind: "Available",
            holds: ready >= wanted,
            reason: if ready >= wanted {
                "MinimumReplicasAvailable"
            } else {
                "MinimumReplicasUnavailable"
            },
            message: if ready >= wanted {
                "Deployment has minimum availability."
            } else {
                "Deployment does not have minimum availability."
            },
        };
        let (holds, reason, message) = match self.stage {
            Stage::Ready => (
                true,
                "NewReplicaSetAvailable",
                "Deployment has successfully progressed.",
            ),
            Stage::Started => (true, "ReplicaSetUpdated", "Deployment is progressing."),
            Stage::Failed => (
                false,
                "ProgressDeadlineExceeded",
                "Deployment has timed out progressing.",
            ),
        };
        let progressing = Says {
            kind: "Progressing",
            holds,
            reason,
            message,
        };
        let mut status = Map::new();
        let conditions = vec![self.condition(&available), self.condition(&progressing)];
        status.insert("conditions".to_owned(), conditions.into());
        self.with_counts(
            status,
            &[
                ("replicas", replicas),
                ("updatedReplicas", updated),
                ("readyReplicas", ready),
                ("availableReplicas", ready),
                ("unavailableReplicas", replicas - ready),
            ],
        )
    }

    fn replica_set(&self) -> Value {
        let wanted = self.count("replicas", 1);
        let ready = if self.stage == Stage::Ready {
            wanted
        } else {
            0
        };
        let mut status = Map::new();
        status.insert("replicas".to_owned(), wanted.into());
        self.with_counts(
            status,
            &[
                ("fullyLabeledReplicas", wanted),
                ("readyReplicas", ready),
                ("availableReplicas", ready),
            ],
        )
    }

    /// A Pod that has ended stays as it is.
    fn pod(&self) -> Option<Value> {
        if matches!(self.status("phase").as_str(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let ends = self.runs_once() && self.stage != Stage::Started;
        let ready = self.stage == Stage::Ready && !ends;
        let running = self.stage != Stage::Started;
        let before = self.status("containerStatuses").as_array();
        let containers: Vec<Value> = self
            .spec("containers")
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| {
                let known = before
                    .into_iter()
                    .flatten()
                    .find(|known| known["name"] == container["name"]);
                self.container(container, known)
            })
            .collect();
        let all = |kind, holds| self.pod_condition(kind, holds);
        let started = self.status("startTime").as_str().unwrap_or(self.now);
        let mut status = json!({
            "phase": match self.stage {
                Stage::Started => "Pending",
                Stage::Ready if ends => "Succeeded",
                Stage::Failed if ends => "Failed",
                Stage::Ready | Stage::Failed => "Running",
            },
            "qosClass": self.status("qosClass").as_str().unwrap_or("BestEffort"),
            "startTime": started,
            "conditions": [
                all("PodReadyToStartContainers", running && !ends), all("Initialized", true), all("Ready", ready),
                all("ContainersReady", ready), all("PodScheduled", true),
            ],
            "containerStatuses": containers,
        });
        if running {
            status["podIP"] = self.ip().into();
            status["podIPs"] = json!([{"ip": self.ip()}]);
        }
        Some(status)
    }

    /// Is it a Pod of a Job, whose containers come to an end?
    fn runs_once(&self) -> bool {
        let owners = self.object["metadata"]["ownerReferences"].as_array();
        owners
            .into_iter()
            .flatten()
            .any(|owner| owner["controller"] == true && owner["kind"] == "Job")
    }

    fn pod_condition(&self, kind: &str, holds: bool) -> Value {
        let says = if holds { "True" } else { "False" };
        let before = self.status("conditions").as_array().into_iter().flatten();
        let since = before
            .into_iter()
            .find(|condition| condition["type"] == kind && condition["status"] == says)
            .map_or_else(
                || self.now.into(),
                |condition| condition["lastTransitionTime"].clone(),
            );
        let mut condition = json!({
            "type": kind, "status": says, "lastTransitionTime": since,
        });
        if !holds && self.runs_once() && self.stage == Stage::Ready {
            condition["reason"] = "PodCompleted".into();
        } else if !holds {
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = "containers are not ready (simulated)".into();
        }
        condition
    }

    fn container(&self, container: &Value, before: Option<&Value>) -> Value {
        let started = self.status("startTime").as_str().unwrap_or(self.now);
        let ended = |code: i64, reason: &str| {
            json!({"terminated": {
                "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": self.now,
            }})
        };
        let ends = self.runs_once();
        let state = match self.stage {
            Stage::Started => json!({"waiting": {"reason": "ContainerCreating"}}),
            Stage::Failed if ends => ended(1, "Error"),
            Stage::Ready if ends => ended(0, "Completed"),
            Stage::Failed => json!({"waiting": {
                "reason": "CrashLoopBackOff", "message": "back-off restarting failed container (simulated)",
            }}),
            Stage::Ready => {
                let since =
                    before.and_then(|known| known["state"]["running"]["startedAt"].as_str());
                json!({"running": {"startedAt": since.unwrap_or(self.now)}})
            }
        };
        let ready = self.stage == Stage::Ready && !ends;
        let restarts = if self.stage == Stage::Failed && !ends {
            5
        } else {
            0
        };
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "lastState": {},
            "ready": ready, "started": ready, "restartCount": restarts,
            "state": state,
        })
    }

    fn stateful_set(&self) -> Value {
        let wanted = self.count("replicas", 1);
        let revision = revision(self.object);
        let mut status = Map::new();
        status.insert("collisionCount".to_owned(), 0.into());
        status.insert("updateRevision".to_owned(), revision.clone().into());
        if self.stage == Stage::Ready {
            status.insert("replicas".to_owned(), wanted.into());
            status.insert("availableReplicas".to_owned(), wanted.into());
            status.insert("currentRevision".to_owned(), revision.into());
            return self.with_counts(
                status,
                &[
                    ("readyReplicas", wanted),
                    ("currentReplicas", wanted),
                    ("updatedReplicas", wanted),
                ],
            );
        }
        // Pods come one after the other: the first new one does not become ready.
        let before = self
            .status("readyReplicas")
            .as_i64()
            .unwrap_or(0)
            .min(wanted);
        let ready = if before == wanted {
            (wanted - 1).max(0)
        } else {
            before
        };
        let replicas = (ready + 1).min(wanted);
        let current = self.status("currentRevision").as_str().unwrap_or(&revision);
        status.insert("replicas".to_owned(), replicas.into());
        status.insert("availableReplicas".to_owned(), ready.into());
        status.insert("currentRevision".to_owned(), current.into());
        self.with_counts(
            status,
            &[
                ("readyReplicas", ready),
                (
                    "currentReplicas",
                    if current == revision { replicas } else { ready },
                ),
                ("updatedReplicas", replicas - ready),
            ],
        )
    }

    /// The simulated cluster has one node.
    fn daemon_set(&self) -> Value {
        let ready = i64::from(self.stage == Stage::Ready);
        let mut status = Map::new();
        for (name, count) in [
            ("currentNumberScheduled", 1),
            ("desiredNumberScheduled", 1),
            ("numberMisscheduled", 0),
            ("numberReady", ready),
        ] {
            status.insert(name.to_owned(), count.into());
        }
        self.with_counts(
            status,
            &[
                ("updatedNumberScheduled", 1),
                ("numberAvailable", ready),
                ("numberUnavailable", 1 - ready),
            ],
        )
    }

    fn job(&self) -> Option<Value> {
        let conditions = self.status("conditions").as_array();
        let ended = conditions.into_iter().flatten().any(|condition| {
            matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
                && condition["status"] == "True"
        });
        if ended {
            return None;
        }
        let mut status = json!({"ready": 0, "terminating": 0, "uncountedTerminatedPods": {}});
        if self.spec("suspend") == &Value::Bool(true) {
            status["conditions"] =
                json!([self.job_condition("Suspended", "JobSuspended", "Job suspended")]);
            return Some(status);
        }
        let started = self.status("startTime").as_str().unwrap_or(self.now);
        status["startTime"] = started.into();
        let completions = self.count("completions", 1);
        let parallel = self.count("parallelism", 1).min(completions.max(1));
        match self.stage {
            Stage::Started => {
                status["active"] = parallel.into();
                status["ready"] = parallel.into();
            }
            Stage::Ready => {
                let (reason, message) = (
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                );
                status["succeeded"] = completions.into();
                status["completionTime"] = self.now.into();
                status["conditions"] = json!([
                    self.job_condition("SuccessCriteriaMet", reason, message),
                    self.job_condition("Complete", reason, message),
                ]);
            }
            Stage::Failed => {
                let (reason, message) = (
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                );
                status["failed"] = (self.count("backoffLimit", 6) + 1).into();
                status["conditions"] = json!([
                    self.job_condition("FailureTarget", reason, message),
                    self.job_condition("Failed", reason, message),
                ]);
            }
        }
        Some(status)
    }

    fn job_condition(&self, kind: &str, reason: &str, message: &str) -> Value {
        let mut condition = self.condition(&Says {
            kind,
            holds: true,
            reason,
            message,
        });
        if let Some(map) = condition.as_object_mut() {
            let probed = map.remove("lastUpdateTime").unwrap_or_default();
            map.insert("lastProbeTime".to_owned(), probed);
        }
        condition
    }

    fn service(&self) -> Option<Value> {
        if self.spec("type") == "LoadBalancer" {
            return self.address(&json!({"ip": self.ip(), "ipMode": "VIP"}));
        }
        // It was a load balancer before.
        let had = self.status("loadBalancer")["ingress"].is_array();
        had.then(|| json!({"loadBalancer": {}}))
    }

    /// The address of something that is reached from outside; there is none before it is ready.
    fn address(&self, ingress: &Value) -> Option<Value> {
        (self.stage == Stage::Ready).then(|| json!({"loadBalancer": {"ingress": [ingress]}}))
    }

    /// An address of the block that is set aside for documentation (RFC 5737), the same for the same
    /// name.
    fn ip(&self) -> String {
        let metadata = &self.object["metadata"];
        let digest = Sha256::digest(format!("{}/{}", metadata["namespace"], metadata["name"]));
        format!("192.0.2.{}", u16::from(digest[0]) % 254 + 1)
    }

    fn claim(&self) -> Value {
        match self.stage {
            Stage::Started => json!({"phase": "Pending"}),
            Stage::Failed => json!({"phase": "Lost"}),
            Stage::Ready => json!({
                "phase": "Bound",
                "accessModes": self.spec("accessModes"),
                "capacity": self.spec("resources")["requests"],
            }),
        }
    }
}

/// The name of the revision that the pod template of a workload makes.
pub(crate) fn revision(workload: &Value) -> String {
    let digest = Sha256::digest(workload["spec"]["template"].to_string());
    let name = workload["metadata"]["name"].as_str().unwrap_or_default();
    format!("{name}-{}", hex::encode(&digest[..5]))
}

/// The merge patch that makes one status of another.
pub(crate) fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return to.clone();
    };
    let gone = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value))
        .map(|(name, value)| {
            let before = old.get(name).unwrap_or(&Value::Null);
            (name.clone(), difference(before, value))
        });
    Value::Object(gone.chain(changed).collect())
}

#[cfg(test)]
mod tests;
