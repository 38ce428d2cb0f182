//! The LibTorch scorer: encoders of the BERT kind and their heads, written against `tch`, from the files of a bundle.
//!
//! ```text
//!  texts ─▶ tokens (packed, no padding) ─▶ encoder ─▶ heads, on pooled states or the first token ─▶ logits ─▶ Score
//! ```
//!
//! Nothing is padded except inside attention: everything else works on the tokens of all texts in one row, so that a
//! short text in a batch with a long one costs what it is. No gradients; 32-bit floats where no other precision is asked for.

mod eighth;
mod encoder;
mod heads;
mod layout;
mod linear;
mod network;
mod probe;
mod scorer;
mod tokens;
mod weights;

pub use linear::Precision;
pub use scorer::{DeviceChoice, TorchOptions, TorchScorer};

#[cfg(test)]
mod tests;
