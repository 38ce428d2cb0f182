//! The only home of raw timely operator builders.
//!
//! Engine time is totally ordered, so almost every operator of the engine has one shape: collect the updates of a tick,
//! and when the tick is complete at all inputs, change keyed state and emit what differs. [`per_tick`] is that shape;
//! operators supply plain logic and stay free of capabilities and frontiers. [`at_each_tick`] is its sink. Between processes,
//! [`arriving`] and [`exchanged`] carry what goes in and what comes out.

use crate::time::Tick;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use std::collections::BTreeMap;
use timely::container::{CapacityContainerBuilder, buffer::default_capacity};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Capability, Exchange as _, InputCapability, Inspect, vec::Broadcast};
use timely::order::TotalOrder;

/// A batch of updates as it travels between operators.
type Updates<D, R> = Vec<(D, Tick, R)>;

/// Where the logic of a [`per_tick`] operator puts its output; everything is emitted at the tick being processed.
pub struct Emit<'a, D, R> {
    tick: Tick,
    /// What is not sent yet: at most one batch, so that updates are written once and stay in the caches.
    buffer: &'a mut Updates<D, R>,
    send: &'a mut dyn FnMut(&mut Updates<D, R>),
}

impl<D, R> Emit<'_, D, R> {
    /// Emits one update at this tick.
    pub fn give(&mut self, row: D, diff: R) {
        self.buffer.push((row, self.tick, diff));
        if self.buffer.len() >= default_capacity::<(D, Tick, R)>() {
            self.next();
        }
    }

    /// Sends a full batch. More follows, most likely as much.
    #[cold]
    fn next(&mut self) {
        (self.send)(self.buffer);
        // What nobody listens to comes back.
        self.buffer.clear();
        self.buffer.reserve_exact(default_capacity::<(D, Tick, R)>());
    }
}

/// The inputs of one complete tick. What the logic leaves in them is dropped; the memory is used again.
pub struct Complete<'a, D, R, B> {
    /// The tick.
    pub tick: Tick,
    /// Updates routed to this worker, in no particular order, not consolidated.
    pub rows: &'a mut Vec<(D, R)>,
    /// Updates of the broadcast side; every worker sees them all.
    pub side: &'a mut Vec<(B, isize)>,
}

struct Pending<D, R, B> {
    capability: Capability<Tick>,
    rows: Vec<(D, R)>,
    side: Vec<(B, isize)>,
}

/// A buffer this many times larger than what was last in it is given back.
const SLACK: usize = 16;
/// A buffer of up to this many updates is kept in any case.
const SMALL: usize = 1024;
/// Updates for which room is made before they come, at most.
const MOST_ROOM: usize = 1 << 16;

/// Buffers of ticks gone by. A tick's updates are megabytes that would otherwise be mapped, cleared by the kernel and
/// given back ten times a second.
struct Spare<T> {
    buffers: Vec<Vec<T>>,
    /// Where there is none: what the last tick needed.
    room: usize,
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Spare {
            buffers: Vec::new(),
            room: 0,
        }
    }
}

impl<T> Spare<T> {
    /// Buffers kept: no more ticks than that are pending at once.
    const KEPT: usize = 2;

    fn take(&mut self) -> Vec<T> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(self.room))
    }

    /// Keeps a buffer that held `used` updates.
    fn give(&mut self, mut buffer: Vec<T>, used: usize) {
        buffer.clear();
        let fits = buffer.capacity() <= (used * SLACK).max(SMALL);
        if self.buffers.len() < Self::KEPT && fits {
            self.buffers.push(buffer);
        }
    }
}

/// A stateful operator called once per complete tick that has input, in tick order.
///
/// `rows` are exchanged by `route`, `side` goes to every worker. `logic` owns its state. It must be a pure function of
/// what it has been given so far: no clock, no randomness, no iteration order of hash maps in its output *set* (the order
/// of output does not matter).
pub fn per_tick<'s, D, R, B, D2, R2, L>(
    rows: VecCollection<'s, Tick, D, R>,
    side: VecCollection<'s, Tick, B>,
    name: &str,
    route: impl Fn(&D) -> u64 + 'static,
    mut logic: L,
) -> VecCollection<'s, Tick, D2, R2>
where
    D: ExchangeData,
    R: ExchangeData + Semigroup,
    B: ExchangeData,
    D2: Clone + 'static,
    R2: Semigroup + 'static,
    L: FnMut(Complete<'_, D, R, B>, &mut Emit<'_, D2, R2>) + 'static,
{
    let exchange = Exchange::new(move |update: &(D, Tick, R)| route(&update.0));
    rows.inner
        .binary_frontier::<_, CapacityContainerBuilder<Updates<D2, R2>>, _, _, _, _>(
            side.inner.broadcast(),
            exchange,
            Pipeline,
            name,
            |_initial, _info| {
                let mut pending = BTreeMap::<Tick, Pending<D, R, B>>::new();
                let mut spare = Spare::default();
                move |(rows, rows_frontier), (side, side_frontier), output| {
                    let port = output.output_index();
                    rows.for_each(|cap, data| collect(data, &mut pending, &mut spare, &cap, port));
                    side.for_each(|cap, data| {
                        for (row, time, diff) in data.drain(..) {
                            if let Some(slot) = slot(&mut pending, &mut spare, &cap, time, port) {
                                slot.side.push((row, diff));
                            }
                        }
                    });
                    while let Some(entry) = pending.first_entry() {
                        if rows_frontier.less_equal(entry.key()) || side_frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (tick, mut full) = entry.remove_entry();
                        let used = full.rows.len();
                        let complete = Complete {
                            tick,
                            rows: &mut full.rows,
                            side: &mut full.side,
                        };
                        let mut buffer = Vec::new();
                        let mut session = output.session(&full.capability);
                        let mut emit = Emit {
                            tick,
                            buffer: &mut buffer,
                            send: &mut |batch| session.give_container(batch),
                        };
                        logic(complete, &mut emit);
                        if !buffer.is_empty() {
                            session.give_container(&mut buffer);
                        }
                        spare.give(full.rows, used);
                    }
                }
            },
        )
        .as_collection()
}

/// The pending slot of a record's own time. Stamps are only lower bounds, so the capability is delayed to that time.
fn slot<'a, D, R, B>(
    pending: &'a mut BTreeMap<Tick, Pending<D, R, B>>,
    spare: &mut Spare<(D, R)>,
    cap: &InputCapability<Tick>,
    time: Tick,
    port: usize,
) -> Option<&'a mut Pending<D, R, B>>
where
    Tick: TotalOrder,
{
    match pending.entry(time) {
        std::collections::btree_map::Entry::Occupied(slot) => Some(slot.into_mut()),
        std::collections::btree_map::Entry::Vacant(slot) => {
            let capability = cap.retain_least(port)?.delayed(&time);
            Some(slot.insert(Pending {
                capability,
                rows: spare.take(),
                side: Vec::new(),
            }))
        }
    }
}

/// Puts a batch of updates to those of their ticks.
fn collect<D, R, B>(
    batch: &mut Updates<D, R>,
    pending: &mut BTreeMap<Tick, Pending<D, R, B>>,
    spare: &mut Spare<(D, R)>,
    cap: &InputCapability<Tick>,
    port: usize,
) {
    // Nearly always all are of one tick.
    while let Some((_, tick, _)) = batch.first() {
        let tick = *tick;
        let n = batch
            .iter()
            .position(|(_, time, _)| *time != tick)
            .unwrap_or(batch.len());
        let updates = batch.drain(..n).map(|(row, _, diff)| (row, diff));
        if let Some(slot) = slot(pending, spare, cap, tick, port) {
            slot.rows.extend(updates);
        }
    }
}

/// Hands every complete tick's updates on this worker to `take`; nothing downstream (a probe) passes the tick before
/// `take` has returned.
pub fn at_each_tick<'s, D, R>(
    rows: VecCollection<'s, Tick, D, R>,
    name: &str,
    mut take: impl FnMut(Tick, Vec<(D, R)>) + 'static,
) -> VecCollection<'s, Tick, ()>
where
    D: Clone + 'static,
    R: Semigroup + 'static,
{
    rows.inner
        .unary_frontier::<CapacityContainerBuilder<Updates<(), isize>>, _, _, _>(Pipeline, name, |_initial, _info| {
            let mut pending = BTreeMap::<Tick, Pending<D, R, ()>>::new();
            // What was collected is handed away whole: there is nothing to keep but how much it was.
            let mut spare = Spare::default();
            move |(input, frontier), output| {
                let port = output.output_index();
                input.for_each(|cap, data| collect(data, &mut pending, &mut spare, &cap, port));
                while let Some(entry) = pending.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (tick, Pending { capability, rows, .. }) = entry.remove_entry();
                    spare.room = rows.len().min(MOST_ROOM);
                    take(tick, rows);
                    drop(capability);
                }
            }
        })
        .as_collection()
}

/// Sends every update to the worker that `route` names (modulo the workers there are).
pub fn exchanged<'s, D, R>(
    rows: VecCollection<'s, Tick, D, R>,
    route: impl Fn(&D) -> u64 + 'static,
) -> VecCollection<'s, Tick, D, R>
where
    D: ExchangeData,
    R: ExchangeData + Semigroup,
{
    rows.inner
        .exchange(move |update: &(D, Tick, R)| route(&update.0))
        .as_collection()
}

/// The same, and `look` sees every batch where it arrives, before anything downstream does.
pub fn arriving<'s, D, R>(
    rows: VecCollection<'s, Tick, D, R>,
    route: impl Fn(&D) -> u64 + 'static,
    mut look: impl FnMut(&[(D, Tick, R)]) + 'static,
) -> VecCollection<'s, Tick, D, R>
where
    D: ExchangeData,
    R: ExchangeData + Semigroup,
{
    exchanged(rows, route)
        .inner
        .inspect_core(move |event| {
            if let Ok((_, batch)) = event {
                look(batch);
            }
        })
        .as_collection()
}

/// Mixes two 64-bit values into a routing hash (`SplitMix64`'s finaliser, Steele et al., OOPSLA 2014).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
