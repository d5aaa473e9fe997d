//! Template engines: frame protocol, pool of worker processes, caches.
//!
//! An [`Engine`] answers the operations of `caravel_core::engine`. The daemon and the command line use a [`Pool`] of
//! worker processes, because a template cannot be trusted to end; tests and measurements use [`Direct`], those
//! without Go [`Recorded`] answers. [`Charts`] is beside them: another program, for Helm. Any of them can stand behind a [`Cached`]. This crate is plain Rust: it
//! starts the program, or calls the function, that it is given.

mod cached;
mod charts;
mod direct;
mod error;
mod job;
mod limits;
mod pool;
mod recorded;

pub use cached::Cached;
pub use charts::{CHARTS_PROGRAM, ChartError, Charts};
pub use direct::Direct;
pub use error::EngineError;
pub use job::{Answer, Job};
pub use pool::{Deadlines, Isolation, Pool, PoolOptions, PoolStats};
pub use recorded::Recorded;

/// Something that evaluates templates. Object safe.
#[async_trait::async_trait]
pub trait Engine: Send + Sync {
    /// Carries out one operation.
    ///
    /// The answer is a pure function of the job: asking twice is safe.
    ///
    /// # Errors
    /// [`EngineError::Template`] where the author or the user can mend it; everything else says what
    /// went wrong with the evaluation itself.
    async fn call(&self, job: Job) -> Result<Answer, EngineError>;
}
