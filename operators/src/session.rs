//! Session: the rows of views whose windows are sessions.
//!
//! *In*: live posts, and the recorded clock. *Out*: for every session its sums, and its authors where the view counts them; the
//! key holds start and end of the window. *State*: per view and group what its posts contribute by moment and author (an
//! ordered index of integers, about 100 bytes a post), and the sessions they form (`session::cut`); and with `keep` the rows by their
//! end. *Emits* at the tick of the change, net: a post that is appended takes the old row back, whose end was another, and gives
//! the new one; one that comes late may join two sessions, and both are taken back. *A retraction* may split one. Sums move
//! between sessions as they are, so that a change costs as much as it changes; only a split adds up the shorter side anew.
//!
//! Rows beyond `keep` are taken back. Their posts stay a little longer ([`Sessions::reach`]): they decide where a session that
//! is kept begins. What is older than that is forgotten and no longer listened to, which no row that is kept can notice.
//!
//! Rows come from here and not from `aggregate`, as every post that is appended gives its row another key: sums and authors
//! would have to be taken out of the old one and put into the new one each time.

mod cut;

use crate::aggregate::Row;
use crate::event::{Control, clock_of};
use crate::live::Live;
use crate::window::{RowKey, contribution, for_each_group};
use cut::{Cut, Shown};
use differential_dataflow::VecCollection;
use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, mix, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::scoring::Policy;
use groundswell_core::spec::{Sessions, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Old posts are looked for each time the clock has moved by such a part of how long they are needed.
const SWEEPS: i64 = 16;

/// What posts of a group contribute at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Place {
    view: u16,
    group: [Dim; 4],
    at: EventTime,
    /// Whose posts; none where authors are not counted.
    author: Dim,
}

impl Place {
    /// Where the group lives.
    fn route(&self) -> u64 {
        self.group.iter().fold(u64::from(self.view), |h, d| mix(h, d.0))
    }
}

/// See the module documentation. Policies say how answers count in each view, and flags whether its authors are counted.
pub fn session<'s>(
    live: VecCollection<'s, Tick, Live>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    counted: (&Arc<[Policy]>, &Arc<[bool]>),
) -> VecCollection<'s, Tick, Row> {
    let mut states: BTreeMap<u16, View> = (0u16..)
        .zip(views.iter())
        .filter_map(|(view, spec)| Some((view, View::new(spec)?)))
        .collect();
    per_tick(
        places(live, views, counted),
        control.filter(|c| matches!(c, Control::Clock(_))),
        "Session",
        Place::route,
        move |Complete { rows, side, .. }, out| {
            if let Some(clock) = clock_of(side) {
                states.values_mut().for_each(|view| view.advance(clock));
            }
            // What a tick takes from a moment and gives it again is no change of it.
            let mut net = DigestMap::<Place, Acc>::default();
            for (place, acc) in rows.drain(..) {
                net.entry(place).or_default().plus_equals(&acc);
            }
            for (place, acc) in net.iter().filter(|(_, acc)| !acc.is_zero()) {
                if let Some(view) = states.get_mut(&place.view) {
                    view.add(place, acc);
                }
            }
            for (view, state) in &mut states {
                state.settle(&mut |key, acc, diff| {
                    let at = RowKey { view: *view, key };
                    out.give(Row { at, acc }, diff);
                });
            }
        },
    )
}

/// What each post contributes, by group and moment.
fn places<'s>(
    live: VecCollection<'s, Tick, Live>,
    views: &Arc<[ViewSpec]>,
    (policies, counted): (&Arc<[Policy]>, &Arc<[bool]>),
) -> VecCollection<'s, Tick, Place, Acc> {
    use differential_dataflow::AsCollection;
    use timely::dataflow::operators::vec::Map;
    let views: Vec<(u16, ViewSpec, Policy, bool)> = (0u16..)
        .zip(views.iter().zip(policies.iter()))
        .filter(|(_, (spec, _))| matches!(spec.window, WindowSpec::Session(_)))
        .map(|(view, (spec, policy))| {
            let counts = counted.get(usize::from(view)) == Some(&true);
            (view, spec.clone(), *policy, counts)
        })
        .collect();
    live.inner
        .flat_map(move |(live, tick, diff)| {
            let at = live.post.created_at;
            let mut out = smallvec::SmallVec::<[_; 4]>::new();
            for (view, spec, policy, counted) in &views {
                let acc = contribution(&live.post, *policy).multiply(&diff);
                let author = if *counted { live.post.author } else { Dim::NONE };
                for_each_group(spec, &live.post, *policy, &mut |group| {
                    let place = Place {
                        view: *view,
                        group,
                        at,
                        author,
                    };
                    out.push((place, tick, acc));
                });
            }
            out
        })
        .as_collection()
}

type Group = [Dim; 4];

/// One view's rows on this worker.
struct View {
    sessions: Sessions,
    keep: Option<i64>,
    clock: EventTime,
    /// The clock of the rows that were given out last.
    given: EventTime,
    /// What was written before this is forgotten.
    horizon: EventTime,
    groups: DigestMap<Group, Cut>,
    /// Groups with sessions that this tick touched.
    touched: BTreeSet<Group>,
    /// With `keep` only: the rows that are out, by end.
    due: BTreeSet<(EventTime, Group, EventTime)>,
}

impl View {
    fn new(spec: &ViewSpec) -> Option<Self> {
        let WindowSpec::Session(sessions) = spec.window else {
            return None;
        };
        Some(View {
            sessions,
            keep: spec.keep,
            clock: EventTime::MIN,
            given: EventTime::MIN,
            horizon: EventTime::MIN,
            groups: DigestMap::default(),
            touched: BTreeSet::new(),
            due: BTreeSet::new(),
        })
    }

    fn advance(&mut self, clock: EventTime) {
        let Some(keep) = self.keep.filter(|_| clock > self.clock) else {
            return;
        };
        self.clock = clock;
        while let Some((end, group, start)) = self.due.first().copied()
            && end.saturating_add(keep) <= clock
        {
            self.due.pop_first();
            if let Some(cut) = self.groups.get_mut(&group) {
                cut.touch(start);
                self.touched.insert(group);
            }
        }
        let needed = keep.saturating_add(self.sessions.reach());
        let horizon = clock.saturating_sub(needed);
        if horizon >= self.horizon.saturating_add(needed / SWEEPS) {
            self.horizon = horizon;
            for (group, cut) in &mut self.groups {
                if cut.forget(&self.sessions, horizon) {
                    self.touched.insert(*group);
                }
            }
        }
    }

    fn add(&mut self, place: &Place, acc: &Acc) {
        if place.at < self.horizon {
            return;
        }
        let cut = self.groups.entry(place.group).or_default();
        cut.add(&self.sessions, (place.at, place.author), acc);
        self.touched.insert(place.group);
    }

    /// Emits what differs from before the tick.
    fn settle(&mut self, give: &mut impl FnMut(ViewKey, Acc, isize)) {
        let (keep, clocks) = (self.keep, (self.given, self.clock));
        let out = |clock: EventTime| move |row: &Shown| keep.is_none_or(|keep| row.end.saturating_add(keep) > clock);
        for group in std::mem::take(&mut self.touched) {
            let Some(cut) = self.groups.get_mut(&group) else {
                continue;
            };
            let due = &mut self.due;
            cut.settle(&self.sessions, &mut |start, before, after| {
                let (before, after) = (before.filter(out(clocks.0)), after.filter(out(clocks.1)));
                if before == after {
                    return;
                }
                for (row, diff) in [(before, -1), (after, 1)] {
                    let Some(row) = row else { continue };
                    let entry = (row.end, group, start);
                    match keep {
                        Some(_) if diff > 0 => due.insert(entry),
                        Some(_) => due.remove(&entry),
                        None => false,
                    };
                    give(ViewKey::with_end(group, start, row.end), row.acc, diff);
                }
            });
            if cut.is_empty() {
                self.groups.remove(&group);
            }
        }
        self.given = self.clock;
    }
}

#[cfg(test)]
mod tests;
