//! Answers that several routes give, as the document shows them.
#![allow(dead_code)] // described here, made by [`ApiError`](super::super::error::ApiError) and the middleware

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What is known about it.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// A parameter is unknown or has a value that cannot be used.
#[derive(IntoResponses)]
#[response(status = 400, example = json!({ "error": {
    "code": "INVALID_PARAMETER", "message": "Invalid value for parameter 'limit'",
    "details": { "parameter": "limit", "provided": "0", "allowed": ["1 to 1000"] } } }))]
pub struct BadRequest(ErrorBody);

/// No such view, post or alert.
#[derive(IntoResponses)]
#[response(status = 404, example = json!({ "error": {
    "code": "UNKNOWN_VIEW", "message": "There is no view 'cast'; did you mean 'cast_by_minute'?",
    "details": { "provided": "cast", "did_you_mean": "cast_by_minute", "available": ["cast_by_minute"] } } }))]
pub struct NotFound(ErrorBody);

/// Nothing has been served yet; Retry-After says when to ask again.
#[derive(IntoResponses)]
#[response(status = 503, example = json!({ "error": {
    "code": "NOT_READY", "message": "The engine is not ready yet: nothing has been served",
    "details": { "reasons": ["restoring state"] } } }))]
pub struct NotReady(ErrorBody);

/// Not modified since the version in If-None-Match.
#[derive(IntoResponses)]
#[response(status = 304)]
pub struct NotModified;

/// What every route that looks at who asks may answer.
#[derive(IntoResponses)]
pub enum Guarded {
    /// Credentials are needed, or are not known here (serve.auth).
    #[response(status = 401, headers(("WWW-Authenticate" = String)))]
    Unauthenticated(ErrorBody),
    /// The role does not allow this, it shows more than one tenant's data, or the request comes from a page of another origin.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// More requests than serve.quota allows.
    #[response(status = 429, headers(("Retry-After" = u32)))]
    TooManyRequests(ErrorBody),
}

/// What the reading routes of views may answer besides.
#[derive(IntoResponses)]
pub enum Unread {
    /// Not modified since the version in If-None-Match.
    #[response(status = 304)]
    NotModified,
    /// A parameter is unknown or has a value that cannot be used.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// Nothing has been served yet; Retry-After says when to ask again.
    #[response(status = 503)]
    NotReady(ErrorBody),
}
