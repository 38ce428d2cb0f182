//! Where a partition that was never read begins.

use std::collections::BTreeMap;

/// Where the first start of a source begins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// With the first record there is.
    #[default]
    Earliest,
    /// With what is written from now on.
    Latest,
    /// With the first record written at or after this moment (epoch ms), by the topic's timestamps.
    Timestamp(i64),
    /// With these offsets by partition; partitions not named begin with their first record.
    Offsets(BTreeMap<u32, u64>),
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first offset.
    pub low: u64,
    /// The offset after the last.
    pub high: u64,
}

/// The first offset to read. `by_time` is what the broker found for a timestamp; nothing if all records are older.
///
/// An offset that is named but gone begins with the first there is: nothing was read, so there is no gap.
pub(super) fn first(start: &Start, partition: u32, bounds: Bounds, by_time: Option<u64>) -> u64 {
    match start {
        Start::Earliest => bounds.low,
        Start::Latest => bounds.high,
        Start::Timestamp(_) => by_time.unwrap_or(bounds.high),
        Start::Offsets(given) => given
            .get(&partition)
            .map_or(bounds.low, |at| (*at).clamp(bounds.low, bounds.high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_its_place() {
        let bounds = Bounds { low: 10, high: 20 };
        let at = |start: Start, partition, by_time| first(&start, partition, bounds, by_time);
        assert_eq!(at(Start::Earliest, 0, None), 10);
        assert_eq!(at(Start::Latest, 0, None), 20);
        assert_eq!(at(Start::Timestamp(5), 0, Some(13)), 13);
        assert_eq!(at(Start::Timestamp(5), 0, None), 20);
        let given = || Start::Offsets([(0, 15), (1, 3), (2, 99)].into());
        let got: Vec<u64> = (0..4).map(|p| at(given(), p, None)).collect();
        assert_eq!(got, [15, 10, 20, 10]);
    }
}
