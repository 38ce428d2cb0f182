//! The views as SQL computes them from the raw topics.
//!
//! In: what any consumer reads from the topics. State: tables in the schema `raw`, loaded as they are but for the garbage.
//! Out: queries that give the rows of each view: posts, scored, weight, sentiment.

use crate::Failure;
use crate::feed::{Feed, TOPICS};
use crate::world::World;
use std::collections::HashSet;
use std::fmt::Write;

/// Posts and votes as they are in the topics, and the live posts with their newest votes.
///
/// A post's newest record counts; one id is one key is one partition, so that its offsets tell the order. Of its votes the
/// last observed count, of two at the same moment the greater.
const TABLES: &str = "
create schema raw;
create table raw.posts (off bigint, id text, doc jsonb);
create table raw.votes (off bigint, id text, doc jsonb);
create view raw.live as
with newest as (select distinct on (id) id, doc from raw.posts order by id, off desc),
     live as (select id, doc from newest where doc is not null),
     seen as (select id, (doc->>'score')::bigint as votes, (doc->>'observed_at')::bigint as at from raw.votes
              union all
              select id, (doc->>'score')::bigint, (doc->>'created_at')::bigint from live),
     counted as (select distinct on (id) id, votes from seen order by id, at desc, votes desc nulls last)
select l.id, doc->>'source' as source, doc->>'author' as author, doc->>'text' as text,
       (doc->>'created_at')::bigint as at, (doc->>'sentiment')::float8 as x,
       1 + ln(1 + greatest(coalesce(c.votes, 0), 0)::float8) as w
from live l left join counted c using (id)";

/// Words of the entities.
const ENTITIES: &str = "(values ('apple', 'apple|iphone|macos'), ('google', 'google|chrome|android'),
                         ('rust', 'rust|rustc'), ('linux', 'linux|kernel')) as e(entity, words)";

/// View, its group column, and the query of its rows.
pub fn views() -> Vec<(&'static str, &'static str, String)> {
    let rows = |group: &str, from: &str, minutes: i64| {
        let window = minutes * 60_000;
        format!(
            "select {group}, to_timestamp(floor(at / {window}.0) * {window} / 1000) as window_start, count(*) as posts,
                    count(x) as scored, coalesce(sum(w) filter (where x is not null), 0) as weight,
                    sum(w * x) / sum(w) filter (where x is not null) as sentiment
             from {from} group by 1, 2"
        )
    };
    let mentions =
        format!("raw.live join {ENTITIES} on text ~* ('(^|[^[:alnum:]_])(' || words || ')($|[^[:alnum:]_])')");
    vec![
        ("by_hour", "source", rows("source", "raw.live", 60)),
        ("by_author", "author", rows("author", "raw.live", 7 * 24 * 60)),
        ("by_entity", "entity", rows("entity", &mentions, 24 * 60)),
    ]
}

/// Loads the raw topics.
pub fn load(world: &World, feed: &Feed) -> Result<(), Failure> {
    world.sql(TABLES)?;
    let garbage: HashSet<&[u8]> = feed
        .messages
        .iter()
        .filter(|m| m.garbage)
        .filter_map(|m| m.value.as_deref())
        .collect();
    for (topic, table) in TOPICS.into_iter().zip(["posts", "votes"]) {
        let mut csv = String::new();
        for record in world.read(topic)? {
            if record.value.as_deref().is_some_and(|v| garbage.contains(v)) {
                continue;
            }
            let text = |bytes: Option<Vec<u8>>| bytes.map(String::from_utf8).transpose();
            let (key, value) = (text(record.key)?.unwrap_or_default(), text(record.value)?);
            let value = value.map_or_else(String::new, |v| format!("\"{}\"", v.replace('"', "\"\"")));
            writeln!(csv, "{},{key},{value}", record.offset)?;
        }
        let folder = world.postgres.folder().ok_or("the database is ours")?;
        let file = folder.join(format!("{table}.csv"));
        std::fs::write(&file, csv)?;
        world.postgres.give(&file)?;
        world.sql(&format!("copy raw.{table} from '{}' with (format csv)", file.display()))?;
    }
    world.sql("analyze raw.posts; analyze raw.votes").map(|_| ())
}
