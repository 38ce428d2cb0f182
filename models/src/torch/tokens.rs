//! From texts to token ids, packed: the tokens of all texts one after the other, shortest text first.

use super::layout::int;
use crate::bundle::{BundleError, Encoder};
use crate::scorer::ScoreFailure;
use tokenizers::{Tokenizer, TruncationParams};

/// Bytes per token beyond which a text is cut before it is tokenised, so that a megabyte costs no more than a page. Words
/// over a hundred characters are one token, so only runs of blanks or such words can make the cut show.
const BYTES_PER_TOKEN: usize = 512;

/// A tokenizer that truncates and never pads.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    max_bytes: usize,
    /// The position of a text's first token.
    first: i64,
    /// The token that keeps RoBERTa's count of positions waiting, and where it is put itself.
    padding: Option<i64>,
}

/// The tokens of a batch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Packed {
    /// All ids.
    pub ids: Vec<i64>,
    /// Each token's row in the table of positions.
    pub positions: Vec<i64>,
    /// Tokens of each text, ascending.
    pub lengths: Vec<usize>,
    /// For each text as it was given, its place in `lengths`.
    pub places: Vec<usize>,
    /// For each text as it was given, whether it was cut.
    pub cut: Vec<bool>,
}

/// Some texts of a batch, next to each other in it.
#[derive(Debug, PartialEq)]
pub(super) struct Run<'a> {
    /// As in [`Packed`].
    pub ids: &'a [i64],
    /// As in [`Packed`].
    pub positions: &'a [i64],
    /// As in [`Packed`].
    pub lengths: &'a [usize],
}

impl Packed {
    /// All of it in one run.
    pub(super) fn whole(&self) -> Run<'_> {
        Run {
            ids: &self.ids,
            positions: &self.positions,
            lengths: &self.lengths,
        }
    }

    /// The texts in runs of about so many tokens, one text at least.
    pub(super) fn runs(&self, tokens: usize) -> impl Iterator<Item = Run<'_>> {
        let (mut text, mut token) = (0, 0);
        std::iter::from_fn(move || {
            let rest = self.lengths.get(text..).filter(|rest| !rest.is_empty())?;
            let mut sum = 0;
            let fits = rest.iter().take_while(|n| {
                sum += **n;
                sum <= tokens
            });
            let texts = fits.count().max(1);
            let lengths = &rest[..texts];
            let end = token + lengths.iter().sum::<usize>();
            let run = Run {
                ids: &self.ids[token..end],
                positions: &self.positions[token..end],
                lengths,
            };
            (text, token) = (text + texts, end);
            Some(run)
        })
    }
}

impl Tokens {
    /// Builds the tokenizer of an encoder, whose own truncation and padding are overruled.
    pub(super) fn load(encoder: &Encoder) -> Result<Self, BundleError> {
        let path = &encoder.tokenizer.path;
        let unusable = |e: tokenizers::Error| BundleError::Tokenizer {
            path: path.clone(),
            why: e.to_string(),
        };
        let mut tokenizer = Tokenizer::from_bytes(&encoder.tokenizer.bytes).map_err(unusable)?;
        let truncation = TruncationParams {
            max_length: encoder.max_tokens,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation)).map_err(unusable)?;
        tokenizer.with_padding(None);
        let (known, has) = (encoder.config.vocabulary, tokenizer.get_vocab(true));
        if let Some((token, id)) = has
            .iter()
            .max_by_key(|(_, id)| **id)
            .filter(|(_, id)| **id as usize >= known)
        {
            let why = format!(
                "its token \"{token}\" is number {id}, the model knows {known} tokens, 0 to {}",
                known - 1
            );
            return Err(BundleError::Tokenizer {
                path: path.clone(),
                why,
            });
        }
        let size = |n: usize| int(n).map_err(|e| BundleError::Torch(e.to_string()));
        let waits = encoder.config.family.counts_from_padding();
        Ok(Tokens {
            tokenizer,
            max_bytes: encoder.max_tokens * BYTES_PER_TOKEN,
            first: size(encoder.config.first_position())?,
            padding: waits.then(|| size(encoder.config.padding)).transpose()?,
        })
    }

    /// The tokens of `texts`. One text after the other on this thread: the other cores belong to the engine.
    pub(super) fn pack(&self, texts: &[&str]) -> Result<Packed, ScoreFailure> {
        let mut packed = Packed {
            places: vec![0; texts.len()],
            ..Packed::default()
        };
        let mut encodings = Vec::with_capacity(texts.len());
        for (n, text) in texts.iter().enumerate() {
            let start = &text[..text.floor_char_boundary(self.max_bytes)];
            let encoding = self
                .tokenizer
                .encode_fast(start, true)
                .map_err(|e| ScoreFailure::Tokens(e.to_string()))?;
            packed
                .cut
                .push(start.len() < text.len() || !encoding.get_overflowing().is_empty());
            encodings.push((n, encoding));
        }
        encodings.sort_by_key(|(_, encoding)| encoding.get_ids().len());
        for (place, (n, encoding)) in encodings.iter().enumerate() {
            let ids = encoding.get_ids();
            if ids.is_empty() {
                return Err(ScoreFailure::Tokens(
                    "the tokenizer gives no token for it, not even a first one".into(),
                ));
            }
            let start = packed.ids.len();
            packed.ids.extend(ids.iter().map(|id| i64::from(*id)));
            self.place(&packed.ids[start..], &mut packed.positions);
            packed.lengths.push(ids.len());
            packed.places[*n] = place;
        }
        Ok(packed)
    }

    /// The positions of a text's tokens. As `transformers` has it, a padding token that is written out in a text of RoBERTa
    /// has padding's position and is not counted.
    fn place(&self, ids: &[i64], positions: &mut Vec<i64>) {
        let mut next = self.first;
        for id in ids {
            match self.padding {
                Some(padding) if *id == padding => positions.push(padding),
                _ => {
                    positions.push(next);
                    next += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_whole_texts() {
        let packed = Packed {
            ids: (0..14).collect(),
            positions: vec![0; 14],
            lengths: vec![2, 3, 3, 6],
            ..Packed::default()
        };
        let runs: Vec<(&[usize], &[i64])> = packed.runs(5).map(|run| (run.lengths, run.ids)).collect();
        assert_eq!(
            runs,
            [
                (&[2, 3][..], &[0, 1, 2, 3, 4][..]),
                (&[3], &[5, 6, 7]),
                (&[6], &[8, 9, 10, 11, 12, 13])
            ]
        );
        assert_eq!(Packed::default().runs(5).count(), 0);
    }
}
