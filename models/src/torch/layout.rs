//! How packed tokens are laid out for attention, the one place that needs a rectangle.

use super::tokens::Packed;
use tch::{Device, TchError, Tensor};

/// Index tensors for one batch.
pub(super) struct Layout {
    /// Texts.
    pub batch: i64,
    /// Tokens of the longest text.
    pub longest: i64,
    /// For each token the text it belongs to.
    pub rows: Tensor,
    /// Tokens of each text, as a column of floats.
    pub lengths: Tensor,
    /// What is needed where texts differ in length.
    pub ragged: Option<Ragged>,
}

/// From packed to padded and back.
pub(super) struct Ragged {
    /// For each slot of the rectangle a token (any token for a slot that is padding).
    pub pad: Tensor,
    /// For each token its slot.
    pub unpad: Tensor,
    /// `[batch, 1, 1, longest]`: true where the slot is a token.
    pub mask: Tensor,
}

impl Layout {
    /// The layout of a batch.
    pub(super) fn of(packed: &Packed, device: Device) -> Result<Self, TchError> {
        let longest = packed.lengths.iter().copied().max().unwrap_or(0);
        let rows: Vec<i64> = (0..)
            .zip(&packed.lengths)
            .flat_map(|(row, n)| std::iter::repeat_n(row, *n))
            .collect();
        #[allow(clippy::cast_precision_loss)] // at most some hundred tokens
        let lengths: Vec<f32> = packed.lengths.iter().map(|n| *n as f32).collect();
        let ragged = if packed.lengths.iter().all(|n| *n == longest) {
            None
        } else {
            Some(Ragged::of(&packed.lengths, longest, device)?)
        };
        Ok(Layout {
            batch: int(packed.lengths.len())?,
            longest: int(longest)?,
            rows: Tensor::f_from_slice(&rows)?.f_to_device(device)?,
            lengths: Tensor::f_from_slice(&lengths)?.f_unsqueeze(1)?.f_to_device(device)?,
            ragged,
        })
    }
}

impl Ragged {
    fn of(lengths: &[usize], longest: usize, device: Device) -> Result<Self, TchError> {
        let (pad, unpad, mask) = indices(lengths, longest);
        let mask = Tensor::f_from_slice(&mask)?.f_view([int(lengths.len())?, 1, 1, int(longest)?])?;
        Ok(Ragged {
            pad: Tensor::f_from_slice(&pad)?.f_to_device(device)?,
            unpad: Tensor::f_from_slice(&unpad)?.f_to_device(device)?,
            mask: mask.f_to_device(device)?,
        })
    }
}

fn indices(lengths: &[usize], longest: usize) -> (Vec<i64>, Vec<i64>, Vec<bool>) {
    let slots = lengths.len() * longest;
    let (mut pad, mut unpad, mut mask) = (Vec::with_capacity(slots), Vec::new(), Vec::with_capacity(slots));
    let mut token = 0;
    for length in lengths {
        for place in 0..longest {
            let real = place < *length;
            mask.push(real);
            if real {
                unpad.push(pad.len() as i64);
                pad.push(token);
                token += 1;
            } else {
                pad.push(0);
            }
        }
    }
    (pad, unpad, mask)
}

/// A size as LibTorch wants it.
pub(super) fn int(n: usize) -> Result<i64, TchError> {
    i64::try_from(n).map_err(|_| TchError::Shape(format!("{n} does not fit 64 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_padded_are_inverse() {
        let (pad, unpad, mask) = indices(&[2, 0, 3], 3);
        assert_eq!(pad, [0, 1, 0, 0, 0, 0, 2, 3, 4]);
        assert_eq!(unpad, [0, 1, 6, 7, 8]);
        assert_eq!(mask.iter().filter(|real| **real).count(), 5);
        for (token, slot) in (0i64..).zip(&unpad) {
            assert_eq!(pad[usize::try_from(*slot).expect("small")], token);
        }
    }
}
