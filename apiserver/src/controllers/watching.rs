//! What the controllers share: watches that do not end, kinds that are served, retries.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::core::{ApiResource, DynamicObject};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// What happens to the objects of a kind, for ever; a broken watch starts again.
pub(super) fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
) -> BoxStream<'static, watcher::Event<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let kind = api.resource_url().to_owned();
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            if let Err(error) = &event {
                tracing::debug!(%kind, %error, "a watch of a built-in controller starts again");
            }
            std::future::ready(event.ok())
        })
        .boxed()
}

/// A kind that can be listed, watched and deleted.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

/// The kinds that are served now, each once, in the version that the server prefers.
pub(super) async fn served(client: &Client) -> kube::Result<Vec<Served>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let mut out = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let able = [verbs::LIST, verbs::WATCH, verbs::DELETE];
            if able
                .iter()
                .all(|verb| capabilities.supports_operation(verb))
            {
                let namespaced = capabilities.scope == Scope::Namespaced;
                out.push(Served {
                    resource,
                    namespaced,
                });
            }
        }
    }
    Ok(out)
}

/// The objects of a kind: those of one namespace, or all.
pub(super) fn objects<K>(client: &Client, served: &Served, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    match namespace {
        Some(namespace) if served.namespaced => {
            Api::namespaced_with(client.clone(), namespace, &served.resource)
        }
        _ => Api::all_with(client.clone(), &served.resource),
    }
}

/// Ends when no object of the kind is left in the namespace.
pub(super) async fn until_none_left(client: &Client, served: &Served, namespace: Option<&str>) {
    let api: Api<DynamicObject> = objects(client, served, namespace);
    let mut left = std::collections::HashSet::new();
    let mut listed = false;
    let mut events = watch(api, watcher::Config::default());
    while let Some(event) = events.next().await {
        match event {
            watcher::Event::Init => left.clear(),
            watcher::Event::InitDone => listed = true,
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                left.extend(object.metadata.uid);
            }
            watcher::Event::Delete(object) => {
                left.remove(&object.metadata.uid.unwrap_or_default());
            }
        }
        if listed && left.is_empty() {
            return;
        }
    }
}

/// Does something until it succeeds, with growing pauses. `None` when the server refuses it for good:
/// then only a change of something makes sense of another attempt.
pub(super) async fn insist<T, F: Future<Output = kube::Result<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    let mut pause = Duration::from_millis(50);
    loop {
        match attempt().await {
            Ok(done) => return Some(done),
            Err(error) if is_refusal(&error) => {
                tracing::warn!(%error, "{what} was refused");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "{what} failed and is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        }
    }
}

/// Whether the same request will be refused again.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429))
}

/// Success, when what was asked for is true already.
pub(super) fn already<T>(result: kube::Result<T>, codes: &[u16]) -> kube::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if codes.contains(&status.code) => Ok(None),
        Err(error) => Err(error),
    }
}
