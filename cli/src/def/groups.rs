//! What of an Application is rendered together: as `caravel dry-run` has it, without calls.

use caravel_core::api::Application;
use caravel_core::appfile::{Finding, Layered, Rejection};
use caravel_core::engine::Evaluator;
use caravel_core::plan::{DryRunGroup, dry_run_of, scoped};
use caravel_core::render::{Offline, RenderError, ScopedRender, offline};

use crate::engine;

/// Why there is nothing to render.
pub(crate) enum Ungrouped {
    /// The Application is wrong.
    Wrong(Vec<Finding>),
    /// A policy of scope `Application` cannot be evaluated.
    Policy(Box<RenderError>),
    /// What such a policy gives depends on calls.
    Calls,
}

impl From<Rejection> for Ungrouped {
    fn from(rejection: Rejection) -> Self {
        Self::Wrong(rejection.findings)
    }
}

/// The groups of an Application, as its policies of scope `Application` make it.
pub(crate) fn groups(
    app: &Application,
    source: &Layered<'_>,
    evaluator: Evaluator,
) -> Result<Vec<DryRunGroup>, Ungrouped> {
    let policies = scoped::of_set(app, source.set(), source)
        .map_err(|finding| Ungrouped::Wrong(vec![*finding]))?;
    let mut render = ScopedRender::new(app, &policies, &[], evaluator);
    match offline(&mut render, &mut engine::eval) {
        Ok(Offline::Done(made)) => Ok(dry_run_of(&made, source)?),
        Ok(Offline::Calls(_)) => Err(Ungrouped::Calls),
        Err(error) => Err(Ungrouped::Policy(error)),
    }
}
