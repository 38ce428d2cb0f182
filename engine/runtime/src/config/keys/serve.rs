//! The keys of the server.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key("serve", Section, "HTTP, WebSocket and console; `false` serves nothing.").or(&["false"]).example("false"),
    key(
        "serve.http",
        Text,
        "Address to listen on. Beyond the loopback it needs `serve.auth`.",
    )
    .default("127.0.0.1:8080")
    .example("\"127.0.0.1:8080\""),
    key(
        "serve.metrics",
        Text,
        "Another address that answers `/metrics` and nothing else, without asking who asks: reach it from inside only.",
    )
    .example("\"127.0.0.1:9090\""),
    key(
        "serve.auth",
        Section,
        "Who may ask; then everybody needs a key or a token, on the loopback too. `false` lets whoever reaches the port do \
         everything, and has to be said for an address beyond the loopback.",
    )
    .or(&["false"])
    .example("false"),
    key("serve.auth.keys", Named, "API keys by the names that logs call them; `groundswell key` makes one.")
        .example("{grafana: {sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}"),
    key("serve.auth.keys.*", Section, "A key."),
    key("serve.auth.keys.*.sha256", Text, "SHA-256 of the key, in hex; the key itself is not kept.")
        .required()
        .example("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    key(
        "serve.auth.keys.*.role",
        Choice(&["read", "operate", "admin"]),
        "`read`: views, posts, alerts, `/metrics`, `/ws`. `operate`: also tell sinks what to do, see and replay dead letters. \
         `admin`: also erase.",
    )
    .default("read")
    .example("operate"),
    key("serve.auth.keys.*.tenant", Text, "Whoever has the key sees this tenant only.").example("acme"),
    key("serve.auth.jwt", Section, "JSON web tokens that are let in.")
        .example("{secret: \"${JWT_SECRET:-a secret of at least thirty-two bytes}\", audience: groundswell}"),
    key(
        "serve.auth.jwt.secret",
        Text,
        "What tokens are signed with by HS256, at least 32 bytes. A secret: `${NAME}` or `file:PATH`. It or `jwks`.",
    )
    .example("\"${JWT_SECRET:-a secret of at least thirty-two bytes}\""),
    key(
        "serve.auth.jwt.jwks",
        Text,
        "The public keys that tokens are signed with by RS256: an `https` address of a JSON web key set, or a file.",
    )
    .example("\"https://id.example.com/.well-known/jwks.json\""),
    key("serve.auth.jwt.audience", Text, "Tokens must be for this audience (`aud`).").required().example("groundswell"),
    key("serve.auth.jwt.issuer", Text, "And from this issuer (`iss`).").example("\"https://id.example.com\""),
    key("serve.auth.jwt.role_claim", Text, "The claim with the role; a token without it may read.")
        .default("role")
        .example("scope"),
    key("serve.auth.jwt.tenant_claim", Text, "The claim with the tenant.").default("tenant").example("org"),
    key(
        "serve.auth.tenant",
        Choice(&["thread", "entity", "author", "source"]),
        "The group column that holds the tenant. Who has a tenant sees the rows, posts and alerts with it, and of views \
         without this column nothing.",
    )
    .example("source"),
    key(
        "serve.k_anonymity",
        Integer(2, 1_000_000),
        "Rows about fewer distinct authors are withheld from whoever asks, and so are single posts. Sinks get everything.",
    )
    .example("5"),
    key("serve.quota", Section, "How often one key, one token's holder or one address may ask."),
    key("serve.quota.per_second", Integer(1, 1_000_000), "Requests a second in the long run.").required().example("50"),
    key("serve.quota.burst", Integer(1, 1_000_000), "Requests at once; if it is not given, as many as a second's.").example("100"),
    key("serve.tls", Section, "Certificate and key; read again when they change."),
    key("serve.tls.cert", Path, "The chain (PEM), the server's own certificate first.").required().example("cert.pem"),
    key("serve.tls.key", Path, "Its private key (PEM).").required().example("key.pem"),
    key(
        "serve.hosts",
        Texts,
        "Names besides `localhost` under which a server on the loopback may be addressed.",
    )
    .example("[console.test]"),
    key(
        "serve.origins",
        Texts,
        "Other sites whose pages may read and subscribe, such as `https://dashboard.example.com`.",
    )
    .example("[\"https://dashboard.example.com\"]"),
    key(
        "serve.routes",
        Section,
        "Routes and frames in the shapes of the first systems, and the views that answer them. With the section there is \
         `/api/posts`; the others are there if they have a view.",
    )
    .example("{sentiment: {hour: by_hour, day: by_day, distribution: [last_day]}}"),
    key("serve.routes.sentiment", Section, "`/api/sentiment/…` and `/ws/sentiment`: views that group by `label`, and not by `entity`."),
    key("serve.routes.sentiment.hour", Text, "Answers `aggregate?period=hour`: `{tumble: 1h}`.").example("by_hour"),
    key("serve.routes.sentiment.day", Text, "Answers `aggregate?period=day`: `{tumble: 1d}`.").example("by_day"),
    key(
        "serve.routes.sentiment.distribution",
        Names,
        "Answer `distribution?hours=N`: sliding views of N hours, the first also without `hours` and for the frame `metrics`.",
    )
    .example("[last_day]"),
    key(
        "serve.routes.events",
        Bool,
        "Whether keyword events are at `/api/v1/tge-events` and `/api/v1/tge-events/search`, and numbers about the engine at \
         `/api/v1/system/metrics`.",
    )
    .default("false")
    .example("true"),
    key("serve.routes.threads", Section, "`/api/threads…` and `/ws/thread/{thread}`: views that group by `thread`."),
    key(
        "serve.routes.threads.list",
        Text,
        "Answers `/api/threads`: `{tumble: …}`, and not by `entity`; its windows are added up, so longer ones are faster.",
    )
    .required()
    .example("by_thread"),
    key("serve.routes.threads.cast", Text, "Answers `…/cast` and `/ws/thread/{thread}`: by `thread` and `entity`, any window.")
        .example("cast_by_phase"),
    key("serve.routes.threads.timeline", Text, "Answers `…/timeline`: by `thread` and `entity` alone, `{tumble: …}`.")
        .example("cast_by_minute"),
    key(
        "serve.routes.feeds",
        Section,
        "`/api/v1/posts/feed/`, `…/user/{user}`, `…/{post}/likes`, `…/{post}/reposts` and `/ws/notifications/{user}`. Needs a \
         source of interactions or follows.",
    )
    .example("{half_life: 6h}"),
    key("serve.routes.feeds.half_life", Duration("1m", "365d"), "After so long a post is half as recent.")
        .default("6h")
        .example("6h"),
    key(
        "serve.routes.feeds.engagement_k",
        Number(0.001, 1e9),
        "A post whose likes + 2·comments + 3·reposts are so many has half of what engagement can give: x / (x + K).",
    )
    .default("10.0")
    .example("10.0"),
    key(
        "serve.routes.feeds.affinity_k",
        Number(0.001, 1e9),
        "The same for a reader's interactions with the author's posts, counted in the same way.",
    )
    .default("5.0")
    .example("5.0"),
    key(
        "serve.routes.feeds.model",
        Choice(&["civility", "sentiment"]),
        "What the model gives: one minus the probability that the post is toxic, or (1 + sentiment) / 2; a half while it is not \
         scored.",
    )
    .default("civility")
    .example("civility"),
    key("serve.routes.feeds.newest", Integer(1, 20_000), "So many of the newest posts are put into order…")
        .default("1000")
        .example("1000"),
    key(
        "serve.routes.feeds.engaged",
        Integer(0, 20_000),
        "…and so many of those with which most was done. The first 500 of them are the feed.",
    )
    .default("200")
    .example("200"),
];
