//! Who asks, and what they may do.
//!
//! In: a request's credentials: an API key or a JSON web token, as `Authorization: Bearer …` or `X-API-Key: …`; a browser's
//! WebSocket, which can set neither, offers the subprotocols `groundswell` and `bearer.TOKEN`. Never in the address, which
//! ends up in logs. Out: a [`Principal`] with a role and perhaps a tenant, or a refusal that says no more than that. State:
//! the keys' digests and the tokens' verification keys, nothing per client.
//!
//! Without [`AuthOptions`] everybody who reaches the port is an administrator: that is for the loopback.

mod failures;
mod jwks;
mod jwt;
mod keys;
mod quota;
mod tenant;

pub use jwt::{JwksPlace, JwtKey, JwtOptions};
pub use keys::{ApiKey, digest_of, new_key};
pub(super) use quota::Limiter;
pub use quota::Quota;
pub(super) use tenant::Tenancy;

use super::App;
use super::compat::happenings::SEARCH;
use super::erasures;
use super::error::ApiError;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use failures::Failures;
use groundswell_core::spec::GroupColumn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The WebSocket subprotocol of ours.
pub(super) const SUBPROTOCOL: &str = "groundswell";
/// The subprotocol that brings a token is this and the token.
const BEARER_PROTOCOL: &str = "bearer.";
/// Longest credential that is looked at.
const LONGEST: usize = 8 << 10;

/// What somebody may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read views, posts and alerts, and subscribe.
    Read,
    /// And tell sinks and models what to do, and see and replay dead letters.
    Operate,
    /// And remove people's data.
    Admin,
}

impl Role {
    /// All of them, least first.
    pub const ALL: [Role; 3] = [Role::Read, Role::Operate, Role::Admin];

    /// The word for it in configurations and tokens.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }

    /// The role with this name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The key's name or the token's subject; for logs and quotas.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// They see rows, posts and alerts with this value of the tenant column only.
    pub tenant: Option<Arc<str>>,
    /// When their credential ends (s since 1970), if it does.
    pub expires: Option<u64>,
}

impl Principal {
    /// What they call themselves: the key's name, or the token's subject.
    pub(super) fn own_name(&self) -> &str {
        self.name.strip_prefix(jwt::TOKEN).unwrap_or(&self.name)
    }

    /// Returns when the credential has ended: what was begun with it must end then.
    pub(super) async fn expired(&self) {
        let Some(expires) = self.expires else {
            return std::future::pending().await;
        };
        // In steps, as the wall clock may be set while we wait.
        const STEP: Duration = Duration::from_secs(60);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        while let Some(left) = Duration::from_secs(expires.saturating_add(jwt::LEEWAY))
            .checked_sub(now())
            .filter(|left| !left.is_zero())
        {
            tokio::time::sleep(left.min(STEP)).await;
        }
    }
}

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub struct AuthOptions {
    /// API keys.
    pub keys: Vec<ApiKey>,
    /// How JSON web tokens are checked.
    pub jwt: Option<JwtOptions>,
    /// The group column that holds the tenant.
    pub tenant: Option<GroupColumn>,
}

/// Why nobody could ever be let in as configured.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A verification key cannot be used.
    #[error("{place}: {problem}")]
    Key {
        /// The file or address.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Checks credentials.
pub(super) struct Auth {
    keys: Vec<ApiKey>,
    jwt: Option<jwt::Verifier>,
    failures: Failures,
    pub(super) tenant: Option<GroupColumn>,
}

impl Auth {
    /// Reads verification keys that lie in files; those at addresses are fetched when first needed.
    pub(super) fn new(options: AuthOptions) -> Result<Self, AuthError> {
        Ok(Auth {
            keys: options.keys,
            jwt: options.jwt.map(jwt::Verifier::new).transpose()?,
            failures: Failures::default(),
            tenant: options.tenant,
        })
    }

    async fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Principal, ApiError> {
        let Some(credential) = credential(headers).filter(|c| c.len() <= LONGEST) else {
            return Err(unauthenticated("Credentials are needed: an API key or a token"));
        };
        let principal = match keys::find(&self.keys, &credential) {
            Some(principal) => principal,
            // Anything with two dots may be a token; nothing else is worth the work.
            None => match self.jwt.as_ref().filter(|_| credential.matches('.').count() == 2) {
                Some(jwt) => jwt.check(&credential).await.map_err(|e| self.failures.count(e, peer))?,
                None => {
                    let refused = unauthenticated("The credentials are not known here");
                    return Err(self.failures.count(refused, peer));
                }
            },
        };
        match self.tenant {
            None if principal.tenant.is_some() => Err(forbidden(
                "The credentials are a tenant's, and this server does not know which column holds tenants",
            )),
            _ => Ok(principal),
        }
    }
}

/// The credential of a request, wherever it is.
fn credential(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    if let Some(value) = text(header::AUTHORIZATION) {
        let (scheme, token) = value.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    if let Some(key) = headers.get("x-api-key").and_then(|v| v.to_str().ok()) {
        return Some(key.to_owned());
    }
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL)?;
    let token = offered
        .split(',')
        .find_map(|p| p.trim().strip_prefix(BEARER_PROTOCOL))?;
    Some(token.to_owned())
}

pub(super) fn unauthenticated(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
}

pub(super) fn forbidden(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
}

/// What a route asks for; `None` for what anybody may have: whether the process lives, and pages without data.
fn needed(method: &Method, route: Option<&str>) -> Option<Role> {
    let read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match route {
        None | Some("/health/live" | "/health/ready" | "/ready" | "/openapi.json" | "/docs" | "/docs/{file}") => None,
        // They hold what came in as it came, of any tenant.
        Some(route) if route.starts_with("/api/v1/dead-letters") => Some(Role::Operate),
        Some(route) if route == erasures::ROUTE => Some(Role::Admin),
        // Questions whose body is longer than an address may be.
        Some("/predict" | SEARCH) => Some(Role::Read),
        Some(_) if read => Some(Role::Read),
        Some(_) => Some(Role::Operate),
    }
}

/// Routes that know how to show one tenant only what is theirs.
fn tenants_may(route: Option<&str>) -> bool {
    route.is_none_or(|route| {
        matches!(
            route,
            "/ws" | "/ws/sentiment" | "/ws/thread/{thread}" | "/api/v1/events" | "/api/v1/me" | "/predict"
        ) || [
            "/api/v1/views",
            "/api/v1/posts",
            "/api/v1/alerts",
            "/api/v1/tge-events",
            "/api/posts",
            "/api/sentiment",
            "/api/threads",
        ]
        .iter()
        .any(|prefix| {
            route
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    })
}

/// The layer that lets requests in: who asks, may they, and not too often. Handlers find the [`Principal`] in the request.
pub(super) async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let principal = match admit(&app, &parts, route.as_deref()).await {
        Ok(principal) => principal,
        Err(error) => return error.into_response(),
    };
    let reads = needed(&parts.method, route.as_deref()).is_none_or(|role| role == Role::Read);
    let acts = !reads && !matches!(parts.method, Method::GET | Method::HEAD);
    let what = (acts && route.is_some()).then(|| (parts.method.clone(), parts.uri.path().to_owned()));
    let who = Arc::clone(&principal.name);
    parts.extensions.insert(principal);
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some((method, path)) = what {
        // Control characters would be read as other lines of the log.
        let path: String = path.chars().filter(|c| !c.is_control()).take(512).collect();
        tracing::info!(target: "groundswell::audit", who = %who.escape_debug(), %method, path, status = response.status().as_u16(), "an operator acted");
    }
    response
}

async fn admit(app: &App, request: &Parts, route: Option<&str>) -> Result<Principal, ApiError> {
    let peer = request.extensions.get::<Peer>().map(|p| p.0);
    let needed = needed(&request.method, route);
    let principal = match (&app.auth, needed) {
        (None, _) => Principal {
            name: "anonymous".into(),
            role: Role::Admin,
            tenant: None,
            expires: None,
        },
        (Some(_), None) => Principal {
            name: "anonymous".into(),
            role: Role::Read,
            tenant: None,
            expires: None,
        },
        (Some(auth), Some(_)) => auth.identify(&request.headers, peer).await?,
    };
    if let Some(limiter) = app.limiter.as_ref().filter(|_| route.is_some()) {
        limiter.take(&principal, peer)?;
    }
    if needed.is_some_and(|role| principal.role < role) {
        let role = needed.map_or("", Role::name);
        return Err(forbidden(&format!("This needs the role '{role}'")));
    }
    if principal.tenant.is_some() && !tenants_may(route) {
        return Err(forbidden("This shows more than one tenant's data"));
    }
    Ok(principal)
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_where_clients_can_put_them() {
        let of = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("header"));
            credential(&headers)
        };
        assert_eq!(of("authorization", "Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "bearer  abc").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "Basic abc"), None);
        assert_eq!(of("authorization", "abc"), None);
        assert_eq!(of("x-api-key", "k").as_deref(), Some("k"));
        assert_eq!(
            of("sec-websocket-protocol", "groundswell, bearer.a.b.c").as_deref(),
            Some("a.b.c")
        );
        assert_eq!(of("sec-websocket-protocol", "groundswell"), None);
    }

    #[test]
    fn every_route_has_its_role() {
        let get = |route| needed(&Method::GET, Some(route));
        assert_eq!(get("/health/live"), None);
        assert_eq!(get("/health"), Some(Role::Read));
        assert_eq!(get("/metrics"), Some(Role::Read));
        assert_eq!(get("/api/v1/views/{view}"), Some(Role::Read));
        assert_eq!(get("/ws"), Some(Role::Read));
        assert_eq!(get("/api/v1/dead-letters/replay"), Some(Role::Operate));
        let post = |route| needed(&Method::POST, Some(route));
        assert_eq!(post("/api/v1/sinks/{sink}/{action}"), Some(Role::Operate));
        assert_eq!(post("/predict"), Some(Role::Read));
        assert_eq!(post("/api/v1/erasures"), Some(Role::Admin));
        assert_eq!(needed(&Method::DELETE, Some("/health")), Some(Role::Operate));
        // What is no route is a page of the console or nothing.
        assert_eq!(needed(&Method::GET, None), None);
        for route in [
            "/metrics",
            "/health",
            "/api/v1/sinks",
            "/api/v1/erasures",
            "/api/v1/dead-letters/replay",
            "/api/v1/viewsx",
            "/api/health",
            "/ws/threads",
        ] {
            assert!(!tenants_may(Some(route)), "{route}");
        }
        for route in [
            "/ws",
            "/api/v1/views",
            "/api/v1/views/{view}",
            "/api/v1/alerts/{id}/explain",
            "/api/threads/{thread}/cast",
            "/api/sentiment/aggregate",
            "/ws/thread/{thread}",
        ] {
            assert!(tenants_may(Some(route)), "{route}");
        }
    }
}
