//! `social-analytics.yaml`: stories of Hacker News with their real counters, polled again and again, as if they were tweets,
//! videos, Reddit posts and streams of two tenants. Polls come out of order and twice, counters shrink, posts are deleted,
//! followers are revised, and the program is killed.

use super::world::{Record, World, data, record, sentiment};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const STORIES: usize = 1_600;
const DAY: i64 = 86_400_000;

/// What counts of each post, and of each account.
const RAW: &str = "
create materialized view raw.poll as
  select n, topic, rec, rec->>'user_id' as thread,
    case topic when 'social.tweets' then 'twitter' when 'social.videos' then 'youtube' when 'social.reddit' then 'reddit' else 'twitch' end as source,
    coalesce(rec->>'tweet_id', rec->>'video_id', rec->>'post_id', rec->>'stream_id' || '/' || (rec->>'recorded_at')) as id,
    coalesce(rec->>'username', rec->>'channel_name', rec->>'author') as name,
    coalesce(rec->>'created_at', rec->>'published_at', rec->>'recorded_at')::bigint as at,
    coalesce(rec->>'fetched_at', '0')::bigint as fetched
  from (select n, topic, rec::jsonb as rec from raw.records) r where topic <> 'social.followers';
create materialized view raw.newest as
  select * from (select distinct on (topic, id, thread) * from raw.poll order by topic, id, thread, fetched desc, n desc) p
  where not coalesce((rec->>'deleted')::bool, false);
create materialized view raw.account as
  select distinct on (rec->>'account') rec->>'account' as account, (rec->>'followers')::numeric as followers
  from (select n, rec::jsonb as rec from raw.records where topic = 'social.followers') r
  order by rec->>'account', (rec->>'fetched_at')::bigint desc, n desc;
create materialized view raw.post as
  select p.thread, p.source, p.source || ':' || name as author, p.id, at, case when topic <> 'social.streams' then (rec->>'sentiment')::float8 end as x,
    coalesce(rec->>'likes', rec->>'like_count', rec->>'score')::numeric as likes, (rec->>'retweets')::numeric as reposts,
    coalesce(rec->>'replies', rec->>'comment_count', rec->>'num_comments')::numeric as replies,
    (rec->>'view_count')::numeric as views, (rec->>'dislike_count')::numeric as dislikes,
    (rec->>'upvote_ratio')::numeric as ratio, (rec->>'viewer_count')::numeric as viewers, followers,
    case when abs((rec->>'sentiment')::float8) <= 0.5 then 'neutral' when (rec->>'sentiment')::float8 > 0 then 'positive' else 'negative' end as label
  from raw.newest p left join raw.account a on a.account = p.source || ':' || p.name;
create materialized view raw.clock as select max(at) as now from raw.poll;
";

/// The columns of the pipeline's two views by day, in that database's own words.
const SUMS: &str = "count(*) as posts, count(x) as scored, count(*) filter (where x is not null and label = 'positive') as positive,
  count(*) filter (where x is not null and label = 'neutral') as neutral, count(*) filter (where x is not null and label = 'negative') as negative,
  avg(x) as sentiment, sum(likes)::bigint as likes, sum(reposts)::bigint as reposts, sum(replies)::bigint as replies, sum(views)::bigint as views,
  max(viewers)::bigint as peak_viewers,
  coalesce(sum(likes), 0) + coalesce(sum(reposts), 0) + coalesce(sum(replies), 0) as engagement,
  (coalesce(sum(likes), 0) + coalesce(sum(reposts), 0) + coalesce(sum(replies), 0)) / count(*) as engagement_per_post,
  100 * sum(likes) / nullif(sum(likes) + sum(dislikes), 0) as like_ratio, avg(ratio) as upvote_ratio,
  100 * (coalesce(sum(likes), 0) + coalesce(sum(reposts), 0) + coalesce(sum(replies), 0)) / nullif(sum(followers), 0) as engagement_rate,
  avg(viewers) as average_viewers, 1 / (1 + power(stddev_pop(viewers) / nullif(avg(viewers), 0), 2)) as consistency";
/// Wilson's interval, z = 1.959963984540054.
const SHARE: &str = "*, positive::float8 / nullif(scored, 0) as positive_share,
  greatest(0, (positive::float8 / nullif(scored, 0) + 3.841458820694124 / (2 * scored) - 1.959963984540054 * sqrt(positive::float8 / nullif(scored, 0) * (1 - positive::float8 / nullif(scored, 0)) / scored + 3.841458820694124 / (4.0 * scored * scored))) / (1 + 3.841458820694124 / scored)) as positive_share_low,
  least(1, (positive::float8 / nullif(scored, 0) + 3.841458820694124 / (2 * scored) + 1.959963984540054 * sqrt(positive::float8 / nullif(scored, 0) * (1 - positive::float8 / nullif(scored, 0)) / scored + 3.841458820694124 / (4.0 * scored * scored))) / (1 + 3.841458820694124 / scored)) as positive_share_high";
const COUNTS: [&str; 10] = [
    "posts",
    "scored",
    "positive",
    "neutral",
    "negative",
    "likes",
    "reposts",
    "replies",
    "views",
    "peak_viewers",
];
const REALS: [&str; 11] = [
    "sentiment",
    "engagement",
    "engagement_per_post",
    "like_ratio",
    "upvote_ratio",
    "engagement_rate",
    "average_viewers",
    "consistency",
    "positive_share",
    "positive_share_low",
    "positive_share_high",
];

fn days() -> String {
    format!(
        "to_timestamp(at / {DAY} * {DAY} / 1000.0) as window_start, to_timestamp((at / {DAY} * {DAY} + {DAY}) / 1000.0) as window_end"
    )
}

fn check(world: &mut World) {
    let window = days();
    let by_day = |columns: &str| {
        format!(
            "select {SHARE} from (select {columns}, {window}, {SUMS} from raw.post group by {columns}, window_start, window_end) s \
             where scored > 0 union all select {SHARE_OF_NONE} from (select {columns}, {window}, {SUMS} from raw.post \
             group by {columns}, window_start, window_end) s where scored = 0"
        )
    };
    world.wait_for_view(
        "social_analytics.accounts",
        &["thread", "source", "author", "window_start"],
        &COUNTS,
        &REALS,
        &by_day("thread, source, author"),
    );
    // Behind the gate of five posts there are counts only.
    let gated: Vec<String> = REALS
        .iter()
        .map(|real| format!("case when posts >= 5 then {real} end as {real}"))
        .collect();
    let (counts, gated) = (COUNTS.join(", "), gated.join(", "));
    let expected = format!(
        "select thread, source, window_start, window_end, {counts}, {gated}, \
         case when posts >= 5 then 'sufficient' else 'insufficient' end as basis from ({}) p",
        by_day("thread, source")
    );
    let counts: Vec<&str> = COUNTS.into_iter().chain(["basis"]).collect();
    let keys = ["thread", "source", "window_start"];
    world.wait_for_view("social_analytics.platforms", &keys, &counts, &REALS, &expected);
    world.wait_for_none(
        "top posts",
        &format!(
            "with e as (select thread, source, {window}, (array_agg(likes order by likes desc) filter (where likes is not null))[1:10] as best \
             from raw.post group by thread, source, window_start, window_end) \
             select count(*) from e join social_analytics.platforms v using (thread, source, window_start) where coalesce(e.best, '{{}}') is distinct from \
             coalesce((select array_agg((x->>'value')::numeric order by place) from jsonb_array_elements(v.top) with ordinality as t(x, place)), '{{}}')"
        ),
    );
    let (from, to) = (
        format!("now / {DAY} * {DAY} + {DAY} - 90 * {DAY}::bigint"),
        format!("now / {DAY} * {DAY} + {DAY}"),
    );
    let heat = format!(
        "select thread, source, lower(to_char(to_timestamp(at / 1000.0) at time zone 'UTC', 'dy')) as weekday, \
         to_char(to_timestamp(at / 1000.0) at time zone 'UTC', 'HH24') as hour, to_timestamp(({from}) / 1000.0) as window_start, \
         to_timestamp(({to}) / 1000.0) as window_end, {SUMS} from raw.post, raw.clock where at >= {from} and at < {to} \
         group by thread, source, weekday, hour, now"
    );
    world.wait_for_view(
        "social_analytics.posting_times",
        &["thread", "source", "weekday", "hour"],
        &["posts"],
        &["engagement", "engagement_per_post"],
        &heat,
    );
}

/// Without a scored post there is no share.
const SHARE_OF_NONE: &str =
    "*, null::float8 as positive_share, null::float8 as positive_share_low, null::float8 as positive_share_high";

/// A number of a text, the same every time.
fn dice(text: &str, salt: &str, most: i64) -> i64 {
    let share = (sentiment(&format!("{salt}{text}")) + 1.0) / 2.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let n = (share * most as f64) as i64;
    n
}

type Polls = BTreeMap<&'static str, Vec<(String, Option<Record>)>>;

/// One look at a story, under the names of one platform.
fn poll(story: &Record, score: &Value, at: i64, polls: &mut Polls) {
    let id = story["id"].as_str().unwrap();
    let text = &story["text"];
    let user = json!(dice(id, "tenant", 2));
    let name = json!(format!("{}", dice(id, "name", 25)));
    let look = format!("{id}{at}");
    let created = &story["created_at"];
    let common = [
        ("user_id", user),
        ("fetched_at", json!(at)),
        ("sentiment", json!(sentiment(id))),
    ];
    let (topic, own) = match dice(id, "platform", 4) {
        0 => (
            "social.tweets",
            vec![
                ("tweet_id", json!(id)),
                ("username", name),
                ("text", text.clone()),
                ("created_at", created.clone()),
                ("likes", score.clone()),
                ("retweets", json!(dice(&look, "r", 40))),
                ("replies", json!(dice(&look, "c", 9))),
            ],
        ),
        1 => (
            "social.videos",
            vec![
                ("video_id", json!(id)),
                ("channel_name", name),
                ("title", text.clone()),
                ("published_at", created.clone()),
                // As that platform's API writes numbers; dislikes are there for some only.
                ("like_count", json!(score.to_string())),
                ("view_count", json!(dice(&look, "v", 1 << 40))),
                ("comment_count", Value::Null),
                (
                    "dislike_count",
                    if dice(id, "d", 2) == 0 {
                        Value::Null
                    } else {
                        json!(dice(&look, "d", 7))
                    },
                ),
            ],
        ),
        2 => (
            "social.reddit",
            vec![
                ("post_id", json!(id)),
                ("author", name),
                ("title", text.clone()),
                ("created_at", created.clone()),
                ("score", score.clone()),
                ("num_comments", json!(dice(&look, "c", 90))),
                #[allow(clippy::cast_precision_loss)]
                ("upvote_ratio", json!(dice(&look, "u", 100) as f64 / 100.0)),
            ],
        ),
        _ => (
            "social.streams",
            vec![
                ("stream_id", json!(id)),
                ("channel_name", name),
                ("title", text.clone()),
                ("recorded_at", json!(at)),
                ("viewer_count", score.clone()),
            ],
        ),
    };
    let fields: Vec<_> = own.into_iter().chain(common).collect();
    polls
        .entry(topic)
        .or_default()
        .push((id.to_owned(), Some(record(&fields))));
}

fn follower(account: &str, followers: Value, at: i64) -> (String, Option<Record>) {
    let at = 1_604_700_000_000 + at;
    let fields = [
        ("account", json!(account)),
        ("followers", followers),
        ("fetched_at", json!(at)),
    ];
    (account.to_owned(), Some(record(&fields)))
}

#[test]
fn social_analytics_equals_sql_over_the_raw_records() {
    let (Some(stories), Some(updates)) = (data("events/hn.jsonl.gz"), data("score_updates/hn.jsonl.gz")) else {
        return;
    };
    let stories: BTreeMap<&str, &Record> = stories[..STORIES]
        .iter()
        .map(|s| (s["id"].as_str().unwrap(), s))
        .collect();
    let mut polls = Polls::new();
    for update in &updates {
        if let Some(story) = stories.get(update["id"].as_str().unwrap()) {
            poll(
                story,
                &update["score"],
                update["observed_at"].as_i64().unwrap(),
                &mut polls,
            );
        }
    }
    // Out of order, and some twice.
    for polls in polls.values_mut() {
        let again: Vec<_> = polls.iter().step_by(7).cloned().collect();
        polls.extend(again);
        let key = |(_, record): &(String, Option<Record>)| {
            dice(&Value::Object(record.clone().unwrap()).to_string(), "order", 1 << 30)
        };
        polls.sort_by_cached_key(key);
    }
    println!(
        "{:?}",
        polls
            .iter()
            .map(|(topic, polls)| (topic, polls.len()))
            .collect::<Vec<_>>()
    );
    let topics = [
        "social.tweets",
        "social.videos",
        "social.reddit",
        "social.streams",
        "social.followers",
    ];
    let replaced = [
        ("time: {clock: wall}", "time: {clock: event}"),
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        (
            "version: fetched_at, observed_at: fetched_at}",
            "version: fetched_at, observed_at: fetched_at, sentiment: sentiment}",
        ),
    ];
    let mut world = World::new("social-analytics.yaml", &topics, &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    for (topic, polls) in &polls {
        world.write(topic, &polls[..polls.len() / 2]);
    }
    let accounts: Vec<String> = ["twitter", "youtube", "reddit"]
        .iter()
        .flat_map(|platform| (0..20).map(move |n| format!("{platform}:{n}")))
        .collect();
    // Some have no followers, and of some nothing is known.
    let first = accounts
        .iter()
        .map(|a| follower(a, json!(dice(a, "f", 5) * 1_000), 1_000));
    world.write("social.followers", &first.collect::<Vec<_>>());
    world.start();
    world.wait_for_none(
        "something is there",
        "select case when count(*) > 100 then 0 else 1 end from social_analytics.accounts",
    );
    world.crash();
    for (topic, polls) in &polls {
        world.write(topic, &polls[polls.len() / 2..]);
    }
    // Revised followers, and an older record of them that comes late.
    let revised = accounts
        .iter()
        .step_by(3)
        .map(|a| follower(a, json!(dice(a, "g", 3) * 777), 9_000));
    world.write("social.followers", &revised.collect::<Vec<_>>());
    let late = accounts.iter().step_by(2).map(|a| follower(a, json!(1), 500));
    world.write("social.followers", &late.collect::<Vec<_>>());
    let gone = |topic: &str, id: &str| {
        let all = polls.get(topic).unwrap().iter().step_by(40);
        let gone = all.map(|(key, poll)| {
            let poll = poll.as_ref().unwrap();
            let fields = [
                (id, poll[id].clone()),
                ("user_id", poll["user_id"].clone()),
                ("deleted", json!(true)),
                ("fetched_at", json!(9_000_000_000_000_i64)),
            ];
            (key.clone(), Some(record(&fields)))
        });
        gone.collect::<Vec<_>>()
    };
    world.write("social.tweets", &gone("social.tweets", "tweet_id"));
    world.write("social.reddit", &gone("social.reddit", "post_id"));
    // What is no number is a dead letter, and no post.
    let broken = [
        ("tweet_id", json!("broken")),
        ("user_id", json!(0)),
        ("text", json!("x")),
        ("created_at", json!(1_604_686_251_000_i64)),
        ("likes", json!("many")),
        ("fetched_at", json!(1_604_686_251_000_i64)),
    ];
    let before = world.sql("select count(*) from raw.records");
    world.write("social.tweets", &[("broken".to_owned(), Some(record(&broken)))]);
    world.sql(&format!("delete from raw.records where n >= {before}"));
    world.crash();
    world.sql(RAW);
    check(&mut world);
    world.wait_for_none(
        "the dead letter",
        "select abs(1 - count(*)) from social_analytics.dead_letters where code = 'wrong_type' and id = 'broken'",
    );
    on_the_wire(&world);
    world.stop();
}

fn close(shown: &Value, expected: &Value) -> bool {
    match (shown.as_f64(), expected.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs().max(1.0),
        (None, None) => true,
        _ => false,
    }
}

/// What the routes make of the views, against SQL over the same records.
fn on_the_wire(world: &World) {
    let shown = world.get("/api/analytics/accounts/rollup?by=source&sort=-likes&thread=0");
    let expected = world.json(&format!(
        "select source, {SUMS} from raw.post where thread = '0' group by source order by source"
    ));
    let by_source = |rows: &Value| -> BTreeMap<String, Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row["source"].as_str().unwrap().to_owned(), row.clone()))
            .collect()
    };
    let (shown, expected) = (by_source(&shown["data"]), by_source(&expected));
    assert_eq!(shown.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (source, row) in &expected {
        for column in COUNTS.iter().chain(&REALS[..8]) {
            let (a, b) = (&shown[source][column], &row[column]);
            assert!(close(a, b), "{source} {column}: {a} is not {b}");
        }
    }
    let series = world.get("/api/analytics/platforms/series?column=likes&source=twitter&average=3");
    let window = days();
    let expected = world.json(&format!(
        "select likes, 100.0 * (likes - lag(likes) over w) / nullif(case when lag(at) over w = at - {DAY} then lag(likes) over w end, 0) as growth \
         from (select sum(likes) as likes, min(at / {DAY} * {DAY}) as at, {window} from raw.post where source = 'twitter' group by window_start, window_end) d \
         where likes is not null window w as (order by at) order by at"
    ));
    let (points, expected) = (series["data"].as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(points.len(), expected.len());
    for (point, row) in points.iter().zip(expected) {
        assert!(
            close(&point["value"], &row["likes"]) && close(&point["growth"], &row["growth"]),
            "{point} {row}"
        );
    }
    let times = world.get("/api/analytics/posting_times/best-times?source=reddit&min_posts=3");
    let expected = world.json(&format!(
        "select to_char(to_timestamp(at / 1000.0) at time zone 'UTC', 'HH24') as hour, {SUMS} from raw.post where source = 'reddit' \
         group by hour having count(*) >= 3 order by engagement desc, hour limit 5"
    ));
    let hours = |rows: &Value| {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|r| r["hour"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(hours(&times["data"]["hours"]), hours(&expected));
    assert_eq!(times["data"]["weekdays"].as_array().unwrap().len(), 3);
    let map = times["data"]["heatmap"].as_array().unwrap();
    assert_eq!((map.len(), map[0].as_array().unwrap().len()), (7, 24));
    assert_eq!(times["metadata"]["time_zone"], "UTC");
    let report = world.get("/api/export/platforms/report?days=7");
    let expected = world.json(&format!(
        "select count(*) as posts, sum(likes) as likes from raw.post, raw.clock where at >= now / {DAY} * {DAY} - 6 * {DAY}::bigint"
    ));
    assert!(
        close(&report["data"]["total"]["posts"], &expected[0]["posts"]),
        "{report}"
    );
    assert!(close(&report["data"]["total"]["likes"], &expected[0]["likes"]));
    assert!(report["data"]["by_source"].as_array().unwrap().len() >= 3);
    let (status, head, csv) = world.ask("/api/export/platforms/csv?days=90", "Accept-Encoding: identity\r\n");
    assert_eq!(status, 200, "{csv}");
    assert!(
        head.contains("content-type: text/csv") && csv.contains("engagement_rate"),
        "{head}"
    );
    assert!(!csv.contains("NaN") && !csv.contains("inf,"));
    let (status, _, body) = world.ask("/api/export/platforms/report?days=14", "");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &error["error"]["details"]["allowed"]),
        (400, &json!(["7", "30", "90"]))
    );
    let rows = world.get("/api/v1/views/platforms?limit=1000");
    let row = rows["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["top"].as_array().unwrap().len() == 10)
        .unwrap();
    assert!(
        row["top"][0]["post"].as_str().unwrap().contains(':') && row["basis"] == "sufficient",
        "{row}"
    );
}
