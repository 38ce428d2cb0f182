//! What was written against what should have been.

use crate::Failure;
use crate::feed::{Feed, TOPICS};
use crate::oracle;
use crate::world::{AGAIN, FRESH, RUINED, Read, World};
use groundswell_core::store::{Store, StoreOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs every check; the first that fails ends it.
pub fn all(world: &World, feed: &Feed, fold: bool) -> Result<(), Failure> {
    views_are_what_sql_computes(world, feed)?;
    dead_letters_are_the_garbage(world, feed)?;
    if fold {
        histories_can_be(&world.read(&format!("{RUINED}.alerts"))?)?;
    } else {
        every_offset_is_recorded_once(world)?;
        the_same_ticks_write_the_same(world)?;
    }
    an_undisturbed_engine_agrees(world)
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(what().into()) }
}

fn number(world: &World, sql: &str) -> Result<u64, Failure> {
    Ok(world.sql(sql)?.trim().parse()?)
}

fn views_are_what_sql_computes(world: &World, feed: &Feed) -> Result<(), Failure> {
    oracle::load(world, feed)?;
    for (view, group, rows) in oracle::views() {
        let differs = format!(
            "select * from ({rows}) as e full join {RUINED}.{view} as t using ({group}, window_start)
             where e.posts is distinct from t.posts or e.scored is distinct from t.scored
                or abs(e.weight - t.weight) > 1e-6 * greatest(e.weight, 1)
                or (e.sentiment is null) <> (t.sentiment is null) or abs(e.sentiment - t.sentiment) > 1e-6 limit 5"
        );
        let different = world.sql(&differs)?;
        ensure(different.trim().is_empty(), || {
            format!("{view} is not what SQL computes:\n{different}")
        })?;
        let count = number(world, &format!("select count(*) from {RUINED}.{view}"))?;
        ensure(count > 0, || format!("{view} is empty"))?;
        println!("{view}: {count} rows as SQL computes them");
    }
    Ok(())
}

fn dead_letters_are_the_garbage(world: &World, feed: &Feed) -> Result<(), Failure> {
    let mut garbage: Vec<&[u8]> = feed
        .messages
        .iter()
        .filter(|m| m.garbage)
        .filter_map(|m| m.value.as_deref())
        .collect();
    garbage.sort_unstable();
    let letters = world.read(&format!("{RUINED}.dead"))?;
    let mut found: Vec<&[u8]> = letters.iter().filter_map(|r| r.value.as_deref()).collect();
    found.sort_unstable();
    ensure(found == garbage, || {
        format!(
            "{} dead letters in the topic, {} were garbage",
            found.len(),
            garbage.len()
        )
    })?;
    let table = world.sql(&format!("select encode(payload, 'hex') from {RUINED}.dead_letters"))?;
    let mut stored: Vec<&str> = table.lines().collect();
    let mut hex: Vec<String> = garbage
        .iter()
        .map(|g| g.iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    stored.sort_unstable();
    hex.sort_unstable();
    ensure(stored == hex, || {
        format!("{} dead letters in the table, {} were garbage", stored.len(), hex.len())
    })?;
    println!("{} dead letters, topic and table, are the garbage", garbage.len());
    Ok(())
}

fn every_offset_is_recorded_once(world: &World) -> Result<(), Failure> {
    let (from, to) = (world.folder.path().join(RUINED), world.folder.path().join("looked-at"));
    copy(&from, &to)?;
    let (_store, restore) = Store::open(StoreOptions::new(format!("file:{}", to.display())))?;
    let mut seen = BTreeMap::<(u16, u32), Vec<u64>>::new();
    for batch in restore {
        for e in batch?.records {
            // The engine's own records, and the entities' file, are not from a topic.
            if usize::from(e.source) < TOPICS.len() {
                seen.entry((e.source, e.partition)).or_default().push(e.offset);
            }
        }
    }
    let mut all = 0;
    for (topic, partition, end) in world.ends(&TOPICS)? {
        let source = TOPICS.iter().position(|t| *t == topic).unwrap_or_default();
        let key = (u16::try_from(source)?, u32::try_from(partition)?);
        let offsets = seen.remove(&key).unwrap_or_default();
        let whole = offsets.iter().copied().eq(0..u64::try_from(end)?);
        ensure(whole, || {
            format!(
                "{topic}/{partition}: {} records for {end} offsets, or out of order",
                offsets.len()
            )
        })?;
        all += offsets.len();
    }
    println!("{all} offsets are in the record once, in order");
    Ok(())
}

fn the_same_ticks_write_the_same(world: &World) -> Result<(), Failure> {
    copy(&world.folder.path().join(RUINED), &world.folder.path().join(AGAIN))?;
    world.drain(AGAIN)?;
    for topic in ["alerts", "by-hour", "dead"] {
        let bare = |r: Read| (r.partition, r.key, r.value, r.headers);
        let read = |name: &str| -> Result<Vec<_>, Failure> {
            Ok(world.read(&format!("{name}.{topic}"))?.into_iter().map(bare).collect())
        };
        let (found, wanted) = (read(RUINED)?, read(AGAIN)?);
        let first = found.iter().zip(&wanted).position(|(a, b)| a != b);
        ensure(found == wanted, || {
            format!(
                "{topic}: {} records, {} without a fault; the first that differs: {first:?}",
                found.len(),
                wanted.len()
            )
        })?;
        ensure(!found.is_empty(), || format!("{topic} is empty"))?;
        println!("{topic}: {} records, the same as without a fault", found.len());
    }
    Ok(())
}

/// Whether each alert's records are a history that an alert can have, each state told once.
fn histories_can_be(alerts: &[Read]) -> Result<(), Failure> {
    let mut states = BTreeMap::<Vec<u8>, String>::new();
    let mut told = BTreeSet::new();
    for record in alerts {
        let alert: Value = serde_json::from_slice(record.value.as_deref().unwrap_or_default())?;
        let state = alert["state"].as_str().unwrap_or_default().to_owned();
        let key = record.key.clone().unwrap_or_default();
        let before = states.insert(key, state.clone());
        let can_be = matches!(
            (before.as_deref(), state.as_str()),
            (None | Some("retracted" | "resolved"), "firing") | (Some("firing" | "resolved"), "resolved" | "retracted")
        );
        ensure(can_be, || format!("an alert went from {before:?} to {state}: {alert}"))?;
        let once = told.insert((alert["id"].to_string(), alert["at"].to_string(), state));
        ensure(once, || format!("told twice: {alert}"))?;
    }
    ensure(!alerts.is_empty(), || "no alerts".to_owned())?;
    println!(
        "{} alert records are histories that can be, each told once",
        alerts.len()
    );
    Ok(())
}

fn an_undisturbed_engine_agrees(world: &World) -> Result<(), Failure> {
    let counters = world.drain(FRESH)?;
    for line in counters.lines() {
        let cells: Vec<&str> = line.split(' ').collect();
        let [source, numbers @ ..] = cells.as_slice() else {
            continue;
        };
        let numbers: Vec<u64> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
        let adds_up = matches!(numbers[..], [read, accepted, duplicate, dead] if read == accepted + duplicate + dead);
        ensure(adds_up, || {
            format!("{source}: read, accepted, duplicate, dead-lettered are {numbers:?}")
        })?;
        if let Some(i) = ["posts", "votes", "rules"].iter().position(|s| s == source) {
            let sent: i64 = world.ends(&TOPICS[i..=i])?.iter().map(|(.., end)| end).sum();
            ensure(numbers.first().copied() == u64::try_from(sent).ok(), || {
                format!("{source}: {numbers:?}, but the topic holds {sent}")
            })?;
        }
        println!(
            "{source}: read {} = accepted {} + duplicate {} + dead-lettered {}",
            numbers[0], numbers[1], numbers[2], numbers[3]
        );
    }
    let tables = [
        ("by_hour", "source, window_start, posts, scored, weight, sentiment"),
        ("by_author", "author, window_start, posts, scored, weight, sentiment"),
        ("by_entity", "entity, window_start, posts, scored, weight, sentiment"),
        (
            "alerts",
            "id, rule, state, view, key, window_start, window_end, resolved_window_start",
        ),
    ];
    for (table, columns) in tables {
        // What was retracted, and the numbers at the moment of a transition, depend on when ticks began and ended.
        let only = if table == "alerts" {
            "where state <> 'retracted'"
        } else {
            ""
        };
        let rows = |schema| format!("(select {columns} from {schema}.{table} {only})");
        let (ours, theirs) = (rows(RUINED), rows(FRESH));
        let differs = world.sql(&format!(
            "(select 'ruined', * from ({ours} except {theirs}) as o) union all
             (select 'fresh', * from ({theirs} except {ours}) as t) order by 2 limit 10"
        ))?;
        ensure(differs.trim().is_empty(), || {
            format!("{table} differs from that of an engine without a fault:\n{differs}")
        })?;
    }
    println!("tables and standing alerts equal those of an engine without a fault");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
