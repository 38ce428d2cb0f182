//! Anchor: what live posts contribute to windows that are anchored to their thread's times.
//!
//! *In*: live posts, and thread control events. *Out*: for every anchored view, group and phase a post falls in, its
//! contribution as the *difference* of that row's key, and its author where the view counts authors; and how many posts are in
//! threads without a time. *State*: per thread
//! its times, and what its posts contribute by view, group and moment, summed: posts of one millisecond share an entry.
//! *Emits* at the tick of the change, net. *A retraction* of a post subtracts; a thread whose times come late, change or go
//! takes all its contributions out of the windows they were in and puts them into those they are in now. Deleting the thread
//! retracts its posts, and so changes nothing here.

use crate::event::Control;
use crate::live::Live;
use crate::window::{RowKey, contribution, for_each_group};
use differential_dataflow::VecCollection;
use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::record::{Rank, UNRANKED};
use groundswell_core::scoring::Policy;
use groundswell_core::spec::{Anchors, GroupColumn, Phase, Phases, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Output of the operator; sums are in the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Anchored {
    /// A row of an anchored view.
    Row(RowKey),
    /// Posts in such a row by this author.
    Author(RowKey, Dim),
    /// Posts whose thread has no times.
    Adrift,
}

/// What posts of a thread contribute to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Moment {
    thread: Dim,
    /// None: the posts themselves, each once.
    place: Option<Place>,
}

/// A group of a view at a moment; the phase is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Place {
    view: u16,
    group: [Dim; 4],
    at: EventTime,
    /// The posts of this author alone; none: what all contribute.
    author: Dim,
}

/// See the module documentation. Policies say how answers count in each view, and flags whether its authors are counted.
pub fn anchor<'s>(
    live: VecCollection<'s, Tick, Live>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    counted: (&Arc<[Policy]>, &Arc<[bool]>),
) -> VecCollection<'s, Tick, Anchored, Acc> {
    let mut table = Table::new(views);
    per_tick(
        moments(live, views, counted),
        control.filter(|c| matches!(c, Control::Thread { .. })),
        "Anchor",
        |moment: &Moment| moment.thread.0,
        move |Complete { rows, side, .. }, out| {
            let mut net = DigestMap::<Anchored, Acc>::default();
            table.tick(rows, side.drain(..).map(|(control, _)| control), &mut |to, acc| {
                net.entry(to).or_default().plus_equals(acc);
            });
            for (to, acc) in net {
                if !acc.is_zero() {
                    out.give(to, acc);
                }
            }
        },
    )
}

/// What each post contributes, by thread and moment.
fn moments<'s>(
    live: VecCollection<'s, Tick, Live>,
    views: &Arc<[ViewSpec]>,
    (policies, counted): (&Arc<[Policy]>, &Arc<[bool]>),
) -> VecCollection<'s, Tick, Moment, Acc> {
    use differential_dataflow::AsCollection;
    use timely::dataflow::operators::vec::Map;
    let anchored = |(_, (spec, _)): &(u16, (&ViewSpec, &Policy))| matches!(spec.window, WindowSpec::Anchored(_));
    let counts = |view: u16| counted.get(usize::from(view)) == Some(&true);
    let views: Vec<(u16, ViewSpec, Policy, bool)> = (0u16..)
        .zip(views.iter().zip(policies.iter()))
        .filter(anchored)
        .map(|(view, (spec, policy))| (view, spec.clone(), *policy, counts(view)))
        .collect();
    live.inner
        .flat_map(move |(live, tick, diff)| {
            let (thread, at) = (live.post.thread, live.post.created_at);
            let mut out = smallvec::SmallVec::<[_; 4]>::new();
            let post = Acc::unscored().multiply(&diff);
            out.push((Moment { thread, place: None }, tick, post));
            for (view, spec, policy, counted) in &views {
                let acc = contribution(&live.post, *policy).multiply(&diff);
                for_each_group(spec, &live.post, *policy, &mut |group| {
                    let mut give = |author, acc| {
                        let place = Some(Place {
                            view: *view,
                            group,
                            at,
                            author,
                        });
                        out.push((Moment { thread, place }, tick, acc));
                    };
                    give(Dim::NONE, acc);
                    if *counted && live.post.author != Dim::NONE {
                        give(live.post.author, post);
                    }
                });
            }
            out
        })
        .as_collection()
}

/// The phases of one view, with their names' digests and the place of the phase in the group.
struct Cut {
    phases: Phases,
    named: Vec<(Dim, Phase)>,
    slot: usize,
}

impl Cut {
    fn of(spec: &ViewSpec) -> Option<Self> {
        let WindowSpec::Anchored(phases) = spec.window else {
            return None;
        };
        Some(Cut {
            named: phases.iter().map(|p| (Dim::of(p.name.as_str()), *p)).collect(),
            slot: spec.group_by.iter().position(|c| *c == GroupColumn::Phase)?,
            phases,
        })
    }

    /// Keys of the rows a moment of a thread falls in.
    fn rows(&self, group: [Dim; 4], at: EventTime, thread: Anchors) -> impl Iterator<Item = ViewKey> {
        self.named.iter().filter_map(move |(name, phase)| {
            let (start, end) = self.phases.window(phase, thread)?;
            let mut group = group;
            *group.get_mut(self.slot)? = *name;
            (start <= at && at < end).then(|| ViewKey::with_end(group, start, end))
        })
    }
}

/// What is known of a thread.
struct Thread {
    rank: Rank,
    anchors: Anchors,
    posts: Acc,
    moments: BTreeMap<Place, Acc>,
}

impl Default for Thread {
    fn default() -> Self {
        Thread {
            rank: UNRANKED,
            anchors: Anchors::default(),
            posts: Acc::default(),
            moments: BTreeMap::new(),
        }
    }
}

type Give<'a> = dyn FnMut(Anchored, &Acc) + 'a;

struct Table {
    /// By view; none for views with other windows.
    cuts: Vec<Option<Cut>>,
    threads: DigestMap<Dim, Thread>,
}

impl Table {
    fn new(views: &[ViewSpec]) -> Self {
        Table {
            cuts: views.iter().map(Cut::of).collect(),
            threads: DigestMap::default(),
        }
    }

    fn tick(&mut self, moments: &mut Vec<(Moment, Acc)>, control: impl Iterator<Item = Control>, give: &mut Give<'_>) {
        let moved = self.threads(control);
        for (id, before) in &moved {
            if let Some(thread) = self.threads.get(id) {
                self.all(thread, *before, -1, give);
            }
        }
        for (moment, acc) in moments.drain(..) {
            let thread = self.threads.entry(moment.thread).or_default();
            match moment.place {
                None => thread.posts.plus_equals(&acc),
                Some(place) => {
                    let slot = thread.moments.entry(place).or_default();
                    slot.plus_equals(&acc);
                    if slot.is_zero() {
                        thread.moments.remove(&place);
                    }
                }
            }
            let anchors = thread.anchors;
            if !moved.contains_key(&moment.thread) {
                self.one(moment.place, &acc, anchors, give);
            }
            if self.threads.get(&moment.thread).is_some_and(Thread::is_idle) {
                self.threads.remove(&moment.thread);
            }
        }
        for id in moved.keys() {
            if let Some(thread) = self.threads.get(id) {
                self.all(thread, thread.anchors, 1, give);
            }
        }
    }

    /// Applies thread events; the threads whose times changed, with those they had.
    fn threads(&mut self, control: impl Iterator<Item = Control>) -> BTreeMap<Dim, Anchors> {
        let mut before = BTreeMap::new();
        for event in control {
            let Control::Thread { id, rank, anchors, .. } = event else {
                continue;
            };
            let thread = self.threads.entry(id).or_default();
            before.entry(id).or_insert(thread.anchors);
            if thread.rank <= rank {
                (thread.rank, thread.anchors) = (rank, anchors);
            }
        }
        before.retain(|id, was| self.threads.get(id).is_some_and(|now| now.anchors != *was));
        before
    }

    fn all(&self, thread: &Thread, anchors: Anchors, sign: isize, give: &mut Give<'_>) {
        self.one(None, &thread.posts.multiply(&sign), anchors, give);
        for (place, acc) in &thread.moments {
            self.one(Some(*place), &acc.multiply(&sign), anchors, give);
        }
    }

    fn one(&self, place: Option<Place>, acc: &Acc, anchors: Anchors, give: &mut Give<'_>) {
        match place {
            None if anchors == Anchors::default() => give(Anchored::Adrift, acc),
            None => {}
            Some(Place {
                view,
                group,
                at,
                author,
            }) => {
                let cut = self.cuts.get(usize::from(view)).and_then(Option::as_ref);
                for key in cut.into_iter().flat_map(|cut| cut.rows(group, at, anchors)) {
                    let row = RowKey { view, key };
                    give(
                        if author == Dim::NONE {
                            Anchored::Row(row)
                        } else {
                            Anchored::Author(row, author)
                        },
                        acc,
                    );
                }
            }
        }
    }
}

impl Thread {
    /// Nothing is known of it that could matter later.
    fn is_idle(&self) -> bool {
        self.rank == UNRANKED && self.posts.is_zero() && self.moments.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use groundswell_core::spec::{Anchor, Edge, Measure, PhaseName};

    fn table() -> Table {
        let edge = |offset| Edge {
            anchor: Anchor::AirTime,
            offset,
        };
        let phase = |name, from, to| Phase {
            name: PhaseName::new(name).unwrap(),
            from: edge(from),
            to: edge(to),
        };
        let phases = [phase("pre", -100, 0), phase("live", 0, 100), phase("opening", 0, 10)];
        Table::new(&[ViewSpec {
            name: "v".into(),
            group_by: vec![GroupColumn::Thread, GroupColumn::Phase],
            window: WindowSpec::Anchored(Phases::new(&phases, None, 1_000).unwrap()),
            measures: vec![Measure::Posts],
            keep: None,
            extras: groundswell_core::spec::Extras::default(),
        }])
    }

    fn thread(order: i64, air_time: Option<i64>) -> Control {
        Control::Thread {
            id: Dim(7),
            rank: (0, order, 0, 0),
            deleted: false,
            anchors: Anchors {
                air_time,
                ends_at: None,
            },
        }
    }

    fn posts(at: EventTime, n: i32) -> Vec<(Moment, Acc)> {
        let acc = Acc {
            posts: n,
            ..Acc::default()
        };
        let place = Place {
            view: 0,
            group: [Dim(7), Dim::NONE, Dim::NONE, Dim::NONE],
            at,
            author: Dim::NONE,
        };
        [None, Some(place)]
            .map(|place| (Moment { thread: Dim(7), place }, acc))
            .to_vec()
    }

    /// Phase (none: adrift), start and posts of what a tick gives.
    fn run(table: &mut Table, mut moments: Vec<(Moment, Acc)>, control: Vec<Control>) -> Vec<(&'static str, i64, i32)> {
        let mut net = BTreeMap::<(&'static str, i64), i32>::new();
        table.tick(&mut moments, control.into_iter(), &mut |to, acc| {
            let name = |dim| ["pre", "live", "opening"].into_iter().find(|n| Dim::of(n) == dim);
            let key = match to {
                Anchored::Row(row) => (name(row.key.group[1]).unwrap(), row.key.start),
                Anchored::Author(..) => panic!("nobody counts authors"),
                Anchored::Adrift => ("", 0),
            };
            *net.entry(key).or_default() += acc.posts;
        });
        net.into_iter()
            .filter(|(_, n)| *n != 0)
            .map(|((phase, start), n)| (phase, start, n))
            .collect()
    }

    #[test]
    fn a_thread_that_comes_late_moves_or_loses_its_time_takes_its_posts_along() {
        let mut table = table();
        let both = [posts(495, 2), posts(505, 3)].concat();
        assert_eq!(run(&mut table, both, vec![]), [("", 0, 5)]);
        assert_eq!(
            run(&mut table, vec![], vec![thread(1, Some(500))]),
            [("", 0, -5), ("live", 500, 3), ("opening", 500, 3), ("pre", 400, 2)]
        );
        assert_eq!(run(&mut table, vec![], vec![thread(0, Some(9))]), [], "an older record");
        let moved = run(
            &mut table,
            posts(505, -1),
            vec![thread(2, Some(500)), thread(3, Some(490))],
        );
        let net = [
            ("live", 490, 4),
            ("live", 500, -3),
            ("opening", 490, 2),
            ("opening", 500, -3),
            ("pre", 400, -2),
        ];
        assert_eq!(moved, net);
        assert_eq!(
            run(&mut table, vec![], vec![thread(4, None)]),
            [("", 0, 4), ("live", 490, -4), ("opening", 490, -2)]
        );
    }

    #[test]
    fn nothing_stays_of_posts_that_are_gone() {
        let mut table = table();
        run(&mut table, posts(1, 1), vec![]);
        run(&mut table, posts(1, -1), vec![]);
        assert!(table.threads.is_empty());
    }
}
