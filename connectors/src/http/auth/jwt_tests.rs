//! Tokens, good and forged; the keys are made by `openssl`.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn options(key: JwtKey) -> JwtOptions {
    JwtOptions {
        key,
        audience: "groundswell".into(),
        issuer: Some("https://id.example".into()),
        role_claim: "role".into(),
        tenant_claim: "tenant".into(),
    }
}

fn claims(changes: &Value) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let mut claims = json!({
        "sub": "ann", "aud": "groundswell", "iss": "https://id.example", "exp": now + 60, "role": "operate", "tenant": "acme",
    });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().expect("an object").remove(name),
            value => claims
                .as_object_mut()
                .expect("an object")
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn signed(header: &Header, changes: &Value, key: &EncodingKey) -> String {
    encode(header, &claims(changes), key).expect("signed")
}

fn check(verifier: &Verifier, token: &str) -> Result<Principal, (u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let checked = runtime.block_on(verifier.check(token));
    checked.map_err(|e| (e.status.as_u16(), e.message))
}

fn hs(changes: &Value) -> Result<Principal, (u16, String)> {
    let verifier = Verifier::new(options(JwtKey::Secret(SECRET.to_vec()))).expect("usable");
    check(
        &verifier,
        &signed(&Header::default(), changes, &EncodingKey::from_secret(SECRET)),
    )
}

#[test]
fn a_good_token_says_who_asks() {
    let ann = hs(&json!({})).expect("let in");
    assert_eq!(
        (&*ann.name, ann.role, ann.tenant.as_deref()),
        ("token ann", Role::Operate, Some("acme"))
    );
    let bare = hs(&json!({"role": null, "tenant": null})).expect("let in");
    assert_eq!((bare.role, bare.tenant), (Role::Read, None));
    assert!(hs(&json!({"aud": ["other", "groundswell"]})).is_ok());
}

#[test]
fn tokens_that_cannot_be_believed_are_refused() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    for (changes, status) in [
        (json!({"exp": now - 3_600}), 401),
        (json!({"exp": null}), 401),
        (json!({"exp": "tomorrow"}), 401),
        (json!({"nbf": now + 3_600}), 401),
        (json!({"aud": "another"}), 401),
        (json!({"aud": null}), 401),
        (json!({"iss": "https://evil.example"}), 401),
        (json!({"iss": null}), 401),
        (json!({"sub": null}), 401),
        (json!({"sub": ""}), 401),
        (json!({"role": "root"}), 403),
        (json!({"role": ["admin"]}), 403),
        (json!({"tenant": ""}), 403),
        (json!({"tenant": ["acme", "evil"]}), 403),
        (json!({"tenant": false}), 403),
    ] {
        let refused = hs(&changes).expect_err(&changes.to_string());
        assert_eq!(refused.0, status, "{changes}: {}", refused.1);
    }
    let verifier = Verifier::new(options(JwtKey::Secret(SECRET.to_vec()))).expect("usable");
    let other = signed(
        &Header::default(),
        &json!({}),
        &EncodingKey::from_secret(b"another secret"),
    );
    assert_eq!(check(&verifier, &other).expect_err("another key").0, 401);
    // A token that says of itself that it needs no signature, and one that claims another algorithm with the right secret.
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims(&json!({}))));
    assert_eq!(check(&verifier, &unsigned).expect_err("unsigned").0, 401);
    let longer = Header::new(jsonwebtoken::Algorithm::HS512);
    let longer = signed(&longer, &json!({}), &EncodingKey::from_secret(SECRET));
    assert_eq!(check(&verifier, &longer).expect_err("another algorithm").0, 401);
    for odd in [
        "..",
        "a.b.c",
        "é.é.é",
        &format!("{}.x.y", part(&json!({"alg": "HS256"}))),
    ] {
        assert_eq!(check(&verifier, odd).expect_err(odd).0, 401);
    }
}

/// A new RSA key: for signing, and as a JSON web key.
fn rsa(folder: &Path, id: &str) -> (EncodingKey, Value) {
    let file = folder.join(format!("{id}.pem"));
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl")
            .args(arguments)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    };
    let path = file.to_str().expect("a name");
    openssl(&["genrsa", "-out", path, "2048"]);
    let modulus = String::from_utf8(openssl(&["rsa", "-in", path, "-noout", "-modulus"])).expect("text");
    let hex = modulus.trim().strip_prefix("Modulus=").expect("a modulus").to_owned();
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": URL_SAFE_NO_PAD.encode(bytes), "e": "AQAB",
    });
    let pem = std::fs::read(&file).expect("readable");
    (EncodingKey::from_rsa_pem(&pem).expect("a key"), jwk)
}

fn header(id: Option<&str>) -> Header {
    let mut header = Header::new(jsonwebtoken::Algorithm::RS256);
    header.kid = id.map(str::to_owned);
    header
}

#[test]
fn keys_come_from_a_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let ((one, first), (two, second)) = (rsa(folder.path(), "one"), rsa(folder.path(), "two"));
    let file = folder.path().join("jwks.json");
    let encryption = json!({"kty": "RSA", "use": "enc", "kid": "enc", "n": second["n"], "e": "AQAB"});
    let set = json!({"keys": [first, encryption]});
    std::fs::write(&file, set.to_string()).expect("written");
    let verifier = Verifier::new(options(JwtKey::Set(JwksPlace::File(file.clone())))).expect("usable");
    assert!(check(&verifier, &signed(&header(Some("one")), &json!({}), &one)).is_ok());
    // The only signature key needs no name.
    assert!(check(&verifier, &signed(&header(None), &json!({}), &one)).is_ok());
    for (id, key) in [
        (Some("one"), &two),
        (Some("two"), &two),
        (Some("enc"), &two),
        (None, &two),
    ] {
        let refused = check(&verifier, &signed(&header(id), &json!({}), key));
        assert_eq!(refused.expect_err("not that key").0, 401, "{id:?}");
    }
    // A public key is no secret: it must not verify what was signed with it as one.
    let public = serde_json::to_vec(&first).expect("JSON");
    let confused = signed(&Header::default(), &json!({}), &EncodingKey::from_secret(&public));
    assert_eq!(check(&verifier, &confused).expect_err("another algorithm").0, 401);

    for (text, says) in [
        ("{}", "not a JSON web key set"),
        ("{\"keys\":[]}", "no RSA key"),
        ("<html>", "not a JSON"),
    ] {
        std::fs::write(&file, text).expect("written");
        let refused = Verifier::new(options(JwtKey::Set(JwksPlace::File(file.clone()))));
        let told = refused.err().expect("refused").to_string();
        assert!(told.contains(says) && told.contains("jwks.json"), "{told}");
    }
}

#[test]
fn a_key_set_that_does_not_answer_holds_up_nobody_whose_key_is_known() {
    use std::io::{Read, Write};
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().expect("a folder");
    let ((one, first), (two, second)) = (rsa(folder.path(), "one"), rsa(folder.path(), "two"));
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/jwks.json", server.local_addr().expect("an address"));
    let (asked, asks) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    // The first answer comes at once; later ones, with another key, when they may.
    std::thread::spawn(move || {
        for n in 0.. {
            let Ok((mut stream, _)) = server.accept() else { return };
            let _ = stream.read(&mut [0; 4_096]);
            let _ = asked.send(n);
            let keys = match n {
                0 => json!({ "keys": [first] }),
                _ => json!({ "keys": [first, second] }),
            };
            if n > 0 && may_go.recv().is_err() {
                return;
            }
            let keys = keys.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                keys.len()
            );
            let _ = stream.write_all((head + &keys).as_bytes());
        }
    });
    let mut verifier = Verifier::new(options(JwtKey::Secret(SECRET.to_vec()))).expect("usable");
    verifier.validation.algorithms = vec![Algorithm::RS256];
    let ages = (Duration::from_millis(200), Duration::from_millis(200));
    verifier.keys = Keys::Set(KeySet::with_ages(JwksPlace::Url(url), ages).expect("usable"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let known = signed(&header(Some("one")), &json!({}), &one);
    let ask = |token: &str| runtime.block_on(verifier.check(token)).is_ok();
    assert!(ask(&known));
    assert_eq!(asks.recv(), Ok(0));
    std::thread::sleep(ages.0);
    let began = Instant::now();
    for _ in 0..50 {
        assert!(ask(&known));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(asks.recv(), Ok(1), "it was asked all the same");
    // A token whose key is not known yet waits for the answer, and is believed by it.
    let unknown = signed(&header(Some("two")), &json!({}), &two);
    go.send(()).expect("it waits");
    assert!(ask(&unknown));
}
