//! The REST API on top of the embedded hub.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use caravel_apiserver::ApiServer;
use caravel_controller::Controllers;
use caravel_server::{Context, Hub, Refused};
use caravel_store::History;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The hub's own users.
struct EmbeddedHub(ApiServer);

#[async_trait]
impl Hub for EmbeddedHub {
    async fn client(&self, token: &str) -> Result<Client, Refused> {
        let identity = self.0.authenticate_token(token).ok_or(Refused)?;
        Ok(self.0.client(identity))
    }
}

/// The service.
pub(crate) fn router(
    hub: &ApiServer,
    controllers: &Controllers,
    history: Arc<dyn History>,
) -> Router {
    let applications = controllers.applications.clone();
    caravel_server::router(Context {
        hub: Arc::new(EmbeddedHub(hub.clone())),
        history,
        metrics: Arc::new(move || applications.metrics()),
        unready: Arc::new(Vec::new),
    })
}

/// Plain HTTP: only for loopback.
pub(crate) async fn serve(router: Router, socket: TcpListener, shutdown: CancellationToken) {
    let serving = axum::serve(socket, router).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = serving.await {
        error!(%error, "the REST API ended");
    }
}
