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
