//! Which partitions a topic has, how far they go on, and whether anybody is left to ask, from librdkafka's statistics.

use rdkafka::statistics::Statistics;
use std::collections::BTreeMap;

/// Where a partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The offset after the last committed record (or end of a transaction).
    pub high: u64,
    /// Everything before this was handed out, because the end was reached there.
    pub read_to_end: Option<u64>,
}

/// Whether the client knows no broker, neither by the address that it was given nor from another broker.
pub(super) fn stranded(statistics: &Statistics) -> bool {
    let reachable = |source: &str| matches!(source, "configured" | "learned");
    !statistics.brokers.values().any(|b| reachable(&b.source))
}

/// The partitions that the brokers say a topic has, ascending.
pub(super) fn known(statistics: &Statistics, topic: &str) -> Vec<u32> {
    let partitions = statistics
        .topics
        .get(topic)
        .into_iter()
        .flat_map(|t| t.partitions.values());
    let mut known: Vec<u32> = partitions
        .filter(|p| !p.unknown)
        .filter_map(|p| u32::try_from(p.partition).ok())
        .collect();
    known.sort_unstable();
    known
}

/// The ends of a topic's partitions, as far as they are known.
pub(super) fn ends(statistics: &Statistics, topic: &str) -> BTreeMap<u32, Ends> {
    let Some(topic) = statistics.topics.get(topic) else {
        return BTreeMap::new();
    };
    let known = topic.partitions.values().filter_map(|p| {
        // Below zero: not known yet. Partition −1 is librdkafka's own.
        let partition = u32::try_from(p.partition).ok()?;
        let high = u64::try_from(p.ls_offset)
            .or_else(|_| u64::try_from(p.hi_offset))
            .ok()?;
        // Everything fetched before the end was signalled has been taken from the queue, or it lies in it still.
        let read_to_end = u64::try_from(p.eof_offset).ok().filter(|_| p.fetchq_cnt == 0);
        Some((partition, Ends { high, read_to_end }))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_stranded_when_only_its_own_brokers_are_left() {
        let knows = |sources: &[&str]| {
            let brokers = sources.iter().map(|source| {
                let broker = rdkafka::statistics::Broker {
                    source: (*source).to_owned(),
                    ..Default::default()
                };
                ((*source).to_owned(), broker)
            });
            Statistics {
                brokers: brokers.collect(),
                ..Default::default()
            }
        };
        assert!(stranded(&knows(&["internal", "logical"])));
        assert!(!stranded(&knows(&["internal", "logical", "learned"])));
        assert!(!stranded(&knows(&["configured"])));
    }

    #[test]
    fn unknown_ends_are_left_out() {
        let partition = |partition, ls_offset, eof_offset, fetchq_cnt| rdkafka::statistics::Partition {
            partition,
            ls_offset,
            hi_offset: ls_offset,
            eof_offset,
            fetchq_cnt,
            ..Default::default()
        };
        let parts = [
            partition(0, 10, 9, 0),
            partition(1, -1001, -1001, 0),
            partition(-1, 5, 5, 0),
            partition(2, 7, 7, 3),
        ];
        let topic = rdkafka::statistics::Topic {
            partitions: parts.into_iter().map(|p| (p.partition, p)).collect(),
            ..Default::default()
        };
        let statistics = Statistics {
            topics: [("t".to_owned(), topic)].into(),
            ..Default::default()
        };
        let found = ends(&statistics, "t");
        let at = |high, read_to_end| Ends { high, read_to_end };
        assert_eq!(found, [(0, at(10, Some(9))), (2, at(7, None))].into());
        assert_eq!(known(&statistics, "t"), [0, 1, 2]);
        assert!(ends(&statistics, "other").is_empty() && known(&statistics, "other").is_empty());
    }
}
