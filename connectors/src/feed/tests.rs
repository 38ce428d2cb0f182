#![allow(clippy::unwrap_used)]

use super::*;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use groundswell_core::id::Names;
use groundswell_core::record::{Binding, Envelope, Record};
use groundswell_core::source::{Durable, SourceBatch, StopFlag};
use std::sync::atomic::AtomicI64;
use std::thread::JoinHandle;
use std::time::Instant;

const FEW: Duration = Duration::from_millis(30);

/// What a server does: asked for the nth time (from 0), with these headers.
type Script = Arc<dyn Fn(usize, &HeaderMap) -> Response + Send + Sync>;

#[derive(Clone)]
struct Served {
    asked: Arc<Mutex<Vec<(Instant, HeaderMap)>>>,
    script: Script,
}

/// A real server on a port of its own.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<(Instant, HeaderMap)>>>,
    _runtime: tokio::runtime::Runtime,
}

fn server(script: impl Fn(usize, &HeaderMap) -> Response + Send + Sync + 'static) -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let served = Served {
        asked: Arc::default(),
        script: Arc::new(script),
    };
    let asked = Arc::clone(&served.asked);
    let answer = |State(served): State<Served>, headers: HeaderMap| async move {
        let n = {
            let mut asked = served.asked.lock();
            asked.push((Instant::now(), headers.clone()));
            asked.len() - 1
        };
        (served.script)(n, &headers)
    };
    let router = Router::new().route("/rss", get(answer)).with_state(served);
    let router = router.route("/loop", get(|| async { axum::response::Redirect::to("/loop") }));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server {
        url,
        asked,
        _runtime: runtime,
    }
}

impl Server {
    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    fn feed(&self, name: &str, path: &str) -> Feed {
        Feed {
            name: name.into(),
            url: format!("{}{path}", self.url),
            interval: FEW,
        }
    }
}

/// A running source.
struct Run {
    batches: crossbeam_channel::Receiver<SourceBatch>,
    stop: StopFlag,
    board: FeedBoard,
    metrics: Arc<Metrics>,
    thread: Option<JoinHandle<Result<(), SourceError>>>,
}

fn run(mut spec: FeedSpec, resume: Vec<Binding>) -> Run {
    spec.retries = Retries {
        base: Duration::from_millis(4),
        longest: Duration::from_millis(20),
        ..spec.retries
    };
    let (out, batches) = crossbeam_channel::bounded(8);
    let stop = StopFlag::default();
    let context = SourceContext {
        source: 3,
        resume,
        out,
        stop: stop.clone(),
        names: Arc::new(Names::default()),
        horizon: Arc::new(AtomicI64::new(i64::MIN)),
        durable: Durable::default(),
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let source = FeedSource::new(spec).with_metrics(Arc::clone(&metrics));
    let board = source.board();
    let thread = std::thread::spawn(move || Box::new(source).run(context));
    Run {
        batches,
        stop,
        board,
        metrics,
        thread: Some(thread),
    }
}

impl Run {
    fn batch(&self) -> SourceBatch {
        self.batches.recv_timeout(Duration::from_secs(20)).expect("a batch")
    }

    fn records(&self) -> Vec<Record> {
        self.batch().records.into_iter().map(|e: Envelope| e.record).collect()
    }

    /// Waits until a feed has trouble of this kind.
    fn trouble(&self, feed: &str, part: &str) -> FeedStatus {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.board.all()[feed].clone();
            if status.trouble.as_ref().is_some_and(|t| t.contains(part)) {
                return status;
            }
            assert!(Instant::now() < end, "{status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn rss(items: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>t</title><link>https://example.com</link><description>d</description>{items}</channel></rss>"
    )
}

fn item(guid: &str, title: &str) -> String {
    format!(
        "<item><guid isPermaLink=\"false\">{guid}</guid><title>{title}</title><link>https://example.com/{guid}</link><description>&lt;p&gt;About &lt;b&gt;{title}&lt;/b&gt; &amp;amp; more&lt;/p&gt;</description><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>"
    )
}

fn posts(records: &[Record]) -> Vec<(String, String)> {
    let post = |r: &Record| match r {
        Record::Post(p) => Some((p.id.clone(), p.text.clone())),
        _ => None,
    };
    records.iter().filter_map(post).collect()
}

fn codes(records: &[Record]) -> Vec<String> {
    let code = |r: &Record| match r {
        Record::Dead(d) => Some(d.code.clone()),
        _ => None,
    };
    records.iter().filter_map(code).collect()
}

#[test]
fn items_become_posts_and_only_what_is_new_is_handed_on() {
    let server = server(|n, headers| {
        let tag = format!("\"v{}\"", n.min(2));
        if headers.get("if-none-match").is_some_and(|v| *v == *tag) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let body = match n {
            0 => rss(&(item("a", "First") + &item("b", "Second"))),
            1 => rss(&(item("b", "Second, edited") + &item("a", "First"))),
            _ => rss(&(item("c", "Third") + &item("b", "Second, edited"))),
        };
        (
            [("etag", tag), ("last-modified", "Tue, 10 Jun 2025 04:00:00 GMT".into())],
            body,
        )
            .into_response()
    });
    let run = run(FeedSpec::new("news", vec![server.feed("outlet", "/rss")]), Vec::new());
    let first = run.batch();
    assert_eq!(
        (first.source, &first.bindings),
        (
            3,
            &vec![Binding {
                source: 3,
                partition: partition("outlet"),
                next: 2
            }]
        )
    );
    let Record::Post(post) = &first.records[0].record else {
        panic!("{first:?}")
    };
    assert_eq!((post.id.as_str(), post.source.as_str()), ("outlet:a", "outlet"));
    assert_eq!(
        (post.text.as_str(), post.created_at),
        ("First\nAbout First & more", 1_749_528_000_000)
    );
    assert_eq!(
        post.extra.as_deref(),
        Some(r#"{"title":"First","url":"https://example.com/a"}"#)
    );
    assert_eq!(
        posts(&run.records()),
        [(
            "outlet:b".to_owned(),
            "Second, edited\nAbout Second, edited & more".to_owned()
        )]
    );
    let third = run.batch();
    assert_eq!((third.records[0].offset, third.bindings[0].next), (3, 4));
    assert_eq!(
        third.records[0].record.identity(),
        Record::PostDeleted { id: "outlet:c".into() }.identity()
    );
    // From now on nothing changes, and the server is told what we have.
    let end = Instant::now() + Duration::from_secs(20);
    while server.asked() < 6 {
        assert!(Instant::now() < end);
        std::thread::sleep(FEW);
    }
    let headers = server.asked.lock().last().unwrap().1.clone();
    assert_eq!(headers["if-none-match"], "\"v2\"");
    assert_eq!(headers["if-modified-since"], "Tue, 10 Jun 2025 04:00:00 GMT");
    assert!(run.batches.is_empty() && run.board.all()["outlet"].trouble.is_none());
    let text = run.metrics.text().unwrap();
    assert!(
        text.contains("groundswell_feed_up{feed=\"outlet\",source=\"news\"} 1"),
        "{text}"
    );
    assert!(text.contains("outcome=\"unchanged\""));
}

#[test]
fn positions_go_on_where_the_record_ends() {
    let server = server(|_, _| rss(&item("a", "First")).into_response());
    let resume = vec![Binding {
        source: 3,
        partition: partition("outlet"),
        next: 41,
    }];
    let run = run(FeedSpec::new("news", vec![server.feed("outlet", "/rss")]), resume);
    let batch = run.batch();
    assert_eq!(
        (batch.records[0].offset, batch.records[0].order, batch.bindings[0].next),
        (41, 41, 42)
    );
}

#[test]
fn an_outage_of_one_feed_is_seen_retried_and_left_alone_while_others_go_on() {
    let bad = server(|n, _| match n {
        // Two failures that pass, then a reading that succeeds with the third attempt.
        0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        2 => rss(&item("a", "At last")).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    });
    let good = server(|n, _| rss(&item(&format!("n{n}"), "New")).into_response());
    let mut spec = FeedSpec::new("news", vec![bad.feed("bad", "/rss"), good.feed("good", "/rss")]);
    spec.open = Duration::from_secs(60);
    let run = run(spec, Vec::new());
    let status = run.trouble("bad", "404");
    assert!(status.read_at.is_some(), "the third attempt succeeded");
    let end = Instant::now() + Duration::from_secs(20);
    while run.board.all()["bad"].failures < 5 {
        assert!(Instant::now() < end);
        while run.batches.try_recv().is_ok() {}
        std::thread::sleep(FEW);
    }
    let (asked, others) = (bad.asked(), good.asked());
    assert_eq!(
        asked,
        3 + 5,
        "a 404 does not pass: it is not asked again before the next reading"
    );
    while good.asked() < others + 5 {
        assert!(Instant::now() < end);
        while run.batches.try_recv().is_ok() {}
        std::thread::sleep(FEW);
    }
    assert_eq!(bad.asked(), asked, "the breaker is open");
    let text = run.metrics.text().unwrap();
    assert!(
        text.contains("groundswell_feed_up{feed=\"bad\",source=\"news\"} 0"),
        "{text}"
    );
    assert!(
        text.contains("groundswell_feed_requests_total{feed=\"bad\",outcome=\"retried\",source=\"news\"} 2"),
        "{text}"
    );
}

#[test]
fn what_is_no_feed_says_so() {
    let server = server(|n, _| match n % 5 {
        0 => "<!DOCTYPE html><html><body><p>Please enable cookies<br></body></html>".into_response(),
        1 => rss("<item><guid>x</guid>")
            .trim_end_matches("</channel></rss>")
            .to_owned()
            .into_response(),
        2 => vec![0xff_u8, 0xfe, 0x00, 0x01].into_response(),
        3 => "x".repeat(2 << 20).into_response(),
        _ => String::new().into_response(),
    });
    let mut spec = FeedSpec::new("news", vec![server.feed("odd", "/rss"), server.feed("loop", "/loop")]);
    spec.failures = 1_000;
    let run = run(spec, Vec::new());
    run.trouble("odd", "a web page, no feed");
    run.trouble("odd", "longer than 1048576 bytes (max_bytes)");
    run.trouble("odd", "no feed that can be read");
    run.trouble("loop", "redirected more than 5 times");
}

#[test]
fn entities_are_not_expanded_and_depth_is_harmless() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned()
        + &(1..12)
            .map(|n| format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10)))
            .collect::<String>()
        + "]>"
        + &rss("<item><guid>boom</guid><title>&lol11;</title><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>")
            [21..];
    let deep = rss(&format!(
        "<item><guid>deep</guid><title>Deep</title>{}</item>",
        "<x>".repeat(200_000)
    ));
    let outside = "<!DOCTYPE x [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>".to_owned()
        + &rss("<item><guid>xxe</guid><title>&xxe;</title><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>")
            [21..];
    let latest = i64::MAX;
    for (body, limit) in [(&bomb, 10_000), (&deep, 10_000), (&outside, 10_000)] {
        let began = Instant::now();
        let records = item::records(body.as_bytes(), "f", "https://example.com", latest);
        assert!(began.elapsed() < Duration::from_secs(5));
        for (_, text) in posts(&records.unwrap_or_default()) {
            assert!(text.len() < limit && !text.contains("root:"), "{text}");
        }
    }
}

#[test]
fn items_that_cannot_be_posts_are_dead_letters() {
    let server = server(|_, _| {
        let no_time = "<item><guid>t</guid><title>When?</title></item>";
        let no_words = "<item><guid>w</guid><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>";
        let no_id = "<item><title>Who?</title><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>";
        let future = "<item><guid>f</guid><title>Soon</title><pubDate>Tue, 10 Jun 2199 04:00:00 GMT</pubDate></item>";
        let link = "<item><title>By its link</title><link>https://example.com/l</link><pubDate>Tue, 10 Jun 2025 04:00:00 GMT</pubDate></item>";
        rss(&[no_time, no_words, no_id, future, link].concat()).into_response()
    });
    let run = run(FeedSpec::new("news", vec![server.feed("f", "/rss")]), Vec::new());
    let records = run.records();
    let mut found = codes(&records);
    found.sort();
    assert_eq!(
        found,
        ["missing_field", "missing_field", "missing_field", "time_in_future"]
    );
    assert_eq!(
        posts(&records),
        [("f:https://example.com/l".to_owned(), "By its link".to_owned())]
    );
    std::thread::sleep(4 * FEW);
    assert!(run.batches.is_empty(), "they are not repeated with every reading");
}

#[test]
fn the_rate_is_that_of_all_feeds_together() {
    let server = server(|n, _| rss(&item(&n.to_string(), "New")).into_response());
    let mut spec = FeedSpec::new("news", ["a", "b", "c"].map(|name| server.feed(name, "/rss")).to_vec());
    (spec.requests, spec.per) = (4, Duration::from_millis(400));
    let run = run(spec, Vec::new());
    let began = Instant::now();
    while server.asked() < 10 {
        assert!(began.elapsed() < Duration::from_secs(20));
        while run.batches.try_recv().is_ok() {}
        std::thread::sleep(Duration::from_millis(5));
    }
    let times: Vec<Instant> = server.asked.lock().iter().map(|(at, _)| *at).collect();
    for five in times.windows(5) {
        assert!(
            five[4] - five[0] >= Duration::from_millis(300),
            "five requests in {:?}",
            five[4] - five[0]
        );
    }
}

#[test]
fn atom_is_read_as_well() {
    let atom = r#"<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><title>t</title><updated>2025-06-10T04:00:00Z</updated>
      <entry><id>urn:1</id><title type="html">A &lt;i&gt;title&lt;/i&gt;</title><updated>2025-06-10T04:00:00Z</updated>
      <author><name>Ann</name></author><link rel="alternate" href="https://example.com/1"/><content type="html">&lt;p&gt;Body&lt;/p&gt;</content></entry></feed>"#;
    let records = item::records(atom.as_bytes(), "f", "https://example.com", i64::MAX).unwrap();
    let Record::Post(post) = &records[0] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (post.id.as_str(), post.text.as_str(), post.author.as_deref()),
        ("f:urn:1", "A title\nBody", Some("Ann"))
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_a_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300), html in "(?s)[<>&;#xa-z\"/= ]{0,60}") {
        let _ = item::records(&body, "f", "https://example.com", 0);
        let _ = item::records(rss(&format!("<item><guid>a</guid><description><![CDATA[{html}]]></description></item>")).as_bytes(), "f", "u", i64::MAX);
        let _ = item::records(rss(&html).as_bytes(), "f", "https://example.com", 0);
    }
}
