//! What an Application was before it was changed, for parameters that do not change once they are set (row REN-032).

use serde_json::Value;

use super::step::{self, Written};
use super::variant::{Variant, variants};
use crate::api::{Application, ApplicationComponent, ApplicationTrait};
use crate::appfile::{DefinitionSource, assemble_known};

/// An Application as it was.
pub(super) struct Before<'a> {
    app: &'a Application,
    variants: Vec<Variant>,
}

impl<'a> Before<'a> {
    pub(super) fn new(app: &'a Application, source: &dyn DefinitionSource) -> Self {
        let (appfile, _) = assemble_known(app, source);
        Self {
            app,
            variants: variants(app, appfile.as_ref(), source),
        }
    }

    /// A component as it was delivered: by the same overrides, or in the only way that there was.
    pub(super) fn component(&self, now: &Variant) -> Option<&ApplicationComponent> {
        let is_same = |was: &&Variant| {
            was.component.name == now.component.name && was.component.type_ == now.component.type_
        };
        let mut known = self.variants.iter().filter(is_same);
        let alike = known.clone().find(|was| was.changed_by == now.changed_by);
        let only = known.next().filter(|_| known.next().is_none());
        alike.or(only).map(|was| &was.component)
    }

    pub(super) fn policy(&self, name: &str, type_: &str) -> Option<&Value> {
        let mut policies = self.app.spec.policies.iter();
        policies
            .find(|was| was.name == name && was.type_ == type_)?
            .properties
            .as_ref()
    }

    pub(super) fn step(&self, now: &Written<'_>) -> Option<&Value> {
        let is_same = |was: &Written<'_>| {
            (was.name, was.type_, was.is_sub_step()) == (now.name, now.type_, now.is_sub_step())
        };
        step::steps(self.app).into_iter().find(is_same)?.properties
    }
}

/// What a trait was given before: the first, second … of its type belongs to the first, second … of it.
pub(super) fn of_trait<'a>(
    before: &'a ApplicationComponent,
    now: &[ApplicationTrait],
    index: usize,
) -> Option<&'a Value> {
    let type_ = &now.get(index)?.type_;
    let nth = now[..index]
        .iter()
        .filter(|other| other.type_ == *type_)
        .count();
    let mut alike = before.traits.iter().filter(|was| was.type_ == *type_);
    alike.nth(nth)?.properties.as_ref()
}
