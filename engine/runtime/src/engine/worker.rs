//! The timely workers: feed released ticks, step, report what is complete. No I/O happens here but reading and, where texts
//! come from another process, keeping them.
//!
//! With several processes a post event whose worker is in another one carries its text, which is put into that process's
//! texts before the event goes on: whoever fetches it, on the same worker, finds it. What workers put out goes to the
//! leader's before anybody is told.

use super::dispatch::{Part, ToDispatch};
use super::release::{Buffers, Released, Texted};
use super::status::Status;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use differential_dataflow::input::InputSession;
use differential_dataflow::{ExchangeData, VecCollection};
use groundswell_core::dataflow::{arriving, at_each_tick, exchanged};
use groundswell_core::id::PostKey;
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::event::{Control, Fact, PostEvent, TieEvent};
use groundswell_operators::graph::{Inputs, Plan, render};
use groundswell_operators::link::FetchText;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

/// Ticks a worker lets into the graph before the oldest is complete.
const IN_FLIGHT: usize = 2;
/// Longest time a worker that was told nothing sleeps. Other workers' messages wake it, from other processes too, and so
/// does the recorder.
const IDLE: Duration = Duration::from_millis(20);

/// What every worker is given.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) fetch: FetchText,
    pub(crate) duplicates: Duplicates,
    pub(crate) out: Sender<ToDispatch>,
    pub(crate) collect_posts: bool,
    pub(crate) buffers: Buffers,
    pub(crate) status: Arc<Status>,
    /// Set where there are other processes.
    pub(crate) across: Option<Across>,
}

/// What a worker needs to know of other processes.
pub(crate) struct Across {
    /// How many workers the leader has; they are the first ones.
    pub(crate) leaders: usize,
    /// This process's texts.
    pub(crate) texts: Arc<Texts>,
}

struct Feeds {
    posts: InputSession<Tick, (PostKey, PostEvent), isize>,
    /// Events for other processes, with their texts.
    texted: Option<InputSession<Tick, Texted, isize>>,
    facts: InputSession<Tick, Fact, isize>,
    /// Where the plan takes ties in.
    ties: Option<InputSession<Tick, TieEvent, isize>>,
    control: InputSession<Tick, Control, isize>,
}

impl Feeds {
    fn advance(&mut self, to: Tick) {
        self.posts.advance_to(to);
        self.posts.flush();
        if let Some(texted) = &mut self.texted {
            texted.advance_to(to);
            texted.flush();
        }
        if let Some(ties) = &mut self.ties {
            ties.advance_to(to);
            ties.flush();
        }
        self.facts.advance_to(to);
        self.facts.flush();
        self.control.advance_to(to);
        self.control.flush();
    }

    fn feed(&mut self, mut released: Released, buffers: &Buffers) {
        if *self.posts.time() < released.tick {
            self.advance(released.tick);
        }
        released.posts.drain(..).for_each(|row| self.posts.update(row, 1));
        buffers.give(released.posts);
        if let Some(texted) = &mut self.texted {
            released.texted.into_iter().for_each(|row| texted.update(row, 1));
        }
        if let Some(ties) = &mut self.ties {
            released.ties.into_iter().for_each(|row| ties.update(row, 1));
        }
        released.facts.into_iter().for_each(|row| self.facts.update(row, 1));
        released.control.into_iter().for_each(|row| self.control.update(row, 1));
        if !released.more {
            self.advance(released.tick + 1);
        }
    }
}

/// Renders the graph on one worker; nothing is complete before `probe` has passed it.
fn build(worker: &mut Worker, shared: &Shared, probe: &ProbeHandle<Tick>) -> Feeds {
    let mut feeds = Feeds {
        posts: InputSession::new(),
        texted: shared.across.is_some().then(InputSession::new),
        facts: InputSession::new(),
        ties: shared.plan.ties().then(InputSession::new),
        control: InputSession::new(),
    };
    let index = worker.index();
    let home = shared.across.as_ref().map(|across| (index % across.leaders) as u64);
    worker.dataflow(|scope| {
        let mut posts = feeds.posts.to_collection(scope);
        if let (Some(across), Some(texted)) = (&shared.across, &mut feeds.texted) {
            posts = posts.concat(arrive(texted.to_collection(scope), across, &shared.status));
        }
        let inputs = Inputs {
            posts,
            facts: feeds.facts.to_collection(scope),
            ties: feeds.ties.as_mut().map(|ties| ties.to_collection(scope)),
            control: feeds.control.to_collection(scope),
        };
        let outputs = render(
            &shared.plan,
            inputs,
            Arc::clone(&shared.fetch),
            shared.duplicates.clone(),
        );
        at_each_tick(at_home(outputs.rows, home), "RowsOut", sender(shared, Part::Rows)).probe_with(probe);
        if let Some(numbered) = outputs.numbered {
            let numbered = at_home(numbered, home);
            at_each_tick(numbered, "NumberedOut", sender(shared, Part::Numbered)).probe_with(probe);
        }
        if shared.collect_posts {
            at_each_tick(at_home(outputs.live, home), "PostsOut", sender(shared, Part::Posts)).probe_with(probe);
        }
        at_each_tick(at_home(outputs.wanted, home), "WantedOut", sender(shared, Part::Wanted)).probe_with(probe);
        let tallies = at_home(outputs.tallies, home);
        at_each_tick(tallies, "TalliesOut", sender(shared, Part::Tallies)).probe_with(probe);
        if let Some(alerts) = outputs.alerts {
            let (transitions, carries) = (at_home(alerts.transitions, home), at_home(alerts.carries, home));
            at_each_tick(transitions, "AlertsOut", sender(shared, Part::Alerts)).probe_with(probe);
            at_each_tick(carries, "CarriesOut", sender(shared, Part::Carries)).probe_with(probe);
            let standings = at_home(alerts.standings, home);
            at_each_tick(standings, "StandingsOut", sender(shared, Part::Standings)).probe_with(probe);
        }
        if let Some(ties) = outputs.ties {
            let (standing, engaged) = (at_home(ties.standing, home), at_home(ties.engaged, home));
            at_each_tick(standing, "TiesOut", sender(shared, Part::Ties)).probe_with(probe);
            at_each_tick(engaged, "EngagementOut", sender(shared, Part::Engaged)).probe_with(probe);
        }
        if let Some(events) = outputs.events {
            at_each_tick(at_home(events, home), "EventsOut", sender(shared, Part::Events)).probe_with(probe);
        }
        if let Some(unchanged) = outputs.unchanged {
            let duplicates = shared.duplicates.clone();
            at_each_tick(at_home(unchanged, home), "UnchangedOut", move |tick, unchanged| {
                duplicates.arrived(tick, unchanged);
            })
            .probe_with(probe);
        }
    });
    feeds
}

/// Events from the leader with their texts, which are kept before anything else sees the events.
fn arrive<'s>(
    texted: VecCollection<'s, Tick, Texted>,
    across: &Across,
    status: &Arc<Status>,
) -> VecCollection<'s, Tick, (PostKey, PostEvent)> {
    let (texts, status) = (Arc::clone(&across.texts), Arc::clone(status));
    // A process that follows has no clock: its texts stay.
    let keep = move |batch: &[(Texted, Tick, isize)]| {
        let fresh = batch.iter().flat_map(|((_, event, [text, about]), ..)| {
            let text = event.text().map(|key| (key, EventTime::MAX, &**text));
            let about = event.about().map(|key| (key, EventTime::MAX, &**about));
            text.into_iter().chain(about)
        });
        if let Err(error) = texts.put(fresh) {
            status.fail(format!("cannot keep texts: {error}"));
        }
    };
    arriving(texted, |(key, ..)| key.route(), keep).map(|(key, event, _)| (key, event))
}

/// Carries an output to the worker of the leader that passes it on, if there are several processes.
fn at_home<D: ExchangeData>(rows: VecCollection<'_, Tick, D>, home: Option<u64>) -> VecCollection<'_, Tick, D> {
    match home {
        None => rows,
        Some(worker) => exchanged(rows, move |_| worker),
    }
}

/// Runs one worker until its channel closes and everything fed is complete.
pub(crate) fn run(worker: &mut Worker, input: &Receiver<Released>, shared: &Shared) {
    let probe = ProbeHandle::<Tick>::new();
    let mut feeds = build(worker, shared, &probe);
    let mut reported = 0;
    let mut in_flight = VecDeque::new();
    loop {
        while in_flight.front().is_some_and(|tick| !probe.less_equal(tick)) {
            in_flight.pop_front();
        }
        let mut fed = false;
        if in_flight.len() < IN_FLIGHT {
            match input.try_recv() {
                Ok(released) => {
                    fed = true;
                    if !released.more {
                        in_flight.push_back(released.tick);
                    }
                    feeds.feed(released, &shared.buffers);
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => break,
            }
        }
        // What is in flight may be with other processes, which need the processor.
        if fed || (!in_flight.is_empty() && shared.across.is_none()) {
            worker.step();
        } else {
            worker.step_or_park(Some(IDLE));
        }
        report(worker, &probe, &mut reported, shared);
    }
    drop(feeds);
    while !probe.done() {
        worker.step_or_park(Some(Duration::from_millis(1)));
        report(worker, &probe, &mut reported, shared);
    }
}

/// Runs a worker of a process that follows: it has no input of its own, and is done when the leader's are.
pub(crate) fn follow(worker: &mut Worker, shared: &Shared) {
    let probe = ProbeHandle::<Tick>::new();
    drop(build(worker, shared, &probe));
    while !probe.done() {
        worker.step_or_park(Some(IDLE));
    }
}

fn sender<D: 'static>(
    shared: &Shared,
    wrap: fn(Tick, Vec<(D, isize)>) -> Part,
) -> impl FnMut(Tick, Vec<(D, isize)>) + 'static {
    let (out, status) = (shared.out.clone(), Arc::clone(&shared.status));
    move |tick, rows| {
        if out.send(ToDispatch::Part(wrap(tick, rows))).is_err() {
            status.fail("the dispatcher is gone");
        }
    }
}

/// The first worker reports the graph's frontier: every tick below it is complete on all workers, and what those ticks
/// put out was sent before.
fn report(worker: &Worker, probe: &ProbeHandle<Tick>, reported: &mut Tick, shared: &Shared) {
    if worker.index() != 0 {
        return;
    }
    let frontier = probe.with_frontier(|f| f.first().copied()).unwrap_or(Tick::MAX);
    if frontier > *reported {
        *reported = frontier;
        if shared.out.send(ToDispatch::Complete(frontier)).is_err() {
            shared.status.fail("the dispatcher is gone");
        }
    }
}
