//! When a turn that failed is repeated: soon at first, then less and less often. Pure: the dice are given.

use jiff::SignedDuration;

/// No pause is longer.
const LONGEST: SignedDuration = SignedDuration::from_mins(1);
/// A failure that is repeated sooner is one that passes: it is not worth a line.
const WORTH_LOGGING: SignedDuration = SignedDuration::from_secs(1);
/// One that is repeated sooner is not worth a write to the hub.
const WORTH_TELLING: SignedDuration = SignedDuration::from_secs(2);

/// The failures of an Application since its last turn that came to its end.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    pause: SignedDuration,
    logged: Option<String>,
    told: Option<String>,
}

impl Retry {
    /// Takes note of a failure: how long to wait. `first` is it the first time, then it is twice as long each time; `dice`,
    /// from 0 to 1, takes up to a half of it away, so that those who failed together do not come back together.
    pub(crate) fn pause(&mut self, first: SignedDuration, dice: f64) -> SignedDuration {
        self.pause = (self.pause * 2).clamp(first, LONGEST);
        self.pause.mul_f64(1.0 - dice / 2.0)
    }

    /// Whether the log does not have the problem yet; it has it from now on.
    pub(crate) fn is_to_be_logged(&mut self, problem: &str) -> bool {
        let is_new = self.pause >= WORTH_LOGGING && self.logged.as_deref() != Some(problem);
        if is_new {
            self.logged = Some(problem.to_owned());
        }
        is_new
    }

    /// Whether users were not told of the problem yet.
    pub(crate) fn is_to_be_told(&self, problem: &str) -> bool {
        self.pause >= WORTH_TELLING && self.told.as_deref() != Some(problem)
    }

    /// Users were told.
    pub(crate) fn was_told(&mut self, problem: String) {
        self.told = Some(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    #[test]
    fn pauses_grow_to_a_minute_and_are_spread() {
        let mut retry = Retry::default();
        let pauses: Vec<i64> = (0..9).map(|_| retry.pause(SECOND, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry.pause(SECOND, 1.0).as_secs(), 30);
        let soon = SignedDuration::from_millis(20);
        assert_eq!(Retry::default().pause(soon, 0.5).as_millis(), 15);
    }

    #[test]
    fn a_problem_is_told_when_it_does_not_pass_and_once() {
        let mut retry = Retry::default();
        retry.pause(SECOND, 0.0);
        assert!(retry.is_to_be_logged("refused"));
        assert!(!retry.is_to_be_logged("refused"));
        assert!(!retry.is_to_be_told("refused"), "it may pass");
        retry.pause(SECOND, 0.0);
        assert!(retry.is_to_be_told("refused"));
        retry.was_told("refused".to_owned());
        assert!(!retry.is_to_be_told("refused"));
        assert!(retry.is_to_be_told("unreachable") && retry.is_to_be_logged("unreachable"));
    }

    #[test]
    fn what_is_only_gathered_again_is_not_worth_a_line() {
        let mut retry = Retry::default();
        for _ in 0..3 {
            retry.pause(SignedDuration::from_millis(20), 0.0);
            assert!(!retry.is_to_be_logged("somebody was faster"));
        }
    }
}
