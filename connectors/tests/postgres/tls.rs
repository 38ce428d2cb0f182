//! TLS on a server with a certificate of its own authority, for every `sslmode`.

use super::world::{World, refused};
use groundswell_connectors::postgres::{PostgresError, PostgresSink};
use groundswell_core::serving::Sink;
use groundswell_testing::postgres::Postgres;
use std::path::Path;
use std::process::Command;

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let done = command
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .output()
        .expect("openssl is installed");
    assert!(
        done.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn each_mode_asks_what_it_says() {
    let files = tempfile::tempdir().unwrap();
    let at = |name: &str| files.path().join(name);
    let new = "req -newkey rsa:2048 -nodes";
    for authority in ["ca", "other"] {
        openssl(
            files.path(),
            &format!("{new} -x509 -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"),
        );
    }
    openssl(
        files.path(),
        &format!("{new} -subj /CN=localhost -keyout server.key -out server.csr"),
    );
    std::fs::write(at("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        files.path(),
        "x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out server.crt",
    );
    let mut server = Postgres::start_own(&[]).unwrap();
    let data = server.folder().unwrap().join("data");
    for name in ["server.key", "server.crt"] {
        std::fs::copy(at(name), data.join(name)).unwrap();
        server.give(&data.join(name)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(data.join(name), mode).unwrap();
    }
    let plain = server.database().unwrap();
    let mut world = World::new(1);
    world.step(3);
    // Without TLS on the server: preferred is not required.
    drop(world.open(&format!("{plain}?sslmode=prefer")));
    let error = refused(world.options(&format!("{plain}?sslmode=require")));
    assert!(error.to_string().contains("TLS"), "{error}");
    server.psql(&server.url(), "alter system set ssl = on").unwrap();
    server.restart().unwrap();
    let named = plain.replace("127.0.0.1", "localhost");
    let (ca, other) = (
        at("ca.crt").display().to_string(),
        at("other.crt").display().to_string(),
    );
    for (base, options, good) in [
        (&plain, "sslmode=prefer".to_owned(), true),
        (&plain, "sslmode=require".to_owned(), true),
        (&plain, format!("sslmode=verify-ca&sslrootcert={ca}"), true),
        (&plain, format!("sslmode=verify-full&sslrootcert={ca}"), false),
        (&named, format!("sslmode=verify-full&sslrootcert={ca}"), true),
        (&named, format!("sslmode=verify-full&sslrootcert={other}"), false),
        (&plain, format!("sslmode=verify-ca&sslrootcert={other}"), false),
        (&plain, format!("sslmode=require&sslrootcert={other}"), false),
    ] {
        match PostgresSink::open(world.options(&format!("{base}?{options}"))) {
            Ok(_sink) if good => {
                let sql = "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'ground%'";
                assert_eq!(server.psql(&plain, sql).unwrap(), "t", "{options}");
            }
            Ok(_) => panic!("{options} was let through"),
            Err(error) => assert!(
                !good && matches!(error, PostgresError::Tls { .. }),
                "{options}: {error}"
            ),
        }
    }
    let mut sink = world.open(&format!("{named}?sslmode=verify-full&sslrootcert={ca}"));
    sink.apply(&world.ticks[0]).unwrap();
    world.check(&server, &plain);
}
