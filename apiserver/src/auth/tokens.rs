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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
}

impl Bound {
    /// The objects that must exist for the token to be valid, each with the resource under which it is stored.
    fn objects(&self) -> impl Iterator<Item = (&'static str, &Reference)> {
        let account = Some(("serviceaccounts", &self.serviceaccount));
        let pod = self.pod.as_ref().map(|pod| ("pods", pod));
        let secret = self.secret.as_ref().map(|secret| ("secrets", secret));
        [account, pod, secret].into_iter().flatten()
    }

    fn holds(&self, store: &Store) -> bool {
        self.objects().all(|(resource, reference)| {
            let key = Key::new(resource, self.namespace.as_str(), reference.name.as_str());
            store.get(&key).is_some_and(|object| {
                let metadata = &object.value()["metadata"];
                metadata["uid"] == reference.uid.as_str()
                    && !metadata["deletionTimestamp"].is_string()
            })
        })
    }
}

/// An object that a token depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// What a token is to say.
pub(crate) struct Grant<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) account: Reference,
    /// The token ends with this Pod.
    pub(crate) pod: Option<Reference>,
    /// The token ends with this Secret.
    pub(crate) secret: Option<Reference>,
    pub(crate) audiences: &'a [String],
    pub(crate) seconds: i64,
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
    pub(crate) fn issue(&self, grant: Grant<'_>, now: Timestamp) -> Option<String> {
        let now = now.as_second();
        let audiences = if grant.audiences.is_empty() {
            vec![ISSUER.to_owned()]
        } else {
            grant.audiences.to_vec()
        };
        let claims = Claims {
            aud: audiences,
            exp: now + grant.seconds,
            iat: now,
            nbf: now,
            iss: ISSUER.to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            sub: format!(
                "system:serviceaccount:{}:{}",
                grant.namespace, grant.account.name
            ),
            kubernetes: Bound {
                namespace: grant.namespace.to_owned(),
                serviceaccount: grant.account,
                pod: grant.pod,
                secret: grant.secret,
            },
        };
        encode(&self.header, &claims, &self.sign).ok()
    }

    /// Whose token it is, and which of `audiences` it is for. It is valid as long as the service account and what
    /// else it is bound to exist.
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
        let bound = claims.kubernetes;
        if !bound.holds(store) {
            return None;
        }
        let account = &bound.serviceaccount;
        let mut identity = Identity::service_account(&bound.namespace, &account.name, &account.uid);
        if let Some(pod) = bound.pod {
            let extra = [("pod-name", pod.name), ("pod-uid", pod.uid)];
            identity.extra.extend(
                extra.map(|(key, value)| {
                    (format!("authentication.kubernetes.io/{key}"), vec![value])
                }),
            );
        }
        identity.extra.insert(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("JTI={}", claims.jti)],
        );
        Some((identity, matching))
    }
}
