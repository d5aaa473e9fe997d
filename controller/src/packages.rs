//! Packages of CUE that users register (`Package` objects, rows CRD-012, PRV-045), as a cache that is watched.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use caravel_core::api::{Package, SYSTEM_NAMESPACE};
use caravel_core::engine::{self, Endpoint, Operation};
use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Namespace and name.
type Place = (String, String);

/// All packages of a hub. They may be imported from everywhere; of two with one path that of the Application's namespace
/// goes before that of the system's, and that before all others.
#[derive(Clone, Default)]
pub(crate) struct Packages(Arc<RwLock<BTreeMap<Place, engine::Package>>>);

impl Packages {
    /// Starts to watch; ends with `shutdown`.
    pub(crate) fn start(client: &Client, shutdown: &CancellationToken) -> Self {
        let packages = Self::default();
        let known = packages.clone();
        let mut events = watcher(
            Api::<Package>::all(client.clone()),
            watcher::Config::default(),
        )
        .default_backoff()
        .take_until(shutdown.clone().cancelled_owned())
        .boxed();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => known.take(event),
                    Err(error) => warn!(%error, "the watch of packages is tried again"),
                }
            }
        });
        packages
    }

    fn take(&self, event: watcher::Event<Package>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => all.clear(),
            watcher::Event::InitDone => {}
            watcher::Event::Apply(package) | watcher::Event::InitApply(package) => {
                all.insert(place(&package), read(package));
            }
            watcher::Event::Delete(package) => {
                all.remove(&place(&package));
            }
        }
    }

    /// Puts the packages that an operation's templates import beside them.
    pub(crate) fn attach(&self, namespace: &str, operation: &mut Operation) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let (sources, packages) = match operation {
            Operation::Render(request) => {
                let templates = request.component.iter().chain(&request.traits);
                let sources = templates.map(|one| one.source.as_str()).collect();
                (sources, &mut request.packages)
            }
            Operation::Explain(request) => {
                let templates = request
                    .render
                    .component
                    .iter()
                    .chain(&request.render.traits);
                let sources = templates.map(|one| one.source.as_str()).collect();
                (sources, &mut request.render.packages)
            }
            Operation::Policy(request) => (
                vec![request.template.source.as_str()],
                &mut request.packages,
            ),
            Operation::Step(request) => (
                vec![request.template.source.as_str()],
                &mut request.packages,
            ),
            Operation::Schema(request) => (vec![request.source.as_str()], &mut request.packages),
            Operation::Validate(request) => (
                vec![request.template.source.as_str()],
                &mut request.packages,
            ),
            _ => return,
        };
        *packages = imported(&all, namespace, &sources);
    }
}

/// The packages that texts import, and those that these import.
fn imported(
    all: &RwLockReadGuard<'_, BTreeMap<Place, engine::Package>>,
    namespace: &str,
    sources: &[&str],
) -> Vec<engine::Package> {
    let mut in_order: Vec<(&Place, &engine::Package)> = all.iter().collect();
    in_order.sort_by_key(|((place, _), _)| (place != namespace, place != SYSTEM_NAMESPACE));
    let mut found: BTreeMap<&str, &engine::Package> = BTreeMap::new();
    let mut texts: Vec<&str> = sources.to_vec();
    while let Some(text) = texts.pop() {
        for (_, package) in &in_order {
            let is_named = text.contains(&format!("\"{}\"", package.path));
            if is_named && !found.contains_key(package.path.as_str()) {
                found.insert(&package.path, package);
                texts.extend(package.files.values().map(String::as_str));
            }
        }
    }
    found.into_values().cloned().collect()
}

fn place(package: &Package) -> Place {
    (package.namespace().unwrap_or_default(), package.name_any())
}

fn read(package: Package) -> engine::Package {
    engine::Package {
        name: package.name_any(),
        path: package.spec.path,
        files: package.spec.templates,
        endpoint: package.spec.provider.map(|provider| Endpoint {
            protocol: provider.protocol,
            address: provider.endpoint,
        }),
    }
}

#[cfg(test)]
mod tests {
    use caravel_core::engine::{RenderRequest, Template};
    use serde_json::json;

    use super::*;

    fn package(namespace: &str, name: &str, path: &str, text: &str) -> Package {
        serde_json::from_value(json!({
            "apiVersion": "cue.oam.dev/v1alpha1", "kind": "Package",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"path": path, "templates": {"a.cue": text},
                     "provider": {"protocol": "http", "endpoint": "http://127.0.0.1:9"}},
        }))
        .expect("a Package")
    }

    #[test]
    fn only_what_is_imported_goes_along_and_the_own_namespace_goes_first() {
        let packages = Packages::default();
        for one in [
            package("vela-system", "greet", "ext/greet", "import \"ext/base\""),
            package("prod", "greet", "ext/greet", "package greet // ours"),
            package("vela-system", "base", "ext/base", "package base"),
            package("vela-system", "other", "ext/other", "package other"),
        ] {
            packages.take(watcher::Event::Apply(one));
        }
        let attached = |namespace: &str| {
            let mut operation = Operation::Render(RenderRequest {
                component: Some(Template {
                    source: "import \"ext/greet\"".to_owned(),
                    ..Template::default()
                }),
                ..RenderRequest::default()
            });
            packages.attach(namespace, &mut operation);
            let Operation::Render(request) = operation else {
                return Vec::new();
            };
            request
                .packages
                .into_iter()
                .map(|one| (one.path, one.files.into_values().collect::<String>()))
                .collect()
        };
        let own = ("ext/greet".to_owned(), "package greet // ours".to_owned());
        assert_eq!(attached("prod"), [own]);
        let paths: Vec<String> = attached("demo").into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["ext/base", "ext/greet"]);
    }
}
