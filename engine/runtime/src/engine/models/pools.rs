//! A pool for every model: its threads, and a thread that carries its answers to the recorder.
//!
//! What answers where the configured live model cannot (the ladder) belongs to that model: its facts are recorded under
//! that model's key.

use super::super::dispatch::Wants;
use super::super::fallback;
use super::super::scoring::{Carry, Fetch, NoWants};
use super::super::status::Status;
use super::super::watch::Watching;
use super::super::{EngineError, EngineOptions, Shared};
use super::Board;
use super::wants::PoolWants;
use crossbeam_channel::Sender;
use groundswell_core::source::SourceBatch;
use groundswell_core::time::Tick;
use groundswell_models::fallback::Ladder;
use groundswell_models::{Lane, ScorerPool, ScorerStats, Traffic};
use std::sync::Arc;

/// The pools of an engine.
pub(crate) struct Pools {
    pub(crate) pools: Vec<Arc<ScorerPool>>,
    /// The counters of the configured live model.
    pub(crate) stats: Arc<ScorerStats>,
    pub(crate) wants: Box<dyn Wants>,
}

/// Starts a pool for every model; which of them goes first is said when the record is.
pub(crate) fn start(
    options: &EngineOptions,
    shared: &Shared,
    input: &Sender<SourceBatch>,
    upper: Option<Tick>,
    status: &Arc<Status>,
    board: &Arc<Board>,
) -> Result<Pools, EngineError> {
    let texts = Arc::clone(&shared.texts);
    let fetch: Fetch = Arc::new(move |key| texts.get(key).ok().flatten());
    let failed = |e: &dyn std::fmt::Display| EngineError::Failed(e.to_string());
    let traffic = Arc::<Traffic>::default();
    let (mut pools, mut below) = (Vec::new(), None);
    // In strict mode too: texts that a new model has not answered are not in any tick that is still to come.
    for (place, scorer) in super::scorers(options).into_iter().enumerate() {
        let lane = Lane {
            traffic: Arc::clone(&traffic),
            background: place > 0,
            rate: options.models.rescore_rate,
        };
        let (given, model) = (Arc::clone(&fetch), scorer.model());
        let (pool, answers) =
            ScorerPool::start_in(lane, scorer, move |key| given(key), options.pool).map_err(|e| failed(&e))?;
        let stats = Arc::clone(pool.stats());
        let mut ladder = None;
        if place == 0 {
            stats.watch(Arc::new(Watching(Arc::clone(&shared.metrics))));
            if let Some(http) = options.rungs.http.clone() {
                let given = Arc::clone(&fetch);
                let (started, facts) =
                    Ladder::start(http, model, move |key| given(key), Arc::clone(&stats)).map_err(|e| failed(&e))?;
                ladder = Some(Arc::new(started));
                let (out, fetch, stats) = (input.clone(), Arc::clone(&fetch), Arc::clone(&stats));
                let thread = std::thread::Builder::new().name("fallen".into());
                thread.spawn(move || fallback::carry(facts, &out, &fetch, &stats))?;
            }
            below = ladder.clone();
        }
        let carry = Carry {
            out: input.clone(),
            fetch: Arc::clone(&fetch),
            stats,
            status: Arc::clone(status),
            ladder,
            // A shadow that cannot answer says so: nothing stands for its answer.
            neutral: options.rungs.neutral && place == 0,
        };
        let thread = std::thread::Builder::new().name(format!("answers-{place}"));
        thread.spawn(move || carry.run(&answers))?;
        pools.push(Arc::new(pool));
    }
    let stats = pools.first().map_or_else(Arc::default, |pool| Arc::clone(pool.stats()));
    let wants: Box<dyn Wants> = if pools.is_empty() {
        Box::new(NoWants)
    } else {
        Box::new(PoolWants::new(pools.clone(), below, Arc::clone(board), upper))
    };
    Ok(Pools { pools, stats, wants })
}
