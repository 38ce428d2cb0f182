//! The console's files, compiled in.
//!
//! `console/dist` is what its build leaves; where it is missing, a page says so and points to what works without it.

use super::error::ApiError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";
const NOT_BUILT: &str = include_str!("docs/no_console.html");

/// A file by path. A path without an extension is a page of the console, which finds its own way from the index.
pub fn file(path: &str) -> Result<Response, ApiError> {
    let path = path.trim_start_matches('/');
    let is_page = path.is_empty() || !path.rsplit('/').next().unwrap_or_default().contains('.');
    let name = if is_page { INDEX } else { path };
    let Some(file) = Files::get(name) else {
        if name == INDEX {
            return Ok(page(NOT_BUILT.as_bytes().to_vec(), "text/html", false));
        }
        return Err(ApiError::not_found("There is no such file"));
    };
    // The build puts a digest of the content into the names of assets, so a name never changes its content.
    let forever = name.starts_with("assets/");
    Ok(page(file.data.into_owned(), file.metadata.mimetype(), forever))
}

fn page(body: Vec<u8>, kind: &str, forever: bool) -> Response {
    let kind = if kind.starts_with("text/") {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_owned()
    };
    let cache = if forever {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache.to_owned())],
        body,
    )
        .into_response()
}
