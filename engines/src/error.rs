//! Why an engine has no answer.

use std::time::Duration;

use caravel_core::engine::EvalError;

/// Why an engine has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The template or its input is wrong: somebody can mend it.
    #[error("{}", summary(.0))]
    Template(Box<EvalError>),
    /// Request, result or nesting are larger than an engine accepts.
    #[error("{0}")]
    Limit(String),
    /// The evaluation did not end in time and was stopped.
    #[error("{whose} was stopped after {} ms: it does not end, or takes far too long (nested disjunctions and growing lists do that)", .after.as_millis())]
    Deadline {
        /// Which template.
        whose: String,
        /// After how long.
        after: Duration,
    },
    /// The evaluation used too much memory, or brought its process down in another way.
    #[error(
        "{whose} brought its evaluator down ({reason}): it uses more memory than the {memory_mb} MB that it may have, or nests too deep"
    )]
    Exhausted {
        /// Which template.
        whose: String,
        /// How much memory an evaluation may use.
        memory_mb: u64,
        /// How the process ended.
        reason: String,
    },
    /// The evaluator was killed by somebody else, and the next one, too.
    #[error(
        "the evaluator of {whose} was killed from outside ({signal}), twice: that is not the template's doing; see who kills \
         processes on the machine of the hub, which may be out of memory"
    )]
    Killed {
        /// Which template.
        whose: String,
        /// How it ended.
        signal: String,
    },
    /// The same was stopped before; it is tried again later.
    #[error("{}", waits(.whose, *.kills, .namespace.as_deref(), *.wait))]
    Quarantined {
        /// Which template.
        whose: String,
        /// How often it was stopped.
        kills: u32,
        /// Where it is not for what is evaluated, but for what a namespace has the template evaluated with: the namespace.
        namespace: Option<String>,
        /// How long it waits after the last time.
        wait: Duration,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// The engine or its caller is at fault, not the template.
    #[error("template engine: {0}")]
    Fault(String),
}

impl EngineError {
    /// Whether it was not tried, and will be: nothing is said about the template yet.
    pub fn is_later(&self) -> bool {
        matches!(self, Self::Quarantined { .. })
    }
}

/// The same words for as long as it waits: who shows them need not show them anew each second.
fn waits(whose: &str, kills: u32, namespace: Option<&str>, wait: Duration) -> String {
    let seconds = wait.as_secs();
    match namespace {
        None => format!(
            "{whose} exceeded its evaluation limits {kills} times with these parameters; it is evaluated again {seconds} s after \
             the last time"
        ),
        Some(namespace) => format!(
            "{whose} exceeded its evaluation limits with {kills} different parameters in the namespace {namespace}; it is \
             evaluated again there {seconds} s after the last time"
        ),
    }
}

/// KubeVela's text where there is one, because clients know it; else the first error.
fn summary(error: &EvalError) -> String {
    if !error.kubevela_text.is_empty() {
        return error.kubevela_text.clone();
    }
    error.errors.first().map_or_else(
        || "the template is wrong".to_owned(),
        |first| format!("{}: {}", first.path, first.message),
    )
}
