//! How packed tokens are laid out for attention, the one place that needs rectangles.
//!
//! Texts are in order of length. Those of like length make a group with a rectangle of its own, so that a short text next
//! to a long one is not blown up to its size.

use tch::{Device, TchError, Tensor};

/// Index tensors for the texts of one run.
pub(super) struct Layout {
    /// Texts.
    pub texts: i64,
    /// For each token the text it belongs to.
    pub rows: Tensor,
    /// The first token of each text.
    pub firsts: Tensor,
    /// Tokens of each text, as a column of floats.
    pub lengths: Tensor,
    /// The rectangles, in the order of the texts.
    pub groups: Vec<Group>,
}

/// Texts of like length.
pub(super) struct Group {
    /// Where its tokens start.
    pub start: i64,
    /// Its tokens.
    pub tokens: i64,
    /// Its texts.
    pub texts: i64,
    /// Tokens of its longest text.
    pub longest: i64,
    /// What is needed where its texts differ in length.
    pub ragged: Option<Ragged>,
}

/// From packed to padded and back.
pub(super) struct Ragged {
    /// For each slot of the rectangle a token (any token for a slot that is padding).
    pub pad: Tensor,
    /// For each token its slot.
    pub unpad: Tensor,
    /// `[texts, 1, 1, longest]`: true where the slot is a token.
    pub mask: Tensor,
}

/// Which texts share a rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Those of like length.
    Like,
    /// Only those of one length: attention over padding rounds otherwise than without, and where its results are cut to 8 bits
    /// the last bit can matter. Costs some speed.
    Equal,
}

/// A group's longest text has at most this many tokens more than its shortest, or a quarter more. A rectangle of its own
/// costs about what four tokens in each of eight texts do.
const SPREAD: usize = 4;

impl Layout {
    /// The layout of texts of these lengths, which ascend.
    pub(super) fn of(all: &[usize], sharing: Sharing, device: Device) -> Result<Self, TchError> {
        let rows: Vec<i64> = (0..)
            .zip(all)
            .flat_map(|(row, n)| std::iter::repeat_n(row, *n))
            .collect();
        #[allow(clippy::cast_precision_loss)] // at most some hundred tokens
        let lengths: Vec<f32> = all.iter().map(|n| *n as f32).collect();
        let mut firsts = Vec::with_capacity(all.len());
        let mut start = 0;
        for n in all {
            firsts.push(int(start)?);
            start += n;
        }
        let mut groups = Vec::new();
        let mut start = 0;
        for lengths in grouped(all, sharing) {
            groups.push(Group::of(lengths, start, device)?);
            start += lengths.iter().sum::<usize>();
        }
        Ok(Layout {
            texts: int(all.len())?,
            rows: Tensor::f_from_slice(&rows)?.f_to_device(device)?,
            firsts: Tensor::f_from_slice(&firsts)?.f_to_device(device)?,
            lengths: Tensor::f_from_slice(&lengths)?.f_unsqueeze(1)?.f_to_device(device)?,
            groups,
        })
    }
}

impl Group {
    fn of(lengths: &[usize], start: usize, device: Device) -> Result<Self, TchError> {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let equal = lengths.iter().all(|n| *n == longest);
        Ok(Group {
            start: int(start)?,
            tokens: int(lengths.iter().sum())?,
            texts: int(lengths.len())?,
            longest: int(longest)?,
            ragged: if equal {
                None
            } else {
                Some(Ragged::of(lengths, longest, device)?)
            },
        })
    }
}

/// Cuts ascending lengths into groups.
fn grouped(lengths: &[usize], sharing: Sharing) -> impl Iterator<Item = &[usize]> {
    let mut rest = lengths;
    std::iter::from_fn(move || {
        let shortest = *rest.first()?;
        let limit = match sharing {
            Sharing::Like => shortest + SPREAD.max(shortest / 4),
            Sharing::Equal => shortest,
        };
        let (group, later) = rest.split_at(rest.iter().take_while(|n| **n <= limit).count().max(1));
        rest = later;
        Some(group)
    })
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

    #[test]
    fn texts_of_like_length_share_a_rectangle() {
        let lengths = [2, 3, 6, 7, 8, 40, 50, 51, 128];
        let groups: Vec<&[usize]> = grouped(&lengths, Sharing::Like).collect();
        assert_eq!(groups, [&[2, 3, 6][..], &[7, 8], &[40, 50], &[51], &[128]]);
        assert_eq!(grouped(&[], Sharing::Like).count(), 0);
        let groups: Vec<&[usize]> = grouped(&[2, 2, 3, 40, 40], Sharing::Equal).collect();
        assert_eq!(groups, [&[2, 2][..], &[3], &[40, 40]]);
    }
}
