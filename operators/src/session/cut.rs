//! The posts of one group and the sessions they form.
//!
//! Pure. What [`Sessions`] says of all moments at once is kept true one moment at a time: a moment that comes is a session of
//! its own, one that goes leaves a hole in one, and then the runs on either side are put right: parts that belong together are
//! joined, one that is too long is cut. Never more than the few sessions around the change are looked at: beyond them a run is
//! longer than `max` whatever else it has, and its parts are cut as they are.

use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::Acc;
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::spec::Sessions;
use groundswell_core::time::EventTime;
use std::collections::BTreeMap;

/// A moment, and whose posts.
pub(super) type Moment = (EventTime, Dim);

/// A session as it is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The end of its window.
    pub end: EventTime,
    /// Its sums, and how many authors it has.
    pub acc: Acc,
}

/// A session; its first moment is its key.
#[derive(Debug, Default)]
struct Session {
    last: EventTime,
    sums: Acc,
    /// Posts by author, where authors are counted. A tick's changes are net, so that none is below zero.
    authors: DigestMap<Dim, i32>,
}

impl Session {
    fn add(&mut self, author: Dim, acc: &Acc) {
        self.sums.plus_equals(acc);
        if author != Dim::NONE && acc.posts != 0 {
            let posts = self.authors.entry(author).or_default();
            *posts += acc.posts;
            if *posts == 0 {
                self.authors.remove(&author);
            }
        }
    }

    /// Its last moment, and its sums with the number of its authors.
    fn seen(&self) -> Seen {
        let authors = i32::try_from(self.authors.len()).unwrap_or(i32::MAX);
        (self.last, Acc { authors, ..self.sums })
    }
}

type Seen = (EventTime, Acc);

/// See the module documentation.
#[derive(Default)]
pub(super) struct Cut {
    /// What posts contribute, by moment.
    moments: BTreeMap<Moment, Acc>,
    /// By first moment.
    sessions: BTreeMap<EventTime, Session>,
    /// Touched sessions as they were before this tick.
    before: BTreeMap<EventTime, Option<Seen>>,
}

impl Cut {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// How many moments are known, of each author.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Adds what posts of a moment contribute.
    pub fn add(&mut self, sessions: &Sessions, (at, author): Moment, acc: &Acc) {
        let was = self.is_moment(at);
        let slot = self.moments.entry((at, author)).or_default();
        slot.plus_equals(acc);
        if slot.is_zero() {
            self.moments.remove(&(at, author));
        }
        let is = self.is_moment(at);
        let holds = self.holding(at);
        if let Some(start) = holds {
            self.touch(start);
            if let Some(session) = self.sessions.get_mut(&start) {
                session.add(author, acc);
            }
            if was && !is {
                self.vacate(sessions, start, at);
            }
        } else if is {
            self.touch(at);
            let mut session = Session {
                last: at,
                ..Session::default()
            };
            session.add(author, acc);
            self.sessions.insert(at, session);
            self.put_right(sessions, at);
        }
    }

    /// Forgets what was written before a moment; whether there was any.
    pub fn forget(&mut self, sessions: &Sessions, before: EventTime) -> bool {
        let old: Vec<(Moment, Acc)> = self
            .moments
            .range(..(before, Dim(0)))
            .map(|(moment, acc)| (*moment, *acc))
            .collect();
        for (moment, acc) in &old {
            self.add(sessions, *moment, &acc.multiply(&-1));
        }
        !old.is_empty()
    }

    /// A session is about to change: what it was before the tick is remembered.
    pub fn touch(&mut self, start: EventTime) {
        let sessions = &self.sessions;
        self.before
            .entry(start)
            .or_insert_with(|| sessions.get(&start).map(Session::seen));
    }

    /// Hands out every touched session, by its start, as it was before the tick and as it is.
    pub fn settle(&mut self, sessions: &Sessions, give: &mut impl FnMut(EventTime, Option<Shown>, Option<Shown>)) {
        let shown = |(last, acc): Seen| Shown {
            end: sessions.end(last),
            acc,
        };
        for (start, before) in std::mem::take(&mut self.before) {
            let after = self.sessions.get(&start).map(Session::seen);
            give(start, before.map(shown), after.map(shown));
        }
    }

    fn is_moment(&self, at: EventTime) -> bool {
        let mut there = self.moments.range((at, Dim(0))..=(at, Dim(u64::MAX)));
        there.next().is_some()
    }

    /// The session that a moment lies in.
    fn holding(&self, at: EventTime) -> Option<EventTime> {
        let (start, session) = self.sessions.range(..=at).next_back()?;
        (at <= session.last).then_some(*start)
    }

    fn earlier(&self, at: EventTime) -> Option<EventTime> {
        let mut all = self.moments.range(..(at, Dim(0)));
        all.next_back().map(|((at, _), _)| *at)
    }

    fn later(&self, at: EventTime) -> Option<EventTime> {
        let mut all = self.moments.range((at, Dim(u64::MAX))..);
        let first = all.next().map(|((at, _), _)| *at)?;
        if first > at {
            return Some(first);
        }
        all.next().map(|((at, _), _)| *at)
    }

    /// The session of this start has no post at a moment any more.
    fn vacate(&mut self, sessions: &Sessions, start: EventTime, at: EventTime) {
        let Some(last) = self.sessions.get(&start).map(|session| session.last) else {
            return;
        };
        let earlier = self.earlier(at).filter(|earlier| *earlier >= start);
        let later = self.later(at).filter(|later| *later <= last);
        match (earlier, later) {
            (None, None) => {
                self.sessions.remove(&start);
            }
            (None, Some(first)) => {
                self.touch(first);
                if let Some(session) = self.sessions.remove(&start) {
                    self.sessions.insert(first, session);
                }
            }
            (Some(last), None) => {
                if let Some(session) = self.sessions.get_mut(&start) {
                    session.last = last;
                }
            }
            (Some(earlier), Some(later)) if sessions.linked(earlier, later) => return,
            (Some(_), Some(later)) => self.split(start, later),
        }
        self.put_right(sessions, at);
    }

    /// Puts the runs on both sides of a moment right.
    fn put_right(&mut self, sessions: &Sessions, at: EventTime) {
        let first = |(start, _): (&EventTime, &Session)| *start;
        if let Some(left) = self.sessions.range(..=at).next_back().map(first) {
            self.put_run_right(sessions, left);
        }
        let after = (std::ops::Bound::Excluded(at), std::ops::Bound::Unbounded);
        if let Some(right) = self.sessions.range(after).next().map(first) {
            self.put_run_right(sessions, right);
        }
    }

    /// Joins and cuts the parts of a run that lie around one of them.
    fn put_run_right(&mut self, sessions: &Sessions, around: EventTime) {
        let parts = self.parts(sessions, around);
        let ends = parts.first().zip(parts.last().and_then(|last| self.sessions.get(last)));
        let cut = ends.is_some_and(|(first, last)| sessions.is_cut(*first, last.last));
        if !cut {
            parts.iter().skip(1).for_each(|part| self.join(parts[0], *part));
            return;
        }
        let mut before: Option<EventTime> = None;
        for start in parts {
            let mut start = start;
            if let Some(left) = before
                && sessions.part(left) == sessions.part(start)
            {
                self.join(left, start);
                start = left;
            }
            // A session that was a whole run may lie on both sides of a cut.
            while let Some(at) = self.beyond_part(sessions, start) {
                self.split(start, at);
                start = at;
            }
            before = Some(start);
        }
    }

    /// The first moment of a session that is beyond its part of time.
    fn beyond_part(&self, sessions: &Sessions, start: EventTime) -> Option<EventTime> {
        let last = self.sessions.get(&start)?.last;
        let part = sessions.part(start);
        if sessions.part(last) == part {
            return None;
        }
        let mut beyond = self.moments.range((sessions.begins(part + 1), Dim(0))..);
        beyond.next().map(|((at, _), _)| *at)
    }

    /// The parts of a run around one of them, in order: all of it, or enough to see that it is too long, and at least the
    /// neighbours.
    fn parts(&self, sessions: &Sessions, around: EventTime) -> Vec<EventTime> {
        let Some(middle) = self.sessions.get(&around) else {
            return Vec::new();
        };
        let mut parts = vec![around];
        for (start, session) in self.sessions.range(..around).rev() {
            let first = parts.last().copied().unwrap_or(around);
            if !sessions.linked(session.last, first) {
                break;
            }
            parts.push(*start);
            if sessions.is_cut(*start, middle.last) {
                break;
            }
        }
        parts.reverse();
        let mut last = middle.last;
        let after = (std::ops::Bound::Excluded(around), std::ops::Bound::Unbounded);
        for (start, session) in self.sessions.range(after) {
            if !sessions.linked(last, *start) {
                break;
            }
            parts.push(*start);
            last = session.last;
            if sessions.is_cut(around, last) {
                break;
            }
        }
        parts
    }

    /// Makes one session of two that follow one another.
    fn join(&mut self, left: EventTime, right: EventTime) {
        self.touch(left);
        self.touch(right);
        let Some(mut right) = self.sessions.remove(&right) else {
            return;
        };
        if let Some(left) = self.sessions.get_mut(&left) {
            if left.authors.len() < right.authors.len() {
                std::mem::swap(&mut left.authors, &mut right.authors);
            }
            for (author, posts) in right.authors {
                *left.authors.entry(author).or_default() += posts;
            }
            left.sums.plus_equals(&right.sums);
            left.last = right.last;
        }
    }

    /// Cuts a session in two before a moment of it.
    fn split(&mut self, start: EventTime, at: EventTime) {
        self.touch(start);
        self.touch(at);
        let Some(mut whole) = self.sessions.remove(&start) else {
            return;
        };
        let (last, end) = (whole.last, self.earlier(at).unwrap_or(start));
        let left_is_shorter = end.saturating_sub(start) < last.saturating_sub(at);
        let from = if left_is_shorter { start } else { at };
        let to = if left_is_shorter { end } else { last };
        let mut part = Session::default();
        for ((_, author), acc) in self.moments.range((from, Dim(0))..=(to, Dim(u64::MAX))) {
            part.add(*author, acc);
            whole.add(*author, &acc.multiply(&-1));
        }
        let (mut left, mut right) = if left_is_shorter { (part, whole) } else { (whole, part) };
        (left.last, right.last) = (end, last);
        self.sessions.insert(start, left);
        self.sessions.insert(at, right);
    }
}
