//! `news-sweeper.yaml`: articles about crypto currencies, and a feed from a server of the test's own. Outlets repeat each other,
//! articles are edited and deleted, keywords and companies change, and the program is killed.

use super::world::{Record, World, data, document, record};
use groundswell_core::id::PostKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const ARTICLES: usize = 2_500;
const HOUR: i64 = 3_600_000;

/// Posts, dictionaries, and what is found where; spans are in characters from 0.
const RAW: &str = r"
create view raw.newest as
  select distinct on (topic, id) topic, id, rec::jsonb as rec from raw.records order by topic, id, n desc;
create materialized view raw.post as
  select id, rec->>'source' as source, (rec->>'created_at')::bigint as at, rec->>'text' as text,
    coalesce(rec->>'title', '') as title, coalesce(rec->>'url', '') as url,
    case when coalesce(rec->>'title', '') = '' or starts_with(rec->>'text', rec->>'title') then rec->>'text'
         when rec->>'text' = '' then rec->>'title' else (rec->>'title') || E'\n' || (rec->>'text') end as searched
  from raw.newest where topic = 'news.posts' and rec is not null;
create view raw.name as
  select id as entity, rec->>'name' as company, rec->>'name' as name from raw.newest where topic = 'news.companies' and rec is not null
  union select id, rec->>'name', jsonb_array_elements_text(rec->'aliases') from raw.newest where topic = 'news.companies' and rec is not null;
create view raw.phrase as
  select id as keyword, p as phrase, false as excludes from raw.newest, jsonb_array_elements_text(rec->'phrases') p where topic = 'news.keywords'
  union all select id, p, true from raw.newest, jsonb_array_elements_text(rec->'exclude') p where topic = 'news.keywords'
  union all select 'tge_keywords', unnest(array['token generation event', 'token launch', 'TGE', 'initial token offering']), false
  union all select 'tge_keywords', unnest(array['rumor', 'speculation', 'allegedly']), true;
create function raw.pattern(phrase text) returns text language sql immutable as $$
  select '(?<![[:alnum:]_])' || regexp_replace(regexp_replace(phrase, '([^[:alnum:][:space:]])', '\\\1', 'g'), '[[:space:]]+', '[[:space:]]+', 'g') || '(?![[:alnum:]_])' $$;
create function raw.spans(body text, phrase text) returns table (s int, e int) language sql immutable as $$
  select regexp_instr(body, raw.pattern(phrase), 1, n, 0, 'i') - 1, regexp_instr(body, raw.pattern(phrase), 1, n, 1, 'i') - 1
  from generate_series(1, regexp_count(body, raw.pattern(phrase), 1, 'i')) n $$;
create materialized view raw.mention as
  select id, entity, company, s, e from raw.post join raw.name on position(lower(split_part(name, ' ', 1)) in lower(searched)) > 0,
    raw.spans(searched, name);
create materialized view raw.found as
  select id, keyword, phrase, excludes, s, e from raw.post join raw.phrase on position(lower(split_part(phrase, ' ', 1)) in lower(searched)) > 0,
    raw.spans(searched, phrase);
create materialized view raw.candidate as
  select f.id, f.keyword, f.s, f.e, x.phrase as suppressed_by,
    case when f.phrase ~ '[^[:alnum:]_]' then 950000
         when f.phrase = upper(f.phrase) and substr(p.searched, f.s + 1, f.e - f.s) <> f.phrase then 800000 else 900000 end as form
  from raw.found f join raw.post p using (id) left join lateral (
    select phrase from raw.found x where x.id = f.id and x.keyword = f.keyword and x.excludes and greatest(x.s - f.e, f.s - x.e, 0) <= 100
    order by greatest(x.s - f.e, f.s - x.e, 0), x.s, x.e limit 1) x on true
  where not f.excludes;
create materialized view raw.hit as
  with all_of as (
    select id, keyword, '' as entity, null as company, s, e, suppressed_by, form - 50000 as ppm from raw.candidate
    union all
    select c.id, keyword, entity, company, c.s, c.e, suppressed_by, form + 50000 * (50 - greatest(m.s - c.e, c.s - m.e, 0)) / 50
    from raw.candidate c join raw.mention m on m.id = c.id and greatest(m.s - c.e, c.s - m.e, 0) <= 50
  ), best as (
    select distinct on (id, keyword, entity) * from all_of where ppm >= 850000
    order by id, keyword, entity, suppressed_by is not null, ppm desc, s, e
  )
  select * from best b where entity <> '' or not exists (select from best o where o.id = b.id and o.keyword = b.keyword and o.entity <> '');
";

/// Each row of the table against what it must be.
const DIFFERENT: &str = "
with e as materialized (
  select h.id as post, keyword, entity, company, s, e, ppm / 1e6 as confidence, suppressed_by, story, at, source,
    substr(searched, s + 1, e - s) as matched,
    substr(searched, greatest(s - 100, 0) + 1, least(e + 100, length(searched)) - greatest(s - 100, 0)) as context,
    nullif(title, '') as title, nullif(url, '') as url,
    nullif(first_value(h.id) over (partition by keyword, entity, story, suppressed_by is null order by place), h.id) as stands
  from raw.hit h join raw.post p using (id) join raw.story using (id)
), v as materialized (
  select a.*, d.post as stands from news_sweeper.events a left join news_sweeper.events d on d.id = a.duplicate_of
)
select count(*) from e full join v using (post, keyword, entity)
where e.s is distinct from v.span_start or e.e is distinct from v.span_end or e.company is distinct from v.company
  or e.matched is distinct from v.matched or e.context is distinct from v.context or abs(e.confidence - v.confidence) > 1e-9
  or e.suppressed_by is distinct from v.suppressed_by or e.story is distinct from v.story or e.stands is distinct from v.stands
  or e.source is distinct from v.source or e.title is distinct from v.title or e.url is distinct from v.url
  or to_timestamp(e.at / 1000.0) is distinct from v.created_at";

/// A server with one feed, which another outlet's feed repeats a day later.
fn feeds() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let item = |guid: &str, title: &str, day: u8| {
        format!(
            "<item><guid isPermaLink=\"false\">{guid}</guid><title>{title}</title><link>https://{guid}.example.com/news?utm_source=rss</link>\
             <description>&lt;p&gt;The company said so on &lt;b&gt;Monday&lt;/b&gt;.&lt;/p&gt;</description>\
             <pubDate>{day:02} Jun 2025 04:00:00 GMT</pubDate></item>"
        )
    };
    let channel = |item: String| {
        format!("<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>t</title>{item}</channel></rss>")
    };
    let one = channel(item(
        "one",
        "Example Corp announces its token generation event for June",
        10,
    ));
    let two = channel(item(
        "two",
        "Example Corp Announces Its Token Generation Event for June: report",
        11,
    ));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let n = stream.read(&mut head).unwrap();
            let body = if head[..n].starts_with(b"GET /one") { &one } else { &two };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

/// What the feeds say, as records: they come to the engine through its own source.
fn of_the_feeds() -> Vec<(String, Record)> {
    let one = (
        "coindesk",
        "one",
        "Example Corp announces its token generation event for June",
        1_749_528_000_000_i64,
    );
    let two = (
        "cointelegraph",
        "two",
        "Example Corp Announces Its Token Generation Event for June: report",
        1_749_614_400_000,
    );
    let record = |(source, guid, title, at): (&str, &str, &str, i64)| {
        let text = format!("{title}\nThe company said so on Monday.");
        let url = format!("https://{guid}.example.com/news?utm_source=rss");
        let fields = [
            ("source", json!(source)),
            ("title", json!(title)),
            ("text", json!(text)),
            ("url", json!(url)),
            ("created_at", json!(at)),
        ];
        (format!("{source}:{guid}"), record(&fields))
    };
    [one, two].map(record).into()
}

fn article(of: &Record) -> (String, Option<Record>) {
    // Postgres takes letters beyond ASCII for none, depending on its locale.
    let ascii = |field: &str| {
        of[field]
            .as_str()
            .unwrap_or_default()
            .replace(|c: char| !c.is_ascii(), " ")
            .trim()
            .to_owned()
    };
    let fields = [
        ("source", of["source"].clone()),
        ("title", json!(ascii("title"))),
        ("text", json!(ascii("summary"))),
        ("url", of["url"].clone()),
        ("created_at", of["published_at"].clone()),
    ];
    (of["id"].as_str().unwrap().to_owned(), Some(record(&fields)))
}

/// The article again, from somebody else and later.
fn repeated(of: &(String, Option<Record>), prefix: &str, change: impl Fn(&mut Record)) -> (String, Option<Record>) {
    let mut record = of.1.clone().unwrap();
    record.insert("source".into(), json!(format!("Echo {prefix}")));
    record.insert(
        "created_at".into(),
        json!(record["created_at"].as_i64().unwrap() + HOUR),
    );
    change(&mut record);
    (format!("{prefix}{}", of.0), Some(record))
}

fn companies() -> Vec<(String, Option<Record>)> {
    let all = document("entities/crypto_aliases_reddit.json");
    let company = |(name, aliases): (&String, &Value)| {
        let aliases: Vec<&str> = aliases
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .filter(|a| a.is_ascii())
            .collect();
        let id = name.to_lowercase().replace(' ', "-");
        (
            id.clone(),
            Some(record(&[
                ("id", json!(id)),
                ("name", json!(name)),
                ("aliases", json!(aliases)),
            ])),
        )
    };
    let all = all["cryptos"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.is_ascii())
        .map(company);
    let example = record(&[
        ("id", json!("example")),
        ("name", json!("Example Corp")),
        ("aliases", json!([])),
    ]);
    all.take(25).chain([("example".to_owned(), Some(example))]).collect()
}

fn keyword(phrases: &[&str], exclude: &[&str]) -> Vec<(String, Option<Record>)> {
    let fields = [
        ("id", json!("markets")),
        ("phrases", json!(phrases)),
        ("exclude", json!(exclude)),
    ];
    vec![("markets".to_owned(), Some(record(&fields)))]
}

/// Where each post's story begins: every post in its order looks at all beginnings before it.
fn stories(world: &World) {
    let posts = world.json("select id, title, url, at from raw.post");
    let text = |post: &Value, field: &str| post[field].as_str().unwrap().to_owned();
    let mut posts: Vec<(i64, PostKey, String, BTreeSet<String>, String)> = posts
        .as_array()
        .unwrap()
        .iter()
        .map(|post| {
            let title = text(post, "title").to_lowercase();
            let words: Vec<&str> = title
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .filter(|w| !w.is_empty())
                .collect();
            let pairs = if words.len() < 4 {
                BTreeSet::new()
            } else {
                words.windows(2).map(|p| p.join(" ")).collect()
            };
            let url = text(post, "url")
                .split('?')
                .next()
                .unwrap()
                .replace("https://", "")
                .replace("www.", "");
            let id = text(post, "id");
            (post["at"].as_i64().unwrap(), PostKey::of(id.as_bytes()), id, pairs, url)
        })
        .collect();
    posts.sort();
    let alike = |a: &(i64, PostKey, String, BTreeSet<String>, String),
                 b: &(i64, PostKey, String, BTreeSet<String>, String)| {
        let shared = a.3.intersection(&b.3).count();
        let titles = !a.3.is_empty() && !b.3.is_empty() && shared * 10 >= 6 * (a.3.len() + b.3.len() - shared);
        titles || (!a.4.is_empty() && a.4 == b.4)
    };
    let (mut beginnings, mut rows) = (Vec::new(), Vec::new());
    for (place, post) in posts.iter().enumerate() {
        let found = beginnings
            .iter()
            .map(|n: &usize| &posts[*n])
            .find(|b| post.0 - b.0 <= 48 * HOUR && alike(b, post));
        let story = found.map_or_else(|| post.2.clone(), |b| b.2.clone());
        if found.is_none() {
            beginnings.push(place);
        }
        rows.push(format!("('{}', '{story}', {place})", post.2));
    }
    assert!(rows.len() - beginnings.len() > 100, "outlets repeat each other");
    world.sql("create table raw.story (id text primary key, story text not null, place int not null)");
    for rows in rows.chunks(500) {
        world.sql(&format!("insert into raw.story values {}", rows.join(", ")));
    }
}

#[test]
fn news_sweeper_equals_sql_over_the_raw_records() {
    let Some(all) = data("news/crypto_news.jsonl.gz") else {
        return;
    };
    let url = feeds();
    let metrics = groundswell_testing::port::free().unwrap();
    let (one, two, metrics_at) = (format!("{url}/one"), format!("{url}/two"), metrics.to_string());
    let replaced = [
        ("keep: 30d", "keep: 36500d"),
        ("https://www.coindesk.com/arc/outboundfeeds/rss/", one.as_str()),
        ("https://cointelegraph.com/rss", two.as_str()),
        ("127.0.0.1:9090", metrics_at.as_str()),
    ];
    let topics = ["news.posts", "news.companies", "news.keywords"];
    let mut world = World::new("news-sweeper.yaml", &topics, &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    let articles: Vec<_> = all[..ARTICLES].iter().map(article).collect();
    let (first, rest) = articles.split_at(ARTICLES / 2);
    world.write("news.companies", &companies());
    world.write(
        "news.keywords",
        &keyword(
            &["NFT", "stablecoin", "token sale", "launch"],
            &["rumor", "could", "may"],
        ),
    );
    world.write("news.posts", first);
    world.start();
    world.wait_for_none(
        "something is there",
        "select case when count(*) > 20 then 0 else 1 end from news_sweeper.events",
    );
    world.crash();
    world.write("news.posts", rest);
    let echo = articles.iter().step_by(15).map(|of| {
        repeated(of, "t", |r| {
            r["title"] = json!(format!("{}, report says", r["title"].as_str().unwrap()));
            r["url"] = json!(format!("https://echo.example.com/{}", of.0));
        })
    });
    let linked = articles.iter().skip(7).step_by(20).map(|of| {
        repeated(of, "u", |r| {
            r["title"] = json!(format!("What readers of {} sent us", of.0));
            r["url"] = json!(format!(
                "{}?utm_source=echo",
                r["url"].as_str().unwrap().replace("https://", "https://www.")
            ));
        })
    });
    world.write("news.posts", &echo.chain(linked).collect::<Vec<_>>());
    let edited = articles.iter().skip(3).step_by(10).map(|(id, of)| {
        let mut of = of.clone().unwrap();
        of["text"] = json!(format!(
            "{} Allegedly a TGE of Bitcoin. The tge of Solana comes later.",
            of["text"].as_str().unwrap()
        ));
        (id.clone(), Some(of))
    });
    world.write("news.posts", &edited.collect::<Vec<_>>());
    // Every other of the stories that were repeated loses its beginning.
    let deleted = articles
        .iter()
        .step_by(30)
        .chain(articles.iter().skip(1).step_by(11))
        .map(|(id, _)| (id.clone(), None));
    world.write("news.posts", &deleted.collect::<Vec<_>>());
    world.write(
        "news.keywords",
        &keyword(&["NFT", "DeFi", "token sale", "launch"], &["rumor", "could"]),
    );
    world.write("news.companies", &[("solana".to_owned(), None)]);
    world.crash();
    for (n, (id, record)) in (10_000_000..).zip(of_the_feeds()) {
        let text = Value::Object(record).to_string();
        world.sql(&format!(
            "insert into raw.records values ({n}, 'news.posts', '{id}', $r${text}$r$)"
        ));
    }
    world.sql(RAW);
    stories(&world);
    world.wait_for_none("events", DIFFERENT);
    let count = |what: &str| {
        world
            .sql(&format!("select count(*) from news_sweeper.events where {what}"))
            .parse::<usize>()
            .unwrap()
    };
    let counts = [
        count("true"),
        count("suppressed_by is not null"),
        count("duplicate_of is not null"),
        count("entity = ''"),
    ];
    println!("events, suppressed, repeated, about nobody: {counts:?}");
    assert!(counts.iter().all(|n| *n > 10) && count("confidence > 0.9") > 10);
    check(&mut world);
    on_the_wire(&world, metrics);
    on_the_topic(&world);
    world.stop();
}

fn check(world: &mut World) {
    let cut = |length: i64| {
        format!(
            "to_timestamp(at / {length} * {length} / 1000.0) as window_start, \
             to_timestamp((at / {length} * {length} + {length}) / 1000.0) as window_end"
        )
    };
    let (day, hour) = (cut(24 * HOUR), cut(HOUR));
    world.wait_for_view(
        "news_sweeper.by_outlet",
        &["source", "window_start"],
        &["posts"],
        &[],
        &format!("select source, {hour}, count(*) as posts from raw.post group by source, window_start, window_end"),
    );
    // Views are about the text of a post, as its model would be; the title is searched for keywords.
    world.wait_for_view(
        "news_sweeper.by_company",
        &["entity", "window_start"],
        &["posts", "scored"],
        &[],
        &format!(
            "select entity, {day}, count(distinct id) as posts, 0 as scored from raw.post join raw.name on \
             text ~* raw.pattern(name) group by entity, window_start, window_end"
        ),
    );
}

/// What clients of the first system read.
fn on_the_wire(world: &World, metrics: std::net::SocketAddr) {
    let listed = world.get("/api/v1/tge-events?limit=50");
    let events = listed["data"].as_array().unwrap();
    assert_eq!((events.len(), &listed["metadata"]["limit"]), (50, &json!(50)));
    let expected = world.json(
        "select id from news_sweeper.events where suppressed_by is null and duplicate_of is null order by created_at desc, id desc limit 50",
    );
    let ids = |rows: &[Value]| rows.iter().map(|r| r["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(events), ids(expected.as_array().unwrap()));
    let next = listed["metadata"]["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("/api/v1/tge-events?limit=50&cursor={next}"));
    assert_ne!(second["data"][0]["id"], events[49]["id"]);
    let search = json!({"filters": {"companies": ["Example Corp"], "confidence_min": 0.9}});
    let (status, found) = world.post("/api/v1/tge-events/search", &search);
    assert_eq!((status, found["data"].as_array().unwrap().len()), (200, 1), "{found}");
    let event = &found["data"][0];
    let text = "Example Corp announces its token generation event for June\nThe company said so on Monday.";
    let (start, end) = (27, 49);
    assert_eq!(&text[start..end], "token generation event");
    assert_eq!(
        *event,
        json!({
            "id": event["id"], "company": "Example Corp", "entity": "example", "keyword": "tge_keywords",
            "matched_text": "token generation event", "span": {"start": start, "end": end}, "context": text,
            "confidence": 0.985, "suppressed_by": null, "story": "coindesk:one", "duplicate_of": null,
            "post": "coindesk:one", "source": "coindesk", "title": "Example Corp announces its token generation event for June",
            "url": "https://one.example.com/news?utm_source=rss", "created_at": "2025-06-10T04:00:00.000Z",
        })
    );
    let both = json!({"filters": {"companies": ["example corp"], "duplicates": true}, "limit": 10});
    let (_, both) = world.post("/api/v1/tge-events/search", &both);
    assert_eq!(
        (&both["data"][0]["post"], &both["data"][0]["duplicate_of"]),
        (&json!("cointelegraph:two"), &event["id"])
    );
    let (status, refused) = world.post("/api/v1/tge-events/search", &json!({"filters": {"confidence_min": 7}}));
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("INVALID_PARAMETER")),
        "{refused}"
    );
    let (status, refused) = world.post("/api/v1/tge-events/search", &json!({"filter": {}}));
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("INVALID_BODY")),
        "{refused}"
    );
    let system = world.get("/api/v1/system/metrics");
    let services = &system["data"]["services"];
    for feed in ["feed outlets.coindesk", "feed outlets.cointelegraph", "sink pg"] {
        assert_eq!(services[feed]["healthy"], true, "{system}");
    }
    let total: u64 = world.sql("select count(*) from news_sweeper.events").parse().unwrap();
    assert_eq!(
        (&system["data"]["status"], &system["data"]["events"]),
        (&json!("healthy"), &json!(total))
    );
    let mut stream = std::net::TcpStream::connect(metrics).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200")
            && text.contains("groundswell_feed_up{feed=\"coindesk\",source=\"outlets\"} 1")
    );
}

/// The topic of news, folded: what HTTP lists by default, each change once.
fn on_the_topic(world: &World) {
    let (mut listed, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/tge-events?limit=1000&cursor={cursor}"));
        for event in page["data"].as_array().unwrap() {
            listed.insert(event["id"].as_str().unwrap().to_owned(), event.clone());
        }
        match page["metadata"]["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let in_sql =
        world.sql("select count(*) from news_sweeper.events where suppressed_by is null and duplicate_of is null");
    assert_eq!(listed.len().to_string(), in_sql);
    let end = Instant::now() + Duration::from_secs(60);
    let (changes, gone, folded) = loop {
        let (mut folded, mut seen, mut gone) = (BTreeMap::<String, Value>::new(), BTreeSet::new(), 0);
        let records = world.topic("news.events");
        for (key, tick, mut value) in records {
            assert!(seen.insert((key.clone(), tick)), "{key} twice at {tick}");
            let Some(event) = value.as_object_mut() else {
                assert!(folded.remove(&key).is_some(), "{key} was not there at {tick}");
                gone += 1;
                continue;
            };
            assert_eq!(event.remove("tick"), Some(json!(tick)));
            assert_eq!(event["id"], *key);
            folded.insert(key, value);
        }
        if folded == listed || Instant::now() > end {
            break (seen.len(), gone, folded);
        }
        std::thread::sleep(Duration::from_millis(300));
    };
    assert!(
        folded == listed,
        "{} in the topic, {} over HTTP",
        folded.len(),
        listed.len()
    );
    println!(
        "topic of news: {changes} changes, {gone} taken back, {} left",
        folded.len()
    );
    assert!(gone > 10);
}
