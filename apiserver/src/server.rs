//! The server as its embedder sees it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::admission::Admission;
use crate::auth::pki::{PkiError, write_private};
use crate::auth::{Auth, bootstrap_roles};
use crate::catalog::{CRDS, Catalog};
use crate::core::{Clock, Core, text};
use crate::http::router;
use crate::identity::Identity;
use crate::listen::Listener;
use crate::registry::Addresses;
use crate::request::Target;
use crate::store::{
    Action, Backend, BackendError, Draft, Expect, Key, Memory, Retention, Sqlite, Store, Write,
};

/// Namespaces that always exist.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Where the server keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory: it goes with the process.
    Memory,
    /// In `hub.db` of this folder.
    Sqlite(PathBuf),
}

/// How a server is made.
#[derive(Clone)]
pub struct Config {
    /// Where state is kept.
    pub storage: Storage,
    /// How much of the past is kept for watches.
    pub retention: Retention,
    /// Tells the time.
    pub clock: Clock,
    /// Decides about writes, in this order.
    pub admission: Vec<Arc<dyn Admission>>,
}

impl Config {
    /// A server that keeps everything in memory.
    pub fn memory() -> Self {
        Self {
            storage: Storage::Memory,
            retention: Retention::default(),
            clock: Arc::new(Timestamp::now),
            admission: Vec::new(),
        }
    }

    /// A server that keeps its state in a folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            storage: Storage::Sqlite(folder.into()),
            ..Self::memory()
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

/// Why a server could not start or serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] BackendError),
    /// Keys or certificates could not be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What must always exist could not be written.
    #[error("the first objects could not be written: {0}")]
    Bootstrap(String),
}

/// An embedded Kubernetes-style API server. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
    router: Router,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer")
            .field("store", &self.core.store)
            .finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Opens the state and makes it ready to serve.
    ///
    /// # Errors
    /// The folder is in use, cannot be used, or was written by a newer program.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let backend: Box<dyn Backend> = match &config.storage {
            Storage::Memory => Box::new(Memory),
            Storage::Sqlite(folder) => Box::new(Sqlite::open(folder).await?),
        };
        let store = Store::open(backend, config.retention).await?;
        let keys = match &config.storage {
            Storage::Memory => None,
            Storage::Sqlite(folder) => Some(folder.join("pki")),
        };
        let auth = Auth::open(keys, (config.clock)())?;
        bootstrap(&store, &config.clock).await?;
        let core = Arc::new(Core {
            catalog: ArcSwap::from_pointee(Catalog::load(&store, None)),
            admission: ArcSwap::from_pointee(config.admission),
            addresses: Addresses::default(),
            auth,
            clock: config.clock,
            stopping: CancellationToken::new(),
            store,
        });
        tokio::spawn(follow_definitions(Arc::downgrade(&core)));
        let router = router(Arc::clone(&core));
        Ok(Self { core, router })
    }

    /// A client inside of this process, without sockets. Its requests go the whole way of authorization and
    /// admission, as `identity`.
    pub fn client(&self, identity: Identity) -> kube::Client {
        let router = self.router.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let identity = identity.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(identity);
            router.clone().oneshot(request)
        });
        kube::Client::new(service, "default")
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }

    #[cfg(test)]
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves TLS connections of a socket until `shutdown`; then watches end, requests are let to end, and it
    /// returns within 10 seconds. `names` are further names and addresses under which clients call the server.
    ///
    /// # Errors
    /// Certificates could not be made or read.
    pub async fn serve(
        &self,
        socket: TcpListener,
        names: &[String],
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let address = socket
            .local_addr()
            .map_err(|error| PkiError::Tls(format!("the listener has no address: {error}")))?;
        let listener = Listener::new(Arc::clone(&self.core), self.router.clone(), address, names)?;
        listener.run(socket, shutdown).await;
        Ok(())
    }

    /// Serves another router over TLS with the same certificates, until `shutdown`.
    ///
    /// # Errors
    /// Certificates could not be made or read.
    pub async fn serve_router(
        &self,
        router: Router,
        socket: TcpListener,
        names: &[String],
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let address = socket
            .local_addr()
            .map_err(|error| PkiError::Tls(format!("the listener has no address: {error}")))?;
        let listener = Listener::new(Arc::clone(&self.core), router, address, names)?;
        listener.run(socket, shutdown).await;
        Ok(())
    }

    /// A kubeconfig of the first administrator for the server at `url`.
    ///
    /// # Errors
    /// The certificate could not be made.
    pub fn kubeconfig(&self, url: &str) -> Result<String, Error> {
        let pki = &self.core.auth.pki;
        let admin = pki.admin((self.core.clock)())?;
        let encode = |text: &str| STANDARD.encode(text);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "caravel", "preferences": {},
            "clusters": [{"name": "caravel", "cluster": {
                "server": url, "certificate-authority-data": encode(pki.authority()),
            }}],
            "contexts": [{"name": "caravel", "context": {"cluster": "caravel", "user": "caravel-admin"}}],
            "users": [{"name": "caravel-admin", "user": {
                "client-certificate-data": encode(&admin.certificate), "client-key-data": encode(&admin.key),
            }}],
        });
        // JSON is YAML, and every client reads it.
        Ok(serde_json::to_string_pretty(&config).unwrap_or_default() + "\n")
    }

    /// Writes the administrator's kubeconfig with mode 0600, in one step.
    ///
    /// # Errors
    /// The file cannot be written, or the certificate could not be made.
    pub fn write_kubeconfig(&self, path: &Path, url: &str) -> Result<(), Error> {
        Ok(write_private(path, &self.kubeconfig(url)?)?)
    }

    /// The bearer token of the first administrator. It may do everything; keep it secret.
    pub fn bootstrap_token(&self) -> &str {
        &self.core.auth.pki.bootstrap_token
    }

    /// The certificate of the server's authority, as PEM.
    pub fn authority(&self) -> &str {
        self.core.auth.pki.authority()
    }

    /// Whose bearer token it is; `None` if it is not valid.
    pub fn authenticate_token(&self, token: &str) -> Option<Identity> {
        let now = (self.core.clock)();
        let checked = self
            .core
            .auth
            .tokens
            .check(&self.core.store, token, &[], now);
        checked.map(|(identity, _)| identity)
    }

    /// May the user do this?
    pub fn authorize(&self, user: &Identity, target: &Target) -> bool {
        self.core.auth.decide(&self.core, user, target).allowed
    }

    /// Adds a decider about writes, after those that are there.
    pub fn add_admission(&self, admission: Arc<dyn Admission>) {
        self.core.admission.rcu(|deciders| {
            let mut deciders = deciders.as_ref().clone();
            deciders.push(Arc::clone(&admission));
            deciders
        });
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// Ends all watches, refuses new work and closes the store. What was answered is durable.
    pub async fn close(&self) {
        self.core.stopping.cancel();
        self.core.store.close().await;
    }
}

/// Keeps the catalog up to date with the definitions in the store, whoever wrote them and however the request ended.
async fn follow_definitions(core: Weak<Core>) {
    while let Some(mut watch) = core
        .upgrade()
        .and_then(|core| core.store.watch(CRDS, core.store.version()).ok())
    {
        if let Some(core) = core.upgrade() {
            core.refresh_catalog();
        }
        while watch.next().await.is_ok() {
            match core.upgrade() {
                Some(core) => core.refresh_catalog(),
                None => return,
            }
        }
        // Events were missed: the next round looks at what is there now.
    }
}

/// Writes what must always exist, if it does not.
async fn bootstrap(store: &Store, clock: &Clock) -> Result<(), Error> {
    for name in NAMESPACES {
        let key = Key::new("namespaces", "", *name);
        if store.get(&key).is_some() {
            continue;
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name, "uid": uuid::Uuid::new_v4().to_string(),
                "creationTimestamp": text(clock()), "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        put(store, key, &namespace).await?;
    }
    for (plural, mut object) in bootstrap_roles() {
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let key = Key::new(format!("{plural}.{}", crate::auth::rbac::GROUP), "", name);
        if store.get(&key).is_none() {
            object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
            object["metadata"]["creationTimestamp"] = json!(text(clock()));
            put(store, key, &object).await?;
        }
    }
    Ok(())
}

async fn put(store: &Store, key: Key, object: &Value) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Bootstrap(error.to_string());
    let draft = Draft::encode(object).map_err(|error| failed(&error))?;
    let write = Write {
        key,
        expect: Expect::Absent,
        action: Action::Put(draft),
    };
    store
        .write(write)
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}
