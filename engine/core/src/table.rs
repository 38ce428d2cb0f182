//! A map from digests to fixed-width rows that grows without copying them.
//!
//! What operators remember per post or text is most of the engine's memory. A plain hash map doubles: while it grows, old
//! and new table are both there, and afterwards up to half of the slots are empty, each as wide as a row. Here rows lie in
//! blocks that never move, and only four bytes per slot are hashed. Removed rows leave their place to the next ones.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use crate::blocks::Blocks;
use crate::id::DigestHasher;

/// See the module documentation.
pub struct Table<K, V> {
    index: HashTable<u32>,
    rows: Blocks<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            index: HashTable::new(),
            rows: Blocks::default(),
        }
    }
}

fn hash<K: Hash>(key: &K) -> u64 {
    BuildHasherDefault::<DigestHasher>::default().hash_one(key)
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The row of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.index.find(hash(&key), |at| self.rows.get(*at).0 == key)?;
        Some(&self.rows.get(*at).1)
    }

    /// Brings the rows of keys that are asked for next into the processor's caches, as `touch` reads them. One lookup after the
    /// other waits for memory each time; here nothing depends on the one before, so that several wait at once.
    pub fn warm(&self, keys: impl Iterator<Item = K>, touch: impl Fn(&V) -> u64) {
        let touched = keys.filter_map(|key| self.get(key)).map(touch);
        std::hint::black_box(touched.fold(0, u64::wrapping_add));
    }

    /// The row of a key, made if there is none.
    pub fn get_or_default(&mut self, key: K) -> &mut V {
        self.place(key).0
    }

    /// The same, and whether it was made.
    pub fn place(&mut self, key: K) -> (&mut V, bool) {
        let Table { index, rows } = self;
        let found = index.entry(hash(&key), |at| rows.get(*at).0 == key, |at| hash(&rows.get(*at).0));
        let (at, new) = match found {
            Entry::Occupied(found) => (*found.get(), false),
            Entry::Vacant(slot) => {
                let at = rows.put((key, V::default()));
                slot.insert(at);
                (at, true)
            }
        };
        (&mut rows.get_mut(at).1, new)
    }

    /// Puts a row, and returns the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> V {
        std::mem::replace(self.get_or_default(key), value)
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let Table { index, rows } = self;
        let found = index.find_entry(hash(&key), |at| rows.get(*at).0 == key).ok()?;
        let (at, _) = found.remove();
        rows.free(at);
        Some(std::mem::take(&mut rows.get_mut(at).1))
    }

    /// All rows, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.index.iter().map(|at| {
            let (key, value) = self.rows.get(*at);
            (*key, value)
        })
    }

    /// All rows, to be changed, in no order that means anything.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        let free: std::collections::HashSet<u32> = self.rows.freed().collect();
        let rows = self.rows.iter_mut().filter(move |(at, _)| !free.contains(at));
        rows.map(|(_, (key, value))| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn behaves_like_a_hash_map(steps in prop::collection::vec((0u64..300, 0u8..4, any::<u32>()), 0..4_000)) {
            let (mut table, mut model) = (Table::<u64, u32>::default(), HashMap::<u64, u32>::new());
            for (key, what, value) in steps {
                match what {
                    0 => prop_assert_eq!(table.remove(key), model.remove(&key)),
                    1 => {
                        let (row, same) = (table.get_or_default(key), model.entry(key).or_default());
                        (*row, *same) = (row.wrapping_add(value), same.wrapping_add(value));
                    }
                    2 => prop_assert_eq!(table.insert(key, value), model.insert(key, value).unwrap_or_default()),
                    _ => prop_assert_eq!(table.get(key), model.get(&key)),
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.is_empty(), model.is_empty());
            }
            table.iter_mut().for_each(|(_, value)| *value ^= 1);
            model.values_mut().for_each(|value| *value ^= 1);
            let rows: HashMap<u64, u32> = table.iter().map(|(key, value)| (key, *value)).collect();
            prop_assert_eq!(rows, model);
        }
    }

    #[test]
    fn grows_over_many_blocks_and_fills_gaps() {
        let mut table = Table::<u64, u64>::default();
        (0..100_000).for_each(|key| {
            table.insert(key, key * 3);
        });
        (0..100_000)
            .step_by(2)
            .for_each(|key| assert_eq!(table.remove(key), Some(key * 3)));
        (200_000..250_000).for_each(|key| {
            table.insert(key, key);
        });
        assert_eq!(table.rows.iter_mut().count(), 100_000);
        assert_eq!(
            (table.len(), table.get(99_999), table.get(0)),
            (100_000, Some(&299_997), None)
        );
    }
}
