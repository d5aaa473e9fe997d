//! Answers from a file, for tests that must run without Go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use caravel_core::engine::{EvalError, Outcome};
use serde_json::Value;

use crate::{Answer, Engine, EngineError, Job};

/// An engine that answers from a recording, or makes one.
///
/// A recording is a JSON file: digest of the job → outcome. The digest covers everything that is asked, so
/// a recording cannot answer another question by mistake.
pub struct Recorded {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Outcome>>,
    source: Option<Box<dyn Engine>>,
}

impl Recorded {
    /// Answers from a recording.
    ///
    /// # Errors
    /// Where the file cannot be read or is none.
    pub fn replay(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let known = read(&path)?;
        Ok(Self {
            path,
            known: Mutex::new(known),
            source: None,
        })
    }

    /// Answers from another engine and adds the answers to the file, which need not exist.
    ///
    /// # Errors
    /// Where the file exists but is no recording.
    pub fn record(path: impl Into<PathBuf>, source: impl Engine + 'static) -> io::Result<Self> {
        let path = path.into();
        let known = if path.exists() {
            read(&path)?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            path,
            known: Mutex::new(known),
            source: Some(Box::new(source)),
        })
    }

    fn keep(&self, key: String, outcome: Outcome) -> io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, outcome);
        fs::write(&self.path, serde_json::to_vec_pretty(&*known)?)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Outcome>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[async_trait::async_trait]
impl Engine for Recorded {
    async fn call(&self, job: Job) -> Result<Answer, EngineError> {
        let key = hex::encode(job.digest());
        let Some(source) = &self.source else {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            return match known.get(&key) {
                Some(outcome) => outcome.clone().try_into(),
                None => Err(EngineError::Fault(format!(
                    "{} has no answer to this {} ({key}): record it again where the engine is",
                    self.path.display(),
                    name(&job)
                ))),
            };
        };
        let answer = source.call(job).await;
        let outcome = match &answer {
            Ok(Answer::Done(value)) => Outcome::Ok(value.clone()),
            Ok(Answer::Need(calls)) => Outcome::Need(calls.clone()),
            Err(EngineError::Template(error)) => Outcome::Error(EvalError::clone(error)),
            // Not a property of the question.
            Err(_) => return answer,
        };
        self.keep(key, outcome).map_err(|error| {
            EngineError::Fault(format!("the recording cannot be written: {error}"))
        })?;
        answer
    }
}

fn name(job: &Job) -> String {
    let operation = serde_json::to_value(&job.operation).unwrap_or(Value::Null);
    operation["op"].as_str().unwrap_or("operation").to_owned()
}

#[cfg(test)]
mod tests {
    use caravel_core::engine::{Evaluator, FormatRequest, Operation};
    use serde_json::json;

    use super::Recorded;
    use crate::{Answer, Direct, Engine, EngineError, Job};

    fn job(source: &str) -> Job {
        let request = FormatRequest {
            file: String::new(),
            source: source.to_owned(),
        };
        Job::new(Operation::Format(request), Evaluator::V2, "default")
    }

    #[tokio::test]
    async fn what_was_recorded_is_answered_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.json");
        let engine = Direct::new(|_| br#"{"id":1,"status":"ok","body":"a: 1"}"#.to_vec());
        let recorder = Recorded::record(&path, engine).unwrap();
        recorder.call(job("a:1")).await.unwrap();

        let recorded = Recorded::replay(&path).unwrap();
        assert_eq!(
            recorded.call(job("a:1")).await,
            Ok(Answer::Done(json!("a: 1")))
        );
        let missing = recorded.call(job("a:2")).await;
        let Err(EngineError::Fault(message)) = missing else {
            panic!("{missing:?}")
        };
        assert!(message.contains("no answer to this format"), "{message}");
    }
}
