//! What is served, and to whom, in full.

use super::super::pipeline::{AuthConfig, JwtKeys, RoutesConfig, ServeConfig};
use super::super::units::show_duration;
use super::{Yaml, file, text};

pub(super) fn print_serve(serve: &ServeConfig, out: &mut Yaml) {
    out.section(0, "serve");
    out.line(1, "http", text(&serve.http.to_string()));
    if let Some(metrics) = serve.metrics {
        out.line(1, "metrics", text(&metrics.to_string()));
    }
    match &serve.auth {
        None if serve.http.ip().is_loopback() => {}
        None => out.line(1, "auth", "false"),
        Some(auth) => print_auth(auth, out),
    }
    if let Some((per_second, burst)) = serve.quota {
        out.section(1, "quota");
        out.line(2, "per_second", per_second);
        out.line(2, "burst", burst);
    }
    if let Some((cert, key)) = &serve.tls {
        out.section(1, "tls");
        out.line(2, "cert", file(cert));
        out.line(2, "key", file(key));
    }
    if let Some(k) = serve.k_anonymity {
        out.line(1, "k_anonymity", k.to_string());
    }
    for (key, all) in [("hosts", &serve.hosts), ("origins", &serve.origins)] {
        if !all.is_empty() {
            let all: Vec<String> = all.iter().map(|t| text(t)).collect();
            out.line(1, key, format!("[{}]", all.join(", ")));
        }
    }
    serve.routes.iter().for_each(|routes| print_routes(routes, out));
}

fn print_routes(routes: &RoutesConfig, out: &mut Yaml) {
    out.section(1, "routes");
    if let Some(sentiment) = &routes.sentiment {
        out.section(2, "sentiment");
        for (key, name) in [("hour", &sentiment.hour), ("day", &sentiment.day)] {
            name.iter().for_each(|name| out.line(3, key, text(name)));
        }
        if !sentiment.distribution.is_empty() {
            let all: Vec<String> = sentiment.distribution.iter().map(|name| text(name)).collect();
            out.line(3, "distribution", format!("[{}]", all.join(", ")));
        }
    }
    if let Some(feeds) = &routes.feeds {
        out.section(2, "feeds");
        out.line(3, "half_life", show_duration(feeds.half_life_ms));
        out.line(3, "engagement_k", format!("{:?}", feeds.engagement_k));
        out.line(3, "affinity_k", format!("{:?}", feeds.affinity_k));
        out.line(3, "model", feeds.model.name());
        out.line(3, "newest", feeds.newest.to_string());
        out.line(3, "engaged", feeds.engaged.to_string());
    }
    out.line(2, "events", routes.events);
    if let Some(threads) = &routes.threads {
        out.section(2, "threads");
        out.line(3, "list", text(&threads.list));
        for (key, name) in [("cast", &threads.cast), ("timeline", &threads.timeline)] {
            name.iter().for_each(|name| out.line(3, key, text(name)));
        }
    }
}

fn print_auth(auth: &AuthConfig, out: &mut Yaml) {
    out.section(1, "auth");
    if !auth.keys.is_empty() {
        out.section(2, "keys");
    }
    for key in &auth.keys {
        out.section(3, &text(&key.name));
        let hex: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        out.line(4, "sha256", hex);
        out.line(4, "role", key.role.name());
        if let Some(tenant) = &key.tenant {
            out.line(4, "tenant", text(tenant));
        }
    }
    if let Some(jwt) = &auth.jwt {
        out.section(2, "jwt");
        match &jwt.key {
            JwtKeys::Secret(secret) => out.line(3, "secret", text(&secret.to_string())),
            JwtKeys::File(path) => out.line(3, "jwks", file(path)),
            JwtKeys::Url(url) => out.line(3, "jwks", text(url)),
        }
        out.line(3, "audience", text(&jwt.audience));
        if let Some(issuer) = &jwt.issuer {
            out.line(3, "issuer", text(issuer));
        }
        out.line(3, "role_claim", text(&jwt.role_claim));
        out.line(3, "tenant_claim", text(&jwt.tenant_claim));
    }
    if let Some(column) = auth.tenant {
        out.line(2, "tenant", column.name());
    }
}
