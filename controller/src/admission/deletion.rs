//! The end of a definition: refused while Applications use it.

use std::collections::BTreeSet;

use caravel_apiserver::admission::{AdmissionAttributes, Denial, Warning};
use caravel_core::api::SYSTEM_NAMESPACE;
use caravel_core::api::labels::annotations::FORCE_DELETE;
use caravel_core::appfile::read_application;
use caravel_core::engine::DefinitionKind;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::OamAdmission;
use super::used::{base_name, uses};
use crate::definition::{Kind, oam_resource};
use crate::library::Library;

/// How many users a refusal names.
const NAMED: usize = 10;

/// Applications read at once.
const PAGE: u32 = 500;

/// Judges the deletion of an object of ours.
pub(crate) async fn admit(
    admission: &OamAdmission,
    attributes: &AdmissionAttributes<'_>,
) -> Result<Vec<Warning>, Denial> {
    let old = attributes.old;
    let Some(kind) = Kind::of(attributes.kind) else {
        return Ok(Vec::new());
    };
    let is_forced = old["metadata"]["annotations"][FORCE_DELETE] == "true";
    // With its namespace everything goes, and nothing may hold it up.
    if is_forced || is_namespace_going(&admission.client, attributes.namespace).await {
        return Ok(Vec::new());
    }
    let wanted = Wanted {
        kind: kind.definition,
        namespace: attributes.namespace,
        name: attributes.name,
    };
    let users = match users(&admission.client, &admission.library, &wanted).await {
        Ok(users) => users,
        Err(error) => {
            let why = format!("it is not known which Applications use it: {error}; try again");
            return Err(Denial::forbidden(attributes, &why));
        }
    };
    if users.is_empty() {
        return Ok(Vec::new());
    }
    Err(Denial::forbidden(attributes, &refusal(&users)))
}

fn refusal(users: &[String]) -> String {
    let count = users.len();
    let mut names = users[..count.min(NAMED)].join(", ");
    if count > NAMED {
        names = format!("{names} and {} more", count - NAMED);
    }
    let (what, verb) = if count == 1 {
        ("Application", "uses")
    } else {
        ("Applications", "use")
    };
    format!(
        "{count} {what} {verb} it: {names}. Change or delete them first; to delete it all the same, set the \
         annotation {FORCE_DELETE}=true on it (what they delivered stays, but they cannot be changed any more)"
    )
}

async fn is_namespace_going(client: &Client, name: &str) -> bool {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.get_opt(name).await;
    found.is_ok_and(|namespace| {
        namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    })
}

/// A definition by its place.
pub(crate) struct Wanted<'a> {
    /// What it defines.
    pub(crate) kind: DefinitionKind,
    /// Where it is.
    pub(crate) namespace: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
}

/// The Applications that use a definition, as `namespace/name`, sorted. Those on their way out need it no more.
pub(crate) async fn users(
    client: &Client,
    library: &Library,
    wanted: &Wanted<'_>,
) -> kube::Result<Vec<String>> {
    let types = types_in_use(client, library, wanted).await?;
    let mut users: Vec<String> = types.into_iter().map(|(user, _)| user).collect();
    users.dedup();
    Ok(users)
}

/// Who uses a definition, and under which type: with a version where the Application names one.
pub(crate) async fn types_in_use(
    client: &Client,
    library: &Library,
    wanted: &Wanted<'_>,
) -> kube::Result<BTreeSet<(String, String)>> {
    let resource = oam_resource("Application", "applications");
    let api: Api<DynamicObject> = if wanted.namespace == SYSTEM_NAMESPACE {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), wanted.namespace, &resource)
    };
    let mut used = BTreeSet::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        for object in &list.items {
            if object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let namespace = object.namespace().unwrap_or_default();
            let user = format!("{namespace}/{}", object.name_any());
            let value = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
            let types = types(&value, wanted.kind);
            let mine = types
                .into_iter()
                .filter(|type_| is_meant(library, wanted, &namespace, type_));
            used.extend(mine.map(|type_| (user.clone(), type_)));
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page.continue_token = Some(token),
            _ => return Ok(used),
        }
    }
}

/// Whether a type in a namespace leads to the definition (row DEF-003).
fn is_meant(library: &Library, wanted: &Wanted<'_>, namespace: &str, type_: &str) -> bool {
    let name = base_name(type_);
    name == wanted.name
        && (namespace == wanted.namespace
            || library.definition(wanted.kind, namespace, name).is_none())
}

/// The types of one kind that an Application names.
fn types(object: &Value, kind: DefinitionKind) -> BTreeSet<String> {
    let Ok(application) = read_application(object) else {
        return BTreeSet::new();
    };
    let kind = match kind {
        // A component may still be defined by a WorkloadDefinition (TRAP-028).
        DefinitionKind::Workload => DefinitionKind::Component,
        kind => kind,
    };
    let mine = uses(&application)
        .into_iter()
        .filter(|used| used.kind == kind);
    mine.map(|used| used.type_).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_refusal_names_the_users_and_the_way_out() {
        let users: Vec<String> = (0..12)
            .map(|index| format!("default/app-{index}"))
            .collect();
        let text = refusal(&users);
        assert!(
            text.starts_with("12 Applications use it: default/app-0, "),
            "{text}"
        );
        assert!(text.contains("default/app-9 and 2 more."), "{text}");
        assert!(text.contains("caravel.dev/force-delete=true"), "{text}");
        assert!(refusal(&users[..1]).starts_with("1 Application uses it: default/app-0."));
    }
}
