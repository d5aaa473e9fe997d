//! Bearer tokens: the bootstrap token, and signed tokens of service accounts.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pki::{Pki, PkiError};
use crate::identity::Identity;
use crate::store::{Key, Store};

/// Who signs tokens, and who reads them unless something else is asked for.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    nbf: i64,
    iss: String,
    jti: String,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Reference,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reference {
    name: String,
    uid: String,
}

/// Makes and checks tokens.
pub(crate) struct Tokens {
    bootstrap: [u8; 32],
    header: Header,
    sign: EncodingKey,
    verify: DecodingKey,
}

impl Tokens {
    pub(crate) fn new(pki: &Pki) -> Result<Self, PkiError> {
        let broken = |error: jsonwebtoken::errors::Error| PkiError::Tls(error.to_string());
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(hex::encode(
            &Sha256::digest(pki.token_key.public_key_pem())[..16],
        ));
        Ok(Self {
            bootstrap: Sha256::digest(pki.bootstrap_token.as_bytes()).into(),
            header,
            sign: EncodingKey::from_ec_pem(pki.token_key.serialize_pem().as_bytes())
                .map_err(broken)?,
            verify: DecodingKey::from_ec_pem(pki.token_key.public_key_pem().as_bytes())
                .map_err(broken)?,
        })
    }

    /// A token of a service account. `None` if it could not be signed.
    pub(crate) fn issue(
        &self,
        (namespace, name, uid): (&str, &str, &str),
        audiences: &[String],
        seconds: i64,
        now: Timestamp,
    ) -> Option<String> {
        let now = now.as_second();
        let audiences = if audiences.is_empty() {
            vec![ISSUER.to_owned()]
        } else {
            audiences.to_vec()
        };
        let claims = Claims {
            aud: audiences,
            exp: now + seconds,
            iat: now,
            nbf: now,
            iss: ISSUER.to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            sub: format!("system:serviceaccount:{namespace}:{name}"),
            kubernetes: Bound {
                namespace: namespace.to_owned(),
                serviceaccount: Reference {
                    name: name.to_owned(),
                    uid: uid.to_owned(),
                },
            },
        };
        encode(&self.header, &claims, &self.sign).ok()
    }

    /// Whose token it is, and which of `audiences` it is for. A deleted service account has no valid tokens.
    pub(crate) fn check(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Option<(Identity, Vec<String>)> {
        let default = [ISSUER.to_owned()];
        let audiences = if audiences.is_empty() {
            &default[..]
        } else {
            audiences
        };
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // Digests are compared, so the time that it takes tells nothing of the token.
        if digest == self.bootstrap {
            return Some((Identity::admin("caravel-admin"), audiences.to_vec()));
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.validate_aud = false;
        // The clock is a parameter here, so the library's own is not asked.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let claims = decode::<Claims>(token, &self.verify, &validation)
            .ok()?
            .claims;
        let time = now.as_second();
        if claims.exp <= time || claims.nbf > time + 10 {
            return None;
        }
        let matching: Vec<String> = audiences
            .iter()
            .filter(|audience| claims.aud.contains(audience))
            .cloned()
            .collect();
        if matching.is_empty() {
            return None;
        }
        let Bound {
            namespace,
            serviceaccount,
        } = claims.kubernetes;
        let account = store
            .get(&Key::new(
                "serviceaccounts",
                &namespace,
                &serviceaccount.name,
            ))?
            .value();
        if account["metadata"]["uid"] != serviceaccount.uid.as_str()
            || account["metadata"]["deletionTimestamp"].is_string()
        {
            return None;
        }
        let mut identity =
            Identity::service_account(&namespace, &serviceaccount.name, &serviceaccount.uid);
        identity.extra.insert(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("JTI={}", claims.jti)],
        );
        Some((identity, matching))
    }
}
