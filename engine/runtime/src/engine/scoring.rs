//! The scorer's place in the engine: outside the graph, its answers recorded like any other input.
//!
//! Normally texts without an answer leave the graph, wait in the pool, and come back as facts at a later tick; no
//! frontier waits for the model. In strict mode (tests, backtests) a tick's texts are scored before the tick is recorded,
//! and both are recorded together.

use super::dispatch::Wants;
use super::fallback;
use super::status::Status;
use super::watch::Watching;
use super::{EngineError, EngineOptions, Shared};
use crossbeam_channel::{Receiver, Sender};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{DeadLetter, Envelope, Record, SCORER};
use groundswell_core::score::{Rung, Score};
use groundswell_core::source::SourceBatch;
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::fallback::Ladder;
use groundswell_models::{Answer, Limits, ScoreFailure, Scorer, ScorerPool, ScorerStats, score_all_on};
use groundswell_operators::score::Wanted;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fetches a text by its key, for the dead letter of a text that cannot be scored.
pub(crate) type Fetch = Arc<dyn Fn(TextKey) -> Option<Arc<str>> + Send + Sync>;

/// A fact of the scorer.
pub(super) fn envelope(record: Record) -> Envelope {
    Envelope {
        source: SCORER,
        partition: 0,
        offset: 0,
        order: 0,
        record,
    }
}

/// The dead letter of a text that has no score.
pub(super) fn letter(
    text: TextKey,
    model: ModelKey,
    failure: &ScoreFailure,
    below: Option<&str>,
    fetch: &dyn Fn(TextKey) -> Option<Arc<str>>,
) -> Envelope {
    tracing::warn!(%text, code = failure.code(), %failure, "a text cannot be scored");
    let below = below.map(|why| format!("; {why}")).unwrap_or_default();
    envelope(Record::Dead(DeadLetter {
        stage: "score".into(),
        code: failure.code().into(),
        message: format!("{failure}{below}"),
        payload: fetch(text).map(|t| t.as_bytes().to_vec()).unwrap_or_default(),
        model: Some(model),
        ..DeadLetter::default()
    }))
}

/// An answer as recorded facts. A failure that would repeat is a fact too, so that nobody asks again, and a dead letter
/// with the text; with `neutral`, the text counts as neutral.
///
/// Of equal facts the first one recorded for a text and model stands, in the graph and in the snapshot.
fn facts(
    answer: &Answer,
    neutral: bool,
    fetch: &dyn Fn(TextKey) -> Option<Arc<str>>,
) -> Result<(Vec<Envelope>, Option<Rung>), ScoreFailure> {
    let (text, model) = (answer.text, answer.model);
    let failure = match &answer.result {
        Ok(score) => {
            let score = *score;
            return Ok((vec![envelope(Record::Score { text, model, score })], Some(score.rung)));
        }
        Err(failure) if failure.is_lasting() => failure,
        Err(failure) => return Err(failure.clone()),
    };
    let (fact, rung) = if neutral {
        let score = Score::neutral();
        (Record::Score { text, model, score }, Some(score.rung))
    } else {
        (Record::Unscorable { text, model }, None)
    };
    Ok((vec![envelope(fact), letter(text, model, failure, None, fetch)], rung))
}

/// What the pool's answers are carried with.
struct Carry {
    out: Sender<SourceBatch>,
    fetch: Fetch,
    stats: Arc<ScorerStats>,
    status: Arc<Status>,
    ladder: Option<Arc<Ladder>>,
    neutral: bool,
}

impl Carry {
    /// Carries the pool's answers to the recorder until the pool stops; texts without one go down the ladder, if there is
    /// one. A failure that is nobody's fact (the text is gone from the cache) stops the engine: the text would wait for ever.
    fn run(&self, answers: &Receiver<Vec<Answer>>) {
        for lot in answers {
            let mut records = Vec::with_capacity(lot.len());
            for answer in &lot {
                if let (Some(ladder), Err(failure)) = (&self.ladder, &answer.result)
                    && failure.is_lasting()
                {
                    ladder.model_failed(answer.text, failure.clone());
                    continue;
                }
                match facts(answer, self.neutral, &*self.fetch) {
                    Ok((facts, rung)) => {
                        self.stats.recorded(rung);
                        records.extend(facts);
                    }
                    Err(failure) => self.status.fail(format!(
                        "a text could not be scored: {failure}; restart to rebuild the text cache"
                    )),
                }
            }
            let batch = SourceBatch {
                source: SCORER,
                records,
                ..SourceBatch::default()
            };
            if !batch.records.is_empty() && self.out.send(batch).is_err() {
                return;
            }
        }
    }
}

/// Keeps the pool's queue equal to what the graph wants, once the past is restored: while ticks are replayed, texts whose
/// answers come at later recorded ticks look unscored.
pub(crate) struct PoolWants {
    pool: Arc<ScorerPool>,
    ladder: Option<Arc<Ladder>>,
    /// With whether something stands for an answer already.
    wanted: HashMap<TextKey, (EventTime, bool)>,
    /// Those for which nothing does.
    waiting: usize,
    /// The last tick that is replayed; `None` once it is complete.
    replaying: Option<Tick>,
}

impl PoolWants {
    pub(crate) fn new(pool: Arc<ScorerPool>, ladder: Option<Arc<Ladder>>, upper: Option<Tick>) -> Self {
        PoolWants {
            pool,
            ladder,
            wanted: HashMap::new(),
            waiting: 0,
            replaying: upper,
        }
    }

    fn set(&mut self, text: TextKey, wanted: Option<(EventTime, bool)>) {
        let before = match wanted {
            Some(wanted) => self.wanted.insert(text, wanted),
            None => self.wanted.remove(&text),
        };
        let waits = |wanted: Option<(EventTime, bool)>| usize::from(wanted.is_some_and(|(_, stopgap)| !stopgap));
        self.waiting = self.waiting + waits(wanted) - waits(before);
    }

    /// Tells who asks. The ladder first: it hears of the model's failure next.
    fn tell(&self, text: TextKey) {
        match self.wanted.get(&text) {
            Some((at, stopgap)) => {
                self.ladder.iter().for_each(|ladder| ladder.want(text, *at, *stopgap));
                self.pool.want(text, *at);
            }
            None => {
                self.ladder.iter().for_each(|ladder| ladder.unwant(text));
                self.pool.unwant(text);
            }
        }
    }
}

impl Wants for PoolWants {
    fn change(&mut self, tick: Tick, mut changes: Vec<(Wanted, isize)>) -> usize {
        // Retractions first: a text whose newest post changed is wanted again with another age.
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for (Wanted { text, at, stopgap }, diff) in &changes {
            self.set(*text, (*diff > 0).then_some((*at, *stopgap)));
        }
        match self.replaying {
            Some(last) if tick < last => {}
            Some(_) => {
                self.replaying = None;
                self.wanted.keys().for_each(|text| self.tell(*text));
            }
            None => changes.iter().for_each(|(wanted, _)| self.tell(wanted.text)),
        }
        self.waiting
    }
}

/// Nothing is scored here: records bring their sentiment, or strict mode scores before recording.
pub(crate) struct NoWants;

impl Wants for NoWants {
    fn change(&mut self, _tick: Tick, _changes: Vec<(Wanted, isize)>) -> usize {
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
    let failed = |e: &dyn std::fmt::Display| EngineError::Failed(e.to_string());
    let (pool, answers) =
        ScorerPool::start(Arc::clone(scorer), move |key| given(key), options.pool).map_err(|e| failed(&e))?;
    let pool = Arc::new(pool);
    let stats = Arc::clone(pool.stats());
    stats.watch(Arc::new(Watching(Arc::clone(&shared.metrics))));
    let mut ladder = None;
    if let Some(below) = options.rungs.http.clone() {
        let given = Arc::clone(&fetch);
        let (started, facts) =
            Ladder::start(below, scorer.model(), move |key| given(key), Arc::clone(&stats)).map_err(|e| failed(&e))?;
        ladder = Some(Arc::new(started));
        let (out, fetch, stats) = (input.clone(), Arc::clone(&fetch), Arc::clone(&stats));
        let thread = std::thread::Builder::new().name("fallen".into());
        thread.spawn(move || fallback::carry(facts, &out, &fetch, &stats))?;
    }
    let wants = PoolWants::new(Arc::clone(&pool), ladder.clone(), upper);
    let carry = Carry {
        out: input.clone(),
        fetch,
        stats: Arc::clone(&stats),
        status: Arc::clone(status),
        ladder,
        neutral: options.rungs.neutral,
    };
    let thread = std::thread::Builder::new().name("answers".into());
    thread.spawn(move || carry.run(&answers))?;
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
    /// Whether a text that cannot be scored is neutral.
    pub(crate) neutral: bool,
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
        let mut all = Vec::new();
        for (facts, rung) in answers.iter().filter_map(|a| facts(a, self.neutral, &fetch).ok()) {
            self.stats.recorded(rung);
            all.extend(facts);
        }
        all
    }
}
