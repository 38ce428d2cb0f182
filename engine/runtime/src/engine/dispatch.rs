//! Dispatch: what the workers put out, tick by tick, to everyone who serves or sinks it.
//!
//! Parts of a tick arrive from all workers in any order; once the first worker says the tick is complete they become one
//! [`TickChanges`], in an order that does not depend on the workers, and go to the observers and the sinks' queues.

use super::counters::Counters;
use super::events::Strings;
use super::floors::Floors;
use super::models::{Board, ModelFacts, Mutes};
use super::revisions::Revisions;
use super::sinks::SinkThread;
use super::status::Status;
use super::ties::GatheredTies;
use crossbeam_channel::Receiver;
use groundswell_core::erasure::Subject;
use groundswell_core::id::PostKey;
use groundswell_core::record::SourceId;
use groundswell_core::serving::{
    AlertChange, AlertState, DeadChange, ErasureChange, PostChange, RowChange, ThreadChange, TickChanges,
};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{EventTime, Tick};
use groundswell_models::ScorerStats;
use groundswell_operators::aggregate::Row;
use groundswell_operators::compare::Tally as ModelTally;
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::engagement::Engaged;
use groundswell_operators::evidence::Proven;
use groundswell_operators::graph::Plan;
use groundswell_operators::keywords::events::Event;
use groundswell_operators::live::Live;
use groundswell_operators::numbers::Numbered;
use groundswell_operators::score::Wanted;
use groundswell_operators::threshold::{Carry, Standing as RuleStanding};
use groundswell_operators::ties::Standing;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One worker's output of one kind for one tick.
pub(crate) enum Part {
    Rows(Tick, Vec<(Row, isize)>),
    Numbered(Tick, Vec<(Numbered, isize)>),
    Posts(Tick, Vec<(Live, isize)>),
    Wanted(Tick, Vec<(Wanted, isize)>),
    Tallies(Tick, Vec<(ModelTally, isize)>),
    Alerts(Tick, Vec<(Proven, isize)>),
    Carries(Tick, Vec<(Carry, isize)>),
    Standings(Tick, Vec<(RuleStanding, isize)>),
    Ties(Tick, Vec<(Standing, isize)>),
    Engaged(Tick, Vec<(Engaged, isize)>),
    Events(Tick, Vec<(Event, isize)>),
}

/// Records by source.
pub(crate) type Counts = BTreeMap<SourceId, u64>;

/// What a tick's records are, for the counters; empty for ticks that are replayed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// All but dead letters.
    pub(crate) alive: Counts,
    /// Threads, entities and rules among them that changed nothing; posts and votes are counted by the graph.
    pub(crate) repeated: Counts,
    /// Which records those are.
    pub(crate) repeated_at: Vec<usize>,
}

/// A message to the dispatcher.
pub(crate) enum ToDispatch {
    Part(Part),
    /// Facts about a tick that do not pass through the graph; sent before the tick is released.
    Tick {
        tick: Tick,
        clock: EventTime,
        dead: Vec<DeadChange>,
        threads: Vec<ThreadChange>,
        erasures: Vec<ErasureChange>,
        purged: Vec<Subject>,
        counts: Tally,
        models: Box<ModelFacts>,
    },
    /// Every tick below this is complete.
    Complete(Tick),
    /// Nothing follows.
    Stop,
}

/// A map this many times larger than what was last in it is given back.
const SLACK: usize = 16;

/// Called with every complete tick, on the dispatcher's thread; must not wait for anything outside.
pub type Observer = Box<dyn FnMut(&TickChanges) + Send>;

/// Told which texts models should score; says how many wait for the live one.
pub(crate) trait Wants: Send {
    /// Takes a tick's changes; how many texts wait now for which nothing stands.
    fn change(&mut self, tick: Tick, changes: Vec<(Wanted, isize)>) -> usize;
}

pub(crate) struct Dispatcher {
    pub(crate) plan: Plan,
    pub(crate) observers: Vec<Observer>,
    pub(crate) sinks: Vec<SinkThread>,
    pub(crate) wants: Box<dyn Wants>,
    pub(crate) status: Arc<Status>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) duplicates: Duplicates,
    pub(crate) scorer: Arc<ScorerStats>,
    pub(crate) floors: Arc<Floors>,
    pub(crate) board: Arc<Board>,
    pub(crate) mutes: Mutes,
    pub(crate) strings: Strings,
    pub(crate) revisions: Revisions,
    pub(crate) pending: BTreeMap<Tick, Gathered>,
    /// The map of a tick that was handed over, for the next one.
    pub(crate) spare: Rows,
}

/// Changed rows by view and key, `None` where one is gone.
type Rows = HashMap<(u16, groundswell_core::spec::ViewKey), Option<groundswell_core::acc::Acc>>;

/// A tick while its parts come in.
#[derive(Default)]
pub(crate) struct Gathered {
    clock: Option<EventTime>,
    rows: Rows,
    /// Rows of views with numbers.
    numbered: HashMap<(u16, groundswell_core::spec::ViewKey), Option<Numbered>>,
    posts: BTreeMap<PostKey, PostChange>,
    alerts: Vec<Proven>,
    carries: Vec<Carry>,
    standings: Vec<(RuleStanding, isize)>,
    events: Vec<(Event, isize)>,
    dead: Vec<DeadChange>,
    threads: Vec<ThreadChange>,
    erasures: Vec<ErasureChange>,
    purged: Vec<Subject>,
    counts: Tally,
    wanted: Vec<(Wanted, isize)>,
    tallies: Vec<(ModelTally, isize)>,
    models: ModelFacts,
    ties: GatheredTies,
}

impl Dispatcher {
    pub(crate) fn run(mut self, input: &Receiver<ToDispatch>) {
        for message in input {
            match message {
                ToDispatch::Part(part) => self.gather(part),
                ToDispatch::Tick {
                    tick,
                    clock,
                    dead,
                    threads,
                    erasures,
                    purged,
                    counts,
                    models,
                } => {
                    let slot = self.pending.entry(tick).or_default();
                    // Pieces of a snapshot share a tick, and are not counted.
                    slot.counts = counts;
                    slot.clock = slot.clock.max(Some(clock));
                    slot.dead.extend(dead);
                    slot.threads.extend(threads);
                    slot.erasures.extend(erasures);
                    slot.purged.extend(purged);
                    slot.models.merge(*models);
                }
                ToDispatch::Complete(below) => {
                    while let Some(first) = self.pending.first_entry() {
                        // After a failure inside the graph a tick may be wrong; it is computed again after a restart.
                        if *first.key() >= below || self.status.fatal().is_some() {
                            break;
                        }
                        let (tick, gathered) = first.remove_entry();
                        self.hand_over(tick, gathered);
                    }
                }
                ToDispatch::Stop => break,
            }
        }
        let behind = self.sinks.into_iter().filter_map(SinkThread::finish);
        self.status.set_behind(behind.collect());
    }

    fn gather(&mut self, part: Part) {
        match part {
            Part::Rows(tick, rows) => {
                let slot = self.pending.entry(tick).or_default();
                if slot.rows.capacity() == 0 {
                    slot.rows = std::mem::take(&mut self.spare);
                }
                for (row, diff) in rows
                    .into_iter()
                    .filter(|(row, _)| usize::from(row.at.view) < self.plan.declared)
                {
                    let change = slot.rows.entry((row.at.view, row.at.key)).or_insert(None);
                    if diff > 0 {
                        *change = Some(row.acc);
                    }
                }
            }
            Part::Numbered(tick, rows) => {
                let slot = self.pending.entry(tick).or_default();
                for (numbered, diff) in rows {
                    let at = numbered.row.at;
                    let change = slot.numbered.entry((at.view, at.key)).or_insert(None);
                    if diff > 0 {
                        *change = Some(numbered);
                    }
                }
            }
            Part::Posts(tick, rows) => {
                let slot = self.pending.entry(tick).or_default();
                for (live, diff) in rows {
                    let change = slot.posts.entry(live.key).or_insert(PostChange {
                        key: live.key,
                        post: None,
                    });
                    if diff > 0 {
                        change.post = Some(live.post);
                    }
                }
            }
            Part::Carries(tick, rows) => {
                let slot = self.pending.entry(tick).or_default();
                slot.carries.extend(rows.into_iter().map(|(carry, _)| carry));
            }
            Part::Standings(tick, rows) => self.pending.entry(tick).or_default().standings.extend(rows),
            Part::Ties(tick, rows) => self.pending.entry(tick).or_default().ties.standing(rows),
            Part::Engaged(tick, rows) => self.pending.entry(tick).or_default().ties.engaged(rows),
            Part::Events(tick, rows) => self.pending.entry(tick).or_default().events.extend(rows),
            Part::Wanted(tick, rows) => self.pending.entry(tick).or_default().wanted.extend(rows),
            Part::Tallies(tick, rows) => self.pending.entry(tick).or_default().tallies.extend(rows),
            Part::Alerts(tick, rows) => {
                self.pending
                    .entry(tick)
                    .or_default()
                    .alerts
                    .extend(rows.into_iter().map(|(proven, _)| proven));
            }
        }
    }

    fn hand_over(&mut self, tick: Tick, mut gathered: Gathered) {
        // Before the tick counts as complete: folding relies on it.
        for carry in gathered.carries {
            if let Some(view) = self.plan.declared_view(carry.view) {
                let shape = self.plan.views.get(usize::from(carry.view)).map_or(0, ViewSpec::shape);
                self.floors.put(tick, view, shape, carry);
            }
        }
        self.counters.complete(&gathered.counts, &self.duplicates.take(tick));
        let mut views: Vec<Vec<RowChange>> = vec![Vec::new(); self.plan.declared];
        if let [only] = views.as_mut_slice() {
            only.reserve(gathered.rows.len());
        }
        let changed = gathered.rows.len();
        for ((view, key), acc) in gathered.rows.drain() {
            views[usize::from(view)].push(RowChange::new(key, acc));
        }
        if gathered.rows.capacity() <= changed.saturating_mul(SLACK) {
            self.spare = gathered.rows;
        }
        for ((view, key), change) in gathered.numbered {
            let acc = change.as_ref().map(|numbered| numbered.row.acc);
            let numbers = change.map(|numbered| numbered.numbers);
            if let Some(rows) = views.get_mut(usize::from(view)) {
                rows.push(RowChange {
                    numbers,
                    ..RowChange::new(key, acc)
                });
            }
        }
        views
            .iter_mut()
            .for_each(|rows| rows.sort_unstable_by_key(|row| row.key));
        let clock = gathered.clock.unwrap_or_default();
        self.revisions.mark(tick, clock, &mut views);
        let mut alerts: Vec<_> = gathered.alerts.iter().filter_map(|p| self.alert(tick, p)).collect();
        alerts.sort_by_key(|a| (a.id, a.state != AlertState::Firing));
        self.mutes.mark(tick, &gathered.models.muted, &mut alerts);
        let changes = Arc::new(TickChanges {
            tick,
            clock,
            views,
            posts: gathered.posts.into_values().collect(),
            alerts,
            dead: gathered.dead,
            threads: gathered.threads,
            erasures: gathered.erasures,
            purged: gathered.purged,
            ties: gathered.ties.changes(),
            events: self.strings.told(gathered.events),
        });
        self.observers.iter_mut().for_each(|observer| observer(&changes));
        self.sinks
            .iter_mut()
            .for_each(|sink| sink.offer(&changes, &self.status));
        self.board.apply(gathered.models.live, gathered.tallies);
        if self.status.rule_board().apply(gathered.standings) {
            self.counters.rules(&self.status.rules());
        }
        let wanted = self.wants.change(tick, gathered.wanted);
        self.status.set_wanted(wanted);
        let recalled = self.duplicates.recalled().count();
        self.counters.handed_over(tick, &self.scorer, recalled);
        self.counters.models(self.board.loads(), self.board.adrift());
        self.status.set_complete(tick);
    }

    fn alert(&self, tick: Tick, proven: &Proven) -> Option<AlertChange> {
        let t = &proven.transition;
        let (rule, spec) = (&t.rule, self.plan.declared_view(t.fired.view)?);
        let acc = t.acc.unwrap_or_default();
        let at = |distance| Some(t.earlier.iter().find(|(back, _)| *back == distance)?.1);
        let earlier = rule.earlier(&spec.window, &at);
        let (value, threshold) = rule.when.compared(t.acc.as_ref(), Some(&earlier));
        Some(AlertChange {
            id: alert_id(&rule.id, spec, t.fired.key),
            rule: rule.id.as_str().into(),
            state: t.state,
            cause: t.cause,
            view: spec.name.as_str().into(),
            key: t.fired.key,
            window_end: t.fired.key.start + spec.window.size(),
            resolved: (t.state == AlertState::Resolved).then(|| (t.window, t.window + spec.window.size())),
            value,
            threshold,
            posts: acc.posts,
            authors: acc.authors,
            at: tick,
            evidence: proven.evidence.clone(),
            sums: proven.sums,
            muted: false,
        })
    }
}

/// The alert's id: a digest of rule, view, group and the window that fired, so that it is the same after any replay.
fn alert_id(rule: &str, view: &ViewSpec, key: groundswell_core::spec::ViewKey) -> u128 {
    let mut bytes = format!("{rule}\0{}\0{}", view.name, key.start).into_bytes();
    key.group
        .iter()
        .for_each(|dim| bytes.extend_from_slice(&dim.0.to_le_bytes()));
    PostKey::of(&bytes).0
}
