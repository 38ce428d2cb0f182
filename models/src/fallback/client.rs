//! The HTTP scorer: one request for one text, and whether to make one now.
//!
//! TLS is rustls with the system's authorities. Redirects are not followed, so that the token goes nowhere else; it is in
//! the request's header and nowhere else here. Nothing that comes back is longer than it may be.

use super::breaker::{Breaker, Gate};
use super::budget::Budget;
use super::ladder::LadderError;
use super::prompt::{self, Unread};
use groundswell_core::id::ModelKey;
use groundswell_core::score::Score;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest answer read.
const ANSWER: usize = 256 << 10;
/// Longest pause a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Pause where a server asks for one without saying how long.
const PAUSE: Duration = Duration::from_secs(5);

/// An HTTP scorer and how to talk to it.
#[derive(Clone, PartialEq)]
pub struct HttpSetup {
    /// What comes before `/chat/completions`, such as `https://api.example.com/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Goes with every request; never shown.
    pub token: Option<String>,
    /// What is asked.
    pub prompt: String,
    /// What an answer has to be like.
    pub schema: Value,
    /// How long a request may take.
    pub timeout: Duration,
    /// How often a request that failed is made again.
    pub retries: u32,
    /// Failures in a row after which nobody is asked for a while.
    pub failures: u32,
    /// That while.
    pub open: Duration,
    /// Most requests a minute; `None` has no end.
    pub budget_per_minute: Option<u32>,
    /// Whether `http://` may lead to other machines, where everybody on the way can read texts and token.
    pub plain: bool,
    /// First pause before a request is made again; each further one is twice as long.
    pub pause: Duration,
}

impl HttpSetup {
    /// The defaults for a scorer at `url`.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        HttpSetup {
            url: url.into(),
            model: model.into(),
            token: None,
            prompt: prompt::DEFAULT_PROMPT.to_owned(),
            schema: prompt::default_schema(),
            timeout: Duration::from_secs(30),
            retries: 3,
            failures: 5,
            open: Duration::from_secs(60),
            budget_per_minute: Some(60),
            plain: false,
            pause: Duration::from_secs(1),
        }
    }

    /// A digest of all that decides its answers.
    pub fn key(&self) -> ModelKey {
        let all = serde_json::json!(["http", self.url, self.model, self.prompt, self.schema]);
        ModelKey::of(all.to_string().as_bytes())
    }

    /// Where requests go.
    ///
    /// # Errors
    /// What is wrong with the URL, in words; without credentials in it.
    pub fn endpoint(&self) -> Result<Url, String> {
        let url: Url = self.url.parse().map_err(|e| format!("it is no URL: {e}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials do not belong into it: use `token`".to_owned());
        }
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        match url.scheme() {
            "https" => {}
            "http" if self.plain || is_loopback(host) => {}
            "http" => {
                return Err(format!(
                    "texts and token would go to {host} unencrypted: use https, or say `plain_http: true`"
                ));
            }
            other => return Err(format!("{other}:// is neither http:// nor https://")),
        }
        if url.path().trim_end_matches('/').ends_with("/chat/completions") {
            return Ok(url);
        }
        let mut whole = url.clone();
        whole.set_path(&format!("{}/chat/completions", url.path().trim_end_matches('/')));
        Ok(whole)
    }
}

impl fmt::Debug for HttpSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is left out.
        f.debug_struct("HttpSetup")
            .field("url", &self.url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Who is to blame for a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The text: others may be answered.
    Text,
    /// The service.
    Service,
    /// Nobody: it was asked too often.
    Haste,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct AskError {
    /// For metrics.
    pub outcome: &'static str,
    pub message: String,
    /// Whether the same request may have an answer soon.
    pub again: bool,
    pub blame: Blame,
    /// How long nobody should be asked.
    pub pause: Option<Duration>,
}

impl AskError {
    fn new(outcome: &'static str, blame: Blame, again: bool, message: impl Into<String>) -> Self {
        AskError {
            outcome,
            message: message.into(),
            again,
            blame,
            pause: None,
        }
    }
}

struct Gates {
    breaker: Breaker,
    budget: Budget,
    not_before: Instant,
}

/// The HTTP scorer. Whoever asks it shares its breaker and its budget.
pub struct HttpScorer {
    client: Client,
    endpoint: Url,
    pub(super) setup: HttpSetup,
    gates: Mutex<Gates>,
}

impl HttpScorer {
    /// Prepares requests; makes none.
    ///
    /// # Errors
    /// If the URL or the token cannot be used.
    pub fn new(setup: HttpSetup) -> Result<Self, LadderError> {
        let endpoint = setup.endpoint().map_err(LadderError::Url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &setup.token {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| LadderError::Token)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let client = Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(setup.timeout)
            .connect_timeout(setup.timeout.min(Duration::from_secs(10)));
        let client = match endpoint.scheme() {
            "https" => client.tls_backend_preconfigured(tls()?),
            // Without it no authorities are needed.
            _ => client.tls_backend_preconfigured(no_tls()?),
        };
        let client = match endpoint.host_str().is_some_and(is_loopback) {
            true => client.no_proxy(),
            false => client,
        };
        let now = Instant::now();
        Ok(HttpScorer {
            client: client.build().map_err(|e| LadderError::Client(e.to_string()))?,
            endpoint,
            gates: Mutex::new(Gates {
                breaker: Breaker::new(setup.failures, setup.open),
                budget: Budget::new(setup.budget_per_minute, now),
                not_before: now,
            }),
            setup,
        })
    }

    /// Whether a request may go out now; if so it is counted, and must be made.
    pub(super) fn admit(&self, now: Instant) -> Gate {
        let mut gates = self.gates.lock();
        let due = gates.budget.due(now).max(gates.not_before);
        let gate = match gates.breaker.gate(now) {
            Gate::Open if due > now => Gate::Until(due),
            other => other,
        };
        if gate == Gate::Open {
            gates.budget.take();
            gates.breaker.asked();
        }
        gate
    }

    /// Whether the breaker is open.
    pub(super) fn is_broken(&self) -> bool {
        self.gates.lock().breaker.is_broken()
    }

    /// Notes how a request ended.
    pub(super) fn note(&self, ended: Result<(), &AskError>, now: Instant) {
        let mut gates = self.gates.lock();
        match ended.map_err(|e| (e.blame, e.pause)) {
            Ok(()) | Err((Blame::Text, _)) => gates.breaker.succeeded(),
            Err((Blame::Service, _)) => gates.breaker.failed(now),
            // It answers; but a probe that is sent away has not shown that it would do so with a score.
            Err((Blame::Haste, _)) if gates.breaker.is_broken() => gates.breaker.failed(now),
            Err((Blame::Haste, _)) => {}
        }
        if let Err((_, Some(pause))) = ended.map_err(|e| (e.blame, e.pause)) {
            gates.not_before = gates.not_before.max(now + pause);
        }
    }

    /// Asks for one text's score.
    pub(super) async fn ask(&self, text: &str) -> Result<Score, AskError> {
        let setup = &self.setup;
        let body = prompt::request(&setup.model, &setup.prompt, &setup.schema, text).to_string();
        let sent = self.client.post(self.endpoint.clone()).body(body).send().await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(unsuccessful(status, response.headers()));
        }
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if read.len() + chunk.len() > ANSWER {
                let message = format!("the answer is longer than {ANSWER} bytes");
                return Err(AskError::new("too_large", Blame::Service, false, message));
            }
            read.extend_from_slice(&chunk);
        }
        prompt::read(&read).map_err(|why| {
            let message = why.to_string();
            match why {
                Unread::NotJson(_) => AskError::new("not_json", Blame::Service, true, message),
                Unread::OffSchema(_) => AskError::new("off_schema", Blame::Service, true, message),
                Unread::Refused => AskError::new("refused", Blame::Text, false, message),
            }
        })
    }
}

/// The error of the client says where it went, and nothing of what was sent.
fn unreachable(error: reqwest::Error) -> AskError {
    if error.is_timeout() {
        return AskError::new("timeout", Blame::Service, true, "no answer in time");
    }
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        message = format!("{message}: {inner}");
        source = inner.source();
    }
    AskError::new("unreachable", Blame::Service, true, message)
}

fn unsuccessful(status: StatusCode, headers: &HeaderMap) -> AskError {
    let message = format!("it answered {status}");
    match status.as_u16() {
        429 => AskError {
            pause: Some(retry_after(headers).unwrap_or(PAUSE).min(LONGEST_PAUSE)),
            ..AskError::new("rate_limited", Blame::Haste, true, message)
        },
        401 | 403 => AskError::new("unauthorized", Blame::Service, false, message),
        400 | 413 | 422 => AskError::new("refused", Blame::Text, false, message),
        500.. => AskError {
            pause: retry_after(headers).map(|pause| pause.min(LONGEST_PAUSE)),
            ..AskError::new("server_error", Blame::Service, true, message)
        },
        _ => AskError::new("unexpected_status", Blame::Service, false, message),
    }
}

/// Seconds; a date is as good as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn tls() -> Result<ClientConfig, LadderError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "no certificate of any authority was found on this machine";
        return Err(LadderError::Client(why.to_owned()));
    }
    config(roots)
}

fn no_tls() -> Result<ClientConfig, LadderError> {
    config(RootCertStore::empty())
}

fn config(roots: RootCertStore) -> Result<ClientConfig, LadderError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| LadderError::Client(e.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<String, String> {
        HttpSetup::new(url, "m").endpoint().map(String::from)
    }

    #[test]
    fn a_url_is_loopback_or_https_and_has_no_credentials() {
        let full = "http://127.0.0.1:8000/v1/chat/completions";
        assert_eq!(endpoint("http://127.0.0.1:8000/v1").as_deref(), Ok(full));
        assert_eq!(endpoint(full).as_deref(), Ok(full));
        assert_eq!(
            endpoint("https://api.example.com/v1/?api-version=2").as_deref(),
            Ok("https://api.example.com/v1/chat/completions?api-version=2")
        );
        for (url, why) in [
            ("http://api.example.com/v1", "unencrypted"),
            ("http://127.0.0.1.example.com/v1", "unencrypted"),
            ("https://me:pw@api.example.com", "credentials"),
            ("ftp://127.0.0.1", "neither"),
            ("api.example.com", "no URL"),
        ] {
            assert!(
                endpoint(url).is_err_and(|e| e.contains(why) && !e.contains("pw")),
                "{url}"
            );
        }
        let mut plain = HttpSetup::new("http://scorer:8000/v1", "m");
        plain.plain = true;
        assert!(plain.endpoint().is_ok());
    }

    #[test]
    fn a_token_is_not_shown() {
        let mut setup = HttpSetup::new("http://localhost/v1", "m");
        setup.token = Some("hush".into());
        assert!(!format!("{setup:?}").contains("hush"));
        setup.token = Some("line\nbreak".into());
        let error = HttpScorer::new(setup).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("token") && !error.contains("line"), "{error}");
    }
}
