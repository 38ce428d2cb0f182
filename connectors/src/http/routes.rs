//! Which path is answered by what.

use super::api::answers::Guarded;
use super::error::ApiError;
use super::{
    App, alerts, analytics, api, auth, compat, console, dead_letters, docs, erasures, events, export, feeds, guard,
    health, me, models, posts, predict, rules, sinks, views, ws,
};
use crate::hub::export::Format;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every documented route, with what it says of itself.
pub(super) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(api::Head::openapi())
        .routes(routes!(views::list))
        .routes(routes!(views::rows))
        .routes(routes!(export::file))
        .routes(routes!(posts::list))
        .routes(routes!(posts::one))
        .routes(routes!(feeds::feed))
        .routes(routes!(feeds::of_user))
        .routes(routes!(feeds::likes))
        .routes(routes!(feeds::reposts))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::one))
        .routes(routes!(alerts::explain))
        .routes(routes!(rules::list))
        .routes(routes!(events::stream))
        .routes(routes!(ws::upgrade))
        .routes(routes!(sinks::list))
        .routes(routes!(sinks::act))
        .routes(routes!(models::list))
        .routes(routes!(models::roll_back))
        .routes(routes!(models::comparison))
        .routes(routes!(models::promote))
        .routes(routes!(me::show))
        .routes(dead_letters::route())
        .routes(routes!(erasures::erase))
        .routes(predict::route())
        .routes(routes!(health::full))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics))
        .routes(routes!(docs::openapi))
        .routes(routes!(analytics::rollup::rollup))
        .routes(routes!(analytics::rollup::best_times))
        .routes(routes!(analytics::series::series))
        .routes(routes!(analytics::report::report))
        .routes(routes!(analytics::report::csv))
        .routes(routes!(compat::health))
        .routes(routes!(compat::posts::list))
        .routes(routes!(compat::posts::one))
        .routes(routes!(compat::sentiment::aggregate))
        .routes(routes!(compat::sentiment::distribution))
        .routes(routes!(compat::threads::list))
        .routes(routes!(compat::threads::one))
        .routes(routes!(compat::threads::cast))
        .routes(routes!(compat::threads::cast_member))
        .routes(routes!(compat::threads::timeline))
        .routes(routes!(compat::happenings::list))
        .routes(compat::happenings::search_route())
        .routes(routes!(compat::happenings::metrics))
        .routes(routes!(compat::rooms::sentiment))
        .routes(routes!(compat::rooms::thread))
        .routes(routes!(compat::rooms::notifications))
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
    let (routed, _) = documented().split_for_parts();
    let others = others().into_iter();
    others
        .fold(routed, |router, (path, answer)| router.route(path, answer))
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

/// The metrics and nothing else, for whoever reaches an address that is for them alone.
pub fn metrics_only(app: App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "get_metrics",
    responses(
        (status = 200, description = "Metrics.", content_type = "text/plain", body = String),
        Guarded
    )
)]
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
