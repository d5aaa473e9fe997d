//! Late traits: rendered from the live objects of a healthy component, and again when what they read of those has
//! changed, as long as the component is there (rows REN-024, REN-102).
//!
//! The step that delivers a component looks after them first, so that other steps can use what they make. From then on
//! turns do. Both go through [`Delivery::with_late`], one at a time for each component and place. Nothing that goes wrong
//! here fails a step: the trait's row tells, and it is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caravel_core::api::{ComponentStatus, TraitStatus};
use caravel_core::appfile::{AppComponent, Stage};
use caravel_core::engine::{RenderBase, Request};
use caravel_core::render::{Input, Progress, Render as _, RenderStage};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::component::Asked;
use super::deletion::app_key;
use super::delivery::{Delivery, DeliveryError};
use super::health::{Place, Seen};

/// How long until a failure is tried again: this the first time, each time double.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// How long the calls of late templates may take: a turn waits for them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question to the engine, as far as it can be told from another.
type Fingerprint = [u8; 32];

/// By component and place.
pub(super) type AllLate = BTreeMap<(String, Place), Arc<Mutex<Late>>>;

/// How it stands with the late traits of a component at a place.
#[derive(Default)]
pub(super) struct Late {
    /// The question whose answer was applied last.
    answered: Option<Fingerprint>,
    failure: Option<Failure>,
    /// The workload as it was made, where a trait manages it: nobody applies it.
    unapplied: Option<Value>,
}

/// Why the last question has no answer that could be applied.
struct Failure {
    asked: Option<Fingerprint>,
    /// What could not be done with them.
    what: &'static str,
    problem: String,
    again: Timestamp,
    wait: SignedDuration,
    is_told: bool,
}

impl Late {
    /// Whether there is something to do for a question.
    fn is_due(&self, asked: Fingerprint, now: Timestamp) -> bool {
        match &self.failure {
            Some(failure) => failure.asked != Some(asked) || failure.again <= now,
            None => self.answered != Some(asked),
        }
    }

    fn is_done(&self) -> bool {
        self.answered.is_some()
    }

    fn fail(&mut self, asked: Option<Fingerprint>, error: &DeliveryError, now: Timestamp) {
        let (what, problem) = match error {
            // With the place, and what to do.
            DeliveryError::Render(error) => ("render", error.to_string()),
            DeliveryError::Engine(_) | DeliveryError::Slow(..) | DeliveryError::Referred(_) => {
                ("render", error.to_string())
            }
            _ => ("dispatch", error.to_string()),
        };
        let before = self.failure.take();
        let wait = before
            .as_ref()
            .map_or(FIRST_WAIT, |before| (before.wait * 2).min(LONGEST_WAIT));
        self.failure = Some(Failure {
            asked,
            what,
            is_told: before.is_some_and(|before| before.is_told && before.problem == problem),
            problem,
            again: now + wait,
            wait,
        });
    }
}

/// What is known of how a component was delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    So,
    Otherwise,
    /// Another process did, with inputs that it did not keep.
    Uncertain,
}

fn slow(traits: &str) -> DeliveryError {
    DeliveryError::Slow(format!("late traits ({traits})"), PATIENCE)
}

fn is_late(stage: Stage) -> bool {
    stage == Stage::PostDispatch
}

/// Whether a component has traits that wait for its workload.
pub(super) fn has_late(component: &AppComponent) -> bool {
    late_types(component).next().is_some()
}

fn late_types(component: &AppComponent) -> impl Iterator<Item = &str> {
    let traits = component.traits.iter();
    traits
        .filter(|part| is_late(part.resolved.definition.stage))
        .map(|part| part.resolved.type_name.as_str())
}

/// Which question was answered last, for the next process.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Objects say of which revision they are.
    revision: String,
    question: String,
}

/// Under which that is kept.
fn kept_key(component: &AppComponent, place: &Place) -> String {
    format!("late:{}@{place}", component.spec.name)
}

impl Delivery {
    /// Another process delivered a component. Where it is known which answer it applied last, the question is not put again.
    pub(super) async fn restore_late(
        &self,
        component: &AppComponent,
        place: &Place,
        kept: &BTreeMap<String, Value>,
    ) {
        let kept = kept.get(&kept_key(component, place));
        let kept = kept.and_then(|kept| Kept::deserialize(kept).ok());
        let Some(kept) = kept.filter(|kept| kept.revision == self.revision.name) else {
            return;
        };
        let question = hex::decode(kept.question).unwrap_or_default();
        let late = self.late_of(&component.spec.name, place).await;
        late.lock().await.answered = question.try_into().ok();
    }

    /// Keeps which answer is applied; none while that is on its way.
    async fn keep_answered(
        &self,
        asked: Asked<'_>,
        question: Option<Fingerprint>,
    ) -> Result<(), DeliveryError> {
        let kept = question.map(|question| Kept {
            revision: self.revision.name.clone(),
            question: hex::encode(question),
        });
        let app = app_key(&self.application);
        let key = kept_key(asked.component, asked.place);
        Ok(self.store.keep(&app, &key, &json!(kept)).await?)
    }

    /// A component as it stands, with its late traits: those are made to follow the live objects if the workload is
    /// healthy. Gives all of its objects, and its row.
    pub(super) async fn with_late(
        &self,
        asked: Asked<'_>,
        mut seen: Seen,
        row: ComponentStatus,
    ) -> (Seen, ComponentStatus) {
        if !has_late(asked.component) {
            return (seen, row);
        }
        let late = self.late_of(&asked.component.spec.name, asked.place).await;
        let mut late = late.lock().await;
        if asked.component.workload_is_managed() && seen.has_workload() {
            late.unapplied = Some(seen.base().output);
        }
        let known = self.known_of(asked).await;
        if row.workload_healthy && known == Known::So {
            self.follow(asked, &mut late).await;
        }
        let is_delivered = late.is_done() || known == Known::Uncertain;
        let row = match self.recorded(asked, is_late).await {
            Some(own) if is_delivered => {
                seen.add(own);
                self.assess(asked, &seen, Stage::PostDispatch).await
            }
            _ => row,
        };
        let problem = late.failure.as_ref().map(|failure| &failure.problem);
        (seen, with_problem(row, asked.component, problem))
    }

    /// Renders what is due, and applies it.
    async fn follow(&self, asked: Asked<'_>, late: &mut Late) {
        let base = match self.base(asked, late).await {
            Ok(Some(base)) => base,
            Ok(None) => return,
            Err(error) => return late.fail(None, &error, self.clock.now()),
        };
        let stage = RenderStage::PostDispatch(base);
        let question = fingerprint(self.question(asked, stage.clone()).as_deref());
        if !late.is_due(question, self.clock.now()) {
            return;
        }
        match self.deliver_late(asked, stage, question).await {
            Ok(()) => {
                late.answered = Some(question);
                late.failure = None;
            }
            Err(error) => late.fail(Some(question), &error, self.clock.now()),
        }
    }

    /// What late templates see now; none if that is not known. A workload that a trait manages was never applied: they
    /// see what was made.
    async fn base(
        &self,
        asked: Asked<'_>,
        late: &mut Late,
    ) -> Result<Option<RenderBase>, DeliveryError> {
        let Some(seen) = self.recorded(asked, |stage| !is_late(stage)).await else {
            return Ok(None);
        };
        let mut base = seen.base();
        if !asked.component.workload_is_managed() {
            return Ok(Some(base));
        }
        if late.unapplied.is_none() {
            let referred = self.with_referred(asked.component).await?;
            let asked = Asked {
                component: referred.as_ref().unwrap_or(asked.component),
                ..asked
            };
            let rendered = self.render(asked, RenderStage::Dispatch).await?;
            late.unapplied = rendered.workload().map(|workload| workload.object.clone());
        }
        base.output = late.unapplied.clone().unwrap_or_default();
        Ok(Some(base))
    }

    /// Whether a component is known to have been delivered as it is asked for. A step may have delivered it otherwise since.
    async fn known_of(&self, asked: Asked<'_>) -> Known {
        let key = (asked.component.spec.name.clone(), asked.place.clone());
        match self.delivered.lock().await.get(&key) {
            Some(known) if !known.is_certain => Known::Uncertain,
            Some(known)
                if *known.component == *asked.component
                    && known.patches.as_deref() == asked.patches =>
            {
                Known::So
            }
            _ => Known::Otherwise,
        }
    }

    /// What would be asked of the engine first.
    fn question(&self, asked: Asked<'_>, stage: RenderStage) -> Option<Box<Request>> {
        match self.component_render(asked, stage).next(Input::Start) {
            Ok(Progress::Eval(request)) => Some(request),
            // It will say so itself.
            _ => None,
        }
    }

    async fn deliver_late(
        &self,
        asked: Asked<'_>,
        stage: RenderStage,
        question: Fingerprint,
    ) -> Result<(), DeliveryError> {
        let rendered = tokio::time::timeout(PATIENCE, self.render(asked, stage)).await;
        let rendered = rendered.unwrap_or_else(|_| {
            let traits: Vec<&str> = late_types(asked.component).collect();
            Err(slow(&traits.join(", ")))
        })?;
        let mut made = Seen::nothing_of(rendered);
        self.keep_answered(asked, None).await?;
        self.apply(asked, &mut made, |_| true).await?;
        self.keep_answered(asked, Some(question)).await
    }

    async fn late_of(&self, component: &str, place: &Place) -> Arc<Mutex<Late>> {
        let key = (component.to_owned(), place.clone());
        self.late.lock().await.entry(key).or_default().clone()
    }

    /// Types of late traits that this delivery has not delivered yet, with the component that has them. What they made
    /// before must not go meanwhile.
    pub(crate) async fn awaited(&self) -> Vec<(String, String)> {
        let mut awaited = Vec::new();
        let delivered = self.delivered.lock().await.clone();
        for ((name, place), delivered) in delivered {
            let component = &delivered.component;
            if !has_late(component) || self.late_of(&name, &place).await.lock().await.is_done() {
                continue;
            }
            let types = late_types(component).map(|type_| (name.clone(), type_.to_owned()));
            awaited.extend(types);
        }
        awaited
    }

    /// When a failure is tried again, if there is one. One that is overdue waits for its workload.
    pub(crate) async fn late_due(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut earliest: Option<Timestamp> = None;
        for (_, late) in self.all_late().await {
            let again = late.lock().await.failure.as_ref().map(|one| one.again);
            let again = again.filter(|again| *again > now);
            earliest = earliest.into_iter().chain(again).min();
        }
        earliest
    }

    /// What is wrong with late traits, and whether nobody was told of it before.
    pub(crate) async fn late_problems(&self) -> Vec<(String, bool)> {
        let mut problems = Vec::new();
        for ((component, _), late) in self.all_late().await {
            if let Some(failure) = &mut late.lock().await.failure {
                let is_new = !std::mem::replace(&mut failure.is_told, true);
                let what = failure.what;
                let problem = &failure.problem;
                problems.push((
                    format!(
                        "failed to {what} PostDispatch traits for component {component}: {problem}"
                    ),
                    is_new,
                ));
            }
        }
        problems
    }

    async fn all_late(&self) -> Vec<((String, Place), Arc<Mutex<Late>>)> {
        let late = self.late.lock().await;
        let all = late.iter();
        all.map(|(key, late)| (key.clone(), late.clone())).collect()
    }
}

fn fingerprint(question: Option<&Request>) -> Fingerprint {
    // Another version of the program may make something else of the same answer.
    let asked = (env!("CARGO_PKG_VERSION"), question);
    Sha256::digest(serde_json::to_vec(&asked).unwrap_or_default()).into()
}

/// The row of a component, with what is wrong with its late traits. They come last in it.
fn with_problem(
    mut row: ComponentStatus,
    component: &AppComponent,
    problem: Option<&String>,
) -> ComponentStatus {
    let Some(problem) = problem else { return row };
    for part in row
        .traits
        .iter_mut()
        .rev()
        .take(late_types(component).count())
    {
        *part = TraitStatus {
            type_: std::mem::take(&mut part.type_),
            pending: true,
            message: Some(problem.clone()),
            ..TraitStatus::default()
        };
    }
    let mut traits = row.traits.iter();
    row.healthy = row.workload_healthy && traits.all(|part| part.healthy || part.pending);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Fingerprint = [1; 32];
    const THERE: Fingerprint = [2; 32];

    #[test]
    fn a_question_is_put_again_when_it_is_another_one_or_after_a_while() {
        let now = Timestamp::UNIX_EPOCH;
        let error = slow("scaler");
        let mut late = Late::default();
        assert!(late.is_due(HERE, now));
        late.answered = Some(HERE);
        assert!(!late.is_due(HERE, now));
        assert!(late.is_due(THERE, now));
        late.fail(Some(THERE), &error, now);
        assert!(!late.is_due(THERE, now));
        assert!(late.is_due(THERE, now + FIRST_WAIT));
        // What was right before is not what there is now.
        assert!(late.is_due(HERE, now));
        late.fail(Some(THERE), &error, now);
        assert!(!late.is_due(THERE, now + FIRST_WAIT));
        for _ in 0..20 {
            late.fail(Some(THERE), &error, now);
        }
        assert!(late.is_due(THERE, now + LONGEST_WAIT));
    }

    #[test]
    fn a_problem_is_told_once_until_it_is_another_one() {
        let now = Timestamp::UNIX_EPOCH;
        let mut late = Late::default();
        late.fail(None, &slow("scaler"), now);
        let told = |late: &mut Late| {
            let failure = late.failure.as_mut();
            failure.is_some_and(|failure| std::mem::replace(&mut failure.is_told, true))
        };
        assert!(!told(&mut late));
        late.fail(None, &slow("scaler"), now);
        assert!(told(&mut late));
        late.fail(None, &DeliveryError::NoComponent("web".to_owned()), now);
        assert!(!told(&mut late));
    }
}
