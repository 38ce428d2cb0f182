//! What a scorer is, and how a failing batch is contained.
//!
//! In: a slice of texts. Out: one answer per text, in order. A scorer is a function: it holds weights, never history.

use crate::stats::{ScorerStats, add, count};
use groundswell_core::id::ModelKey;
use groundswell_core::score::Score;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a text has no score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreFailure {
    /// The model computed something that is not a number.
    #[error("the model's {task} is not a finite number")]
    NotFinite {
        /// Which of its outputs.
        task: &'static str,
    },
    /// The text could not be split into tokens.
    #[error("the text cannot be tokenised: {0}")]
    Tokens(String),
    /// The model reported an error.
    #[error("the model failed: {0}")]
    Model(String),
    /// The model panicked.
    #[error("the model panicked: {0}")]
    Panicked(String),
    /// There is no model.
    #[error("there is no model")]
    NoModel,
    /// Nobody knows the text behind the key (any more).
    #[error("the text is not in the text store")]
    TextMissing,
}

impl ScoreFailure {
    /// Stable code for dead letters and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            ScoreFailure::NotFinite { .. } => "score_not_finite",
            ScoreFailure::Tokens(_) => "text_not_tokenised",
            ScoreFailure::Model(_) => "model_failed",
            ScoreFailure::Panicked(_) => "model_panicked",
            ScoreFailure::NoModel => "no_model",
            ScoreFailure::TextMissing => "text_missing",
        }
    }

    /// Whether the same text would fail again, so that the failure may be recorded as a fact about it.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, ScoreFailure::TextMissing)
    }
}

/// What one forward pass gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// One answer per text, in the order of the texts.
    pub results: Vec<Result<Score, ScoreFailure>>,
    /// Tokens the model looked at, special ones included.
    pub tokens: usize,
    /// Tokens of padding that a batch of one length would have had on top.
    pub padding: usize,
    /// Texts that were longer than the model reads.
    pub truncated: usize,
}

/// Padding of a batch of texts with these lengths, if all had the length of the longest.
pub(crate) fn padding(lengths: impl Iterator<Item = usize>) -> usize {
    let (mut longest, mut texts, mut tokens) = (0, 0, 0);
    for length in lengths {
        (longest, texts, tokens) = (longest.max(length), texts + 1, tokens + length);
    }
    longest * texts - tokens
}

/// A model.
pub trait Scorer: Send + Sync {
    /// The digest of all that decides an answer: answers are recorded under it.
    fn model(&self) -> ModelKey;

    /// Its name and version, for people.
    fn name(&self) -> &str;

    /// About how many tokens a text has; only used to put texts of like length into one batch.
    fn length_of(&self, text: &str) -> usize;

    /// One forward pass over `texts`, which is never empty.
    ///
    /// # Errors
    /// If the pass failed as a whole; which text is to blame is found out by [`score_each`].
    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure>;
}

/// Scores texts as one batch. A batch that fails or panics is cut in half, and again, until only the texts to blame fail.
pub fn score_each(scorer: &dyn Scorer, texts: &[&str], stats: &ScorerStats) -> Vec<Result<Score, ScoreFailure>> {
    let mut results = Vec::with_capacity(texts.len());
    bisect(scorer, texts, stats, &mut results);
    results
}

fn bisect(scorer: &dyn Scorer, texts: &[&str], stats: &ScorerStats, results: &mut Vec<Result<Score, ScoreFailure>>) {
    if texts.is_empty() {
        return;
    }
    match attempt(scorer, texts, stats) {
        Ok(batch) => {
            add(&stats.tokens, batch.tokens);
            add(&stats.padding, batch.padding);
            add(&stats.truncated, batch.truncated);
            results.extend(batch.results);
        }
        Err(failure) if texts.len() == 1 => results.push(Err(failure)),
        Err(failure) => {
            tracing::warn!(model = scorer.name(), texts = texts.len(), %failure, "a batch failed; cutting it in half");
            let (left, right) = texts.split_at(texts.len() / 2);
            bisect(scorer, left, stats, results);
            bisect(scorer, right, stats, results);
        }
    }
}

fn attempt(scorer: &dyn Scorer, texts: &[&str], stats: &ScorerStats) -> Result<Batch, ScoreFailure> {
    count(&stats.passes);
    // A scorer holds no history, so nothing half-done can be seen after a panic.
    let batch = catch_unwind(AssertUnwindSafe(|| scorer.forward(texts)))
        .unwrap_or_else(|panic| Err(ScoreFailure::Panicked(panic_message(&*panic))))?;
    if batch.results.len() == texts.len() {
        return Ok(batch);
    }
    Err(ScoreFailure::Model(format!(
        "{} answers for {} texts",
        batch.results.len(),
        texts.len()
    )))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message.unwrap_or("no message").to_owned()
}

#[cfg(test)]
pub(crate) mod doubles {
    //! Scorers that misbehave on request.

    use super::*;
    use crate::FixtureScorer;

    /// Answers as the fixture does, but fails on texts with `fail`, panics on `panic`, forgets an answer on `forget`.
    #[derive(Default)]
    pub struct Fragile(pub FixtureScorer);

    impl Scorer for Fragile {
        fn model(&self) -> ModelKey {
            self.0.model()
        }
        fn name(&self) -> &str {
            "fragile"
        }
        fn length_of(&self, text: &str) -> usize {
            self.0.length_of(text)
        }
        fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
            assert!(!texts.iter().any(|t| t.contains("panic")), "asked to");
            if texts.iter().any(|t| t.contains("fail")) {
                return Err(ScoreFailure::Model("asked to".into()));
            }
            let mut batch = self.0.forward(texts)?;
            if texts.iter().any(|t| t.contains("forget")) {
                batch.results.pop();
            }
            Ok(batch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::doubles::Fragile;
    use super::*;
    use crate::FixtureScorer;

    #[test]
    fn only_the_bad_texts_of_a_batch_fail() {
        let stats = ScorerStats::default();
        let texts = [
            "good",
            "fail here",
            "fine",
            "panic here",
            "ok",
            "great",
            "forget this",
            "bad",
        ];
        let results = score_each(&Fragile::default(), &texts, &stats);
        let fixture = FixtureScorer::default();
        for (text, result) in texts.iter().zip(&results) {
            match *text {
                "fail here" => assert_eq!(*result, Err(ScoreFailure::Model("asked to".into()))),
                "panic here" => assert_eq!(*result, Err(ScoreFailure::Panicked("asked to".into()))),
                "forget this" => assert_eq!(*result, Err(ScoreFailure::Model("0 answers for 1 texts".into()))),
                good => assert_eq!(*result, Ok(fixture.answer(good))),
            }
        }
        assert!(stats.snapshot().passes > 4);
    }

    #[test]
    fn a_good_batch_takes_one_pass() {
        let stats = ScorerStats::default();
        assert_eq!(score_each(&FixtureScorer::default(), &["a", "b", "c"], &stats).len(), 3);
        assert_eq!(stats.snapshot().passes, 1);
        assert!(score_each(&FixtureScorer::default(), &[], &stats).is_empty());
        assert_eq!(stats.snapshot().passes, 1);
    }
}
