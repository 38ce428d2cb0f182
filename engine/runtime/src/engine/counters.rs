//! Counters of the recorder, by source: `read = accepted + duplicate + dead-lettered`.

use super::dispatch::{Counts, Tally};
use super::models::Role;
use super::rules::RuleReport;
use groundswell_connectors::metrics::{Metrics, ModelLoad, ScorerTotals, SourceMetrics, StorePart};
use groundswell_core::id::TextKey;
use groundswell_core::record::{CONTROL, DeadLetter, Envelope, Identity, Rank, Record, SCORER, SourceId};
use groundswell_core::source::Source;
use groundswell_core::store::StoreBytes;
use groundswell_core::time::{Tick, wall_now};
use groundswell_models::ScorerStats;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Counters {
    metrics: Arc<Metrics>,
    sources: Vec<SourceCounters>,
    /// Rank and content of every thread, entity and rule known.
    known: Mutex<HashMap<Identity, (Rank, TextKey)>>,
}

struct SourceCounters {
    name: Arc<str>,
    metrics: SourceMetrics,
    measures_lag: bool,
}

fn dead_lettered(metrics: &SourceMetrics, letter: &DeadLetter) {
    metrics.dead_lettered(&letter.stage, &letter.code, 1);
    if letter.code == "late" {
        metrics.late(1);
    }
}

impl Counters {
    pub(crate) fn new(metrics: Arc<Metrics>, sources: &[Box<dyn Source>]) -> Self {
        let counters = |source: &dyn Source| SourceCounters {
            name: Arc::from(source.name()),
            metrics: metrics.source(source.name()),
            measures_lag: source.measures_lag(),
        };
        Counters {
            sources: sources.iter().map(|source| counters(&**source)).collect(),
            metrics,
            known: Mutex::default(),
        }
    }

    /// A source's name; the engine's own sources have names too.
    pub(crate) fn name(&self, source: SourceId) -> Arc<str> {
        match source {
            SCORER => Arc::from("scorer"),
            CONTROL => Arc::from("control"),
            _ => self
                .sources
                .get(usize::from(source))
                .map_or_else(|| Arc::from("unknown"), |source| Arc::clone(&source.name)),
        }
    }

    /// Counts what a source handed over.
    pub(crate) fn read(&self, source: SourceId, records: &[Envelope]) {
        let Some(SourceCounters {
            metrics, measures_lag, ..
        }) = self.sources.get(usize::from(source))
        else {
            return;
        };
        let mut newest = None;
        for envelope in records {
            match &envelope.record {
                Record::Dead(letter) => dead_lettered(metrics, letter),
                Record::Post(post) => newest = newest.max(Some(post.created_at)),
                Record::Votes(votes) => newest = newest.max(Some(votes.observed_at)),
                _ => {}
            }
        }
        metrics.read(records.len() as u64);
        if let Some(newest) = newest.filter(|_| !measures_lag) {
            let lag = u64::try_from(wall_now().saturating_sub(newest)).unwrap_or(0);
            metrics.lag(Duration::from_millis(lag), None);
        }
    }

    /// Counts records that came again from dead letters: they are read once more, and say nothing about a source's lag.
    pub(crate) fn replayed(&self, records: &[Envelope]) {
        for envelope in records {
            let Some(SourceCounters { metrics, .. }) = self.sources.get(usize::from(envelope.source)) else {
                continue;
            };
            metrics.read(1);
            metrics.replayed(1);
            if let Record::Dead(letter) = &envelope.record {
                dead_lettered(metrics, letter);
            }
        }
    }

    /// What the records of a tick are; remembers the threads, entities and rules among them.
    pub(crate) fn tally(&self, records: &[Envelope]) -> Tally {
        let mut tally = Tally::default();
        let alive = |(_, e): &(usize, &Envelope)| !matches!(e.record, Record::Dead(_));
        for (at, envelope) in records.iter().enumerate().filter(alive) {
            *tally.alive.entry(envelope.source).or_default() += 1;
            // Posts, votes and facts are counted by the graph, which knows what stands; their identity costs a digest.
            let few = matches!(
                envelope.record,
                Record::Thread(_)
                    | Record::Entity(_)
                    | Record::EntityDeleted { .. }
                    | Record::Rule(_)
                    | Record::RuleDeleted { .. }
                    | Record::Keyword(_)
                    | Record::KeywordDeleted { .. }
                    | Record::Erasure(_)
            );
            if few && self.is_known(envelope.record.identity(), envelope) {
                *tally.repeated.entry(envelope.source).or_default() += 1;
                tally.repeated_at.push(at);
            }
        }
        tally
    }

    /// Whether the record repeats or precedes what is known of its identity; what it says is known from now on.
    fn is_known(&self, identity: Identity, envelope: &Envelope) -> bool {
        let content = TextKey::of(&serde_json::to_vec(&envelope.record).unwrap_or_default());
        let new = (envelope.rank(), content);
        let mut known = self.known.lock();
        match known.get_mut(&identity) {
            Some(old) if old.0 >= new.0 => true,
            Some(old) => std::mem::replace(old, new).1 == content,
            None => known.insert(identity, new).is_some(),
        }
    }

    /// Counts what became of a tick's records, now that the graph has seen them.
    pub(crate) fn complete(&self, tally: &Tally, duplicates: &Counts) {
        for (source, n) in &tally.alive {
            let Some(SourceCounters { metrics, .. }) = self.sources.get(usize::from(*source)) else {
                continue;
            };
            let of = |counts: &Counts| counts.get(source).copied().unwrap_or(0);
            let repeated = (of(duplicates) + of(&tally.repeated)).min(*n);
            metrics.accepted(n - repeated);
            metrics.duplicate(repeated);
        }
    }

    /// Notes that a tick went out: how old it is by now, and how far the scorer is. `recalled` posts have found their text
    /// answered when they came.
    pub(crate) fn handed_over(&self, tick: Tick, scorer: &ScorerStats, recalled: u64) {
        let age = u64::try_from(wall_now()).unwrap_or(0).saturating_sub(tick);
        self.metrics.frontier_lag(Duration::from_millis(age));
        let now = scorer.snapshot();
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.metrics.scorer().queue(size(now.waiting), size(now.in_flight));
        self.metrics.scorer().totals(ScorerTotals {
            batches: now.batches,
            texts: now.texts,
            forward_passes: now.passes,
            memo_hits: now.memo_hits + recalled,
            failed: now.failures,
            tokens: now.tokens,
            padding: now.padding,
            truncated: now.truncated,
        });
    }

    /// How many groups have the baselines that rules ask for.
    pub(crate) fn rules(&self, rules: &[RuleReport]) {
        let asking = rules.iter().filter(|known| known.rule.has_baseline());
        self.metrics.rules(
            asking
                .map(|known| (known.rule.id.clone(), known.ready, known.lacking))
                .collect(),
        );
    }

    /// Notes how far each model is, and how many posts anchored windows lack.
    pub(crate) fn models(&self, loads: Vec<(String, Role, usize, u64)>, adrift: u64) {
        self.metrics.adrift(adrift);
        let loads = loads.into_iter().map(|(model, role, waiting, behind)| ModelLoad {
            model,
            role: role.name(),
            waiting,
            behind,
        });
        self.metrics.models(&loads.collect::<Vec<_>>());
    }

    /// Counts a recorded tick.
    pub(crate) fn sealed(&self, took: Duration, bytes: StoreBytes) {
        self.metrics.tick(took);
        self.metrics.store_bytes(StorePart::Log, bytes.log);
        self.metrics.store_bytes(StorePart::Snapshot, bytes.snapshot);
    }
}
