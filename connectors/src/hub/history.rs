//! The recent past of one feed: what a client that comes back has missed.
//!
//! In: one [`Delta`] per tick that changed the feed. Out: all deltas after a tick, or nothing if that is too long ago.
//! State: a ring of deltas, bounded by number and by an estimate of its size; a delta is encoded at most once
//! in each encoding for all clients without a filter.

use super::alerts::AlertRecord;
use super::events::EventStep;
use super::frame::{Encoding, Frame, Shared};
use super::posts::Entry;
use super::table::Row;
use groundswell_core::id::PostKey;
use groundswell_core::spec::ViewKey;
use groundswell_core::time::{EventTime, Tick};
use std::collections::VecDeque;
use std::sync::Arc;

/// What one delta, encoded or not, is taken to hold per changed row.
const BYTES_PER_CHANGE: usize = 600;
/// And without any.
const BYTES_PER_DELTA: usize = 200;

/// What changed in a feed at one tick: each key once, with what it is now or `None` when it is gone.
#[derive(Debug)]
pub enum Changes {
    /// Rows of a view.
    Rows(Vec<(ViewKey, Option<Row>)>),
    /// The newest posts.
    Posts(Vec<(PostKey, Option<Entry>)>),
    /// Alerts.
    Alerts(Vec<(u128, Option<Arc<AlertRecord>>)>),
    /// Keyword events, with what they were.
    Events(Vec<EventStep>),
}

impl Changes {
    /// How many keys changed.
    pub fn len(&self) -> usize {
        match self {
            Changes::Rows(c) => c.len(),
            Changes::Posts(c) => c.len(),
            Changes::Alerts(c) => c.len(),
            Changes::Events(c) => c.len(),
        }
    }

    /// Whether none did.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The change of a feed at one tick.
#[derive(Debug)]
pub struct Delta {
    /// The tick.
    pub at: Tick,
    /// The recorded clock at that tick: where sliding windows end.
    pub clock: EventTime,
    /// What changed.
    pub changes: Changes,
    encoded: Shared,
}

impl Delta {
    /// A delta that nobody asked for yet.
    pub fn new(at: Tick, clock: EventTime, changes: Changes) -> Self {
        Delta {
            at,
            clock,
            changes,
            encoded: Shared::default(),
        }
    }

    /// The frame every client without a filter gets; encoded by the first who asks.
    pub fn encoded(&self, encoding: Encoding, encode: impl FnOnce() -> Frame) -> Frame {
        self.encoded.get(encoding, encode)
    }

    fn cost(&self) -> usize {
        let held = match &self.changes {
            // What each was, and what it is.
            Changes::Events(steps) => 2 * steps.len(),
            changes => changes.len(),
        };
        BYTES_PER_DELTA + BYTES_PER_CHANGE * held
    }
}

/// A bounded run of deltas without gaps.
#[derive(Debug)]
pub struct History {
    deltas: VecDeque<Arc<Delta>>,
    /// Who holds the state at this tick or later can continue from here.
    floor: Option<Tick>,
    cost: usize,
    most_ticks: usize,
    most_bytes: usize,
}

impl History {
    /// An empty history with its bounds.
    pub fn new(most_ticks: usize, most_bytes: usize) -> Self {
        History {
            deltas: VecDeque::new(),
            floor: None,
            cost: 0,
            most_ticks,
            most_bytes,
        }
    }

    /// Where the history begins: the first tick handed to the hub. Nobody can continue from before it.
    pub fn begin(&mut self, tick: Tick) {
        self.floor = Some(tick);
    }

    /// Remembers a delta and forgets the oldest beyond the bounds, possibly this one.
    pub fn push(&mut self, delta: Delta) {
        self.cost += delta.cost();
        self.deltas.push_back(Arc::new(delta));
        while self.deltas.len() > self.most_ticks || self.cost > self.most_bytes {
            let Some(old) = self.deltas.pop_front() else { break };
            self.cost -= old.cost();
            self.floor = Some(old.at);
        }
    }

    /// All deltas after `from`, or `None` if some of them are forgotten.
    pub fn since(&self, from: Tick) -> Option<Vec<Arc<Delta>>> {
        let floor = self.floor?;
        if from < floor {
            return None;
        }
        let first = self.deltas.partition_point(|d| d.at <= from);
        Some(self.deltas.range(first..).cloned().collect())
    }

    /// Estimate of what the history holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(at: Tick, rows: usize) -> Delta {
        Delta::new(at, 0, Changes::Rows(vec![(ViewKey::default(), None); rows]))
    }

    #[test]
    fn what_is_forgotten_is_known_to_be_forgotten() {
        let mut history = History::new(3, usize::MAX);
        assert!(history.since(0).is_none(), "nothing to continue before the first tick");
        history.begin(10);
        for at in [20, 30, 40] {
            history.push(delta(at, 1));
        }
        let ticks = |h: &History, from| h.since(from).map(|d| d.iter().map(|d| d.at).collect::<Vec<_>>());
        assert_eq!(ticks(&history, 9), None);
        assert_eq!(ticks(&history, 10), Some(vec![20, 30, 40]));
        assert_eq!(ticks(&history, 25), Some(vec![30, 40]));
        assert_eq!(ticks(&history, 40), Some(vec![]));
        history.push(delta(50, 1));
        assert_eq!(ticks(&history, 19), None);
        assert_eq!(ticks(&history, 20), Some(vec![30, 40, 50]));
    }

    #[test]
    fn a_delta_beyond_the_bound_is_not_kept() {
        let mut history = History::new(100, 10 * BYTES_PER_CHANGE);
        history.begin(1);
        history.push(delta(2, 1));
        history.push(delta(3, 1_000_000));
        assert_eq!(history.bytes(), 0);
        assert!(history.since(2).is_none());
        assert_eq!(history.since(3).map(|d| d.len()), Some(0));
    }
}
