//! What every request passes: limits, the host check, a request id, security headers, counting.

use super::error::ApiError;
use super::{App, dead_letters, predict};
use crate::dlq::REQUEST_BYTES;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::atomic::Ordering;
use std::time::Instant;

const URI_BYTES: usize = 8 << 10;
const HEADER_BYTES: usize = 32 << 10;
pub(super) const BODY_BYTES: usize = 64 << 10;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything comes from this host; nothing is framed, guessed or reported elsewhere.
const SECURITY: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// A year, as browsers' preload lists ask for at least.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The outermost layer.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&app, request.headers());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str)
        .to_owned();
    let method = request.method().clone();
    let mut response = match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let took = began.elapsed();
    let status = response.status().as_u16();
    app.metrics.http_request(&route, status, took);
    tracing::debug!(%method, route, status, request_id = id.to_str().unwrap_or_default(), ?took, "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.extend(SECURITY);
    if app.secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

fn check(app: &App, request: &Request) -> Result<(), ApiError> {
    let uri = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    if uri > URI_BYTES {
        let message = format!("The address is longer than {URI_BYTES} bytes");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", message));
    }
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers > HEADER_BYTES {
        let message = format!("The headers are longer than {HEADER_BYTES} bytes");
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "HEADERS_TOO_LARGE",
            message,
        ));
    }
    let most = match request.extensions().get::<MatchedPath>() {
        Some(route) if route.as_str() == dead_letters::ROUTE => REQUEST_BYTES as u64,
        Some(route) if route.as_str() == predict::ROUTE => predict::BODY_BYTES as u64,
        _ => BODY_BYTES as u64,
    };
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        let message = format!("The body is longer than {most} bytes");
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PAYLOAD_TOO_LARGE",
            message,
        ));
    }
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    if app.options.addr.ip().is_loopback() && !host.is_some_and(|h| is_local(h, &app.options.allowed_hosts)) {
        let message = "A server on the loopback answers only under a local name: add this one to the allowed hosts";
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "UNKNOWN_HOST", message));
    }
    Ok(())
}

/// A page elsewhere can point its own name at 127.0.0.1; its requests then carry that name as `Host`.
fn is_local(host: &str, allowed: &[String]) -> bool {
    let name = host_name(host);
    let loopback = name
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    loopback
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || allowed
            .iter()
            .any(|a| a.eq_ignore_ascii_case(name) || a.eq_ignore_ascii_case(host))
}

fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a page of this origin may open a WebSocket: browsers send `Origin` and do not ask.
pub fn same_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let of_origin = origin.split_once("://").map(|(_, host)| host);
    allowed.iter().any(|a| a.eq_ignore_ascii_case(origin))
        || matches!((of_origin, host), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
}

/// Lets own pages act, and whoever is no page. Any page a browser shows can send a POST here, and the browser says which.
///
/// # Errors
/// 403 for a page of another site that is not named in the configuration.
pub fn own_pages_only(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    if same_origin(headers, &app.options.allowed_origins) {
        return Ok(());
    }
    let message = "A page of another site may not do this";
    Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", message))
}

/// The client's id for the request if it has a sensible one, else one of ours.
fn request_id(app: &App, headers: &HeaderMap) -> HeaderValue {
    let sensible = |v: &&HeaderValue| {
        (1..=64).contains(&v.len())
            && v.as_bytes()
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    headers.get(&REQUEST_ID).filter(sensible).cloned().unwrap_or_else(|| {
        let number = app.requests.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("{:x}-{number:x}", app.boot)).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_pass_and_others_do_not() {
        for local in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "LOCALHOST",
            "a.localhost:1",
        ] {
            assert!(is_local(local, &[]), "{local}");
        }
        for other in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "",
            "localhost.evil.example",
        ] {
            assert!(!is_local(other, &[]), "{other}");
        }
        assert!(is_local("console.test:8080", &["console.test".into()]));
    }

    #[test]
    fn a_page_of_another_site_may_not_open_a_socket() {
        let headers = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
            headers.insert(header::ORIGIN, origin.parse().expect("header"));
            headers
        };
        assert!(same_origin(&HeaderMap::new(), &[]));
        assert!(same_origin(&headers("http://127.0.0.1:8080"), &[]));
        for other in ["http://evil.example", "null", "http://127.0.0.1:9999"] {
            assert!(!same_origin(&headers(other), &[]), "{other}");
        }
        assert!(same_origin(
            &headers("https://dash.example"),
            &["https://dash.example".into()]
        ));
    }
}
