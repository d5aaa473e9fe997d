//! Who asks.

use std::collections::BTreeMap;

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of everyone who has proved an identity.
pub const AUTHENTICATED: &str = "system:authenticated";

/// A proved identity.
///
/// In the extensions of a request it means that the request comes from inside the process and needs no proof;
/// listeners remove it from what comes from the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user name.
    pub user: String,
    /// The user's id; may be empty.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// More attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// A user with groups; `system:authenticated` is added.
    pub fn new(
        user: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self {
            user: user.into(),
            groups,
            ..Self::default()
        }
    }

    /// A user who may do everything, for the daemon's own work.
    pub fn admin(user: impl Into<String>) -> Self {
        Self::new(user, [MASTERS])
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
        let mut identity = Self::new(format!("system:serviceaccount:{namespace}:{name}"), groups);
        uid.clone_into(&mut identity.uid);
        identity
    }

    /// May this identity do everything?
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}
