//! What templates did before, and how far they are trusted because of it.

use std::hash::Hash;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::EngineError;
use crate::job::{Fingerprint, Lane};

/// How many templates are remembered.
const REMEMBERED: u64 = 20_000;

/// How long a stop is remembered.
const GRUDGE: Duration = Duration::from_hours(1);

/// From how many stops on exactly the same evaluation has to wait.
const PATIENCE: u32 = 2;

/// From how many different evaluations that were stopped on a namespace has to wait with the templates of all of them: who
/// varies the parameters must not keep the workers busy. One that is stopped again and again counts once.
const PATIENCE_WITH_A_NAMESPACE: u32 = 4;

/// How long they wait then; twice as long after each further stop.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What templates did before.
///
/// Nobody suffers for another: what waits is the evaluation that was stopped, and one namespace's use of some
/// templates. The same templates with other parameters, or in other namespaces, are evaluated as ever.
#[derive(Debug)]
pub(super) struct Trust {
    /// How often an evaluation with the template succeeded.
    proven: Cache<Fingerprint, u32>,
    /// Stops of exactly this evaluation.
    jobs: Cache<Fingerprint, Strike>,
    /// Different evaluations of a namespace with the same templates that were stopped.
    accounts: Cache<Lane, Strike>,
}

#[derive(Clone, Copy, Debug)]
struct Strike {
    kills: u32,
    wait: Duration,
    until: Instant,
}

impl Strike {
    /// One more than before; it waits from `patience` stops on.
    fn after(before: Option<Self>, patience: u32) -> Self {
        let kills = before.map_or(0, |strike| strike.kills) + 1;
        let wait = match kills.checked_sub(patience) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_WAIT
                .saturating_mul(1 << doublings.min(16))
                .min(LONGEST_WAIT),
        };
        Self {
            kills,
            wait,
            until: Instant::now() + wait,
        }
    }

    /// How long it has to wait still; none if it need not.
    fn rest(self) -> Option<Duration> {
        let rest = self.until.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            proven: Cache::new(REMEMBERED),
            jobs: grudges(),
            accounts: grudges(),
        }
    }
}

/// Strikes that are forgotten a while after the last of them, however often they are looked up.
fn grudges<K: Hash + Eq + Send + Sync + 'static>() -> Cache<K, Strike> {
    Cache::builder()
        .max_capacity(REMEMBERED)
        .time_to_live(GRUDGE)
        .build()
}

impl Trust {
    /// Refuses a job until its time has come: it was stopped too often, or too many like it of the same namespace were.
    pub(super) fn check(&self, lane: &Lane, job: &Fingerprint) -> Result<(), EngineError> {
        let of_job = self.jobs.get(job).map(|strike| (strike, false));
        let of_account = self.accounts.get(lane).map(|strike| (strike, true));
        for (strike, in_namespace) in of_job.into_iter().chain(of_account) {
            if let Some(retry_after) = strike.rest() {
                return Err(EngineError::Quarantined {
                    whose: lane.subject.clone(),
                    kills: strike.kills,
                    namespace: in_namespace.then(|| lane.namespace.clone()),
                    wait: strike.wait,
                    retry_after,
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

    /// Notes a success. What the namespace did with other parameters is not made good by it.
    pub(super) fn succeeded(&self, lane: &Lane, job: &Fingerprint) {
        for template in &lane.templates {
            let times = self.proven.get(template).unwrap_or(0);
            self.proven.insert(*template, times.saturating_add(1));
        }
        self.jobs.invalidate(job);
    }

    /// Notes that an evaluation had to be stopped. Of proven templates, the one that succeeded least often has to prove
    /// itself again.
    pub(super) fn stopped(&self, lane: &Lane, job: &Fingerprint) {
        let before = self.jobs.get(job);
        if before.is_none() {
            let of_account = self.accounts.get(lane);
            let strike = Strike::after(of_account, PATIENCE_WITH_A_NAMESPACE);
            self.accounts.insert(lane.clone(), strike);
        }
        self.jobs.insert(*job, Strike::after(before, PATIENCE));
        if self.knows(lane) {
            let times = |template: &&Fingerprint| self.proven.get(*template).unwrap_or(0);
            if let Some(least) = lane.templates.iter().min_by_key(times) {
                self.proven.invalidate(least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE_WITH_A_NAMESPACE, Trust};
    use crate::EngineError;
    use crate::job::Lane;

    const JOB: [u8; 32] = [9; 32];
    const OTHER: [u8; 32] = [8; 32];

    fn lane(namespace: &str, templates: &[u8]) -> Lane {
        Lane {
            namespace: namespace.to_owned(),
            templates: templates.iter().map(|byte| [*byte; 32]).collect(),
            ..Lane::default()
        }
    }

    #[test]
    fn what_was_stopped_twice_waits_and_nothing_else_does() {
        let trust = Trust::default();
        let bomb = lane("a", &[1, 2]);
        trust.stopped(&bomb, &JOB);
        assert_eq!(trust.check(&bomb, &JOB), Ok(()));
        trust.stopped(&bomb, &JOB);
        let refused = trust.check(&bomb, &JOB);
        assert!(
            matches!(refused, Err(EngineError::Quarantined { kills: 2, .. })),
            "{refused:?}"
        );
        assert_eq!(trust.check(&bomb, &OTHER), Ok(()), "other parameters");
        assert_eq!(trust.check(&lane("b", &[1, 2]), &OTHER), Ok(()));
    }

    #[test]
    fn who_varies_the_parameters_waits_and_other_namespaces_do_not() {
        let trust = Trust::default();
        let bombs = lane("a", &[1]);
        for number in 1..PATIENCE_WITH_A_NAMESPACE {
            trust.stopped(&bombs, &[u8::try_from(number).unwrap(); 32]);
        }
        assert_eq!(trust.check(&bombs, &OTHER), Ok(()), "one of them is left");
        trust.stopped(&bombs, &JOB);
        trust.succeeded(&bombs, &OTHER);
        let refused = trust.check(&bombs, &OTHER);
        let Err(EngineError::Quarantined { namespace, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(namespace.as_deref(), Some("a"));
        assert_eq!(trust.check(&lane("b", &[1]), &OTHER), Ok(()));
        assert_eq!(trust.check(&lane("a", &[2]), &OTHER), Ok(()));
    }

    #[test]
    fn one_that_is_stopped_again_and_again_is_no_budget_of_its_namespace() {
        let trust = Trust::default();
        let namespace = lane("a", &[1]);
        for _ in 0..20 {
            trust.stopped(&namespace, &JOB);
        }
        assert!(trust.check(&namespace, &JOB).is_err());
        assert_eq!(trust.check(&namespace, &OTHER), Ok(()));
    }

    #[test]
    fn a_template_that_was_stopped_has_to_prove_itself_again() {
        let trust = Trust::default();
        let webservice = lane("a", &[1]);
        trust.succeeded(&webservice, &OTHER);
        assert!(trust.knows(&webservice));
        trust.stopped(&webservice, &JOB);
        assert!(!trust.knows(&webservice));
    }
}
