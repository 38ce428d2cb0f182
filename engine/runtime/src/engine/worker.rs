//! The timely workers: feed released ticks, step, report what is complete. No I/O happens here.

use super::dispatch::{Part, ToDispatch};
use super::release::{Buffers, Released};
use super::status::Status;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use differential_dataflow::input::InputSession;
use groundswell_core::dataflow::at_each_tick;
use groundswell_core::id::PostKey;
use groundswell_core::time::Tick;
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::event::{Control, Fact, PostEvent};
use groundswell_operators::graph::{Inputs, Plan, render};
use groundswell_operators::link::FetchText;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

/// Ticks a worker lets into the graph before the oldest is complete.
const IN_FLIGHT: usize = 2;

/// What every worker is given.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) fetch: FetchText,
    pub(crate) duplicates: Duplicates,
    pub(crate) out: Sender<ToDispatch>,
    pub(crate) collect_posts: bool,
    pub(crate) buffers: Buffers,
    pub(crate) status: Arc<Status>,
}

struct Feeds {
    posts: InputSession<Tick, (PostKey, PostEvent), isize>,
    facts: InputSession<Tick, Fact, isize>,
    control: InputSession<Tick, Control, isize>,
}

impl Feeds {
    fn advance(&mut self, to: Tick) {
        self.posts.advance_to(to);
        self.posts.flush();
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
        released.facts.into_iter().for_each(|row| self.facts.update(row, 1));
        released.control.into_iter().for_each(|row| self.control.update(row, 1));
        if !released.more {
            self.advance(released.tick + 1);
        }
    }
}

/// Runs one worker until its channel closes and everything fed is complete.
pub(crate) fn run(worker: &mut Worker, input: &Receiver<Released>, shared: &Shared) {
    let probe = ProbeHandle::<Tick>::new();
    let mut feeds = Feeds {
        posts: InputSession::new(),
        facts: InputSession::new(),
        control: InputSession::new(),
    };
    worker.dataflow(|scope| {
        let inputs = Inputs {
            posts: feeds.posts.to_collection(scope),
            facts: feeds.facts.to_collection(scope),
            control: feeds.control.to_collection(scope),
        };
        let outputs = render(
            &shared.plan,
            inputs,
            Arc::clone(&shared.fetch),
            shared.duplicates.clone(),
        );
        let to = |wrap: fn(Tick, Vec<_>) -> Part| sender(shared, wrap);
        at_each_tick(outputs.rows, "RowsOut", to(Part::Rows)).probe_with(&probe);
        if shared.collect_posts {
            at_each_tick(outputs.live, "PostsOut", sender(shared, Part::Posts)).probe_with(&probe);
        }
        at_each_tick(outputs.wanted, "WantedOut", sender(shared, Part::Wanted)).probe_with(&probe);
        if let Some(alerts) = outputs.alerts {
            at_each_tick(alerts.transitions, "AlertsOut", sender(shared, Part::Alerts)).probe_with(&probe);
            at_each_tick(alerts.carries, "CarriesOut", sender(shared, Part::Carries)).probe_with(&probe);
        }
    });

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
        if fed || !in_flight.is_empty() {
            worker.step();
        } else {
            // Woken by other workers' messages and by the recorder, which unparks this thread after it sent something.
            worker.step_or_park(Some(Duration::from_millis(20)));
        }
        report(worker, &probe, &mut reported, shared);
    }
    drop(feeds);
    while !probe.done() {
        worker.step_or_park(Some(Duration::from_millis(1)));
        report(worker, &probe, &mut reported, shared);
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
