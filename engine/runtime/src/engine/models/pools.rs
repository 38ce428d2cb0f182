//! A pool for every model: its threads, and a thread that carries its answers to the recorder.

use super::super::dispatch::Wants;
use super::super::scoring::{Fetch, NoWants, carry};
use super::super::status::Status;
use super::super::{EngineError, EngineOptions, Shared};
use super::Board;
use super::wants::PoolWants;
use crossbeam_channel::Sender;
use groundswell_core::source::SourceBatch;
use groundswell_core::time::Tick;
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
    let traffic = Arc::<Traffic>::default();
    let mut pools = Vec::new();
    // In strict mode too: texts that a new model has not answered are not in any tick that is still to come.
    for (place, scorer) in super::scorers(options).into_iter().enumerate() {
        let lane = Lane {
            traffic: Arc::clone(&traffic),
            background: place > 0,
            rate: options.models.rescore_rate,
        };
        let given = Arc::clone(&fetch);
        let (pool, answers) = ScorerPool::start_in(lane, scorer, move |key| given(key), options.pool)
            .map_err(|e| EngineError::Failed(e.to_string()))?;
        let (out, fetch, status) = (input.clone(), Arc::clone(&fetch), Arc::clone(status));
        std::thread::Builder::new()
            .name(format!("answers-{place}"))
            .spawn(move || carry(&answers, &out, &fetch, &status))?;
        pools.push(Arc::new(pool));
    }
    let stats = pools.first().map_or_else(Arc::default, |pool| Arc::clone(pool.stats()));
    let wants: Box<dyn Wants> = if pools.is_empty() {
        Box::new(NoWants)
    } else {
        Box::new(PoolWants::new(pools.clone(), Arc::clone(board), upper))
    };
    Ok(Pools { pools, stats, wants })
}
