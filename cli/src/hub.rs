//! Finding the hub, and speaking with it.

use std::error::Error;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use caravel_core::api::Package;
use caravel_core::api::labels::LONGEST_VALUE;
use caravel_core::check::is_subdomain;
use caravel_core::render::ClusterVersion;
use clap::Args;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Config, Resource as _, ResourceExt as _};
use serde_json::Value;

use crate::engine;
use crate::write::{self, Written};

/// Field manager of what the command line applies.
pub(crate) const FIELD_MANAGER: &str = "caravel-cli";

/// Which hub, which namespace.
#[derive(Args, Clone, Debug)]
pub(crate) struct HubArgs {
    /// Namespace; the one of the kubeconfig's context unless given.
    #[arg(short, long, global = true, value_parser = namespace)]
    pub(crate) namespace: Option<String>,
    /// Path of the kubeconfig.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
}

/// A name that an object can have.
pub(crate) fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".to_owned()),
        _ if is_subdomain(text) => Ok(text.to_owned()),
        _ => Err(
            "names have letters a-z, digits, `-` and `.`, a letter or digit first and last"
                .to_owned(),
        ),
    }
}

/// A name that a namespace can have.
fn namespace(text: &str) -> Result<String, String> {
    match name(text) {
        Ok(_) if text.contains('.') || text.len() > LONGEST_VALUE => {
            Err("names of namespaces have letters a-z, digits and `-`, at most 63".to_owned())
        }
        other => other,
    }
}

/// A hub that was found.
pub(crate) struct Hub {
    /// Speaks with it.
    pub(crate) client: Client,
    /// Where commands act unless told otherwise.
    pub(crate) namespace: String,
}

impl HubArgs {
    /// Reads the kubeconfig and makes a client; nothing is sent yet.
    pub(crate) async fn connect(&self) -> Result<Hub> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match &self.kubeconfig {
            // Several files joined by `:`, as kubectl takes them.
            Some(paths) => {
                let mut merged = Kubeconfig::default();
                for path in paths.split(':').filter(|path| !path.is_empty()) {
                    let file = Kubeconfig::read_from(path).map_err(|error| {
                        let reason = innermost(&error);
                        anyhow!("the kubeconfig {path} cannot be read: {reason}; {FROM_SERVE}")
                    })?;
                    merged = merged.merge(file)?;
                }
                Config::from_custom_kubeconfig(merged, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config
            .map_err(|error| anyhow!("no hub was found ({}): {FROM_SERVE}", innermost(&error)))?;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let _ = ADDRESS.set(server.trim_end_matches('/').to_owned());
        let client = Client::try_from(config)
            .with_context(|| format!("a client for {server} cannot be made"))?;
        Ok(Hub { client, namespace })
    }

    /// The same for commands that evaluate templates: with the hub's packages.
    pub(crate) async fn connect_for_templates(&self) -> Result<Hub> {
        let hub = self.connect().await?;
        hub.learn_packages().await;
        Ok(hub)
    }
}

/// What `context.clusterVersion` is for objects on the hub's own cluster.
pub(crate) async fn version(client: &Client) -> Result<ClusterVersion> {
    let info = client.apiserver_version().await;
    let info = info.context("the hub's version")?;
    Ok(ClusterVersion {
        major: info.major,
        minor: info.minor,
        git_version: info.git_version,
        platform: info.platform,
    })
}

impl Hub {
    /// Takes the hub's packages, for the templates that import them. One that a file gave goes before. A hub that does not
    /// tell them is met again by whoever asks it next.
    pub(crate) async fn learn_packages(&self) {
        let packages = Api::<Package>::all(self.client.clone());
        if let Ok(list) = packages.list(&ListParams::default()).await {
            engine::learn_packages(list.items);
        }
    }

    /// Applies a manifest of any kind that the hub serves; the object as it is then. Fields that the kind does not have
    /// are refused.
    pub(crate) async fn apply(&self, manifest: &Value) -> Result<Written> {
        let mut object: DynamicObject =
            serde_json::from_value(manifest.clone()).context("this is no Kubernetes object")?;
        let types = object
            .types
            .clone()
            .ok_or_else(|| anyhow!("apiVersion and kind are missing"))?;
        let gvk = gvk(&types)?;
        let (resource, capabilities) =
            pinned_kind(&self.client, &gvk)
                .await
                .map_err(|error| match error {
                    kube::Error::Api(_) | kube::Error::Discovery(_) => anyhow!(
                        "the hub does not serve {} {}",
                        types.api_version,
                        types.kind
                    ),
                    other => unanswered(&other),
                })?;
        let name = object
            .metadata
            .name
            .clone()
            .ok_or_else(|| anyhow!("metadata.name is missing"))?;
        let mut namespace = None;
        if capabilities.scope == Scope::Namespaced {
            let own = object.namespace().unwrap_or_else(|| self.namespace.clone());
            object.metadata.namespace = Some(own.clone());
            namespace = Some(own);
        }
        let address = DynamicObject::url_path(&resource, namespace.as_deref());
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        let request = kube::core::Request::new(address).patch(&name, &parameters, &patch)?;
        write::send(&self.client, request).await
    }
}

fn gvk(types: &TypeMeta) -> Result<GroupVersionKind> {
    let gvk = GroupVersionKind::try_from(types.clone());
    gvk.with_context(|| format!("{:?} is no apiVersion", types.api_version))
}

/// What the hub said, without the library's words around it.
pub(crate) fn readable(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("{}", status.message),
        other => unanswered(&other),
    }
}

/// Where the kubeconfig of a hub comes from.
const FROM_SERVE: &str = "`caravel serve` writes a kubeconfig into its data folder; name it with --kubeconfig FILE or `export KUBECONFIG=FILE`";

/// The address of the hub that this command speaks with.
static ADDRESS: OnceLock<String> = OnceLock::new();

/// What is said where the hub cannot be reached.
pub(crate) fn unanswered(error: &(dyn Error + 'static)) -> anyhow::Error {
    let address = ADDRESS.get().map_or("", String::as_str);
    anyhow!(
        "the hub {address} does not answer: {}; is `caravel serve` running, and is this its kubeconfig?",
        innermost(error)
    )
}

/// The last cause of an error: the others only say again what failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
