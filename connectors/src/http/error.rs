//! Errors as clients see them: a status and `{"error":{"code","message","details"}}`.

use super::api::answers::{ErrorBody, ErrorDetail};
use crate::hub::filter::Invalid;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Seconds after which a client may try again when the engine is not ready.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// What RFC 9110 wants to be said to somebody without credentials.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"groundswell\"");

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What is known about it.
    pub details: Value,
    /// Seconds after which it is worth to ask again.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error without details.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError {
            status,
            code,
            message: message.into(),
            details: json!({}),
            retry_after: None,
        }
    }

    /// With details.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// With a time to wait (s).
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Nothing there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// A view nobody knows, with the nearest name there is.
    pub fn unknown_view(name: &str, available: &[&str]) -> Self {
        let guess = nearest(name, available);
        let hint = guess.map(|g| format!("; did you mean '{g}'?")).unwrap_or_default();
        Self::new(
            StatusCode::NOT_FOUND,
            "UNKNOWN_VIEW",
            format!("There is no view '{}'{hint}", short(name)),
        )
        .with(json!({ "provided": short(name), "did_you_mean": guess, "available": available }))
    }

    /// A defect.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "could not answer a request");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "The answer could not be made; the log says why",
        )
    }

    /// The error as JSON.
    pub fn body(&self) -> ErrorBody {
        let error = ErrorDetail {
            code: self.code,
            message: self.message.clone(),
            details: self.details.clone(),
        };
        ErrorBody { error }
    }
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// The most similar of some names, if one is similar at all.
pub fn nearest<'a>(name: &str, available: &[&'a str]) -> Option<&'a str> {
    let name: String = name.chars().take(120).collect();
    available
        .iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()),
                *candidate,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let details = json!({
            "parameter": invalid.parameter, "provided": invalid.provided, "allowed": invalid.allowed,
        });
        Self::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", invalid.message).with(details)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let views = ["cast_by_minute", "overall"];
        assert_eq!(nearest("cast_by_minutes", &views), Some("cast_by_minute"));
        assert_eq!(nearest("Overal", &views), Some("overall"));
        assert_eq!(nearest("zzz", &views), None);
    }
}
