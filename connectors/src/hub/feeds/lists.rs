//! Feeds as they were put into order: what the pages of one reading are cut from.
//!
//! A feed in an order that changes with time and with every like cannot be read by a place in it: a post could be on two
//! pages, or on none. So the first page keeps the order, and a cursor names it with a position. In: ordered posts under a
//! name. Out: the same posts. State: a bounded number of posts in all lists, the oldest lists gone first. Who goes on in a list
//! that is gone is told so, and begins again.

use super::rank::Parts;
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most posts in all lists, about 64 bytes each.
const MOST: usize = 1_500_000;

/// A feed as it was at a tick.
#[derive(Debug, PartialEq)]
pub struct List {
    /// The tick.
    pub tick: Tick,
    /// The time of reference (epoch ms).
    pub at: EventTime,
    /// Its posts, in order.
    pub posts: Vec<(PostKey, Parts)>,
}

/// The lists that are kept.
#[derive(Default)]
pub struct Lists(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lists: HashMap<u64, Arc<List>>,
    order: VecDeque<u64>,
    posts: usize,
}

/// The name of a list: what was asked for, and the tick it is as of.
pub fn name(question: &str, tick: Tick) -> u64 {
    Dim::of(&format!("{tick}\n{question}")).0
}

impl Lists {
    /// A list, if it is still kept.
    pub fn get(&self, name: u64) -> Option<Arc<List>> {
        self.0.lock().lists.get(&name).cloned()
    }

    /// Keeps a list.
    pub fn put(&self, name: u64, list: Arc<List>) {
        self.put_within(name, list, MOST);
    }

    fn put_within(&self, name: u64, list: Arc<List>, most: usize) {
        let mut kept = self.0.lock();
        kept.posts += list.posts.len();
        match kept.lists.insert(name, list) {
            Some(old) => kept.posts -= old.posts.len(),
            None => kept.order.push_back(name),
        }
        while kept.posts > most && kept.order.len() > 1 {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(old) = kept.lists.remove(&oldest) {
                kept.posts -= old.posts.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lists_go_first() {
        let lists = Lists::default();
        let list = |n: usize| {
            Arc::new(List {
                tick: 1,
                at: 0,
                posts: vec![(PostKey(1), Parts::default()); n],
            })
        };
        for n in 0..10 {
            lists.put_within(n, list(3), 10);
        }
        let there: Vec<u64> = (0..10).filter(|n| lists.get(*n).is_some()).collect();
        assert_eq!(there, [7, 8, 9]);
        lists.put_within(8, list(1), 10);
        lists.put_within(11, list(1_000), 10);
        assert!(
            lists.get(9).is_none() && lists.get(11).is_some(),
            "the newest is kept however long"
        );
        assert_eq!(lists.0.lock().posts, 1_000);
        assert_ne!(name("a", 1), name("a", 2));
    }
}
