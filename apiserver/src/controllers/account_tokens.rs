//! Tokens that last: a Secret of type `kubernetes.io/service-account-token` gets a token of the service account that
//! it names. Such tokens are listed as Secrets are, and end when the Secret or the service account is deleted.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::watching::{already, insist, watch};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";
/// The longest time that a request for a token may ask for: the Secret ends it, not the time.
const SECONDS: u64 = 1 << 32;
/// It is gone, or somebody wrote it in between: the event of that comes next.
const FINE: &[u16] = &[404, 409];

/// Keeps all such Secrets for ever.
pub(super) async fn run(client: Client, authority: Option<String>) {
    let config = watcher::Config::default().fields(&format!("type={TYPE}"));
    let mut secrets = watch(Api::<Secret>::all(client.clone()), config.clone());
    let accounts = Api::<ServiceAccount>::all(client.clone());
    let mut accounts = watch(accounts, watcher::Config::default());
    loop {
        tokio::select! {
            Some(event) = secrets.next() => {
                if let Event::Apply(secret) | Event::InitApply(secret) = event {
                    settle(&client, &secret, authority.as_deref()).await;
                }
            }
            Some(event) = accounts.next() => {
                // An account that is made again has another uid: what named the old one goes.
                if let Event::Delete(account) = event {
                    let namespace = account.namespace().unwrap_or_default();
                    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
                    let list = kube::api::ListParams::default().fields(&format!("type={TYPE}"));
                    for secret in api.list(&list).await.into_iter().flatten() {
                        if secret.annotations().get(ACCOUNT) == Some(&account.name_any()) {
                            settle(&client, &secret, authority.as_deref()).await;
                        }
                    }
                }
            }
            else => return,
        }
    }
}

/// Gives a Secret its token, or deletes one whose service account is not there.
async fn settle(client: &Client, secret: &Secret, authority: Option<&str>) {
    let (Some(namespace), Some(account)) = (secret.namespace(), secret.annotations().get(ACCOUNT))
    else {
        return;
    };
    if secret.metadata.deletion_timestamp.is_some() {
        return;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let name = secret.name_any();
    let uid = match accounts.get_opt(account).await {
        Ok(found) => found.and_then(|account| account.uid()),
        Err(error) => {
            tracing::debug!(%error, "a service account could not be read");
            return;
        }
    };
    let named = secret.annotations().get(UID);
    let Some(uid) = uid.filter(|uid| named.is_none_or(|named| named == uid)) else {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: secret.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let delete = || async { already(secrets.delete(&name, &parameters).await, FINE) };
        insist(
            "deleting the token of a service account that is gone",
            delete,
        )
        .await;
        return;
    };
    let has = |key: &str| {
        secret
            .data
            .as_ref()
            .is_some_and(|data| data.contains_key(key))
    };
    if named.is_some() && has("token") && has("namespace") && (authority.is_none() || has("ca.crt"))
    {
        return;
    }
    let fill = || async {
        let token = match issue(client, &namespace, account, secret).await {
            Ok(token) => token,
            Err(error) => return already(Err::<(), _>(error), FINE),
        };
        let mut data = json!({"token": token, "namespace": namespace});
        if let Some(authority) = authority {
            data["ca.crt"] = authority.into();
        }
        let patch = json!({
            "metadata": {"uid": secret.uid(), "resourceVersion": secret.resource_version(), "annotations": {UID: uid}},
            "stringData": data,
        });
        let parameters = PatchParams::default();
        already(
            secrets
                .patch(&name, &parameters, &Patch::Merge(patch))
                .await
                .map(drop),
            FINE,
        )
    };
    insist("filling the token of a service account", fill).await;
}

async fn issue(
    client: &Client,
    namespace: &str,
    account: &str,
    secret: &Secret,
) -> kube::Result<String> {
    let question = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": SECONDS,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret.name_any(), "uid": secret.uid()},
        },
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(question.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    let answer: Value = client.request(request).await?;
    Ok(answer["status"]["token"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}
