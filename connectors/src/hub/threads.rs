//! Threads as their records have them.
//!
//! In: records of threads, in any order. Out: those that are not deleted. State: per thread the record that counts, deletions
//! included, as a stale record must lose against them.

use groundswell_core::id::Dim;
use groundswell_core::record::{Rank, Thread};
use groundswell_core::serving::ThreadChange;
use groundswell_core::time::Tick;
use hashbrown::HashMap;
use std::sync::Arc;

/// The threads.
#[derive(Clone, Default)]
pub struct Threads {
    known: Arc<HashMap<Dim, (Rank, Arc<Thread>)>>,
    version: Tick,
}

impl Threads {
    /// Applies the records of one tick.
    pub fn apply(&mut self, changes: &[ThreadChange], tick: Tick) {
        for ThreadChange { thread, rank } in changes {
            let id = Dim::of(&thread.id);
            let known = self.known.get(&id);
            if known.is_none_or(|(old, was)| old <= rank && **was != *thread) {
                Arc::make_mut(&mut self.known).insert(id, (*rank, Arc::new(thread.clone())));
                self.version = tick;
            } else if known.is_some_and(|(old, _)| old < rank) {
                Arc::make_mut(&mut self.known)
                    .entry(id)
                    .and_modify(|known| known.0 = *rank);
            }
        }
    }

    /// A thread that is not deleted.
    pub fn get(&self, id: Dim) -> Option<&Arc<Thread>> {
        self.known.get(&id).map(|(_, thread)| thread).filter(|t| !t.deleted)
    }

    /// All that are not deleted, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Dim, &Arc<Thread>)> {
        let all = self.known.iter().map(|(id, (_, thread))| (*id, thread));
        all.filter(|(_, thread)| !thread.deleted)
    }

    /// The tick that last changed one.
    pub fn version(&self) -> Tick {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_rank_counts_whatever_comes_first() {
        let change = |order, title: &str, deleted| ThreadChange {
            thread: Thread {
                id: "t".into(),
                title: title.into(),
                deleted,
                ..Thread::default()
            },
            rank: (0, order, 0, 0),
        };
        let all = [change(1, "a", false), change(3, "c", false), change(2, "b", true)];
        let mut threads = Threads::default();
        for (tick, change) in (1..).zip(&all) {
            threads.apply(std::slice::from_ref(change), tick);
        }
        let title = |threads: &Threads| threads.get(Dim::of("t")).map(|t| t.title.clone());
        assert_eq!((title(&threads).as_deref(), threads.version()), (Some("c"), 2));
        threads.apply(&[change(4, "", true)], 4);
        threads.apply(&[change(3, "c", false)], 5);
        assert_eq!(
            (title(&threads), threads.version(), threads.iter().count()),
            (None, 4, 0)
        );
    }
}
