//! Sessions: runs of posts that follow one another closely, and where a run that does not end is cut.
//!
//! Pure data. The times of a group's posts decide alone: a *run* is a longest row of them in which neighbours are at most `gap`
//! apart. A run of at most `max` from its first post to its last is a session. A longer one is cut at the whole multiples of
//! `max` since the epoch (at midnight UTC, where `max` is a day) and each part is a session. So no session is longer than `max`,
//! and none depends on posts further away than [`Sessions::reach`]: what is forgotten changes no row that is kept.

use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// How sessions are cut. Lengths in milliseconds; `gap` is at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sessions {
    /// The most that neighbours of a session are apart; and so long after its last post a session ends.
    pub gap: i64,
    /// The most that the last post of a session is away from its first.
    pub max: i64,
}

impl Sessions {
    /// Whether two posts that follow one another, the earlier first, belong to one run.
    pub fn linked(&self, earlier: EventTime, later: EventTime) -> bool {
        later.saturating_sub(earlier) <= self.gap
    }

    /// Whether a run of such a first and last post is cut.
    pub fn is_cut(&self, first: EventTime, last: EventTime) -> bool {
        last.saturating_sub(first) > self.max
    }

    /// The part of time, between two cuts, that a moment of a cut run is in.
    pub fn part(&self, at: EventTime) -> i64 {
        at.div_euclid(self.max.max(1))
    }

    /// Where a part of time begins.
    pub fn begins(&self, part: i64) -> EventTime {
        part.saturating_mul(self.max.max(1))
    }

    /// The end of the window of a session with such a last post.
    pub fn end(&self, last: EventTime) -> EventTime {
        last.saturating_add(self.gap)
    }

    /// The longest window there can be.
    pub fn longest_window(&self) -> i64 {
        self.max.saturating_add(self.gap)
    }

    /// How long before the end of a session's window posts may lie that decide about its bounds.
    pub fn reach(&self) -> i64 {
        // Were all posts forgotten that are further away, what is left of a cut run would still be longer than `max`.
        self.max.saturating_add(self.gap.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_at_most_a_gap_apart_and_ends_of_time_are_no_trouble() {
        let sessions = Sessions { gap: 10, max: 100 };
        assert!(sessions.linked(5, 15) && !sessions.linked(5, 16));
        assert!(!sessions.is_cut(-50, 50) && sessions.is_cut(-50, 51));
        assert!(!sessions.linked(EventTime::MIN, EventTime::MAX) && sessions.is_cut(EventTime::MIN, EventTime::MAX));
        assert_eq!(sessions.end(EventTime::MAX), EventTime::MAX);
        for at in [EventTime::MIN, -101, -100, -1, 0, 99, 100, EventTime::MAX] {
            let part = sessions.part(at);
            assert!(sessions.begins(part) <= at && sessions.begins(part + 1) > at || at == EventTime::MAX);
        }
    }
}
