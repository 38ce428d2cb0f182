//! A feed's thread: when it is its turn, ask, decode, hand on what is new.

use super::fetch::{self, Answer, Failure, Validators};
use super::pace::{Breaker, Limiter};
use super::{Feed, FeedBoard, FeedSpec, item, partition};
use crate::decode::Code;
use crate::metrics::Metrics;
use groundswell_core::id::{Names, TextKey};
use groundswell_core::record::{Binding, Envelope, Record};
use groundswell_core::source::{SourceBatch, SourceContext, Stopped};
use groundswell_core::time::wall_now;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Readings for which an item that is not shown any more is remembered.
const REMEMBERED: u64 = 20;

/// See the module documentation.
pub(super) struct Reader<'a> {
    pub(super) spec: &'a FeedSpec,
    pub(super) feed: &'a Feed,
    pub(super) agent: &'a Agent,
    pub(super) limiter: &'a Limiter,
    pub(super) breaker: Breaker,
    pub(super) board: &'a FeedBoard,
    pub(super) metrics: Option<&'a Metrics>,
    pub(super) context: &'a SourceContext,
    pub(super) validators: Validators,
    /// Digests of records by the id they are filed under, with the reading that showed them last.
    pub(super) known: BTreeMap<String, (TextKey, u64)>,
    pub(super) next: u64,
}

/// Where a feed's offsets go on.
pub(super) fn resume(context: &SourceContext, feed: &str) -> u64 {
    let partition = partition(feed);
    let found = context.resume.iter().find(|b| b.partition == partition);
    found.map_or(0, |b| b.next)
}

impl Reader<'_> {
    /// Reads until asked to stop.
    pub(super) fn run(&mut self) {
        let mut reading = 0;
        while !self.context.stop.is_set() {
            reading += 1;
            let began = Instant::now();
            let read = self.ask().and_then(|answer| self.decode(answer, reading));
            self.tell(&read, began.elapsed());
            if let Ok(Some((records, _))) = read
                && self.hand_on(records).is_err()
            {
                return;
            }
            let wait = self.breaker.wait(Instant::now()).unwrap_or_default();
            self.context.stop.sleep(self.feed.interval.max(wait));
        }
    }

    /// Asks, again where a failure may pass.
    fn ask(&mut self) -> Result<Answer, Failure> {
        let mut failures = 0;
        loop {
            if let Some(wait) = self.breaker.wait(Instant::now()) {
                self.context.stop.sleep(wait);
            }
            while let Some(wait) = self.limiter.take(Instant::now()) {
                self.count("limited");
                self.context.stop.sleep(wait);
                if self.context.stop.is_set() {
                    return Err(Failure::lasting("stopped"));
                }
            }
            let answer = fetch::fetch(self.agent, &self.feed.url, &self.validators, self.spec.max_bytes);
            let failure = match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            failures += 1;
            if !failure.passing || failures >= self.spec.retries.attempts || self.context.stop.is_set() {
                return Err(failure);
            }
            self.count("retried");
            let pause = self.spec.retries.pause(failures, failure.retry_after, &mut rand::rng());
            self.context.stop.sleep(pause);
        }
    }

    /// Records that are new, and how many items there were; `None` if the feed is as it was.
    fn decode(&mut self, answer: Answer, reading: u64) -> Result<Option<(Vec<Record>, usize)>, Failure> {
        let Answer::New { body, validators } = answer else {
            return Ok(None);
        };
        let latest = wall_now().saturating_add(self.spec.max_future_skew_ms);
        let records = item::records(&body, &self.feed.name, &self.feed.url, latest);
        let records = records.map_err(|error| Failure::lasting(error.to_string()))?;
        let items = records.len();
        // An item from the future is looked at again though the feed stays as it is.
        let waits = |r: &Record| matches!(r, Record::Dead(letter) if letter.code == Code::TimeInFuture.name());
        self.validators = match records.iter().any(waits) {
            true => Validators::default(),
            false => validators,
        };
        let new = records
            .into_iter()
            .filter(|record| self.is_new(record, reading))
            .collect();
        self.known.retain(|_, (_, seen)| *seen + REMEMBERED > reading);
        Ok(Some((new, items)))
    }

    fn is_new(&mut self, record: &Record, reading: u64) -> bool {
        let text = serde_json::to_vec(record).unwrap_or_default();
        let digest = TextKey::of(&text);
        let id = match record {
            Record::Post(post) => post.id.clone(),
            Record::Dead(letter) => letter.id.clone().unwrap_or_else(|| digest.to_string()),
            _ => digest.to_string(),
        };
        let before = self.known.insert(id, (digest, reading));
        before.is_none_or(|(known, _)| known != digest)
    }

    /// Sends records, oldest first, with the position after them.
    fn hand_on(&mut self, mut records: Vec<Record>) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        records.sort_by_key(|record| match record {
            Record::Post(post) => post.created_at,
            _ => i64::MIN,
        });
        let (source, partition) = (self.context.source, partition(&self.feed.name));
        let horizon = self.context.horizon.load(Ordering::Acquire);
        let first = self.next;
        let envelopes = (first..).zip(records).map(|(offset, record)| Envelope {
            source,
            partition,
            offset,
            order: offset,
            record: checked(record, &self.context.names, horizon),
        });
        let records: Vec<Envelope> = envelopes.collect();
        self.next += u64::try_from(records.len()).unwrap_or(0);
        self.context.send(SourceBatch {
            source,
            records,
            bindings: vec![Binding {
                source,
                partition,
                next: self.next,
            }],
            clock: None,
            finished: false,
        })
    }

    fn tell(&mut self, read: &Result<Option<(Vec<Record>, usize)>, Failure>, took: Duration) {
        if self.context.stop.is_set() {
            return;
        }
        let (source, feed) = (&self.spec.name, &self.feed.name);
        match read {
            Ok(read) => {
                self.breaker.succeeded();
                self.count(if read.is_some() { "new" } else { "unchanged" });
                self.board.change(feed, |status| {
                    (status.failures, status.trouble, status.read_at) = (0, None, Some(wall_now()));
                    status.items = read.as_ref().map_or(status.items, |(_, items)| *items);
                });
            }
            Err(failure) => {
                self.breaker.failed(Instant::now());
                self.count("failed");
                tracing::warn!(source, feed, error = %failure.message, failures = self.breaker.failures(), "a feed could not be read");
                self.board.change(feed, |status| {
                    status.failures = self.breaker.failures();
                    status.trouble = Some(failure.message.clone());
                });
            }
        }
        if let Some(metrics) = self.metrics {
            metrics.feed_read(source, feed, read.is_ok(), took);
        }
    }

    fn count(&self, outcome: &str) {
        if let Some(metrics) = self.metrics {
            metrics.feed_request(&self.spec.name, &self.feed.name, outcome);
        }
    }
}

/// The record, or a dead letter where it cannot be taken.
fn checked(record: Record, names: &Names, horizon: i64) -> Record {
    let Record::Post(mut post) = record else { return record };
    if post.created_at < horizon {
        let message = "the item is older than every view keeps".to_owned();
        return item::refused(&post, Code::Late, message);
    }
    match post.intern(names) {
        Ok(()) => Record::Post(post),
        Err(collision) => item::refused(&post, Code::IdCollision, collision.to_string()),
    }
}
