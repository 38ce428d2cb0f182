//! From `serve:` to the server's options.

use crate::config::{JwtKeys, ServeConfig};
use groundswell_connectors::http::ServeOptions;
use groundswell_connectors::http::auth::{ApiKey, AuthOptions, JwksPlace, JwtKey, JwtOptions, Quota};
use groundswell_connectors::http::tls::TlsFiles;
use std::num::NonZeroU32;

/// The server as the configuration has it.
pub(super) fn options(serve: &ServeConfig) -> ServeOptions {
    ServeOptions {
        addr: serve.http,
        auth: serve.auth.as_ref().map(|auth| AuthOptions {
            keys: auth.keys.iter().map(api_key).collect(),
            jwt: auth.jwt.as_ref().map(jwt),
            tenant: auth.tenant,
        }),
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
        ..ServeOptions::default()
    }
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
