//! What is forgotten when: keys by the time from which nobody needs them.
//!
//! Keys lie in coarse buckets of time, so that a million of them cost little more than themselves, and what is due is found
//! without looking at the rest. A bucket is due when all of it is: a key waits up to one bucket longer than it must.

use groundswell_core::time::EventTime;
use std::collections::BTreeMap;

/// Buckets that a retention is divided into, at least.
const BUCKETS: i64 = 1024;
/// Narrowest bucket (ms).
const NARROWEST: i64 = 100;
/// Widest bucket (ms).
const WIDEST: i64 = 60_000;

/// Keys by time.
pub(crate) struct Expiry<K> {
    retention: i64,
    width: i64,
    buckets: BTreeMap<i64, Vec<K>>,
    clock: EventTime,
}

impl<K> Expiry<K> {
    /// For keys that are needed for `retention` ms after their time.
    pub fn new(retention: i64) -> Self {
        Expiry {
            retention,
            width: (retention / BUCKETS).clamp(NARROWEST, WIDEST),
            buckets: BTreeMap::new(),
            clock: EventTime::MIN,
        }
    }

    /// Remembers a key by its time.
    pub fn push(&mut self, at: EventTime, key: K) {
        self.buckets.entry(at.div_euclid(self.width)).or_default().push(key);
    }

    /// Moves the clock, which never runs back, and takes what is due.
    pub fn advance(&mut self, clock: EventTime) -> Vec<K> {
        let mut due = Vec::new();
        self.clock = self.clock.max(clock);
        while let Some(first) = self.buckets.first_entry() {
            let end = (first.key() + 1).saturating_mul(self.width);
            if end.saturating_add(self.retention) > self.clock {
                break;
            }
            due.append(&mut first.remove());
        }
        due
    }

    /// Whether a key of this time is due.
    pub fn is_due(&self, at: EventTime) -> bool {
        let end = (at.div_euclid(self.width) + 1).saturating_mul(self.width);
        end.saturating_add(self.retention) <= self.clock
    }

    /// The latest clock.
    pub fn clock(&self) -> EventTime {
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_due_a_retention_after_their_time_and_not_before() {
        let mut expiry = Expiry::new(1_000);
        for at in [-250_i64, 0, 99, 100, 5_000] {
            expiry.push(at, at);
        }
        assert_eq!(expiry.advance(800), [-250]);
        assert_eq!(expiry.advance(1_099), [] as [i64; 0]);
        assert_eq!(expiry.advance(1_100), [0, 99]);
        assert!(expiry.is_due(99) && !expiry.is_due(100));
        assert_eq!(expiry.advance(0), [] as [i64; 0], "the clock never runs back");
        assert_eq!(expiry.clock(), 1_100);
        assert_eq!(expiry.advance(EventTime::MAX), [100, 5_000]);
    }

    #[test]
    fn a_retention_beyond_all_time_keeps_everything() {
        let mut expiry = Expiry::new(i64::MAX);
        expiry.push(0, ());
        assert_eq!(expiry.advance(i64::MAX - 1).len(), 0);
    }
}
