//! `feeds.yaml`: the comments of game 7 of the 2016 finals as posts of their authors, some of them passing others on, and what
//! two hundred users do with them, by a generator with a seed: likes before their posts and of posts that never come, repeated
//! and undone ones, undone ones before they are made; follows and unfollows. Posts are edited and deleted, and the program is
//! killed.

use super::world::{Record, World, data, post, record};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const POSTS: usize = 9_000;
const INTERACTIONS: usize = 40_000;
const USERS: u64 = 200;
const SEED: u64 = 2016;

/// `SplitMix64`: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// The raw records as tables: what counts of each id, whatever came when.
const RAW: &str = r"
create view raw.newest as
  select distinct on (topic, id) topic, id, rec::jsonb as rec from raw.records order by topic, id, n desc;
create materialized view raw.post as
  select id, rec->>'author' as author, rec->>'parent' as parent, rec->>'original_post_id' as original, (rec->>'created_at')::bigint as at,
    (rec->>'sentiment')::float8 as x, case when rec->>'text' in ('[deleted]', '[removed]') then '' else rec->>'text' end as text
  from raw.newest where topic = 'feeds.posts' and rec is not null;
create unique index on raw.post (id);
create materialized view raw.tie as
  select rec->>'user' as usr, rec->>'post' as post, rec->>'kind' as kind, (rec->>'at')::bigint as at
  from raw.newest where topic = 'feeds.interactions' and not coalesce((rec->>'deleted')::bool, false);
create materialized view raw.follow as
  select rec->>'follower' as usr, rec->>'followed' as author
  from raw.newest where topic = 'feeds.follows' and not coalesce((rec->>'deleted')::bool, false);
create materialized view raw.done as
  select post, usr, kind from raw.tie
  union all select parent, author, 'comment' from raw.post where parent is not null
  union all select original, author, 'repost' from raw.post where original is not null;
create materialized view raw.number as
  select p.id, p.author, p.at, p.x, p.parent, p.original, count(*) filter (where kind = 'like') as likes, count(*) filter (where kind = 'comment') as comments,
    count(*) filter (where kind = 'repost') as reposts, count(*) filter (where kind = 'view') as views,
    count(*) filter (where kind = 'like') + 2 * count(*) filter (where kind = 'comment') + 3 * count(*) filter (where kind = 'repost') as e
  from raw.post p left join raw.done d on d.post = p.id group by p.id, p.author, p.at, p.x, p.parent, p.original;
create materialized view raw.bond as
  select d.usr, p.author, sum(case kind when 'like' then 1 when 'comment' then 2 when 'repost' then 3 else 0 end) as b
  from raw.done d join raw.post p on p.id = d.post where d.usr <> p.author group by d.usr, p.author;
create materialized view raw.tag as
  select distinct id, lower(m[1]) as tag from raw.post, regexp_matches(text, '(?:^|[^[:alnum:]_&/])#([[:alnum:]_]+)', 'g') m
  where m[1] ~ '[^[:digit:]]' and length(m[1]) <= 100;
create materialized view raw.mention as
  select distinct id, lower(m) as mention from (
    select id, (regexp_matches(text, '(?:^|[^[:alnum:]_&/])@([[:alnum:]_]+(?:[.-][[:alnum:]_]+)*)', 'g'))[1] as m from raw.post
    union all select id, (regexp_matches(text, '(?:^|[^[:alnum:]_&/])u/([[:alnum:]_]+(?:[.-][[:alnum:]_]+)*)', 'g'))[1] from raw.post
    union all select id, (regexp_matches(text, '(?:^|[^[:alnum:]_&/.:])/u/([[:alnum:]_]+(?:[.-][[:alnum:]_]+)*)', 'g'))[1] from raw.post
  ) r where length(m) <= 100;
create materialized view raw.clock as select max((rec::jsonb->>'created_at')::bigint) as now from raw.records where topic = 'feeds.posts';
";

const AGAIN: &str =
    "refresh materialized view raw.post; refresh materialized view raw.tie; refresh materialized view raw.follow;
refresh materialized view raw.done; refresh materialized view raw.number; refresh materialized view raw.bond;";

const SUMS: &str =
    "count(*) as posts, count(distinct author) as authors, count(x) as scored, avg(x) as sentiment, 0 as toxic";

fn cut(length: i64) -> String {
    format!(
        "to_timestamp(at / {length} * {length} / 1000.0) as window_start, \
         to_timestamp((at / {length} * {length} + {length}) / 1000.0) as window_end"
    )
}

fn check_views(world: &mut World) {
    const HOUR: i64 = 3_600_000;
    let counts = ["posts", "authors", "scored", "toxic"];
    for column in ["tag", "mention"] {
        let window = cut(HOUR);
        world.wait_for_view(
            &format!("feeds.{column}s_by_hour"),
            &[column, "window_start"],
            &counts,
            &["sentiment"],
            &format!(
                "select {column}, {window}, {SUMS} from raw.post join raw.{column} using (id) group by {column}, window_start, window_end"
            ),
        );
    }
    let day = cut(24 * HOUR);
    world.wait_for_view(
        "feeds.authors_by_day",
        &["author", "window_start"],
        &["posts", "scored", "toxic"],
        &["sentiment"],
        &format!(
            "select coalesce(author, '') as author, {day}, {SUMS} from raw.post group by 1, window_start, window_end"
        ),
    );
    world.wait_for_view(
        "feeds.trending",
        &["tag"],
        &counts,
        &["sentiment"],
        &format!(
            "select tag, to_timestamp((now / 60000 * 60000 + 60000 - {HOUR}) / 1000.0) as window_start, \
             to_timestamp((now / 60000 * 60000 + 60000) / 1000.0) as window_end, {SUMS} \
             from raw.post join raw.tag using (id), raw.clock \
             where at >= now / 60000 * 60000 + 60000 - {HOUR} and at < now / 60000 * 60000 + 60000 group by tag, now"
        ),
    );
}

/// A feed to its end, page by page; its posts and the time they are ranked at (epoch ms).
fn read_all(world: &World, question: &str) -> (Vec<Value>, i64) {
    let (mut all, mut cursor, mut as_of) = (Vec::new(), String::new(), None);
    loop {
        let page = world.get(&format!("/api/v1/posts/feed/?{question}&cursor={cursor}"));
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        let at: jiff::Timestamp = page["metadata"]["as_of"].as_str().unwrap().parse().unwrap();
        let first = *as_of.get_or_insert(at.as_millisecond());
        match page["metadata"]["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return (all, first),
        }
    }
}

fn ids(posts: &[Value]) -> Vec<&str> {
    posts.iter().map(|post| post["id"].as_str().unwrap()).collect()
}

const EVERYTHING: &str = "scope=everyone&algorithm=chronological&replies=show&limit=1000";
const NUMBERS: [&str; 4] = ["likes_count", "comments_count", "reposts_count", "views_count"];

fn sums(posts: &[Value]) -> [i64; 4] {
    NUMBERS.map(|field| posts.iter().map(|post| post[field].as_i64().unwrap()).sum())
}

/// Waits until everything that was written has arrived: then the sums are those of the raw records.
fn settle(world: &World) {
    let expected = world.json("select sum(likes)::int8 as a, sum(comments)::int8 as b, sum(reposts)::int8 as c, sum(views)::int8 as d from raw.number");
    let expected = ["a", "b", "c", "d"].map(|name| expected[0][name].as_i64().unwrap());
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let shown = sums(&read_all(world, EVERYTHING).0);
        if shown == expected {
            return;
        }
        assert!(Instant::now() < end, "shown {shown:?}, expected {expected:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Every post with its numbers, newest first.
fn check_numbers(world: &World) {
    let (shown, _) = read_all(world, EVERYTHING);
    let expected = world.json(
        "select id, author as user_id, parent as parent_id, original as original_post_id, likes as likes_count, comments as comments_count, \
         reposts as reposts_count, views as views_count from raw.number order by at desc",
    );
    let expected = expected.as_array().unwrap();
    assert_eq!(shown.len(), expected.len());
    for (shown, expected) in shown.iter().zip(expected) {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field} of {expected}, shown {shown}");
        }
    }
    let sums = sums(&shown);
    println!("{} posts equal, numbers {sums:?}", shown.len());
    assert!(sums.iter().all(|n| *n > 300), "{sums:?}");
}

/// The three feeds of a user.
fn check_feeds(world: &World, user: &str) -> usize {
    let followed =
        format!("select * from raw.number where author in (select author from raw.follow where usr = '{user}')");
    let (newest, _) = read_all(
        world,
        &format!("user={user}&algorithm=chronological&replies=show&limit=37"),
    );
    let expected = world.json(&format!("{followed} order by at desc"));
    assert_eq!(ids(&newest), ids(expected.as_array().unwrap()), "{user}");

    let candidates = format!(
        "(select * from ({followed}) f order by at desc limit 100) union (select * from ({followed}) f where e > 0 order by e desc, at desc limit 30)"
    );
    let (engaged, _) = read_all(
        world,
        &format!("user={user}&algorithm=engagement&replies=show&limit=37"),
    );
    let expected = world.json(&format!("select * from ({candidates}) c order by e desc, at desc"));
    assert_eq!(ids(&engaged), ids(expected.as_array().unwrap()), "{user}");

    let (ranked, as_of) = read_all(world, &format!("user={user}&replies=show&limit=37"));
    let expected = world.json(&format!(
        "select id, score, liked from (select c.*, 0.4 * power(0.5, ({as_of} - at) / 21600000.0) + 0.3 * e / (e + 10.0) \
         + 0.2 * coalesce(b, 0) / (coalesce(b, 0) + 5.0) + 0.1 * (1 + x) / 2 as score, \
         exists (select from raw.tie t where t.usr = '{user}' and t.post = c.id and t.kind = 'like') as liked \
         from ({candidates}) c left join raw.bond b on b.usr = '{user}' and b.author = c.author) s order by score desc"
    ));
    let expected = expected.as_array().unwrap();
    assert_eq!(ids(&ranked), ids(expected), "{user}");
    for (shown, expected) in ranked.iter().zip(expected) {
        let (shown_score, score) = (
            shown["score"]["final"].as_f64().unwrap(),
            expected["score"].as_f64().unwrap(),
        );
        assert!((shown_score - score).abs() < 1e-9, "{shown} {expected}");
        assert_eq!(shown["is_liked"], expected["liked"], "{shown}");
    }
    // Who is muted is not in it.
    if let Some(author) = newest.first().and_then(|post| post["user_id"].as_str()) {
        let (muted, _) = read_all(
            world,
            &format!("user={user}&algorithm=chronological&replies=show&limit=100&mute={author}"),
        );
        let rest = newest.iter().filter(|post| post["user_id"] != author);
        assert_eq!(
            ids(&muted),
            rest.map(|post| post["id"].as_str().unwrap()).collect::<Vec<_>>()
        );
    }
    ranked.len()
}

/// Who likes and passes on the posts with which most was done.
fn check_lists(world: &World) {
    let top = world.json("select id, likes, reposts from raw.number order by e desc, at desc limit 15");
    for post in top.as_array().unwrap() {
        let id = post["id"].as_str().unwrap();
        let likes = world.get(&format!("/api/v1/posts/{id}/likes?limit=1000"));
        let expected = world.json(&format!(
            "select usr from raw.tie where post = '{id}' and kind = 'like' order by at desc"
        ));
        let users = |rows: &Value, field: &str| -> Vec<Value> {
            rows.as_array().unwrap().iter().map(|row| row[field].clone()).collect()
        };
        assert_eq!(users(&likes["data"], "user"), users(&expected, "usr"), "{id}");
        assert_eq!(likes["metadata"]["total"], post["likes"]);
        let reposts = world.get(&format!("/api/v1/posts/{id}/reposts?limit=1000"));
        let expected = world.json(&format!(
            "select usr, null as post, at from raw.tie where post = '{id}' and kind = 'repost' \
             union all select author, id, at from raw.post where original = '{id}' order by at desc"
        ));
        assert_eq!(users(&reposts["data"], "user"), users(&expected, "usr"), "{id}");
        assert_eq!(users(&reposts["data"], "post_id"), users(&expected, "post"), "{id}");
        assert_eq!(reposts["metadata"]["total"], post["reposts"]);
        // The same, page by page.
        let first = world.get(&format!("/api/v1/posts/{id}/likes?limit=3"));
        let cursor = first["metadata"]["next_cursor"].as_str().unwrap();
        let second = world.get(&format!("/api/v1/posts/{id}/likes?limit=3&cursor={cursor}"));
        let both = [users(&first["data"], "user"), users(&second["data"], "user")].concat();
        assert_eq!(both[..], users(&likes["data"], "user")[..both.len()]);
    }
}

/// The posts: some pass others on, some say tags and names; no two were written in the same millisecond.
fn posts(all: &[Record]) -> Vec<(String, Option<Record>)> {
    let id = |i: usize| all[i]["id"].clone();
    let changed = |(i, of): (usize, &Record)| {
        let mut of = of.clone();
        let at = of["created_at"].as_i64().unwrap() + i64::try_from(i % 1000).unwrap();
        of.insert("created_at".to_owned(), json!(at));
        let text = of["text"].as_str().unwrap().to_owned();
        match i % 10 {
            3 => of.insert("text".to_owned(), json!(format!("{text} #NBA #Finals2016"))),
            6 => of.insert(
                "text".to_owned(),
                json!(format!("#nba {text}, #nba @User{} u/User7.", i % 7)),
            ),
            9 => {
                of.insert("parent".to_owned(), Value::Null);
                of.insert("original_post_id".to_owned(), id(i - 5))
            }
            _ => None,
        };
        post(&of, &[], Value::Null)
    };
    all.iter().enumerate().map(changed).collect()
}

/// What users do, in the order in which it arrives.
fn interactions(
    posts: &[(String, Option<Record>)],
    dice: &mut Dice,
    n: usize,
    from: i64,
) -> Vec<(String, Option<Record>)> {
    let mut all = Vec::with_capacity(n);
    for i in 0..n {
        // A few posts get most of it, and some were never written.
        let of = match dice.roll(20) {
            0 => format!("ghost{}", dice.roll(50)),
            1..=9 => posts[usize::try_from(dice.roll(120)).unwrap() * 7].0.clone(),
            _ => posts[usize::try_from(dice.roll(posts.len() as u64)).unwrap()].0.clone(),
        };
        let kind = match dice.roll(20) {
            0..=10 => "like",
            11..=12 => "repost",
            13..=14 => "comment",
            _ => "view",
        };
        let (user, at) = (format!("user{}", dice.roll(USERS)), from + i64::try_from(i).unwrap());
        let undone = dice.roll(6) == 0;
        let fields = [
            ("user", json!(user)),
            ("post", json!(of)),
            ("kind", json!(kind)),
            ("at", json!(at)),
            ("deleted", json!(undone)),
        ];
        all.push((format!("{user} {of} {kind}"), Some(record(&fields))));
    }
    all
}

fn follows(posts: &[(String, Option<Record>)], dice: &mut Dice, from: i64) -> Vec<(String, Option<Record>)> {
    let mut written = BTreeMap::<&str, usize>::new();
    for author in posts.iter().filter_map(|(_, post)| post.as_ref()?["author"].as_str()) {
        *written.entry(author).or_default() += 1;
    }
    // Who writes much is followed.
    let mut authors: Vec<&str> = written.keys().copied().collect();
    authors.sort_by_key(|author| std::cmp::Reverse(written[author]));
    authors.truncate(250);
    let mut all = Vec::new();
    for i in 0..USERS * 20 {
        let (user, at) = (dice.roll(USERS), from + i64::try_from(i).unwrap());
        // Everybody has a few favourites, so that follows repeat and end.
        let author = authors[usize::try_from((user * 31 + dice.roll(40)) % authors.len() as u64).unwrap()];
        let fields = [
            ("follower", json!(format!("user{user}"))),
            ("followed", json!(author)),
            ("at", json!(at)),
            ("deleted", json!(dice.roll(5) == 0)),
        ];
        all.push((format!("user{user} {author}"), Some(record(&fields))));
    }
    all
}

#[test]
fn feeds_equal_sql_over_the_raw_records() {
    let Some(all) = data("events/nba_g7.jsonl.gz") else {
        return;
    };
    let all = &all[..POSTS];
    let topics = ["feeds.posts", "feeds.interactions", "feeds.follows"];
    let replaced = [
        ("time: {clock: wall}", "time: {clock: event}"),
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        ("into: posts  ", "into: posts\n    map: {sentiment: sentiment}  "),
        (
            "model: civility, newest: 1000, engaged: 200",
            "model: sentiment, newest: 100, engaged: 30",
        ),
    ];
    let mut world = World::new("feeds.yaml", &topics, &replaced);
    if !world.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    let posts = posts(all);
    let end = posts
        .iter()
        .filter_map(|(_, p)| p.as_ref()?["created_at"].as_i64())
        .max()
        .unwrap();
    let mut dice = Dice(SEED);
    // Half of what is done comes before the posts it is done with.
    let done = interactions(&posts, &mut dice, INTERACTIONS, end - 50_000);
    let (early, late) = done.split_at(INTERACTIONS / 2);
    let (first, rest) = posts.split_at(POSTS / 2);
    world.write("feeds.interactions", early);
    world.write("feeds.posts", first);
    world.write("feeds.follows", &follows(&posts, &mut dice, end - 50_000));
    world.start();
    world.wait_for_none(
        "something is there",
        "select case when count(*) > 100 then 0 else 1 end from feeds.authors_by_day",
    );
    world.crash();
    world.write("feeds.posts", rest);
    world.write("feeds.interactions", late);
    let deleted: Vec<_> = posts.iter().step_by(13).map(|(id, _)| (id.clone(), None)).collect();
    world.write("feeds.posts", &deleted);
    let edited = posts.iter().skip(5).step_by(17).map(|(id, post)| {
        let mut post = post.clone().unwrap();
        let text = post["text"].as_str().unwrap().to_owned();
        post.insert("text".to_owned(), json!(format!("{text} #edited")));
        (id.clone(), Some(post))
    });
    let edited: Vec<_> = edited.collect();
    world.write("feeds.posts", &edited);
    world.crash();
    world.sql(RAW);
    check_views(&mut world);
    settle(&world);
    check_numbers(&world);
    let feeds: usize = (0..12).map(|n| check_feeds(&world, &format!("user{n}"))).sum();
    println!("12 users' feeds equal, {feeds} posts ranked");
    assert!(feeds > 900, "{feeds}");
    check_lists(&world);
    pages_hold_still(&mut world, &posts, &mut dice, end);
    on_the_wire(&world);
    how_long(&world);
    world.stop();
}

/// While somebody reads, likes come and a post goes: no post is on two pages, and none but that one is missing.
fn pages_hold_still(world: &mut World, posts: &[(String, Option<Record>)], dice: &mut Dice, end: i64) {
    let question = "user=user3&replies=show&limit=20";
    let before = read_all(world, question).0;
    assert!(before.len() > 60, "{}", before.len());
    let first = world.get(&format!("/api/v1/posts/feed/?{question}"));
    let cursor = first["metadata"]["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(ids(first["data"].as_array().unwrap()), ids(&before[..20]));
    let gone = before[25]["id"].as_str().unwrap().to_owned();
    world.write("feeds.interactions", &interactions(posts, dice, 3_000, end));
    world.write("feeds.posts", &[(gone.clone(), None)]);
    world.sql(AGAIN);
    settle(world);
    let mut rest = Vec::new();
    let mut next = Some(cursor.clone());
    while let Some(cursor) = next {
        let page = world.get(&format!("/api/v1/posts/feed/?{question}&cursor={cursor}"));
        let again = world.get(&format!("/api/v1/posts/feed/?{question}&cursor={cursor}"));
        assert_eq!(page, again);
        rest.extend(page["data"].as_array().unwrap().iter().cloned());
        next = page["metadata"]["next_cursor"].as_str().map(str::to_owned);
    }
    let mut expected = ids(&before[20..]);
    expected.retain(|id| *id != gone);
    assert_eq!(ids(&rest), expected);
    // Somebody else's cursor is none.
    let (status, _, body) = world.ask(
        &format!("/api/v1/posts/feed/?user=user4&replies=show&cursor={cursor}"),
        "",
    );
    assert_eq!(status, 400, "{body}");
    // Who begins again sees what has changed meanwhile.
    check_numbers(world);
    for n in 0..4 {
        check_feeds(world, &format!("user{n}"));
    }
}

/// What one reader waits for the first page of each feed, one request after the other; said, not judged.
fn how_long(world: &World) {
    for algorithm in ["chronological", "engagement", "ranked"] {
        let mut times: Vec<Duration> = (0..USERS)
            .map(|n| {
                let begun = Instant::now();
                world.get(&format!(
                    "/api/v1/posts/feed/?user=user{n}&algorithm={algorithm}&replies=show"
                ));
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100];
        println!("{algorithm}: p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99));
    }
}

fn on_the_wire(world: &World) {
    let author = world
        .sql("select author from raw.number where author is not null group by author order by count(*) desc limit 1");
    let page = world.get(&format!("/api/v1/posts/user/{author}?limit=5"));
    let expected = world.json(&format!(
        "select id from raw.number where author = '{author}' order by at desc limit 5"
    ));
    let shown = page["data"].as_array().unwrap();
    assert_eq!(ids(shown), ids(expected.as_array().unwrap()));
    let fields: Vec<&str> = shown[0].as_object().unwrap().keys().map(String::as_str).collect();
    for field in [
        "id",
        "user_id",
        "content",
        "created_at",
        "original_post_id",
        "likes_count",
        "comments_count",
        "reposts_count",
        "views_count",
        "hashtags",
        "mentions",
        "moderation",
    ] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    // Posts can still be had one by one, in the engine's own shape.
    let id = shown[0]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/api/v1/posts/{id}"))["data"]["id"], id);
    let trending = world.get("/api/v1/views/trending?limit=1000");
    let expected: usize = world.sql("select count(*) from feeds.trending").parse().unwrap();
    assert_eq!(trending["data"].as_array().unwrap().len(), expected);
    for (target, status, code) in [
        ("/api/v1/posts/nowhere/likes", 404, "NOT_FOUND"),
        ("/api/v1/posts/feed/?algorithm=best", 400, "INVALID_PARAMETER"),
        ("/api/v1/posts/feed/?scope=following", 400, "INVALID_PARAMETER"),
        ("/api/v1/posts/feed/?user=", 400, "INVALID_PARAMETER"),
        ("/api/v1/posts/feed/?limit=0", 400, "INVALID_PARAMETER"),
        ("/api/v1/posts/feed/?users=a", 400, "UNKNOWN_PARAMETER"),
    ] {
        let (given, _, body) = world.ask(target, "");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(given, status, "{target}: {body}");
        assert!(error["error"]["code"] == code || status == 400, "{target}: {body}");
    }
    let nobody = world.get("/api/v1/posts/feed/?user=nobody");
    assert_eq!(nobody["data"], json!([]));
}
