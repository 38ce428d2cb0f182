//! Whole pipelines with a Postgres sink, on a real server: the program is killed, the database is killed, sinks are paused
//! and resynced, and the tables end as what the engine serves.
#![allow(clippy::unwrap_used)]

use groundswell::config::{self, Pipeline};
use groundswell::engine::{Connections, SinkCondition};
use groundswell::pipeline::{Running, start};
use groundswell_testing::postgres::Postgres;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GROUNDSWELL: &str = env!("CARGO_BIN_EXE_groundswell");

/// A pipeline file in a folder; `more` is added at the end.
fn write(folder: &Path, url: &str, posts: u32, serve: &str, more: &str) {
    std::fs::write(folder.join("url"), url).unwrap();
    let text = format!(
        "name: live\nstate: {{fold_after: 1MiB}}\n\
         sources: {{posts: {{type: generator, seed: 7, posts_per_minute: 600000, garbage: 0.01, limit: {posts}}}}}\n\
         models: {{live: fixture}}\n\
         views:\n  by_minute: {{group_by: [thread, entity], window: {{tumble: 1m}}}}\n  \
         kept: {{group_by: [entity], window: {{hop: {{size: 5m, every: 1m}}}}, keep: 1h}}\n  \
         now: {{group_by: [entity], window: {{sliding: {{size: 1h, every: 1m}}}}}}\n\
         rules: {{loud: {{view: by_minute, when: posts > 3}}}}\n\
         sinks: {{pg: {{type: postgres, url: \"file:url\"}}}}\n\
         serve: {serve}\n{more}"
    );
    std::fs::write(folder.join("p.yaml"), text).unwrap();
}

fn load(folder: &Path) -> Pipeline {
    config::load(&folder.join("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts the pipeline here and waits until everything is read and every sink has it.
fn run(folder: &Path) -> Running {
    let running = start(&load(folder), Connections::default()).unwrap();
    eventually("drained and committed", || {
        let status = running.engine.status();
        assert_eq!(status.fatal(), None);
        status.is_drained() && status.is_committed()
    });
    running
}

type Table = BTreeMap<(String, String), (i64, Option<f64>)>;

/// The tables as the engine serves them: posts and sentiment by group and window start.
fn served(running: &Running) -> Vec<Table> {
    let full = running.hub.full().unwrap();
    let name = |dim| running.shared.names.get(dim).map(|n| n.to_string()).unwrap_or_default();
    let specs = running.hub.specs();
    let table = |(spec, rows): (
        &groundswell_core::spec::ViewSpec,
        &Vec<groundswell_core::serving::RowChange>,
    )| {
        let row = |r: &groundswell_core::serving::RowChange| {
            let group: Vec<String> = (0..spec.group_by.len()).map(|i| name(r.key.group[i])).collect();
            let acc = r.acc.unwrap();
            (
                (group.join("|"), r.key.start.to_string()),
                (i64::from(acc.posts), acc.sentiment()),
            )
        };
        rows.iter().map(row).collect()
    };
    specs.iter().zip(&full.views).map(table).collect()
}

fn stored(server: &Postgres, url: &str) -> Vec<Table> {
    let groups = ["thread || '|' || entity", "entity", "entity"];
    let starts = ["window_start", "window_start", "'epoch'::timestamptz"];
    let names = ["by_minute", "kept", "now"];
    let table = |i: usize| {
        let sql = format!(
            "select {}, (extract(epoch from {}) * 1000)::bigint, posts, coalesce(sentiment::text, '') from live.{}",
            groups[i], starts[i], names[i]
        );
        let text = server.psql(url, &sql).unwrap();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let sentiment = (!cells[3].is_empty()).then(|| cells[3].parse().unwrap());
            (
                (cells[0].to_owned(), cells[1].to_owned()),
                (cells[2].parse().unwrap(), sentiment),
            )
        };
        text.lines().map(row).collect()
    };
    (0..3).map(table).collect()
}

fn number(server: &Postgres, url: &str, sql: &str) -> i64 {
    server.psql(url, sql).unwrap().parse().unwrap()
}

/// Both sides as of one tick: the clock goes on, and at a full minute windows are forgotten.
fn at_one_tick(running: &Running, server: &Postgres, url: &str) -> (Vec<Table>, Vec<Table>) {
    let status = running.engine.status();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let upper = number(server, url, "select upper from live._progress");
        let both = (served(running), stored(server, url));
        if status.recorded().cast_signed() == upper {
            return both;
        }
        assert!(Instant::now() < end, "ticks never cease");
    }
}

/// Compares tables, alerts and dead letters with what is served.
fn check(running: &Running, server: &Postgres, url: &str) {
    let (expected, found) = at_one_tick(running, server, url);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert!(!expected.is_empty(), "view {i} is empty");
        assert_eq!(found, expected, "view {i}");
    }
    // The table also keeps alerts that ended before the snapshot this run was restored from.
    let text = server.psql(url, "select id, state from live.alerts").unwrap();
    let stored: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    for alert in running.hub.full().unwrap().alerts {
        let state = serde_json::to_value(alert.state).unwrap();
        assert_eq!(stored.get(&*format!("{:032x}", alert.id)).copied(), state.as_str());
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(GROUNDSWELL);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

#[test]
fn tables_equal_what_is_served_through_kills_of_both_sides() {
    let mut server = Postgres::start_own(&[]).unwrap();
    let url = server.database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &url, 30_000, "false", "");
    for round in 0u64..8 {
        let mut command = program(folder.path(), &["run", "--until-done", "p.yaml"]);
        let running = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(150 + 113 * round));
        if round % 2 == 1 {
            server.kill().unwrap();
            std::thread::sleep(Duration::from_millis(100));
            server.restart().unwrap();
        }
        drop(running);
    }
    write(folder.path(), &url, 30_000, "{http: \"127.0.0.1:0\"}", "");
    let running = run(folder.path());
    check(&running, &server, &url);
    assert!(number(&server, &url, "select count(*) from live.alerts") > 10);
    let dead = number(&server, &url, "select count(*) from live.dead_letters");
    let different = number(
        &server,
        &url,
        "select count(*) from (select distinct source, partition, \"offset\", payload from live.dead_letters) as d",
    );
    assert!(
        dead > 100 && dead == different,
        "{dead} dead letters, {different} different"
    );
    assert_eq!(number(&server, &url, "select count(*) from live._progress"), 1);
    running.stop().unwrap();
}

#[test]
fn a_sink_that_missed_folded_ticks_begins_again() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &url, 2_000, "{http: \"127.0.0.1:0\"}", "");
    let running = run(folder.path());
    check(&running, &server, &url);
    running.stop().unwrap();
    // For a while nobody writes the tables, and what they lack is folded into the snapshot.
    let without = std::fs::read_to_string(folder.path().join("p.yaml")).unwrap();
    let without = without.replace("limit: 2000", "limit: 60000");
    std::fs::write(
        folder.path().join("p.yaml"),
        without.replace("sinks: {pg: {type: postgres, url: \"file:url\"}}\n", ""),
    )
    .unwrap();
    run(folder.path()).stop().unwrap();
    run(folder.path()).stop().unwrap();
    let upper = number(&server, &url, "select upper from live._progress");
    let state = format!("file:{}", folder.path().join("state").display());
    let snapshot = groundswell_core::store::inspect(&state)
        .unwrap()
        .snapshot
        .expect("a fold");
    assert!(
        i64::try_from(snapshot.tick).unwrap() > upper,
        "the fold is not beyond {upper}"
    );
    std::fs::write(folder.path().join("p.yaml"), without).unwrap();
    let running = run(folder.path());
    check(&running, &server, &url);
    running.stop().unwrap();
}

#[test]
fn a_sink_in_trouble_is_shown_and_told_what_to_do() {
    let mut server = Postgres::start_own(&[]).unwrap();
    let url = server.database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Slow enough to be under way for the whole test.
    write(folder.path(), &url, 1_000_000, "{http: \"127.0.0.1:0\"}", "");
    let text = std::fs::read_to_string(folder.path().join("p.yaml")).unwrap();
    std::fs::write(folder.path().join("p.yaml"), text.replace("600000", "60000")).unwrap();
    let running = start(&load(folder.path()), Connections::default()).unwrap();
    let base = format!("http://{}", running.addr().unwrap());
    let tell = |arguments: &[&str]| {
        let mut all = vec!["sink"];
        all.extend(arguments);
        all.extend(["--url", &base]);
        let done = program(folder.path(), &all).output().unwrap();
        let text = String::from_utf8_lossy(if done.status.success() {
            &done.stdout
        } else {
            &done.stderr
        });
        (done.status.code(), text.into_owned())
    };
    let sink = || running.engine.status().sink("pg").unwrap().report();
    eventually("something is committed", || sink().committed > 0);

    let (code, said) = tell(&["pause", "pg"]);
    assert_eq!(
        (code, said.contains("\"state\": \"paused\"")),
        (Some(0), true),
        "{said}"
    );
    std::thread::sleep(Duration::from_millis(300));
    let committed = sink().committed;
    let complete = running.engine.status().complete();
    eventually("the engine goes on", || {
        running.engine.status().complete() > complete + 500
    });
    assert_eq!(sink().committed, committed);
    assert!(sink().behind > 0);
    assert_eq!(tell(&["resume", "pg"]).0, Some(0));
    eventually("it goes on", || sink().committed > committed);

    server.kill().unwrap();
    eventually(
        "it is in trouble",
        || matches!(sink().condition, SinkCondition::Retrying(n) if n > 1),
    );
    let (_, said) = tell(&["list"]);
    assert!(said.contains("\"retrying\"") && said.contains("Postgres at"), "{said}");
    let complete = running.engine.status().complete();
    eventually("the engine goes on", || {
        running.engine.status().complete() > complete + 500
    });
    server.restart().unwrap();
    assert_eq!(tell(&["resume", "pg"]).0, Some(0));
    let committed = sink().committed;
    eventually("it is well", || {
        sink().committed > committed && sink().condition == SinkCondition::Running
    });

    server
        .psql(
            &url,
            "delete from live.by_minute where ctid in (select ctid from live.by_minute limit 5)",
        )
        .unwrap();
    assert_eq!(tell(&["resync", "pg"]).0, Some(0));
    eventually("it is resynced", || {
        sink()
            .resync
            .is_some_and(|what| what.starts_with("at tick") || what.starts_with("nothing"))
    });
    eventually("it writes on", || sink().behind < 5);

    let (code, said) = tell(&["pause", "pq"]);
    assert!(code == Some(1) && said.contains("There is no sink 'pq'"), "{said}");
    let nobody = program(folder.path(), &["sink", "list", "--url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(3));
    let metrics = running.shared.metrics.text().unwrap();
    for name in [
        "groundswell_sink_commits_total{sink=\"pg\"}",
        "groundswell_sink_lag_seconds{sink=\"pg\"}",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
    // Stop the source, let everything through, compare.
    running.stop().unwrap();
    let text = std::fs::read_to_string(folder.path().join("p.yaml")).unwrap();
    std::fs::write(
        folder.path().join("p.yaml"),
        text.replace("limit: 1000000", "limit: 10"),
    )
    .unwrap();
    let running = run(folder.path());
    check(&running, &server, &url);
    running.stop().unwrap();
}

#[test]
fn a_database_that_is_not_there_is_exit_code_three_and_a_masked_url() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "postgres://me:hush@127.0.0.1:1/app", 10, "false", "");
    let checked = program(folder.path(), &["check", "p.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        said.contains("postgres://me:***@127.0.0.1:1/app") && !said.contains("hush"),
        "{said}"
    );
    let began = Instant::now();
    let run = program(folder.path(), &["run", "--until-done", "p.yaml"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(
        said.contains("cannot reach Postgres at 127.0.0.1:1/app") && !said.contains("hush"),
        "{said}"
    );
    assert!(began.elapsed() > Duration::from_secs(20), "it gave up at once");
}
