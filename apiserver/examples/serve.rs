//! Serves an empty API server, for trying clients on it: `cargo run --example serve -- FOLDER PORT`.

use caravel_apiserver::{ApiServer, Config};
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
