//! Starting all controllers of a hub.

use std::sync::Arc;

use caravel_core::engine::Evaluator;
use caravel_engines::Engine;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::OamAdmission;
use crate::bootstrap::{self, BootstrapError};
use crate::evaluation::Evaluation;
use crate::library::Library;
use crate::packages::Packages;
use crate::{application, definition};

/// What the controllers of a hub work with.
#[derive(Clone)]
pub struct Options {
    /// Speaks with the hub, and may do everything there.
    pub client: Client,
    /// Evaluates templates.
    pub engine: Arc<dyn Engine>,
    /// The evaluator for definitions that do not name one.
    pub evaluator: Evaluator,
    /// Admission refuses what it otherwise only warns of.
    pub strict: bool,
    /// Only who may read a definition may use it in an Application (row OPS-203).
    pub definition_permissions: bool,
    /// Revisions of a definition that are kept besides the latest one; KubeVela keeps 20 (row DEF-005).
    pub definition_revisions: usize,
    /// What Applications need besides.
    pub applications: application::Options,
}

/// The controllers of a hub, running.
pub struct Controllers {
    /// Decides about writes: to be registered with the hub before clients are let in.
    pub admission: Arc<OamAdmission>,
    /// Steers and shows the work on Applications.
    pub applications: application::Handle,
    tasks: JoinSet<()>,
}

impl Controllers {
    /// Prepares the hub (kinds, namespace, built-in definitions), fills the caches, and starts to work.
    ///
    /// # Errors
    /// If the hub refuses what has to be there.
    pub async fn start(
        options: Options,
        shutdown: &CancellationToken,
    ) -> Result<Self, BootstrapError> {
        let client = options.client.clone();
        let cluster_version = options.applications.cluster_version.clone();
        let authentication = options.applications.authentication.clone();
        let evaluation = Evaluation::new(options.engine, options.evaluator);
        bootstrap::install_kinds(&client).await?;
        let evaluation = evaluation.with_packages(Packages::start(&client, shutdown));
        bootstrap::install_namespace(&client).await?;
        bootstrap::install_definitions(&client, &evaluation).await?;
        let library = Library::start(&client, shutdown);
        library.ready().await;

        let mut tasks = JoinSet::new();
        let context = definition::Context {
            client: client.clone(),
            library: library.clone(),
            evaluation: evaluation.clone(),
            revision_limit: options.definition_revisions,
        };
        tasks.spawn(definition::run(Arc::new(context), shutdown.clone()));
        let (applications, work) = application::start(
            client.clone(),
            library.clone(),
            evaluation.clone(),
            options.applications,
            shutdown.clone(),
        )?;
        tasks.spawn(work);
        let admission = Arc::new(OamAdmission {
            client,
            library,
            evaluation,
            cluster_version,
            strict: options.strict,
            definition_permissions: options.definition_permissions,
            authentication,
        });
        Ok(Self {
            admission,
            applications,
            tasks,
        })
    }

    /// Waits until all work has ended, after the token that they were started with was cancelled.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
