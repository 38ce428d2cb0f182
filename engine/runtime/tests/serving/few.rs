//! `serve.k_anonymity` on the compiled binary: rows come and go with their third author, over HTTP and in events.

use crate::program::{Running, get};
use crate::world::{T0, append, eventually, page, post, post_by, start, write};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

fn threads(running: &Running, view: &str) -> Vec<String> {
    let page = page(running, &format!("/api/v1/views/{view}")).unwrap();
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["thread"].as_str().unwrap().to_owned())
        .collect()
}

fn status(running: &Running, path: &str) -> String {
    let addr = running.addr();
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn what_is_about_few_is_not_heard_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let pipeline = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    let pipeline = pipeline
        .replace("min_posts: 3", "min_posts: 1")
        .replace("127.0.0.1:0\"", "127.0.0.1:0\", k_anonymity: 3")
        .replace(
            "views:\n",
            "views:\n  last: {group_by: [thread], window: {sliding: {size: 5m, every: 1m}}}\n",
        )
        + "sinks:\n  rows: {type: file, path: rows.jsonl, from: by_minute}\n";
    std::fs::write(folder.join("p.yaml"), pipeline).unwrap();
    let running = start(folder);
    let addr = running.addr();
    eventually("ready", || (status(&running, "/health/ready") == "200").then_some(()));
    // An older HTTP has no chunks to look out for.
    let mut events = TcpStream::connect(addr).unwrap();
    write!(
        events,
        "GET /api/v1/events?view=by_minute HTTP/1.0\r\nHost: {addr}\r\n\r\n"
    )
    .unwrap();
    let mut posts = vec![
        post_by("a", "few", "ann", "x", T0, 1, -0.9),
        post_by("b", "few", "bob", "x", T0 + 1, 1, -0.9),
        post_by("c", "few", "ann", "x", T0 + 2, 1, -0.9),
    ];
    posts.extend((0..5).map(|i| post(&format!("m{i}"), "many", "x", T0 + i, 1, -0.7)));
    append(folder, "posts.jsonl", &posts);
    eventually("the many", || {
        (threads(&running, "by_minute") == ["many"]).then_some(())
    });
    assert_eq!(threads(&running, "last"), ["many"]);
    let alerts = eventually("an alert", || {
        page(&running, "/api/v1/alerts").filter(|page| page["data"].get(0).is_some())
    });
    let alerts = alerts["data"].as_array().unwrap();
    assert_eq!((alerts.len(), &alerts[0]["key"]["thread"]), (1, &Value::from("many")));
    assert_eq!(alerts[0]["evidence"], Value::Array(vec![]));

    append(
        folder,
        "posts.jsonl",
        &[post_by("d", "few", "cid", "x", T0 + 3, 1, -0.9)],
    );
    eventually("three authors", || (threads(&running, "last").len() == 2).then_some(()));
    assert_eq!(threads(&running, "by_minute").len(), 2);
    append(folder, "posts.jsonl", &[r#"{"id":"d","deleted":true}"#.to_owned()]);
    eventually("two authors", || (threads(&running, "last") == ["many"]).then_some(()));
    assert_eq!(threads(&running, "by_minute"), ["many"]);
    let file = get(addr, "/api/v1/views/by_minute/export?format=csv");
    assert!(file.contains("many,") && !file.contains("few,"), "{file}");
    for withheld in ["/api/v1/posts", "/api/v1/posts/a"] {
        assert_eq!(status(&running, withheld), "403", "{withheld}");
    }
    assert_eq!(status(&running, "/api/v1/events?view=_posts"), "404");

    // The frames tell of the few only between their third author and the loss of it.
    let (mut told, mut stream) = (Vec::new(), BufReader::new(events));
    while told.len() < 2 {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let Some(frame) = line.strip_prefix("data: ") else {
            continue;
        };
        let frame: Value = serde_json::from_str(frame).unwrap();
        for list in ["rows", "gone"] {
            let rows = frame[list].as_array().into_iter().flatten();
            told.extend(
                rows.filter(|row| row["thread"] == "few")
                    .map(|row| (list, row["posts"].clone())),
            );
        }
    }
    assert_eq!(told, [("rows", 4.into()), ("gone", Value::Null)]);
    // Sinks get everything.
    assert!(running.stop().code == Some(0));
    let sink = std::fs::read_to_string(folder.join("rows.jsonl")).unwrap();
    assert!(sink.contains("\"thread\":\"few\""), "{sink}");
}
