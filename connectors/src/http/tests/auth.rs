//! Who is let in, what they see, and how fast they may ask.

use super::client::{Answer, get, request};
use super::{Running, ServeOptions};
use crate::http::auth::{ApiKey, AuthOptions, JwtKey, JwtOptions, Quota, Role, digest_of, new_key};
use crate::hub::HubLimits;
use crate::hub::testing::{THREADS, VIEWS};
use futures::{SinkExt, StreamExt};
use groundswell_core::spec::GroupColumn;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

struct Keys {
    read: String,
    operate: String,
    tenant: String,
}

fn start(column: impl Into<Option<GroupColumn>>, quota: Option<Quota>) -> (Running, Keys) {
    let keys = Keys {
        read: new_key(),
        operate: new_key(),
        tenant: new_key(),
    };
    let key = |name: &str, key: &str, role, tenant: Option<&str>| ApiKey {
        name: name.into(),
        digest: digest_of(key),
        role,
        tenant: tenant.map(Into::into),
    };
    let auth = AuthOptions {
        keys: vec![
            key("reader", &keys.read, Role::Read, None),
            key("operator", &keys.operate, Role::Operate, None),
            key("tenant", &keys.tenant, Role::Operate, Some(THREADS[0])),
        ],
        jwt: Some(JwtOptions {
            key: JwtKey::Secret(SECRET.to_vec()),
            audience: "groundswell".into(),
            issuer: None,
            role_claim: "role".into(),
            tenant_claim: "tenant".into(),
        }),
        tenant: column.into(),
    };
    let options = ServeOptions {
        auth: Some(auth),
        quota,
        ..ServeOptions::default()
    };
    (Running::with(options, 5, 60, HubLimits::default()), keys)
}

fn token(claims: &Value) -> String {
    let mut all = json!({"sub": "ann", "aud": "groundswell", "exp": 4_102_444_800_u64});
    all.as_object_mut()
        .expect("an object")
        .extend(claims.as_object().expect("an object").clone());
    encode(&Header::default(), &all, &EncodingKey::from_secret(SECRET)).expect("signed")
}

fn bearer(running: &Running, target: &str, credential: &str) -> Answer {
    let value = format!("Bearer {credential}");
    get(running.server.addr(), target, &[("Authorization", &value)])
}

#[test]
fn everybody_may_ask_who_they_are() {
    let (running, keys) = start(GroupColumn::Thread, None);
    running.ready();
    let me = |credential: &str| {
        let answer = bearer(&running, "/api/v1/me", credential);
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
        answer.json()["data"].clone()
    };
    let of = |name: &str, role: &str, tenant: Option<&str>, expires: Option<u64>| json!({"name": name, "role": role, "tenant": tenant, "expires": expires, "serves": []});
    assert_eq!(me(&keys.read), of("reader", "read", None, None));
    assert_eq!(me(&keys.operate), of("operator", "operate", None, None));
    assert_eq!(me(&keys.tenant), of("tenant", "operate", Some(THREADS[0]), None));
    let ann = token(&json!({"role": "admin"}));
    assert_eq!(me(&ann), of("ann", "admin", None, Some(4_102_444_800)));
    assert_eq!(running.get("/api/v1/me").status, 401);
    let open = Running::with(ServeOptions::default(), 5, 60, HubLimits::default());
    open.ready();
    assert_eq!(open.get("/api/v1/me").json()["data"]["role"], "admin");
    assert_eq!(open.get("/api/v1/me").json()["data"]["name"], Value::Null);
}

#[test]
fn nothing_but_life_signs_is_open() {
    let (running, keys) = start(GroupColumn::Thread, None);
    running.ready();
    for open in ["/health/live", "/health/ready", "/openapi.json", "/docs"] {
        assert_eq!(running.get(open).status, 200, "{open}");
    }
    let closed = [
        "/api/v1/views",
        "/api/v1/views/by_minute",
        "/api/v1/posts",
        "/api/v1/posts/p1",
        "/api/v1/alerts",
        "/api/v1/sinks",
        "/metrics",
        "/health",
        "/api/health",
        "/ws",
    ];
    for target in closed {
        let answer = running.get(target);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{target}"
        );
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{target}");
        for wrong in ["", "x", &new_key(), "a.b.c", &keys.read[1..]] {
            assert_eq!(bearer(&running, target, wrong).status, 401, "{target} {wrong}");
        }
        let expired = token(&json!({"exp": 1_000_000_000}));
        let answer = bearer(&running, target, &expired);
        assert_eq!(answer.status, 401);
        assert!(
            answer.body.contains("expired") && !answer.body.contains(&expired),
            "{}",
            answer.body
        );
    }
    assert_eq!(bearer(&running, "/api/v1/views", &keys.read).status, 200);
    assert_eq!(
        get(running.server.addr(), "/api/v1/views", &[("X-API-Key", &keys.read)]).status,
        200
    );
    assert_eq!(bearer(&running, "/api/v1/views", &token(&json!({}))).status, 200);
    assert_eq!(bearer(&running, "/metrics", &keys.read).status, 200);
    // In the address it would end up in logs.
    assert_eq!(
        running.get(&format!("/api/v1/views?access_token={}", keys.read)).status,
        401
    );
}

#[test]
fn roles_are_kept() {
    let (running, keys) = start(GroupColumn::Thread, None);
    let act = |credential: &str| {
        let value = format!("Bearer {credential}");
        request(
            running.server.addr(),
            "POST",
            "/api/v1/sinks/pg/pause",
            &[("Authorization", &value)],
        )
    };
    let refused = act(&keys.read);
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"));
    assert!(refused.body.contains("operate"), "{}", refused.body);
    assert_eq!(act(&token(&json!({"role": "read"}))).status, 403);
    // There is no such sink, but that is not for readers to know.
    assert_eq!(act(&keys.operate).status, 404);
    assert_eq!(act(&token(&json!({"role": "admin"}))).status, 404);
    assert_eq!(act(&keys.tenant).status, 403);
    assert_eq!(act(&token(&json!({"role": "root"}))).status, 403);
}

#[test]
fn a_tenant_sees_what_is_theirs() {
    let (running, keys) = start(GroupColumn::Thread, None);
    let all = bearer(&running, "/api/v1/views/by_minute?limit=1000", &keys.read).json();
    let own = bearer(&running, "/api/v1/views/by_minute?limit=1000", &keys.tenant).json();
    let rows = |answer: &Value| answer["data"].as_array().expect("rows").clone();
    let mine = |row: &Value| row["thread"] == THREADS[0];
    let expected: Vec<Value> = rows(&all).into_iter().filter(|row| mine(row)).collect();
    assert!(!expected.is_empty() && expected.len() < rows(&all).len());
    assert_eq!(rows(&own), expected);
    // Asking for another's gives nothing, and a count of all is not given.
    let other = bearer(
        &running,
        &format!("/api/v1/views/by_minute?thread={}", THREADS[1]),
        &keys.tenant,
    )
    .json();
    assert_eq!(rows(&other), Vec::<Value>::new());
    assert!(own["metadata"]["total"].is_null(), "{}", own["metadata"]);
    let by_token = bearer(
        &running,
        "/api/v1/views/by_minute?limit=1000",
        &token(&json!({"tenant": THREADS[0]})),
    );
    assert_eq!(rows(&by_token.json()), expected);
    let listed = bearer(&running, "/api/v1/views", &keys.tenant).json();
    assert!(rows(&listed).iter().all(|view| view["rows"].is_null()) && rows(&listed).len() == 2);

    let posts = rows(&bearer(&running, "/api/v1/posts?limit=1000", &keys.read).json());
    let own = rows(&bearer(&running, "/api/v1/posts?limit=1000", &keys.tenant).json());
    assert!(own.iter().all(mine) && own.len() == posts.iter().filter(|p| mine(p)).count() && own.len() < posts.len());
    let foreign = posts.iter().find(|p| !mine(p)).expect("another's post")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        bearer(&running, &format!("/api/v1/posts/{foreign}"), &keys.tenant).status,
        404
    );
    assert_eq!(
        bearer(&running, &format!("/api/v1/posts/{foreign}"), &keys.read).status,
        200
    );
    let alerts = rows(&bearer(&running, "/api/v1/alerts?limit=1000", &keys.read).json());
    let own = rows(&bearer(&running, "/api/v1/alerts?limit=1000", &keys.tenant).json());
    let theirs = |a: &&Value| a["key"]["thread"] == THREADS[0];
    assert_eq!(own.len(), alerts.iter().filter(theirs).count());
    for shared in ["/metrics", "/health", "/api/v1/sinks"] {
        assert_eq!(bearer(&running, shared, &keys.tenant).status, 403, "{shared}");
    }
    // Their copies are told apart: a page of one must not confirm that of another.
    let tag = |credential: &str| {
        bearer(&running, "/api/v1/views/by_minute", credential)
            .header("etag")
            .to_owned()
    };
    assert_ne!(tag(&keys.read), tag(&keys.tenant));
}

#[test]
fn a_view_that_mixes_tenants_is_not_there_for_one() {
    let (running, keys) = start(GroupColumn::Source, None);
    let listed = bearer(&running, "/api/v1/views", &keys.tenant).json();
    assert_eq!(listed["data"], json!([]));
    let answer = bearer(&running, "/api/v1/views/by_minute", &keys.tenant);
    assert_eq!((answer.status, answer.code().as_str()), (404, "UNKNOWN_VIEW"));
    assert!(!answer.body.contains(VIEWS[1]), "{}", answer.body);
}

#[test]
fn sockets_are_for_those_who_may_read_and_show_them_theirs() {
    let (running, keys) = start(GroupColumn::Thread, None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let addr = running.server.addr();
    let open = async |protocols: &str| {
        let mut upgrade = format!("ws://{addr}/ws").into_client_request().expect("a request");
        upgrade
            .headers_mut()
            .insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        tokio_tungstenite::connect_async(upgrade).await
    };
    runtime.block_on(async {
        for wrong in ["groundswell", "groundswell, bearer.x"] {
            match open(wrong).await {
                Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
                other => panic!("{other:?}"),
            }
        }
        let (mut socket, answer) = open(&format!("groundswell, bearer.{}", keys.tenant))
            .await
            .expect("let in");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "groundswell");
        for view in [VIEWS[0], "_posts", "_alerts"] {
            let say = json!({"op": "subscribe", "view": view}).to_string();
            socket.send(Message::text(say)).await.expect("sent");
        }
        let mut snapshots = 0;
        while snapshots < 3 {
            let Message::Text(text) = socket.next().await.expect("open").expect("a frame") else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if frame["type"] != "snapshot" {
                continue;
            }
            snapshots += 1;
            for row in frame["rows"].as_array().expect("rows") {
                let thread = row.get("thread").unwrap_or(&row["key"]["thread"]);
                assert_eq!(thread, THREADS[0], "{row}");
            }
        }
    });
}

#[test]
fn who_asks_too_often_waits() {
    let two = NonZeroU32::new(2).expect("not zero");
    let quota = Quota {
        per_second: NonZeroU32::MIN,
        burst: two,
    };
    let (running, keys) = start(GroupColumn::Thread, Some(quota));
    let answers: Vec<Answer> = (0..6).map(|_| bearer(&running, "/api/v1/views", &keys.read)).collect();
    let refused: Vec<&Answer> = answers.iter().filter(|a| a.status == 429).collect();
    assert!(answers[0].status == 200 && answers[1].status == 200 && !refused.is_empty());
    assert_eq!(
        (refused[0].code().as_str(), refused[0].header("retry-after")),
        ("RATE_LIMITED", "1")
    );
    // Another key has its own.
    assert_eq!(bearer(&running, "/api/v1/views", &keys.operate).status, 200);
}

#[test]
fn without_a_tenant_column_a_tenant_sees_nothing() {
    let (running, keys) = start(None, None);
    for credential in [keys.tenant, token(&json!({"tenant": "acme"}))] {
        assert_eq!(bearer(&running, "/api/v1/views", &credential).status, 403);
    }
    assert_eq!(bearer(&running, "/api/v1/views", &keys.read).status, 200);
}

#[test]
fn a_tenant_never_hears_of_the_posts_and_alerts_of_others() {
    let (mut running, keys) = start(GroupColumn::Thread, None);
    let (addr, hub) = (running.server.addr(), std::sync::Arc::clone(&running.hub));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tick = hub.tick().expect("ticked");
    runtime.block_on(async {
        let mut upgrade = format!("ws://{addr}/ws").into_client_request().expect("a request");
        let offered = format!("groundswell, bearer.{}", keys.tenant)
            .parse()
            .expect("a header");
        upgrade.headers_mut().insert("sec-websocket-protocol", offered);
        let (mut socket, _) = tokio_tungstenite::connect_async(upgrade).await.expect("let in");
        // Coming back, too: what it held before is not known.
        for (view, from) in [("_posts", Some(tick)), ("_alerts", None)] {
            let say = json!({"op": "subscribe", "view": view, "from": from}).to_string();
            socket.send(Message::text(say)).await.expect("sent");
        }
        let (mut held, mut gone, mut snapshots) = (std::collections::BTreeMap::new(), 0, 0);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while gone < 5 {
            assert!(
                std::time::Instant::now() < end,
                "{gone} posts or alerts went, after {snapshots} snapshots"
            );
            if snapshots == 2 {
                running.tick();
            }
            let Ok(Some(frame)) = tokio::time::timeout(std::time::Duration::from_millis(200), socket.next()).await
            else {
                continue;
            };
            let Message::Text(text) = frame.expect("a frame") else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            snapshots += usize::from(frame["type"] == "snapshot");
            let list = |name: &str| frame[name].as_array().cloned().unwrap_or_default();
            for row in list("rows") {
                let thread = row.get("thread").unwrap_or(&row["key"]["thread"]);
                assert_eq!(thread, THREADS[0], "{row}");
                held.insert((frame["view"].to_string(), row["id"].to_string()), ());
            }
            for row in list("gone") {
                let known = held.remove(&(frame["view"].to_string(), row["id"].to_string()));
                assert!(known.is_some(), "it never had {row}");
                gone += 1;
            }
        }
    });
}

#[test]
fn what_was_begun_with_a_token_ends_with_it() {
    use std::io::Read;
    let (running, _) = start(GroupColumn::Thread, None);
    let addr = running.server.addr();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    // Clocks may differ by half a minute, so that this one has two seconds left.
    let token = token(&json!({"exp": now - 28}));
    let mut events = std::net::TcpStream::connect(addr).expect("connected");
    let get = format!(
        "GET /api/v1/events?view={} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n",
        VIEWS[0]
    );
    std::io::Write::write_all(&mut events, get.as_bytes()).expect("sent");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let closed = runtime.block_on(async {
        let mut upgrade = format!("ws://{addr}/ws").into_client_request().expect("a request");
        let offered = format!("groundswell, bearer.{token}").parse().expect("a header");
        upgrade.headers_mut().insert("sec-websocket-protocol", offered);
        let (mut socket, _) = tokio_tungstenite::connect_async(upgrade).await.expect("let in");
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(close))) => return close.map(|c| (u16::from(c.code), c.reason.to_string())),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    let (code, reason) = closed.expect("a reason");
    assert_eq!(code, 1008);
    assert!(reason.starts_with("the token has expired; resume from"), "{reason}");
    let mut told = String::new();
    events
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .expect("timeout");
    events.read_to_string(&mut told).expect("the end");
    assert!(
        told.contains("event: snapshot") && told.contains("event: problem"),
        "{told}"
    );
    assert!(told.contains("TOKEN_EXPIRED"), "{told}");
}

#[test]
fn wrong_credentials_run_out_and_good_ones_do_not() {
    let (running, keys) = start(GroupColumn::Thread, None);
    let statuses: Vec<u16> = (0..130)
        .map(|_| bearer(&running, "/api/v1/views", "gsk_wrong").status)
        .collect();
    assert!(statuses[..100].iter().all(|s| *s == 401), "{statuses:?}");
    let refused = bearer(&running, "/api/v1/views", "gsk_wrong");
    assert!(statuses.contains(&429) && refused.status == 429, "{statuses:?}");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(bearer(&running, "/api/v1/views", &keys.read).status, 200);
    assert_eq!(
        running.get("/api/v1/views").status,
        401,
        "none at all is not a wrong one"
    );
}

#[test]
fn files_and_events_show_a_tenant_theirs() {
    let (running, keys) = start(GroupColumn::Thread, None);
    let file = bearer(&running, "/api/v1/views/by_minute/export?format=jsonl", &keys.tenant);
    let rows: Vec<Value> = file
        .unchunked()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row["thread"] == THREADS[0]),
        "{rows:?}"
    );
    let other = format!("/api/v1/views/by_minute/export?format=jsonl&thread={}", THREADS[1]);
    assert_eq!(bearer(&running, &other, &keys.tenant).unchunked(), "");
    for view in [VIEWS[0], "_posts", "_alerts"] {
        let answer = bearer(&running, &format!("/api/v1/events?view={view}&x=y"), &keys.tenant);
        assert_eq!(answer.status, 400, "{view}");
        for target in [
            format!("/api/v1/events?view={view}"),
            "/api/v1/views/by_minute/export".to_owned(),
        ] {
            assert_eq!(running.get(&target).status, 401, "{target}");
        }
    }
    let (mixed, keys) = start(GroupColumn::Source, None);
    assert_eq!(
        bearer(&mixed, "/api/v1/views/by_minute/export", &keys.tenant).status,
        404
    );
    assert_eq!(
        bearer(&mixed, "/api/v1/events?view=by_minute", &keys.tenant).status,
        404
    );
}
