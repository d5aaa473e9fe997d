//! Decisions about writes, made in this process.

use async_trait::async_trait;
use serde_json::Value;

use crate::identity::Identity;
use crate::status::Status;

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of an object, by PUT, PATCH or apply.
    Update,
    /// A deletion.
    Delete,
}

/// A write that is about to happen.
#[derive(Debug)]
pub struct AdmissionAttributes<'a> {
    /// What it does.
    pub operation: Operation,
    /// API group.
    pub group: &'a str,
    /// API version of the request.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// The object that is to be stored, with defaults; it may be changed. `Null` for a deletion.
    pub object: &'a mut Value,
    /// The object that is stored now; `Null` for a creation.
    pub old: &'a Value,
    /// Who asks.
    pub user: &'a Identity,
    /// Is nothing going to be stored?
    pub dry_run: bool,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial(pub Status);

impl Denial {
    /// A refusal in words, worded as the real server words those of webhooks: 403 unless the status says otherwise.
    pub fn forbidden(attributes: &AdmissionAttributes<'_>, why: &str) -> Self {
        Self(Status::forbidden(
            attributes.group,
            attributes.resource,
            attributes.name,
            why,
        ))
    }
}

impl From<Status> for Denial {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

/// Words for the client's `Warning:` header.
pub type Warning = String;

/// Decides about writes. Called for each, after defaults are set and before validation; also for dry runs, in
/// which it must have no side effects.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Accepts, perhaps with changes and warnings, or refuses.
    async fn admit(&self, attributes: AdmissionAttributes<'_>) -> Result<Vec<Warning>, Denial>;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
    use kube::{Client, ResourceExt as _};
    use serde_json::json;

    use super::*;
    use crate::identity::Identity;
    use crate::server::{ApiServer, Config};

    /// Refuses everything.
    struct Never;

    #[async_trait::async_trait]
    impl Admission for Never {
        async fn admit(&self, attributes: AdmissionAttributes<'_>) -> Result<Vec<Warning>, Denial> {
            Err(Denial::forbidden(&attributes, "never"))
        }
    }

    #[tokio::test]
    async fn what_admission_refuses_changes_nothing() {
        let server = ApiServer::open(Config::memory()).await.unwrap();
        let client: Client = server.client(Identity::admin("test"));
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let map = |name: &str| -> ConfigMap {
            serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).unwrap()
        };
        let before = api
            .create(&PostParams::default(), &map("before"))
            .await
            .unwrap();
        server.add_admission(Arc::new(Never));
        let patch = Patch::Merge(json!({"data": {"a": "c"}}));
        let refused = [
            api.create(&PostParams::default(), &map("new"))
                .await
                .map(drop),
            api.patch("before", &PatchParams::default(), &patch)
                .await
                .map(drop),
            api.delete("before", &DeleteParams::default())
                .await
                .map(drop),
        ];
        for answer in refused {
            let Err(kube::Error::Api(status)) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!((status.code, status.message.contains("never")), (403, true));
        }
        let names: Vec<String> = api
            .list(&kube::api::ListParams::default())
            .await
            .unwrap()
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect();
        assert!(!names.contains(&"new".to_owned()), "{names:?}");
        let after = api.get("before").await.unwrap();
        assert_eq!(after.resource_version(), before.resource_version());
        assert_eq!(after.data, before.data);
    }
}
