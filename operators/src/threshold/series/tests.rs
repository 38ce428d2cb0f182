//! One rule over one group, against the same answer from scratch.
#![allow(clippy::unwrap_used)]
use super::*;
use groundswell_core::acc::UNIT;
use groundswell_core::expr::{Baseline, Expr};
use groundswell_core::score::Label;
use groundswell_core::time::WEEK;

const MINUTE: WindowSpec = WindowSpec::Tumble { size: 60 };

fn rule(for_ms: i64, cooldown_ms: i64) -> RuleSpec {
    RuleSpec {
        clear: Some(Expr::parse("sentiment > -0.1").unwrap()),
        min_posts: 2,
        for_ms,
        cooldown_ms,
        ..RuleSpec::new("r", "v", Expr::parse("sentiment < -0.3").unwrap())
    }
}

fn windows(values: &[(i64, i32, i32)]) -> BTreeMap<i64, Acc> {
    let acc = |percent: i32, posts| Acc {
        posts,
        ..Acc::scored(UNIT, percent * 10_000, Label::Neutral, false, false)
    };
    values
        .iter()
        .map(|(minute, percent, posts)| (minute * 60, acc(*percent, *posts)))
        .collect()
}

#[test]
fn fires_holds_through_the_gap_and_resolves() {
    let w = windows(&[(0, -40, 5), (1, -20, 5), (2, 90, 1), (3, -40, 1), (4, -40, 5)]);
    let e = episodes_of(&rule(0, 0), MINUTE, &w);
    assert_eq!(
        e,
        Episodes::from([(0, Some(120)), (240, None)]),
        "-0.2 does not clear, one post is enough to clear, and too few to fire"
    );
    let e = episodes_of(&rule(0, 120), MINUTE, &w);
    assert_eq!(e, Episodes::from([(0, Some(120))]), "minute 4 is within the cooldown");
}

#[test]
fn silence_resolves_unless_it_is_what_the_rule_looks_for() {
    let mut w = windows(&[(0, -40, 5), (3, -40, 5)]);
    w.insert(60, Acc::default());
    assert_eq!(
        episodes_of(&rule(0, 0), MINUTE, &w),
        Episodes::from([(0, Some(60)), (180, None)]),
        "no sentiment is neither above -0.1 nor below -0.3"
    );
    let quiet = RuleSpec {
        when: Expr::parse("posts < 6").unwrap(),
        clear: None,
        ..rule(0, 0)
    };
    assert_eq!(episodes_of(&quiet, MINUTE, &w), Episodes::from([(0, None)]));
    let w = BTreeMap::from([(0, Acc::default())]);
    assert_eq!(
        episodes_of(&quiet, MINUTE, &w),
        Episodes::new(),
        "silence alone fires nothing"
    );
}

#[test]
fn for_needs_a_run_of_windows() {
    let run = |values: &[(i64, i32, i32)]| episodes_of(&rule(120, 0), MINUTE, &windows(values));
    let w = [(0, -40, 5), (1, 0, 5), (2, -40, 5), (3, -40, 5), (4, -40, 5)];
    assert_eq!(run(&w), Episodes::from([(180, None)]));
    let w = [(0, -40, 5), (1, -40, 1), (2, -40, 5), (3, -40, 5)];
    assert_eq!(
        run(&w),
        Episodes::from([(180, None)]),
        "a window with too few posts ends the run"
    );
}

#[test]
fn a_series_goes_on_from_what_was_carried() {
    let w = windows(&[(0, -40, 5), (1, -20, 5), (2, 90, 5), (3, -40, 5), (5, -40, 5)]);
    let all = Vec::from_iter(w.keys().copied());
    let rule = rule(0, 120);
    let mut live = Series::default();
    live.update(&rule, MINUTE, &w, &all);
    let mut told = Carried::default();
    for cut in 1..=6 {
        told = live.forget(cut * 60).unwrap_or(told);
        let rest: BTreeMap<_, _> = w
            .iter()
            .filter(|(at, _)| **at >= cut * 60)
            .map(|(at, acc)| (*at, *acc))
            .collect();
        let mut restored = Series::on(told, cut * 60);
        restored.update(&rule, MINUTE, &w, &all);
        assert_eq!(
            restored.episodes(),
            live.episodes(),
            "windows before the cut are in the floor"
        );
        assert_eq!(
            restored.states.keys().collect::<Vec<_>>(),
            rest.keys().collect::<Vec<_>>()
        );
    }
    assert_eq!(told.fired, Some(300));
}

/// Rules that look back: a share that falls, the week before, the median of weeks, and silence.
fn looking_back() -> Vec<RuleSpec> {
    let of = |when: &str, clear: Option<&str>, min_posts, for_ms, cooldown_ms| RuleSpec {
        clear: clear.map(|clear| Expr::parse(clear).unwrap()),
        min_posts,
        for_ms,
        cooldown_ms,
        baseline: Baseline { weeks: 3, min: 2 },
        ..RuleSpec::new("r", "v", Expr::parse(when).unwrap())
    };
    vec![
        of("sentiment < 0.5 * previous(sentiment)", None, 1, 0, 0),
        of(
            "sentiment < previous(sentiment, 2m)",
            Some("sentiment > previous(sentiment)"),
            2,
            120_000,
            0,
        ),
        of("posts > 1.5 * baseline(posts)", None, 0, 0, 120_000),
        of(
            "not (posts > baseline(posts)) and posts > previous(posts, 1m)",
            Some("posts > 2 * baseline(posts)"),
            1,
            0,
            0,
        ),
        of("posts < previous(posts) or posts < 2", None, 0, 120_000, 60_000),
    ]
}

/// Windows of a minute in the same few minutes of some weeks.
fn slot(n: u64) -> i64 {
    let (week, minute) = (i64::try_from(n / 6).unwrap(), i64::try_from(n % 6).unwrap());
    week * WEEK + minute * 60_000
}

#[test]
fn what_earlier_windows_become_moves_later_alerts() {
    let size = WindowSpec::Tumble { size: 60_000 };
    let volume = RuleSpec {
        baseline: Baseline { weeks: 3, min: 2 },
        ..RuleSpec::new("r", "v", Expr::parse("posts > 10 * baseline(posts)").unwrap())
    };
    let posts = |n| Acc {
        posts: n,
        ..Acc::default()
    };
    let (mut series, mut now) = (Series::default(), BTreeMap::new());
    let mut put = |series: &mut Series, at: i64, n: i32| {
        now.insert(at, posts(n));
        series.update(&volume, size, &now, &[at]);
        assert_eq!(*series.episodes(), episodes_of(&volume, size, &now));
    };
    put(&mut series, 3 * WEEK, 50);
    put(&mut series, 2 * WEEK, 4);
    assert_eq!(*series.episodes(), Episodes::new(), "one week is no baseline");
    put(&mut series, WEEK, 5);
    assert_eq!(*series.episodes(), Episodes::from([(3 * WEEK, None)]), "50 > 45");
    put(&mut series, WEEK, 6);
    assert_eq!(
        *series.episodes(),
        Episodes::new(),
        "a post more two weeks ago: 50 is ten times the median"
    );
    put(&mut series, 0, 2);
    assert_eq!(
        *series.episodes(),
        Episodes::from([(3 * WEEK, None)]),
        "the median of 2, 4, 6 is 4"
    );
}

#[test]
fn what_looks_back_goes_on_from_what_was_carried() {
    let size = WindowSpec::Tumble { size: 60_000 };
    let mut next = random(11);
    for rule in looking_back() {
        let reach = rule.reach(&size);
        for _ in 0..200 {
            let mut windows = BTreeMap::new();
            for _ in 0..next(20) {
                windows.insert(slot(next(30)), some(&mut next));
            }
            let all = Vec::from_iter(windows.keys().copied());
            let mut live = Series::default();
            live.update(&rule, size, &windows, &all);
            let horizon = slot(next(30));
            let told = live.forget(horizon + reach).unwrap_or_default();
            let rest = windows.split_off(&horizon);
            let mut restored = Series::on(told, horizon + reach);
            restored.update(&rule, size, &rest, &all);
            assert_eq!(alerts(&restored), alerts(&live), "{rule:?}");
            let late = slot(next(30));
            let mut rest = rest;
            if late >= horizon {
                rest.insert(late, some(&mut next));
                live.update(&rule, size, &rest, &[late]);
                restored.update(&rule, size, &rest, &[late]);
                assert_eq!(alerts(&restored), alerts(&live), "{rule:?}");
            }
        }
    }
}

/// Its alerts, and the windows it judges.
fn alerts(series: &Series) -> (&Episodes, Vec<&i64>) {
    (series.episodes(), series.states.keys().collect())
}

fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed;
    move |n| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    }
}

/// A window with no, few or some posts.
fn some(next: &mut impl FnMut(u64) -> u64) -> Acc {
    let percent = i32::try_from(next(120)).unwrap() - 80;
    let posts = i32::try_from(next(5)).unwrap();
    let of = windows(&[(0, percent, posts)]);
    if posts == 0 { Acc::default() } else { of[&0] }
}

/// Applies changes to a series and compares it with the same windows from scratch.
fn same_as_from_scratch(rule: &RuleSpec, shape: WindowSpec, slot: fn(u64) -> i64, slots: u64) -> usize {
    let mut next = random(7);
    let (mut series, mut now) = (Series::default(), BTreeMap::new());
    let mut moved = 0;
    for _ in 0..2_000 {
        let mut changed = Vec::new();
        for _ in 0..=next(3) {
            let start = slot(next(slots));
            if next(4) == 0 {
                now.remove(&start);
            } else {
                now.insert(start, some(&mut next));
            }
            changed.push(start);
        }
        let before = series.episodes().clone();
        let touched = series.update(rule, shape, &now, &changed);
        assert_eq!(*series.episodes(), episodes_of(rule, shape, &now), "{rule:?}");
        for fired in before.keys().chain(series.episodes().keys()) {
            let (was, is) = (before.get(fired).copied(), series.episodes().get(fired).copied());
            if was != is {
                moved += 1;
                assert_eq!(
                    touched.get(fired),
                    Some(&was),
                    "a changed alert is reported with what it was"
                );
            }
        }
    }
    moved
}

#[test]
fn any_sequence_of_changes_ends_like_from_scratch() {
    for (for_ms, cooldown) in [(0, 0), (120, 0), (0, 120), (180, 240)] {
        let minute = |n| i64::try_from(n).unwrap() * 60;
        let moved = same_as_from_scratch(&rule(for_ms, cooldown), MINUTE, minute, 24);
        assert!(moved > 100, "{moved}");
    }
}

#[test]
fn any_sequence_of_changes_ends_like_from_scratch_for_what_looks_back() {
    for rule in looking_back() {
        let moved = same_as_from_scratch(&rule, WindowSpec::Tumble { size: 60_000 }, slot, 30);
        assert!(moved > 100, "{moved}: {rule:?}");
    }
}
