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
use groundswell_core::source::SourceBatch;
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::{Answer, Limits, ScoreFailure, Scorer, ScorerStats, score_all_on};
use hashbrown::HashSet;
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
pub(crate) fn carry(answers: &Receiver<Vec<Answer>>, out: &Sender<SourceBatch>, fetch: &Fetch, status: &Status) {
    for lot in answers {
        let mut records = Vec::with_capacity(lot.len());
        for answer in &lot {
            match facts(answer, &**fetch) {
                Ok(facts) => records.extend(facts),
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

/// Nothing is scored here: records bring their sentiment, or strict mode scores before recording.
pub(crate) struct NoWants;

impl Wants for NoWants {
    fn change(&mut self, _tick: Tick, _changes: Vec<((ModelKey, TextKey, EventTime), isize)>) -> usize {
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
        answers
            .iter()
            .filter_map(|answer| facts(answer, &fetch).ok())
            .flatten()
            .collect()
    }
}
