//! An engine whose input is fed by the test, and what it says at every tick.

use crate::batch::Oracle;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use groundswell::engine::{Connections, Engine, EngineOptions, MemoryLog, Shared, State, TickOptions};
use groundswell_core::acc::Acc;
use groundswell_core::record::{Binding, Envelope, Post, Record};
use groundswell_core::scoring::ScoringSpec;
use groundswell_core::serving::TickChanges;
use groundswell_core::source::{Source, SourceBatch, SourceContext, SourceError};
use groundswell_core::spec::{GraphSpec, GroupColumn, Measure, ViewSpec, WindowSpec};
use groundswell_core::time::Tick;
use groundswell_operators::graph::Plan;
use groundswell_operators::window::RowKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const T0: i64 = crate::history::T0;

/// Passes on what the test sends.
struct Feed(Receiver<SourceBatch>);

impl Source for Feed {
    fn name(&self) -> &str {
        "feed"
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        while !context.stop.is_set() {
            let batch = match self.0.recv_timeout(Duration::from_millis(20)) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if context.send(batch).is_err() {
                return Ok(());
            }
        }
        // The engine may be going away already.
        let _ = context.send(SourceBatch {
            finished: true,
            ..SourceBatch::default()
        });
        Ok(())
    }
}

/// What the engine has said.
#[derive(Default)]
pub struct Said {
    pub rows: BTreeMap<RowKey, Acc>,
    /// When each tick was complete.
    pub complete: BTreeMap<Tick, Instant>,
    /// Dead letters by code.
    pub dead: Vec<String>,
}

impl Said {
    fn hear(&mut self, changes: &TickChanges) {
        self.complete.insert(changes.tick, Instant::now());
        self.dead.extend(changes.dead.iter().map(|d| d.letter.code.clone()));
        for (view, rows) in (0u16..).zip(&changes.views) {
            for row in rows {
                let key = RowKey { view, key: row.key };
                match row.acc {
                    Some(acc) => self.rows.insert(key, acc),
                    None => self.rows.remove(&key),
                };
            }
        }
    }

    /// Posts and scored posts over all rows of a view.
    pub fn counts(&self, view: u16) -> (i32, i32) {
        let rows = self.rows.iter().filter(|(row, _)| row.view == view);
        rows.fold((0, 0), |(posts, scored), (_, acc)| {
            (posts + acc.posts, scored + acc.scored)
        })
    }
}

/// A running engine with a record in memory.
pub struct Rig {
    pub engine: Engine,
    pub shared: Shared,
    pub said: Arc<Mutex<Said>>,
    pub log: MemoryLog,
    feed: Option<Sender<SourceBatch>>,
    next: u64,
    plan: Plan,
    _cache: tempfile::TempDir,
}

/// By thread and minute, and all by minute.
pub fn graph() -> GraphSpec {
    let view = |name: &str, group_by: Vec<GroupColumn>| ViewSpec {
        name: name.into(),
        group_by,
        window: WindowSpec::Tumble { size: 60_000 },
        measures: Measure::ALL.to_vec(),
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    GraphSpec {
        name: "rig".into(),
        views: vec![
            view("by_thread", vec![GroupColumn::Thread]),
            view("by_source", vec![GroupColumn::Source]),
        ],
        link: groundswell_core::spec::LinkSpec::default(),
        weight: groundswell_core::spec::WeightSpec::Log1p,
        scoring: ScoringSpec::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    }
}

/// A post with a text for the model.
pub fn post(n: u64, thread: &str, text: &str) -> Record {
    let at = T0 + i64::try_from(n % 120).unwrap() * 1_000;
    Record::Post(Post {
        id: format!("p{n}"),
        source: thread.into(),
        thread: thread.into(),
        text: text.into(),
        created_at: at,
        observed_at: at,
        ..Post::default()
    })
}

impl Rig {
    pub fn start(mut options: EngineOptions, log: &MemoryLog) -> Rig {
        options.ticks = TickOptions {
            every: Duration::from_millis(10),
            ..TickOptions::default()
        };
        let plan = Plan::new(&options.graph, |_| false);
        let cache = tempfile::tempdir().unwrap();
        let shared = Shared::create(cache.path()).unwrap();
        let (feed, fed) = unbounded();
        let said = Arc::<Mutex<Said>>::default();
        let hear = Arc::clone(&said);
        let connections = Connections {
            sources: vec![Box::new(Feed(fed))],
            observers: vec![Box::new(move |changes| hear.lock().unwrap().hear(changes))],
            ..Connections::default()
        };
        let state = State::Memory(log.clone()).open().unwrap();
        let next = log.ticks().iter().flat_map(|t| &t.bindings).map(|b| b.next).max();
        Rig {
            engine: Engine::start(options, state, &shared, connections).unwrap(),
            shared,
            said,
            log: log.clone(),
            feed: Some(feed),
            next: next.unwrap_or(0),
            plan,
            _cache: cache,
        }
    }

    /// Sends records as one batch; the offset of the first.
    pub fn put(&mut self, records: Vec<Record>) -> u64 {
        let first = self.next;
        self.next += records.len() as u64;
        let envelope = |(offset, record)| Envelope {
            source: 0,
            partition: 0,
            offset,
            order: offset,
            record,
        };
        let batch = SourceBatch {
            source: 0,
            records: (first..).zip(records).map(envelope).collect(),
            bindings: vec![Binding {
                source: 0,
                partition: 0,
                next: self.next,
            }],
            ..SourceBatch::default()
        };
        self.feed.as_ref().unwrap().send(batch).unwrap();
        first
    }

    /// Waits until something holds of what the engine has said.
    pub fn until(&self, what: &str, holds: impl Fn(&Said) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds(&self.said.lock().unwrap()) {
            assert_eq!(self.engine.status().fatal(), None);
            assert!(
                Instant::now() < end,
                "never: {what}; {:?}",
                self.said.lock().unwrap().rows
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The rows are those of a computation from scratch over what was recorded.
    pub fn check(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        let ticks = loop {
            let ticks = self.log.ticks();
            let read = ticks.iter().flat_map(|t| &t.bindings).map(|b| b.next).max();
            let last = ticks.last().map_or(0, |t| t.tick);
            if read.unwrap_or(0) == self.next && self.engine.status().complete() == last {
                break ticks;
            }
            assert!(Instant::now() < end, "all is recorded and complete");
            std::thread::sleep(Duration::from_millis(5));
        };
        let expected = Oracle::of(&ticks).views(&self.plan);
        assert_eq!(self.said.lock().unwrap().rows, expected.rows);
    }

    /// Ends the input and waits until everything that follows from it is done.
    pub fn drain(&mut self) {
        self.feed = None;
        assert!(self.engine.wait_drained(Duration::from_secs(60)).unwrap(), "drained");
    }
}
