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
    #[error("the template was stopped after {} ms: it does not end, or takes far too long (nested disjunctions and growing lists do that)", .0.as_millis())]
    Deadline(Duration),
    /// The evaluation used too much memory, or brought its process down in another way.
    #[error(
        "the template brought its evaluator down ({reason}): it uses more memory than the {memory_mb} MB that it may have, or nests too deep"
    )]
    Exhausted {
        /// How much memory an evaluation may use.
        memory_mb: u64,
        /// How the process ended.
        reason: String,
    },
    /// The same template was stopped before; it is tried again later.
    #[error("the template exceeded its evaluation limits {kills} times; it is not evaluated again for {} s", .retry_after.as_secs().max(1))]
    Quarantined {
        /// How often an evaluation of it was stopped.
        kills: u32,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// The engine or its caller is at fault, not the template.
    #[error("template engine: {0}")]
    Fault(String),
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
