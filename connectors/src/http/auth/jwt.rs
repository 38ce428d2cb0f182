//! JSON web tokens (RFC 7519): who a token speaks for, if it may be believed.
//!
//! The algorithm is the configuration's, never the token's (RFC 8725, 3.1); a token needs an expiry and the audience, and
//! where a key set is configured the key it names. Claims: `sub` is who, one claim holds the role (`read` if it is absent), one
//! the tenant.

use super::jwks::KeySet;
use super::{ApiError, AuthError, Principal, Role, forbidden, unauthenticated};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What the names of tokens' holders begin with; no key's name has a space.
pub(super) const TOKEN: &str = "token ";
/// Clocks may differ by this many seconds.
pub(super) const LEEWAY: u64 = 30;

/// Where a key set (RFC 7517) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksPlace {
    /// A file, read again when it changes.
    File(PathBuf),
    /// An `https` address, fetched again now and then, and when a token names a key that is not known.
    Url(String),
}

/// What verifies signatures.
#[derive(Clone, PartialEq, Eq)]
pub enum JwtKey {
    /// The secret of HS256.
    Secret(Vec<u8>),
    /// The public keys of RS256.
    Set(JwksPlace),
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JwtKey::Secret(_) => f.write_str("Secret(***)"),
            JwtKey::Set(place) => f.debug_tuple("Set").field(place).finish(),
        }
    }
}

/// How tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// What verifies signatures, and with it the algorithm.
    pub key: JwtKey,
    /// Tokens must be for this audience.
    pub audience: String,
    /// And from this issuer, if one is given.
    pub issuer: Option<String>,
    /// The claim with the role.
    pub role_claim: String,
    /// The claim with the tenant.
    pub tenant_claim: String,
}

enum Keys {
    Secret(DecodingKey),
    Set(KeySet),
}

/// Checks tokens.
pub(super) struct Verifier {
    keys: Keys,
    validation: Validation,
    role_claim: String,
    tenant_claim: String,
}

impl Verifier {
    pub(super) fn new(options: JwtOptions) -> Result<Self, AuthError> {
        let (keys, algorithm) = match options.key {
            JwtKey::Secret(secret) => (Keys::Secret(DecodingKey::from_secret(&secret)), Algorithm::HS256),
            JwtKey::Set(place) => (Keys::Set(KeySet::open(place)?), Algorithm::RS256),
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[options.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        if let Some(issuer) = options.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Ok(Verifier {
            keys,
            validation,
            role_claim: options.role_claim,
            tenant_claim: options.tenant_claim,
        })
    }

    /// Who a token speaks for.
    ///
    /// # Errors
    /// 401 if it cannot be believed, 403 if its role or tenant mean nothing here.
    pub(super) async fn check(&self, token: &str) -> Result<Principal, ApiError> {
        let refused = |error: jsonwebtoken::errors::Error| {
            // For the log; who forges tokens is not told what was wrong.
            tracing::debug!(%error, "a token was refused");
            use jsonwebtoken::errors::ErrorKind::ExpiredSignature;
            unauthenticated(match error.kind() {
                ExpiredSignature => "The token has expired",
                _ => "The token cannot be believed",
            })
        };
        let header = decode_header(token).map_err(refused)?;
        if !self.validation.algorithms.contains(&header.alg) {
            return Err(unauthenticated("The token cannot be believed"));
        }
        let fetched;
        let key = match &self.keys {
            Keys::Secret(key) => key,
            Keys::Set(set) => {
                fetched = set.key(header.kid.as_deref()).await?;
                &*fetched
            }
        };
        let decoded: TokenData<Map<String, Value>> = decode(token, key, &self.validation).map_err(refused)?;
        self.principal(&decoded.claims)
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, ApiError> {
        let role = match claims.get(&self.role_claim) {
            None => Role::Read,
            Some(claim) => claim
                .as_str()
                .and_then(Role::named)
                .ok_or_else(|| forbidden(&format!("The token's claim '{}' is no role", self.role_claim)))?,
        };
        let tenant = match claims.get(&self.tenant_claim) {
            None => None,
            // An empty or odd tenant must not turn into "all of them".
            Some(Value::String(tenant)) if !tenant.is_empty() => Some(tenant.as_str().into()),
            Some(_) => {
                return Err(forbidden(&format!(
                    "The token's claim '{}' is no tenant",
                    self.tenant_claim
                )));
            }
        };
        let name = claims
            .get("sub")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| unauthenticated("The token does not say whom it speaks for"))?;
        Ok(Principal {
            // A key of the same name is somebody else.
            name: format!("{TOKEN}{name}").into(),
            role,
            tenant,
            expires: claims.get("exp").and_then(seconds),
        })
    }
}

/// A time in a claim; RFC 7519 allows fractions.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // out of range is the nearest there is
fn seconds(claim: &Value) -> Option<u64> {
    claim.as_u64().or_else(|| claim.as_f64().map(|seconds| seconds as u64))
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
