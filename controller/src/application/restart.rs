//! When an Application's workflow runs again by itself, and when it is looked at again. Pure: the time is given.

use caravel_core::api::duration;
use caravel_core::api::labels::annotations::{
    CONTROLLER_VERSION_REQUIRE, RECONCILE_INTERVAL, RESTART_WORKFLOW,
};
use jiff::{SignedDuration, Timestamp};

use std::collections::BTreeMap;

/// A shorter interval would only cost (row APP-016).
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);

/// What the annotation `app.oam.dev/restart-workflow` comes to (row APP-006).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restart {
    /// When the workflow is to run again (`status.workflowRestartScheduledAt`).
    pub(crate) at: Option<Timestamp>,
    /// The annotation was for once: it is taken away as soon as the status tells of it.
    pub(crate) is_noted: bool,
    /// Why the annotation has no effect.
    pub(crate) problem: Option<String>,
}

/// Reads the annotation: `true` means now, a time once, a duration again and again after each end.
///
/// `scheduled` is what the status tells; `ended` is when the workflow ended, if it has.
pub(crate) fn restart(
    annotations: &BTreeMap<String, String>,
    scheduled: Option<Timestamp>,
    ended: Option<Timestamp>,
    now: Timestamp,
) -> Restart {
    let kept = Restart {
        at: scheduled,
        ..Restart::default()
    };
    let Some(text) = annotations.get(RESTART_WORKFLOW).map(|text| text.trim()) else {
        return kept;
    };
    if text == "true" {
        return Restart {
            // A wish that was noted and not fulfilled yet is the same one.
            at: scheduled.or(Some(now)),
            is_noted: true,
            problem: None,
        };
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Restart {
            at: Some(time),
            is_noted: true,
            problem: None,
        };
    }
    match duration::parse(text) {
        Ok(every) if every > SignedDuration::ZERO => Restart {
            at: ended.and_then(|ended| ended.checked_add(every).ok()),
            ..Restart::default()
        },
        _ => Restart {
            problem: Some(format!(
                "annotation {RESTART_WORKFLOW} is {text:?}: expected true, a time such as 2027-01-15T14:30:00Z, or a duration \
                 such as 24h"
            )),
            ..kept
        },
    }
}

/// Whether the workflow runs again now: it ended before the time that was set, and that has come (row APP-034).
pub(crate) fn is_due(at: Option<Timestamp>, ended: Option<Timestamp>, now: Timestamp) -> bool {
    matches!((at, ended), (Some(at), Some(ended)) if at <= now && at > ended)
}

/// How often an Application wants to be looked at (row APP-016).
pub(crate) fn interval(annotations: &BTreeMap<String, String>) -> Option<SignedDuration> {
    let text = annotations.get(RECONCILE_INTERVAL)?;
    duration::parse(text.trim())
        .ok()
        .filter(|interval| *interval >= SHORTEST)
}

/// Whether an Application is for another version of the controller (row APP-003).
pub(crate) fn is_for_others(annotations: &BTreeMap<String, String>) -> bool {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    annotations
        .get(CONTROLLER_VERSION_REQUIRE)
        .filter(|wanted| !wanted.is_empty())
        .is_some_and(|wanted| wanted.strip_prefix('v').unwrap_or(wanted) != VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn with(text: &str) -> BTreeMap<String, String> {
        [(RESTART_WORKFLOW.to_owned(), text.to_owned())].into()
    }

    #[test]
    fn true_is_now_and_once() {
        let wish = restart(&with("true"), None, Some(at(5)), at(10));
        assert_eq!((wish.at, wish.is_noted), (Some(at(10)), true));
        assert!(is_due(wish.at, Some(at(5)), at(10)));
        // Noted before a crash: not put off again and again.
        let again = restart(&with("true"), wish.at, Some(at(5)), at(20));
        assert_eq!(again.at, Some(at(10)));
        // Done: the workflow ended after it.
        assert!(!is_due(wish.at, Some(at(12)), at(20)));
    }

    #[test]
    fn a_time_is_waited_for() {
        let wish = restart(&with("1970-01-01T00:00:30Z"), None, Some(at(5)), at(10));
        assert_eq!((wish.at, wish.is_noted), (Some(at(30)), true));
        assert!(!is_due(wish.at, Some(at(5)), at(29)));
        assert!(is_due(wish.at, Some(at(5)), at(30)));
        // A workflow that has not ended is not run again.
        assert!(!is_due(wish.at, None, at(30)));
    }

    #[test]
    fn a_duration_counts_from_each_end() {
        let first = restart(&with("5s"), None, Some(at(5)), at(6));
        assert_eq!((first.at, first.is_noted), (Some(at(10)), false));
        let second = restart(&with("5s"), first.at, Some(at(11)), at(12));
        assert_eq!(second.at, Some(at(16)));
        assert_eq!(restart(&with("5s"), first.at, None, at(12)).at, None);
    }

    #[test]
    fn anything_else_is_told_and_changes_nothing() {
        for text in ["notatime", "-5s", ""] {
            let wish = restart(&with(text), Some(at(3)), Some(at(5)), at(6));
            assert_eq!(wish.at, Some(at(3)), "{text}");
            assert!(wish.problem.is_some(), "{text}");
        }
    }

    #[test]
    fn intervals_and_versions_are_read_from_annotations() {
        let one = |key: &str, value: &str| -> BTreeMap<String, String> {
            [(key.to_owned(), value.to_owned())].into()
        };
        let minute = SignedDuration::from_mins(1);
        assert_eq!(interval(&one(RECONCILE_INTERVAL, "1m")), Some(minute));
        assert_eq!(interval(&one(RECONCILE_INTERVAL, "9s")), None);
        assert!(is_for_others(&one(CONTROLLER_VERSION_REQUIRE, "v9.9.9")));
        let own = format!("v{}", env!("CARGO_PKG_VERSION"));
        assert!(!is_for_others(&one(CONTROLLER_VERSION_REQUIRE, &own)));
        assert!(!is_for_others(&BTreeMap::new()));
    }
}
