//! How many changed rows a second the Postgres sink commits, on a server of its own that syncs every commit.
//!
//! `cargo run --release -p groundswell-connectors --example postgres_speed`
//!
//! A view grouped by thread and entity with all measures; each tick changes as many rows as said. *new* rows are inserted,
//! *revised* ones are all there already, *deleted* ones go. The last column is the server's raw speed for the same new rows
//! copied (binary) into a temporary table and inserted from there, which is the other way to write a tick.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use groundswell_connectors::postgres::{PostgresOptions, PostgresSink};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::{Dim, Names};
use groundswell_core::score::Label;
use groundswell_core::serving::{RowChange, Sink, TickChanges};
use groundswell_core::spec::{GroupColumn, Measure, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::MINUTE;
use groundswell_testing::postgres::Postgres;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

fn main() {
    let server = Postgres::start_own(&[("fsync", "on"), ("full_page_writes", "on"), ("max_wal_size", "4GB")]).unwrap();
    println!("rows/s, the median of 7 ticks (milliseconds of one tick)");
    println!("| rows in a tick | new | revised | deleted | new by COPY |");
    println!("|---|---|---|---|---|");
    for rows in [100, 1_000, 10_000, 50_000] {
        let url = server.database().unwrap();
        let names = Arc::new(Names::default());
        let mut sink = PostgresSink::open(options(&url, &names)).unwrap();
        let (mut tick, mut cells) = (0, Vec::new());
        for kind in 0..3 {
            let mut times: Vec<Duration> = (0..7)
                .map(|round| {
                    tick += 1;
                    let changes = changes(&names, tick, rows, round, kind);
                    let began = Instant::now();
                    sink.apply(&changes).unwrap();
                    began.elapsed()
                })
                .collect();
            times.sort_unstable();
            cells.push(cell(rows, times[3]));
        }
        cells.push(cell(rows, copied(&url, rows)));
        println!("| {rows} | {} |", cells.join(" | "));
    }
}

fn cell(rows: usize, time: Duration) -> String {
    format!(
        "{:.0} ({:.1})",
        rows as f64 / time.as_secs_f64(),
        time.as_secs_f64() * 1000.0
    )
}

fn options(url: &str, names: &Arc<Names>) -> PostgresOptions {
    let view = ViewSpec {
        name: "by_minute".into(),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window: WindowSpec::Tumble { size: MINUTE },
        measures: Measure::SUMS.to_vec(),
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    PostgresOptions {
        name: "pg".into(),
        url: url.to_owned(),
        schema: "speed".into(),
        views: [view].into(),
        tables: vec![0],
        alerts: true,
        events: None,
        dead_letters: true,
        origin: Default::default(),
        basis: String::new(),
        names: Arc::clone(names),
        post_ids: Arc::new(|_| None),
        connect_timeout: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(120),
        patience: Duration::ZERO,
    }
}

fn changes(names: &Names, tick: u64, rows: usize, round: i64, kind: u8) -> TickChanges {
    let row = |i: usize| {
        let thread = names.intern(&format!("t3_{:06}", i / 8)).unwrap();
        let entity = names.intern(&format!("entity_{}", i % 8)).unwrap();
        let key = ViewKey {
            group: [thread, entity, Dim::NONE, Dim::NONE],
            start: 1_700_000_000_000 / MINUTE * MINUTE + round * MINUTE,
        };
        let x = i32::try_from(i % 1_000_000).unwrap() + i32::from(kind);
        let acc = Acc::scored(UNIT + i64::from(kind), x, Label::Neutral, false, false);
        RowChange {
            key,
            acc: (kind < 2).then_some(acc),
            numbers: None,
            revision: 0,
        }
    };
    TickChanges {
        tick,
        clock: 1_700_000_000_000,
        views: vec![(0..rows).map(row).collect()],
        ..TickChanges::default()
    }
}

/// The same new rows through a binary COPY into a temporary table.
fn copied(url: &str, rows: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut times = Vec::new();
        for round in 0..7u64 {
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_020 + 60 * round);
            let end = start + Duration::from_secs(60);
            let values: Vec<(String, String)> =
                (0..rows).map(|i| (format!("t3_{:06}", i / 8), format!("entity_{}", i % 8))).collect();
            let began = Instant::now();
            let tx = client.transaction().await.unwrap();
            let create = "create temporary table fresh (like speed.by_minute) on commit drop";
            tx.batch_execute(create).await.unwrap();
            let sink = tx.copy_in("copy fresh from stdin binary").await.unwrap();
            let mut types = vec![Type::TEXT, Type::TEXT, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ];
            let measure = |m: &Measure| if m.is_count() { Type::INT8 } else { Type::FLOAT8 };
            types.extend(Measure::SUMS.iter().map(measure));
            types.push(Type::TIMESTAMPTZ);
            let writer = BinaryCopyInWriter::new(sink, &types);
            let mut writer = std::pin::pin!(writer);
            let (count, real) = (1i64, 0.25f64);
            for (thread, entity) in &values {
                let mut row: Vec<&(dyn ToSql + Sync)> = vec![thread, entity, &start, &end];
                for m in Measure::SUMS {
                    row.push(if m.is_count() { &count } else { &real });
                }
                row.push(&start);
                writer.as_mut().write(&row).await.unwrap();
            }
            writer.as_mut().finish().await.unwrap();
            let set: Vec<String> = Measure::SUMS.iter().map(|m| format!("{0} = excluded.{0}", m.name())).collect();
            let insert = format!(
                "insert into speed.by_minute select * from fresh on conflict (thread, entity, window_start) do update set {}",
                set.join(", ")
            );
            tx.execute(&insert, &[]).await.unwrap();
            tx.commit().await.unwrap();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        times[3]
    })
}
