//! The engine itself, recorder, dispatcher, folds and restarts included, against the oracle.

use crate::batch::Oracle;
use crate::history::{Step, T0, alert_history};
use crate::oracle::cases;
use crossbeam_channel::{Receiver, Sender, unbounded};
use groundswell::engine::{ClockMode, Connections, Engine, EngineOptions, MemoryLog, Shared, State, TickOptions};
use groundswell_core::record::{Binding, Envelope, Post, Record, TickBatch};
use groundswell_core::serving::{AlertState, Sink, TickChanges};
use groundswell_core::source::{Source, SourceBatch, SourceContext, SourceError};
use groundswell_core::spec::{GraphSpec, GroupColumn, LinkSpec, Measure, ViewKey, ViewSpec, WeightSpec, WindowSpec};
use groundswell_core::store::inspect;
use groundswell_core::time::Tick;
use groundswell_models::FixtureScorer;
use groundswell_operators::graph::Plan;
use groundswell_operators::window::RowKey;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Sends batches one by one, each when the tick of the one before is complete.
pub struct OneByOne {
    pub batches: Vec<SourceBatch>,
    pub complete: Receiver<Tick>,
}

impl Source for OneByOne {
    fn name(&self) -> &str {
        "one_by_one"
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        for batch in self.batches {
            let sent = groundswell_core::time::wall_now();
            if context.send(batch).is_err() {
                return Ok(());
            }
            // What is replayed is heard of too; a tick minted for this batch is not before it.
            let mut heard = self.complete.iter();
            let _ = heard.find(|tick| i64::try_from(*tick).unwrap() >= sent);
            std::thread::sleep(Duration::from_millis(3));
        }
        let done = SourceBatch {
            finished: true,
            ..SourceBatch::default()
        };
        // The engine may be going away already.
        let _ = context.send(done);
        Ok(())
    }
}

type Alerts = BTreeMap<(String, String, ViewKey), Option<i64>>;

/// Everything a consumer has been told, over all restarts.
#[derive(Default)]
struct Told {
    upper: Option<Tick>,
    alerts: Alerts,
    ticks: Vec<(Tick, i64)>,
}

struct Consumer(Arc<Mutex<Told>>);

impl Sink for Consumer {
    fn name(&self) -> &str {
        "consumer"
    }

    fn upper(&self) -> Option<Tick> {
        self.0.lock().unwrap().upper
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut told = self.0.lock().unwrap();
        assert!(told.upper < Some(changes.tick), "no tick comes twice");
        told.upper = Some(changes.tick);
        told.ticks.push((changes.tick, changes.clock));
        for change in &changes.alerts {
            let key = (change.rule.to_string(), change.view.to_string(), change.key);
            match change.state {
                AlertState::Firing => {
                    assert_eq!(change.resolved, None);
                    assert_ne!(told.alerts.insert(key, None), Some(None), "fired twice");
                }
                AlertState::Resolved => {
                    let (start, end) = change.resolved.unwrap();
                    assert_eq!(end - start, change.window_end - change.key.start);
                    told.alerts.insert(key, Some(start)).unwrap();
                }
                AlertState::Retracted => {
                    told.alerts.remove(&key).unwrap();
                }
            }
        }
        Ok(())
    }
}

fn graph() -> GraphSpec {
    let view = |name: &str, group_by: Vec<GroupColumn>, window, keep| ViewSpec {
        name: name.into(),
        group_by,
        window,
        measures: Measure::ALL.to_vec(),
        keep: Some(keep),
        extras: groundswell_core::spec::Extras::default(),
    };
    use GroupColumn::{Author, Source, Thread};
    let hop = WindowSpec::Hop {
        size: 120_000,
        every: 60_000,
    };
    GraphSpec {
        name: "engine".into(),
        views: vec![
            view(
                "kept",
                vec![Source, Author],
                WindowSpec::Tumble { size: 60_000 },
                120_000,
            ),
            view("kept_hop", vec![Thread], hop, 180_000),
        ],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        scoring: Default::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    }
}

fn options() -> EngineOptions {
    let mut options = EngineOptions::new(graph());
    options.rules_may_come = true;
    options.ticks = TickOptions {
        every: Duration::from_millis(1),
        clock: ClockMode::Event,
        ..TickOptions::default()
    };
    options
}

/// The batches of a history: a record each, with the clock as of then.
pub fn batches(history: &[Step]) -> Vec<SourceBatch> {
    let mut clock = T0 + 60_000;
    let mut batches = Vec::new();
    for (offset, step) in (0u64..).zip(history) {
        let mut records = Vec::new();
        match step {
            Step::Clock(by) => clock += by,
            Step::Record(record) => records.push(Envelope {
                source: 0,
                partition: 0,
                offset,
                order: offset,
                record: (**record).clone(),
            }),
        }
        let next = Binding {
            source: 0,
            partition: 0,
            next: offset + 1,
        };
        batches.push(SourceBatch {
            source: 0,
            records,
            bindings: vec![next],
            clock: Some(clock),
            finished: false,
        });
    }
    batches
}

/// Runs an engine over some batches, from start to stop.
fn run(folder: &std::path::Path, batches: &[SourceBatch], told: &Arc<Mutex<Told>>) {
    let (ticks, complete): (Sender<Tick>, _) = unbounded();
    let state = State::Folder {
        path: folder.join("state"),
        fold_after: 1,
    };
    let source = OneByOne {
        batches: batches.to_vec(),
        complete,
    };
    let connections = Connections {
        sources: vec![Box::new(source)],
        sinks: vec![Box::new(Consumer(Arc::clone(told)))],
        observers: vec![Box::new(move |changes| ticks.send(changes.tick).unwrap_or_default())],
        ..Connections::default()
    };
    let state = state.open().unwrap();
    let shared = Shared::create(&folder.join("cache")).unwrap();
    let engine = Engine::start(options(), state, &shared, connections).unwrap();
    assert!(engine.wait_drained(Duration::from_secs(60)).unwrap(), "drained");
    engine.stop().unwrap();
}

proptest! {
    // Every step of shrinking starts a dozen engines.
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..cases(40) })]

    /// Started anew every few ticks, folding whenever it may: a consumer that sees every tick once has in the end heard of
    /// exactly the alerts that come out of the whole history.
    #[test]
    fn a_consumer_hears_the_same_alerts_over_restarts_and_folds(
        history in alert_history(45),
        every in 2usize..9,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (told, plan) = (Arc::new(Mutex::new(Told::default())), Plan::new(&graph(), |_| true));
        let batches = batches(&history);
        let (mut oracle, mut restarts) = (Oracle::new(), 0);
        for some in batches.chunks(every) {
            let before = told.lock().unwrap().ticks.len();
            run(folder.path(), some, &told);
            let told = told.lock().unwrap();
            let ticks = &told.ticks[before..];
            prop_assert_eq!(ticks.len(), some.len(), "a tick for every batch");
            for (batch, (tick, clock)) in some.iter().zip(ticks) {
                let records = batch.records.clone();
                oracle.tick(&TickBatch { tick: *tick, clock: *clock, records, ..TickBatch::default() }, &plan);
            }
            let named = |((rule, row), resolved): ((String, RowKey), Option<i64>)| {
                ((rule, plan.views[usize::from(row.view)].name.clone(), row.key), resolved)
            };
            let expected: Alerts = oracle.views(&plan).alerts.into_iter().map(named).collect();
            prop_assert_eq!(&told.alerts, &expected, "after {} restarts", restarts);
            restarts += 1;
        }
        let state = inspect(&folder.path().join("state").display().to_string()).unwrap();
        println!(
            "{} ticks, {restarts} starts, {} alerts, snapshot up to {:?}, {:?} floors",
            batches.len(), oracle.views(&plan).alerts.len(), state.snapshot.map(|s| s.tick),
            state.rows_by_kind.get("alert_floor")
        );
    }
}

/// In strict mode a tick is small, however large the batches of a source are, and whole: every text in it has its score.
#[test]
fn strict_ticks_are_small_and_whole() {
    let post = |n: u64| Envelope {
        source: 0,
        partition: 0,
        offset: n,
        order: n,
        record: Record::Post(Post {
            id: format!("p{n}"),
            text: format!("good {n}"),
            created_at: T0,
            ..Post::default()
        }),
    };
    let batch = SourceBatch {
        source: 0,
        records: (0..3_500).map(post).collect(),
        bindings: vec![Binding {
            source: 0,
            partition: 0,
            next: 3_500,
        }],
        ..SourceBatch::default()
    };
    let (sender, complete) = unbounded();
    let log = MemoryLog::default();
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::create(folder.path()).unwrap();
    let mut options = options();
    options.scorer = Some(Arc::new(FixtureScorer::default()));
    options.strict = true;
    let source = OneByOne {
        batches: vec![batch],
        complete,
    };
    let connections = Connections {
        sources: vec![Box::new(source)],
        observers: vec![Box::new(move |changes| sender.send(changes.tick).unwrap_or_default())],
        ..Connections::default()
    };
    let state = State::Memory(log.clone()).open().unwrap();
    let engine = Engine::start(options, state, &shared, connections).unwrap();
    assert!(engine.wait_drained(Duration::from_secs(30)).unwrap());
    engine.stop().unwrap();
    let mut posts = 0;
    for tick in log.ticks() {
        let of = |wanted: fn(&Record) -> bool| tick.records.iter().filter(|e| wanted(&e.record)).count();
        let (new, scored) = (
            of(|r| matches!(r, Record::Post(_))),
            of(|r| matches!(r, Record::Score { .. })),
        );
        assert_eq!(new, scored);
        assert!(new <= 1_000, "{new} posts in one tick");
        posts += new;
        if new > 0 {
            let next = tick.bindings.first().map(|b| b.next);
            assert_eq!(next, Some(posts as u64), "reading may go on here");
        }
    }
    assert_eq!(posts, 3_500);
}
