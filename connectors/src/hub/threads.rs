//! Threads as their records have them.
//!
//! In: records of threads and of their erasures, in any order. Out: those that are neither deleted nor erased. State: per
//! thread the records that count, deletions included, as a stale record must lose against them.

use groundswell_core::erasure::Subject;
use groundswell_core::id::Dim;
use groundswell_core::record::{Rank, Thread, UNRANKED};
use groundswell_core::serving::{ErasureChange, ThreadChange};
use groundswell_core::time::Tick;
use hashbrown::HashMap;
use std::sync::Arc;

/// The threads.
#[derive(Clone, Default)]
pub struct Threads {
    known: Arc<HashMap<Dim, (Rank, Arc<Thread>)>>,
    /// Whether each is erased.
    erased: Arc<HashMap<Dim, (Rank, bool)>>,
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

    /// Applies the erasures of one tick.
    pub fn erase(&mut self, changes: &[ErasureChange], tick: Tick) {
        for ErasureChange { erasure, rank } in changes {
            let Subject::Thread(id) = erasure.of else { continue };
            let was = self.is_erased(id);
            let slot = *self.erased.get(&id).unwrap_or(&(UNRANKED, false));
            if slot.0 < *rank {
                Arc::make_mut(&mut self.erased).insert(id, (*rank, !erasure.undo));
            }
            if self.is_erased(id) != was {
                self.version = tick;
            }
        }
    }

    /// Forgets the titles of threads that are purged.
    pub fn purge(&mut self, of: &[Subject]) {
        for of in of {
            let Subject::Thread(id) = of else { continue };
            if self.known.contains_key(id) {
                Arc::make_mut(&mut self.known)
                    .entry(*id)
                    .and_modify(|(_, thread)| Arc::make_mut(thread).title.clear());
            }
        }
    }

    fn is_erased(&self, id: Dim) -> bool {
        self.erased.get(&id).is_some_and(|(_, erased)| *erased)
    }

    /// A thread that is neither deleted nor erased.
    pub fn get(&self, id: Dim) -> Option<&Arc<Thread>> {
        let thread = self.known.get(&id).map(|(_, thread)| thread);
        thread.filter(|thread| !thread.deleted && !self.is_erased(id))
    }

    /// All that are neither deleted nor erased, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Dim, &Arc<Thread>)> {
        let all = self.known.iter().map(|(id, (_, thread))| (*id, thread));
        all.filter(|(id, thread)| !thread.deleted && !self.is_erased(*id))
    }

    /// The tick that last changed one.
    pub fn version(&self) -> Tick {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::erasure::Erasure;

    #[test]
    fn an_erased_thread_is_not_there_until_it_is_undone() {
        let thread = ThreadChange {
            thread: Thread {
                id: "t".into(),
                ..Thread::default()
            },
            rank: (0, 9, 0, 0),
        };
        let erase = |order, undo| ErasureChange {
            erasure: Erasure {
                of: Subject::thread("t"),
                undo,
            },
            rank: (0, order, 0, 0),
        };
        let mut threads = Threads::default();
        let mut at = |tick, thread: &[ThreadChange], erasures: &[ErasureChange]| {
            threads.apply(thread, tick);
            threads.erase(erasures, tick);
            let known = threads.get(Dim::of("t")).is_some();
            assert_eq!(threads.iter().count(), usize::from(known));
            (known, threads.version())
        };
        // It may come before the thread.
        assert_eq!(at(1, &[], &[erase(2, false)]), (false, 1));
        assert_eq!(at(2, &[thread], &[]), (false, 2));
        assert_eq!(at(3, &[], &[erase(1, true)]), (false, 2), "an older word");
        assert_eq!(at(4, &[], &[erase(3, true)]), (true, 4));
    }

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
