//! Revisions of rows, counted again from the recorded ticks with plain loops; the engine is started anew every few ticks.

use crate::batch::Oracle;
use crate::engine::{OneByOne, batches};
use crate::history::alert_history;
use crate::oracle::cases;
use crossbeam_channel::unbounded;
use groundswell::engine::{ClockMode, Connections, Engine, EngineOptions, Shared, State, TickOptions};
use groundswell_core::acc::Acc;
use groundswell_core::serving::RowChange;
use groundswell_core::source::SourceBatch;
use groundswell_core::spec::{
    Extras, GraphSpec, GroupColumn, LinkSpec, Measure, Sessions, ViewKey, ViewSpec, WeightSpec, WindowSpec,
};
use groundswell_core::time::Tick;
use groundswell_operators::graph::Plan;
use groundswell_operators::window::RowKey;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn graph() -> GraphSpec {
    let view = |name: &str, group_by: Vec<GroupColumn>, window, keep, revisions| ViewSpec {
        name: name.into(),
        group_by,
        window,
        measures: vec![Measure::Posts],
        keep,
        extras: Extras {
            revisions,
            ..Extras::default()
        },
    };
    use GroupColumn::{Source, Thread};
    let minute = WindowSpec::Tumble { size: 60_000 };
    let hop = WindowSpec::Hop {
        size: 120_000,
        every: 60_000,
    };
    let sessions = WindowSpec::Session(Sessions {
        gap: 70_000,
        max: 150_000,
    });
    GraphSpec {
        name: "revisions".into(),
        views: vec![
            view("minutes", vec![Thread], minute, None, true),
            view("plain", vec![Thread], minute, None, false),
            view("hops", vec![Source], hop, Some(180_000), true),
            view("bursts", vec![Thread], sessions, None, true),
            view("kept_bursts", vec![], sessions, Some(240_000), true),
        ],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        scoring: Default::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    }
}

/// A row by view, group without the end of its window, and start: its key, sums and revision.
type Rows = BTreeMap<(usize, ViewKey), (ViewKey, Acc, u32)>;

fn place(spec: &ViewSpec, key: ViewKey) -> ViewKey {
    match spec.window {
        WindowSpec::Session(_) => ViewKey::with_end(key.group, key.start, 0),
        _ => key,
    }
}

/// What an observer is told of one tick.
type Told = (Tick, i64, Vec<Vec<RowChange>>);

/// Starts an engine on the folder, hands it batches, and returns all ticks it told of, those that were replayed too.
fn run(folder: &Path, batches: &[SourceBatch]) -> Vec<Told> {
    let (ticks, complete) = unbounded();
    let mut options = EngineOptions::new(graph());
    options.ticks = TickOptions {
        every: Duration::from_millis(1),
        clock: ClockMode::Event,
        ..TickOptions::default()
    };
    let state = State::Folder {
        path: folder.join("state"),
        fold_after: u64::MAX,
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let source = OneByOne {
        batches: batches.to_vec(),
        complete,
    };
    let connections = Connections {
        sources: vec![Box::new(source)],
        observers: vec![Box::new(move |changes| {
            let of_tick = (changes.tick, changes.clock, changes.views.clone());
            tell.lock().unwrap().push(of_tick);
            ticks.send(changes.tick).unwrap_or_default();
        })],
        ..Connections::default()
    };
    let shared = Shared::create(&folder.join("cache")).unwrap();
    let engine = Engine::start(options, state.open().unwrap(), &shared, connections).unwrap();
    assert!(engine.wait_drained(Duration::from_secs(60)).unwrap(), "drained");
    engine.stop().unwrap();
    let mut told = told.lock().unwrap();
    std::mem::take(&mut *told)
}

/// The rows after all that was told.
fn folded(told: &[Told]) -> Rows {
    let (mut rows, graph) = (Rows::new(), graph());
    for (_, _, views) in told {
        for (view, changes) in views.iter().enumerate() {
            let gone = changes.iter().filter(|change| change.acc.is_none());
            let there = changes.iter().filter(|change| change.acc.is_some());
            for change in gone.chain(there) {
                let at = (view, place(&graph.views[view], change.key));
                match change.acc {
                    Some(acc) => drop(rows.insert(at, (change.key, acc, change.revision))),
                    None => drop(rows.remove(&at)),
                }
            }
        }
    }
    rows
}

/// The rows of one more tick, with their revisions counted from what they were.
fn counted(before: &Rows, rows: BTreeMap<RowKey, Acc>, clock: i64) -> Rows {
    let graph = graph();
    let one = |(row, acc): (RowKey, Acc)| {
        let view = usize::from(row.view);
        let spec = &graph.views[view];
        let at = (view, place(spec, row.key));
        let old = before.get(&at);
        let end = |key: &ViewKey| spec.window.bounds(key).1;
        let ended = end(&row.key) <= clock || old.is_some_and(|(key, ..)| *key != row.key && end(key) <= clock);
        let changed = old.is_none_or(|(key, was, _)| (*key, *was) != (row.key, acc));
        let counts = spec.extras.revisions && changed && ended;
        let revision = old.map_or(0, |(.., revision)| *revision) + u32::from(counts);
        (at, (row.key, acc, revision))
    };
    rows.into_iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 40, ..cases(25) })]

    #[test]
    fn revisions_are_those_counted_from_scratch_over_restarts(history in alert_history(45), every in 5usize..20) {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(&graph(), |_| false);
        let batches = batches(&history);
        let (mut oracle, mut expected, mut known) = (Oracle::new(), Rows::new(), 0);
        for some in batches.chunks(every) {
            let told = run(folder.path(), some);
            prop_assert_eq!(told.len(), known + some.len(), "all ticks again, and one for every batch");
            for (batch, (tick, clock, _)) in some.iter().zip(&told[known..]) {
                let records = batch.records.clone();
                oracle.tick(&groundswell_core::record::TickBatch { tick: *tick, clock: *clock, records, ..Default::default() }, &plan);
                expected = counted(&expected, oracle.views(&plan).rows, *clock);
            }
            known = told.len();
            prop_assert_eq!(&folded(&told), &expected);
        }
    }
}

/// The histories have what is counted.
#[test]
fn histories_have_rows_that_are_revised() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut revised, mut of_sessions) = (0, 0);
    let plan = Plan::new(&graph(), |_| false);
    for _ in 0..40 {
        let history = alert_history(45).new_tree(&mut runner).unwrap().current();
        let (mut oracle, mut rows, mut at) = (Oracle::new(), Rows::new(), 0);
        for (tick, batch) in (1..).zip(batches(&history)) {
            at = batch.clock.unwrap_or(at).max(at);
            let records = batch.records;
            oracle.tick(
                &groundswell_core::record::TickBatch {
                    tick,
                    clock: at,
                    records,
                    ..Default::default()
                },
                &plan,
            );
            rows = counted(&rows, oracle.views(&plan).rows, at);
        }
        revised += rows.values().filter(|(.., revision)| *revision > 1).count();
        of_sessions += rows.iter().filter(|((view, _), (.., n))| *view > 2 && *n > 0).count();
    }
    println!("{revised} rows were revised more than once, {of_sessions} sessions at all");
    assert!(revised > 15 && of_sessions > 15);
}
