//! What the tests share: running `groundswell dlq`, and waiting.

use crate::program::{Ended, get, groundswell, run};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// `groundswell dlq …` in a folder, with variables of the environment.
pub fn dlq_with(folder: &Path, env: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = groundswell(folder, ["dlq"]);
    command.args(args).envs(env.iter().copied());
    run(command)
}

pub fn dlq(folder: &Path, args: &[&str]) -> Ended {
    dlq_with(folder, &[], args)
}

/// What it prints if all is well.
pub fn said(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    &ended.stdout
}

/// All letters as JSON.
pub fn letters(folder: &Path, env: &[(&str, &str)]) -> Vec<Value> {
    let ended = dlq_with(folder, env, &["list", "p.yaml", "--json"]);
    said(&ended).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the recorded past is restored.
pub fn ready(addr: SocketAddr) {
    eventually("ready", || {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(
            stream,
            "GET /health/ready HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.starts_with("HTTP/1.1 200")
    });
}

/// The rows of a view, without when they changed.
pub fn rows(addr: SocketAddr, view: &str) -> Value {
    let page: Value = serde_json::from_str(&get(addr, &format!("/api/v1/views/{view}"))).unwrap();
    let mut rows = page["data"].clone();
    for row in rows.as_array_mut().unwrap() {
        row.as_object_mut()
            .unwrap()
            .retain(|name, _| name != "tick" && name != "updated_at");
    }
    rows
}

/// Read, accepted, duplicate, dead-lettered and replayed records of a source.
pub fn counts(addr: SocketAddr, source: &str) -> [u64; 5] {
    let page = get(addr, "/metrics");
    ["read", "accepted", "duplicate", "dead_lettered", "replayed"].map(|what| {
        let name = format!("groundswell_records_{what}_total{{");
        let label = format!("source=\"{source}\"");
        let lines = page.lines().filter(|l| l.starts_with(&name) && l.contains(&label));
        lines
            .map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    })
}

/// A post whose time stands under `when`; `ours` puts it where it is looked for as well.
pub fn post(id: &str, text: &str, minute: i64, ours: bool) -> String {
    let at = 1_767_225_600_000 + minute * 60_000;
    let created = if ours {
        format!("\"created_at\":{at},")
    } else {
        String::new()
    };
    format!(
        "{{\"id\":\"{id}\",\"thread\":\"t\",\"author\":\"a\",\"text\":\"{text}\",\"score\":3,{created}\"when\":{at}}}"
    )
}
