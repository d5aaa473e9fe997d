//! Who may do what.

use serde_json::Value;

use crate::catalog::Kind;
use crate::core::Core;
use crate::identity::Identity;
use crate::request::Target;
use crate::status::{Result, Status};

/// Authentication and authorization.
pub(crate) struct Auth {}

impl Auth {
    pub(crate) fn authorize(&self, _: &Core, user: &Identity, target: &Target) -> Result<()> {
        if user.is_master() {
            Ok(())
        } else {
            Err(refusal(user, target))
        }
    }

    pub(crate) fn check_escalation(
        &self,
        _: &Core,
        _: &Kind,
        _: &Identity,
        _: &Value,
        _: Option<&Value>,
    ) -> Result<()> {
        Ok(())
    }
}

/// The refusal of a request, in Kubernetes' words.
pub(crate) fn refusal(user: &Identity, target: &Target) -> Status {
    let quote = caravel_schema::field::quote;
    if !target.is_resource() {
        let message = format!(
            "forbidden: User {} cannot {} path {}",
            quote(&user.user),
            target.verb,
            quote(&target.path)
        );
        let mut status = Status::new(http::StatusCode::FORBIDDEN, "Forbidden", message);
        status.details = Some(Box::default());
        return status;
    }
    let mut resource = target.resource.clone();
    if !target.subresource.is_empty() {
        resource = format!("{resource}/{}", target.subresource);
    }
    let place = if target.namespace.is_empty() {
        " at the cluster scope".to_owned()
    } else {
        format!(" in the namespace {}", quote(&target.namespace))
    };
    let why = format!(
        "User {} cannot {} resource {} in API group {}{place}",
        quote(&user.user),
        target.verb,
        quote(&resource),
        quote(&target.group)
    );
    Status::forbidden(&target.group, &target.resource, &target.name, &why)
}
