//! A key set, from a file or an address.
//!
//! In: a place with JSON web keys (RFC 7517). Out: the RSA key of an id. State: the keys as they were last read. A file is looked
//! at again every few seconds, an address every ten minutes, and at once when a token names a key that is not known, but
//! not more than once in ten seconds: whoever sends made-up key ids must not make us ask all the time. While an address does not
//! answer, the keys that are known stay good, and nobody waits for it but tokens with keys that are not.

use super::jwt::JwksPlace;
use super::{ApiError, AuthError, unauthenticated};
use axum::http::StatusCode;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, PublicKeyUse};
use parking_lot::RwLock;
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
/// An address must answer within this.
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
#[derive(Clone)]
pub(super) struct KeySet(Arc<Inner>);

struct Inner {
    place: JwksPlace,
    known: RwLock<Known>,
    /// Held by whoever is asking.
    asking: Arc<Mutex<()>>,
    /// Keys from an address are asked for again after this long, and at most this often.
    ages: (Duration, Duration),
}

impl KeySet {
    /// Reads a file now; an address is asked when a token comes.
    pub(super) fn open(place: JwksPlace) -> Result<Self, AuthError> {
        Self::with_ages(place, (URL_AGE, LEAST_AGE))
    }

    pub(super) fn with_ages(place: JwksPlace, ages: (Duration, Duration)) -> Result<Self, AuthError> {
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
        Ok(KeySet(Arc::new(Inner {
            place,
            known: RwLock::new(known),
            asking: Arc::default(),
            ages,
        })))
    }

    /// The key of an id; of the only key if a token names none.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<Arc<DecodingKey>, ApiError> {
        let Inner { known, asking, .. } = &*self.0;
        let find = || find(&known.read().keys, id);
        match (find(), self.0.is_due()) {
            (Some(key), false) => return Ok(key),
            // An address may take its time, or not answer.
            (Some(key), true) if matches!(self.0.place, JwksPlace::Url(_)) => {
                if let Ok(mine) = Arc::clone(asking).try_lock_owned() {
                    let inner = Arc::clone(&self.0);
                    tokio::spawn(async move {
                        inner.refresh().await;
                        drop(mine);
                    });
                }
                return Ok(key);
            }
            _ => {}
        }
        // Others may be waiting here too: what the first of them learns is for all.
        let mine = asking.lock().await;
        if self.0.is_due() || (find().is_none() && self.0.may_ask()) {
            self.0.refresh().await;
        }
        drop(mine);
        match find() {
            Some(key) => Ok(key),
            None if known.read().keys.is_empty() => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "KEYS_UNAVAILABLE",
                "The keys that tokens are checked with cannot be had now",
            )),
            None => Err(unauthenticated("The token cannot be believed")),
        }
    }
}

impl Inner {
    fn is_due(&self) -> bool {
        let known = self.known.read();
        match &self.place {
            JwksPlace::File(_) => known.asked.is_none_or(|at| at.elapsed() >= FILE_AGE),
            JwksPlace::Url(_) => {
                let old = known.read.is_none_or(|at| at.elapsed() >= self.ages.0);
                old && known.asked.is_none_or(|at| at.elapsed() >= self.ages.1)
            }
        }
    }

    /// Whether an address may be asked for a key that is not known.
    fn may_ask(&self) -> bool {
        let asked = self.known.read().asked;
        matches!(self.place, JwksPlace::Url(_)) && asked.is_none_or(|at| at.elapsed() >= self.ages.1)
    }

    async fn refresh(&self) {
        let before = {
            let mut known = self.known.write();
            known.asked = Some(Instant::now());
            known.modified
        };
        let place = self.place.clone();
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
                let mut known = self.known.write();
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
