//! One request for a feed.
//!
//! In: an address and what its server said last. Out: an [`Answer`] or a [`Failure`]. Redirects are followed a few times;
//! what is longer than allowed is not read to its end.

use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode, header};

/// Redirects that are followed.
const REDIRECTS: u32 = 5;
/// Who asks.
const USER_AGENT: &str = concat!("groundswell/", env!("CARGO_PKG_VERSION"));
/// What is asked for.
const ACCEPT: &str =
    "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.8";
/// Longest validator that is sent back.
const VALIDATOR: usize = 1_024;

/// What a server said about the version it gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`
    pub modified: Option<String>,
}

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The version it gave before.
    Unchanged,
    /// A feed, or what the server takes for one.
    New {
        /// Its bytes.
        body: Vec<u8>,
        /// What to send along the next time.
        validators: Validators,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// Whether it may pass by itself within seconds.
    pub passing: bool,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One that another attempt would not change.
    pub fn lasting(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            passing: false,
            retry_after: None,
        }
    }
}

/// Checks the address of a feed.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_url(url: &str) -> Result<(), String> {
    let parsed: ureq::http::Uri = url.parse().map_err(|e| format!("it is no URL: {e}"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err("it begins with neither http:// nor https://".to_owned());
    }
    if parsed
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err("credentials in it would be shown to everybody".to_owned());
    }
    match parsed.host() {
        None | Some("") => Err("it names no host".to_owned()),
        Some(_) => Ok(()),
    }
}

/// A client for feeds; `timeout` is for all of a request.
pub(super) fn agent(timeout: Duration) -> Agent {
    crate::web::agent(timeout, None)
}

/// Asks once.
pub(super) fn fetch(agent: &Agent, url: &str, known: &Validators, most: u64) -> Result<Answer, Failure> {
    let mut request = agent
        .get(url)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, ACCEPT);
    if let Some(etag) = &known.etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(modified) = &known.modified {
        request = request.header(header::IF_MODIFIED_SINCE, modified);
    }
    let request = request.config().max_redirects(REDIRECTS).build();
    let mut response = request.call().map_err(|error| failure(&error))?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED {
        return Ok(Answer::Unchanged);
    }
    if status != StatusCode::OK {
        return Err(Failure {
            message: format!("the server answered {status}"),
            passing: status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
            retry_after: retry_after(response.headers()),
        });
    }
    let validators = Validators {
        etag: text(response.headers(), &header::ETAG),
        modified: text(response.headers(), &header::LAST_MODIFIED),
    };
    let body = response.body_mut().with_config().limit(most).read_to_vec();
    let body = body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => {
            Failure::lasting(format!("the answer is longer than {most} bytes (max_bytes)"))
        }
        other => failure(&other),
    })?;
    Ok(Answer::New { body, validators })
}

fn failure(error: &ureq::Error) -> Failure {
    let passing = !matches!(
        error,
        ureq::Error::BadUri(_) | ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed
    );
    Failure {
        message: match error {
            ureq::Error::TooManyRedirects => format!("the server redirected more than {REDIRECTS} times"),
            other => format!("the request failed: {other}"),
        },
        passing,
        retry_after: None,
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= VALIDATOR).then(|| value.to_owned())
}

/// In seconds; a date is not looked at, as clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_web() {
        assert_eq!(check_url("https://example.com/rss?x=1"), Ok(()));
        for bad in [
            "example.com/rss",
            "file:///etc/passwd",
            "https://",
            "https://me:pass@example.com/",
            "ht tp://x",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
