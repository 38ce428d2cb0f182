//! Aggregate: the rows of all views.
//!
//! *In*: contributions as differences of row keys, and the recorded clock. *Out*: for every live row its sums. *State*: the
//! sums of every row by view and window (for sliding views by step, plus the running total per group); windows that ended
//! longer than `keep` before the clock are dropped whole. *Emits* at the tick of the change, old sums out, new sums in;
//! nothing where the sums are what they were. *A retraction* subtracts; a group without posts has no row. Contributions to
//! windows that are already dropped change nothing.
//!
//! The sums are kept by window (see `sums`) instead of in an arrangement: dropping a window frees its rows at once, and a tick
//! costs one lookup per contribution.

mod sums;

use crate::event::{Control, clock_of};
use crate::posts::AHEAD;
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::spec::{ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// A row of a view with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Which row.
    pub at: RowKey,
    /// Its sums.
    pub acc: Acc,
}

/// See the module documentation.
pub fn aggregate<'s>(
    contributions: VecCollection<'s, Tick, RowKey, Acc>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
) -> VecCollection<'s, Tick, Row> {
    let mut states: Vec<_> = views.iter().map(sums::view).collect();
    let sliding: Vec<bool> = views.iter().map(is_sliding).collect();
    per_tick(
        contributions,
        control.filter(|c| matches!(c, Control::Clock(_))),
        "Aggregate",
        move |row| {
            if sliding.get(usize::from(row.view)) == Some(&true) {
                row.route_group()
            } else {
                row.route()
            }
        },
        move |Complete { rows, side, .. }, out| {
            if let Some(clock) = clock_of(side) {
                states.iter_mut().for_each(|view| view.advance(clock));
            }
            for rows in rows.chunks(AHEAD) {
                // All their places before the first is used, so that cache misses overlap.
                let places: SmallVec<[Option<u32>; AHEAD]> = rows
                    .iter()
                    .map(|(row, _)| states.get_mut(usize::from(row.view))?.place(row.key))
                    .collect();
                for ((row, acc), at) in rows.iter().zip(places) {
                    if let (Some(at), Some(view)) = (at, states.get_mut(usize::from(row.view))) {
                        view.add(row.key, at, acc);
                    }
                }
            }
            for (view, state) in (0u16..).zip(&mut states) {
                state.settle(&mut |key, acc, diff| {
                    out.give(
                        Row {
                            at: RowKey { view, key },
                            acc,
                        },
                        diff,
                    )
                });
            }
        },
    )
}

/// A row as it is kept here, and back.
pub(crate) fn turned(spec: &ViewSpec, key: ViewKey) -> ViewKey {
    match spec.window {
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => key.by_end(),
        _ => key,
    }
}

/// Whether a view's window moves with the clock.
pub(crate) fn is_sliding(spec: &ViewSpec) -> bool {
    matches!(spec.window, WindowSpec::Sliding { .. })
}

/// Whether a window, or a step of a sliding one, is beyond retention at the clock; of an anchored one by its end.
pub(crate) fn dropped(spec: &ViewSpec, clock: EventTime, start: EventTime) -> bool {
    let kept = |end: EventTime| spec.keep.is_none_or(|keep| end.saturating_add(keep) > clock);
    match spec.window {
        WindowSpec::Sliding { .. } => clock > EventTime::MIN && start < spec.window.sliding_bounds(clock).0,
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => !kept(start),
        window => !kept(start.saturating_add(window.size())),
    }
}

#[cfg(test)]
mod tests;
