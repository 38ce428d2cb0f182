//! Rows of one width that never move: each is found by its place, four bytes wide.
//!
//! A growing vector copies what it holds, and for a moment both copies are there. Here rows lie in blocks of a fixed size.
//! The place of a row that was given up goes to one of the next.

/// Bytes of a block at most: a power of two, which an allocator that rounds up to its size classes need not round.
const BLOCK: usize = 256 << 10;

/// See the module documentation.
pub struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    /// Places that were given up; what is there says nothing.
    free: Vec<u32>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Blocks {
            blocks: Vec::new(),
            free: Vec::new(),
        }
    }
}

/// Rows per block.
const fn rows<T>() -> usize {
    let fit = BLOCK / size_of::<T>();
    if fit == 0 { 1 } else { fit }
}

impl<T> Blocks<T> {
    /// The row at a place. Places come from [`Blocks::put`]; with any other this panics, or shows a row that was given up.
    pub fn get(&self, at: u32) -> &T {
        let at = at as usize;
        &self.blocks[at / const { rows::<T>() }][at % const { rows::<T>() }]
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, at: u32) -> &mut T {
        let at = at as usize;
        &mut self.blocks[at / const { rows::<T>() }][at % const { rows::<T>() }]
    }

    /// Puts a row, and returns its place.
    pub fn put(&mut self, row: T) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.get_mut(at) = row;
            return at;
        }
        let most = const { rows::<T>() };
        if self.blocks.last().is_none_or(|block| block.len() == most) {
            self.blocks.push(Vec::with_capacity(most));
        }
        let last = self.blocks.len() - 1;
        let at = last * most + self.blocks[last].len();
        self.blocks[last].push(row);
        // 2^32 rows of a hundred bytes are beyond any machine this runs on.
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Gives a place up.
    pub fn free(&mut self, at: u32) {
        self.free.push(at);
    }

    /// All rows with their places, to be changed; and those that were given up, which [`Blocks::freed`] names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(self.blocks.iter_mut().flatten())
    }

    /// Places that were given up.
    pub fn freed(&self) -> impl Iterator<Item = u32> {
        self.free.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_and_are_used_again() {
        let mut blocks = Blocks::<u64>::default();
        let places: Vec<u32> = (0..100_000).map(|n| blocks.put(n)).collect();
        assert!(places.iter().zip(0..).all(|(at, n)| *blocks.get(*at) == n));
        places.iter().step_by(2).for_each(|at| blocks.free(*at));
        let (before, half) = (blocks.blocks.len(), 50_000);
        let again: Vec<u32> = (0..half).map(|n| blocks.put(n)).collect();
        assert_eq!(blocks.blocks.len(), before);
        assert!(again.iter().zip(0..).all(|(at, n)| *blocks.get(*at) == n));
        assert_eq!(*blocks.get(places[99_999]), 99_999);
    }
}
