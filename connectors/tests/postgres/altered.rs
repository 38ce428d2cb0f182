//! Tables somebody altered, schemas of other versions and of other people, servers that refuse: each has its own error.

use super::world::{World, origin, refused, server};
use groundswell_connectors::dlq::{Facts, Letters};
use groundswell_connectors::postgres::{PostgresError, PostgresSink, TableLetters};
use groundswell_core::serving::Sink;
use std::ops::ControlFlow;
use std::time::Duration;

#[test]
fn an_altered_table_is_named_with_what_is_wrong() {
    let server = server();
    let mut world = World::new(1);
    (0..2).for_each(|_| world.step(5));
    for (table, change, words) in [
        (
            "by_minute",
            "alter table T add column mood text",
            ["column \"mood\"", "should be absent", "is text"],
        ),
        (
            "by_minute",
            "alter table T drop column weight",
            ["column \"weight\"", "should be double precision", "is missing"],
        ),
        (
            "kept",
            "alter table T alter column posts type numeric",
            ["column \"posts\"", "should be bigint not null", "is numeric not null"],
        ),
        (
            "aligned",
            "alter table T alter column posts drop not null",
            ["column \"posts\"", "bigint not null", "is bigint;"],
        ),
        (
            "by_minute",
            "alter table T drop constraint by_minute_pkey",
            ["the primary key", "(thread, entity, window_start)", "is none"],
        ),
        (
            "alerts",
            "alter table T rename column rule to regel",
            ["column \"rule\"", "text not null", "missing"],
        ),
        (
            "moving",
            "drop table T; create view T as select 1 as entity",
            ["it should be a table", "is a view", "moving"],
        ),
        (
            "dead_letters",
            "drop table T",
            ["\"dead_letters\" is gone", "restore it", "_tables"],
        ),
    ] {
        let url = server.database().unwrap();
        let mut sink = world.open(&url);
        sink.apply(&world.ticks[0]).unwrap();
        server
            .psql(&url, &change.replace('T', &format!("\"live-threads\".{table}")))
            .unwrap();
        let at_start = refused(world.options(&url));
        for word in words {
            assert!(at_start.to_string().contains(word), "{change}: {at_start}");
        }
        assert!(!at_start.is_retriable() && at_start.to_string().contains(table));
        // While it runs the statement fails, and with the next attempt the cause is found.
        server
            .psql(&url, "update \"live-threads\"._progress set epoch = 1")
            .unwrap();
        let errors: Vec<String> = (0..2)
            .filter_map(|_| sink.commit(&[&world.ticks[1]]).err())
            .map(|e| e.to_string())
            .collect();
        if let Some(last) = errors.last().filter(|_| errors.len() > 1) {
            assert!(last.contains(words[0]), "{change}: {last}");
        }
    }
}

#[test]
fn schemas_of_others_and_of_other_versions_are_refused() {
    let server = server();
    let world = World::new(2);
    let url = server.database().unwrap();
    server
        .psql(
            &url,
            "create schema \"live-threads\"; create table \"live-threads\".mine (n int)",
        )
        .unwrap();
    let error = refused(world.options(&url));
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("schema \"live-threads\""), "{error}");

    let url = server.database().unwrap();
    drop(world.open(&url));
    server
        .psql(&url, "update \"live-threads\"._schema set version = 99")
        .unwrap();
    let error = refused(world.options(&url));
    assert!(matches!(error, PostgresError::Newer { found: 99, .. }), "{error}");
    server
        .psql(&url, "update \"live-threads\"._schema set version = 0")
        .unwrap();
    let error = refused(world.options(&url));
    assert!(matches!(error, PostgresError::TooOld { found: 0, .. }), "{error}");

    let url = server.database().unwrap();
    let mut options = world.options(&url);
    options.tables = vec![0];
    drop(PostgresSink::open(options).unwrap());
    server
        .psql(&url, "create table \"live-threads\".total (n int)")
        .unwrap();
    let error = refused(world.options(&url));
    assert!(
        error.to_string().contains("table \"live-threads\".\"total\""),
        "{error}"
    );
}

#[test]
fn an_empty_schema_of_that_name_is_used() {
    let server = server();
    let url = server.database().unwrap();
    server.psql(&url, "create schema \"live-threads\"").unwrap();
    let mut world = World::new(3);
    world.step(5);
    world.open(&url).apply(&world.ticks[0]).unwrap();
    world.check(server, &url);
}

#[test]
fn a_table_of_another_meaning_is_built_again_and_the_others_stay() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(4);
    (0..8).for_each(|_| world.step(10));
    let mut first = world.options(&url);
    first.tables = vec![0, 1, 3];
    let mut sink = PostgresSink::open(first).unwrap();
    sink.apply_all(&world.ticks[..5]).unwrap();
    drop(sink);
    let at = Some(world.ticks[4].tick);
    // A table was dropped, others are new in the pipeline: those come from the beginning.
    server.psql(&url, "drop table \"live-threads\".kept").unwrap();
    let mut sink = world.open(&url);
    assert_eq!((sink.upper(), sink.committed()), (None, at));
    world.check_at(server, &url, at, &[0, 3]);
    sink.apply_all(&world.ticks[..3]).unwrap();
    world.check_at(server, &url, at, &[0, 3]);
    // A crash on the way starts them again.
    drop(sink);
    let mut sink = world.open(&url);
    assert_eq!(sink.upper(), None);
    sink.apply_all(&world.ticks[..5]).unwrap();
    assert_eq!(sink.upper(), at);
    world.check(server, &url);
    drop(sink);
    let mut sink = world.open(&url);
    assert_eq!(sink.upper(), at);
    // Another weighting: every number is another.
    drop(sink);
    let mut options = world.options(&url);
    options.basis = "uniform".into();
    sink = PostgresSink::open(options).unwrap();
    assert_eq!(sink.upper(), None);
    sink.apply_all(&world.ticks).unwrap();
    assert_eq!(world.check(server, &url), Some(world.ticks[7].tick));
}

#[test]
fn without_progress_everything_begins_anew() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(5);
    (0..6).for_each(|_| world.step(10));
    world.open(&url).apply_all(&world.ticks[..4]).unwrap();
    server.psql(&url, "delete from \"live-threads\"._progress").unwrap();
    let mut sink = world.open(&url);
    assert_eq!(sink.upper(), None);
    sink.apply_all(&world.ticks).unwrap();
    assert_eq!(world.check(server, &url), Some(world.ticks[5].tick));
}

#[test]
fn refusals_say_what_to_do() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(6);
    (0..2).for_each(|_| world.step(5));
    let with = |change: &dyn Fn(&mut groundswell_connectors::postgres::PostgresOptions)| {
        let mut options = world.options(&url);
        change(&mut options);
        refused(options)
    };
    let error = with(&|o| o.url = "postgres://me:hush@127.0.0.1:1/db".into());
    assert!(
        matches!(error, PostgresError::Unreachable { .. }) && error.is_retriable(),
        "{error}"
    );
    assert!(error.to_string().contains("127.0.0.1:1/db") && !error.to_string().contains("hush"));
    let error = with(&|o| o.url = url.rsplit_once('/').unwrap().0.to_owned() + "/no_such_database");
    assert!(matches!(error, PostgresError::Refused { .. }), "{error}");
    // Patience lasts as long as it is told to.
    let began = std::time::Instant::now();
    let error = with(&|o| {
        o.url = "postgres://me@127.0.0.1:1/db".into();
        o.patience = Duration::from_secs(1);
    });
    assert!(
        error.is_retriable() && began.elapsed() > Duration::from_millis(500),
        "{error}"
    );

    let name = url.rsplit_once('/').unwrap().1;
    let role = format!("{name}_role");
    server.psql(&url, &format!("create role {role} login")).unwrap();
    let theirs = url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    assert_ne!(
        theirs, url,
        "this test needs a server whose URL begins with postgres://postgres@"
    );
    let error = with(&|o| o.url.clone_from(&theirs));
    assert!(
        matches!(error, PostgresError::Denied { .. }) && error.to_string().contains("grant"),
        "{error}"
    );
    // With the right it works, until it is revoked.
    server
        .psql(&url, &format!("grant create on database {name} to {role}"))
        .unwrap();
    let mut sink = world.open(&theirs);
    sink.apply(&world.ticks[0]).unwrap();
    server
        .psql(&url, "alter table \"live-threads\".by_minute owner to postgres")
        .unwrap();
    let error = sink.commit(&[&world.ticks[1]]).unwrap_err();
    assert!(matches!(error, PostgresError::Denied { .. }), "{error}");
    server
        .psql(&url, &format!("alter table \"live-threads\".by_minute owner to {role}"))
        .unwrap();
    // A database that takes no writes for a while.
    server
        .psql(
            &url,
            &format!("alter database {name} set default_transaction_read_only = on"),
        )
        .unwrap();
    let error = sink.commit(&[&world.ticks[1]]).unwrap_err();
    assert!(
        matches!(error, PostgresError::ReadOnly { .. }) && error.is_retriable(),
        "{error}"
    );
    let sql = format!("alter database {name} reset default_transaction_read_only");
    server.psql(&server.url(), &sql).unwrap();
    sink.commit(&[&world.ticks[1]]).unwrap();
    assert_eq!(world.check(server, &url), Some(world.ticks[1].tick));
}

#[test]
fn a_table_of_dead_letters_of_the_first_version_is_migrated() {
    let server = server();
    let url = server.database().unwrap();
    let psql = |sql: &str| server.psql(&url, sql).unwrap();
    let mut world = World::new(7);
    (0..20).for_each(|_| world.step(2));
    world.open(&url).apply_all(&world.ticks[..10]).unwrap();
    let rows: i64 = psql("select count(*) from \"live-threads\".dead_letters")
        .parse()
        .unwrap();
    assert!(rows > 0);
    // As version 1 made it.
    psql(
        "alter table \"live-threads\".dead_letters drop column topic, drop column written_at, drop column headers, \
         drop column engine_version, drop column model, drop column attempt; update \"live-threads\"._schema set version = 1",
    );
    let mut old = TableLetters::new(&url, "live-threads", "pg", Duration::from_secs(5)).unwrap();
    let read = |letters: &mut TableLetters| {
        let mut found = Vec::new();
        letters
            .read(&mut |letter| {
                found.push(letter);
                ControlFlow::Continue(())
            })
            .map(|()| found)
    };
    let error = read(&mut old).unwrap_err();
    assert!(error.message.contains("older version") && !error.unreachable, "{error}");
    let mut sink = world.open(&url);
    assert_eq!(psql("select version from \"live-threads\"._schema"), "3");
    let known = "select count(*) from \"live-threads\".dead_letters where attempt = 1 and headers = '[]' and topic is null \
                 and written_at is null and engine_version is null and model is null";
    assert_eq!(psql(known), rows.to_string());
    sink.apply_all(&world.ticks[10..]).unwrap();
    // A table like a new one, without defaults that would hide a value left out.
    let defaults = "select count(*) from pg_attrdef where adrelid = '\"live-threads\".dead_letters'::regclass";
    assert_eq!(psql(defaults), "0");
    drop(world.open(&url));
    let letters = read(&mut old).unwrap();
    let (before, after) = letters.split_at(usize::try_from(rows).unwrap());
    assert!(
        before
            .iter()
            .all(|l| l.attempt == 1 && l.topic.is_none() && l.headers.is_empty())
    );
    let written: Vec<_> = world.ticks[10..]
        .iter()
        .flat_map(|t| t.dead.iter().map(|d| (t.tick, d)))
        .collect();
    assert_eq!(after.len(), written.len());
    let origin = origin();
    // Every value is as it was before it was made fit for the table.
    for (letter, (tick, dead)) in after.iter().zip(written) {
        let facts = Facts::of(dead, tick, &origin);
        let storable = facts.written_at.filter(|at| *at < i64::MAX);
        assert_eq!(
            letter.facts(),
            Facts {
                written_at: storable,
                ..facts.clone()
            }
        );
    }

    // Without a table of dead letters there is nothing to migrate.
    let url = server.database().unwrap();
    let without = || {
        let mut options = world.options(&url);
        options.dead_letters = false;
        options
    };
    drop(PostgresSink::open(without()).unwrap());
    let psql = |sql: &str| server.psql(&url, sql).unwrap();
    psql("update \"live-threads\"._schema set version = 1");
    drop(PostgresSink::open(without()).unwrap());
    assert_eq!(psql("select version from \"live-threads\"._schema"), "3");
}
