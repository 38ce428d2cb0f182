//! Which path is answered by what.

use super::error::ApiError;
use super::{
    App, alerts, auth, compat, console, dead_letters, docs, events, export, guard, health, me, models, posts, predict,
    sinks, views, ws,
};
use crate::hub::export::Format;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Every documented route. `openapi.json` describes exactly these.
fn documented() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/api/v1/views", get(views::list)),
        ("/api/v1/views/{view}", get(views::rows)),
        ("/api/v1/views/{view}/export", get(export::file)),
        ("/api/v1/posts", get(posts::list)),
        ("/api/v1/posts/{id}", get(posts::one)),
        ("/api/v1/alerts", get(alerts::list)),
        ("/api/v1/alerts/{id}", get(alerts::one)),
        ("/api/v1/alerts/{id}/explain", get(alerts::explain)),
        ("/api/v1/events", get(events::stream)),
        ("/api/v1/sinks", get(sinks::list)),
        ("/api/v1/sinks/{sink}/{action}", post(sinks::act)),
        ("/api/v1/models", get(models::list)),
        ("/api/v1/models/rollback", post(models::roll_back)),
        ("/api/v1/models/{model}/comparison", get(models::comparison)),
        ("/api/v1/models/{model}/promote", post(models::promote)),
        ("/api/v1/me", get(me::show)),
        (dead_letters::ROUTE, dead_letters::route()),
        (predict::ROUTE, predict::route()),
        ("/health", get(health::full)),
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/metrics", get(metrics)),
        ("/openapi.json", get(docs::openapi)),
        ("/ws", get(ws::upgrade)),
        ("/api/health", get(compat::health)),
        ("/api/posts", get(compat::posts::list)),
        ("/api/posts/{id}", get(compat::posts::one)),
        ("/api/sentiment/aggregate", get(compat::sentiment::aggregate)),
        ("/api/sentiment/distribution", get(compat::sentiment::distribution)),
        ("/api/threads", get(compat::threads::list)),
        ("/api/threads/{thread}", get(compat::threads::one)),
        ("/api/threads/{thread}/cast", get(compat::threads::cast)),
        ("/api/threads/{thread}/cast/{member}", get(compat::threads::cast_member)),
        ("/api/threads/{thread}/timeline", get(compat::threads::timeline)),
        ("/ws/sentiment", get(compat::rooms::sentiment)),
        ("/ws/thread/{thread}", get(compat::rooms::thread)),
    ]
}

/// Other names under which deployments look for the same answers, and the pages.
fn others() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/ready", get(health::ready)),
        ("/health/detailed", get(health::full)),
        ("/docs", get(docs::page)),
        ("/docs/{file}", get(docs::file)),
    ]
}

/// All routes behind their guards.
pub fn router(app: App) -> Router {
    // Parquet is compressed already.
    let worthwhile = DefaultPredicate::new().and(NotForContentType::const_new(Format::Parquet.media_type()));
    let routed = documented().into_iter().chain(others());
    routed
        .fold(Router::new(), |router, (path, answer)| router.route(path, answer))
        .fallback(fallback)
        .method_not_allowed_fallback(not_allowed)
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(worthwhile),
        )
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(cors(&app))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Pages of the origins that are named may read, with credentials they bring themselves; those of others may not.
fn cors(app: &App) -> CorsLayer {
    let named = app
        .options
        .allowed_origins
        .iter()
        .filter_map(|o| HeaderValue::from_str(o).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(named))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            events::LAST_EVENT_ID,
            HeaderName::from_static("x-api-key"),
        ])
        .expose_headers([
            header::CONTENT_DISPOSITION,
            header::ETAG,
            export::AT,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(std::time::Duration::from_secs(600))
}

async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    app.metrics.hub_bytes(app.hub.history_bytes());
    let text = app.metrics.text().map_err(|error| ApiError::internal(&error))?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok((
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")],
        text,
    )
        .into_response())
}

/// What is no route is a file of the console, or nothing.
async fn fallback(method: Method, uri: Uri) -> Result<Response, ApiError> {
    let path = uri.path();
    if ["/api", "/health", "/metrics", "/predict", "/ws"]
        .iter()
        .any(|p| path == *p || path.starts_with(&format!("{p}/")))
    {
        return Err(ApiError::not_found(
            "There is no such route; /openapi.json lists those there are",
        ));
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(not_allowed().await);
    }
    console::file(path)
}

async fn not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "There is no such method here; /openapi.json lists those there are",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_describes_exactly_the_routes() {
        let document = docs::document();
        let described: Vec<&str> = document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .map(String::as_str)
            .collect();
        let mut routed: Vec<&str> = documented().iter().map(|(path, _)| *path).collect();
        routed.sort_unstable();
        assert_eq!(described, routed);
    }
}
