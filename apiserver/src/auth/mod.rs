//! Who asks, and whether they may.

mod authenticate;
mod bootstrap;
mod escalation;
pub(crate) mod pki;
pub(crate) mod rbac;
pub(crate) mod tokens;

use jiff::Timestamp;

pub(crate) use self::authenticate::{Peer, authenticate};
pub(crate) use self::bootstrap::roles as bootstrap_roles;
use self::pki::{Pki, PkiError};
use self::rbac::Rbac;
use self::tokens::Tokens;
use crate::core::Core;
use crate::identity::Identity;
use crate::request::Target;
use crate::status::{Result, Status};

/// Authentication and authorization.
pub(crate) struct Auth {
    pub(crate) pki: Pki,
    pub(crate) tokens: Tokens,
    pub(crate) rbac: Rbac,
}

/// What authorization says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    pub(crate) reason: String,
}

impl Auth {
    pub(crate) fn open(
        folder: Option<std::path::PathBuf>,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let pki = Pki::open(folder, now)?;
        let tokens = Tokens::new(&pki)?;
        Ok(Self {
            pki,
            tokens,
            rbac: Rbac::default(),
        })
    }

    /// May the user do this? What nobody allows is refused.
    pub(crate) fn decide(&self, core: &Core, user: &Identity, target: &Target) -> Decision {
        if user.is_master() {
            return Decision {
                allowed: true,
                reason: String::new(),
            };
        }
        match self.rbac.allows(&core.store, user, target) {
            Some(reason) => Decision {
                allowed: true,
                reason,
            },
            None => Decision {
                allowed: false,
                reason: String::new(),
            },
        }
    }

    /// Refuses what the user may not do.
    pub(crate) fn authorize(&self, core: &Core, user: &Identity, target: &Target) -> Result<()> {
        if self.decide(core, user, target).allowed {
            Ok(())
        } else {
            Err(refusal(user, target))
        }
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
