//! The scorer's place in the engine: outside the graph, its answers recorded like any other input.
//!
//! Normally texts without an answer leave the graph, wait in the pool, and come back as facts at a later tick; no
//! frontier waits for the model. In strict mode (tests, backtests) a tick's texts are scored before the tick is recorded,
//! and both are recorded together.

use super::dispatch::Wants;
use super::status::Status;
use super::watch::Watching;
use super::{EngineError, EngineOptions, Shared};
use crossbeam_channel::{Receiver, Sender};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{DeadLetter, Envelope, Record, SCORER};
use groundswell_core::source::SourceBatch;
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::{Answer, Limits, ScoreFailure, Scorer, ScorerPool, ScorerStats, score_all_on};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fetches a text by its key, for the dead letter of a text that cannot be scored.
pub(crate) type Fetch = Arc<dyn Fn(TextKey) -> Option<Arc<str>> + Send + Sync>;

/// An answer as recorded facts. A failure that would repeat is a fact too, so that nobody asks again, and a dead letter
/// with the text.
///
/// All facts have the same rank: the first one recorded for a text and model stands, in the graph and in the snapshot.
fn facts(answer: &Answer, fetch: &dyn Fn(TextKey) -> Option<Arc<str>>) -> Result<Vec<Envelope>, ScoreFailure> {
    let (text, model) = (answer.text, answer.model);
    let envelope = |record| Envelope {
        source: SCORER,
        partition: 0,
        offset: 0,
        order: 0,
        record,
    };
    match &answer.result {
        Ok(score) => Ok(vec![envelope(Record::Score {
            text,
            model,
            score: *score,
        })]),
        Err(failure) if failure.is_lasting() => {
            tracing::warn!(%text, code = failure.code(), %failure, "a text cannot be scored");
            let letter = DeadLetter {
                stage: "score".into(),
                code: failure.code().into(),
                message: failure.to_string(),
                payload: fetch(text).map(|t| t.as_bytes().to_vec()).unwrap_or_default(),
                model: Some(model),
                ..DeadLetter::default()
            };
            Ok(vec![
                envelope(Record::Unscorable { text, model }),
                envelope(Record::Dead(letter)),
            ])
        }
        Err(failure) => Err(failure.clone()),
    }
}

/// Carries the pool's answers to the recorder until the pool stops. A failure that is nobody's fact (the text is gone
/// from the cache) stops the engine: the text would wait for ever.
pub(crate) fn carry(
    answers: &Receiver<Vec<Answer>>,
    out: &Sender<SourceBatch>,
    fetch: &Fetch,
    stats: &ScorerStats,
    status: &Status,
) {
    for lot in answers {
        let mut records = Vec::with_capacity(lot.len());
        for answer in &lot {
            match facts(answer, &**fetch) {
                Ok(facts) => {
                    stats.recorded(answer.result.as_ref().ok().map(|score| score.rung));
                    records.extend(facts);
                }
                Err(failure) => status.fail(format!(
                    "a text could not be scored: {failure}; restart to rebuild the text cache"
                )),
            }
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

/// The pool, its counters, and who tells it what is wanted.
type Scoring = (Option<Arc<ScorerPool>>, Arc<ScorerStats>, Box<dyn Wants>);

/// Starts what scores texts while the engine runs.
pub(crate) fn start(
    options: &EngineOptions,
    shared: &Shared,
    input: &Sender<SourceBatch>,
    upper: Option<Tick>,
    status: &Arc<Status>,
) -> Result<Scoring, EngineError> {
    // In strict mode too: texts that a new model has not answered are not in any tick that is still to come.
    let Some(scorer) = &options.scorer else {
        return Ok((None, Arc::default(), Box::new(NoWants)));
    };
    let texts = Arc::clone(&shared.texts);
    let fetch: Fetch = Arc::new(move |key| texts.get(key).ok().flatten());
    let given = Arc::clone(&fetch);
    let (pool, answers) = ScorerPool::start(Arc::clone(scorer), move |key| given(key), options.pool)
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    let (pool, out, status) = (Arc::new(pool), input.clone(), Arc::clone(status));
    let counted = Arc::clone(pool.stats());
    std::thread::Builder::new()
        .name("answers".into())
        .spawn(move || carry(&answers, &out, &fetch, &counted, &status))?;
    let stats = Arc::clone(pool.stats());
    stats.watch(Arc::new(Watching(Arc::clone(&shared.metrics))));
    let wants = PoolWants::new(Arc::clone(&pool), upper);
    Ok((Some(pool), stats, Box::new(wants)))
}

/// A tick of strict mode is closed at about this many records: nothing of it is seen before all of it is scored.
pub(crate) const STRICT_RECORDS: usize = 1_000;
/// How often a long wait for the model is reported.
const PROGRESS: Duration = Duration::from_secs(5);

/// Scores a tick's texts before the tick is recorded.
pub(crate) struct Strict {
    pub(crate) scorer: Arc<dyn Scorer>,
    pub(crate) limits: Limits,
    /// Batches of one tick are scored on so many threads.
    pub(crate) threads: usize,
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
                if post.score.is_none() && !post.text.is_empty() && self.known.insert(key) {
                    texts.push((key, Arc::from(post.text.as_str())));
                }
            }
        }
        if texts.is_empty() {
            return Vec::new();
        }
        let mut told = Instant::now();
        let progress = |scored| {
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                tracing::info!(scored, of = texts.len(), "scoring a tick before it is recorded");
            }
        };
        let answers = score_all_on(&*self.scorer, &texts, self.limits, &self.stats, self.threads, progress);
        let fetch = |key| texts.iter().find(|(k, _)| *k == key).map(|(_, text)| Arc::clone(text));
        answers
            .iter()
            .filter_map(|answer| facts(answer, &fetch).ok())
            .flatten()
            .collect()
    }
}
