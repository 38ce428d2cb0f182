#![allow(clippy::unwrap_used)]
use super::*;
use groundswell_core::score::Label;
use groundswell_core::spec::{Extras, GroupColumn, Measure};
use proptest::prelude::*;

const GAP: i64 = 10;
const MAX: i64 = 40;
const G: Group = [Dim(7), Dim::NONE, Dim::NONE, Dim::NONE];

fn view(keep: Option<i64>) -> View {
    View::new(&ViewSpec {
        name: "bursts".into(),
        group_by: vec![GroupColumn::Thread],
        window: WindowSpec::Session(Sessions { gap: GAP, max: MAX }),
        measures: Measure::ALL.to_vec(),
        keep,
        extras: Extras::default(),
    })
    .unwrap()
}

/// A post that weighs what its moment and author say, so that no two sums are alike.
fn post(at: i64, author: u64, n: i32) -> (Place, Acc) {
    let acc = Acc::scored(
        (1 << 24) + at * 31 + i64::from(author as u32),
        at as i32,
        Label::Neutral,
        false,
        false,
    );
    let place = Place {
        view: 0,
        group: G,
        at,
        author: Dim(author),
    };
    (place, acc.multiply(&(n as isize)))
}

type Rows = BTreeMap<(i64, i64), Acc>;

/// Applies a tick to the view and to the rows that are out; every row taken back must have been out.
fn tick(view: &mut View, rows: &mut Rows, clock: Option<i64>, changes: &[(Place, Acc)]) {
    clock.into_iter().for_each(|clock| view.advance(clock));
    changes.iter().for_each(|(place, acc)| view.add(place, acc));
    let mut said = Vec::new();
    view.settle(&mut |key, acc, diff| {
        assert_eq!(key.group[0], G[0]);
        said.push(((key.start, key.group[3].0.cast_signed()), acc, diff));
    });
    said.sort_by_key(|(_, _, diff)| *diff);
    for (key, acc, diff) in said {
        if diff < 0 {
            assert_eq!(rows.remove(&key), Some(acc), "{key:?}");
        } else {
            assert_eq!(rows.insert(key, acc), None, "{key:?}");
        }
    }
}

fn bounds(rows: &Rows) -> Vec<(i64, i64, i32)> {
    rows.iter()
        .map(|((start, end), acc)| (*start, *end, acc.posts))
        .collect()
}

/// The same from scratch: runs, cut where they are too long.
fn from_scratch(posts: &BTreeMap<(i64, u64), i32>) -> Rows {
    let mut runs: Vec<Vec<(i64, u64, i32)>> = Vec::new();
    for ((at, author), n) in posts {
        match runs.last_mut() {
            Some(run) if at - run.last().unwrap().0 <= GAP => run.push((*at, *author, *n)),
            _ => runs.push(vec![(*at, *author, *n)]),
        }
    }
    let mut parts = Vec::new();
    for run in runs {
        if run.last().unwrap().0 - run[0].0 <= MAX {
            parts.push(run);
            continue;
        }
        parts.extend(
            run.chunk_by(|a, b| a.0.div_euclid(MAX) == b.0.div_euclid(MAX))
                .map(<[_]>::to_vec),
        );
    }
    let mut rows = Rows::new();
    for part in parts {
        let mut sums = Acc::default();
        let mut authors = BTreeSet::new();
        for (at, author, n) in &part {
            sums.plus_equals(&post(*at, *author, *n).1);
            authors.extend((*author != 0).then_some(*author));
        }
        sums.authors = authors.len() as i32;
        rows.insert((part[0].0, part.last().unwrap().0 + GAP), sums);
    }
    rows
}

#[test]
fn a_late_post_joins_two_sessions_and_its_deletion_splits_them_again() {
    let (mut view, mut rows) = (view(None), Rows::new());
    tick(
        &mut view,
        &mut rows,
        None,
        &[post(0, 1, 1), post(8, 2, 1), post(25, 1, 1)],
    );
    assert_eq!(bounds(&rows), [(0, 18, 2), (25, 35, 1)]);
    tick(&mut view, &mut rows, None, &[post(17, 3, 1)]);
    assert_eq!(bounds(&rows), [(0, 35, 4)]);
    assert_eq!(rows[&(0, 35)].authors, 3);
    tick(&mut view, &mut rows, None, &[post(17, 3, -1)]);
    assert_eq!(bounds(&rows), [(0, 18, 2), (25, 35, 1)]);
    // Eleven apart is too far, ten is not.
    tick(&mut view, &mut rows, None, &[post(19, 3, 1)]);
    assert_eq!(bounds(&rows), [(0, 18, 2), (19, 35, 2)]);
}

#[test]
fn an_edit_moves_a_post_within_a_tick() {
    let (mut view, mut rows) = (view(None), Rows::new());
    tick(
        &mut view,
        &mut rows,
        None,
        &[post(0, 1, 1), post(8, 1, 1), post(16, 1, 1)],
    );
    tick(&mut view, &mut rows, None, &[post(8, 1, -1), post(50, 1, 1)]);
    assert_eq!(bounds(&rows), [(0, 10, 1), (16, 26, 1), (50, 60, 1)]);
    tick(
        &mut view,
        &mut rows,
        None,
        &[post(0, 1, -1), post(16, 1, -1), post(50, 1, -1)],
    );
    assert!(
        rows.is_empty() && view.groups.is_empty(),
        "nothing stays of posts that are gone"
    );
}

#[test]
fn a_run_that_does_not_end_is_cut_and_one_that_turns_out_shorter_is_whole_again() {
    let (mut view, mut rows) = (view(None), Rows::new());
    let all: Vec<_> = (3..=12).map(|n| post(n * 5, 1, 1)).collect();
    tick(&mut view, &mut rows, None, &all[..9]);
    // Fifteen to fifty-five: as long as may be, over a multiple of forty.
    assert_eq!(bounds(&rows), [(15, 65, 9)]);
    tick(&mut view, &mut rows, None, &all[9..]);
    assert_eq!(bounds(&rows), [(15, 45, 5), (40, 70, 5)]);
    let first: Vec<_> = all[..1]
        .iter()
        .map(|(place, acc)| (*place, acc.multiply(&-1)))
        .collect();
    tick(&mut view, &mut rows, None, &first);
    assert_eq!(bounds(&rows), [(20, 70, 9)]);
}

#[test]
fn sessions_beyond_keep_go_and_what_they_began_with_is_forgotten_later() {
    let (mut view, mut rows) = (view(Some(100)), Rows::new());
    tick(&mut view, &mut rows, Some(0), &[post(0, 1, 1), post(30, 1, 1)]);
    tick(&mut view, &mut rows, Some(109), &[]);
    assert_eq!(bounds(&rows), [(0, 10, 1), (30, 40, 1)]);
    tick(&mut view, &mut rows, Some(110), &[]);
    assert_eq!(bounds(&rows), [(30, 40, 1)]);
    // What joins a session that is gone with one that is kept takes its posts along.
    tick(&mut view, &mut rows, None, &[post(10, 1, 1), post(20, 1, 1)]);
    assert_eq!(bounds(&rows), [(0, 40, 4)]);
    tick(&mut view, &mut rows, Some(1_000), &[]);
    assert!(rows.is_empty() && view.groups.is_empty() && view.due.is_empty());
    tick(&mut view, &mut rows, None, &[post(0, 1, -1), post(800, 1, 1)]);
    assert!(
        rows.is_empty() && view.groups.is_empty(),
        "nobody listens to what is forgotten"
    );
}

/// How far the clock moves, and posts that come or, if there are, go.
type Ticked = (i64, Vec<(i64, u64, bool)>);

fn ticks(span: i64) -> impl Strategy<Value = Vec<Ticked>> {
    let change = (0..span, 0..4u64, prop::bool::weighted(0.6));
    prop::collection::vec((0..40i64, prop::collection::vec(change, 0..8)), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of changes ends like from scratch, at every tick.
    #[test]
    fn any_history_ends_like_from_scratch(history in ticks(160), keep in prop::option::of(Just(60i64))) {
        let (mut view, mut rows, mut clock) = (view(keep), Rows::new(), 0);
        let mut posts = BTreeMap::<(i64, u64), i32>::new();
        for (later, changes) in history {
            clock += later;
            let mut net = BTreeMap::<(i64, u64), i32>::new();
            for (at, author, comes) in changes {
                // Posts are written in the past or a little ahead.
                let at = at - 60 + clock.min(100);
                let there = posts.entry((at, author)).or_default();
                if comes || *there > 0 {
                    *there += if comes { 1 } else { -1 };
                    *net.entry((at, author)).or_default() += if comes { 1 } else { -1 };
                }
            }
            posts.retain(|_, n| *n != 0);
            let net: Vec<_> = net.into_iter().filter(|(_, n)| *n != 0).map(|((at, author), n)| post(at, author, n)).collect();
            tick(&mut view, &mut rows, Some(clock), &net);
            let mut expected = from_scratch(&posts);
            expected.retain(|(_, end), _| keep.is_none_or(|keep| end + keep > clock));
            prop_assert_eq!(&rows, &expected);
        }
        let moments: usize = view.groups.values().map(Cut::len).sum();
        prop_assert!(moments <= posts.len());
    }
}
