//! Several models in one engine: promotions, rollbacks, restarts, shares, and alerts that a switch fires.

use crossbeam_channel::Receiver;
use groundswell::engine::{
    ClockMode, Connections, Engine, EngineOptions, MemoryLog, ModelReport, Role, Shadow, Shared, State, SwitchError,
    TickOptions,
};
use groundswell_core::acc::Acc;
use groundswell_core::expr::Expr;
use groundswell_core::record::{Binding, Envelope, Post, Record};
use groundswell_core::scoring::ScoringSpec;
use groundswell_core::serving::{AlertChange, AlertState, Cause, Sink, TickChanges};
use groundswell_core::source::{Source, SourceBatch, SourceContext, SourceError};
use groundswell_core::spec::{GraphSpec, LinkSpec, Measure, RuleSpec, ViewKey, ViewSpec, WeightSpec, WindowSpec};
use groundswell_core::time::Tick;
use groundswell_models::{FixtureScorer, Scorer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MINUTE: i64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands over posts when it is told to, and never ends.
struct OnDemand(Receiver<SourceBatch>);

impl Source for OnDemand {
    fn name(&self) -> &str {
        "posts"
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        loop {
            if let Ok(batch) = self.0.recv_timeout(Duration::from_millis(5))
                && context.send(batch).is_err()
            {
                return Ok(());
            }
            if context.stop.is_set() {
                return Ok(());
            }
        }
    }
}

/// Alerts that a sink is told, over all restarts.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Option<Tick>, Vec<AlertChange>)>>);

impl Told {
    fn states(&self) -> Vec<(AlertState, Cause)> {
        self.0.lock().unwrap().1.iter().map(|a| (a.state, a.cause)).collect()
    }
}

impl Sink for Told {
    fn name(&self) -> &str {
        "told"
    }
    fn upper(&self) -> Option<Tick> {
        self.0.lock().unwrap().0
    }
    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut told = self.0.lock().unwrap();
        told.0 = Some(changes.tick);
        told.1.extend(changes.told_alerts().cloned());
        Ok(())
    }
}

type Rows = Arc<Mutex<BTreeMap<ViewKey, Acc>>>;

/// A running engine with what its observer has seen.
struct Run {
    engine: Engine,
    rows: Rows,
    seen: Arc<Mutex<Vec<AlertChange>>>,
    told: Told,
    feed: crossbeam_channel::Sender<SourceBatch>,
}

fn options(shadows: Vec<Shadow>) -> EngineOptions {
    let view = ViewSpec {
        name: "all".into(),
        group_by: vec![],
        window: WindowSpec::Tumble { size: MINUTE },
        measures: Measure::ALL.to_vec(),
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    let mut options = EngineOptions::new(GraphSpec {
        name: "models".into(),
        views: vec![view],
        link: LinkSpec::default(),
        weight: WeightSpec::Uniform,
        scoring: ScoringSpec::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    });
    options.rules = vec![RuleSpec {
        min_posts: 0,
        ..RuleSpec::new("toxic", "all", Expr::parse("toxic >= 2").unwrap())
    }];
    options.ticks = TickOptions {
        every: Duration::from_millis(1),
        clock: ClockMode::Event,
        ..TickOptions::default()
    };
    options.scorer = Some(Arc::new(FixtureScorer::default()));
    options.models.live_name = "fixture".into();
    options.compare = !shadows.is_empty();
    options.models.shadows = shadows;
    options
}

fn contrary(share: u32) -> Shadow {
    Shadow {
        name: "contrary".into(),
        scorer: Arc::new(FixtureScorer::contrary()),
        share,
    }
}

fn start(options: EngineOptions, state: State, cache: &Path, told: &Told) -> Run {
    let (feed, fed) = crossbeam_channel::unbounded();
    let (rows, seen) = (Rows::default(), Arc::<Mutex<Vec<AlertChange>>>::default());
    let (into, alerts) = (Arc::clone(&rows), Arc::clone(&seen));
    let observer = move |changes: &TickChanges| {
        let mut rows = into.lock().unwrap();
        for change in changes.views.iter().flatten() {
            match change.acc {
                Some(acc) => rows.insert(change.key, acc),
                None => rows.remove(&change.key),
            };
        }
        let unmixed = rows.values().all(|acc| acc.toxic == 0 || acc.toxic == acc.scored);
        assert!(unmixed, "a window mixes models at tick {}", changes.tick);
        let scored: Vec<bool> = rows.values().filter(|a| a.scored > 0).map(|a| a.toxic > 0).collect();
        assert!(
            scored.windows(2).all(|two| two[0] == two[1]),
            "windows of two models at tick {}",
            changes.tick
        );
        alerts.lock().unwrap().extend(changes.alerts.iter().cloned());
    };
    let connections = Connections {
        sources: vec![Box::new(OnDemand(fed))],
        sinks: vec![Box::new(told.clone())],
        observers: vec![Box::new(observer)],
        ..Connections::default()
    };
    let shared = Shared::create(cache).unwrap();
    let engine = Engine::start(options, state.open().unwrap(), &shared, connections).unwrap();
    let restored = engine.status().wait(PATIENCE, |status| {
        status.is_replayed() && status.complete() >= status.recorded()
    });
    assert!(restored);
    Run {
        engine,
        rows,
        seen,
        told: told.clone(),
        feed,
    }
}

fn post(n: u64, minute: i64) -> Envelope {
    Envelope {
        source: 0,
        partition: 0,
        offset: n,
        order: n,
        record: Record::Post(Post {
            id: format!("p{n}"),
            author: Some(format!("author {n}")),
            text: format!("a good game, number {n}"),
            created_at: minute * MINUTE + 1_000,
            ..Post::default()
        }),
    }
}

impl Run {
    /// Hands over records and waits until the live model has answered all of them.
    fn give(&self, records: Vec<Envelope>) {
        let next = records.last().unwrap().offset + 1;
        self.feed
            .send(SourceBatch {
                source: 0,
                records,
                bindings: vec![Binding {
                    source: 0,
                    partition: 0,
                    next,
                }],
                ..SourceBatch::default()
            })
            .unwrap();
        let posts = || self.rows.lock().unwrap().values().map(|a| a.posts).sum::<i32>();
        self.until("the posts are there", || {
            i64::from(posts()) == i64::try_from(next).unwrap()
        });
        let scored = || self.rows.lock().unwrap().values().map(|a| a.scored).sum::<i32>();
        self.until("they are scored", || {
            scored() == posts() && self.engine.status().wanted() == 0
        });
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(
                began.elapsed() < PATIENCE,
                "not so: {what}; {:?}",
                self.engine.models().list()
            );
            assert_eq!(self.engine.status().fatal(), None);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn model(&self, name: &str) -> ModelReport {
        self.engine.models().find(name).unwrap()
    }

    /// Posts and toxic ones in all rows.
    fn toxic(&self) -> (i32, i32) {
        let rows = self.rows.lock().unwrap();
        rows.values()
            .fold((0, 0), |(posts, toxic), a| (posts + a.posts, toxic + a.toxic))
    }

    fn stop(self) -> Told {
        self.engine.stop().unwrap();
        self.told
    }
}

#[test]
fn a_shadow_is_compared_promoted_and_rolled_back_without_inference() {
    let folder = tempfile::tempdir().unwrap();
    let state = || State::Folder {
        path: folder.path().join("state"),
        fold_after: 1,
    };
    let told = Told::default();
    let run = start(options(vec![contrary(1_000_000)]), state(), folder.path(), &told);
    run.give((0..500).map(|n| post(n, i64::try_from(n % 5).unwrap())).collect());
    run.until("the shadow has caught up", || run.model("contrary").answered == 500);
    let (live, shadow) = (run.model("fixture"), run.model("contrary"));
    assert_eq!((live.role, shadow.role), (Role::Live, Role::Shadow));
    assert_eq!(
        (live.answered, live.texts, shadow.behind, shadow.waiting),
        (500, 500, 0, 0)
    );
    let comparison = shadow.comparison.unwrap();
    assert_eq!(comparison.all.posts, 500);
    assert_eq!(comparison.all.agreement, 0.0, "good is bad for the other");
    assert!(comparison.drift > 5.0, "{comparison:?}");
    assert!(
        comparison.all.live_sentiment > 0.2 && comparison.all.sentiment < -0.2,
        "{comparison:?}"
    );
    assert_eq!(run.model(&shadow.key.to_string()[..8]).key, shadow.key);

    let models = Arc::clone(run.engine.models());
    assert!(matches!(
        models.promote("contrery", false),
        Err(SwitchError::Unknown { .. })
    ));
    assert_eq!(
        models.promote("fixture", true),
        Err(SwitchError::AlreadyLive("fixture".into()))
    );
    assert_eq!(models.roll_back(), Err(SwitchError::NothingBefore));
    assert_eq!(run.toxic(), (500, 0));
    let before = run.rows.lock().unwrap().clone();
    let switched = models.promote("contrary", false).unwrap();
    assert_eq!(
        (switched.live, switched.was, switched.missing),
        (shadow.key, live.key, 0)
    );
    assert_eq!(run.toxic(), (500, 500));
    assert_eq!(
        (run.model("fixture").role, run.model("contrary").role),
        (Role::Standby, Role::Live)
    );
    let recorded = run.engine.status().recorded();
    let back = models.roll_back().unwrap();
    assert_eq!((back.live, back.was, back.missing), (live.key, shadow.key, 0));
    assert_eq!(*run.rows.lock().unwrap(), before, "the rows are what they were");
    std::thread::sleep(Duration::from_millis(50));
    assert!(run.engine.status().recorded() <= recorded + 60_000);
    assert_eq!(run.model("contrary").answered, 500);
    assert_eq!(models.roll_back(), Err(SwitchError::NothingBefore));
    models.promote("contrary", false).unwrap();
    run.stop();

    // What was promoted is live after a restart, from a snapshot too.
    for _ in 0..2 {
        let run = start(options(vec![contrary(1_000_000)]), state(), folder.path(), &told);
        run.until("the rows are back", || run.toxic() == (500, 500));
        assert_eq!(run.model("contrary").role, Role::Live);
        assert_eq!(
            (run.model("fixture").answered, run.model("contrary").answered),
            (500, 500)
        );
        let passes = run.engine.scorer_stats().snapshot().passes;
        assert_eq!(passes, 0, "everything is on record");
        run.stop();
    }
    let run = start(options(vec![contrary(1_000_000)]), state(), folder.path(), &told);
    run.until("the rows are back", || run.toxic() == (500, 500));
    run.engine.models().roll_back().unwrap();
    assert_eq!(run.toxic(), (500, 0));
    run.engine.models().promote("contrary", false).unwrap();
    run.stop();

    // The promoted model is gone from the configuration.
    let shared = Shared::create(folder.path()).unwrap();
    let engine = Engine::start(
        options(vec![]),
        state().open().unwrap(),
        &shared,
        Connections {
            sources: vec![Box::new(OnDemand(crossbeam_channel::never()))],
            ..Connections::default()
        },
    )
    .unwrap();
    assert!(!engine.status().wait(PATIENCE, |_| false));
    let why = engine.status().fatal().unwrap();
    assert!(why.contains("none of the models in the pipeline file is it"), "{why}");
    drop(engine);
    let mut asked = options(vec![]);
    asked.models.as_configured = true;
    let run = start(asked, state(), folder.path(), &told);
    run.until("the configured model is live", || run.toxic() == (500, 0));
    let retired = run
        .engine
        .models()
        .list()
        .into_iter()
        .find(|m| m.key == shadow.key)
        .unwrap();
    assert_eq!(
        (retired.role, retired.answered, retired.name),
        (Role::Retired, 500, None)
    );
    run.stop();
}

#[test]
fn a_canary_is_asked_about_some_authors_and_is_promoted_by_force_only() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told::default();
    let state = State::Memory(MemoryLog::default());
    let run = start(options(vec![contrary(200_000)]), state, folder.path(), &told);
    run.give((0..1_000).map(|n| post(n, 0)).collect());
    run.until("the canary has done its part", || {
        let model = run.model("contrary");
        model.answered > 0 && model.waiting == 0 && model.answered + model.behind == 1_000
    });
    let canary = run.model("contrary");
    assert!((150..250).contains(&canary.answered), "{canary:?}");
    assert_eq!(canary.behind, 1_000 - canary.answered);
    let refused = run.engine.models().promote("contrary", false);
    let expected = SwitchError::Behind {
        name: "contrary".into(),
        missing: canary.behind,
        texts: 1_000,
    };
    assert_eq!(refused, Err(expected));
    let switched = run.engine.models().promote("contrary", true).unwrap();
    assert!(
        switched.missing > 0 && switched.missing <= canary.behind,
        "{switched:?}"
    );
    run.until("what was missing is scored", || run.toxic() == (1_000, 1_000));
    // The configured model is on standby and is not asked about what is new.
    run.give((1_000..1_010).map(|n| post(n, 0)).collect());
    assert_eq!(
        (run.model("fixture").answered, run.model("fixture").waiting),
        (1_000, 0)
    );
    assert_eq!(run.engine.models().roll_back().unwrap().missing, 10);
    run.until("they are scored now", || {
        run.toxic() == (1_010, 0) && run.engine.status().wanted() == 0
    });
    run.stop();
}

#[test]
fn alerts_that_a_switch_fires_are_shown_and_no_sink_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = || State::Folder {
        path: folder.path().join("state"),
        fold_after: 1,
    };
    let told = Told::default();
    let both = || options(vec![contrary(1_000_000)]);
    let run = start(both(), state(), folder.path(), &told);
    run.give((0..6).map(|n| post(n, i64::try_from(n / 3).unwrap())).collect());
    // The clock passes, so that the windows count.
    run.give(vec![post(6, 100)]);
    run.until("the shadow has caught up", || run.model("contrary").answered == 7);
    run.engine.models().promote("contrary", false).unwrap();
    let seen: Vec<_> = run
        .seen
        .lock()
        .unwrap()
        .iter()
        .map(|a| (a.state, a.cause, a.muted))
        .collect();
    // Nothing was posted after: it is over as soon as it fires.
    let expected = [AlertState::Firing, AlertState::Resolved].map(|state| (state, Cause::Model, true));
    assert_eq!(seen, expected);
    run.stop();
    assert_eq!(told.states(), []);

    // After a restart from a snapshot it is still muted, and so is its end.
    let run = start(both(), state(), folder.path(), &told);
    run.give(vec![post(7, 200)]);
    run.stop();
    let run = start(both(), state(), folder.path(), &told);
    let seen: Vec<_> = run.seen.lock().unwrap().iter().map(|a| (a.state, a.muted)).collect();
    assert!(!seen.is_empty() && seen.iter().all(|(_, muted)| *muted), "{seen:?}");
    run.engine.models().roll_back().unwrap();
    let last = run.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (last.state, last.cause, last.muted),
        (AlertState::Retracted, Cause::Model, true)
    );
    run.stop();
    assert_eq!(told.states(), []);

    // Where they are to be delivered they are.
    let mut deliver = both();
    deliver.models.deliver_alerts = true;
    let run = start(deliver, state(), folder.path(), &told);
    run.engine.models().promote("contrary", false).unwrap();
    run.engine.models().roll_back().unwrap();
    run.stop();
    let states = [AlertState::Firing, AlertState::Resolved, AlertState::Retracted];
    assert_eq!(told.states(), states.map(|state| (state, Cause::Model)));
}

#[test]
fn strict_ticks_are_scored_by_the_live_model() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told::default();
    let log = MemoryLog::default();
    let mut strict = options(vec![contrary(1_000_000)]);
    strict.strict = true;
    let run = start(strict, State::Memory(log.clone()), folder.path(), &told);
    run.give((0..20).map(|n| post(n, 0)).collect());
    run.until("the shadow has caught up", || run.model("contrary").answered == 20);
    run.engine.models().promote("contrary", false).unwrap();
    run.give((20..30).map(|n| post(n, 0)).collect());
    assert_eq!(run.toxic(), (30, 30));
    run.stop();
    let contrary = FixtureScorer::contrary().model();
    for tick in log.ticks() {
        let posts = tick
            .records
            .iter()
            .filter(|e| matches!(&e.record, Record::Post(p) if p.id.len() == 3 && *p.id >= *"p20"));
        let by_it = tick
            .records
            .iter()
            .filter(|e| matches!(e.record, Record::Score { model, .. } if model == contrary));
        if posts.clone().count() > 0 {
            assert_eq!(posts.count(), by_it.count(), "in the tick of the posts");
        }
    }
}
