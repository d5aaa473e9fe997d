//! What to do about an object: pure, and the same after a restart, because it looks only at the
//! object and at when it was first seen like this.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::states::{Kind, Stage};
use super::wish::Wish;

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// It is where it should be.
    Rest,
    /// Look again then.
    Wait(Timestamp),
    /// Give it this status.
    Write(Value),
}

/// Decides. `since` is when the object was first seen in want of another status; `delay` how long
/// things take when nothing else is wished.
pub(crate) fn plan(
    kind: Kind,
    object: &Value,
    wish: Wish,
    since: Timestamp,
    now: Timestamp,
    delay: Duration,
) -> Plan {
    let status = &object["status"];
    let text = crate::core::text(now);
    let reaches = |stage: Stage| {
        let wanted = kind.status(object, stage, &text)?;
        (&wanted != status).then_some(wanted)
    };
    let due = |after: Duration| {
        let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        since.checked_add(after).unwrap_or(Timestamp::MAX)
    };
    let (end, takes) = match wish {
        Wish::Work => (Stage::Ready, delay),
        Wish::Fail => (Stage::Failed, delay),
        Wish::Stall => (Stage::Started, delay),
        Wish::Slow(takes) => (Stage::Ready, takes.max(delay)),
    };
    let Some(wanted) = reaches(end) else {
        return Plan::Rest;
    };
    if now >= due(takes) {
        return Plan::Write(wanted);
    }
    // Something slow is seen to have started.
    if takes > delay && now >= due(delay) && !started(object) {
        if let Some(started) = reaches(Stage::Started) {
            return Plan::Write(started);
        }
    } else if takes > delay && !started(object) {
        return Plan::Wait(due(delay));
    }
    Plan::Wait(due(takes))
}

/// Whether the present generation has been seen.
fn started(object: &Value) -> bool {
    let status = &object["status"];
    match &status["observedGeneration"] {
        Value::Null => status["startTime"].is_string() || status["phase"] == "Pending",
        observed => observed == &object["metadata"]["generation"],
    }
}
