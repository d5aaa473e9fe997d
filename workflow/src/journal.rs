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
