//! Bars: what keeps posts, or ties, out although no record of their own deletes them.
//!
//! A thread may be deleted, and an author, a post or a thread erased. Each is an entry by rank, so that the highest stands
//! whatever came first. Nothing is looked up while nothing is kept out, which is nearly always. What is purged besides is no bar: it is
//! told for the one tick, at which those who hold something of it forget it.

use crate::event::Control;
use groundswell_core::erasure::Subject;
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::record::{Rank, UNRANKED};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// One reason why posts are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Bar {
    /// Their thread is deleted.
    Deleted(Dim),
    /// Their author, their thread or they themselves are erased.
    Erased(Subject),
}

impl Bar {
    /// All that may keep a post out.
    pub(crate) fn of_post(key: PostKey, thread: Dim, author: Dim) -> [Bar; 4] {
        [
            Bar::Deleted(thread),
            Bar::Erased(Subject::Thread(thread)),
            Bar::Erased(Subject::Author(author)),
            Bar::Erased(Subject::Post(key)),
        ]
    }
}

/// What a tick says about bars.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    /// Those that changed: whether each stood before the tick. Now it is the opposite.
    flipped: BTreeMap<Bar, bool>,
    /// What is to be forgotten at the end of the tick.
    purged: BTreeSet<Bar>,
}

impl Turned {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.flipped.is_empty() && self.purged.is_empty()
    }

    /// Whether it says something about one of these.
    pub(crate) fn concerns(&self, of: impl IntoIterator<Item = Bar>) -> bool {
        let mut of = of.into_iter();
        of.any(|bar| self.flipped.contains_key(&bar) || self.purged.contains(&bar))
    }

    /// Whether what these may keep out is to be forgotten.
    pub(crate) fn purges(&self, of: impl IntoIterator<Item = Bar>) -> bool {
        !self.purged.is_empty() && of.into_iter().any(|bar| self.purged.contains(&bar))
    }
}

/// Which bars stand.
#[derive(Default)]
pub(crate) struct Bars {
    known: HashMap<Bar, (Rank, bool)>,
    /// How many stand.
    standing: usize,
}

impl Bars {
    /// Learns from a tick's control events; returns what they say.
    pub(crate) fn learn(&mut self, events: impl Iterator<Item = Control>) -> Turned {
        let (mut before, mut purged) = (BTreeMap::new(), BTreeSet::new());
        for control in events {
            let (bar, rank, stands) = match control {
                Control::Thread { id, rank, deleted, .. } => (Bar::Deleted(id), rank, deleted),
                Control::Erasure { of, rank, stands } => (Bar::Erased(of), rank, stands),
                Control::Purged(of) => {
                    purged.insert(Bar::Erased(of));
                    continue;
                }
                _ => continue,
            };
            let slot = self.known.entry(bar).or_insert((UNRANKED, false));
            before.entry(bar).or_insert(slot.1);
            if slot.0 <= rank {
                *slot = (rank, stands);
            }
        }
        before.retain(|bar, was| self.stands(bar) != *was);
        for was in before.values() {
            match was {
                true => self.standing -= 1,
                false => self.standing += 1,
            }
        }
        Turned {
            flipped: before,
            purged,
        }
    }

    /// Whether one of these stands.
    pub(crate) fn any(&self, of: impl IntoIterator<Item = Bar>) -> bool {
        self.standing > 0 && of.into_iter().any(|bar| self.stands(&bar))
    }

    /// Whether one of these stood before the tick at which some flipped.
    pub(crate) fn any_before(&self, of: impl IntoIterator<Item = Bar>, turned: &Turned) -> bool {
        if turned.flipped.is_empty() {
            return self.any(of);
        }
        let mut of = of.into_iter();
        of.any(|bar| turned.flipped.get(&bar).copied().unwrap_or_else(|| self.stands(&bar)))
    }

    fn stands(&self, bar: &Bar) -> bool {
        self.known.get(bar).is_some_and(|(_, stands)| *stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erase(order: i64, stands: bool) -> Control {
        Control::Erasure {
            of: Subject::author("ann"),
            rank: (0, order, 0, 0),
            stands,
        }
    }

    #[test]
    fn the_highest_rank_stands_and_only_changes_are_told() {
        let (mut bars, ann) = (Bars::default(), Bar::Erased(Subject::author("ann")));
        let by_ann = || Bar::of_post(PostKey(1), Dim::of("t"), Dim::of("ann"));
        assert!(!bars.any(by_ann()));
        let flipped = bars.learn([erase(3, true), erase(2, false)].into_iter());
        assert_eq!(flipped.flipped, [(ann, false)].into());
        assert!(bars.any(by_ann()) && !bars.any_before(by_ann(), &flipped));
        assert!(bars.any_before(by_ann(), &Turned::default()));
        assert!(bars.learn([erase(1, false), erase(3, true)].into_iter()).is_empty());
        // There and back in one tick is no change.
        assert!(bars.learn([erase(4, false), erase(5, true)].into_iter()).is_empty());
        assert_eq!(bars.learn([erase(6, false)].into_iter()).flipped, [(ann, true)].into());
        assert_eq!(bars.standing, 0);
        assert!(!bars.any(by_ann()));
        let turned = bars.learn([Control::Purged(Subject::author("ann"))].into_iter());
        assert!(!turned.is_empty() && turned.concerns(by_ann()) && turned.purges(by_ann()));
        assert!(!bars.any(by_ann()), "what is purged may come again");
    }
}
