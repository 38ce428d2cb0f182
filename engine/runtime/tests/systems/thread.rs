//! `live-thread.yaml`: the comments of game 7 of the 2016 finals. Votes are hidden at first and revealed later, the threads'
//! times come after most comments and change, a cast member gets another alias, comments and a thread are deleted, and the
//! program is killed twice.

use super::world::{Record, World, data, post, record};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: i64 = 3_600_000;
/// Tip-off: 2016-06-20T00:00:00Z.
const AIR: i64 = 1_466_380_800_000;
const MAIN: &str = "t3_4ow6vj";
const EARLY: &str = "t3_4ovo70";
const GONE: &str = "t3_4ovvm8";
const COMMENTS: usize = 24_000;

const CAST: [(&str, &str, &[&str]); 4] = [
    ("lebron", "LeBron", &[]),
    ("curry", "Curry", &["Steph"]),
    ("draymond", "Draymond", &[]),
    ("kyrie", "Kyrie", &["Irving"]),
];

fn member(id: &str, name: &str, aliases: &[&str]) -> (String, Option<Record>) {
    let fields = [
        ("id", json!(id)),
        ("name", json!(name)),
        ("aliases", json!(aliases)),
        ("kind", json!("player")),
    ];
    (id.to_owned(), Some(record(&fields)))
}

fn thread(id: &str, title: &str, air_time: i64, ends_at: Option<i64>) -> (String, Option<Record>) {
    let fields = [
        ("thread", json!(id)),
        ("title", json!(title)),
        ("air_time", json!(air_time)),
        ("ends_at", json!(ends_at)),
    ];
    (id.to_owned(), Some(record(&fields)))
}

/// The raw records as tables: what counts of each id, whatever came when.
const RAW: &str = "
create view raw.newest as
  select distinct on (topic, id) topic, id, rec::jsonb as rec from raw.records where topic <> 'live.votes' order by topic, id, n desc;
create view raw.thread as
  select id, rec is null as gone, (rec->>'air_time')::bigint as air, coalesce((rec->>'ends_at')::bigint, (rec->>'air_time')::bigint + 10800000) as ends
  from raw.newest where topic = 'live.threads';
create view raw.vote as
  select distinct on (id) id, (rec::jsonb->>'score')::bigint as score, (rec::jsonb->>'observed_at')::bigint as at
  from raw.records where topic = 'live.votes' order by id, at desc, score desc;
create materialized view raw.post as
  select p.id, p.rec->>'thread' as thread, p.rec->>'author' as author, (p.rec->>'created_at')::bigint as at, (p.rec->>'sentiment')::float8 as x,
    case when p.rec->>'text' in ('[deleted]', '[removed]') then '' else p.rec->>'text' end as text,
    1 + ln(1 + greatest(coalesce(case when v.at >= (p.rec->>'created_at')::bigint then v.score end, (p.rec->>'score')::bigint, 0), 0)::float8) as w,
    case when abs((p.rec->>'sentiment')::float8) <= 0.5 then 'neutral' when (p.rec->>'sentiment')::float8 > 0 then 'positive' else 'negative' end as label
  from raw.newest p left join raw.vote v using (id)
  where p.topic = 'live.posts' and p.rec is not null
    and not exists (select from raw.thread t where t.id = p.rec->>'thread' and t.gone);
create view raw.alias as
  select id as entity, rec->>'name' as alias from raw.newest where topic = 'live.cast' and rec is not null
  union select id, jsonb_array_elements_text(rec->'aliases') from raw.newest where topic = 'live.cast' and rec is not null;
create materialized view raw.mention as
  select distinct p.id, a.entity from raw.post p join raw.alias a
  on p.text ~* ('(^|[^[:alnum:]_])' || a.alias || '($|[^[:alnum:]_])');
create view raw.phase as
  select id as thread, 'pre' as phase, air - 86400000 as s, air as e from raw.thread
  union all select id, 'live', air, ends from raw.thread
  union all select id, 'post', ends, ends + 86400000 from raw.thread;
";

const SUMS: &str = "count(*) as posts, count(x) as scored, sum(w) as weight, sum(w * x) / sum(w) as sentiment,
  count(*) filter (where label = 'positive') as positive, count(*) filter (where label = 'neutral') as neutral,
  count(*) filter (where label = 'negative') as negative, 0 as toxic, 0 as sarcastic,
  count(distinct author) as authors";

/// Window bounds of milliseconds.
fn window(start: &str, end: &str) -> String {
    format!("to_timestamp({start} / 1000.0) as window_start, to_timestamp({end} / 1000.0) as window_end")
}

fn cut(length: i64) -> String {
    window(
        &format!("(at / {length} * {length})"),
        &format!("(at / {length} * {length} + {length})"),
    )
}

fn check(world: &mut World) {
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
    let (day, minute) = (cut(24 * HOUR), cut(60_000));
    world.wait_for_view(
        "live_thread.threads",
        &["thread", "window_start"],
        &["posts", "scored"],
        &[],
        &format!("select thread, {day}, {SUMS} from raw.post group by thread, window_start, window_end"),
    );
    let phase = window("s", "e");
    world.wait_for_view(
        "live_thread.thread_by_phase",
        &["thread", "phase"],
        &counts,
        &reals,
        &format!(
            "select thread, phase, {phase}, {SUMS} from raw.post join raw.phase using (thread) \
             where s <= at and at < e group by thread, phase, s, e"
        ),
    );
    world.wait_for_view(
        "live_thread.cast_by_phase",
        &["thread", "entity", "phase"],
        &counts,
        &reals,
        &format!(
            "select thread, entity, phase, {phase}, {SUMS} from raw.post join raw.phase using (thread) join raw.mention using (id) \
             where s <= at and at < e group by thread, entity, phase, s, e"
        ),
    );
    world.wait_for_view(
        "live_thread.cast_by_minute",
        &["thread", "entity", "window_start"],
        &counts,
        &reals,
        &format!(
            "select thread, entity, {minute}, {SUMS} from raw.post join raw.mention using (id) \
             group by thread, entity, window_start, window_end"
        ),
    );
    // Runs of mentions, cut where they are too long, and the posts between the ends of each.
    let (gap, max, burst) = (120_000, 6 * HOUR, window("s", "e"));
    world.wait_for_view(
        "live_thread.bursts",
        &["thread", "entity", "window_start"],
        &counts,
        &reals,
        &format!(
            "select thread, entity, {burst}, {SUMS} from raw.post join raw.mention using (id) join (
               select thread, entity, min(at) as s, max(at) + {gap} as e from (
                 select *, case when max(at) over one - min(at) over one > {max} then at / {max} else 0 end as part from (
                   select *, sum(case when at - before <= {gap} then 0 else 1 end) over (partition by thread, entity order by at) as run from (
                     select *, lag(at) over (partition by thread, entity order by at) as before from (
                       select distinct thread, entity, at from raw.post join raw.mention using (id)
                     ) as moment
                   ) as neighbours
                 ) as runs window one as (partition by thread, entity, run)
               ) as parts group by thread, entity, run, part
             ) as bursts using (thread, entity)
             where s <= at and at <= e - {gap} group by thread, entity, s, e"
        ),
    );
}

#[test]
fn live_thread_equals_sql_over_the_raw_records() {
    let Some(all) = data("events/nba_g7.jsonl.gz") else {
        return;
    };
    let all = &all[..COMMENTS];
    let topics = ["live.posts", "live.votes", "live.threads", "live.cast", "live.rules"];
    let replaced = [
        ("time: {clock: wall}", "time: {clock: event}"),
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        (
            "fuzzy: {min: 85}, inherit_from_parent: true",
            "fuzzy: false, inherit_from_parent: false",
        ),
        (
            "topic: live.posts, into: posts",
            "topic: live.posts, into: posts, map: {sentiment: sentiment}",
        ),
    ];
    let mut world = World::new("live-thread.yaml", &topics, &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    let cast: Vec<_> = CAST
        .iter()
        .map(|(id, name, aliases)| member(id, name, aliases))
        .collect();
    world.write("live.cast", &cast);
    // While the thread is live nobody shows votes, and nobody has said when it airs.
    let comments: Vec<_> = all.iter().map(|of| post(of, &[], Value::Null)).collect();
    let (first, rest) = comments.split_at(COMMENTS / 2);
    world.write("live.posts", first);
    world.start();
    world.wait_for_none(
        "something is there",
        "select case when count(*) > 100 then 0 else 1 end from live_thread.cast_by_minute",
    );
    world.crash();
    world.write("live.posts", rest);
    world.write(
        "live.threads",
        &[
            thread(MAIN, "Game 7", AIR + HOUR / 2, None),
            thread(EARLY, "Pre-game", AIR, Some(AIR + 2 * HOUR)),
            thread(GONE, "Moderators", AIR, None),
        ],
    );
    // Scores are revealed an hour later, some revised after that; an older observation comes last.
    let vote = |of: &Record, score: i64, at: i64| {
        let id = of["id"].as_str().unwrap();
        let at = of["created_at"].as_i64().unwrap() + at;
        (
            id.to_owned(),
            Some(record(&[
                ("id", json!(id)),
                ("score", json!(score)),
                ("observed_at", json!(at)),
            ])),
        )
    };
    let score = |of: &Record| of["score"].as_i64().unwrap_or(0);
    let mut votes: Vec<_> = all.iter().map(|of| vote(of, score(of), HOUR)).collect();
    votes.extend(all.iter().step_by(7).map(|of| vote(of, score(of) + 5, 2 * HOUR)));
    votes.extend(all.iter().step_by(11).map(|of| vote(of, 1, HOUR / 2)));
    world.write("live.votes", &votes);
    std::thread::sleep(Duration::from_millis(700));
    world.crash();
    // Comments are deleted and edited, a thread is taken down, another one aired later than announced, and somebody adds
    // what people call one of the cast.
    let deleted: Vec<_> = all
        .iter()
        .step_by(13)
        .map(|of| (of["id"].as_str().unwrap().to_owned(), None))
        .collect();
    world.write("live.posts", &deleted);
    let edited = all.iter().skip(5).step_by(17).map(|of| {
        let mut of = of.clone();
        of.insert(
            "text".to_owned(),
            json!(format!("{} Kyrie edit", of["text"].as_str().unwrap())),
        );
        post(&of, &[], Value::Null)
    });
    let edited: Vec<_> = edited.collect();
    world.write("live.posts", &edited);
    world.write(
        "live.threads",
        &[
            (GONE.to_owned(), None),
            thread(MAIN, "Game 7", AIR + HOUR, Some(AIR + 2 * HOUR)),
        ],
    );
    world.write("live.cast", &[member("lebron", "LeBron", &["King", "Bron"])]);
    world.sql(RAW);
    check(&mut world);
    on_the_wire(&world);
    world.stop();
}

/// What clients of the first system read.
fn on_the_wire(world: &World) {
    let listed = world.get("/api/threads?page=1&page_size=20");
    let threads = world
        .json("select thread as reddit_id, count(*) as total_comments from raw.post group by thread order by thread");
    let mut shown: Vec<Value> = listed["data"].as_array().unwrap().clone();
    shown.sort_by_key(|t| t["reddit_id"].as_str().unwrap().to_owned());
    let pairs = |all: &[Value]| -> Vec<(Value, Value)> {
        all.iter()
            .map(|t| (t["reddit_id"].clone(), t["total_comments"].clone()))
            .collect()
    };
    assert_eq!(pairs(&shown), pairs(threads.as_array().unwrap()));
    assert_eq!(listed["metadata"]["total"], shown.len());
    let main = world.get(&format!("/api/threads/{MAIN}"))["data"].clone();
    assert_eq!(
        (&main["title"], &main["air_time_utc"]),
        (&json!("Game 7"), &json!("2016-06-20T01:00:00.000Z"))
    );
    assert_eq!(main["ends_at_utc"], "2016-06-20T02:00:00.000Z");
    let (status, _, body) = world.ask(&format!("/api/threads/{GONE}"), "");
    assert_eq!(status, 404, "{body}");

    let cast = world.get(&format!("/api/threads/{EARLY}/cast"));
    let expected = world.json(&format!(
        "select entity as cast_member, phase as time_window, count(*) as posts from raw.post join raw.phase using (thread) \
         join raw.mention using (id) where s <= at and at < e and thread = '{EARLY}' group by entity, phase, s order by entity, s"
    ));
    let shown: Vec<Value> = cast["data"].as_array().unwrap().iter().map(|row| {
        json!({ "cast_member": row["cast_member"], "time_window": row["time_window"], "posts": row["posts"] })
    }).collect();
    assert_eq!(json!(shown), expected);
    assert!(shown.len() >= 8, "{expected}");
    let lebron = world.get(&format!("/api/threads/{EARLY}/cast/lebron"));
    assert!(
        lebron["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["cast_member"] == "lebron")
    );

    let lines = world.get(&format!("/api/threads/{MAIN}/timeline"))["data"].clone();
    let points = world.json(&format!(
        "select to_char(to_timestamp(at / 60000 * 60) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.000\"Z\"') as time, entity, \
         sum(w * x) / sum(w) as value from raw.post join raw.mention using (id) where thread = '{MAIN}' group by 1, 2 order by 1, 2"
    ));
    let points = points.as_array().unwrap();
    let numbers: usize = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_object().unwrap().len() - 1)
        .sum();
    assert_eq!(numbers, points.len());
    for point in points {
        let row = lines
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["time"] == point["time"])
            .unwrap();
        let number = row[point["entity"].as_str().unwrap()].as_f64().unwrap();
        assert!(
            (number - point["value"].as_f64().unwrap()).abs() < 1e-6 && (-1.0..=1.0).contains(&number),
            "{point} {row}"
        );
    }
}
