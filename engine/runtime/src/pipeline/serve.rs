//! From `serve:` to the server's options.

use crate::config::{FeedModel, JwtKeys, RoutesConfig, ServeConfig};
use groundswell_connectors::http::auth::{ApiKey, AuthOptions, JwksPlace, JwtKey, JwtOptions, Quota};
use groundswell_connectors::http::tls::TlsFiles;
use groundswell_connectors::http::{CompatRoutes, SentimentViews, ServeOptions, ThreadViews};
use groundswell_connectors::hub::feeds::rank::{FeedOptions, ModelPart};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::HOUR;
use std::num::NonZeroU32;

/// The server as the configuration has it.
pub(super) fn options(serve: &ServeConfig, views: &[ViewSpec]) -> ServeOptions {
    ServeOptions {
        addr: serve.http,
        auth: serve.auth.as_ref().map(|auth| AuthOptions {
            keys: auth.keys.iter().map(api_key).collect(),
            jwt: auth.jwt.as_ref().map(jwt),
            tenant: auth.tenant,
        }),
        metrics: serve.metrics,
        quota: serve.quota.map(|(per_second, burst)| Quota {
            per_second: NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN),
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }),
        tls: serve.tls.as_ref().map(|(certificate, key)| TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        allowed_hosts: serve.hosts.clone(),
        allowed_origins: serve.origins.clone(),
        compat: serve.routes.as_ref().map(|routes| compat(routes, views)),
        ..ServeOptions::default()
    }
}

/// The views by their places; all of them are there, or the configuration were refused.
fn compat(routes: &RoutesConfig, views: &[ViewSpec]) -> CompatRoutes {
    let place = |name: &String| views.iter().position(|view| view.name == *name);
    let some = |name: &Option<String>| name.as_ref().and_then(place);
    let hours = |name: &String| {
        let index = place(name)?;
        Some((u32::try_from(views.get(index)?.window.size() / HOUR).ok()?, index))
    };
    CompatRoutes {
        events: routes.events,
        sentiment: routes.sentiment.as_ref().map(|sentiment| SentimentViews {
            hour: some(&sentiment.hour),
            day: some(&sentiment.day),
            distribution: sentiment.distribution.iter().filter_map(hours).collect(),
        }),
        threads: routes.threads.as_ref().and_then(|threads| {
            Some(ThreadViews {
                list: place(&threads.list)?,
                cast: some(&threads.cast),
                timeline: some(&threads.timeline),
            })
        }),
    }
}

/// How feeds of posts are made, if they are.
pub(super) fn feeds(serve: &ServeConfig) -> Option<FeedOptions> {
    let feeds = serve.routes.as_ref()?.feeds.as_ref()?;
    let defaults = FeedOptions::default();
    Some(FeedOptions {
        half_life: feeds.half_life_ms,
        engagement_k: feeds.engagement_k,
        affinity_k: feeds.affinity_k,
        model: match feeds.model {
            FeedModel::Civility => ModelPart::Civility,
            FeedModel::Sentiment => ModelPart::Sentiment,
        },
        newest: usize::try_from(feeds.newest).unwrap_or(defaults.newest),
        engaged: usize::try_from(feeds.engaged).unwrap_or(defaults.engaged),
        ..defaults
    })
}

fn api_key(key: &crate::config::KeyConfig) -> ApiKey {
    ApiKey {
        name: key.name.as_str().into(),
        digest: key.sha256,
        role: key.role,
        tenant: key.tenant.as_deref().map(Into::into),
    }
}

fn jwt(jwt: &crate::config::JwtConfig) -> JwtOptions {
    JwtOptions {
        key: match &jwt.key {
            JwtKeys::Secret(secret) => JwtKey::Secret(secret.expose().as_bytes().to_vec()),
            JwtKeys::File(path) => JwtKey::Set(JwksPlace::File(path.clone())),
            JwtKeys::Url(url) => JwtKey::Set(JwksPlace::Url(url.clone())),
        },
        audience: jwt.audience.clone(),
        issuer: jwt.issuer.clone(),
        role_claim: jwt.role_claim.clone(),
        tenant_claim: jwt.tenant_claim.clone(),
    }
}
