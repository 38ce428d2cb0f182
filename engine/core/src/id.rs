//! Identifiers: strings from outside become fixed-width digests inside.
//!
//! What the graph holds per post is small and fixed-width, so ids travel as digests (BLAKE3, truncated) and the strings
//! stay in [`Names`]. Posts, texts and models use 128 bits; the few dimensions a view groups by (thread, entity, author,
//! source) use 64 bits, and [`Names::intern`] refuses a second string with the same 64 bits, so a collision is an error,
//! never two threads silently merged.

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

macro_rules! digest128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        // Packed: aligned like a `u64`, or every row that holds one would be padded to multiples of 16 bytes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[repr(C, packed(8))]
        pub struct $name(pub u128);

        impl $name {
            /// No value.
            pub const NONE: Self = Self(0);

            /// The digest of a byte string.
            pub fn of(bytes: &[u8]) -> Self {
                Self(digest(bytes))
            }
            /// Low 64 bits, for routing to workers and for hashing: digests are uniform already.
            #[allow(clippy::cast_possible_truncation)] // the low half is what is wanted
            pub fn route(self) -> u64 {
                self.0 as u64
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", { self.0 })
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:08x}…)", stringify!($name), self.0 >> 96)
            }
        }
    };
}

digest128!(
    /// A post's id.
    PostKey
);
digest128!(
    /// The content of a text. Identical texts share one key, one set of links and one score per model.
    TextKey
);
digest128!(
    /// The content of a model bundle (weights, tokenizer, heads, cut-offs): the model's version.
    ModelKey
);

/// A grouping value (thread, entity, author, source) as 64 bits of its digest. Zero means "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Dim(pub u64);

impl Dim {
    /// No value: a post without an author, a slot a view does not use.
    pub const NONE: Dim = Dim(0);

    /// The digest of a string; the empty string is [`Dim::NONE`].
    pub fn of(s: &str) -> Self {
        if s.is_empty() {
            Self::NONE
        } else {
            Self(low64(blake3::hash(s.as_bytes()).as_bytes()).max(1))
        }
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dim({:x})", self.0)
    }
}

/// Hashes by taking the digest's own low bits: digests are uniform already.
#[derive(Clone, Copy, Default, Debug)]
pub struct DigestHasher(u64);

impl std::hash::Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n.cast_unsigned());
    }
    #[allow(clippy::cast_possible_truncation)] // the low half is what is wanted
    fn write_u128(&mut self, n: u128) {
        self.write_u64(n as u64);
    }
}

/// A map keyed by digests.
pub type DigestMap<K, V> = HashMap<K, V, std::hash::BuildHasherDefault<DigestHasher>>;

fn digest(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    let mut half = [0u8; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

fn low64(hash: &[u8; 32]) -> u64 {
    let mut eighth = [0u8; 8];
    eighth.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(eighth)
}

/// Two different strings whose 64-bit digests are equal.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("\"{new}\" has the same 64-bit digest as \"{old}\"")]
pub struct Collision {
    /// The string that was there first.
    pub old: String,
    /// The string that was refused.
    pub new: String,
}

/// The strings behind [`Dim`]s: append-only, shared by decoding and serving.
///
/// Both ways are kept: the same few names come again with every record, and looking a string up costs a fraction of its
/// cryptographic digest.
#[derive(Default)]
pub struct Names {
    hasher: DefaultHashBuilder,
    by_name: [RwLock<ByName>; SHARDS],
    by_dim: [RwLock<DigestMap<Dim, Arc<str>>>; SHARDS],
}

/// Found by the string itself.
type ByName = HashTable<(Name, Dim)>;

/// A string to compare with: a short one in place, where it is read with its digest and not from elsewhere in memory; a long one
/// shared, as a second copy would cost an allocation.
enum Name {
    Short(u8, [u8; Name::SHORT]),
    Long(Arc<str>),
}

impl Name {
    /// As much as fits beside the length where a shared string has its pointer and length.
    const SHORT: usize = 22;

    fn of(s: &Arc<str>) -> Self {
        let mut bytes = [0; Self::SHORT];
        match (bytes.get_mut(..s.len()), u8::try_from(s.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(s.as_bytes());
                Name::Short(len, bytes)
            }
            _ => Name::Long(Arc::clone(s)),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short(len, bytes) => &bytes[..usize::from(*len)],
            Name::Long(s) => s.as_bytes(),
        }
    }
}

const SHARDS: usize = 16;

/// The shard of a hash, by its top bits: the tables use the low ones.
fn shard(hash: u64) -> usize {
    usize::try_from(hash >> 60).unwrap_or(0) % SHARDS
}

impl Names {
    /// Remembers a string and returns its digest.
    ///
    /// # Errors
    /// [`Collision`] if another string with the same digest is known.
    pub fn intern(&self, s: &str) -> Result<Dim, Collision> {
        if s.is_empty() {
            return Ok(Dim::NONE);
        }
        let hash = self.hasher.hash_one(s.as_bytes());
        let by_name = &self.by_name[shard(hash)];
        if let Some((_, dim)) = by_name.read().find(hash, |(name, _)| name.as_bytes() == s.as_bytes()) {
            return Ok(*dim);
        }
        let dim = Dim::of(s);
        let name = {
            let mut by_dim = self.by_dim[shard(dim.0)].write();
            Arc::clone(by_dim.entry(dim).or_insert_with(|| Arc::from(s)))
        };
        if *name != *s {
            return Err(Collision {
                old: name.to_string(),
                new: s.into(),
            });
        }
        by_name
            .write()
            .entry(
                hash,
                |(name, _)| name.as_bytes() == s.as_bytes(),
                |(name, _)| self.hasher.hash_one(name.as_bytes()),
            )
            .or_insert_with(|| (Name::of(&name), dim));
        Ok(dim)
    }

    /// The string of a digest, if it was interned.
    pub fn get(&self, dim: Dim) -> Option<Arc<str>> {
        self.by_dim[shard(dim.0)].read().get(&dim).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_empty_string_is_none() {
        let names = Names::default();
        let dim = names.intern("t3_4ovo70").expect("no collision");
        assert_eq!(names.get(dim).as_deref(), Some("t3_4ovo70"));
        assert_eq!(names.intern("").expect("none"), Dim::NONE);
        assert_eq!(names.get(Dim::of("never seen")), None);
    }

    #[test]
    fn names_are_found_again_however_long() {
        assert_eq!(size_of::<Name>(), 24);
        let names = Names::default();
        for len in [1, Name::SHORT - 1, Name::SHORT, Name::SHORT + 1, 300] {
            // The same beginning, so that the length counts as well.
            let name = "n".repeat(len);
            assert_eq!(names.intern(&name).expect("new"), Dim::of(&name));
            assert_eq!(names.intern(&name).expect("known"), Dim::of(&name));
            assert_eq!(names.get(Dim::of(&name)).as_deref(), Some(name.as_str()));
        }
        let held: usize = names.by_name.iter().map(|shard| shard.read().len()).sum();
        assert_eq!(held, 5);
    }

    #[test]
    fn a_collision_is_refused() {
        let names = Names::default();
        let dim = Dim::of("b");
        names.by_dim[shard(dim.0)].write().insert(dim, Arc::from("a"));
        assert_eq!(
            names.intern("b"),
            Err(Collision {
                old: "a".into(),
                new: "b".into()
            })
        );
    }
}
