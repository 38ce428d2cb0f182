//! `serve:`

mod routes;

pub(super) use routes::Known;

use super::error::quoted;
use super::field::Field;
use super::pipeline::{AuthConfig, JwtConfig, JwtKeys, KeyConfig, ServeConfig};
use super::read::Section;
use groundswell_connectors::http::auth::Role;
use groundswell_core::spec::GroupColumn;
use std::net::SocketAddr;
use std::path::PathBuf;

/// RFC 7518, 3.2: a key of HS256 has at least as many bits as the digest.
const SECRET_BYTES: usize = 32;

/// Reads it; `Some(None)` is "serve nothing".
pub(super) fn serve(root: &Section<'_>, views: Known<'_>) -> Option<Option<ServeConfig>> {
    if root.given("serve").is_some_and(|f| f.is("false")) {
        return Some(None);
    }
    let section = root.section("serve")?;
    let http = section.get("http").and_then(|f| address(&f));
    let metrics = optional(section.given("metrics"), |f| address(&f));
    let open = section.given("auth").is_some_and(|f| f.is("false"));
    let auth = match section.given("auth").filter(|_| !open) {
        None => Some(None),
        Some(field) => field.section().and_then(|s| auth(&s, &field)).map(Some),
    };
    let quota = optional(section.given("quota"), |f| quota(&f.section()?));
    let tls = optional(section.given("tls"), |f| tls(&f.section()?));
    let hosts = optional(section.given("hosts"), |f| texts(&f));
    let origins = optional(section.given("origins"), |f| origins(&f));
    let routes = optional(section.given("routes"), |f| routes::routes(&f.section()?, views));
    let k = optional(section.given("k_anonymity"), |f| i32::try_from(f.integer()?).ok());
    let (http, auth) = (http?, auth?);
    if !http.ip().is_loopback() && auth.is_none() && !open {
        section.get("http")?.error(
            "beyond the loopback it has to be said who may ask",
            Some("add serve.auth with keys or jwt (`groundswell key` makes a key), or say `auth: false` if a proxy in front decides".to_owned()),
        );
        return None;
    }
    Some(Some(ServeConfig {
        http,
        metrics: metrics?,
        auth,
        quota: quota?,
        tls: tls?,
        hosts: hosts?.unwrap_or_default(),
        origins: origins?.unwrap_or_default(),
        routes: routes?,
        k_anonymity: k?,
    }))
}

/// What is absent is no mistake.
fn optional<T>(field: Option<Field<'_>>, read: impl FnOnce(Field<'_>) -> Option<T>) -> Option<Option<T>> {
    field.map_or(Some(None), |field| read(field).map(Some))
}

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    let numeric = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.clone(), |port| format!("127.0.0.1:{port}"));
    let parsed = numeric.parse().ok();
    if parsed.is_none() {
        field.error(
            format!("{} is not an address", quoted(&text)),
            Some("for example \"127.0.0.1:8080\"".to_owned()),
        );
    }
    parsed
}

fn auth(section: &Section<'_>, field: &Field<'_>) -> Option<AuthConfig> {
    let named = section.section("keys").map(|keys| keys.named()).unwrap_or_default();
    let read: Vec<Option<KeyConfig>> = named.iter().map(|(name, field)| key(name, field)).collect();
    let jwt = optional(section.given("jwt"), |f| jwt(&f.section()?, &f));
    let tenant = optional(section.given("tenant"), |f| f.choice());
    let keys: Vec<KeyConfig> = read.into_iter().collect::<Option<_>>()?;
    let (jwt, tenant) = (jwt?, tenant?);
    if keys.is_empty() && jwt.is_none() {
        field.key_error("nobody could ever ask", Some("give `keys`, `jwt` or both".to_owned()));
        return None;
    }
    let column = tenant.and_then(|word| GroupColumn::GIVEN.into_iter().find(|c| c.name() == word));
    if column.is_none()
        && let Some(key) = keys.iter().find(|key| key.tenant.is_some())
    {
        let message = format!(
            "the key {} has a tenant, and no column holds tenants",
            quoted(&key.name)
        );
        field.key_error(message, Some("say which with `tenant:`".to_owned()));
        return None;
    }
    Some(AuthConfig {
        keys,
        jwt,
        tenant: column,
    })
}

fn key(name: &str, field: &Field<'_>) -> Option<KeyConfig> {
    let section = field.section()?;
    let digest = section.required("sha256").and_then(|f| digest(&f));
    let role = section.get("role").and_then(|f| f.choice()).and_then(Role::named);
    let tenant = optional(section.given("tenant"), |f| f.text());
    Some(KeyConfig {
        name: name.to_owned(),
        sha256: digest?,
        role: role?,
        tenant: tenant?,
    })
}

fn digest(field: &Field<'_>) -> Option<[u8; 32]> {
    let text = field.text()?;
    let mut digest = [0; 32];
    let pairs = text.as_bytes().chunks(2);
    let good = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && pairs.zip(&mut digest).all(|(pair, byte)| {
            let parsed = std::str::from_utf8(pair)
                .ok()
                .and_then(|p| u8::from_str_radix(p, 16).ok());
            parsed.map(|p| *byte = p).is_some()
        });
    if !good {
        // Somebody may have put the key itself here: it is not repeated.
        field.error(
            "expected the SHA-256 of a key, 64 hex digits",
            Some("`groundswell key` prints a new key and what to write here".to_owned()),
        );
        return None;
    }
    Some(digest)
}

fn jwt(section: &Section<'_>, field: &Field<'_>) -> Option<JwtConfig> {
    let key = match (section.given("secret"), section.given("jwks")) {
        (Some(secret), None) => secret.secret().and_then(|read| {
            if read.expose().len() < SECRET_BYTES {
                secret.error(
                    format!("has less than {SECRET_BYTES} bytes, which can be guessed"),
                    None,
                );
                return None;
            }
            Some(JwtKeys::Secret(read))
        }),
        (None, Some(jwks)) => place(&jwks),
        (both, _) => {
            let message = if both.is_some() {
                "has `secret` and `jwks`"
            } else {
                "has no key to check tokens with"
            };
            field.key_error(message, Some("give `secret` (HS256) or `jwks` (RS256)".to_owned()));
            None
        }
    };
    let audience = section.required("audience").and_then(|f| f.text());
    let issuer = optional(section.given("issuer"), |f| f.text());
    let [role, tenant] = ["role_claim", "tenant_claim"].map(|name| section.get(name).and_then(|f| f.text()));
    Some(JwtConfig {
        key: key?,
        audience: audience?,
        issuer: issuer?,
        role_claim: role?,
        tenant_claim: tenant?,
    })
}

fn place(field: &Field<'_>) -> Option<JwtKeys> {
    let text = field.text()?;
    if text.starts_with("https://") {
        return Some(JwtKeys::Url(text));
    }
    if text.contains("://") {
        field.error(
            format!("{} is not an https address", quoted(&text)),
            Some("whoever can change the keys on their way can sign tokens".to_owned()),
        );
        return None;
    }
    field.resolve(&text).map(JwtKeys::File)
}

fn quota(section: &Section<'_>) -> Option<(u32, u32)> {
    let number = |f: Field<'_>| f.integer().and_then(|n| u32::try_from(n).ok());
    let per_second = section.required("per_second").and_then(number);
    let burst = optional(section.given("burst"), number);
    let (per_second, burst) = (per_second?, burst?);
    Some((per_second, burst.unwrap_or(per_second)))
}

fn tls(section: &Section<'_>) -> Option<(PathBuf, PathBuf)> {
    let [cert, key] = ["cert", "key"].map(|name| section.required(name).and_then(|f| f.path()));
    Some((cert?, key?))
}

fn texts(field: &Field<'_>) -> Option<Vec<String>> {
    field.list("a list of texts")?.iter().map(Field::text).collect()
}

fn origins(field: &Field<'_>) -> Option<Vec<String>> {
    let items = field.list("a list of origins")?;
    let origin = |item: &Field<'_>| {
        let text = item.text()?;
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        if rest.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
            item.error(
                format!("{} is not an origin", quoted(&text)),
                Some("scheme, name and perhaps port, as in \"https://dashboard.example.com\"".to_owned()),
            );
            return None;
        }
        Some(text)
    };
    let read: Vec<Option<String>> = items.iter().map(origin).collect();
    read.into_iter().collect()
}
