//! Serves an empty API server with its controllers and the simulated runtime, for trying clients on it:
//! `cargo run -p caravel-apiserver --example serve -- FOLDER PORT`.

use std::sync::Arc;

use caravel_apiserver::simulator::{self, SystemClock};
use caravel_apiserver::{ApiServer, Config, Identity, controllers};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().ok_or("which folder?")?);
    let port: u16 = arguments.next().as_deref().unwrap_or("0").parse()?;
    let server = ApiServer::open(Config::folder(&folder)).await?;
    let socket = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("https://{}", socket.local_addr()?);
    server.write_kubeconfig(&folder.join("kubeconfig"), &url)?;
    tracing::info!(%url, "serving");
    let shutdown = CancellationToken::new();
    let controller = server.client(Identity::admin("system:kube-controller-manager"));
    let options = controllers::Options {
        authority: Some(server.authority().to_owned()),
        ..controllers::Options::default()
    };
    tokio::spawn(controllers::run(
        controller.clone(),
        Arc::new(SystemClock),
        options,
        shutdown.clone(),
    ));
    tokio::spawn(simulator::run(
        controller,
        Arc::new(SystemClock),
        simulator::Options::INSTANT,
        shutdown.clone(),
    ));
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    server.serve(socket, &[], shutdown).await?;
    server.close().await;
    Ok(())
}
