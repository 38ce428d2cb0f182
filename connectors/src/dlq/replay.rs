//! Giving letters to a running engine again: what is asked, and what it answers.

use super::{Letter, Position};
use groundswell_core::time::Tick;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A record that has failed this often is not recorded as a dead letter again: the loop ends here.
pub const ATTEMPTS: u32 = 5;
/// Most letters of one request.
pub const LETTERS: usize = 500;
/// Most bytes of one request, as JSON.
pub const REQUEST_BYTES: usize = 16 << 20;

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is recorded, and stands.
    Accepted,
    /// It repeats or precedes what is known, and changed nothing.
    Duplicate,
    /// Only tried: it would be recorded now.
    Good,
    /// It still cannot be accepted.
    StillBad,
    /// It was not tried.
    Refused,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 5] = [
        Verdict::Accepted,
        Verdict::Duplicate,
        Verdict::Good,
        Verdict::StillBad,
        Verdict::Refused,
    ];

    /// As in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Verdict::StillBad => "still_bad",
            other => other.name(),
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Duplicate => "duplicate",
            Verdict::Good => "good",
            Verdict::StillBad => "still bad",
            Verdict::Refused => "refused",
        }
    }
}

/// The answer for one letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// The source's name.
    pub source: String,
    /// The partition.
    #[schema(format = "uint32")]
    pub partition: u32,
    /// The offset in it.
    #[schema(format = "uint64")]
    pub offset: u64,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it is still bad, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused or is still bad, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Answer {
    /// An answer for the letter at a position.
    pub fn new(position: Position, verdict: Verdict) -> Self {
        Answer {
            source: position.source,
            partition: position.partition,
            offset: position.offset,
            verdict,
            code: None,
            message: None,
        }
    }

    /// With the reason.
    #[must_use]
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// The answers for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The tick the letters were recorded at, if any was.
    pub tick: Option<Tick>,
    /// One for each letter, in their order.
    pub letters: Vec<Answer>,
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The engine is starting, stopping or behind.
    #[error("{0}")]
    NotNow(String),
    /// One at a time.
    #[error("another replay is under way; try again when it is done")]
    Busy,
    /// The request is too large.
    #[error("{letters} letters are more than {most} in one request; send them in several")]
    TooMany {
        /// How many there were.
        letters: usize,
        /// How many may be.
        most: usize,
    },
}

/// Somebody who takes letters again. Waits until the answer is known.
pub trait Replays: Send + Sync {
    /// Decodes letters with the decoders of their sources as they are now, and, unless this is a `dry_run`, records those
    /// that are good at their original positions.
    ///
    /// # Errors
    /// [`Refusal`]; then none was recorded, or, if it says so, all were.
    fn replay(&self, letters: &[Letter], dry_run: bool) -> Result<Replayed, Refusal>;
}
