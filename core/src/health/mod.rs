//! How components stand: what the engine is asked about live objects, and what its answers come to
//! (REN-026 … REN-031, APP-023). Pure: who calls asks the engine and reads the clusters.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::{ComponentStatus, LOCAL_CLUSTER, TraitStatus};
use crate::appfile::{AppComponent, Appfile, Definition, Policy, PolicyRule, Stage};
use crate::engine::{Diagnostic, Evaluator, StatusRequest, StatusResult};
use crate::reads::Reads;
use crate::render::{RenderedComponent, Role, Target, object};

/// Message of a trait that waits for its workload (TRAP-008: users look for it).
pub const PENDING_MESSAGE: &str = "⏳ Waiting for component to be healthy";

/// Message of a component that waits for its traits of the first stage, and of its traits that wait with it (row
/// REN-024, TRAP-008).
pub const GATED_MESSAGE: &str = "waiting for previous stage healthy";

/// A component at one place, beside what is really there.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The Application.
    pub appfile: &'a Appfile,
    /// The component.
    pub component: &'a AppComponent,
    /// Where it was delivered.
    pub target: &'a Target,
    /// What was rendered for there.
    pub rendered: &'a RenderedComponent,
    /// The live object of each rendered one, in their order; null for one that is not there.
    pub live: &'a [Arc<Value>],
    /// The stage up to which it was delivered: traits of later ones wait, and before the default one so does the
    /// component itself.
    pub reached: Stage,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The component itself.
    Component,
    /// The trait of the component with this index.
    Trait(usize),
}

/// What the engine is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What it is about.
    pub subject: Subject,
    /// The evaluator that the definition chooses; the hub's where absent.
    pub evaluator: Option<Evaluator>,
    /// The question itself.
    pub request: StatusRequest,
}

/// The engine's answers. One that could not be had is unhealthy, with the reason.
pub type Answers = BTreeMap<Subject, Result<StatusResult, String>>;

impl Observation<'_> {
    /// What the engine is to be asked. Components and traits whose definitions say nothing are healthy
    /// without asking; Terraform components are judged here.
    pub fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        if self.judged_by_engine() && !is_silent(&self.component.resolved.definition.status) {
            let parameters = self.component.spec.properties.as_ref();
            questions.push(self.question(Subject::Component, parameters));
        }
        for (index, part) in self.component.traits.iter().enumerate() {
            let status = &part.resolved.definition.status;
            if !self.is_pending(index) && !is_silent(status) {
                questions.push(self.question(Subject::Trait(index), part.properties.as_ref()));
            }
        }
        questions
    }

    fn judged_by_engine(&self) -> bool {
        let definition = &self.component.resolved.definition;
        definition.terraform.is_none() && !self.component.workload_is_managed() && !self.is_gated()
    }

    /// Whether the component itself waits for its traits of the first stage.
    fn is_gated(&self) -> bool {
        self.reached < Stage::Default
    }

    fn definition(&self, subject: Subject) -> &Definition {
        match subject {
            Subject::Component => &self.component.resolved.definition,
            Subject::Trait(index) => &self.component.traits[index].resolved.definition,
        }
    }

    fn question(&self, subject: Subject, parameters: Option<&Value>) -> Question {
        let definition = self.definition(subject);
        let status = &definition.status;
        // Live objects are mostly bookkeeping, and most of them differ in nothing else.
        let texts = [
            &status.health_policy,
            &status.custom_status,
            &status.details,
        ];
        let reads = |name: &str| Reads::of(name, texts);
        let request = StatusRequest {
            health_policy: status.health_policy.clone(),
            custom_status: status.custom_status.clone(),
            details: status.details.clone(),
            context: self.context(subject, &reads("context")),
            parameters: reads("parameter").project(parameters.unwrap_or(&Value::Null)),
        };
        Question {
            subject,
            evaluator: definition.evaluator,
            request,
        }
    }

    /// `context` of the three texts (REN-106), as far as they read it. A trait sees its own objects, a component
    /// the workload and its further objects.
    fn context(&self, subject: Subject, reads: &Reads) -> Map<String, Value> {
        let revision = match self.target.revision.as_str() {
            "" => &self.appfile.revision,
            named => named,
        };
        let cluster = match self.target.cluster.as_str() {
            "" => LOCAL_CLUSTER,
            named => named,
        };
        let mut context = Map::new();
        let mut put = |key: &str, value: &Value| {
            if let Some(reads) = reads.at(key) {
                context.insert(key.to_owned(), reads.project(value));
            }
        };
        put("name", &json!(self.component.spec.name));
        put("appName", &json!(self.appfile.name));
        put("namespace", &json!(self.namespace()));
        put("appRevision", &json!(revision));
        put("cluster", &json!(cluster));
        if !self.target.replica_key.is_empty() {
            put("replicaKey", &json!(self.target.replica_key));
        }
        let type_of = |index: usize| {
            let part = self.component.traits.get(index);
            part.map(|part| part.resolved.type_name.as_str())
        };
        // Several traits of one type see the objects of each other: objects do not tell which of them made them.
        let own_type = match subject {
            Subject::Component => None,
            Subject::Trait(index) => type_of(index),
        };
        let objects = || self.rendered.objects.iter().zip(self.live);
        for (_, live) in objects().filter(|(one, _)| one.role == Role::Workload) {
            put("output", live);
        }
        if let Some(reads) = reads.at("outputs") {
            let own = objects().filter(|(one, _)| {
                one.role != Role::Workload && one.trait_index.and_then(type_of) == own_type
            });
            let seen = own.filter_map(|(one, live)| {
                let reads = reads.at(&one.output_name)?;
                Some((one.output_name.clone(), reads.project(live)))
            });
            context.insert("outputs".to_owned(), Value::Object(seen.collect()));
        }
        context
    }

    fn namespace(&self) -> &str {
        match self.target.namespace.as_str() {
            "" => &self.appfile.namespace,
            placed => placed,
        }
    }

    /// Whether a trait waits: it is of a stage that was not reached.
    fn is_pending(&self, index: usize) -> bool {
        self.component.traits[index].resolved.definition.stage > self.reached
    }

    /// The row of `status.services`.
    pub fn assess(&self, answers: &Answers) -> ComponentStatus {
        let own = self.component_result(answers);
        let missing = self.missing();
        let workload_healthy = own.healthy && missing.is_none() && !self.is_gated();
        let parts = &self.component.traits;
        let mut in_order: Vec<usize> = (0..parts.len()).collect();
        // They are shown in the order in which they take effect (REN-018).
        in_order.sort_by_key(|index| parts[*index].resolved.definition.stage);
        let traits: Vec<TraitStatus> = in_order
            .into_iter()
            .map(|index| self.trait_status(index, answers))
            .collect();
        let healthy = workload_healthy && traits.iter().all(|row| row.healthy || row.pending);
        let own_message = missing.or_else(|| some_text(own.message));
        let message = own_message.or_else(|| {
            // As in KubeVela, a trait may speak for a component that says nothing.
            let mut spoken = traits.iter().filter(|row| !row.pending);
            spoken.find_map(|row| row.message.clone())
        });
        let message = message.or_else(|| self.is_gated().then(|| GATED_MESSAGE.to_owned()));
        ComponentStatus {
            name: self.component.spec.name.clone(),
            namespace: Some(self.namespace().to_owned()),
            cluster: some_text(self.target.cluster.clone()),
            workload_definition: Some(
                self.component
                    .resolved
                    .definition
                    .workload
                    .clone()
                    .unwrap_or_default(),
            ),
            healthy,
            workload_healthy,
            details: own.details,
            message,
            traits,
            ..ComponentStatus::default()
        }
    }

    fn component_result(&self, answers: &Answers) -> StatusResult {
        if self.is_gated() {
            return StatusResult::default();
        }
        if self.component.resolved.definition.terraform.is_some() {
            let workload = self
                .rendered
                .objects
                .iter()
                .position(|one| one.role == Role::Workload);
            let live = workload.and_then(|index| self.live.get(index));
            return terraform(live.map_or(&Value::Null, Arc::as_ref));
        }
        self.answer(answers, Subject::Component)
    }

    fn trait_status(&self, index: usize, answers: &Answers) -> TraitStatus {
        let type_ = self.component.traits[index].resolved.type_name.clone();
        if self.is_pending(index) {
            let stage = self.component.traits[index].resolved.definition.stage;
            let message = match stage {
                Stage::PostDispatch => PENDING_MESSAGE,
                _ => GATED_MESSAGE,
            };
            return TraitStatus {
                type_,
                pending: true,
                message: Some(message.to_owned()),
                ..TraitStatus::default()
            };
        }
        let result = self.answer(answers, Subject::Trait(index));
        TraitStatus {
            type_,
            healthy: result.healthy,
            details: result.details,
            message: some_text(result.message),
            ..TraitStatus::default()
        }
    }

    /// The answer to a question; what was not asked is healthy. KubeVela only logs why an evaluation failed
    /// (TRAPS 39); here it is the message.
    fn answer(&self, answers: &Answers, subject: Subject) -> StatusResult {
        match answers.get(&subject) {
            None => StatusResult {
                healthy: true,
                ..StatusResult::default()
            },
            Some(Err(reason)) => StatusResult {
                message: reason.clone(),
                ..StatusResult::default()
            },
            Some(Ok(result)) => {
                let mut result = result.clone();
                if let Some(first) = result.errors.first()
                    && !result.healthy
                    && result.message.is_empty()
                {
                    result.message = unsaid(self.definition(subject), first);
                }
                result
            }
        }
    }

    /// The first object that was applied and is not there.
    fn missing(&self) -> Option<String> {
        let pairs = self.rendered.objects.iter().zip(self.live);
        let mut gone = pairs.filter(|(one, live)| {
            !one.managed_elsewhere && one.stage <= self.reached && live.is_null()
        });
        let (one, _) = gone.next()?;
        let (kind, name) = (object::kind(&one.object), object::name(&one.object));
        Some(format!("{kind} {name} is not there"))
    }
}

fn is_silent(status: &crate::engine::DefinitionStatusText) -> bool {
    status.health_policy.is_empty() && status.custom_status.is_empty() && status.details.is_empty()
}

fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Why a text of a definition says nothing, with its place: the Application is not at fault.
fn unsaid(definition: &Definition, why: &Diagnostic) -> String {
    let name = &definition.name;
    let Some(at) = why.positions.first() else {
        return format!("the status of `{name}`: {}", why.message);
    };
    let text = match at.file.as_str() {
        "status/healthPolicy.cue" => "health policy",
        "status/customStatus.cue" => "custom status",
        _ => "details",
    };
    format!(
        "the {text} of `{name}` fails at line {}, column {}: {}",
        at.line, at.column, why.message
    )
}

/// How a Terraform Configuration stands (REN-035): applied, and for the spec that is there now.
fn terraform(live: &Value) -> StatusResult {
    let number = |path: &str| {
        object::get_path(live, path)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let text = |path: &str| {
        object::get_path(live, path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (seen, generation) = (
        number("status.observedGeneration"),
        number("metadata.generation"),
    );
    StatusResult {
        healthy: text("status.apply.state") == "Available" && (seen == 0 || seen == generation),
        message: text("status.apply.message"),
        ..StatusResult::default()
    }
}

/// Whether an Application is healthy: all of its components are, with the traits that do not wait. A
/// policy whose definition says `manageHealthCheck` takes this over (APP-023).
pub fn is_healthy(services: &[ComponentStatus], policies: &[Policy]) -> bool {
    let managed = policies.iter().any(|policy| match &policy.rule {
        PolicyRule::Custom(resolved) => resolved.definition.manage_health_check,
        _ => false,
    });
    managed
        || services
            .iter()
            .all(|row| row.healthy && row.traits.iter().all(|part| part.healthy || part.pending))
}
