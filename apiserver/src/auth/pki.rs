//! The server's own certificate authority, and the certificates and keys that it gives out.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::identity::MASTERS;

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A certificate is replaced when it has fewer days left.
const RENEW_DAYS: i64 = 60;
/// Names under which clients may always call the server.
const NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "127.0.0.1",
    "::1",
];

/// Why certificates cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error(
        "cannot use {path}: {source}; it holds the server's keys and must be readable by the daemon only"
    )]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error(
        "{path} is damaged: {why}; restore it from a backup, or remove the folder to make new certificates"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused the certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| PkiError::Tls(error.to_string()))
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, PkiError> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| PkiError::Tls(error.to_string()))
    }
}

/// Where keys are kept, if they are.
#[derive(Clone)]
struct Place(Option<Arc<Path>>);

/// All keys of one server.
pub(crate) struct Pki {
    place: Place,
    authority: Pair,
    /// The key that signs service-account tokens.
    pub(crate) token_key: KeyPair,
    /// The token of the first administrator.
    pub(crate) bootstrap_token: String,
}

impl Pki {
    /// Reads the keys of a folder, or makes them; in memory only if there is no folder.
    pub(crate) fn open(folder: Option<PathBuf>, now: Timestamp) -> Result<Self, PkiError> {
        if let Some(folder) = &folder {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|source| file_error(folder, source))?;
        }
        let place = Place(folder.map(Arc::from));
        let authority = match place.read_pair("ca")? {
            Some(pair)
                if days_left(&pair.certificate, now).is_some_and(|days| days > LEAF_DAYS) =>
            {
                pair
            }
            _ => place.keep_pair("ca", make_authority(now)?)?,
        };
        let token_key = if let Some(pem) = place.read("sa.key")? {
            KeyPair::from_pem(&pem).map_err(|error| place.damaged("sa.key", &error.to_string()))?
        } else {
            let key = KeyPair::generate()?;
            place.keep("sa.key", &key.serialize_pem())?;
            key
        };
        let bootstrap_token = if let Some(token) = place.read("token")? {
            token.trim().to_owned()
        } else {
            let token = hex::encode(rand::random::<[u8; 32]>());
            place.keep("token", &token)?;
            token
        };
        Ok(Self {
            place,
            authority,
            token_key,
            bootstrap_token,
        })
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> &str {
        &self.authority.certificate
    }

    /// A certificate for a listener, made anew when it runs out soon or lacks a name.
    pub(crate) fn server(&self, more_names: &[String], now: Timestamp) -> Result<Pair, PkiError> {
        let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        names.extend(more_names.iter().cloned());
        names.sort();
        names.dedup();
        let listed = names.join("\n");
        let fresh =
            |pair: &Pair| days_left(&pair.certificate, now).is_some_and(|days| days > RENEW_DAYS);
        if let Some(pair) = self.place.read_pair("server")?
            && fresh(&pair)
            && self.issued(&pair)
            && self
                .place
                .read("server.names")?
                .is_some_and(|known| known == listed)
        {
            return Ok(pair);
        }
        let mut params = leaf("caravel", &[], ExtendedKeyUsagePurpose::ServerAuth, now);
        for name in &names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        let pair = self.place.keep_pair("server", self.sign(&params)?)?;
        self.place.keep("server.names", &listed)?;
        Ok(pair)
    }

    /// The administrator's client certificate, made anew when it runs out soon.
    pub(crate) fn admin(&self, now: Timestamp) -> Result<Pair, PkiError> {
        if let Some(pair) = self.place.read_pair("admin")?
            && days_left(&pair.certificate, now).is_some_and(|days| days > RENEW_DAYS)
            && self.issued(&pair)
        {
            return Ok(pair);
        }
        let params = leaf(
            "caravel-admin",
            &[MASTERS],
            ExtendedKeyUsagePurpose::ClientAuth,
            now,
        );
        self.place.keep_pair("admin", self.sign(&params)?)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Pair, PkiError> {
        let authority_key = KeyPair::from_pem(&self.authority.key)?;
        let issuer = Issuer::from_ca_cert_pem(&self.authority.certificate, authority_key)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Pair {
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// Was it issued by the present authority?
    fn issued(&self, pair: &Pair) -> bool {
        let check = || -> Option<bool> {
            let authority =
                CertificateDer::from_pem_slice(self.authority.certificate.as_bytes()).ok()?;
            let leaf = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).ok()?;
            let (_, authority) = x509_parser::parse_x509_certificate(&authority).ok()?;
            let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).ok()?;
            let key = authority.extensions().iter().find_map(|extension| {
                match extension.parsed_extension() {
                    x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => {
                        Some(id.0.to_vec())
                    }
                    _ => None,
                }
            })?;
            let issuer = leaf.extensions().iter().find_map(|extension| {
                match extension.parsed_extension() {
                    x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
                        Some(id.key_identifier.as_ref()?.0.to_vec())
                    }
                    _ => None,
                }
            })?;
            Some(key == issuer)
        };
        check().unwrap_or(false)
    }
}

impl Place {
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.as_ref().map(|folder| folder.join(name))
    }

    fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error(&path, source)),
        }
    }

    fn read_pair(&self, name: &str) -> Result<Option<Pair>, PkiError> {
        let certificate = self.read(&format!("{name}.crt"))?;
        let key = self.read(&format!("{name}.key"))?;
        Ok(certificate
            .zip(key)
            .map(|(certificate, key)| Pair { certificate, key }))
    }

    fn keep(&self, name: &str, text: &str) -> Result<(), PkiError> {
        self.path(name)
            .map_or(Ok(()), |path| write_private(&path, text))
    }

    fn keep_pair(&self, name: &str, pair: Pair) -> Result<Pair, PkiError> {
        self.keep(&format!("{name}.key"), &pair.key)?;
        self.keep(&format!("{name}.crt"), &pair.certificate)?;
        Ok(pair)
    }

    fn damaged(&self, name: &str, why: &str) -> PkiError {
        let path = self.path(name).unwrap_or_else(|| PathBuf::from(name));
        PkiError::Damaged {
            path: path.display().to_string(),
            why: why.to_owned(),
        }
    }
}

fn file_error(path: &Path, source: std::io::Error) -> PkiError {
    PkiError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Writes a file that only its owner may read, in one step: a crash leaves the old one or the new one.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| file_error(path, source))
}

fn make_authority(now: Timestamp) -> Result<Pair, PkiError> {
    let mut params = valid(CertificateParams::default(), now, CA_DAYS);
    params.distinguished_name = name("caravel-ca", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Pair {
        certificate,
        key: key.serialize_pem(),
    })
}

fn leaf(
    user: &str,
    groups: &[&str],
    usage: ExtendedKeyUsagePurpose,
    now: Timestamp,
) -> CertificateParams {
    let mut params = valid(CertificateParams::default(), now, LEAF_DAYS);
    params.distinguished_name = name(user, groups);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

fn name(user: &str, groups: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for group in groups {
        name.push(DnType::OrganizationName, *group);
    }
    name.push(DnType::CommonName, user);
    name
}

/// Valid from yesterday, for clocks that go wrong, for so many days.
fn valid(mut params: CertificateParams, now: Timestamp, days: i64) -> CertificateParams {
    let today = now.to_zoned(TimeZone::UTC).date();
    let date = |days: i64| {
        let date = today.saturating_add(days.days());
        let number = |value: i8| u8::try_from(value).unwrap_or(1);
        date_time_ymd(
            i32::from(date.year()),
            number(date.month()),
            number(date.day()),
        )
    };
    params.not_before = date(-1);
    params.not_after = date(days);
    params
}

/// The days until a certificate runs out.
fn days_left(certificate: &str, now: Timestamp) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some((parsed.validity().not_after.timestamp() - now.as_second()) / 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap()
    }

    #[test]
    fn keys_are_kept_and_renewed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let open = |days| Pki::open(Some(folder.path().join("pki")), at(days)).unwrap();
        let names = vec!["10.1.2.3".to_owned()];
        let first = open(0);
        let server = first.server(&names, at(0)).unwrap();
        let admin = first.admin(at(0)).unwrap();
        let second = open(1);
        assert_eq!(second.authority(), first.authority());
        assert_eq!(second.bootstrap_token, first.bootstrap_token);
        assert_eq!(
            second.server(&names, at(1)).unwrap().certificate,
            server.certificate
        );
        let renamed = second
            .server(&["hub.example.com".to_owned()], at(1))
            .unwrap();
        assert_ne!(
            renamed.certificate, server.certificate,
            "another name needs another certificate"
        );
        let late = open(LEAF_DAYS - RENEW_DAYS);
        assert_ne!(
            late.admin(at(LEAF_DAYS)).unwrap().certificate,
            admin.certificate
        );
        assert_ne!(open(CA_DAYS - LEAF_DAYS).authority(), first.authority());
    }

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pki");
        Pki::open(Some(path.clone()), at(0))
            .unwrap()
            .admin(at(0))
            .unwrap();
        for entry in fs::read_dir(&path).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn a_damaged_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sa.key"), "nonsense").unwrap();
        let error = Pki::open(Some(folder.path().to_owned()), at(0))
            .err()
            .unwrap();
        assert!(error.to_string().contains("sa.key is damaged"), "{error}");
    }
}
