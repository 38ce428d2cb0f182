//! Sets: mentions of posts, each distinct set once.
//!
//! Most posts mention nobody, and those that do mention the same few: four bytes a post name the set. A set that no post has any
//! more leaves its place to the next one.

use crate::link::Mentions;
use groundswell_core::id::DigestHasher;
use groundswell_core::serving::Mention;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::Hasher;

/// A set of mentions held in [`Sets`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SetId(u32);

impl SetId {
    /// Of no mentions.
    pub(super) const EMPTY: SetId = SetId(u32::MAX);
}

/// See the module documentation.
#[derive(Default)]
pub(super) struct Sets {
    index: HashTable<u32>,
    sets: Vec<Held>,
    free: Vec<u32>,
    empty: Mentions,
}

struct Held {
    mentions: Mentions,
    users: u32,
}

fn hash(mentions: &[Mention]) -> u64 {
    let mut hasher = DigestHasher::default();
    for mention in mentions {
        hasher.write_u64(mention.entity.0);
        hasher.write_u64(u64::from(mention.confidence.unsigned_abs()) << 8 | mention.method as u64);
    }
    hasher.finish()
}

fn held(sets: &[Held], at: u32) -> &Mentions {
    &sets[at as usize].mentions
}

impl Sets {
    /// The mentions of a set.
    pub(super) fn get(&self, id: SetId) -> &Mentions {
        if id == SetId::EMPTY {
            return &self.empty;
        }
        held(&self.sets, id.0)
    }

    /// Lets a post have these mentions in place of those it had; they may well be those of `hint`, which costs less to see than
    /// to look for them.
    pub(super) fn replace(&mut self, id: &mut SetId, mentions: &Mentions, hint: SetId) {
        if self.get(*id) != mentions {
            let new = if self.get(hint) == mentions {
                hint
            } else {
                self.find(mentions)
            };
            if let Some(set) = self.sets.get_mut(new.0 as usize) {
                set.users += 1;
            }
            self.let_go(std::mem::replace(id, new));
        }
    }

    /// The set of these mentions, made if there is none.
    fn find(&mut self, mentions: &Mentions) -> SetId {
        if mentions.is_empty() {
            return SetId::EMPTY;
        }
        let Sets { index, sets, free, .. } = self;
        let found = index.entry(
            hash(mentions),
            |at| held(sets, *at) == mentions,
            |at| hash(held(sets, *at)),
        );
        let at = match found {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(slot) => {
                let new = Held {
                    mentions: mentions.clone(),
                    users: 0,
                };
                let at = match free.pop() {
                    Some(at) => {
                        sets[at as usize] = new;
                        at
                    }
                    None => {
                        sets.push(new);
                        // There are no more sets than posts, and posts are counted in 32 bits too.
                        u32::try_from(sets.len() - 1).unwrap_or(u32::MAX)
                    }
                };
                slot.insert(at);
                at
            }
        };
        SetId(at)
    }

    fn let_go(&mut self, id: SetId) {
        if id == SetId::EMPTY {
            return;
        }
        let set = &mut self.sets[id.0 as usize];
        set.users -= 1;
        if set.users == 0 {
            let mentions = std::mem::take(&mut set.mentions);
            if let Ok(found) = self.index.find_entry(hash(&mentions), |at| *at == id.0) {
                found.remove();
            }
            self.free.push(id.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::id::Dim;
    use groundswell_core::spec::Method;
    use proptest::prelude::*;

    fn set(n: u64) -> Mentions {
        let mention = |n| Mention {
            entity: Dim(n % 3 + 1),
            confidence: 1,
            method: if n % 2 == 0 { Method::Exact } else { Method::Tag },
        };
        (0..n % 4).map(|i| mention(n / 4 + i)).collect()
    }

    proptest! {
        #[test]
        fn posts_have_what_they_were_given_and_nothing_else_is_held(steps in prop::collection::vec((0usize..8, 0u64..40), 0..300)) {
            let (mut sets, mut posts) = (Sets::default(), vec![(SetId::EMPTY, Mentions::new()); 8]);
            for (post, n) in steps {
                let hint = posts[(post + 1) % 8].0;
                sets.replace(&mut posts[post].0, &set(n), hint);
                posts[post].1 = set(n);
                for (id, mentions) in &posts {
                    prop_assert_eq!(sets.get(*id), mentions);
                }
                let mut distinct: Vec<_> = posts.iter().map(|(_, m)| m).filter(|m| !m.is_empty()).collect();
                distinct.sort();
                distinct.dedup();
                prop_assert_eq!(sets.index.len(), distinct.len());
                prop_assert_eq!(sets.sets.len() - sets.free.len(), distinct.len());
            }
        }
    }
}
