//! The engine: sources in, an exact graph, sinks out, with everything recorded before it is released.
//!
//! ```text
//! source threads ─▶ recorder ─▶ timely workers ─▶ dispatcher ─▶ observers (hub), sink threads
//!                      ▲  │                            │
//!                      │  └─ log + snapshot            └─ texts wanted ─▶ scorer pool
//!                      └──────────────── answers, as recorded facts ◀──────────┘
//! ```
//! Every queue between threads is bounded. A thread that cannot go on says why in [`Status`] and the engine stops.

pub mod cluster;
mod counters;
mod dispatch;
mod erase;
mod events;
mod fallback;
mod floors;
mod log;
mod models;
mod predict;
mod recorder;
mod release;
mod replay;
mod revisions;
mod rules;
mod scoring;
mod sinks;
mod sources;
mod status;
mod ties;
mod watch;
mod worker;
mod workers;

pub use dispatch::Observer;
pub use erase::{Eraser, NotErased};
pub use fallback::Rungs;
pub use log::{MemoryLog, OpenState, State};
pub use models::{
    Compared, Comparison, ModelOptions, ModelReport, Models, Role, Shadow, SwitchError, Switched, share_of,
};
pub use predict::Predictor;
pub use recorder::{ClockMode, TickOptions};
pub use replay::Replayer;
pub use rules::RuleReport;
pub use sinks::{FullState, SinkCondition, SinkError, SinkReport, SinkState};
pub use status::Status;

use counters::Counters;
use crossbeam_channel::{Sender, bounded};
use dispatch::{Dispatcher, ToDispatch};
use groundswell_connectors::metrics::Metrics;
use groundswell_core::id::{Names, PostKey, TextKey};
use groundswell_core::keywords::Keyword;
use groundswell_core::record::SourceId;
use groundswell_core::serving::Sink;
use groundswell_core::source::{Durable, Source, SourceBatch, StopFlag};
use groundswell_core::spec::{GraphSpec, RuleSpec};
use groundswell_core::store::StoreError;
use groundswell_core::text::Texts;
use groundswell_core::time::Tick;
use groundswell_models::{PoolOptions, Scorer, ScorerStats};
use groundswell_operators::graph::Plan;
use recorder::Recorder;
use release::Asked;
use scoring::Strict;
use sinks::SinkThread;
use sources::{SourceStart, of_source};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::thread::JoinHandle;
use std::time::Duration;
use workers::Workers;

/// Batches that sources may lay ahead of the recorder.
const SOURCE_QUEUE: usize = 8;
/// Messages that may lie ahead of the dispatcher.
const DISPATCH_QUEUE: usize = 1024;
/// Bytes of recent texts kept in memory for the linker and the scorer.
const RECENT_TEXTS: usize = 16 << 20;

/// What an engine computes and how.
pub struct EngineOptions {
    /// Views, linking, weights.
    pub graph: GraphSpec,
    /// Rules of the configuration; recorded where they differ from what the record knows.
    pub rules: Vec<RuleSpec>,
    /// Keywords of the configuration; recorded likewise. They are looked for if the graph has events.
    pub keywords: Vec<Keyword>,
    /// Whether rules also come as records, so that any view may be watched.
    pub rules_may_come: bool,
    /// Dataflow threads.
    pub workers: usize,
    /// How ticks are minted.
    pub ticks: TickOptions,
    /// What scores texts; `None` if records bring their sentiment.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// What answers where it cannot.
    pub rungs: Rungs,
    /// How the scorer's threads work.
    pub pool: PoolOptions,
    /// The models beside it, and how one takes another's place.
    pub models: ModelOptions,
    /// Whether other models are compared with the live one. Processes of one cluster must agree on it, whether they open
    /// models or not.
    pub compare: bool,
    /// Score a tick's texts before the tick is recorded.
    pub strict: bool,
    /// Whether the authors of every row are counted, also where no view shows them.
    pub count_authors: bool,
    /// Whether anybody reads changed posts (serving does, a bare pipeline does not).
    pub collect_posts: bool,
}

impl EngineOptions {
    /// The defaults for a graph: one worker, no model.
    pub fn new(graph: GraphSpec) -> Self {
        EngineOptions {
            graph,
            rules: Vec::new(),
            keywords: Vec::new(),
            rules_may_come: false,
            workers: 1,
            ticks: TickOptions::default(),
            scorer: None,
            rungs: Rungs::default(),
            pool: PoolOptions::default(),
            models: ModelOptions::default(),
            compare: false,
            strict: false,
            count_authors: false,
            collect_posts: true,
        }
    }

    /// What is rendered.
    pub(crate) fn plan(&self) -> Plan {
        let watched = |view: &str| self.rules_may_come || self.rules.iter().any(|rule| rule.view == view);
        let plan = Plan::new(&self.graph, watched)
            .watched_by(&self.rules)
            .comparing(self.compare);
        plan.counting_authors(self.count_authors)
    }

    /// A digest of the graph that is rendered: processes of one cluster must have the same.
    pub fn digest(&self) -> u128 {
        let all = format!("{:x} {}", self.plan().digest(), self.collect_posts);
        TextKey::of(all.as_bytes()).0
    }
}

/// What an engine is connected to.
#[derive(Default)]
pub struct Connections {
    /// Where records come from; the index is the source's id in the record.
    pub sources: Vec<Box<dyn Source>>,
    /// Where complete ticks go, each on a thread of its own.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Who watches complete ticks on the engine's thread.
    pub observers: Vec<Observer>,
    /// Where sinks that are to be resynced get the full state from.
    pub full_state: Option<FullState>,
    /// The observers look at rows, alerts and dead letters only: posts need not be collected for them.
    pub without_posts: bool,
    /// The other processes that run workers; this one leads them.
    pub cluster: Option<cluster::Joined>,
    /// The model that the configuration names becomes live again, whatever was promoted.
    pub live_as_configured: bool,
}

/// What the engine shares with those who serve.
#[derive(Clone)]
pub struct Shared {
    /// Strings behind digests.
    pub names: Arc<Names>,
    /// Texts by content, and post ids by key.
    pub texts: Arc<Texts>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
}

impl Shared {
    /// Creates the shared parts; `cache` is a folder for the text cache.
    ///
    /// # Errors
    /// If the cache cannot be created or a metric not be registered.
    pub fn create(cache: &std::path::Path) -> Result<Self, EngineError> {
        let texts = Texts::create(cache, RECENT_TEXTS).map_err(|e| cannot_cache(cache, e))?;
        let metrics = Metrics::new().map_err(|e| EngineError::Failed(e.to_string()))?;
        Ok(Shared {
            names: Arc::default(),
            texts: Arc::new(texts),
            metrics: Arc::new(metrics),
        })
    }

    /// The id string of a post.
    pub fn post_id(&self, key: PostKey) -> Option<Arc<str>> {
        self.texts.get(TextKey(key.0)).ok().flatten()
    }
}

/// Why an engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The record cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The text cache cannot be created.
    #[error("cannot create the text cache in \"{folder}\": {source}")]
    Cache {
        /// Where.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A sink has what the record does not: it belongs to another state, or this one was wiped or set back.
    #[error(
        "sink \"{sink}\" has committed tick {upper}, but the state ends {}: it belongs to another state, or this one was wiped or \
         set back, and ticks up to {upper} would be left out. Empty the sink (move its file away, drop its tables, name \
         another topic) to begin anew, or use the state it was written from",
        state.map_or_else(|| "before its first tick".to_owned(), |t| format!("at tick {t}"))
    )]
    SinkAhead {
        /// Its name.
        sink: String,
        /// What it has.
        upper: Tick,
        /// What the state has.
        state: Option<Tick>,
    },
    /// The engine stopped by itself.
    #[error("{0}")]
    Failed(String),
    /// The engine stopped as it was asked to, but sinks have not taken everything.
    #[error("{}", .0.join("; "))]
    Sinks(Vec<String>),
}

fn cannot_cache(folder: &std::path::Path, source: std::io::Error) -> EngineError {
    EngineError::Cache {
        folder: folder.display().to_string(),
        source,
    }
}

/// A running engine.
pub struct Engine {
    status: Arc<Status>,
    stop: StopFlag,
    sources: Vec<JoinHandle<()>>,
    recorder: Option<JoinHandle<()>>,
    workers: Option<JoinHandle<()>>,
    dispatcher: Option<JoinHandle<()>>,
    models: Arc<Models>,
    stats: Arc<ScorerStats>,
    replayer: Arc<Replayer>,
    eraser: Arc<Eraser>,
    to_dispatch: Sender<ToDispatch>,
    input: Option<Sender<SourceBatch>>,
}

impl Engine {
    /// Restores the record and starts everything. Sources begin to read once the past is restored.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        options: EngineOptions,
        state: OpenState,
        shared: &Shared,
        connections: Connections,
    ) -> Result<Engine, EngineError> {
        let OpenState { mut log, recorded } = state;
        let Connections {
            sources,
            mut sinks,
            observers,
            full_state,
            cluster,
            ..
        } = connections;
        cluster.as_ref().map_or(Ok(()), |joined| same_graph(&options, joined))?;
        let mut again = Vec::with_capacity(sinks.len());
        for sink in &mut sinks {
            sinks::not_ahead(sink.as_ref(), recorded.upper)?;
            again.push(sinks::begin_again(sink.as_mut(), recorded.folded)?);
        }
        let status = Arc::new(Status::default());
        let stop = StopFlag::default();
        let counters = Arc::new(Counters::new(Arc::clone(&shared.metrics), &sources));
        let plan = options.plan();
        release::know(&plan, &shared.names).map_err(|e| EngineError::Failed(e.to_string()))?;
        log.expire_after(plan.retention());
        plan.retention()
            .into_iter()
            .for_each(|ms| shared.texts.expire_after(ms));
        let duplicates = workers::duplicates(cluster.as_ref());
        duplicates.recalled().after(recorded.upper.unwrap_or(0));

        let (to_dispatch, at_dispatch) = bounded(DISPATCH_QUEUE);
        let (input, at_recorder) = bounded(SOURCE_QUEUE);
        let known = options.models.known(options.scorer.as_ref());
        let board = Arc::new(models::Board::new(known.clone()));
        let models::Pools { pools, stats, wants } =
            models::start_pools(&options, shared, &input, recorded.upper, &status, &board)?;
        let (models, switches) = Models::new(pools, Arc::clone(&board), Arc::clone(&status));

        let floors = Arc::<floors::Floors>::default();
        let sink_events = sinks::events(&shared.metrics);
        let sinks = sinks.into_iter().zip(again).map(|(s, again)| {
            let state = status.watch_sink(s.name(), s.upper().unwrap_or(0), s.can_resync());
            let thread = SinkThread::start(s, state, full_state.clone(), stop.clone(), Arc::clone(&sink_events))?;
            Ok::<_, std::io::Error>(if again {
                thread.begin_again(full_state.clone())
            } else {
                thread
            })
        });
        let dispatcher = Dispatcher {
            plan: plan.clone(),
            observers,
            sinks: sinks.collect::<Result<_, _>>()?,
            wants,
            status: Arc::clone(&status),
            counters: Arc::clone(&counters),
            duplicates: duplicates.clone(),
            scorer: Arc::clone(&stats),
            floors: Arc::clone(&floors),
            board,
            mutes: models::Mutes::new(Arc::clone(&floors), options.models.deliver_alerts),
            strings: events::Strings::new(shared),
            revisions: revisions::Revisions::new(&options.graph.views, recorded.folded),
            pending: std::collections::BTreeMap::new(),
            spare: hashbrown::HashMap::new(),
        };
        let dispatcher = spawn("dispatcher", &status, move || {
            dispatcher.run(&at_dispatch);
            Ok(())
        })?;

        let given = Workers {
            plan: plan.clone(),
            texts: Arc::clone(&shared.texts),
            out: to_dispatch.clone(),
            status: Arc::clone(&status),
            joined: cluster,
        };
        let (feeds, workers) = workers::lead(&options, given, duplicates.clone())?;
        let horizon = Arc::new(AtomicI64::new(i64::MIN));
        let strict = options.strict.then(|| Strict {
            scorers: models::scorers(&options),
            limits: options.pool.limits,
            // One thread more than the pool's: while the model is at one batch the next is split into tokens.
            threads: options.pool.threads + 1,
            stats: Arc::clone(&stats),
            neutral: options.rungs.neutral,
            known: hashbrown::HashSet::new(),
        });
        let resume = &recorded.bindings;
        let durable = (0..sources.len())
            .map(|id| Durable::new(&of_source(id, resume)))
            .collect::<Vec<_>>();
        let ledger = replay::Ledger::default();
        let parts = replay::Parts {
            names: Arc::clone(&shared.names),
            horizon: Arc::clone(&horizon),
            status: Arc::clone(&status),
            duplicates: duplicates.clone(),
            ledger: ledger.clone(),
        };
        let (replayer, again) = Replayer::new(&sources, &durable, parts);
        let (eraser, erasures) = Eraser::new(Arc::clone(&status));
        let mut ticks = options.ticks;
        if strict.is_some() {
            ticks.max_records = ticks.max_records.min(scoring::STRICT_RECORDS);
        }
        let mut recorder = Recorder {
            log,
            durable: durable.clone(),
            options: ticks,
            names: Arc::clone(&shared.names),
            texts: Arc::clone(&shared.texts),
            numbers: plan.numbers().into(),
            asked: Asked {
                ids: options.collect_posts || plan.watches() || plan.seeks() || plan.shows_posts(),
                about: plan.seeks(),
                ties: plan.ties(),
                sought: plan.sought(),
            },
            feeds,
            dispatch: to_dispatch.clone(),
            status: Arc::clone(&status),
            counters,
            stop: stop.clone(),
            again,
            ledger,
            duplicates,
            strict,
            floors,
            bounds: floors::Bounds::default(),
            horizon: Arc::clone(&horizon),
            longest_kept: plan.longest_kept(),
            last: recorded.upper.unwrap_or(0),
            clock: recorded.clock.unwrap_or(i64::MIN),
            background: options.models.background(&known),
            pointer: models::Pointer::new(known, options.models.as_configured),
            switches,
            erasures,
            config_rules: std::collections::BTreeMap::new(),
            config_keywords: std::collections::BTreeMap::new(),
        };
        let resume = recorded.bindings.clone();
        let unfinished: BTreeSet<SourceId> = (0..).zip(&sources).map(|(id, _)| id).collect();
        let (rules, model) = (options.rules, options.scorer.as_ref().map(|s| s.model()));
        let keywords = options.keywords;
        let (go, ready) = bounded::<()>(0);
        let recorder = spawn("recorder", &status, move || {
            recorder.replay(recorded)?;
            recorder.configure(&rules, &keywords, model)?;
            drop(go); // sources may begin
            recorder.run(&at_recorder, unfinished)
        })?;

        let start = SourceStart {
            input: input.clone(),
            stop: stop.clone(),
            names: Arc::clone(&shared.names),
            horizon,
            resume,
            durable,
        };
        let sources = (0..)
            .zip(sources)
            .map(|(id, source)| start.spawn(id, source, &ready, &status));
        let sources = sources.collect::<Result<_, _>>()?;
        Ok(Engine {
            status,
            stop,
            sources,
            recorder: Some(recorder),
            workers: Some(workers),
            dispatcher: Some(dispatcher),
            models,
            stats,
            replayer,
            eraser,
            to_dispatch,
            input: Some(input),
        })
    }

    /// How the engine is.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// The scorer's counters; zero where there is no model.
    pub fn scorer_stats(&self) -> &Arc<ScorerStats> {
        &self.stats
    }

    /// The models, and how to switch them.
    pub fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// Who takes dead letters again.
    pub fn replayer(&self) -> &Arc<Replayer> {
        &self.replayer
    }

    /// Who takes erasures.
    pub fn eraser(&self) -> &Arc<Eraser> {
        &self.eraser
    }

    /// Waits until all sources are read to their end and everything that follows is done; false if time ran out.
    ///
    /// # Errors
    /// If the engine stopped by itself.
    pub fn wait_drained(&self, timeout: Duration) -> Result<bool, EngineError> {
        let drained = self.status.wait(timeout, Status::is_drained);
        self.status
            .fatal()
            .map_or(Ok(drained), |why| Err(EngineError::Failed(why)))
    }

    /// Stops: sources first, then what was read is recorded, computed and handed to the sinks.
    ///
    /// # Errors
    /// If the engine had stopped by itself before, or a sink failed and has not taken everything.
    pub fn stop(mut self) -> Result<(), EngineError> {
        self.shut_down();
        if let Some(why) = self.status.fatal() {
            return Err(EngineError::Failed(why));
        }
        let behind = self.status.behind();
        if behind.is_empty() {
            Ok(())
        } else {
            Err(EngineError::Sinks(behind))
        }
    }

    fn shut_down(&mut self) {
        self.stop.stop();
        // Joining in the direction of the flow: each closes its output when its input has closed.
        self.sources.drain(..).for_each(join);
        self.models.stop();
        self.input = None;
        self.recorder.take().into_iter().for_each(join);
        self.workers.take().into_iter().for_each(join);
        // The dispatcher may be gone already if the engine failed.
        let _ = self.to_dispatch.send(ToDispatch::Stop);
        self.dispatcher.take().into_iter().for_each(join);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("an engine thread had panicked");
    }
}

/// Starts a thread whose failure, panics included, stops the engine with a reason.
fn spawn(
    name: &str,
    status: &Arc<Status>,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let (status, label) = (Arc::clone(status), name.to_owned());
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => status.fail(why),
            Err(_) => status.fail(format!(
                "the {label} thread panicked; this is a bug, the record is intact"
            )),
        }
    })
}

/// Workers that render different graphs would take each other's messages for their own.
fn same_graph(options: &EngineOptions, joined: &cluster::Joined) -> Result<(), EngineError> {
    let member = joined.member();
    if member.graph == options.digest() && member.workers == options.workers.max(1) && member.process == 0 {
        return Ok(());
    }
    let why = "the engine's options are not those this process joined the others with, as process 0";
    Err(EngineError::Failed(why.into()))
}
