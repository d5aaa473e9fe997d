//! An API server in memory with all controllers, whose view of it can be made worse.

use std::sync::Arc;
use std::time::Duration;

use caravel_apiserver::simulator::SystemClock;
use caravel_apiserver::{ApiServer, Config, Identity, controllers, simulator};
use caravel_controller::{ApplicationOptions, Controllers, Options};
use caravel_core::engine::Evaluator;
use caravel_core::render::ClusterVersion;
use caravel_engines::{Cached, Pool, PoolOptions};
use caravel_store::{Retention, Sqlite};
use caravel_tests::daemon::program;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long anything may take. Generous: machines that build share their cores.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running house.
pub(crate) struct House {
    /// A user who sees everything at once.
    pub(crate) user: Client,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    controllers: Option<Controllers>,
    _journal: TempDir,
}

impl House {
    /// Starts one whose controllers see each change `lag` later than it happens.
    pub(crate) async fn start(lag: Duration) -> Self {
        Self::start_behind(|hub| late(hub, lag)).await
    }

    /// Starts one whose controllers reach the hub through what is made of their client.
    pub(crate) async fn start_behind(view: impl FnOnce(Client) -> Client) -> Self {
        let server = ApiServer::open(Config::memory()).await.unwrap();
        let admin = || server.client(Identity::admin("system:caravel"));
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let clock = Arc::new(SystemClock);
        tasks.spawn(controllers::run(
            admin(),
            clock.clone(),
            controllers::Options::default(),
            shutdown.clone(),
        ));
        let mut options = PoolOptions::new(program());
        options.arguments = vec!["__engine-worker".into()];
        let engine = Arc::new(Cached::new(Pool::start(options).unwrap(), 16 << 20));
        let journal = tempfile::tempdir().unwrap();
        let store = Sqlite::open(journal.path(), Retention::default()).await;
        let info = admin().apiserver_version().await.unwrap();
        let version = ClusterVersion {
            major: info.major,
            minor: info.minor,
            git_version: info.git_version,
            platform: info.platform,
        };
        let controllers = Controllers::start(
            Options {
                client: view(admin()),
                engine,
                evaluator: Evaluator::V2,
                strict: false,
                definition_permissions: false,
                definition_revisions: 20,
                applications: ApplicationOptions::new(Arc::new(store.unwrap()), version),
            },
            &shutdown,
        )
        .await
        .unwrap();
        server.add_admission(controllers.admission.clone());
        tasks.spawn(simulator::run(
            admin(),
            clock,
            simulator::Options::INSTANT,
            shutdown.clone(),
        ));
        Self {
            user: server.client(Identity::admin("user")),
            shutdown,
            tasks,
            controllers: Some(controllers),
            _journal: journal,
        }
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(controllers) = self.controllers.take() {
            controllers.stopped().await;
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// The objects of a kind in the namespace `default`.
    pub(crate) fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.user.clone(), "default", &resource)
    }

    /// The Applications.
    pub(crate) fn applications(&self) -> Api<DynamicObject> {
        self.api("core.oam.dev", "v1beta1", "Application")
    }

    /// Applies an Application, as a user does.
    pub(crate) async fn apply(&self, application: &Value) {
        let name = application["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("user").force();
        self.applications()
            .patch(name, &parameters, &Patch::Apply(application))
            .await
            .unwrap();
    }

    /// Names of all objects of a kind in the namespace.
    pub(crate) async fn names(&self, group: &str, version: &str, kind: &str) -> Vec<String> {
        let found = self
            .api(group, version, kind)
            .list(&ListParams::default())
            .await;
        let mut names: Vec<String> = found
            .unwrap()
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .collect();
        names.sort();
        names
    }

    /// Waits until the Application as it is now has been delivered.
    pub(crate) async fn delivered(&self, name: &str) -> DynamicObject {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.applications().get(name).await.unwrap();
            let status = &found.data["status"];
            let observed = status["conditions"].as_array().is_some_and(|all| {
                all.iter()
                    .any(|one| one["type"] == "Ready" && one["status"] == "True")
            });
            if status["status"] == "running"
                && observed
                && status["observedGeneration"].as_i64() == found.metadata.generation
            {
                return found;
            }
            assert!(Instant::now() < end, "{status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A client whose watches tell of everything `lag` late. What it reads and writes is as it is.
fn late(client: Client, lag: Duration) -> Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let client = client.clone();
        async move {
            let query = request.uri().query().unwrap_or_default();
            let is_watch = query
                .split('&')
                .any(|pair| matches!(pair, "watch=true" | "watch=1"));
            let answer = client.send(request).await?;
            let lag = if is_watch { lag } else { Duration::ZERO };
            Ok::<_, kube::Error>(answer.map(|body| delayed(body, lag)))
        }
    });
    Client::new(service, "default")
}

/// A body each of whose parts comes `lag` after it was sent.
fn delayed(
    body: kube::client::Body,
    lag: Duration,
) -> impl http_body::Body<Data = hyper::body::Bytes, Error = kube::Error> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            if sender.send((Instant::now() + lag, part)).is_err() {
                return;
            }
        }
    });
    let parts = futures::stream::unfold(receiver, |mut receiver| async {
        let (due, part) = receiver.recv().await?;
        tokio::time::sleep_until(due).await;
        let part = part.map(hyper::body::Frame::data);
        Some((part, receiver))
    });
    StreamBody::new(parts.boxed())
}
