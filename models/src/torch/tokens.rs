//! From texts to token ids, packed: the tokens of all texts one after the other.

use crate::bundle::{Blob, BundleError};
use crate::scorer::ScoreFailure;
use tokenizers::{Tokenizer, TruncationParams};

/// Bytes per token beyond which a text is cut before it is tokenised, so that a megabyte costs no more than a page. Words
/// over a hundred characters are one token, so only runs of blanks or such words can make the cut show.
const BYTES_PER_TOKEN: usize = 512;

/// A tokenizer that truncates and never pads.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    max_bytes: usize,
}

/// The tokens of a batch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Packed {
    /// All ids.
    pub ids: Vec<i64>,
    /// Each token's position in its text.
    pub positions: Vec<i64>,
    /// Tokens of each text.
    pub lengths: Vec<usize>,
    /// Texts that were cut.
    pub truncated: usize,
}

impl Tokens {
    /// Builds the tokenizer from a `tokenizer.json`, whose own truncation and padding are overruled.
    pub(super) fn load(json: &Blob, max_tokens: usize) -> Result<Self, BundleError> {
        let unusable = |e: tokenizers::Error| BundleError::Tokenizer {
            path: json.path.clone(),
            why: e.to_string(),
        };
        let mut tokenizer = Tokenizer::from_bytes(&json.bytes).map_err(unusable)?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation)).map_err(unusable)?;
        tokenizer.with_padding(None);
        Ok(Tokens {
            tokenizer,
            max_bytes: max_tokens * BYTES_PER_TOKEN,
        })
    }

    /// Tokens known, special ones included.
    pub(super) fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens of `texts`. One text after the other on this thread: the other cores belong to the engine.
    pub(super) fn pack(&self, texts: &[&str]) -> Result<Packed, ScoreFailure> {
        let mut packed = Packed::default();
        for text in texts {
            let cut = &text[..text.floor_char_boundary(self.max_bytes)];
            let encoding = self
                .tokenizer
                .encode_fast(cut, true)
                .map_err(|e| ScoreFailure::Tokens(e.to_string()))?;
            let ids = encoding.get_ids();
            packed.ids.extend(ids.iter().map(|id| i64::from(*id)));
            packed.positions.extend((0..).take(ids.len()));
            packed.lengths.push(ids.len());
            if cut.len() < text.len() || !encoding.get_overflowing().is_empty() {
                packed.truncated += 1;
            }
        }
        Ok(packed)
    }
}
