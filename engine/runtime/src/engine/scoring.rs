//! The scorer's place in the engine: outside the graph, its answers recorded like any other input.
//!
//! Normally texts without an answer leave the graph, wait in the pool, and come back as facts at a later tick; no
//! frontier waits for the model. In strict mode (tests, backtests) a tick's texts are scored before the tick is recorded,
//! and both are recorded together.

use super::dispatch::Wants;
use super::status::Status;
use crossbeam_channel::{Receiver, Sender};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{DeadLetter, Envelope, Record, SCORER};
use groundswell_core::score::{Rung, Score};
use groundswell_core::source::SourceBatch;
use groundswell_core::time::Tick;
use groundswell_models::fallback::Ladder;
use groundswell_models::{Answer, Limits, ScoreFailure, Scorer, ScorerStats, score_all_on};
use groundswell_operators::score::Wanted;
use hashbrown::HashSet;
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
pub(crate) struct Carry {
    pub(crate) out: Sender<SourceBatch>,
    pub(crate) fetch: Fetch,
    pub(crate) stats: Arc<ScorerStats>,
    pub(crate) status: Arc<Status>,
    pub(crate) ladder: Option<Arc<Ladder>>,
    pub(crate) neutral: bool,
}

impl Carry {
    /// Carries the pool's answers to the recorder until the pool stops; texts without one go down the ladder, if there is
    /// one. A failure that is nobody's fact (the text is gone from the cache) stops the engine: the text would wait for ever.
    pub(crate) fn run(&self, answers: &Receiver<Vec<Answer>>) {
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

/// Nothing is scored here: records bring their sentiment, or strict mode scores before recording.
pub(crate) struct NoWants;

impl Wants for NoWants {
    fn change(&mut self, _tick: Tick, _changes: Vec<(Wanted, isize)>) -> usize {
        0
    }
}

/// A tick of strict mode is closed at about this many records: nothing of it is seen before all of it is scored.
pub(crate) const STRICT_RECORDS: usize = 1_000;
/// How often a long wait for the model is reported.
const PROGRESS: Duration = Duration::from_secs(5);

/// Scores a tick's texts before the tick is recorded.
pub(crate) struct Strict {
    /// All models; the live one scores.
    pub(crate) scorers: Vec<Arc<dyn Scorer>>,
    pub(crate) limits: Limits,
    /// Batches of one tick are scored on so many threads.
    pub(crate) threads: usize,
    pub(crate) stats: Arc<ScorerStats>,
    /// Whether a text that cannot be scored is neutral.
    pub(crate) neutral: bool,
    pub(crate) known: HashSet<(TextKey, ModelKey)>,
}

impl Strict {
    pub(crate) fn known(&mut self, text: TextKey, model: ModelKey) {
        self.known.insert((text, model));
    }

    /// Facts for the texts among `records` that have none yet.
    pub(crate) fn score(&mut self, records: &[Envelope], live: Option<ModelKey>) -> Vec<Envelope> {
        let Some(scorer) = self.scorers.iter().find(|s| live.is_none_or(|live| live == s.model())) else {
            return Vec::new();
        };
        let mut texts: Vec<(TextKey, Arc<str>)> = Vec::new();
        for envelope in records {
            if let Record::Post(post) = &envelope.record {
                let key = TextKey::of(post.text.as_bytes());
                if post.score.is_none() && !post.text.is_empty() && self.known.insert((key, scorer.model())) {
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
        let answers = score_all_on(&**scorer, &texts, self.limits, &self.stats, self.threads, progress);
        let fetch = |key| texts.iter().find(|(k, _)| *k == key).map(|(_, text)| Arc::clone(text));
        let mut all = Vec::new();
        for (facts, rung) in answers.iter().filter_map(|a| facts(a, self.neutral, &fetch).ok()) {
            self.stats.recorded(rung);
            all.extend(facts);
        }
        all
    }
}
