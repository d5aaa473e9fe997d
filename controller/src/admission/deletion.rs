//! The end of a definition: refused while Applications use it.

use std::collections::BTreeSet;

use caravel_apiserver::admission::{AdmissionAttributes, Denial, Warning};
use caravel_core::api::labels::annotations::{AUTO_UPDATE, FORCE_DELETE};
use caravel_core::api::{Policy, SYSTEM_NAMESPACE, Workflow};
use caravel_core::appfile::{DefinitionSet, DefinitionSource, base_name, read_application, uses};
use caravel_core::engine::DefinitionKind;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::OamAdmission;
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
        return Ok(unnamed(old).into_iter().collect());
    }
    Err(Denial::forbidden(attributes, &refusal(&users)))
}

/// A policy that holds by itself may always go: no Application names it, and so each can be rendered without it.
fn unnamed(definition: &Value) -> Option<Warning> {
    let is_global =
        definition["kind"] == "PolicyDefinition" && definition["spec"]["global"] == true;
    is_global.then(|| {
        "this policy held for Applications that do not name it: they are rendered without it the next time they change".to_owned()
    })
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

/// Who uses a definition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InUse {
    /// The Application, as `namespace/name`.
    user: String,
    /// As it names the definition: with a version where it wants one.
    pub(crate) type_: String,
    /// A part of a version stands for the newest one that begins with it.
    pub(crate) follows: bool,
}

/// The Applications that use a definition, as `namespace/name`, sorted. Those on their way out need it no more.
async fn users(
    client: &Client,
    library: &Library,
    wanted: &Wanted<'_>,
) -> kube::Result<Vec<String>> {
    let types = types_in_use(client, library, wanted).await?;
    let mut users: Vec<String> = types.into_iter().map(|one| one.user).collect();
    users.dedup();
    Ok(users)
}

/// Who uses a definition, and under which type.
pub(crate) async fn types_in_use(
    client: &Client,
    library: &Library,
    wanted: &Wanted<'_>,
) -> kube::Result<BTreeSet<InUse>> {
    let resource = oam_resource("Application", "applications");
    let api: Api<DynamicObject> = if wanted.namespace == SYSTEM_NAMESPACE {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), wanted.namespace, &resource)
    };
    let referred = referred(client, wanted.namespace).await?;
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
            let follows = value["metadata"]["annotations"][AUTO_UPDATE] == "true";
            let types = types(&value, wanted.kind, &referred);
            let mine = types
                .into_iter()
                .filter(|type_| is_meant(library, wanted, &namespace, type_));
            used.extend(mine.map(|type_| InUse {
                user: user.clone(),
                type_,
                follows,
            }));
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page.continue_token = Some(token),
            _ => return Ok(used),
        }
    }
}

/// The Policy and Workflow objects that those who may use a definition of a namespace can refer to.
async fn referred(client: &Client, namespace: &str) -> kube::Result<DefinitionSet> {
    let place = Some(namespace).filter(|place| *place != SYSTEM_NAMESPACE);
    let mut set = DefinitionSet::default();
    let policies: Vec<Policy> = all(client, place).await?;
    let workflows: Vec<Workflow> = all(client, place).await?;
    let policies = policies.iter().map(|one| ("Policy", json!(one)));
    let workflows = workflows.iter().map(|one| ("Workflow", json!(one)));
    for (kind, mut object) in policies.chain(workflows) {
        object["kind"] = kind.into();
        // What cannot be read is of no use for Applications either.
        let _ = set.add(&object, namespace);
    }
    Ok(set)
}

/// All objects of a kind, in a namespace or everywhere.
async fn all<K>(client: &Client, namespace: Option<&str>) -> kube::Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    Ok(api.list(&ListParams::default()).await?.items)
}

/// Whether a type in a namespace leads to the definition (row DEF-003).
fn is_meant(library: &Library, wanted: &Wanted<'_>, namespace: &str, type_: &str) -> bool {
    let name = base_name(type_);
    name == wanted.name
        && (namespace == wanted.namespace
            || library.definition(wanted.kind, namespace, name).is_none())
}

/// The types of one kind that an Application names, or what it refers to.
fn types(
    object: &Value,
    kind: DefinitionKind,
    referred: &dyn DefinitionSource,
) -> BTreeSet<String> {
    let Ok(application) = read_application(object) else {
        return BTreeSet::new();
    };
    let kind = match kind {
        // A component may still be defined by a WorkloadDefinition (TRAP-028).
        DefinitionKind::Workload => DefinitionKind::Component,
        kind => kind,
    };
    let mine = uses(&application, referred)
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
