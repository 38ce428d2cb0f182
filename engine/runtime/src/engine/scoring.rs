//! The scorer's place in the engine: outside the graph, its answers recorded like any other input.
//!
//! Normally texts without an answer leave the graph, wait in the pool, and come back as facts at a later tick; no
//! frontier waits for the model. In strict mode (tests, backtests) a tick's texts are scored before the tick is recorded,
//! and both are recorded together.

use super::dispatch::Wants;
use crossbeam_channel::{Receiver, Sender};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{Envelope, Record, SCORER};
use groundswell_core::source::SourceBatch;
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::{Answer, Limits, Scorer, ScorerPool, ScorerStats, score_all};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// An answer as a recorded fact. A failure that would repeat is a fact too; a passing one is not recorded.
fn fact(offset: u64, answer: &Answer) -> Option<Envelope> {
    let (text, model) = (answer.text, answer.model);
    let record = match &answer.result {
        Ok(score) => Record::Score {
            text,
            model,
            score: *score,
        },
        Err(failure) if failure.is_lasting() => {
            tracing::warn!(%text, code = failure.code(), %failure, "a text cannot be scored");
            Record::Unscorable { text, model }
        }
        Err(failure) => {
            tracing::error!(%text, code = failure.code(), %failure, "a text could not be scored now");
            return None;
        }
    };
    Some(Envelope {
        source: SCORER,
        partition: 0,
        offset,
        order: 0,
        record,
    })
}

/// Carries the pool's answers to the recorder until the pool stops.
pub(crate) fn carry(answers: &Receiver<Vec<Answer>>, out: &Sender<SourceBatch>) {
    let mut offset = 0;
    for lot in answers {
        let mut records = Vec::with_capacity(lot.len());
        for answer in &lot {
            records.extend(fact(offset, answer));
            offset += 1;
        }
        if out
            .send(SourceBatch {
                source: SCORER,
                records,
                ..SourceBatch::default()
            })
            .is_err()
        {
            return;
        }
    }
}

/// Keeps the pool's queue equal to what the graph wants, once the past is restored: while ticks are replayed, texts whose
/// answers come at later recorded ticks look unscored.
pub(crate) struct PoolWants {
    pool: Arc<ScorerPool>,
    wanted: HashMap<TextKey, EventTime>,
    /// The last tick that is replayed; `None` once it is complete.
    replaying: Option<Tick>,
}

impl PoolWants {
    pub(crate) fn new(pool: Arc<ScorerPool>, upper: Option<Tick>) -> Self {
        PoolWants {
            pool,
            wanted: HashMap::new(),
            replaying: upper,
        }
    }
}

impl Wants for PoolWants {
    fn change(&mut self, tick: Tick, mut changes: Vec<((TextKey, EventTime), isize)>) -> usize {
        // Retractions first: a text whose newest post changed is wanted again with another age.
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for ((text, at), diff) in &changes {
            if *diff < 0 {
                self.wanted.remove(text);
            } else {
                self.wanted.insert(*text, *at);
            }
        }
        match self.replaying {
            Some(last) if tick < last => {}
            Some(_) => {
                self.replaying = None;
                self.wanted.iter().for_each(|(text, at)| self.pool.want(*text, *at));
            }
            None => {
                for ((text, _), _) in &changes {
                    match self.wanted.get(text) {
                        Some(at) => self.pool.want(*text, *at),
                        None => self.pool.unwant(*text),
                    }
                }
            }
        }
        self.wanted.len()
    }
}

/// Nothing is scored here: records bring their sentiment, or strict mode scores before recording.
pub(crate) struct NoWants;

impl Wants for NoWants {
    fn change(&mut self, _tick: Tick, _changes: Vec<((TextKey, EventTime), isize)>) -> usize {
        0
    }
}

/// Scores a tick's texts before the tick is recorded.
pub(crate) struct Strict {
    pub(crate) scorer: Arc<dyn Scorer>,
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<ScorerStats>,
    pub(crate) known: HashSet<TextKey>,
}

impl Strict {
    pub(crate) fn known(&mut self, text: TextKey, model: ModelKey) {
        if model == self.scorer.model() {
            self.known.insert(text);
        }
    }

    /// Facts for the texts among `records` that have none yet.
    pub(crate) fn score(&mut self, records: &[Envelope], live: Option<ModelKey>) -> Vec<Envelope> {
        if live.is_some_and(|live| live != self.scorer.model()) {
            return Vec::new();
        }
        let mut texts: Vec<(TextKey, Arc<str>)> = Vec::new();
        for envelope in records {
            if let Record::Post(post) = &envelope.record {
                let key = TextKey::of(post.text.as_bytes());
                if post.score.is_none() && self.known.insert(key) {
                    texts.push((key, Arc::from(post.text.as_str())));
                }
            }
        }
        if texts.is_empty() {
            return Vec::new();
        }
        let answers = score_all(&*self.scorer, &texts, self.limits, &self.stats);
        (0..)
            .zip(&answers)
            .filter_map(|(offset, answer)| fact(offset, answer))
            .collect()
    }
}
