//! Which partitions are read and how far: the source's state.

use super::start::{self, Bounds};
use super::{KafkaSourceSpec, OnGap};
use crate::kafka::client::Reporter;
use crate::kafka::error::{KafkaError, rights};
use crate::kafka::source::lag::Ends;
use groundswell_core::record::{Binding, SourceId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one question about offsets waits for its answer.
const QUESTION: Duration = Duration::from_secs(5);
/// Questions are asked again while a broker starts or a leader moves.
const TRIES: usize = 6;

/// The partitions of a topic that are read here.
pub(super) struct Assignment<'a> {
    spec: &'a KafkaSourceSpec,
    consumer: &'a BaseConsumer<Reporter>,
    /// By partition: the next offset to read, and whether the engine has not been told of it.
    next: Vec<Option<(u64, bool)>>,
}

impl<'a> Assignment<'a> {
    /// Decides where every partition starts, and starts fetching.
    pub fn start(
        spec: &'a KafkaSourceSpec,
        consumer: &'a BaseConsumer<Reporter>,
        source: SourceId,
        resume: &[Binding],
        found: &[u32],
    ) -> Result<Self, KafkaError> {
        let known: BTreeMap<u32, u64> = resume
            .iter()
            .filter(|b| b.source == source && spec.share.has(b.partition))
            .map(|b| (b.partition, b.next))
            .collect();
        let mut assignment = Assignment {
            spec,
            consumer,
            next: Vec::new(),
        };
        assignment.check_count(found, &known)?;
        let ours: Vec<u32> = found.iter().copied().filter(|p| spec.share.has(*p)).collect();
        let mut list = TopicPartitionList::with_capacity(ours.len());
        let by_time = match (&spec.start, known.is_empty()) {
            (start::Start::Timestamp(at), true) => assignment.offsets_at(*at, &ours)?,
            _ => BTreeMap::new(),
        };
        if let (start::Start::Offsets(given), true) = (&spec.start, known.is_empty())
            && let Some(partition) = given.keys().find(|p| !found.contains(p))
        {
            return Err(KafkaError::NoSuchPartition {
                topic: spec.topic.clone(),
                partition: *partition,
                count: found.len(),
            });
        }
        for partition in ours {
            let bounds = assignment.bounds(partition)?;
            let (next, new) = match known.get(&partition) {
                Some(next) => (assignment.checked(partition, *next, bounds)?, false),
                // A partition that appeared since: nothing of it was read, and nothing of it may be missed.
                None if !known.is_empty() => (bounds.low, true),
                None => (
                    start::first(&spec.start, partition, bounds, by_time.get(&partition).copied()),
                    true,
                ),
            };
            let next_moved = known.get(&partition).is_some_and(|known| *known != next);
            assignment.set(partition, next, new || next_moved);
            add(&mut list, &spec.topic, partition, next);
        }
        consumer
            .assign(&list)
            .map_err(|e| KafkaError::failed("assign partitions", &e))?;
        Ok(assignment)
    }

    fn check_count(&self, found: &[u32], known: &BTreeMap<u32, u64>) -> Result<(), KafkaError> {
        match known.iter().find(|(p, _)| !found.contains(p)) {
            None => Ok(()),
            Some((partition, offset)) => Err(KafkaError::Shrunk {
                topic: self.spec.topic.clone(),
                now: found.len(),
                partition: *partition,
                offset: *offset,
            }),
        }
    }

    fn set(&mut self, partition: u32, next: u64, moved: bool) {
        let at = partition as usize;
        if self.next.len() <= at {
            self.next.resize(at + 1, None);
        }
        self.next[at] = Some((next, moved));
    }

    /// Notes that everything before `next` was read.
    pub fn advance(&mut self, partition: u32, next: u64) {
        self.set(partition, next, true);
    }

    /// Positions that moved since the last call.
    pub fn take_moved(&mut self, source: SourceId) -> Vec<Binding> {
        let moved = (0..).zip(&mut self.next).filter_map(|(partition, slot)| match slot {
            Some((next, moved)) if *moved => {
                *moved = false;
                Some(Binding {
                    source,
                    partition,
                    next: *next,
                })
            }
            _ => None,
        });
        moved.collect()
    }

    /// Starts reading partitions that were added to the topic.
    ///
    /// # Errors
    /// If nobody says where they begin.
    pub fn welcome(&mut self, found: &[u32]) -> Result<(), KafkaError> {
        let new = |p: &&u32| self.spec.share.has(**p) && self.next.get(**p as usize).is_none_or(Option::is_none);
        let new: Vec<u32> = found.iter().filter(new).copied().collect();
        for partition in new {
            let low = self.bounds(partition)?.low;
            tracing::info!(
                source = self.spec.name,
                topic = self.spec.topic,
                partition,
                "a new partition"
            );
            self.reassign(partition, low, false)?;
        }
        Ok(())
    }

    /// Checks that all partitions that are read are there.
    ///
    /// # Errors
    /// [`KafkaError::Shrunk`].
    pub fn check(&self, found: &[u32]) -> Result<(), KafkaError> {
        self.check_count(found, &self.positions())
    }

    fn positions(&self) -> BTreeMap<u32, u64> {
        let all = (0..).zip(&self.next);
        all.filter_map(|(p, slot)| slot.map(|(next, _)| (p, next))).collect()
    }

    /// Where to go on, by partition.
    pub fn bindings(&self, source: SourceId) -> Vec<Binding> {
        let binding = |(partition, next)| Binding {
            source,
            partition,
            next,
        };
        self.positions().into_iter().map(binding).collect()
    }

    /// (Re)starts fetching a partition at an offset.
    fn reassign(&mut self, partition: u32, next: u64, again: bool) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(1);
        add(&mut list, &self.spec.topic, partition, next);
        let failed = |e: ClientError| KafkaError::failed("assign a partition", &e);
        if again {
            self.consumer.incremental_unassign(&list).map_err(failed)?;
        }
        self.consumer.incremental_assign(&list).map_err(failed)?;
        self.set(partition, next, true);
        Ok(())
    }

    /// An offset was out of range; librdkafka does not say which, and has stopped fetching there.
    ///
    /// # Errors
    /// [`KafkaError::Gap`] unless the policy is to go on, [`KafkaError::Recreated`] in any case.
    pub fn out_of_range(&mut self) -> Result<(), KafkaError> {
        for (partition, next) in self.positions() {
            let bounds = self.bounds(partition)?;
            let usable = self.checked(partition, next, bounds)?;
            // Also where the position is good by now: it may have been out of range while a broker started.
            self.reassign(partition, usable, true)?;
        }
        Ok(())
    }

    /// The offset to continue from, if there is no gap or the policy is to skip it.
    fn checked(&self, partition: u32, next: u64, bounds: Bounds) -> Result<u64, KafkaError> {
        let topic = self.spec.topic.clone();
        if next > bounds.high {
            let high = bounds.high;
            return Err(KafkaError::Recreated {
                topic,
                partition,
                next,
                high,
            });
        }
        if next >= bounds.low {
            return Ok(next);
        }
        let gap = KafkaError::Gap {
            topic,
            partition,
            next,
            low: bounds.low,
        };
        match self.spec.on_gap {
            OnGap::Fail => Err(gap),
            OnGap::Earliest => {
                tracing::error!(
                    source = self.spec.name,
                    lost = bounds.low - next,
                    "{gap}; going on with the first there is"
                );
                Ok(bounds.low)
            }
        }
    }

    /// The first offset of a partition and the one after the last that can be read.
    fn bounds(&self, partition: u32) -> Result<Bounds, KafkaError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let (low, high) = self.ask(|| self.consumer.fetch_watermarks(&self.spec.topic, number, QUESTION))?;
        Ok(Bounds {
            low: u64::try_from(low).unwrap_or(0),
            high: u64::try_from(high).unwrap_or(0),
        })
    }

    /// The first offset at or after a moment, by partition; none where everything is older.
    fn offsets_at(&self, at: i64, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            let _ = list.add_partition_offset(&self.spec.topic, number, Offset::Offset(at));
        }
        let found = self.ask(|| self.consumer.offsets_for_times(list.clone(), QUESTION))?;
        let offset = |e: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
            Offset::Offset(offset) => Some((u32::try_from(e.partition()).ok()?, u64::try_from(offset).ok()?)),
            _ => None,
        };
        Ok(found.elements().into_iter().filter_map(offset).collect())
    }

    fn ask<T>(&self, question: impl Fn() -> Result<T, ClientError>) -> Result<T, KafkaError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match question() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            if let Some(missing) = code.and_then(|c| rights(c, "read", &self.spec.topic, &self.spec.group)) {
                return Err(missing);
            }
            if tries == TRIES {
                return Err(self.spec.cluster.unreachable(self.consumer.context(), &error));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Takes in where the partitions end: positions move past what is no record (ends of transactions), and what is left
    /// is the lag in records.
    pub fn caught_up(&mut self, ends: &BTreeMap<u32, Ends>) -> u64 {
        let mut behind = 0;
        for (partition, slot) in (0..).zip(&mut self.next) {
            let (Some((next, moved)), Some(end)) = (slot, ends.get(&partition)) else {
                continue;
            };
            if let Some(seen) = end.read_to_end.filter(|seen| seen > next) {
                (*next, *moved) = (seen, true);
            }
            behind += end.high.saturating_sub(*next);
        }
        behind
    }
}

fn add(list: &mut TopicPartitionList, topic: &str, partition: u32, next: u64) {
    let (Ok(partition), Ok(next)) = (i32::try_from(partition), i64::try_from(next)) else {
        return;
    };
    // Refused only for offsets below zero.
    let _ = list.add_partition_offset(topic, partition, Offset::Offset(next));
}
