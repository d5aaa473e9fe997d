//! Whom a request trusts that brings its own certificates (`tls_config`, row REN-006).

use std::sync::Arc;

use reqwest::{Client, Identity};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::Value;
use x509_parser::time::ASN1Time;

use super::{http, text};

/// A client for `tls_config` with certificates in it; none where the common one will do.
pub(crate) fn client_for(params: &Value) -> Result<Option<Client>, String> {
    let tls = params.get("tls_config").cloned().unwrap_or_default();
    let part = |key: &str| text(&tls, key);
    let login = match (part("client_crt"), part("client_key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("tls_config needs client_crt and client_key, or neither".to_owned()),
    };
    let builder = match (part("ca"), login) {
        (None, None) => return Ok(None),
        (None, Some((certificate, key))) => {
            let identity = Identity::from_pem(format!("{certificate}\n{key}").as_bytes())
                .map_err(|error| format!("{LOGIN}: {error}"))?;
            http::client_builder().identity(identity)
        }
        (Some(authority), login) => {
            http::client_builder().tls_backend_preconfigured(trusting(authority, login)?)
        }
    };
    let client = builder.build().map_err(|error| error.to_string())?;
    Ok(Some(client))
}

const LOGIN: &str = "tls_config.client_crt with client_key";

/// Trusts some authorities and nobody else.
fn trusting(authority: &str, login: Option<(&str, &str)>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(authority, &provider)
        .map_err(|error| format!("tls_config.ca is no certificate: {error}"))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match login {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let refused = |error: &dyn std::fmt::Display| format!("{LOGIN}: {error}");
            let chain = certificates(certificate).map_err(|error| refused(&error))?;
            let key =
                PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| refused(&error))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| refused(&error))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no PEM block CERTIFICATE".to_owned());
    }
    Ok(found)
}

/// Trusts who has a certificate of an authority; and, as Go does, a server that shows one of the given certificates itself,
/// as those do that signed their own.
#[derive(Debug)]
struct Verifier {
    of_authority: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(pem: &str, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let given = certificates(pem)?;
        let mut roots = RootCertStore::empty();
        for certificate in &given {
            roots
                .add(certificate.clone())
                .map_err(|error| error.to_string())?;
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let of_authority = builder.build().map_err(|error| error.to_string())?;
        Ok(Self {
            of_authority,
            given,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.given.iter().any(|given| given == end_entity) {
            return self.of_authority.verify_server_cert(
                end_entity,
                intermediates,
                name,
                ocsp_response,
                now,
            );
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        is_valid_at(end_entity, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.of_authority
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.of_authority
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_authority.supported_verify_schemes()
    }
}

fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CertificateError::BadEncoding)?;
    let seconds = i64::try_from(now.as_secs()).map_err(|_| CertificateError::BadEncoding)?;
    let now = ASN1Time::from_timestamp(seconds).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.validity();
    if now < validity.not_before {
        return Err(CertificateError::NotValidYet);
    }
    if now > validity.not_after {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with a certificate that answers `200` to everything.
    async fn server(certificate: &str, key: &str) -> SocketAddr {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates(certificate).expect("PEM"), key)
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut seen = [0; 1024];
                let _ = stream.read(&mut seen).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }

    fn named(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        CertificateParams::new(names).expect("names")
    }

    async fn asked(address: SocketAddr, host: &str, ca: &str) -> Result<u16, String> {
        let client = client_for(&json!({"tls_config": {"ca": ca}}))?.expect("a client");
        let url = format!("https://{host}:{}/", address.port());
        let answer = client.get(url).send().await;
        answer
            .map(|answer| answer.status().as_u16())
            .map_err(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn a_server_with_a_certificate_of_its_own_is_trusted_where_that_is_given() {
        let key = KeyPair::generate().expect("a key");
        for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            let mut params = named(&["127.0.0.1"]);
            params.is_ca = is_ca;
            let own = params.self_signed(&key).expect("a certificate").pem();
            let address = server(&own, &key.serialize_pem()).await;
            assert_eq!(asked(address, "127.0.0.1", &own).await, Ok(200));
            let other = asked(address, "localhost", &own).await.expect_err("a name");
            assert!(other.contains("NotValidForName"), "{other}");
        }
    }

    #[tokio::test]
    async fn only_the_given_authority_is_trusted() {
        let authority = |name: &str| {
            let mut params = named(&[name]);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
        };
        let (good, bad) = (authority("good"), authority("bad"));
        let key = KeyPair::generate().expect("a key");
        let signed = named(&["127.0.0.1"]).signed_by(&key, &good);
        let signed = signed.expect("a certificate").pem();
        let address = server(&signed, &key.serialize_pem()).await;
        assert_eq!(asked(address, "127.0.0.1", &good.pem()).await, Ok(200));
        let refused = asked(address, "127.0.0.1", &bad.pem()).await;
        let refused = refused.expect_err("another authority");
        assert!(
            refused.contains("UnknownIssuer") || refused.contains("BadSignature"),
            "{refused}"
        );
        for garbage in [
            "garbage",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let refused = asked(address, "127.0.0.1", garbage).await;
            let refused = refused.expect_err("garbage");
            assert!(
                refused.contains("tls_config.ca is no certificate"),
                "{refused}"
            );
        }
    }
}
