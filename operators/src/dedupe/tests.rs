//! Tests of the table behind `dedupe`.

#![allow(clippy::unwrap_used)]
use super::*;
use groundswell_core::erasure::Subject;
use groundswell_core::id::{Dim, TextKey};

fn row(text: &str) -> PostRow {
    PostRow {
        text: TextKey::of(text.as_bytes()),
        parent: PostKey::NONE,
        thread: Dim::of("t"),
        author: Dim::NONE,
        source: Dim::NONE,
        created_at: 7,
        about: TextKey::NONE,
        given: None,
    }
}

#[derive(Default)]
struct Table {
    held: Held,
    upserts: Upserts,
    tick: Tick,
}

impl Table {
    fn new(retention: Option<i64>) -> Self {
        Table {
            upserts: Upserts::new(retention),
            ..Table::default()
        }
    }

    /// Applies the events of one post at a tick of their own.
    fn apply(&mut self, key: PostKey, events: &[PostEvent], turned: &Turned) -> (Vec<(Upserted, isize)>, u64) {
        let (mut out, mut stale) = (Vec::new(), 0);
        self.tick += 1;
        let slot = self.held.slot(key);
        self.upserts.apply(
            slot,
            self.tick,
            events.iter(),
            &mut |_, _| stale += 1,
            turned,
            &mut |r, d| out.push((r, d)),
        );
        (out, stale)
    }

    fn turn(&mut self, control: &[Control]) -> Vec<(Upserted, isize)> {
        let turned = self.upserts.bars.learn(control.iter().cloned());
        let touched = Upserts::posts_of(&self.held, &turned);
        let each = touched.into_iter();
        each.flat_map(|(key, _)| self.apply(key, &[], &turned).0).collect()
    }

    /// How many posts are left once live has passed everything.
    fn left(&mut self) -> usize {
        self.held.passed(self.tick);
        self.held.posts.len()
    }
}

fn run(table: &mut Table, events: &[PostEvent]) -> (Vec<(Upserted, isize)>, u64) {
    table.apply(PostKey(1), events, &Turned::default())
}

fn at(order: i64, row: Option<(PostRow, VoteAt)>) -> PostEvent {
    PostEvent::Row {
        rank: (0, order, 0, 0),
        row,
    }
}

#[test]
fn votes_alone_never_touch_the_row() {
    let mut table = Table::default();
    run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
    let (out, _) = run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]);
    assert_eq!(out, [(Upserted::Votes(3), -1), (Upserted::Votes(8), 1)]);
    let (out, stale) = run(&mut table, &[PostEvent::Votes((8, Some(100)), 0)]);
    assert_eq!((out, stale), (vec![], 1), "an older observation is stale");
}

#[test]
fn a_vote_may_come_first_and_a_stale_redelivery_loses_against_a_deletion() {
    let mut table = Table::default();
    assert_eq!(run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]).0, []);
    let (out, _) = run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
    assert_eq!(out, [(Upserted::Row(row("a")), 1), (Upserted::Votes(8), 1)]);
    let (out, _) = run(&mut table, &[at(3, None)]);
    assert_eq!(out, [(Upserted::Row(row("a")), -1), (Upserted::Votes(8), -1)]);
    assert_eq!(run(&mut table, &[at(2, Some((row("b"), (5, None))))]), (vec![], 1));
}

#[test]
fn what_changed_nothing_is_named_at_watched_ticks_only() {
    let duplicates = Duplicates::default();
    duplicates.watch(5);
    let stale = Stale::of(PostKey(1), &at(2, None));
    assert_eq!((stale.rank, stale.votes), ((0, 2, 0, 0), false));
    for tick in [5, 6] {
        duplicates.add(tick, [(0, 1)], vec![stale]);
    }
    assert_eq!((duplicates.unwatch(5), duplicates.unwatch(6)), (vec![stale], vec![]));
    assert_eq!(duplicates.unwatch(5), [], "it is watched no more");
    assert_eq!(duplicates.take(5), [(0, 1)].into());
    duplicates.watch(7);
    duplicates.arrived(7, [(Unchanged::Source(3), 2), (Unchanged::Record(stale), 2)]);
    assert_eq!(duplicates.unwatch(7), [stale, stale], "one that came twice");
    assert_eq!(duplicates.take(7), [(3, 2)].into());
    let votes = Stale::of(PostKey(1), &PostEvent::Votes((9, None), 3));
    assert_eq!((votes.rank, votes.votes), (votes_rank(9, None), true));
}

#[test]
fn posts_beyond_retention_are_retracted_and_nothing_is_left_of_them() {
    let mut table = Table::new(Some(1_000));
    let forget = |table: &mut Table, clock| {
        let mut gone = Vec::new();
        table.tick += 1;
        let Table { held, upserts, tick } = table;
        upserts.forget(held, *tick, clock, &mut |_, row| gone.push(row));
        gone
    };
    // Before there is a clock.
    run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]);
    assert_eq!(forget(&mut table, 5_000), []);
    assert_eq!(table.left(), 1);
    let late = PostRow {
        created_at: 5_500,
        ..row("a")
    };
    run(&mut table, &[at(1, Some((late, (5, Some(3)))))]);
    // Looked at where its votes would have gone, and kept by when it was written.
    assert_eq!(forget(&mut table, 6_200), []);
    assert_eq!(forget(&mut table, 6_700), [Upserted::Row(late), Upserted::Votes(8)]);
    assert_eq!(table.left(), 0);
    let (out, _) = run(&mut table, &[at(2, None)]);
    assert_eq!((out, table.left()), (vec![], 1), "a deletion counts from when it came");
    assert_eq!(forget(&mut table, 7_600), []);
    assert_eq!(table.left(), 1);
    assert_eq!(forget(&mut table, 7_900), []);
    assert_eq!(table.left(), 0);
}

#[test]
fn deleting_a_thread_removes_and_restores_what_hangs_on_it() {
    let mut table = Table::default();
    run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
    let flip = |table: &mut Table, order, deleted| {
        let id = Dim::of("t");
        table.turn(&[Control::Thread {
            id,
            rank: (0, order, 0, 0),
            deleted,
            anchors: groundswell_core::spec::Anchors::default(),
        }])
    };
    let out = flip(&mut table, 1, true);
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|(_, d)| *d == -1));
    let (edit, _) = run(&mut table, &[at(2, Some((row("b"), (5, Some(3)))))]);
    assert_eq!(edit, [], "an edit below a deleted thread stays invisible");
    let out = flip(&mut table, 2, false);
    assert!(out.contains(&(Upserted::Row(row("b")), 1)));
    assert_eq!(
        flip(&mut table, 1, true),
        [],
        "a stale record of the thread changes nothing"
    );
}

#[test]
fn what_is_purged_is_a_deletion_and_comes_back_only_if_it_comes_again() {
    let mut table = Table::default();
    let erase = |order, stands| Control::Erasure {
        of: Subject::thread("t"),
        rank: (0, order, 0, 0),
        stands,
    };
    run(
        &mut table,
        &[at(5, Some((row("a"), (5, Some(3))))), PostEvent::Votes((9, Some(8)), 0)],
    );
    assert_eq!(table.turn(&[erase(1, true)]).len(), 2);
    assert_eq!(table.turn(&[Control::Purged(Subject::thread("t"))]), []);
    assert_eq!(table.turn(&[erase(2, false)]), [], "nothing is left");
    let (out, stale) = run(&mut table, &[at(4, Some((row("old"), (5, None))))]);
    assert_eq!((out, stale), (vec![], 1), "its rank still stands");
    let (out, _) = run(&mut table, &[at(6, Some((row("again"), (5, None))))]);
    assert_eq!(out, [(Upserted::Row(row("again")), 1), (Upserted::Votes(8), 1)]);
    // Even of what nothing keeps out.
    let out = table.turn(&[
        Control::Purged(Subject::post("p")),
        Control::Purged(Subject::thread("t")),
    ]);
    assert_eq!(out, [(Upserted::Row(row("again")), -1), (Upserted::Votes(8), -1)]);
}
