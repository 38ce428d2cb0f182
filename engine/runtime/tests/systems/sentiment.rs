//! `live-sentiment.yaml`: posts about crypto currencies under the field names of the first system. Some come twice, some are
//! edited or deleted, and the program is killed.

use super::world::{World, data, post};
use serde_json::{Value, json};

const POSTS: usize = 20_000;

/// What counts of each post.
const RAW: &str = "
create materialized view raw.post as
  select id, rec->>'source' as source, rec->>'author' as author, (rec->>'created_at')::bigint as at, (rec->>'sentiment')::float8 as x, 1.0::float8 as w,
    case when abs((rec->>'sentiment')::float8) <= 0.5 then 'neutral' when (rec->>'sentiment')::float8 > 0 then 'positive' else 'negative' end as label,
    'neutral' as emotion
  from (select distinct on (id) id, rec::jsonb as rec from raw.records order by id, n desc) newest where rec is not null;
create materialized view raw.clock as select max((rec::jsonb->>'created_at')::bigint) as now from raw.records;
";

const SUMS: &str = "count(*) as posts, count(x) as scored, sum(w) as weight, sum(w * x) / sum(w) as sentiment,
  count(*) filter (where label = 'positive') as positive, count(*) filter (where label = 'neutral') as neutral,
  count(*) filter (where label = 'negative') as negative, 0 as toxic, 0 as sarcastic,
  count(distinct author) as authors";

fn cut(length: i64) -> String {
    format!(
        "to_timestamp(at / {length} * {length} / 1000.0) as window_start, \
         to_timestamp((at / {length} * {length} + {length}) / 1000.0) as window_end"
    )
}

/// The last so many milliseconds, in steps of a minute, the one under way included.
fn last(length: i64) -> String {
    format!(
        "select *, to_timestamp((now / 60000 * 60000 + 60000 - {length}) / 1000.0) as window_start, \
         to_timestamp((now / 60000 * 60000 + 60000) / 1000.0) as window_end from raw.post, raw.clock \
         where at >= now / 60000 * 60000 + 60000 - {length} and at < now / 60000 * 60000 + 60000"
    )
}

fn check(world: &mut World) {
    const HOUR: i64 = 3_600_000;
    let counts = [
        "posts",
        "scored",
        "positive",
        "neutral",
        "negative",
        "toxic",
        "sarcastic",
        "authors",
    ];
    let reals = ["weight", "sentiment"];
    for (view, columns, length) in [
        ("by_hour", "source, label", HOUR),
        ("by_day", "source, label", 24 * HOUR),
        ("emotions_by_hour", "label, emotion", HOUR),
    ] {
        let keys: Vec<&str> = columns.split(", ").chain(["window_start"]).collect();
        let window = cut(length);
        world.wait_for_view(
            &format!("live_sentiment.{view}"),
            &keys,
            &counts,
            &reals,
            &format!("select {columns}, {window}, {SUMS} from raw.post group by {columns}, window_start, window_end"),
        );
    }
    for (view, length) in [("last_day", 24 * HOUR), ("last_hour", HOUR)] {
        let rows = last(length);
        world.wait_for_view(
            &format!("live_sentiment.{view}"),
            &["source", "label"],
            &counts,
            &reals,
            &format!("select source, label, window_start, window_end, {SUMS} from ({rows}) r group by source, label, window_start, window_end"),
        );
    }
    let window = cut(HOUR);
    world.wait_for_view(
        "live_sentiment.posts_by_hour",
        &["window_start"],
        &counts,
        &reals,
        &format!("select {window}, {SUMS} from raw.post group by window_start, window_end"),
    );
    let rows = last(300_000);
    world.wait_for_view(
        "live_sentiment.five_minutes",
        &[],
        &counts,
        &reals,
        &format!("select window_start, window_end, {SUMS} from ({rows}) r group by window_start, window_end"),
    );
}

#[test]
fn live_sentiment_equals_sql_over_the_raw_records() {
    let Some(all) = data("events/crypto.jsonl.gz") else {
        return;
    };
    let all = &all[..POSTS];
    let topics = ["sentiment_stream"];
    let replaced = [
        ("time: {clock: wall}", "time: {clock: event}"),
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        (
            "map: {id: post_id, text: content}",
            "map: {id: post_id, text: content, sentiment: sentiment}",
        ),
    ];
    let mut world = World::new("live-sentiment.yaml", &topics, &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    let names = [("id", "post_id"), ("text", "content")];
    let posts: Vec<_> = all.iter().map(|of| post(of, &names, Value::Null)).collect();
    let (first, rest) = posts.split_at(POSTS / 2);
    world.write("sentiment_stream", first);
    world.start();
    world.wait_for_none(
        "something is there",
        "select case when count(*) > 100 then 0 else 1 end from live_sentiment.by_hour",
    );
    world.crash();
    world.write("sentiment_stream", rest);
    // The first system delivers at least once; the newest posts stay, as the clock is theirs.
    let again: Vec<_> = posts.iter().step_by(9).cloned().collect();
    world.write("sentiment_stream", &again);
    let edited = all.iter().skip(3).step_by(10).map(|of| {
        let mut of = of.clone();
        of.insert(
            "text".to_owned(),
            json!(format!("{} (edited)", of["text"].as_str().unwrap())),
        );
        post(&of, &names, Value::Null)
    });
    let edited: Vec<_> = edited.collect();
    world.write("sentiment_stream", &edited);
    let deleted = all.iter().take(POSTS - 1).skip(1).step_by(11);
    let deleted: Vec<_> = deleted
        .map(|of| (of["id"].as_str().unwrap().to_owned(), None))
        .collect();
    world.write("sentiment_stream", &deleted);
    world.crash();
    world.sql(RAW);
    check(&mut world);
    on_the_wire(&world);
    world.stop();
}

/// Noon of a Wednesday.
const NOON: i64 = 1_760_529_600_000;
const WEEK: i64 = 7 * 24 * 3_600_000;

/// Posts a second after each other from here on, all positive or all negative.
fn posts(name: &str, from: i64, n: i64, sentiment: f64) -> Vec<(String, Option<super::world::Record>)> {
    let one = |i: i64| {
        let id = format!("{name}{i}");
        let fields = [
            ("post_id", json!(id)),
            ("source", json!("forum")),
            ("author", json!(format!("a{}", i % 7))),
            ("content", json!(format!("post {i}"))),
            ("created_at", json!(from + i * 1_000)),
            ("sentiment", json!(sentiment)),
        ];
        (id, Some(super::world::record(&fields)))
    };
    (0..n).map(one).collect()
}

/// The first window of five minutes that SQL finds to have half the share of ten minutes before.
const SPIKE: &str = "
with w as (
  select s, count(*) as posts, (count(*) filter (where label = 'positive'))::float8 / count(x) as share
  from raw.post, generate_series((select min(at) / 60000 * 60000 - 300000 from raw.post), (select max(at) from raw.post), 60000) s
  where at >= s and at < s + 300000 group by s)
select n.s as start, n.share as value, 0.5 * p.share as threshold from w n join w p on p.s = n.s - 600000
where n.posts >= 20 and p.posts >= 20 and n.share < 0.5 * p.share order by n.s limit 1";

/// The hours with ten times the median of the same hour of the four weeks before.
const VOLUME: &str = "
with w as (select at / 3600000 * 3600000 as s, count(*) as posts from raw.post group by 1)
select n.s as start, n.posts::float8 as value, 10 * percentile_cont(0.5) within group (order by p.posts) as threshold
from w n join w p on p.s in (n.s - 604800000, n.s - 1209600000, n.s - 1814400000, n.s - 2419200000)
group by n.s, n.posts having count(*) >= 2 and n.posts >= 50 and n.posts > 10 * percentile_cont(0.5) within group (order by p.posts)";

/// Where the alerts of a rule stand: start, state, value, threshold.
fn alerts(world: &World, rule: &str) -> Vec<(Value, Value, Value, Value)> {
    let shown = world.get(&format!("/api/v1/alerts?rule={rule}"));
    let one = |a: &Value| {
        (
            a["window_start"].clone(),
            a["state"].clone(),
            a["value"].clone(),
            a["threshold"].clone(),
        )
    };
    shown["data"].as_array().unwrap().iter().map(one).collect()
}

/// Asks until it is so.
fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    panic!("{what}");
}

#[test]
fn a_share_that_halves_and_ten_times_the_usual_volume() {
    let replaced = [
        ("time: {clock: wall}", "time: {clock: event}"),
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        (
            "map: {id: post_id, text: content}",
            "map: {id: post_id, text: content, sentiment: sentiment}",
        ),
    ];
    let mut world = World::new("live-sentiment.yaml", &["sentiment_stream"], &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    world.sql(RAW);
    // All are positive at noon, and none is ten minutes later: however many of them a tick brings, a window with some
    // has the same share.
    world.write("sentiment_stream", &posts("before", NOON, 40, 0.9));
    world.write("sentiment_stream", &posts("after", NOON + 600_000, 40, -0.9));
    world.start();
    let hour = |at: i64, n: i64| {
        format!(
            "select case when exists (select from live_sentiment.posts_by_hour \
             where window_start = to_timestamp({at} / 1000.0) and posts = {n}) then 0 else 1 end"
        )
    };
    world.wait_for_none("all posts of the hour", &hour(NOON, 80));
    let volume = |world: &World| {
        let rules = world.get("/api/v1/rules");
        let found = rules["data"].as_array().unwrap().iter().find(|r| r["rule"] == "volume");
        found.map(|rule| rule["baseline"].clone())
    };
    let none = json!({"weeks": 4, "min": 2, "state": "none_yet", "ready": 0, "lacking": 1});
    until("no baseline yet", || volume(&world) == Some(none.clone()));
    until("the spike fires", || !alerts(&world, "spike").is_empty());
    assert!(
        alerts(&world, "volume").is_empty(),
        "eighty are many, but nobody knows what is usual"
    );
    let (_, _, metrics) = world.ask("/metrics", "");
    assert!(
        metrics.contains("groundswell_rule_baseline_groups{baseline=\"none\",rule=\"volume\"} 1"),
        "{metrics}"
    );
    // Posts of the same hour of two weeks come late.
    world.write("sentiment_stream", &posts("week1", NOON - WEEK, 5, 0.9));
    world.wait_for_none("five posts a week before", &hour(NOON - WEEK, 5));
    assert!(alerts(&world, "volume").is_empty(), "one week is no baseline");
    world.write("sentiment_stream", &posts("week2", NOON - 2 * WEEK, 1, 0.9));
    until("the volume fires", || !alerts(&world, "volume").is_empty());
    let is_as = |world: &World, rule: &str, sql: &str| {
        let expected = world.json(&format!(
            "select to_char(to_timestamp(start / 1000.0) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as start, value, threshold from ({sql}) r"
        ));
        let expected: Vec<_> = expected
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (&r["start"], &r["value"], &r["threshold"]))
            .collect();
        let told = alerts(world, rule);
        let told: Vec<_> = told
            .iter()
            .map(|(start, state, value, threshold)| {
                assert_eq!(state, "firing", "{rule}");
                (start, value, threshold)
            })
            .collect();
        let near = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9;
        assert_eq!(told.len(), expected.len(), "{rule}: {told:?}, {expected:?}");
        for (told, expected) in told.iter().zip(&expected) {
            assert!(
                told.0 == expected.0 && near(told.1, expected.1) && near(told.2, expected.2),
                "{rule}: {told:?}, {expected:?}"
            );
        }
    };
    world.crash();
    until("it is back", || volume(&world).is_some_and(|b| b["state"] == "all"));
    until("the volume stands", || {
        alerts(&world, "volume").iter().any(|a| a.1 == "firing")
    });
    let refresh = "refresh materialized view raw.post; refresh materialized view raw.clock";
    world.sql(refresh);
    is_as(&world, "volume", VOLUME);
    is_as(&world, "spike", SPIKE);
    // More posts of last week than were known: eighty are not ten times the usual any more.
    world.write("sentiment_stream", &posts("more", NOON - WEEK + 900_000, 20, 0.9));
    until("the volume is taken back", || {
        alerts(&world, "volume").iter().all(|a| a.1 == "retracted")
    });
    world.sql(refresh);
    assert_eq!(world.json(VOLUME), json!([]));
    world.stop();
}

/// What clients of the first system read; the queries are that system's own.
fn on_the_wire(world: &World) {
    let counts = |rows: &Value| -> Vec<(Value, Value, f64)> {
        let row = |r: &Value| {
            (
                r["sentiment_label"].clone(),
                r["count"].clone(),
                r["percentage"].as_f64().unwrap(),
            )
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    for hours in [24, 1] {
        let shown = world.get(&format!("/api/sentiment/distribution?hours={hours}"));
        let expected = world.json(&format!(
            "select label as sentiment_label, count(*) as count, round(count(*) * 100.0 / sum(count(*)) over (), 2) as percentage \
             from ({}) r group by label order by label",
            last(hours * 3_600_000)
        ));
        assert_eq!(counts(&shown["data"]), counts(&expected), "{hours} hours");
        assert_eq!(shown["metadata"]["hours"], hours);
    }
    let utc = "'YYYY-MM-DD\"T\"HH24:MI:SS.000\"Z\"'";
    for (period, start) in [("hour", "2025-10-10T00:00:00Z"), ("day", "2025-10-01T00:00:00Z")] {
        let shown = world.get(&format!(
            "/api/sentiment/aggregate?period={period}&start={start}&end=2025-10-12T00:00:00Z"
        ));
        let expected = world.json(&format!(
            "select to_char(date_trunc('{period}', to_timestamp(at / 1000.0) at time zone 'UTC'), {utc}) as timestamp, \
             label as sentiment_label, count(*) as count from raw.post \
             where to_timestamp(at / 1000.0) >= '{start}' and to_timestamp(at / 1000.0) < '2025-10-12' \
             group by 1, 2 order by 1, 2"
        ));
        assert_eq!(shown["data"], expected, "{period}");
        assert!(expected.as_array().unwrap().len() > 20);
    }
    let newest = world.get("/api/posts?limit=20&offset=20");
    let times: Vec<&Value> = newest["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["created_at"])
        .collect();
    let expected = world.json(
        "select to_char(to_timestamp(at / 1000.0) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as t from raw.post order by at desc limit 20 offset 20"
    );
    assert_eq!(
        times,
        expected.as_array().unwrap().iter().map(|r| &r["t"]).collect::<Vec<_>>()
    );
    let total: u64 = world.sql("select count(*) from raw.post").parse().unwrap();
    assert_eq!(newest["metadata"]["total"], total);
    let (status, head, body) = world.ask("/api/sentiment/aggregate?period=minute", "");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &error["error"]["details"]["allowed"]),
        (400, &json!(["hour", "day"]))
    );
    assert!(head.contains("content-type: application/json"));
    let (_, head, _) = world.ask("/api/sentiment/distribution", "");
    assert!(head.contains("cache-control: private, max-age=30"), "{head}");
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .trim()
        .to_owned();
    let (status, _, body) = world.ask(
        "/api/sentiment/distribution",
        &format!("If-None-Match: {}\r\n", tag.replace("w/", "W/")),
    );
    assert_eq!((status, body.as_str()), (304, ""));
    let health = world.get("/api/health");
    assert_eq!(
        (&health["status"], &health["services"]["sink pg"]),
        (&json!("healthy"), &json!("connected"))
    );
}
