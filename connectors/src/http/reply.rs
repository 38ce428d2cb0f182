//! Answers: the envelope, tags, conditional requests.

use super::App;
use super::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use groundswell_core::time::Tick;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// What accompanies the data.
#[derive(Serialize, Default, ToSchema)]
pub struct Metadata {
    /// How many there are in all, where that is known without counting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// The page size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Where to continue; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The tick all of the data is as of: epoch milliseconds.
    pub at: Tick,
}

/// Data as of one tick.
#[derive(Serialize, ToSchema)]
pub struct Envelope<D> {
    /// What was asked for.
    data: D,
    /// What accompanies it.
    metadata: Metadata,
}

/// Data that is as it is now.
#[derive(Serialize, ToSchema)]
pub struct Plain<D> {
    /// What was asked for.
    data: D,
    /// Nothing.
    metadata: Empty,
}

/// Nothing.
#[derive(Serialize, ToSchema)]
struct Empty {}

/// `{"data","metadata":{}}`, which nobody keeps.
///
/// # Errors
/// 500 if the data cannot be written.
pub fn plain<D: Serialize>(status: StatusCode, data: D) -> Result<Response, ApiError> {
    uncached(json(
        status,
        &Plain {
            data,
            metadata: Empty {},
        },
    ))
}

/// `{"data","metadata"}`.
///
/// # Errors
/// 500 if the data cannot be written.
pub fn envelope<D: Serialize>(data: D, metadata: Metadata) -> Result<Response, ApiError> {
    json(StatusCode::OK, &Envelope { data, metadata })
}

/// Any JSON.
///
/// # Errors
/// 500 if the value cannot be written.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::internal(&error))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// An answer that nobody keeps.
///
/// # Errors
/// What `response` is.
pub fn uncached(response: Result<Response, ApiError>) -> Result<Response, ApiError> {
    let mut response = response?;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A request's body, as far as it came in time.
pub struct Received(Result<Bytes, Unreceived>);

enum Unreceived {
    /// It is too long, or it broke off.
    Rejected(BytesRejection),
    /// It did not come.
    Slow(Duration),
}

impl FromRequest<App> for Received {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &App) -> Result<Self, Infallible> {
        let patience = app.options.patience;
        let body = match timeout(patience, Bytes::from_request(request, app)).await {
            Ok(read) => read.map_err(Unreceived::Rejected),
            Err(_) => Err(Unreceived::Slow(patience)),
        };
        Ok(Received(body))
    }
}

impl Received {
    /// The body.
    ///
    /// # Errors
    /// 413 naming `most` and `instead`, what to do about it; 408 if it is not here yet; 400 if it cannot be read.
    pub fn bytes(self, most: usize, instead: &str) -> Result<Bytes, ApiError> {
        let rejection = match self.0 {
            Ok(body) => return Ok(body),
            Err(Unreceived::Rejected(rejection)) => rejection,
            Err(Unreceived::Slow(patience)) => {
                let message = format!("The body did not come within {} s", patience.as_secs_f32());
                return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message));
            }
        };
        Err(match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("The body is longer than {most} bytes; {instead}");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
            }
            status => ApiError::new(status, "INVALID_BODY", "The body cannot be read"),
        })
    }
}

/// Answers 304 if the client has this version, else what `answer` makes; tags both.
///
/// # Errors
/// What `answer` gives.
pub fn conditional(
    request: &HeaderMap,
    tag: &str,
    answer: impl FnOnce() -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let mut response = if has_version(request, tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer()?
    };
    let headers = response.headers_mut();
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(tag).map_err(|error| ApiError::internal(&error))?,
    );
    // The view is its own cache: a copy may be kept, but it is asked about each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Weak comparison, as If-None-Match asks for.
fn has_version(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim() == "*" || opaque(candidate) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_weakly() {
        let request = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().expect("header"));
            headers
        };
        for same in ["W/\"a-1\"", "\"a-1\"", "\"x\", W/\"a-1\"", "*"] {
            assert!(has_version(&request(same), "W/\"a-1\""), "{same}");
        }
        for other in ["\"a-2\"", "a-1", ""] {
            assert!(!has_version(&request(other), "W/\"a-1\""), "{other}");
        }
    }
}
