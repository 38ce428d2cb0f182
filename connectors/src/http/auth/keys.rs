//! API keys: long random strings, known here by their SHA-256 only.
//!
//! A key has 256 random bits, so that a plain digest keeps it as safe as a slow one would: there is nothing to guess.

use super::{Principal, Role};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Keys begin with this, so that scanners for leaked secrets know them.
const PREFIX: &str = "gsk_";

/// A key that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is.
    pub name: Arc<str>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// What its holder may do.
    pub role: Role,
    /// The only tenant its holder sees.
    pub tenant: Option<Arc<str>>,
}

/// A new key.
pub fn new_key() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a key.
pub fn digest_of(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Whose key this is. Every key is compared, each in constant time.
pub(super) fn find(keys: &[ApiKey], presented: &str) -> Option<Principal> {
    let digest = digest_of(presented);
    let mut found = None;
    for key in keys {
        if bool::from(key.digest.ct_eq(&digest)) {
            found = Some(key);
        }
    }
    found.map(|key| Principal {
        name: Arc::clone(&key.name),
        role: key.role,
        tenant: key.tenant.clone(),
        expires: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_only() {
        let (key, other) = (new_key(), new_key());
        assert!(
            key != other && key.starts_with(PREFIX) && key.len() == PREFIX.len() + 43,
            "{key}"
        );
        let keys = [ApiKey {
            name: "grafana".into(),
            digest: digest_of(&key),
            role: Role::Read,
            tenant: None,
        }];
        assert_eq!(find(&keys, &key).map(|p| p.name), Some("grafana".into()));
        assert_eq!(find(&keys, &other), None);
        assert_eq!(find(&keys, ""), None);
        assert_eq!(find(&[], &key), None);
    }
}
