//! The network: TLS connections whose requests go to the router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::auth::Peer;
use crate::auth::pki::{Pair, PkiError};
use crate::core::Core;
use crate::identity::Identity;

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests may take to end when the server goes down.
const DRAIN: Duration = Duration::from_secs(8);
/// How often the certificate is looked at.
const RENEWAL: Duration = Duration::from_hours(12);

/// In the extensions of requests from a listener: ends their watches before the others.
#[derive(Clone, Debug)]
pub(crate) struct Closing(pub(crate) CancellationToken);

/// The certificate that is shown now; it is exchanged when it is renewed.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(pair: &Pair) -> Result<CertifiedKey, PkiError> {
    let key = aws_lc_rs::sign::any_supported_type(&pair.private_key()?)
        .map_err(|error| PkiError::Tls(error.to_string()))?;
    Ok(CertifiedKey::new(pair.chain()?, key))
}

/// One listening socket.
pub(crate) struct Listener {
    core: Arc<Core>,
    router: Router,
    names: Vec<String>,
    shown: Arc<Shown>,
    tls: Arc<ServerConfig>,
}

impl Listener {
    /// Prepares TLS for a socket at `address`, under further `names`.
    pub(crate) fn new(
        core: Arc<Core>,
        router: Router,
        address: SocketAddr,
        names: &[String],
    ) -> Result<Self, PkiError> {
        let mut names = names.to_vec();
        if !address.ip().is_unspecified() {
            names.push(address.ip().to_string());
        }
        let pki = &core.auth.pki;
        let pair = pki.server(&names, (core.clock)())?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(certified(&pair)?)));
        let tls_error = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(pki.authority().as_bytes())
            .map_err(|error| tls_error(&error))?;
        roots.add(authority).map_err(|error| tls_error(&error))?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| tls_error(&error))?;
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls_error(&error))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            core,
            router,
            names,
            shown,
            tls: Arc::new(tls),
        })
    }

    /// Serves until `shutdown`, then lets requests end.
    pub(crate) async fn run(self, socket: TcpListener, shutdown: CancellationToken) {
        let closing = shutdown.child_token();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls));
        let mut connections = JoinSet::new();
        let mut renewal = tokio::time::interval(RENEWAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = renewal.tick() => self.renew(),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => {
                        let serving = serve(stream, acceptor.clone(), self.router.clone(), closing.clone());
                        connections.spawn(serving);
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: others may be given back in a moment.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(socket);
        let drained = tokio::time::timeout(DRAIN, async {
            while connections.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections were cut, because their requests did not end"
            );
        }
    }

    fn renew(&self) {
        let renewed = self
            .core
            .auth
            .pki
            .server(&self.names, (self.core.clock)())
            .and_then(|pair| certified(&pair));
        match renewed {
            Ok(key) => self.shown.0.store(Arc::new(key)),
            Err(error) => tracing::error!(%error, "the server's certificate could not be renewed"),
        }
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    closing: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => accepted,
        () = closing.cancelled() => return,
    };
    let Ok(Ok(stream)) = accepted else { return };
    let peer = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(Peer::of);
    let extension = Closing(closing.clone());
    let service = tower::ServiceExt::map_request(router, move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        // Only requests from inside of the process may say who they are.
        extensions.remove::<Identity>();
        extensions.insert(extension.clone());
        if let Some(peer) = &peer {
            extensions.insert(peer.clone());
        }
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => log(ended),
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            log(connection.await);
        }
    }
}

fn log(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
