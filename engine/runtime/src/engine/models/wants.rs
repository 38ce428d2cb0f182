//! Texts that wait for a model, on their way from the graph to the pools.
//!
//! Keeps each pool's queue equal to what the graph wants of its model, once the past is restored: while ticks are replayed,
//! texts whose answers come at later recorded ticks look unscored. A pool of a model that is not live steps back.

use super::super::dispatch::Wants;
use super::Board;
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::ScorerPool;
use hashbrown::HashMap;
use std::sync::Arc;

type Wished = HashMap<TextKey, EventTime>;

pub(crate) struct PoolWants {
    pools: Vec<Arc<ScorerPool>>,
    board: Arc<Board>,
    wanted: HashMap<ModelKey, Wished>,
    live: Option<ModelKey>,
    /// The last tick that is replayed; `None` once it is complete.
    replaying: Option<Tick>,
}

impl PoolWants {
    pub(crate) fn new(pools: Vec<Arc<ScorerPool>>, board: Arc<Board>, upper: Option<Tick>) -> Self {
        PoolWants {
            pools,
            board,
            wanted: HashMap::new(),
            live: None,
            replaying: upper,
        }
    }

    fn pool(&self, model: ModelKey) -> Option<&Arc<ScorerPool>> {
        self.pools.iter().find(|pool| pool.scorer().model() == model)
    }

    fn ask(&self, model: ModelKey, text: TextKey) {
        let Some(pool) = self.pool(model) else { return };
        match self.wanted.get(&model).and_then(|wished| wished.get(&text)) {
            Some(at) => pool.want(text, *at),
            None => pool.unwant(text),
        }
    }
}

impl Wants for PoolWants {
    fn change(&mut self, tick: Tick, mut changes: Vec<((ModelKey, TextKey, EventTime), isize)>) -> usize {
        // Retractions first: a text whose newest post changed is wanted again with another age.
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for ((model, text, at), diff) in &changes {
            let wished = self.wanted.entry(*model).or_default();
            if *diff < 0 {
                wished.remove(text);
            } else {
                wished.insert(*text, *at);
            }
        }
        let live = self.board.live();
        if live != self.live {
            self.live = live;
            for pool in &self.pools {
                pool.set_background(Some(pool.scorer().model()) != live);
            }
        }
        match self.replaying {
            Some(last) if tick < last => {}
            Some(_) => {
                self.replaying = None;
                for (model, wished) in &self.wanted {
                    wished.keys().for_each(|text| self.ask(*model, *text));
                }
            }
            None => changes.iter().for_each(|((model, text, _), _)| self.ask(*model, *text)),
        }
        self.wanted.retain(|_, wished| !wished.is_empty());
        self.board
            .set_waiting(self.wanted.iter().map(|(model, wished)| (*model, wished.len())));
        live.and_then(|live| self.wanted.get(&live)).map_or(0, HashMap::len)
    }
}
