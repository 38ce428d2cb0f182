//! Seeded dice: the same throws on every machine and in every version, addressable so that nothing needs to be stored.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a set of dice decides; sets with different purposes are independent.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Purpose {
    Arrivals = 1,
    Post,
    Text,
    Votes,
    Mood,
    Brigade,
    Garbage,
}

/// A sequence of throws for one purpose and number.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn of(seed: u64, purpose: Purpose, number: u64) -> Dice {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&number.to_le_bytes());
        Dice(ChaCha8Rng::from_seed(bytes))
    }

    /// A number below `n`, or 0 when there is none. Not the library's: its method may change between versions.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(n);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number in `[from, to)`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        from.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    /// True in `share` of a thousand throws.
    pub(super) fn permille(&mut self, share: u64) -> bool {
        self.below(1_000) < share
    }

    /// True in `share` of a million throws.
    pub(super) fn ppm(&mut self, share: u64) -> bool {
        self.below(1_000_000) < share
    }

    /// One of several; `None` of none.
    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).unwrap_or(0))
    }

    /// One of several texts.
    pub(super) fn word(&mut self, all: &[&'static str]) -> &'static str {
        self.pick(all).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_are_addressable_and_fixed() {
        let mut a = Dice::of(7, Purpose::Post, 1);
        let mut b = Dice::of(7, Purpose::Post, 1);
        let mut c = Dice::of(7, Purpose::Text, 1);
        let throws: Vec<_> = (0..8).map(|_| a.below(100)).collect();
        assert_eq!(throws, (0..8).map(|_| b.below(100)).collect::<Vec<_>>());
        assert_ne!(throws, (0..8).map(|_| c.below(100)).collect::<Vec<_>>());
        assert!((0..1_000).all(|_| (-5..5).contains(&a.between(-5, 5))));
        assert_eq!((a.below(0), a.between(3, 3)), (0, 3));
    }
}
