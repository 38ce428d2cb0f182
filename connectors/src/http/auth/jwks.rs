//! A key set, from a file or an address.
//!
//! In: a place with JSON web keys (RFC 7517). Out: the RSA key of an id. State: the keys as they were last read. A file is looked
//! at again every few seconds, an address every ten minutes, and at once when a token names a key that is not known, but
//! not more than once in ten seconds: whoever sends made-up key ids must not make us ask all the time. While an address does not
//! answer, the keys that are known stay good.

use super::jwt::JwksPlace;
use super::{ApiError, AuthError, unauthenticated};
use axum::http::StatusCode;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, PublicKeyUse};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;

/// A file is looked at this often, an address asked this often at most.
const FILE_AGE: Duration = Duration::from_secs(5);
const LEAST_AGE: Duration = Duration::from_secs(10);
/// Keys from an address are asked for again after this long.
const URL_AGE: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST: u64 = 1 << 20;

type Keys = HashMap<Option<String>, Arc<DecodingKey>>;

#[derive(Default)]
struct Known {
    keys: Keys,
    /// When the place was last asked, and when it was last asked with success.
    asked: Option<Instant>,
    read: Option<Instant>,
    modified: Option<SystemTime>,
}

/// The keys of a place.
pub(super) struct KeySet {
    place: JwksPlace,
    known: Mutex<Known>,
}

impl KeySet {
    /// Reads a file now; an address is asked when a token comes.
    pub(super) fn open(place: JwksPlace) -> Result<Self, AuthError> {
        let mut known = Known::default();
        if let JwksPlace::File(path) = &place {
            let fail = |problem: String| AuthError::Key {
                place: path.display().to_string(),
                problem,
            };
            known.keys = parse(&std::fs::read(path).map_err(|e| fail(e.to_string()))?).map_err(fail)?;
            known.modified = modified(path);
            known.asked = Some(Instant::now());
        }
        Ok(KeySet {
            place,
            known: Mutex::new(known),
        })
    }

    /// The key of an id; of the only key if a token names none.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<Arc<DecodingKey>, ApiError> {
        let mut known = self.known.lock().await;
        let (due, url) = match &self.place {
            JwksPlace::File(_) => (known.asked.is_none_or(|at| at.elapsed() >= FILE_AGE), false),
            JwksPlace::Url(_) => (known.read.is_none_or(|at| at.elapsed() >= URL_AGE), true),
        };
        let may_ask = known.asked.is_none_or(|at| at.elapsed() >= LEAST_AGE);
        if (due && (may_ask || !url)) || (url && may_ask && find(&known.keys, id).is_none()) {
            self.refresh(&mut known).await;
        }
        match find(&known.keys, id) {
            Some(key) => Ok(key),
            None if known.keys.is_empty() => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "KEYS_UNAVAILABLE",
                "The keys that tokens are checked with cannot be had now",
            )),
            None => Err(unauthenticated("The token cannot be believed")),
        }
    }

    async fn refresh(&self, known: &mut Known) {
        known.asked = Some(Instant::now());
        let place = self.place.clone();
        let before = known.modified;
        // Files and this HTTP client block.
        let read = tokio::task::spawn_blocking(move || match &place {
            JwksPlace::File(path) => {
                let now = modified(path);
                if now == before {
                    return Ok(None);
                }
                let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
                Ok(Some((parse(&bytes)?, now)))
            }
            JwksPlace::Url(url) => Ok(Some((parse(&fetch(url)?)?, None))),
        });
        let read: Result<_, String> = read.await.unwrap_or_else(|e| Err(e.to_string()));
        match read {
            Ok(Some((keys, modified))) => {
                known.keys = keys;
                known.modified = modified;
                known.read = Some(Instant::now());
            }
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!(place = ?self.place, problem, "cannot read the key set; going on with the keys known")
            }
        }
    }
}

fn find(keys: &Keys, id: Option<&str>) -> Option<Arc<DecodingKey>> {
    match id {
        Some(id) => keys.get(&Some(id.to_owned())).cloned(),
        None if keys.len() == 1 => keys.values().next().cloned(),
        None => None,
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let agent = crate::web::agent(TIMEOUT, None);
    let mut answer = agent.get(url).call().map_err(|e| e.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("the answer is {}", answer.status()));
    }
    let body = answer.body_mut().with_config().limit(LARGEST);
    body.read_to_vec().map_err(|e| e.to_string())
}

/// The RSA signature keys of a set.
fn parse(bytes: &[u8]) -> Result<Keys, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|e| format!("not a JSON web key set: {e}"))?;
    let mut keys = Keys::new();
    for jwk in &set.keys {
        let signs = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|u| *u == PublicKeyUse::Signature);
        if signs && matches!(jwk.algorithm, AlgorithmParameters::RSA(_)) {
            let key = DecodingKey::from_jwk(jwk).map_err(|e| format!("a key cannot be used: {e}"))?;
            keys.insert(jwk.common.key_id.clone(), Arc::new(key));
        }
    }
    match keys.is_empty() {
        true => Err("the key set has no RSA key for signatures".to_owned()),
        false => Ok(keys),
    }
}
