//! A pipeline with files and a server, and a client.

use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Starts a pipeline over these posts, `(id, text)`, with this `models:` section and maybe more.
pub fn run(folder: &Path, posts: &[(&str, &str)], models: &str, more: &str) -> Running {
    let lines: Vec<String> = (0..)
        .zip(posts)
        .map(|(n, (id, text))| {
            let at = 1_700_000_000_000_i64 + n * 1_000;
            serde_json::json!({"id": id, "source": "s", "thread": "t", "text": text, "created_at": at}).to_string()
        })
        .collect();
    std::fs::write(folder.join("posts.jsonl"), lines.join("\n") + "\n").unwrap();
    let text = format!(
        "name: scoring\nsources: {{posts: {{type: file, path: posts.jsonl, into: posts}}}}\nmodels: {models}\n\
         views: {{by_hour: {{group_by: [thread], window: {{tumble: 1h}}}}}}\nserve: {{http: \"127.0.0.1:0\"}}\n{more}\n"
    );
    std::fs::write(folder.join("p.yaml"), text).unwrap();
    let pipeline = config::load(&folder.join("p.yaml")).unwrap_or_else(|e| panic!("{e}"));
    start(&pipeline, Connections::default()).unwrap()
}

pub fn drained(running: &Running) {
    eventually("drained", || {
        assert_eq!(running.engine.status().fatal(), None);
        running.engine.status().is_drained()
    });
}

pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub fn get(addr: SocketAddr, target: &str) -> Answer {
    ask(addr, "GET", target, "", "")
}

/// `headers` are whole lines.
pub fn ask(addr: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    // The server may refuse before it has read everything.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// The value of a metric, with its labels as they are written.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.rsplit_once(' ').is_some_and(|(n, _)| n == name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
