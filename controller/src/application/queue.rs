//! Who gets a turn, and when: each Application at most one at a time, woken by changes and by time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caravel_apiserver::simulator::Clock;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::session::Key;

/// Turns under way at the same time.
const AT_ONCE: usize = 64;
/// Those among them that nobody waits for.
const UNHURRIED: usize = 8;

/// Wakes Applications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue {
    slots: Arc<Mutex<HashMap<Key, Slot>>>,
    ready: mpsc::UnboundedSender<Key>,
    later: mpsc::UnboundedSender<Key>,
    clock: Arc<dyn Clock>,
}

/// The end from which [`Queue::run`] takes.
pub(crate) struct Turns {
    ready: mpsc::UnboundedReceiver<Key>,
    later: mpsc::UnboundedReceiver<Key>,
}

/// One Application in the queue.
#[derive(Default)]
struct Slot {
    state: State,
    timer: Option<AbortHandle>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It waits for something to happen.
    #[default]
    Idle,
    /// It waits for its turn, behind all others.
    Later,
    /// It waits for its turn.
    Queued,
    /// Its turn is under way.
    Running,
    /// Its turn is under way, and something happened since that began.
    RunningAgain,
}

impl Queue {
    /// A queue, and the end from which [`Queue::run`] takes.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> (Self, Turns) {
        let (ready, soon) = mpsc::unbounded_channel();
        let (later, at_leisure) = mpsc::unbounded_channel();
        let queue = Self {
            slots: Arc::default(),
            ready,
            later,
            clock,
        };
        let turns = Turns {
            ready: soon,
            later: at_leisure,
        };
        (queue, turns)
    }

    /// Wants a turn soon.
    pub(crate) fn wake(&self, key: &Key) {
        let mut slots = self.slots();
        let slot = slots.entry(key.clone()).or_default();
        match slot.state {
            State::Idle | State::Later => {
                slot.state = State::Queued;
                // The other end goes when the daemon ends: then there are no turns.
                let _ = self.ready.send(key.clone());
            }
            State::Running => slot.state = State::RunningAgain,
            State::Queued | State::RunningAgain => {}
        }
    }

    /// Wants a turn when nobody is in a hurry: for what concerns very many at a time.
    pub(crate) fn wake_later(&self, key: &Key) {
        let mut slots = self.slots();
        let slot = slots.entry(key.clone()).or_default();
        match slot.state {
            State::Idle => {
                slot.state = State::Later;
                let _ = self.later.send(key.clone());
            }
            State::Running => slot.state = State::RunningAgain,
            State::Later | State::Queued | State::RunningAgain => {}
        }
    }

    /// Gives turns until `shutdown`. A turn says when the next is due by itself.
    pub(crate) async fn run<F>(
        self,
        turns: Turns,
        turn: impl Fn(Key) -> F,
        shutdown: CancellationToken,
    ) where
        F: Future<Output = Option<Timestamp>> + Send + 'static,
    {
        let Turns {
            mut ready,
            mut later,
        } = turns;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let lane = Arc::new(Semaphore::new(UNHURRIED));
        let mut running = JoinSet::new();
        loop {
            let unhurried = async {
                let place = lane.clone().acquire_owned().await;
                (later.recv().await, place.ok())
            };
            let (key, lane) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = running.join_next(), if !running.is_empty() => continue,
                key = ready.recv() => (key, None),
                found = unhurried => found,
            };
            let Some(key) = key else { break };
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            let waited = match lane {
                Some(_) => State::Later,
                None => State::Queued,
            };
            if !self.begin(&key, waited) {
                // Somebody was in a hurry since: it is further ahead.
                continue;
            }
            let (queue, work) = (self.clone(), turn(key.clone()));
            running.spawn(async move {
                let due = work.await;
                queue.end(&key, due);
                drop((place, lane));
            });
        }
        // Turns that have begun come to their end.
        while running.join_next().await.is_some() {}
    }

    /// Begins the turn of one that waited so; whether it still did.
    fn begin(&self, key: &Key, waited: State) -> bool {
        let mut slots = self.slots();
        let Some(slot) = slots.get_mut(key).filter(|slot| slot.state == waited) else {
            return false;
        };
        slot.state = State::Running;
        if let Some(timer) = slot.timer.take() {
            timer.abort();
        }
        true
    }

    fn end(&self, key: &Key, due: Option<Timestamp>) {
        let mut slots = self.slots();
        let Some(slot) = slots.get_mut(key) else {
            return;
        };
        if slot.state == State::RunningAgain {
            slot.state = State::Queued;
            let _ = self.ready.send(key.clone());
            return;
        }
        slot.state = State::Idle;
        match due {
            Some(due) => slot.timer = Some(self.timer(key.clone(), due)),
            None => {
                slots.remove(key);
            }
        }
    }

    fn timer(&self, key: Key, due: Timestamp) -> AbortHandle {
        let queue = self.clone();
        let sleep = self.clock.sleep_until(due);
        let task = tokio::spawn(async move {
            sleep.await;
            queue.wake(&key);
        });
        task.abort_handle()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use caravel_apiserver::simulator::ManualClock;
    use tokio::sync::Notify;

    use super::*;

    fn key() -> Key {
        Key {
            namespace: "demo".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_happens_during_a_turn_makes_one_more_and_no_two_overlap() {
        let (queue, turns) = Queue::new(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (count, overlap) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shutdown = CancellationToken::new();
        let work = {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            let (count, overlap) = (count.clone(), overlap.clone());
            move |_| {
                let (begun, go_on) = (begun.clone(), go_on.clone());
                let (count, overlap) = (count.clone(), overlap.clone());
                async move {
                    assert_eq!(overlap.fetch_add(1, Ordering::SeqCst), 0, "turns overlap");
                    count.fetch_add(1, Ordering::SeqCst);
                    begun.notify_one();
                    go_on.notified().await;
                    overlap.fetch_sub(1, Ordering::SeqCst);
                    None
                }
            }
        };
        let running = tokio::spawn(queue.clone().run(turns, work, shutdown.clone()));
        queue.wake(&key());
        begun.notified().await;
        queue.wake(&key());
        queue.wake(&key());
        go_on.notify_one();
        begun.notified().await;
        go_on.notify_one();
        shutdown.cancel();
        running.await.expect("the queue ends");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    fn named(name: &str) -> Key {
        Key {
            name: name.to_owned(),
            ..key()
        }
    }

    /// A queue whose turns tell that they begin, and end one for each permit.
    struct Crowd {
        queue: Queue,
        go_on: Arc<Semaphore>,
        begun: mpsc::UnboundedReceiver<String>,
        shutdown: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    impl Crowd {
        fn start(fill: impl FnOnce(&Queue)) -> Self {
            let (queue, turns) = Queue::new(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
            let (go_on, shutdown) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
            let (begin, begun) = mpsc::unbounded_channel();
            fill(&queue);
            let work = {
                let go_on = go_on.clone();
                move |key: Key| {
                    let (go_on, begin) = (go_on.clone(), begin.clone());
                    async move {
                        let _ = begin.send(key.name);
                        go_on.acquire().await.expect("a permit").forget();
                        None
                    }
                }
            };
            Self {
                running: tokio::spawn(queue.clone().run(turns, work, shutdown.clone())),
                queue,
                go_on,
                begun,
                shutdown,
            }
        }

        async fn begun(&mut self, count: usize) -> Vec<String> {
            let mut names = Vec::new();
            while names.len() < count {
                names.push(self.begun.recv().await.expect("a turn"));
            }
            names
        }

        async fn end(self) {
            self.go_on.add_permits(10_000);
            self.shutdown.cancel();
            self.running.await.expect("the queue ends");
        }
    }

    #[tokio::test]
    async fn who_is_in_a_hurry_does_not_wait_for_a_crowd_that_is_not() {
        let mut crowd = Crowd::start(|queue| {
            for number in 0..1_000 {
                queue.wake_later(&named(&number.to_string()));
            }
        });
        crowd.begun(UNHURRIED).await;
        crowd.queue.wake(&key());
        crowd.queue.wake(&named("999"));
        assert_eq!(crowd.begun(2).await, ["web", "999"]);
        assert!(crowd.begun.try_recv().is_err(), "the crowd waits");
        crowd.go_on.add_permits(1_000 + 1);
        let rest = crowd.begun(1_000 - UNHURRIED - 1).await;
        assert!(!rest.contains(&"999".to_owned()), "it had its turn");
        crowd.end().await;
    }

    #[tokio::test]
    async fn who_comes_to_be_in_a_hurry_has_one_turn() {
        let mut crowd = Crowd::start(|queue| {
            for number in 0..AT_ONCE {
                queue.wake(&named(&number.to_string()));
            }
            queue.wake_later(&key());
        });
        crowd.begun(AT_ONCE).await;
        // It is next, but for a place.
        tokio::task::yield_now().await;
        crowd.queue.wake(&key());
        crowd.go_on.add_permits(2);
        assert_eq!(crowd.begun(1).await, ["web"]);
        tokio::task::yield_now().await;
        assert!(crowd.begun.try_recv().is_err());
        crowd.end().await;
    }

    #[tokio::test]
    async fn a_turn_that_is_due_comes_by_itself() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let (queue, turns) = Queue::new(clock.clone());
        let begun = Arc::new(Notify::new());
        let shutdown = CancellationToken::new();
        let due = Timestamp::from_second(60).expect("a time");
        let work = {
            let begun = begun.clone();
            move |_| {
                let begun = begun.clone();
                async move {
                    begun.notify_one();
                    Some(due)
                }
            }
        };
        let running = tokio::spawn(queue.clone().run(turns, work, shutdown.clone()));
        queue.wake(&key());
        begun.notified().await;
        clock.advance(Duration::from_secs(61));
        begun.notified().await;
        shutdown.cancel();
        running.await.expect("the queue ends");
    }
}
