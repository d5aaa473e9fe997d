//! One run of a workflow as a task: events in, journal, effects out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caravel_apiserver::simulator::Clock;
use caravel_core::api::WorkflowStatus;
use caravel_store::{Delivery, RunHead, RunId, Store, StoreError};
use caravel_workflow::{
    Command, Effect, Entry, Event, Fault, Illegal, Record, RunPhase, RunSpec, State, StepRef,
};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

use super::attempt::Attempt;
use super::fault::Faults;
use super::ports::Ports;
use crate::calls::Limiter;
use crate::evaluation::Evaluation;

/// Steps of one run that are evaluated at a time.
const PARALLEL: usize = 16;
/// Events that one turn takes in at most.
const TURN: usize = 64;

/// Turns that may go by before they are shown, while more is coming in.
const UNSEEN: u32 = 32;

/// Why a run cannot go on. What is in the journal is in order; the run can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workflow has faults.
    #[error("the workflow cannot be run: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Workflow(Vec<Fault>),
    /// The run does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The journal cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run's task has ended.
    #[error("the workflow run is not active here")]
    Ended,
}

/// Starts runs, and continues them.
#[derive(Clone)]
pub struct Runner {
    parts: Arc<Parts>,
}

/// What all runs share.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) evaluation: Evaluation,
    pub(super) http: reqwest::Client,
    pub(super) limiter: Limiter,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Arc<dyn Faults>,
}

/// How a run stands, for those who show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// `status.workflow`, without `contextBackend`.
    pub status: WorkflowStatus,
    /// Its phase.
    pub phase: RunPhase,
    /// The values that steps gave to others, for the context ConfigMap.
    pub values: Map<String, Value>,
    /// A user asked for a new run in place of this one.
    pub superseded: bool,
    /// The task has ended though the run is not over, for this reason; resume it.
    pub broken: Option<String>,
}

/// A run that is active. Dropping the handle stops its task as a crash would; the run itself is not over by that.
pub struct RunHandle {
    head: RunHead,
    inbox: mpsc::Sender<Message>,
    snapshots: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RunHandle {
    /// Which run.
    pub fn head(&self) -> &RunHead {
        &self.head
    }

    /// How the run stands, now and from now on.
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// How the run stands now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }

    /// Whether the task has ended: the run is over, or broken.
    pub fn is_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Gives the run a user's command. It is in the journal when this returns.
    pub async fn command(&self, command: Command, by: impl Into<String>) -> Result<(), RunError> {
        self.send(Event::Command {
            command,
            by: by.into(),
        })
        .await
    }

    /// Tells the run that something which waiting steps look at has changed.
    pub async fn nudge(&self) -> Result<(), RunError> {
        self.send(Event::Nudge { step: None }).await
    }

    async fn send(&self, event: Event) -> Result<(), RunError> {
        let (answer, done) = oneshot::channel();
        let message = Message {
            event,
            answer: Some(answer),
        };
        self.inbox
            .send(message)
            .await
            .map_err(|_| RunError::Ended)?;
        answered(&self.inbox, done).await
    }
}

/// Waits for what a run says to a message. A message that was put into the inbox of a run in the very moment at which it
/// ended stays there, and nobody answers.
async fn answered(
    inbox: &mpsc::Sender<Message>,
    done: oneshot::Receiver<Result<(), Illegal>>,
) -> Result<(), RunError> {
    tokio::select! {
        biased;
        answer = done => Ok(answer.map_err(|_| RunError::Ended)??),
        () = inbox.closed() => Err(RunError::Ended),
    }
}

impl Runner {
    /// A runner on a store. `clock` and `faults` are the system's and [`super::AbortAt`] but in tests.
    pub fn new(
        store: Arc<dyn Store>,
        evaluation: Evaluation,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        faults: Arc<dyn Faults>,
    ) -> Self {
        Self {
            parts: Arc::new(Parts {
                store,
                evaluation,
                http,
                limiter: Limiter::default(),
                clock,
                faults,
            }),
        }
    }

    /// Begins a run.
    pub async fn begin(
        &self,
        head: RunHead,
        spec: RunSpec,
        ports: Arc<dyn Ports>,
    ) -> Result<RunHandle, RunError> {
        self.first(head, spec, Event::Begin, ports).await
    }

    /// Goes on with a run of which only the status and the values are known: handed over from KubeVela, or its journal was
    /// lost.
    pub async fn adopt(
        &self,
        head: RunHead,
        spec: RunSpec,
        status: WorkflowStatus,
        values: Map<String, Value>,
        ports: Arc<dyn Ports>,
    ) -> Result<RunHandle, RunError> {
        let event = Event::Adopt {
            status: Box::new(status),
            values,
        };
        self.first(head, spec, event, ports).await
    }

    async fn first(
        &self,
        head: RunHead,
        spec: RunSpec,
        event: Event,
        ports: Arc<dyn Ports>,
    ) -> Result<RunHandle, RunError> {
        let at = self.parts.clock.now();
        let mut state = State::new(spec.clone()).map_err(RunError::Workflow)?;
        let effects = state.advance(at, event.clone())?;
        let entries = vec![
            Entry {
                seq: 0,
                at,
                record: Record::Opened(Box::new(spec)),
            },
            Entry {
                seq: 1,
                at,
                record: Record::Event(event),
            },
        ];
        self.parts.store.open(&head, entries).await?;
        self.parts
            .store
            .record(&Delivery::of(&head, &state))
            .await?;
        self.parts.faults.point("run.opened").await;
        Ok(self.spawn(head, state, 2, effects, ports))
    }

    /// Continues a run from its journal. What was under way is done again, but for what was recorded.
    pub async fn resume(
        &self,
        head: RunHead,
        ports: Arc<dyn Ports>,
    ) -> Result<RunHandle, RunError> {
        let rebuilt = self.parts.store.rebuild(&head.id).await?;
        let effects = rebuilt.state.outstanding();
        Ok(self.spawn(head, rebuilt.state, rebuilt.next, effects, ports))
    }

    /// Gives a command to a run that is not active here, and continues it: the way to restart a step of a run that
    /// is over.
    pub async fn steer(
        &self,
        head: RunHead,
        command: Command,
        by: impl Into<String> + Send,
        ports: Arc<dyn Ports>,
    ) -> Result<RunHandle, RunError> {
        let rebuilt = self.parts.store.rebuild(&head.id).await?;
        let (mut state, seq) = (rebuilt.state, rebuilt.next);
        let mut effects = state.outstanding();
        let at = self.parts.clock.now();
        let event = Event::Command {
            command,
            by: by.into(),
        };
        effects.extend(state.advance(at, event.clone())?);
        let entry = Entry {
            seq,
            at,
            record: Record::Event(event),
        };
        self.parts.store.append(&head.id, seq, vec![entry]).await?;
        Ok(self.spawn(head, state, seq + 1, effects, ports))
    }

    fn spawn(
        &self,
        head: RunHead,
        state: State,
        next: u64,
        effects: Vec<Effect>,
        ports: Arc<dyn Ports>,
    ) -> RunHandle {
        let (inbox, messages) = mpsc::channel(256);
        let (publisher, snapshots) = watch::channel(snapshot(&state));
        let run = Run {
            parts: Arc::clone(&self.parts),
            ports,
            head: head.clone(),
            state: Arc::new(Mutex::new(state)),
            next,
            messages,
            // Attempts of a run that nobody holds any more end with it.
            inbox: inbox.clone(),
            under_way: HashMap::new(),
            slots: Arc::new(Semaphore::new(PARALLEL)),
            publisher,
        };
        let task = tokio::spawn(run.drive(effects));
        RunHandle {
            head,
            inbox,
            snapshots,
            task,
        }
    }
}

/// Something for the run to take in.
pub(super) struct Message {
    pub(super) event: Event,
    /// Told when the event is durable, or why it was refused.
    pub(super) answer: Option<oneshot::Sender<Result<(), Illegal>>>,
}

/// The state, shared with attempts that read it. Only the run's task changes it.
pub(super) type Shared = Arc<Mutex<State>>;

pub(super) fn read(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run {
    parts: Arc<Parts>,
    ports: Arc<dyn Ports>,
    head: RunHead,
    state: Shared,
    next: u64,
    messages: mpsc::Receiver<Message>,
    inbox: mpsc::Sender<Message>,
    under_way: HashMap<StepRef, Flight>,
    slots: Arc<Semaphore>,
    publisher: watch::Sender<Snapshot>,
}

/// An attempt on its way.
struct Flight {
    attempt: u32,
    task: AbortHandle,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Run {
    async fn drive(mut self, effects: Vec<Effect>) {
        if let Err(error) = self.turns(effects).await {
            tracing::error!(run = %self.head.id, app = %self.head.app.name, %error, "the workflow run stopped");
            self.publisher
                .send_modify(|snapshot| snapshot.broken = Some(error.to_string()));
        }
    }

    async fn turns(&mut self, mut effects: Vec<Effect>) -> Result<(), StoreError> {
        let mut unseen = 0;
        loop {
            for effect in effects {
                self.carry_out(effect);
            }
            let over = read(&self.state).phase().is_over();
            // A large workflow is not shown after every one of its steps while more is coming in.
            unseen += 1;
            if over || self.messages.is_empty() || unseen >= UNSEEN {
                self.publish();
                unseen = 0;
            }
            if over {
                return self.finish().await;
            }
            let batch = self.next_batch().await;
            effects = self.turn(batch).await?;
        }
    }

    /// Waits for something to happen, and takes all that has.
    async fn next_batch(&mut self) -> Vec<Message> {
        let deadline = read(&self.state).deadline();
        let mut batch = Vec::new();
        let Some(deadline) = deadline else {
            self.messages.recv_many(&mut batch, TURN).await;
            return batch;
        };
        tokio::select! {
            biased;
            _ = self.messages.recv_many(&mut batch, TURN) => {}
            () = self.parts.clock.sleep_until(deadline) => {
                batch.push(Message { event: Event::Wake, answer: None });
            }
        }
        batch
    }

    /// Takes events in and makes them durable; only then anybody is told, and anything is done.
    async fn turn(&mut self, batch: Vec<Message>) -> Result<Vec<Effect>, StoreError> {
        let mut at = self.parts.clock.now();
        if let Some(due) = read(&self.state).deadline()
            && batch.iter().any(|message| message.event == Event::Wake)
        {
            // The timer that woke us and the clock need not agree to the microsecond.
            at = at.max(due);
        }
        let mut entries = Vec::new();
        let mut effects = Vec::new();
        let mut answers = Vec::new();
        for message in batch {
            let result = read(&self.state).advance(at, message.event.clone());
            let told = result.as_ref().map(|_| ()).map_err(Clone::clone);
            match result {
                Ok(more) => {
                    let seq = self.next + entries.len() as u64;
                    entries.push(Entry {
                        seq,
                        at,
                        record: Record::Event(message.event),
                    });
                    effects.extend(more);
                }
                Err(refused) => tracing::debug!(run = %self.head.id, %refused, "event refused"),
            }
            answers.extend(message.answer.map(|answer| (answer, told)));
        }
        if !entries.is_empty() {
            let count = entries.len() as u64;
            self.parts
                .store
                .append(&self.head.id, self.next, entries)
                .await?;
            self.next += count;
            self.parts.faults.point("turn.durable").await;
        }
        for (answer, told) in answers {
            let _ = answer.send(told);
        }
        Ok(effects)
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Condition { step, attempt } => self.launch(step, attempt, true),
            Effect::Run { step, attempt } => self.launch(step, attempt, false),
            Effect::Cancel { step, attempt } => {
                if self
                    .under_way
                    .get(&step)
                    .is_some_and(|flight| flight.attempt == attempt)
                {
                    self.under_way.remove(&step);
                }
            }
            // The loop sees the phase.
            Effect::Finish { .. } => {}
        }
    }

    fn launch(&mut self, step: StepRef, number: u32, condition: bool) {
        let attempt = Attempt {
            parts: Arc::clone(&self.parts),
            ports: Arc::clone(&self.ports),
            state: Arc::clone(&self.state),
            inbox: self.inbox.clone(),
            run: RunId(self.head.id.0.clone()),
            namespace: self.head.app.namespace.clone(),
            step,
            number,
        };
        let slots = Arc::clone(&self.slots);
        let task = tokio::spawn(async move {
            // Closed never; a slot that cannot be had means that the run is gone.
            if let Ok(_slot) = slots.acquire_owned().await {
                if condition {
                    attempt.condition().await;
                } else {
                    attempt.run().await;
                }
            }
        });
        let flight = Flight {
            attempt: number,
            task: task.abort_handle(),
        };
        // The one before has reported, or was cancelled.
        self.under_way.insert(step, flight);
    }

    fn publish(&self) {
        let now = snapshot(&read(&self.state));
        self.publisher.send_if_modified(|last| {
            let changed = *last != now;
            if changed {
                *last = now;
            }
            changed
        });
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        self.under_way.clear();
        self.parts.faults.point("run.finished").await;
        let delivery = Delivery::of(&self.head, &read(&self.state));
        self.parts.store.record(&delivery).await
    }
}

fn snapshot(state: &State) -> Snapshot {
    Snapshot {
        status: state.status(),
        phase: state.phase(),
        values: state.values().as_map().clone(),
        superseded: state.superseded(),
        broken: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_speaks_to_a_run_that_ends_at_that_moment_does_not_wait_for_ever() {
        let (inbox, messages) = mpsc::channel(1);
        let (answer, done) = oneshot::channel();
        let place = inbox.reserve().await.expect("the run is there");
        drop(messages);
        place.send(Message {
            event: Event::Wake,
            answer: Some(answer),
        });
        let waited =
            tokio::time::timeout(std::time::Duration::from_secs(5), answered(&inbox, done));
        let answer = waited.await.expect("an end");
        assert!(matches!(answer, Err(RunError::Ended)));
    }
}
