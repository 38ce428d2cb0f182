//! `GET /api/v1/me`: who asks, and what they may do. It changes nothing and tells nobody about anybody else.

use super::App;
use super::CompatRoutes;
use super::api::answers::Guarded;
use super::auth::Principal;
use super::error::ApiError;
use super::reply::{Plain, plain};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// Who asks.
#[derive(Serialize, ToSchema)]
struct Me {
    /// The key's name or the token's subject.
    #[schema(required)]
    name: Option<String>,
    /// `read`, `operate` or `admin`.
    role: &'static str,
    /// Whose rows they see, if not everybody's.
    #[schema(required)]
    tenant: Option<String>,
    /// When the token ends, in seconds since 1970.
    #[schema(required)]
    expires: Option<u64>,
    /// Which of `serve.routes` this pipeline serves.
    serves: Vec<&'static str>,
}

/// Who asks, and what they may do.
///
/// `name` is the key's name or the token's subject; null where nobody needs a credential, and then everybody may do
/// everything. `expires` is when the token ends, in seconds since 1970.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "operations",
    operation_id = "get_me",
    responses(
        (status = 200, description = "The one who asks.", body = Plain<Me>),
        Guarded
    )
)]
pub async fn show(State(app): State<App>, Extension(who): Extension<Principal>) -> Result<Response, ApiError> {
    let mut serves = app
        .options
        .compat
        .as_ref()
        .map(CompatRoutes::served)
        .unwrap_or_default();
    serves.extend(app.hub.feed_options().map(|_| "feeds"));
    let me = Me {
        name: app.auth.is_some().then(|| who.own_name().to_owned()),
        role: who.role.name(),
        tenant: who.tenant.as_deref().map(str::to_owned),
        expires: who.expires,
        serves,
    };
    plain(StatusCode::OK, me)
}
