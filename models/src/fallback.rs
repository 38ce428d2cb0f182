//! The rungs below the model: an HTTP scorer, then neutral.
//!
//! ```text
//!  wanted ─▶ Ladder ◀─ the model has no answer, or none after so long
//!              │ newest first, a few at a time, within a budget, unless the breaker is open
//!              ▼
//!          HTTP scorer ─▶ answer, rung `http`
//!              │ failed for good, or cannot be asked now
//!              ▼
//!          neutral, rung `neutral`; asked again later, with growing pauses
//! ```
//! In go the texts that are wanted and what became of them at the model; out come facts to be recorded, like the model's
//! own. State: an entry per wanted text. Network I/O is on one thread of its own with an asynchronous runtime; nothing else
//! ever waits for it. Pauses, breaker and budget are pure and apart.

mod breaker;
mod budget;
mod client;
mod ladder;
mod prompt;
mod table;
#[cfg(test)]
mod tests;

pub use client::{HttpScorer, HttpSetup};
pub use ladder::{Fallback, Fell, Ladder, LadderError};
pub use prompt::{DEFAULT_PROMPT, default_schema};

use crate::scorer::{Batch, ScoreFailure, Scorer};
use groundswell_core::id::ModelKey;

/// Stands where there is no model: every text fails, and what is below the model answers.
pub struct NoModel(ModelKey);

impl NoModel {
    /// Answers are recorded under the key of what answers in its place.
    pub fn new(below: &HttpSetup) -> Self {
        NoModel(below.key())
    }
}

impl Scorer for NoModel {
    fn model(&self) -> ModelKey {
        self.0
    }

    fn name(&self) -> &str {
        "none"
    }

    fn length_of(&self, _text: &str) -> usize {
        1
    }

    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
        Ok(Batch {
            results: texts.iter().map(|_| Err(ScoreFailure::NoModel)).collect(),
            ..Batch::default()
        })
    }
}
