//! What templates did before, and how far they are trusted because of it.

use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::EngineError;
use crate::job::{Fingerprint, Lane};

/// How many templates are remembered.
const REMEMBERED: u64 = 20_000;

/// How long a stop is held against a template.
const GRUDGE: Duration = Duration::from_hours(1);

/// From how many stops on a template has to wait.
const PATIENCE: u32 = 2;

/// How long it waits then; twice as long after each further stop.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What templates did before.
#[derive(Debug)]
pub(super) struct Trust {
    /// How often an evaluation with the template succeeded.
    proven: Cache<Fingerprint, u32>,
    /// Stops of a template that had not proven itself, or of one exact job.
    strikes: Cache<Fingerprint, Strike>,
}

#[derive(Clone, Copy, Debug)]
struct Strike {
    kills: u32,
    until: Instant,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            proven: Cache::new(REMEMBERED),
            strikes: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(GRUDGE)
                .build(),
        }
    }
}

impl Trust {
    /// Refuses a job that was stopped too often, until its time has come.
    pub(super) fn check(&self, lane: &Lane, job: &Fingerprint) -> Result<(), EngineError> {
        let now = Instant::now();
        for digest in lane.templates.iter().chain([job]) {
            if let Some(strike) = self.strikes.get(digest)
                && strike.kills >= PATIENCE
                && strike.until > now
            {
                return Err(EngineError::Quarantined {
                    kills: strike.kills,
                    retry_after: strike.until - now,
                });
            }
        }
        Ok(())
    }

    /// Whether all templates of a job succeeded before.
    pub(super) fn knows(&self, lane: &Lane) -> bool {
        let mut templates = lane.templates.iter();
        templates.all(|template| self.proven.contains_key(template))
    }

    /// Notes a success.
    pub(super) fn succeeded(&self, lane: &Lane, job: &Fingerprint) {
        for template in &lane.templates {
            let times = self.proven.get(template).unwrap_or(0);
            self.proven.insert(*template, times.saturating_add(1));
            self.strikes.invalidate(template);
        }
        self.strikes.invalidate(job);
    }

    /// Notes that an evaluation had to be stopped.
    ///
    /// The suspect is the one template that never succeeded. Where there are several, or none, only the
    /// exact job is held responsible: a good template must not suffer for its company or for one user's
    /// parameters. Of proven templates, the one that succeeded least often has to prove itself again.
    pub(super) fn stopped(&self, lane: &Lane, job: &Fingerprint) {
        let unproven: Vec<_> = lane
            .templates
            .iter()
            .filter(|template| !self.proven.contains_key(*template))
            .collect();
        match unproven.as_slice() {
            [suspect] => self.strike(suspect),
            _ => self.strike(job),
        }
        if unproven.is_empty() {
            let least = lane
                .templates
                .iter()
                .min_by_key(|template| self.proven.get(*template).unwrap_or(0));
            if let Some(least) = least {
                self.proven.invalidate(least);
            }
        }
    }

    fn strike(&self, digest: &Fingerprint) {
        let kills = self.strikes.get(digest).map_or(0, |strike| strike.kills) + 1;
        let doublings = kills.saturating_sub(PATIENCE).min(16);
        let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        self.strikes.insert(
            *digest,
            Strike {
                kills,
                until: Instant::now() + wait,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;
    use crate::EngineError;
    use crate::job::Lane;

    const JOB: [u8; 32] = [9; 32];

    fn lane(templates: &[u8]) -> Lane {
        Lane {
            namespace: "a".to_owned(),
            templates: templates.iter().map(|byte| [*byte; 32]).collect(),
        }
    }

    #[test]
    fn two_stops_quarantine_the_template_that_never_succeeded() {
        let trust = Trust::default();
        trust.succeeded(&lane(&[1]), &JOB);
        let bad = lane(&[1, 2]);
        trust.stopped(&bad, &JOB);
        assert_eq!(trust.check(&bad, &JOB), Ok(()));
        trust.stopped(&bad, &JOB);
        let refused = trust.check(&lane(&[2]), &[8; 32]);
        assert!(
            matches!(refused, Err(EngineError::Quarantined { kills: 2, .. })),
            "{refused:?}"
        );
        assert_eq!(trust.check(&lane(&[1]), &[8; 32]), Ok(()));
        assert!(trust.proven.contains_key(&[1; 32]));
    }

    #[test]
    fn one_users_parameters_do_not_quarantine_a_proven_template() {
        let trust = Trust::default();
        let webservice = lane(&[1]);
        for _ in 0..2 {
            trust.succeeded(&webservice, &[7; 32]);
            trust.stopped(&webservice, &JOB);
        }
        assert!(trust.check(&webservice, &JOB).is_err(), "that job");
        assert_eq!(trust.check(&webservice, &[7; 32]), Ok(()), "not the others");
        assert!(
            !trust.proven.contains_key(&[1; 32]),
            "but it has to prove itself again"
        );
    }
}
