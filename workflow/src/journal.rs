//! The journal of a run as data: what happened, in order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dag::Fault;
use crate::event::{Event, Illegal, Outcome};
use crate::state::{RunSpec, State};

/// One entry of a run's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 0 without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub record: Record,
}

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// The first entry: what the run is made of.
    Opened(Box<RunSpec>),
    /// An event that the state accepted.
    Event(Event),
}

impl Record {
    /// Whether it may hold a secret: parameters, answers, outputs and values are sealed where they are stored, and
    /// redacted on every way out (invariant 7).
    pub fn is_sensitive(&self) -> bool {
        let Self::Event(event) = self else {
            return true;
        };
        match event {
            Event::Adopt { .. } | Event::Answer { .. } | Event::Put { .. } => true,
            Event::Ended {
                outcome: Outcome::Succeeded { outputs, .. } | Outcome::Broken { outputs, .. },
                ..
            } => !outputs.is_empty(),
            _ => false,
        }
    }
}

/// What stands in an entry for what may be a secret.
const REDACTED: &str = "[redacted]";

impl Entry {
    /// The entry as it may be shown: what was answered, put and given is replaced. Parameters are left: they are
    /// in the Application, and who may see the run may see that.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        let Record::Event(event) = &mut self.record else {
            return self;
        };
        match event {
            Event::Answer { value, .. } | Event::Put { value, .. } => redact(value),
            Event::Adopt { values, .. } => values.values_mut().for_each(redact),
            Event::Ended {
                outcome: Outcome::Succeeded { outputs, .. } | Outcome::Broken { outputs, .. },
                ..
            } => outputs.values_mut().for_each(redact),
            _ => {}
        }
        self
    }
}

fn redact(value: &mut serde_json::Value) {
    if !value.is_null() {
        *value = REDACTED.into();
    }
}

/// A run that was rebuilt from its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    /// The state after the last entry.
    pub state: State,
    /// The place of the next entry.
    pub next: u64,
}

/// Why a journal does not give a state. It is damaged, or a newer Caravel wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// No entry at all.
    #[error("the journal is empty")]
    Empty,
    /// An entry is missing or out of place.
    #[error("the journal has a gap: expected entry {expected}, found entry {found}")]
    Gap {
        /// Which entry should be here.
        expected: u64,
        /// Which is.
        found: u64,
    },
    /// The first entry is not `opened`, or a later one is.
    #[error(
        "entry {0} of the journal is out of place: a journal is opened once, by its first entry"
    )]
    Opened(u64),
    /// The workflow in the first entry has faults.
    #[error("the journal's workflow cannot be run: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Workflow(Vec<Fault>),
    /// An entry does not follow from those before it.
    #[error("entry {seq} of the journal does not follow from those before it: {illegal}")]
    Illegal {
        /// Which entry.
        seq: u64,
        /// Why.
        illegal: Illegal,
    },
}

/// Rebuilds a run from the entries of its journal. It equals the state that wrote them; what was
/// under way is in [`State::outstanding`].
pub fn rebuild(entries: impl IntoIterator<Item = Entry>) -> Result<Rebuilt, RebuildError> {
    let mut entries = entries.into_iter();
    let first = entries.next().ok_or(RebuildError::Empty)?;
    if first.seq != 0 {
        return Err(RebuildError::Gap {
            expected: 0,
            found: first.seq,
        });
    }
    let Record::Opened(spec) = first.record else {
        return Err(RebuildError::Opened(0));
    };
    let mut state = State::new(*spec).map_err(RebuildError::Workflow)?;
    let mut next = 1;
    for entry in entries {
        if entry.seq != next {
            return Err(RebuildError::Gap {
                expected: next,
                found: entry.seq,
            });
        }
        let Record::Event(event) = entry.record else {
            return Err(RebuildError::Opened(entry.seq));
        };
        state
            .advance(entry.at, event)
            .map_err(|illegal| RebuildError::Illegal {
                seq: entry.seq,
                illegal,
            })?;
        next += 1;
    }
    Ok(Rebuilt { state, next })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::StepRef;

    fn entry(event: Event) -> Entry {
        Entry {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            record: Record::Event(event),
        }
    }

    #[test]
    fn what_may_be_secret_is_sealed_and_not_shown() {
        let (step, attempt) = (StepRef(0), 1);
        let outputs = [("x".to_owned(), json!("s3cr3t"))];
        let secrets = [
            Event::Answer {
                step,
                attempt,
                call: "req".into(),
                digest: "d".into(),
                value: json!({"body": "s3cr3t"}),
                keep: true,
            },
            Event::Put {
                step,
                attempt,
                path: "a.b".into(),
                value: json!("s3cr3t"),
            },
            Event::Ended {
                step,
                attempt,
                outcome: Outcome::Succeeded {
                    message: "done".into(),
                    outputs: outputs.into(),
                },
            },
            Event::Adopt {
                status: Box::default(),
                values: json!({"x": {"y": "s3cr3t"}}).as_object().unwrap().clone(),
            },
        ];
        for event in secrets {
            let entry = entry(event);
            assert!(entry.record.is_sensitive(), "{entry:?}");
            let shown = serde_json::to_string(&entry.redacted()).unwrap();
            assert!(
                !shown.contains("s3cr3t") && shown.contains(REDACTED),
                "{shown}"
            );
        }
        let plain = entry(Event::Nudge { step: None });
        assert!(!plain.record.is_sensitive());
        assert_eq!(plain.clone().redacted(), plain);
    }

    #[test]
    fn a_damaged_journal_says_what_is_wrong() {
        let opened = Entry {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            record: Record::Opened(Box::default()),
        };
        let said = |entries: Vec<Entry>| rebuild(entries).unwrap_err().to_string();
        assert_eq!(said(vec![]), "the journal is empty");
        let begin = |seq| Entry {
            seq,
            ..entry(Event::Begin)
        };
        assert_eq!(
            said(vec![opened.clone(), begin(2)]),
            "the journal has a gap: expected entry 1, found entry 2"
        );
        assert!(said(vec![begin(0)]).contains("entry 0 of the journal is out of place"));
        assert!(
            said(vec![
                opened.clone(),
                Entry {
                    seq: 1,
                    ..opened.clone()
                }
            ])
            .contains("entry 1")
        );
        let twice = said(vec![opened, begin(1), begin(2)]);
        assert!(
            twice.contains("entry 2") && twice.contains("has already begun"),
            "{twice}"
        );
    }
}
