//! Files of views through a real port.

use super::client::{self, Answer};
use super::{Running, SocketLimits};
use crate::hub::testing::{THREADS, VIEWS};
use crate::hub::{Hub, HubLimits};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::Dim;
use groundswell_core::score::Label;
use groundswell_core::serving::{RowChange, TickChanges};
use groundswell_core::spec::ViewKey;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn start() -> Running {
    Running::start(7, 80, SocketLimits::default(), HubLimits::default())
}

fn path(query: &str) -> String {
    format!("/api/v1/views/{}/export{query}", VIEWS[0])
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = answer.unchunked();
    text.lines().map(|l| serde_json::from_str(l).expect("a row")).collect()
}

#[test]
fn a_file_has_the_rows_of_the_view_at_the_tick_it_names() {
    let running = start();
    let thread = THREADS[2].replace(' ', "%20").replace('é', "%C3%A9");
    for query in [
        String::new(),
        format!("&thread={thread}"),
        "&since=120000&until=240000&order=desc".to_owned(),
    ] {
        let page = running
            .get(&format!("/api/v1/views/{}?limit=1000{query}", VIEWS[0]))
            .json();
        let answer = running.get(&path(&format!("?format=jsonl{query}")));
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(lines(&answer), *page["data"].as_array().expect("rows"), "{query}");
        assert_eq!(answer.header("groundswell-at"), page["metadata"]["at"].to_string());
    }
    let csv = running.get(&path(""));
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"by_minute.csv\""
    );
    assert!(
        csv.unchunked()
            .starts_with("thread,entity,window_start,window_end,posts,")
    );
    let parquet = running.get(&path("?format=parquet"));
    assert_eq!(parquet.header("content-type"), "application/vnd.apache.parquet");
    let moving = running.get(&format!("/api/v1/views/{}/export?format=jsonl", VIEWS[1]));
    let page = running.get(&format!("/api/v1/views/{}?limit=1000", VIEWS[1])).json();
    assert_eq!(lines(&moving), *page["data"].as_array().expect("rows"));
}

#[test]
fn head_etag_and_compression_are_as_on_other_routes() {
    let running = start();
    let addr = running.server.addr();
    let head = client::request(addr, "HEAD", &path("?format=parquet"), &[]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("groundswell-at"), running.history.tick.to_string());
    assert!(head.header("content-disposition").contains("by_minute.parquet"));
    let again = client::get(addr, &path("?format=csv"), &[("If-None-Match", head.header("etag"))]);
    assert_eq!(again.status, 304);
    let squeezed = |format: &str| {
        let answer = client::get(
            addr,
            &path(&format!("?format={format}")),
            &[("Accept-Encoding", "gzip")],
        );
        answer.header("content-encoding").to_owned()
    };
    assert_eq!(
        [squeezed("csv"), squeezed("parquet")],
        ["gzip".to_owned(), String::new()]
    );
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let running = start();
    for (target, status, code) in [
        (path("?format=xlsx"), 400, "INVALID_PARAMETER"),
        (path("?format=csv&format=csv"), 400, "INVALID_PARAMETER"),
        (path("?limit=5"), 400, "INVALID_PARAMETER"),
        (path("?since=noon"), 400, "INVALID_PARAMETER"),
        ("/api/v1/views/by_minut/export".to_owned(), 404, "UNKNOWN_VIEW"),
        ("/api/v1/views/_posts/export".to_owned(), 404, "UNKNOWN_VIEW"),
    ] {
        let answer = running.get(&target);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{target}");
    }
    let post = client::request(running.server.addr(), "POST", &path(""), &[]);
    assert_eq!(post.status, 405);
}

/// A tick that sets the posts of every row of the first view.
pub(super) fn all_rows(hub: &Hub, rows: i64, posts: i32) {
    let tick = hub.tick().unwrap_or(1_000) + 1;
    let row = |i: i64| {
        let mut acc = Acc::scored(UNIT + i, 5, Label::Neutral, false, false);
        acc.posts = posts;
        RowChange {
            key: ViewKey {
                group: [Dim::of(THREADS[0]), Dim::NONE, Dim::NONE, Dim::NONE],
                start: i * 60_000,
            },
            acc: Some(acc),
            numbers: None,
            revision: 0,
        }
    };
    hub.apply(&TickChanges {
        tick,
        views: vec![(0..rows).map(row).collect(), Vec::new()],
        ..TickChanges::default()
    });
}

fn open(running: &Running, format: &str) -> TcpStream {
    let addr = running.server.addr();
    let mut stream = TcpStream::connect(addr).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n",
        path(&format!("?format={format}"))
    );
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

#[test]
fn ticks_go_on_while_a_file_is_read_and_do_not_reach_it() {
    const ROWS: i64 = 60_000;
    let running = Running::start(7, 0, SocketLimits::default(), HubLimits::default());
    all_rows(&running.hub, ROWS, 1);
    let mut stream = open(&running, "jsonl");
    let mut begun = vec![0; 4_096];
    stream.read_exact(&mut begun).expect("the beginning");
    // More than the network holds is left: these come before it is made.
    for posts in 2..6 {
        let before = std::time::Instant::now();
        all_rows(&running.hub, ROWS, posts);
        assert!(before.elapsed() < Duration::from_secs(5), "a tick waited for a reader");
    }
    stream.read_to_end(&mut begun).expect("the rest");
    let answer = client::answer(&begun);
    let rows = lines(&answer);
    assert_eq!(rows.len(), usize::try_from(ROWS).expect("small"));
    let mut by_posts = BTreeMap::new();
    for row in &rows {
        *by_posts.entry(row["posts"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(by_posts.len(), 1, "rows of one tick only: {by_posts:?}");
    let of = answer.header("groundswell-at").parse::<i64>().expect("a tick") - 1_000;
    assert_eq!(
        by_posts.keys().next(),
        Some(&of.to_string()),
        "of the tick that is named"
    );
}

#[test]
fn readers_that_stop_reading_are_few() {
    let running = Running::start(7, 0, SocketLimits::default(), HubLimits::default());
    all_rows(&running.hub, 100_000, 1);
    let mut stuck: Vec<TcpStream> = (0..8).map(|_| open(&running, "jsonl")).collect();
    for stream in &mut stuck {
        stream.read_exact(&mut [0; 64]).expect("the beginning");
    }
    let refused = running.get(&path(""));
    assert_eq!((refused.status, refused.code().as_str()), (503, "TOO_MANY_EXPORTS"));
    assert!(!refused.header("retry-after").is_empty());
    // Others are served all the same, and a place is free as soon as somebody leaves.
    assert_eq!(running.get("/api/v1/views/by_minute?limit=1000").status, 200);
    stuck.clear();
    let free = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        running.get(&path("?until=0")).status == 200
    });
    assert!(free);
}
