//! `/openapi.json` and `/docs`: the document and a page that shows it, all from this host.

use super::error::ApiError;
use super::reply::json;
use super::{api, routes};
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| api::finish(&routes::documented().into_openapi()));

/// The OpenAPI document of every route there can be; a pipeline serves those of the first systems that it names views for.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "health",
    operation_id = "get_openapi_json",
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object)
    ),
    security(())
)]
pub async fn openapi() -> Result<Response, ApiError> {
    json(StatusCode::OK, document())
}

/// The page.
pub async fn page() -> Response {
    static_file("text/html", include_str!("docs/index.html"))
}

/// The page's script and style.
pub async fn file(Path(name): Path<String>) -> Result<Response, ApiError> {
    match name.as_str() {
        "docs.js" => Ok(static_file("text/javascript", include_str!("docs/docs.js"))),
        "docs.css" => Ok(static_file("text/css", include_str!("docs/docs.css"))),
        _ => Err(ApiError::not_found("There is no such file")),
    }
}

fn static_file(kind: &str, body: &'static str) -> Response {
    (
        [
            (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
            (header::CACHE_CONTROL, "no-cache".into()),
        ],
        body,
    )
        .into_response()
}
