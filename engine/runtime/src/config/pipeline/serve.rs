//! `serve:` after validation: where to listen, who may ask, and which views answer the routes of the first systems.

use crate::config::secret::Secret;
use groundswell_connectors::http::auth::Role;
use groundswell_core::spec::GroupColumn;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `serve:`
#[derive(Clone, Debug, PartialEq)]
pub struct ServeConfig {
    /// Address to listen on.
    pub http: SocketAddr,
    /// Where only metrics are.
    pub metrics: Option<SocketAddr>,
    /// Who may ask; `None` lets everybody do everything.
    pub auth: Option<AuthConfig>,
    /// Requests a second, and at once.
    pub quota: Option<(u32, u32)>,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Other names of a server on the loopback.
    pub hosts: Vec<String>,
    /// Other sites whose pages may read.
    pub origins: Vec<String>,
    /// Rows about fewer authors are withheld.
    pub k_anonymity: Option<i32>,
    /// Views that answer the routes of the first systems.
    pub routes: Option<RoutesConfig>,
}

/// `serve.routes:`, views by name.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RoutesConfig {
    /// Posts by label.
    pub sentiment: Option<SentimentRoutes>,
    /// Threads and their casts.
    pub threads: Option<ThreadRoutes>,
    /// Keyword events.
    pub events: bool,
    /// How feeds of posts are made.
    pub feeds: Option<FeedRoutes>,
}

/// `serve.routes.feeds:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedRoutes {
    /// After so long (ms) a post is half as recent.
    pub half_life_ms: i64,
    /// A post with so much engagement has half of what can be had.
    pub engagement_k: f64,
    /// A user with so many interactions with an author has half of what can be had.
    pub affinity_k: f64,
    /// What the model's part is.
    pub model: FeedModel,
    /// So many of the newest posts are candidates.
    pub newest: i64,
    /// So many of those with which most was done are candidates.
    pub engaged: i64,
}

/// What the model's part in a feed's order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedModel {
    /// One minus the probability that it is toxic.
    Civility,
    /// (1 + sentiment) / 2.
    Sentiment,
}

/// `serve.routes.sentiment:`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SentimentRoutes {
    /// By hour.
    pub hour: Option<String>,
    /// By day.
    pub day: Option<String>,
    /// The last so many hours.
    pub distribution: Vec<String>,
}

/// `serve.routes.threads:`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ThreadRoutes {
    /// Which there are.
    pub list: String,
    /// By cast member.
    pub cast: Option<String>,
    /// Lines by cast member.
    pub timeline: Option<String>,
}

/// `serve.auth:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// API keys, by name.
    pub keys: Vec<KeyConfig>,
    /// JSON web tokens.
    pub jwt: Option<JwtConfig>,
    /// The column that holds the tenant.
    pub tenant: Option<GroupColumn>,
}

/// One key of `serve.auth.keys:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    /// What logs call it.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What its holder may do.
    pub role: Role,
    /// The only tenant its holder sees.
    pub tenant: Option<String>,
}

/// `serve.auth.jwt:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// What tokens are signed with.
    pub key: JwtKeys,
    /// `aud`.
    pub audience: String,
    /// `iss`.
    pub issuer: Option<String>,
    /// The claim with the role.
    pub role_claim: String,
    /// The claim with the tenant.
    pub tenant_claim: String,
}

/// What verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// HS256 with a secret.
    Secret(Secret),
    /// RS256 with the keys of a file.
    File(PathBuf),
    /// RS256 with the keys of an address.
    Url(String),
}
