//! Proof of identity: client certificates, bearer tokens, and acting as somebody else.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{HeaderMap, header};
use rustls_pki_types::CertificateDer;

use crate::core::Core;
use crate::identity::{AUTHENTICATED, Identity};
use crate::request::{Target, decode};
use crate::status::{Result, Status};

/// Who a client has proved to be on its TLS connection, by its certificate. Read once for all requests of the connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Identity);

impl Peer {
    /// The common name is the user, the organizations are the groups. `None` if the certificate names no user.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = certificate.subject();
        let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups: Vec<String> = subject
            .iter_organization()
            .filter_map(|group| group.as_str().ok())
            .map(str::to_owned)
            .collect();
        (!user.is_empty()).then(|| Self(Identity::new(user, groups)))
    }
}

/// Finds out who asks. Nobody is anonymous.
pub(crate) fn authenticate(core: &Core, parts: &Parts) -> Result<Identity> {
    let proved = match parts.extensions.get::<Identity>() {
        Some(identity) => identity.clone(),
        None => prove(core, parts).ok_or_else(Status::unauthorized)?,
    };
    impersonate(core, proved, &parts.headers)
}

fn prove(core: &Core, parts: &Parts) -> Option<Identity> {
    if let Some(Peer(identity)) = parts.extensions.get::<Peer>() {
        return Some(identity.clone());
    }
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let checked = core
        .auth
        .tokens
        .check(&core.store, token.trim(), &[], (core.clock)());
    checked.map(|(identity, _)| identity)
}

/// Follows the `Impersonate-*` headers, if the user may.
fn impersonate(core: &Core, user: Identity, headers: &HeaderMap) -> Result<Identity> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let (name, uid) = (text("impersonate-user"), text("impersonate-uid"));
    let extra = extras(headers);
    if name.is_empty() {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(user);
        }
        let message =
            "requested to impersonate groups, a uid or extra fields without impersonating a user";
        return Err(Status::internal(message));
    }
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let target = Target {
            verb: "impersonate",
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Target::default()
        };
        core.auth.authorize(core, &user, &target)
    };
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => may("", "serviceaccounts", "", namespace, account)?,
        None => may("", "users", "", "", &name)?,
    }
    for group in &groups {
        may("", "groups", "", "", group)?;
    }
    if !uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &uid)?;
    }
    for (key, values) in &extra {
        for value in values {
            may("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    let mut identity = match account {
        Some((namespace, account)) if groups.is_empty() => {
            Identity::service_account(namespace, account, "")
        }
        _ => Identity::new(name, groups),
    };
    if identity.user == "system:anonymous" {
        identity.groups.retain(|group| group != AUTHENTICATED);
    }
    identity.uid = uid;
    identity.extra = extra;
    Ok(identity)
}

fn extras(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix("impersonate-extra-")
            && let Ok(value) = value.to_str()
        {
            extra.entry(decode(key)).or_default().push(value.to_owned());
        }
    }
    extra
}
