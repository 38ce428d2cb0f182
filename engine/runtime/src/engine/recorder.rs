//! The recorder: the only door into the graph. It mints ticks, records them, and only then releases them.
//!
//! ```text
//! sources ─▶ bounded channel ─▶ collect until the tick is due ─▶ mint time and clock ─▶ append (durable) ─▶ release
//! scorer  ─▶        "                                                                       │ fails: the engine stops
//! ```
//! Wall clock and arrival order end here: they decide which tick a record falls into and what the tick's clock says, and
//! both are recorded. On a start the recorded past is released first, at its recorded times.

mod cut;

use super::counters::Counters;
use super::dispatch::{Tally, ToDispatch};
use super::erase::{Erase, Erasures};
use super::floors::{Bounds, Floors};
use super::log::{Log, Recorded};
use super::models::{Ask, ModelFacts, Pointer, Switch};
use super::release::{Asked, Share, split};
use super::replay::{Again, Ledger, Recorded as AgainAt};
use super::scoring::Strict;
use super::status::Status;
use super::workers::Feeds;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use cut::cut;
use groundswell_core::id::{ModelKey, Names};
use groundswell_core::keywords::Keyword;
use groundswell_core::record::{Binding, CONTROL, Envelope, Record, SCORER, SourceId, TickBatch};
use groundswell_core::serving::{DeadChange, ErasureChange, ThreadChange};
use groundswell_core::source::{Durable, SourceBatch, StopFlag};
use groundswell_core::spec::RuleSpec;
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick, wall_now};
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::event::{Background, Control};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// What moves the recorded clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// The wall clock.
    Wall,
    /// The greatest event time seen that is not in the future.
    Event,
}

/// How ticks are minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickOptions {
    /// Longest time input waits for its tick.
    pub every: Duration,
    /// A tick is closed early when it holds this many records. Some thousands: what a tick needs for a moment then stays in
    /// the processor's caches; ten times as many cost more memory and were no faster in Job J.
    pub max_records: usize,
    /// What moves the clock.
    pub clock: ClockMode,
    /// Event times further ahead of the wall clock than this move no clock (ms).
    pub max_future_skew: i64,
    /// In wall-clock pipelines, a tick without records is minted when the clock crosses a multiple of this (ms), so that
    /// windows end and retention passes while nothing arrives. `None` if no view depends on the clock.
    pub idle_every: Option<i64>,
}

impl Default for TickOptions {
    fn default() -> Self {
        TickOptions {
            every: Duration::from_millis(100),
            max_records: 8_192,
            clock: ClockMode::Wall,
            max_future_skew: 5 * 60_000,
            idle_every: None,
        }
    }
}

pub(crate) struct Recorder {
    pub(crate) log: Log,
    /// By source: told which positions are on disk.
    pub(crate) durable: Vec<Durable>,
    pub(crate) options: TickOptions,
    pub(crate) names: Arc<Names>,
    pub(crate) texts: Arc<Texts>,
    /// Numbers that are read out of records.
    pub(crate) numbers: Arc<[groundswell_core::number::NumberSpec]>,
    pub(crate) asked: Asked,
    pub(crate) feeds: Feeds,
    pub(crate) dispatch: Sender<ToDispatch>,
    pub(crate) status: Arc<Status>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: StopFlag,
    /// Dead letters that are given to the engine again.
    pub(crate) again: Receiver<Again>,
    pub(crate) ledger: Ledger,
    pub(crate) duplicates: Duplicates,
    pub(crate) strict: Option<Strict>,
    pub(crate) floors: Arc<Floors>,
    pub(crate) bounds: Bounds,
    /// Event times before this are beyond every view's retention; sources dead-letter them.
    pub(crate) horizon: Arc<AtomicI64>,
    /// Longest `keep` plus window over all views; `None` if some view keeps everything.
    pub(crate) longest_kept: Option<i64>,
    pub(crate) last: Tick,
    pub(crate) clock: EventTime,
    pub(crate) pointer: Pointer,
    /// Switches of models that are asked for.
    pub(crate) switches: Receiver<Switch>,
    pub(crate) erasures: Erasures,
    /// What the graph is told of the models beside the live one, with the first tick.
    pub(crate) background: Option<Arc<[Background]>>,
    pub(crate) config_rules: BTreeMap<String, RuleSpec>,
    pub(crate) config_keywords: BTreeMap<String, Keyword>,
}

/// What has come in since the last tick.
#[derive(Default)]
struct Collected {
    records: Vec<Envelope>,
    bindings: BTreeMap<(SourceId, u32), Binding>,
    source_clock: Option<i64>,
    since: Option<Instant>,
    /// The clock stays where it is.
    stands: bool,
}

impl Collected {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.bindings.is_empty()
    }
}

impl Recorder {
    /// Releases the recorded past at its recorded times.
    pub(crate) fn replay(&mut self, recorded: Recorded) -> Result<(), String> {
        let mut ticks = recorded.ticks.peekable();
        while let Some(batch) = ticks.next() {
            let batch = batch.map_err(|e| e.to_string())?;
            for envelope in &batch.records {
                self.remember(envelope, batch.tick);
                self.ledger.note(envelope);
            }
            self.counters.tally(&batch.records);
            let more = ticks
                .peek()
                .is_some_and(|next| next.as_ref().is_ok_and(|next| next.tick == batch.tick));
            (self.last, self.clock) = (batch.tick, self.clock.max(batch.clock));
            let share = if more { Share::Piece } else { Share::Whole };
            self.release(&batch, share, Tally::default())?;
            self.status.set_recorded(batch.tick);
        }
        self.move_horizon();
        self.status.set_replayed();
        Ok(())
    }

    /// What later decisions need to know about the recorded past.
    fn remember(&mut self, envelope: &Envelope, tick: Tick) {
        match &envelope.record {
            Record::LiveModel { model, past } => self.pointer.remember(*model, past),
            Record::AlertFloor(_) | Record::AlertMuted { .. } => self.bounds.remember(envelope),
            Record::Erasure(_) | Record::Purged(_) => self.erasures.remember(envelope, tick),
            Record::Rule(rule) if envelope.source == CONTROL => {
                self.config_rules.insert(rule.id.clone(), rule.clone());
            }
            Record::RuleDeleted { id } if envelope.source == CONTROL => {
                self.config_rules.remove(id);
            }
            Record::Keyword(keyword) if envelope.source == CONTROL => {
                self.config_keywords.insert(keyword.id.clone(), keyword.clone());
            }
            Record::KeywordDeleted { id } if envelope.source == CONTROL => {
                self.config_keywords.remove(id);
            }
            Record::Score { text, model, .. } | Record::Unscorable { text, model } => {
                if let Some(strict) = &mut self.strict {
                    strict.known(*text, *model);
                }
            }
            _ => {}
        }
    }

    /// Records what the configuration says and the record does not: rules and keywords changed or gone, another live model.
    pub(crate) fn configure(
        &mut self,
        rules: &[RuleSpec],
        keywords: &[Keyword],
        model: Option<ModelKey>,
    ) -> Result<(), String> {
        let mut records = Vec::new();
        for rule in rules
            .iter()
            .filter(|rule| self.config_rules.get(&rule.id) != Some(rule))
        {
            records.push(Record::Rule(rule.clone()));
        }
        let named: BTreeSet<_> = rules.iter().map(|r| r.id.as_str()).collect();
        for id in self.config_rules.keys().filter(|id| !named.contains(id.as_str())) {
            records.push(Record::RuleDeleted { id: id.clone() });
        }
        let known = &self.config_keywords;
        let changed = keywords.iter().filter(|k| known.get(&k.id) != Some(k));
        records.extend(changed.map(|k| Record::Keyword(k.clone())));
        let gone = known.keys().filter(|id| keywords.iter().all(|k| k.id != **id));
        records.extend(gone.map(|id| Record::KeywordDeleted { id: id.clone() }));
        records.extend(self.pointer.configure(model)?);
        if records.is_empty() {
            return Ok(());
        }
        let collected = self.own(records);
        self.seal(collected).map(|_| ())
    }

    /// Records of the engine's own.
    fn own(&self, records: Vec<Record>) -> Collected {
        let tick = self.next_tick();
        let envelope = |(i, record)| Envelope {
            source: CONTROL,
            partition: 0,
            offset: i,
            order: tick,
            record,
        };
        Collected {
            records: (0..).zip(records).map(envelope).collect(),
            ..Collected::default()
        }
    }

    /// Collects, records and releases until asked to stop or everything feeding it is gone.
    pub(crate) fn run(
        &mut self,
        input: &Receiver<SourceBatch>,
        mut unfinished: BTreeSet<SourceId>,
    ) -> Result<(), String> {
        let mut collected = Collected::default();
        let mut pieces = VecDeque::new();
        self.status.set_input_done(unfinished.is_empty());
        loop {
            let wait = collected.since.map_or(Duration::from_millis(20), |at| {
                self.options.every.saturating_sub(at.elapsed())
            });
            let batch = match pieces.pop_front() {
                Some(piece) => Ok(piece),
                None => input.recv_timeout(wait),
            };
            match batch {
                Ok(batch) if self.strict.is_some() && batch.records.len() > self.options.max_records => {
                    pieces = cut(batch, self.options.max_records);
                }
                Ok(batch) => {
                    if batch.finished {
                        unfinished.remove(&batch.source);
                    }
                    collected.since.get_or_insert_with(Instant::now);
                    self.collect(&mut collected, batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.stop.stop(),
            }
            if self.stop.is_set() {
                // Sources have stopped or are about to; what they handed over is recorded.
                for piece in pieces.drain(..) {
                    self.collect(&mut collected, piece);
                }
                while let Ok(batch) = input.try_recv() {
                    self.collect(&mut collected, batch);
                }
            }
            let due = collected.since.is_some_and(|at| at.elapsed() >= self.options.every)
                || collected.records.len() >= self.options.max_records
                // Nothing comes any more that it could wait for.
                || (unfinished.is_empty() && pieces.is_empty() && self.status.wanted() == 0)
                || self.stop.is_set();
            if let Ok(again) = self.again.try_recv() {
                if !collected.is_empty() {
                    collected = self.seal(collected)?;
                }
                self.record_again(again)?;
                continue;
            }
            if let Ok(switch) = self.switches.try_recv() {
                if !collected.is_empty() {
                    collected = self.seal(collected)?;
                }
                self.switch(&switch)?;
                continue;
            }
            if let Some(asked) = self.erasures.next() {
                if !collected.is_empty() {
                    collected = self.seal(collected)?;
                }
                self.erase(&asked)?;
                continue;
            }
            let something = !collected.is_empty();
            if (due && something) || self.idle_tick_due() {
                collected = self.seal(collected)?;
            } else if due {
                collected.since = None;
            }
            if collected.since.is_none() && unfinished.is_empty() {
                self.status.set_input_done(true);
            }
            if self.stop.is_set() {
                return Ok(());
            }
        }
    }

    /// Records letters that are given again, in a tick of their own.
    fn record_again(&mut self, again: Again) -> Result<(), String> {
        self.counters.replayed(&again.records);
        again.records.iter().for_each(|envelope| self.ledger.note(envelope));
        let collected = Collected {
            records: again.records,
            ..Collected::default()
        };
        let (_, recorded) = self.seal_as(collected, Share::Watched)?;
        // Nobody waits for it any more if the request was given up.
        let _ = again.done.send(recorded);
        Ok(())
    }

    /// Records a switch of models in a tick of its own, with the clock as it was: nothing else moves at it.
    fn switch(&mut self, switch: &Switch) -> Result<(), String> {
        let decided = match switch.ask {
            Ask::Promote(model) => self.pointer.promote(model),
            Ask::Back => self.pointer.back(),
        };
        let answer = match decided {
            Err(refused) => Err(refused),
            Ok((record, was)) => {
                let collected = Collected {
                    stands: true,
                    ..self.own(vec![record])
                };
                let (_, at) = self.seal_as(collected, Share::Whole)?;
                Ok((at.tick, was))
            }
        };
        // Nobody waits for it any more if the request was given up.
        let _ = switch.done.send(answer);
        Ok(())
    }

    /// Records an erasure in a tick of its own, with the clock as it was.
    fn erase(&mut self, asked: &Erase) -> Result<(), String> {
        let collected = Collected {
            records: vec![self.erasures.above(asked.erasure)],
            stands: true,
            ..Collected::default()
        };
        let (_, at) = self.seal_as(collected, Share::Whole)?;
        // Nobody waits for it any more if the request was given up.
        let _ = asked.done.send(at.tick);
        Ok(())
    }

    fn collect(&self, collected: &mut Collected, batch: SourceBatch) {
        self.counters.read(batch.source, &batch.records);
        collected.source_clock = collected.source_clock.max(batch.clock);
        for binding in batch.bindings {
            collected.bindings.insert((binding.source, binding.partition), binding);
        }
        collected.records.extend(batch.records);
    }

    fn idle_tick_due(&self) -> bool {
        self.options.clock == ClockMode::Wall
            && self
                .options
                .idle_every
                .is_some_and(|every| wall_now().div_euclid(every) > self.clock.div_euclid(every))
    }

    fn next_tick(&self) -> Tick {
        (self.last + 1).max(u64::try_from(wall_now()).unwrap_or(0))
    }

    fn next_clock(&self, collected: &Collected) -> EventTime {
        if collected.stands {
            return self.clock;
        }
        let now = wall_now();
        let latest = now + self.options.max_future_skew;
        let seen = match self.options.clock {
            ClockMode::Wall => Some(now),
            ClockMode::Event => collected
                .records
                .iter()
                .filter_map(|e| match &e.record {
                    Record::Post(p) => Some(p.created_at),
                    Record::Votes(v) => Some(v.observed_at),
                    _ => None,
                })
                .chain(collected.source_clock)
                .filter(|at| *at <= latest)
                .max(),
        };
        seen.map_or(self.clock, |at| at.max(self.clock))
    }

    /// Mints a tick, records it, releases it. What comes back is empty, with the memory the next tick will need.
    fn seal(&mut self, collected: Collected) -> Result<Collected, String> {
        self.seal_as(collected, Share::Whole).map(|(empty, _)| empty)
    }

    fn seal_as(&mut self, mut collected: Collected, share: Share) -> Result<(Collected, AgainAt), String> {
        let began = Instant::now();
        if let Some(strict) = &mut self.strict {
            let facts = strict.score(&collected.records, self.pointer.live());
            collected.records.extend(facts);
        }
        let tick = self.next_tick();
        // What ticks up to here said about forgotten windows is there to be taken.
        let complete = self.status.complete().min(self.last);
        collected
            .records
            .extend(self.bounds.take(&self.floors, &self.names, tick));
        // What is folded away cannot be handed to a sink that has not committed it: fold only what all have.
        let end = self.bounds.fold_end(complete.min(self.status.committed()));
        let soon = self.erasures.is_overdue(tick);
        if self.log.is_due(end, soon) && !self.erasures.lets_fold(end) {
            let purges = self.own(self.erasures.purges());
            collected.records.extend(purges.records);
        } else if let Some(folded) = self.log.maintain(end) {
            self.bounds.folded(folded);
            self.erasures.folded(folded);
        }
        let mut batch = TickBatch {
            tick,
            clock: self.next_clock(&collected),
            bindings: collected.bindings.into_values().collect(),
            records: collected.records,
        };
        for envelope in &batch.records {
            if matches!(envelope.source, CONTROL | SCORER) || matches!(envelope.record, Record::Erasure(_)) {
                self.remember(envelope, tick);
            }
        }
        self.log.append(&batch).map_err(|e| format!("cannot record: {e}"))?;
        (self.last, self.clock) = (batch.tick, batch.clock);
        self.status.set_recorded(batch.tick);
        for binding in &batch.bindings {
            if let Some(durable) = self.durable.get(usize::from(binding.source)) {
                durable.advance(binding);
            }
        }
        let mut tally = self.counters.tally(&batch.records);
        let repeated = std::mem::take(&mut tally.repeated_at);
        if share == Share::Watched {
            self.duplicates.watch(tick);
        }
        self.release(&batch, share, tally)?;
        self.move_horizon();
        self.counters.sealed(began.elapsed(), self.log.bytes());
        batch.records.clear();
        // The last batch of a tick goes beyond its limit, so some more room stays; making less of it would copy what was there.
        if batch.records.capacity() > self.options.max_records.saturating_mul(4) {
            batch.records = Vec::with_capacity(self.options.max_records);
        }
        let empty = Collected {
            records: batch.records,
            ..Collected::default()
        };
        Ok((empty, AgainAt { tick, repeated }))
    }

    fn move_horizon(&self) {
        if let Some(kept) = self.longest_kept {
            // A wall clock stands at the present before the first tick says so.
            let clock = match self.options.clock {
                ClockMode::Wall => self.clock.max(wall_now()),
                ClockMode::Event => self.clock,
            };
            self.horizon.store(clock.saturating_sub(kept), Ordering::Release);
        }
    }

    fn release(&mut self, batch: &TickBatch, share: Share, counts: Tally) -> Result<(), String> {
        let dead = batch.records.iter().filter_map(|e| match &e.record {
            Record::Dead(letter) => Some(DeadChange {
                source: self.counters.name(e.source),
                partition: e.partition,
                offset: e.offset,
                letter: letter.clone(),
            }),
            _ => None,
        });
        let threads = batch.records.iter().filter_map(|e| match &e.record {
            Record::Thread(thread) => Some(ThreadChange {
                thread: thread.clone(),
                rank: e.rank(),
            }),
            _ => None,
        });
        let erasures = batch.records.iter().filter_map(|e| match &e.record {
            Record::Erasure(erasure) => Some(ErasureChange {
                erasure: *erasure,
                rank: e.rank(),
            }),
            _ => None,
        });
        let purged = batch.records.iter().filter_map(|e| match &e.record {
            Record::Purged(of) => Some(*of),
            _ => None,
        });
        let tick = ToDispatch::Tick {
            tick: batch.tick,
            clock: batch.clock,
            dead: dead.collect(),
            threads: threads.collect(),
            erasures: erasures.collect(),
            purged: purged.collect(),
            counts,
            models: Box::new(ModelFacts::of(batch)),
        };
        self.dispatch
            .send(tick)
            .map_err(|_| "the dispatcher is gone".to_owned())?;
        let feeds = &self.feeds;
        self.texts.turn(batch.tick, batch.clock, self.status.complete());
        let buffers = feeds.workers.iter().map(|_| feeds.buffers.take()).collect();
        let mut split = split(
            batch,
            share,
            buffers,
            feeds.peers,
            (&self.names, &self.numbers),
            &self.texts,
            self.asked,
        )
        .map_err(|e| e.to_string())?;
        if let (Some(background), Some(first)) = (self.background.take(), split.first_mut()) {
            first.control.push(Control::Background(background));
        }
        for (released, (worker, thread)) in split.into_iter().zip(&feeds.workers) {
            worker.send(released).map_err(|_| "a worker is gone".to_owned())?;
            thread.unpark();
        }
        Ok(())
    }
}
