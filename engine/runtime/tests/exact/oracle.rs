//! The property the product rests on: the views at every tick equal a plain computation from scratch over the inputs
//! recorded up to it, for any order, batching, duplicates, number of workers, and with a restart after every tick.

use crate::batch::Oracle;
use crate::harness::{SLIDING, Views, plan, run};
use crate::history::{Delivery, History, delivery, history};
use groundswell_core::record::TickBatch;
use groundswell_core::store::{Store, StoreOptions};
use proptest::prelude::*;

/// Cases per property; `GROUNDSWELL_ORACLE_CASES` asks for more.
fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("GROUNDSWELL_ORACLE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default);
    ProptestConfig {
        cases,
        max_shrink_iters: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Checks every tick of a run against the oracle.
fn check_all(ticks: &[TickBatch], workers: usize) -> Result<Views, TestCaseError> {
    let plan = plan();
    let seen = run(&plan, ticks, workers);
    let mut last = Views::default();
    for end in 1..=ticks.len() {
        let expected = Oracle::of(&ticks[..end]).views(&plan);
        let got = seen.at(&plan, ticks[end - 1].tick);
        prop_assert_eq!(
            &got,
            &expected,
            "at tick {} of {}, {} workers",
            end,
            ticks.len(),
            workers
        );
        last = got;
    }
    Ok(last)
}

proptest! {
    #![proptest_config(cases(700))]

    /// One worker, records in their natural order, one tick each: the base case, checked at every tick.
    #[test]
    fn every_tick(history in history(40)) {
        check_all(&Delivery::natural(history.len()).ticks(&history), 1)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Any order, any batching, duplicates and stale redeliveries, 1, 2 and 4 workers: the same rows at the end.
    #[test]
    fn any_order_and_workers(
        (history, deliveries) in history(60).prop_flat_map(|h| {
            let len = h.len();
            (Just(h), prop::collection::vec(delivery(len), 3))
        })
    ) {
        let base = check_all(&Delivery::natural(history.len()).one_tick(&history), 1)?;
        for (delivery, workers) in deliveries.iter().zip([1, 2, 4]) {
            let end = check_all(&delivery.ticks(&history), workers)?;
            prop_assert_eq!(&end, &base, "{} workers", workers);
        }
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// The record is closed and opened again after every tick, folded into a snapshot now and then; what is restored
    /// gives the same views as never having stopped.
    #[test]
    fn restart_after_every_tick(
        (history, delivery) in history(40).prop_flat_map(|h| { let len = h.len(); (Just(h), delivery(len)) }),
        folds in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file:{}", folder.path().display());
        let (ticks, plan) = (delivery.ticks(&history), plan());
        for (i, batch) in ticks.iter().enumerate() {
            let (mut store, restore) = Store::open(StoreOptions::new(&url)).unwrap();
            let restored: Vec<TickBatch> = restore.map(Result::unwrap).collect();
            let expected = Oracle::of(&ticks[..i]).views(&plan);
            if let Some(last) = restored.last() {
                let got = run(&plan, &restored, 1).at(&plan, last.tick);
                prop_assert_eq!(got, expected, "restored before tick {} of {}", i + 1, ticks.len());
            }
            store.append(batch).unwrap();
            if folds >> (i % 64) & 1 == 1 {
                store.fold_now().unwrap();
            }
        }
    }
}

/// The generated histories reach what they are meant to reach; a generator that stopped doing so would test nothing.
#[test]
fn histories_cover_the_cases() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut rows, mut inherited, mut alerts, mut resolved, mut unscored, mut sliding) = (0, 0, 0, 0, 0, 0);
    for _ in 0..200 {
        let history: History = history(60).new_tree(&mut runner).unwrap().current();
        let ticks = Delivery::natural(history.len()).ticks(&history);
        let oracle = Oracle::of(&ticks);
        let views = oracle.views(&plan());
        rows += views.rows.len();
        sliding += views.rows.keys().filter(|k| k.view == SLIDING).count();
        unscored += views.rows.values().filter(|a| a.scored < a.posts).count();
        inherited += oracle.inherited();
        alerts += views.alerts.len();
        resolved += views.alerts.values().filter(|r| r.is_some()).count();
    }
    println!(
        "rows {rows} sliding {sliding} unscored {unscored} inherited {inherited} alerts {alerts} resolved {resolved}"
    );
    for n in [rows, inherited, alerts, resolved, unscored, sliding] {
        assert!(n > 15, "too few of one kind");
    }
}

/// Windows that pass out of retention are forgotten: the alert they fired stands, it is neither retracted nor fired anew.
#[test]
fn retention_leaves_alerts_standing() {
    use groundswell_core::serving::AlertState;
    let ticks = crate::history::one_bad_post_a_minute(20);
    let seen = run(&crate::harness::kept_plan(), &ticks, 2);
    let states: Vec<_> = seen.transitions().map(|t| (t.state, t.fired.key.start)).collect();
    assert_eq!(
        states,
        [(AlertState::Firing, crate::history::T0.div_euclid(60_000) * 60_000)]
    );
}
