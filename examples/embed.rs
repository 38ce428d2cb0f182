//! The engine inside a program of your own: a source, a view, a sink.
//!
//! ```text
//! cargo run --release -p groundswell --example embed
//! ```
use groundswell::core::record::{Envelope, Post, Record};
use groundswell::core::score::Score;
use groundswell::core::serving::{Sink, TickChanges};
use groundswell::core::source::{Source, SourceBatch, SourceContext, SourceError};
use groundswell::core::spec::{GraphSpec, GroupColumn, LinkSpec, Measure, ViewSpec, WeightSpec, WindowSpec};
use groundswell::engine::{Connections, Engine, EngineOptions, MemoryLog, Shared, State};
use std::time::Duration;

struct TwoPosts;

impl Source for TwoPosts {
    fn name(&self) -> &str {
        "mine"
    }
    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let post = |offset, votes, sentiment| {
            let (id, source, thread) = (format!("p{offset}"), "forum".into(), "launch".into());
            let score = Some(Score::given(sentiment)); // a post may bring its sentiment; else the engine's model scores it
            let record = Record::Post(Post {
                id,
                source,
                thread,
                votes: Some(votes),
                score,
                ..Post::default()
            });
            Envelope {
                source: context.source,
                partition: 0,
                offset,
                order: offset,
                record,
            }
        };
        let records = vec![post(0, 0, -500_000), post(1, 100, 900_000)];
        // An error means that the engine is stopping, which is no failure of the source.
        let _ = context.send(SourceBatch {
            source: context.source,
            records,
            finished: true,
            ..SourceBatch::default()
        });
        Ok(())
    }
}

struct Print;

impl Sink for Print {
    fn name(&self) -> &str {
        "print"
    }
    fn upper(&self) -> Option<u64> {
        None
    }
    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        for row in changes.views.iter().flatten() {
            println!(
                "tick {}: sentiment {:?}",
                changes.tick,
                row.acc.and_then(|acc| acc.sentiment())
            );
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let view = ViewSpec {
        name: "by_thread".into(),
        group_by: vec![GroupColumn::Thread],
        window: WindowSpec::Tumble { size: 60_000 },
        measures: Measure::SUMS.to_vec(),
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    let graph = GraphSpec {
        name: "mine".into(),
        views: vec![view],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        scoring: Default::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    };
    let shared = Shared::create(&std::env::temp_dir())?;
    let state = State::Memory(MemoryLog::default()).open()?; // State::Folder for a durable record
    let connections = Connections {
        sources: vec![Box::new(TwoPosts)],
        sinks: vec![Box::new(Print)],
        ..Connections::default()
    };
    let engine = Engine::start(EngineOptions::new(graph), state, &shared, connections)?;
    engine.wait_drained(Duration::from_secs(10))?;
    Ok(engine.stop()?)
}
