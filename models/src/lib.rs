//! Scorers: from a text to a [`Score`](groundswell_core::score::Score).
//!
//! In go texts, out come answers in fixed point, or the reason why there is none. Floats end here. A [`Scorer`] is
//! LibTorch with a [`Bundle`] of trained weights (feature `torch`), or the pure [`FixtureScorer`] for tests; which one is
//! said by the configuration, nothing falls back. Around a scorer there is [`score_each`], which contains a failing batch
//! to the text that made it fail, [`score_all`] for strict mode, and the [`ScorerPool`] that works on threads of its own.
#![warn(missing_docs)]

mod answer;
pub mod bundle;
pub mod eval;
pub mod fallback;
mod fixture;
mod lot;
mod pool;
mod scorer;
mod stats;
#[cfg(test)]
mod testing;
#[cfg(feature = "torch")]
pub mod torch;

pub use answer::{Logits, Probabilities, probabilities, score_of};
pub use bundle::{Bundle, BundleError};
pub use fixture::FixtureScorer;
pub use lot::{Answer, Limits, score_all, score_all_on};
pub use pool::{Lane, PoolError, PoolOptions, ScorerPool, Traffic};
pub use scorer::{Batch, ScoreFailure, Scorer, score_each};
pub use stats::{ScorerStats, StatsSnapshot, Watch};
#[cfg(feature = "torch")]
pub use torch::{Precision, TorchOptions, TorchScorer};
