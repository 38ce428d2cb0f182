//! What comes out of the rows of a view, tick by tick, is what sums from scratch say at each tick's end.

use super::sums::view;
use super::{dropped, is_sliding};
use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::Dim;
use groundswell_core::score::Label;
use groundswell_core::spec::{Extras, GroupColumn, Measure, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::EventTime;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Rows = BTreeMap<ViewKey, Acc>;
/// A contribution: step or window start, two columns.
type Part = (EventTime, u64, u64);

fn spec(window: WindowSpec, columns: usize, keep: Option<i64>) -> ViewSpec {
    let all = [
        GroupColumn::Thread,
        GroupColumn::Author,
        GroupColumn::Source,
        GroupColumn::Entity,
    ];
    ViewSpec {
        name: "v".into(),
        group_by: all[..columns].to_vec(),
        window,
        measures: vec![Measure::Posts],
        keep,
        extras: Extras::default(),
    }
}

fn key((start, a, b): Part, columns: usize) -> ViewKey {
    let mut group = [Dim::NONE; 4];
    (group[0], group[columns - 1]) = (Dim(a + 1), Dim(b + 1));
    ViewKey { group, start }
}

fn acc((start, a, b): Part) -> Acc {
    let weight = i64::try_from(a * 7 + b).unwrap_or(0) + start.rem_euclid(5) + 1;
    Acc::scored(
        weight * UNIT,
        1_000 * i32::try_from(b).unwrap_or(0),
        Label::Positive,
        a == 0,
        false,
    )
}

/// All rows at a clock, from scratch.
fn expected(spec: &ViewSpec, columns: usize, parts: &BTreeSet<Part>, clock: EventTime) -> Rows {
    let mut rows = Rows::new();
    for part in parts.iter().filter(|part| !dropped(spec, clock, part.0)) {
        let mut key = key(*part, columns);
        if is_sliding(spec) {
            let (start, end) = spec.window.sliding_bounds(clock);
            if clock == EventTime::MIN || part.0 < start || part.0 >= end {
                continue;
            }
            key.start = 0;
        }
        rows.entry(key).or_default().plus_equals(&acc(*part));
    }
    rows.retain(|_, acc| !acc.is_zero());
    rows
}

fn windows() -> impl Strategy<Value = (WindowSpec, Option<i64>)> {
    prop_oneof![
        Just((WindowSpec::Tumble { size: 10 }, None)),
        Just((WindowSpec::Tumble { size: 10 }, Some(20))),
        Just((WindowSpec::Sliding { size: 30, every: 10 }, None)),
    ]
}

proptest! {
    /// A step of a tick turns a contribution around: it comes if it was not there, and goes if it was, also several times.
    #[test]
    fn rows_are_what_sums_from_scratch_say(
        (window, keep) in windows(),
        columns in 1usize..=4,
        ticks in prop::collection::vec(
            (0i64..15, prop::collection::vec((0i64..12, 0u64..3, 0u64..3), 0..12)),
            1..25,
        ),
    ) {
        let spec = spec(window, columns, keep);
        let mut rows = view(&spec);
        let (mut parts, mut shown, mut clock) = (BTreeSet::new(), Rows::new(), EventTime::MIN);
        for (step, turned) in ticks {
            // The first ticks have no clock.
            if step > 2 {
                clock = clock.max(0) + step;
                rows.advance(clock);
            }
            let mut adds = Vec::new();
            for (start, a, b) in turned {
                // With one column there is one value.
                let part = (start * 10, a, if columns == 1 { a } else { b });
                let sign: isize = if parts.remove(&part) { -1 } else { 1 };
                if sign > 0 {
                    parts.insert(part);
                }
                adds.push((key(part, columns), acc(part).multiply(&sign)));
            }
            // All places first, as the operator asks for them.
            let places: Vec<_> = adds.iter().map(|(key, _)| rows.place(*key)).collect();
            for ((key, acc), at) in adds.iter().zip(places) {
                if let Some(at) = at {
                    rows.add(*key, at, acc);
                }
            }
            let mut changes = Vec::new();
            rows.settle(&mut |key, acc, diff| changes.push((key, acc, diff)));
            changes.sort_by_key(|(.., diff)| *diff);
            for (key, acc, diff) in changes {
                let was = if diff < 0 { shown.remove(&key) } else { shown.insert(key, acc) };
                prop_assert_eq!(was, (diff < 0).then_some(acc));
            }
            prop_assert_eq!(&shown, &expected(&spec, columns, &parts, clock));
        }
    }
}
