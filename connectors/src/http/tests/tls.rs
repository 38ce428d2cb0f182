//! The port with TLS; certificates are made by `openssl`.

use super::{Running, ServeOptions};
use crate::http::ServeError;
use crate::http::tls::TlsFiles;
use crate::hub::HubLimits;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use ureq::tls::{PemItem, parse_pem};

fn make(folder: &Path) -> TlsFiles {
    let files = TlsFiles {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    files
}

fn options(files: &TlsFiles) -> ServeOptions {
    ServeOptions {
        tls: Some(files.clone()),
        ..ServeOptions::default()
    }
}

/// Asks a server that has this certificate and no other.
fn ask(running: &Running, certificate: &Path) -> Result<(u16, String), ureq::Error> {
    let pem = std::fs::read(certificate).expect("readable");
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let agent = crate::web::agent(Duration::from_secs(10), Some(certificates.collect()));
    let url = format!("https://localhost:{}/health/live", running.server.addr().port());
    let answer = agent.get(&url).call()?;
    let hsts = answer.headers().get("strict-transport-security");
    Ok((
        answer.status().as_u16(),
        hsts.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
    ))
}

#[test]
fn the_certificate_may_be_replaced_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = make(folder.path());
    let old = folder.path().join("old.pem");
    std::fs::copy(&files.certificate, &old).expect("copied");
    let running = Running::with(options(&files), 1, 1, HubLimits::default());
    let (status, hsts) = ask(&running, &old).expect("an answer");
    assert!(status == 200 && hsts.starts_with("max-age="), "{status} {hsts}");
    // Without TLS there is no answer.
    let mut plain = TcpStream::connect(running.server.addr()).expect("connected");
    plain
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&heard));

    make(folder.path());
    let end = Instant::now() + Duration::from_secs(30);
    while ask(&running, &files.certificate).is_err() {
        assert!(Instant::now() < end, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(ask(&running, &old).is_err());
    // One that cannot be read replaces nothing.
    std::fs::write(&files.key, "no key").expect("written");
    std::thread::sleep(Duration::from_secs(6));
    assert!(ask(&running, &files.certificate).is_ok());
}

#[test]
fn what_is_wrong_with_a_certificate_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = make(folder.path());
    let refused = |files: &TlsFiles| {
        let hub = std::sync::Arc::new(crate::hub::testing::hub(HubLimits::default()));
        let metrics = std::sync::Arc::new(crate::metrics::Metrics::new().expect("no clash"));
        let options = ServeOptions {
            addr: ([127, 0, 0, 1], 0).into(),
            ..options(files)
        };
        match crate::http::serve(options, hub, metrics, std::sync::Arc::<super::Switch>::default()) {
            Err(error @ ServeError::Tls(_)) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted"),
        }
    };
    let gone = TlsFiles {
        key: folder.path().join("gone.pem"),
        ..files.clone()
    };
    assert!(refused(&gone).contains("gone.pem"));
    let other = tempfile::tempdir().expect("a folder");
    let mixed = TlsFiles {
        key: make(other.path()).key,
        ..files.clone()
    };
    let told = refused(&mixed);
    assert!(told.contains("cert.pem") && told.contains("key.pem"), "{told}");
    std::fs::write(&files.certificate, "").expect("written");
    assert!(refused(&files).contains("there is none in it"));
}
