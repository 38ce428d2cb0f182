//! The LibTorch scorer: a BERT encoder and its heads, written against `tch`, from the files of a bundle.
//!
//! ```text
//!  texts ─▶ tokens (packed, no padding) ─▶ encoder ─▶ mean of some hidden states ─▶ heads ─▶ logits ─▶ Score
//! ```
//!
//! Nothing is padded except inside attention: everything else works on the tokens of all texts in one row, so that a
//! short text in a batch with a long one costs what it is. 32-bit floats, no gradients.

mod encoder;
mod heads;
mod layout;
mod network;
mod scorer;
mod tokens;
mod weights;

pub use scorer::{DeviceChoice, TorchOptions, TorchScorer};

#[cfg(test)]
mod tests;
