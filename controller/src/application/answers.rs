//! What policies made of Applications a moment ago. Their templates may send requests: those are not sent again with each look
//! at the same (POL-017).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caravel_core::api::{Application, ApplicationStatus};
use caravel_core::render::{Scoped, ScopedPolicy};
use jiff::{SignedDuration, Timestamp};

use super::session::Key;

/// How long an answer is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(1);

/// The last answer for each Application whose policies call for something.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<Key, Answer>>);

struct Answer {
    question: Question,
    made: Scoped,
    until: Timestamp,
}

/// Everything that policies see.
#[derive(PartialEq)]
pub(super) struct Question {
    /// As its author wrote it, at the revision that it is at; without what only counts.
    application: Application,
    /// With parameters, and with the revisions of their definitions.
    policies: Vec<ScopedPolicy>,
}

impl Question {
    pub(super) fn of(application: &Application, policies: &[ScopedPolicy]) -> Self {
        let mut seen = application.clone();
        let metadata = &mut seen.metadata;
        metadata.resource_version = None;
        metadata.generation = None;
        metadata.managed_fields = None;
        let revision = seen.status.and_then(|status| status.latest_revision);
        seen.status = Some(ApplicationStatus {
            latest_revision: revision,
            ..ApplicationStatus::default()
        });
        Self {
            application: seen,
            policies: policies.to_vec(),
        }
    }
}

impl Answers {
    /// What policies made of an Application, if they were asked the same a moment ago.
    pub(super) fn of(
        &self,
        application: &Application,
        question: &Question,
        now: Timestamp,
    ) -> Option<Scoped> {
        let all = self.all();
        let answer = all.get(&Key::of(application))?;
        if answer.until <= now || answer.question != *question {
            return None;
        }
        let mut made = answer.made.clone();
        let before = std::mem::replace(&mut made.application, application.clone());
        made.application.spec = before.spec;
        made.application.metadata.labels = before.metadata.labels;
        made.application.metadata.annotations = before.metadata.annotations;
        Some(made)
    }

    /// Keeps an answer for a while.
    pub(super) fn keep(&self, question: Question, made: &Scoped, now: Timestamp) {
        let mut all = self.all();
        all.retain(|_, answer| answer.until > now);
        let key = Key::of(&question.application);
        let answer = Answer {
            question,
            made: made.clone(),
            until: now + GOOD_FOR,
        };
        all.insert(key, answer);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application(image: &str, version: &str) -> Application {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "demo", "resourceVersion": version},
            "spec": {"components": [{"name": "a", "type": "worker", "properties": {"image": image}}]},
        }))
        .expect("an Application")
    }

    fn policy(revision: &str) -> Vec<ScopedPolicy> {
        vec![ScopedPolicy {
            revision_name: revision.to_owned(),
            ..ScopedPolicy::default()
        }]
    }

    #[test]
    fn an_answer_is_good_for_a_minute_and_for_the_same_question() {
        let answers = Answers::default();
        let (written, now) = (application("a:1", "5"), Timestamp::UNIX_EPOCH);
        let mut made = Scoped {
            application: written.clone(),
            ..Scoped::default()
        };
        made.application.spec.components.clear();
        answers.keep(Question::of(&written, &policy("p-v1")), &made, now);
        let ask = |application: &Application, revision: &str, seconds| {
            let question = Question::of(application, &policy(revision));
            let now = now + SignedDuration::from_secs(seconds);
            answers.of(application, &question, now)
        };
        let mut touched = application("a:1", "6");
        touched.status = Some(ApplicationStatus::default());
        let again = ask(&touched, "p-v1", 59).expect("the same again");
        assert!(again.application.spec.components.is_empty());
        let version = again.application.metadata.resource_version;
        assert_eq!(version.as_deref(), Some("6"), "it is written on");
        assert!(ask(&written, "p-v1", 60).is_none(), "it is old");
        assert!(ask(&written, "p-v2", 1).is_none(), "another definition");
        assert!(ask(&application("a:2", "7"), "p-v1", 1).is_none());
    }
}
