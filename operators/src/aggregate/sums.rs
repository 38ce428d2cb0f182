//! The rows of one view on a worker, with their sums.
//!
//! Rows lie in blocks; a window is an index of four bytes a row. A tick remembers of each row it touches what stood before, so
//! that settling it looks nothing up. Dropping a window frees the places of its rows, which the next windows take.

use super::{dropped, is_sliding, turned};
use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::Acc;
use groundswell_core::blocks::Blocks;
use groundswell_core::id::{DigestHasher, Dim};
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::EventTime;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// The rows of a view, whatever its number of columns.
pub(super) trait View {
    /// The clock has moved: windows slide, and what is beyond retention is dropped.
    fn advance(&mut self, clock: EventTime);

    /// The place of the row that a contribution to this key goes to, made if there is none; `None` if its window is dropped.
    /// Whoever asks must [`View::add`] to it in the same tick.
    fn place(&mut self, key: ViewKey) -> Option<u32>;

    /// Adds a contribution to the row of this key, which is at this place.
    fn add(&mut self, key: ViewKey, at: u32, acc: &Acc);

    /// Ends a tick: gives what differs from before it.
    fn settle(&mut self, give: &mut dyn FnMut(ViewKey, Acc, isize));
}

/// The rows of a view.
pub(super) fn view(spec: &ViewSpec) -> Box<dyn View> {
    // Where windows do not lie side by side, the last column holds one of their times.
    if spec.window.is_regular() && spec.group_by.len() <= 2 {
        Box::new(Sums::<2>::new(spec))
    } else {
        Box::new(Sums::<4>::new(spec))
    }
}

/// A row: its group, by as many columns as are used, and its sums.
#[derive(Clone, Copy)]
struct Sum<const N: usize> {
    group: [Dim; N],
    acc: Acc,
    /// Whether this tick has touched it.
    touched: bool,
}

/// A row that a tick touches: its window, its place, and its sums before the tick.
type Touched = (EventTime, u32, Acc);

/// The places of rows, by their groups.
type Places = HashTable<u32>;

struct Sums<const N: usize> {
    spec: ViewSpec,
    clock: EventTime,
    rows: Blocks<Sum<N>>,
    /// Fixed windows: rows by window start. Sliding: contributions by step. Anchored: rows by window end, with the start in
    /// its place in the group.
    windows: BTreeMap<EventTime, Places>,
    /// Sliding only: sums over the steps inside the window.
    totals: Places,
    touched: Vec<Touched>,
    /// Sliding only: steps' rows that held nothing at some time in this tick.
    emptied: Vec<(EventTime, u32)>,
}

fn narrow<const N: usize>(group: [Dim; 4]) -> [Dim; N] {
    debug_assert!(group[N..].iter().all(|dim| *dim == Dim::NONE));
    std::array::from_fn(|i| group[i])
}

fn widen<const N: usize>(group: [Dim; N]) -> [Dim; 4] {
    std::array::from_fn(|i| group.get(i).copied().unwrap_or(Dim::NONE))
}

fn hash(group: &[Dim]) -> u64 {
    let mut hasher = DigestHasher::default();
    group.iter().for_each(|dim| hasher.write_u64(dim.0));
    hasher.finish()
}

/// The place of a group's row, made if there is none.
fn place<const N: usize>(places: &mut Places, rows: &mut Blocks<Sum<N>>, group: [Dim; N]) -> u32 {
    let found = places.entry(
        hash(&group),
        |at| rows.get(*at).group == group,
        |at| hash(&rows.get(*at).group),
    );
    match found {
        Entry::Occupied(at) => *at.get(),
        Entry::Vacant(slot) => {
            let at = rows.put(Sum {
                group,
                acc: Acc::default(),
                touched: false,
            });
            slot.insert(at);
            at
        }
    }
}

fn displace<const N: usize>(places: &mut Places, rows: &mut Blocks<Sum<N>>, at: u32) {
    if let Ok(found) = places.find_entry(hash(&rows.get(at).group), |other| *other == at) {
        found.remove();
    }
}

impl<const N: usize> Sum<N> {
    /// Says that the tick touches it.
    fn touch(&mut self, start: EventTime, at: u32, touched: &mut Vec<Touched>) {
        if !self.touched {
            touched.push((start, at, self.acc));
            self.touched = true;
        }
    }
}

impl<const N: usize> Sums<N> {
    fn new(spec: &ViewSpec) -> Self {
        Sums {
            spec: spec.clone(),
            clock: EventTime::MIN,
            rows: Blocks::default(),
            windows: BTreeMap::new(),
            totals: Places::new(),
            touched: Vec::new(),
            emptied: Vec::new(),
        }
    }

    /// Forgets the steps' rows that hold nothing.
    fn settle_steps(&mut self) {
        for (start, at) in self.emptied.drain(..) {
            let row = self.rows.get_mut(at);
            row.touched = false;
            if row.acc.is_zero()
                && let Some(places) = self.windows.get_mut(&start)
            {
                displace(places, &mut self.rows, at);
                if places.is_empty() {
                    self.windows.remove(&start);
                }
                self.rows.free(at);
            }
        }
    }

    /// Moves the sliding window: steps that enter are added, steps that leave are subtracted.
    fn slide(&mut self, was: EventTime, now: EventTime) {
        let Sums {
            spec,
            rows,
            windows,
            totals,
            touched,
            ..
        } = self;
        let inside = |at: EventTime, clock| {
            let (start, end) = spec.window.sliding_bounds(clock);
            clock > EventTime::MIN && start <= at && at < end
        };
        for (start, places) in windows {
            let sign = isize::from(inside(*start, now)) - isize::from(inside(*start, was));
            if sign != 0 {
                for step in places.iter() {
                    let Sum { group, acc, .. } = *rows.get(*step);
                    let at = place(totals, rows, group);
                    let total = rows.get_mut(at);
                    total.touch(0, at, touched);
                    total.acc.plus_equals(&acc.multiply(&sign));
                }
            }
        }
    }
}

impl<const N: usize> View for Sums<N> {
    fn advance(&mut self, clock: EventTime) {
        if clock <= self.clock {
            return;
        }
        let was = self.clock;
        self.clock = clock;
        let sliding = is_sliding(&self.spec);
        if sliding {
            self.slide(was, clock);
        }
        while let Some(first) = self.windows.first_entry() {
            let start = *first.key();
            if !dropped(&self.spec, self.clock, start) {
                break;
            }
            for at in first.remove() {
                if sliding {
                    self.rows.free(at);
                } else {
                    let row = self.rows.get_mut(at);
                    row.touch(start, at, &mut self.touched);
                    row.acc = Acc::default();
                }
            }
        }
    }

    fn place(&mut self, key: ViewKey) -> Option<u32> {
        let key = turned(&self.spec, key);
        if dropped(&self.spec, self.clock, key.start) {
            return None;
        }
        let places = self.windows.entry(key.start).or_default();
        Some(place(places, &mut self.rows, narrow(key.group)))
    }

    fn add(&mut self, key: ViewKey, at: u32, acc: &Acc) {
        let Sums {
            spec,
            rows,
            touched,
            emptied,
            ..
        } = self;
        let key = turned(spec, key);
        let row = rows.get_mut(at);
        if !is_sliding(spec) {
            row.touch(key.start, at, touched);
            row.acc.plus_equals(acc);
            return;
        }
        row.acc.plus_equals(acc);
        if row.acc.is_zero() && !row.touched {
            row.touched = true;
            emptied.push((key.start, at));
        }
        if self.clock > EventTime::MIN && key.start < spec.window.sliding_bounds(self.clock).1 {
            let at = place(&mut self.totals, rows, narrow(key.group));
            let total = rows.get_mut(at);
            total.touch(0, at, touched);
            total.acc.plus_equals(acc);
        }
    }

    fn settle(&mut self, give: &mut dyn FnMut(ViewKey, Acc, isize)) {
        let sliding = is_sliding(&self.spec);
        let mut touched = std::mem::take(&mut self.touched);
        for (start, at, before) in touched.drain(..) {
            let row = self.rows.get_mut(at);
            row.touched = false;
            let Sum { group, acc: after, .. } = *row;
            if before != after {
                let key = ViewKey {
                    group: widen(group),
                    start,
                };
                let key = turned(&self.spec, key);
                if !before.is_zero() {
                    give(key, before, -1);
                }
                if !after.is_zero() {
                    give(key, after, 1);
                }
            }
            if after.is_zero() {
                if sliding {
                    displace(&mut self.totals, &mut self.rows, at);
                } else if let Some(places) = self.windows.get_mut(&start) {
                    displace(places, &mut self.rows, at);
                    if places.is_empty() {
                        self.windows.remove(&start);
                    }
                }
                self.rows.free(at);
            }
        }
        // Its memory is used again at the next tick.
        self.touched = touched;
        self.settle_steps();
    }
}
