//! Texts that wait for a model, on their way from the graph to the pools.
//!
//! Keeps each pool's queue equal to what the graph wants of its model, once the past is restored: while ticks are replayed,
//! texts whose answers come at later recorded ticks look unscored. A pool of a model that is not live steps back.

use super::super::dispatch::Wants;
use super::Board;
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::ScorerPool;
use groundswell_models::fallback::Ladder;
use groundswell_operators::score::Wanted;
use hashbrown::HashMap;
use std::sync::Arc;

/// What is wanted of a model.
#[derive(Default)]
struct Wished {
    /// With whether something stands for an answer already.
    texts: HashMap<TextKey, (EventTime, bool)>,
    /// Those for which nothing does.
    waiting: usize,
}

impl Wished {
    fn set(&mut self, text: TextKey, wanted: Option<(EventTime, bool)>) {
        let before = match wanted {
            Some(wanted) => self.texts.insert(text, wanted),
            None => self.texts.remove(&text),
        };
        let waits = |wanted: Option<(EventTime, bool)>| usize::from(wanted.is_some_and(|(_, stopgap)| !stopgap));
        self.waiting = self.waiting + waits(wanted) - waits(before);
    }
}

pub(crate) struct PoolWants {
    /// That of the configured live model first.
    pools: Vec<Arc<ScorerPool>>,
    /// What answers where the first of them cannot.
    ladder: Option<Arc<Ladder>>,
    board: Arc<Board>,
    wanted: HashMap<ModelKey, Wished>,
    live: Option<ModelKey>,
    /// The last tick that is replayed; `None` once it is complete.
    replaying: Option<Tick>,
}

impl PoolWants {
    pub(crate) fn new(
        pools: Vec<Arc<ScorerPool>>,
        ladder: Option<Arc<Ladder>>,
        board: Arc<Board>,
        upper: Option<Tick>,
    ) -> Self {
        PoolWants {
            pools,
            ladder,
            board,
            wanted: HashMap::new(),
            live: None,
            replaying: upper,
        }
    }

    /// Tells who asks. The ladder first: it hears of the model's failure next.
    fn tell(&self, model: ModelKey, text: TextKey) {
        let found = self.pools.iter().position(|pool| pool.scorer().model() == model);
        let Some((place, pool)) = found.and_then(|place| Some((place, self.pools.get(place)?))) else {
            return;
        };
        let ladder = self.ladder.as_ref().filter(|_| place == 0);
        match self.wanted.get(&model).and_then(|wished| wished.texts.get(&text)) {
            // Nobody has a better answer than the one that stands.
            Some((_, true)) if ladder.is_none() && place > 0 => pool.unwant(text),
            Some((at, stopgap)) => {
                ladder.iter().for_each(|ladder| ladder.want(text, *at, *stopgap));
                pool.want(text, *at);
            }
            None => {
                ladder.iter().for_each(|ladder| ladder.unwant(text));
                pool.unwant(text);
            }
        }
    }
}

impl Wants for PoolWants {
    fn change(&mut self, tick: Tick, mut changes: Vec<(Wanted, isize)>) -> usize {
        // Retractions first: a text whose newest post changed is wanted again with another age.
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for (wanted, diff) in &changes {
            let wished = self.wanted.entry(wanted.model).or_default();
            wished.set(wanted.text, (*diff > 0).then_some((wanted.at, wanted.stopgap)));
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
                    wished.texts.keys().for_each(|text| self.tell(*model, *text));
                }
            }
            None => changes
                .iter()
                .for_each(|(wanted, _)| self.tell(wanted.model, wanted.text)),
        }
        self.wanted.retain(|_, wished| !wished.texts.is_empty());
        self.board
            .set_waiting(self.wanted.iter().map(|(model, wished)| (*model, wished.waiting)));
        live.and_then(|live| self.wanted.get(&live))
            .map_or(0, |wished| wished.waiting)
    }
}
