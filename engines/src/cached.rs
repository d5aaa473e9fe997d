//! Answers that are known already.

use std::sync::Arc;

use caravel_core::engine::EvalError;
use moka::future::Cache;

use crate::job::Fingerprint;
use crate::{Answer, Engine, EngineError, Job};

/// An engine in front of another that remembers answers by the content of their jobs.
///
/// An answer is a pure function of its job, so what is remembered can be dropped at any time without a
/// change in what is answered. Errors of a template are remembered too; limits and faults are not. Callers
/// that ask the same at the same time share one evaluation.
pub struct Cached<E> {
    inner: E,
    known: Cache<Fingerprint, Known>,
    off: bool,
}

/// What is remembered of a job: the same for all who ask. As JSON text: a tenth of what its values take in memory, and
/// hardly slower to read than they are to copy.
#[derive(Clone)]
enum Known {
    Done(Arc<[u8]>),
    Need(Arc<[u8]>),
    Error(Arc<[u8]>),
}

impl Known {
    fn of(answer: Result<Answer, Box<EvalError>>) -> serde_json::Result<Self> {
        let text = |written: serde_json::Result<Vec<u8>>| written.map(Arc::from);
        match answer {
            Ok(Answer::Done(value)) => text(serde_json::to_vec(&value)).map(Self::Done),
            Ok(Answer::Need(calls)) => text(serde_json::to_vec(&calls)).map(Self::Need),
            Err(error) => text(serde_json::to_vec(&error)).map(Self::Error),
        }
    }

    fn answer(&self) -> Result<Answer, EngineError> {
        let read = match self {
            Self::Done(text) => serde_json::from_slice(text).map(Answer::Done),
            Self::Need(text) => serde_json::from_slice(text).map(Answer::Need),
            Self::Error(text) => match serde_json::from_slice(text) {
                Ok(error) => return Err(EngineError::Template(error)),
                Err(error) => Err(error),
            },
        };
        read.map_err(unreadable)
    }

    fn bytes(&self) -> u32 {
        let (Self::Done(text) | Self::Need(text) | Self::Error(text)) = self;
        u32::try_from(text.len() + OVERHEAD).unwrap_or(u32::MAX)
    }
}

/// What was written by ourselves cannot be read, or not be written.
fn unreadable(error: serde_json::Error) -> EngineError {
    EngineError::Fault(format!("a remembered answer: {error}"))
}

/// What an entry costs beside its value.
const OVERHEAD: usize = 256;

impl<E: Engine> Cached<E> {
    /// Remembers answers of up to so many bytes together; with none it passes everything through.
    pub fn new(inner: E, bytes: u64) -> Self {
        let known = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, known: &Known| known.bytes())
            .build();
        Self {
            inner,
            known,
            off: bytes == 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.known.invalidate_all();
    }

    /// The engine behind.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    async fn evaluate(&self, job: Job) -> Result<Known, EngineError> {
        let answer = match self.inner.call(job).await {
            Ok(answer) => Ok(answer),
            Err(EngineError::Template(error)) => Err(error),
            Err(other) => return Err(other),
        };
        Known::of(answer).map_err(unreadable)
    }
}

#[async_trait::async_trait]
impl<E: Engine> Engine for Cached<E> {
    async fn call(&self, job: Job) -> Result<Answer, EngineError> {
        if self.off {
            return self.inner.call(job).await;
        }
        let key = job.digest();
        // Boxed, because the future of an evaluation is large and most calls never make one.
        let known = self
            .known
            .try_get_with(key, Box::pin(self.evaluate(job)))
            .await;
        match known {
            Ok(known) => known.answer(),
            Err(error) => Err(EngineError::clone(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use caravel_core::engine::{EvalError, Evaluator, FormatRequest, Operation};
    use serde_json::json;

    use super::Cached;
    use crate::{Answer, Engine, EngineError, Job};

    /// Counts calls; what it answers depends on the text.
    #[derive(Default)]
    struct Counting(AtomicU32);

    #[async_trait::async_trait]
    impl Engine for Counting {
        async fn call(&self, job: Job) -> Result<Answer, EngineError> {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let Operation::Format(request) = job.operation else {
                unreachable!()
            };
            match request.source.as_str() {
                "wrong" => Err(EngineError::Template(Box::default())),
                "fault" => Err(EngineError::Fault(count.to_string())),
                source => Ok(Answer::Done(json!(source))),
            }
        }
    }

    fn job(source: &str, evaluator: Evaluator) -> Job {
        let request = FormatRequest {
            file: String::new(),
            source: source.to_owned(),
        };
        Job::new(Operation::Format(request), evaluator, "default")
    }

    async fn calls(engine: &Cached<Counting>, source: &str) -> u32 {
        let before = engine.inner().0.load(Ordering::SeqCst);
        for _ in 0..3 {
            let _ = engine.call(job(source, Evaluator::V2)).await;
        }
        engine.inner().0.load(Ordering::SeqCst) - before
    }

    #[tokio::test]
    async fn answers_and_template_errors_are_remembered_and_faults_are_not() {
        let engine = Cached::new(Counting::default(), 1 << 20);
        assert_eq!(calls(&engine, "right").await, 1);
        assert_eq!(calls(&engine, "wrong").await, 1);
        assert_eq!(calls(&engine, "fault").await, 3);
        let again = engine.call(job("wrong", Evaluator::V2)).await;
        assert_eq!(
            again,
            Err(EngineError::Template(Box::<EvalError>::default()))
        );
    }

    #[tokio::test]
    async fn the_evaluator_is_part_of_the_question() {
        let engine = Cached::new(Counting::default(), 1 << 20);
        let _ = engine.call(job("right", Evaluator::V2)).await;
        let _ = engine.call(job("right", Evaluator::V3)).await;
        assert_eq!(engine.inner().0.load(Ordering::SeqCst), 2);
    }

    /// Whatever is forgotten when, and however little fits, the answers are those of the engine behind.
    #[tokio::test]
    async fn forgetting_at_random_changes_no_answer() {
        for bytes in [0, 700, 4_000, 1 << 20] {
            let engine = Cached::new(Counting::default(), bytes);
            let mut random = 20_261_121_u32;
            for _ in 0..2_000 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let source = format!("text {}", (random >> 16) % 40);
                let answer = engine.call(job(&source, Evaluator::V2)).await;
                assert_eq!(answer, Ok(Answer::Done(json!(source))), "{bytes} bytes");
                if random.is_multiple_of(50) {
                    engine.clear();
                }
            }
            engine.known.run_pending_tasks().await;
            assert!(engine.known.weighted_size() <= bytes, "{bytes} bytes");
            let asked = engine.inner().0.load(Ordering::SeqCst);
            assert!(bytes < 1 << 20 || asked < 1_800, "it remembers: {asked}");
        }
    }

    #[tokio::test]
    async fn it_can_forget_and_can_be_off() {
        let engine = Cached::new(Counting::default(), 1 << 20);
        assert_eq!(calls(&engine, "right").await, 1);
        engine.clear();
        assert_eq!(calls(&engine, "right").await, 1);
        assert_eq!(
            calls(&Cached::new(Counting::default(), 0), "right").await,
            3
        );
    }
}
