//! The property the product rests on: the views at every tick equal a plain computation from scratch over the inputs
//! recorded up to it, for any order, batching, duplicates, number of workers, and with a restart after every tick.

use crate::batch::Oracle;
use crate::harness::{SLIDING, Views, forgetful_plan, plan, run};
use crate::history::{Delivery, History, alert_history, delivery, forgetful_history, history};
use groundswell_core::id::Dim;
use groundswell_core::record::{CONTROL, Envelope, Past, Record, TickBatch};
use groundswell_core::spec::ViewKey;
use groundswell_core::store::{Store, StoreOptions};
use groundswell_operators::compare::{Count, Tally};
use groundswell_operators::graph::Plan;
use proptest::prelude::*;

/// Cases per property; `GROUNDSWELL_ORACLE_CASES` asks for more.
pub fn cases(default: u32) -> ProptestConfig {
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

fn oracle(plan: &Plan) -> Oracle {
    plan.longest_kept()
        .map_or_else(Oracle::new, |_| Oracle::forgetful(plan))
}

/// Checks every tick of a run against the oracle.
fn check_all(ticks: &[TickBatch], workers: usize) -> Result<Views, TestCaseError> {
    check(&plan(), ticks, workers)
}

pub fn check(plan: &Plan, ticks: &[TickBatch], workers: usize) -> Result<Views, TestCaseError> {
    let seen = run(plan, ticks, workers);
    let (mut last, mut oracle) = (Views::default(), oracle(plan));
    for end in 1..=ticks.len() {
        oracle.tick(&ticks[end - 1], plan);
        let expected = oracle.views(plan);
        let got = seen.at(plan, ticks[end - 1].tick);
        prop_assert_eq!(
            &got,
            &expected,
            "at tick {} of {}, {} workers",
            end,
            ticks.len(),
            workers
        );
        // What is forgotten is wanted no more, which the oracle knows nothing of.
        if plan.longest_kept().is_none() {
            prop_assert_eq!(
                seen.wanted(ticks[end - 1].tick),
                oracle.wanted(plan),
                "wanted at tick {}",
                end
            );
        }
        last = got;
    }
    Ok(last)
}

/// The same without alerts on views with retention: those depend on when their windows were forgotten, and so on the order.
fn lasting(mut views: Views) -> Views {
    let plan = plan();
    views
        .alerts
        .retain(|(_, row), _| plan.views[usize::from(row.view)].keep.is_none());
    views
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
        let base = lasting(check_all(&Delivery::natural(history.len()).one_tick(&history), 1)?);
        for (delivery, workers) in deliveries.iter().zip([1, 2, 4]) {
            let end = check_all(&delivery.ticks(&history), workers)?;
            prop_assert_eq!(&lasting(end), &base, "{} workers", workers);
        }
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// The record is closed and opened again after every tick, folded into a snapshot now and then; what is restored
    /// gives the same views and alerts as never having stopped.
    #[test]
    fn restart_after_every_tick(
        (history, delivery) in history(40).prop_flat_map(|h| { let len = h.len(); (Just(h), delivery(len)) }),
        folds in any::<u64>(),
    ) {
        restart_always(&delivery.ticks(&history), folds)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Rules with `for` and `cooldown` on views with retention, at every tick.
    #[test]
    fn alerts_outlive_their_windows(history in alert_history(60)) {
        check_all(&Delivery::natural(history.len()).ticks(&history), 2)?;
    }

    /// The same with a restart after every tick, from a snapshot at every second one or so.
    #[test]
    fn alerts_outlive_their_windows_and_the_process(history in alert_history(40), folds in any::<u64>()) {
        restart_always(&Delivery::natural(history.len()).ticks(&history), folds)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Where every view has a `keep`, posts are forgotten, which no row and no alert notices.
    #[test]
    fn what_is_forgotten_was_of_no_use(history in forgetful_history(60), workers in 1..3usize, inherit: bool) {
        check(&forgetful_plan(inherit), &Delivery::natural(history.len()).ticks(&history), workers)?;
    }

}

proptest! {
    #![proptest_config(cases(60))]

    /// The same with a restart after every tick; folds forget too.
    #[test]
    fn what_folds_forget_was_of_no_use(history in forgetful_history(40), folds in any::<u64>(), inherit: bool) {
        restart(&forgetful_plan(inherit), &Delivery::natural(history.len()).ticks(&history), folds)?;
    }
}

/// What forgotten windows left behind, and what is purged, is recorded as the engine does it: at a tick of its own, and before a
/// fold covers the tick that said it.
fn restart_always(ticks: &[TickBatch], folds: u64) -> Result<(), TestCaseError> {
    restart(&plan(), ticks, folds)
}

pub fn restart(plan: &Plan, ticks: &[TickBatch], folds: u64) -> Result<(), TestCaseError> {
    let folder = scratch();
    let url = format!("file:{}", folder.path().display());
    let (mut oracle, mut recorded) = (oracle(plan), 0);
    // What a process sees that goes on all the time.
    let mut whole = Vec::new();
    for (i, batch) in ticks.iter().enumerate() {
        let (mut store, restore) = Store::open(StoreOptions::new(&url)).unwrap();
        store.expire_after(plan.retention());
        let restored: Vec<TickBatch> = restore.map(Result::unwrap).collect();
        if let Some(last) = restored.last() {
            let (mut got, mut expected) = (run(plan, &restored, 1).at(plan, last.tick), oracle.views(plan));
            for key in oracle.forgotten() {
                got.alerts.remove(&key);
                expected.alerts.remove(&key);
            }
            prop_assert_eq!(got, expected, "restored before tick {} of {}", i + 1, ticks.len());
        }
        // Room for a tick in between.
        let batch = TickBatch {
            tick: batch.tick * 2,
            ..batch.clone()
        };
        store.append(&batch).unwrap();
        oracle.tick(&batch, plan);
        whole.push(batch.clone());
        if folds >> (i % 64) & 1 == 1 {
            let mut all = restored;
            all.push(batch.clone());
            let records = run(plan, &all, 1).floors(plan, recorded + 1);
            recorded = batch.tick;
            let purges = oracle.erased().into_iter().map(|of| Envelope {
                source: CONTROL,
                partition: 0,
                offset: 0,
                order: 0,
                record: Record::Purged(of),
            });
            let purges = TickBatch {
                tick: batch.tick + 1,
                clock: batch.clock,
                records: purges.collect(),
                ..TickBatch::default()
            };
            if !purges.records.is_empty() {
                oracle.tick(&purges, plan);
                whole.push(purges.clone());
            }
            let records = [records, purges.records].concat();
            if !records.is_empty() {
                let floors = TickBatch {
                    tick: batch.tick + 1,
                    clock: batch.clock,
                    records,
                    ..TickBatch::default()
                };
                store.append(&floors).unwrap();
            }
            store.fold_now().unwrap();
        }
    }
    if let Some(last) = whole.last() {
        let (got, expected) = (run(plan, &whole, 1).at(plan, last.tick), oracle.views(plan));
        prop_assert_eq!(got, expected, "without a restart");
    }
    Ok(())
}

/// Nothing is killed here, so it need not reach a disk, and a thousand states do not wait for one.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Of the answers for one text and model the one of the best rung stands, whatever order they come in and however often
/// the record is folded and opened again; what is neutral stays wanted.
#[test]
fn the_best_rung_stands_in_any_order() {
    use groundswell_core::id::TextKey;
    use groundswell_core::record::{Post, SCORER};
    use groundswell_core::score::{Rung, Score};
    let (text, model) = (TextKey::of(b"so good"), crate::history::model(0));
    let envelope = |record| Envelope {
        source: SCORER,
        partition: 0,
        offset: 0,
        order: 0,
        record,
    };
    let at = crate::history::T0;
    let post = Record::Post(Post {
        id: "p0".into(),
        thread: "t0".into(),
        source: "s".into(),
        text: "so good".into(),
        created_at: at,
        observed_at: at,
        ..Post::default()
    });
    let answer = |rung: Option<Rung>| match rung {
        None => Record::Unscorable { text, model },
        Some(Rung::Neutral) => Record::Score {
            text,
            model,
            score: Score::neutral(),
        },
        Some(rung) => Record::Score {
            text,
            model,
            score: Score {
                rung,
                ..crate::history::fixed_score("so good", u8::from(rung == Rung::Http))
            },
        },
    };
    let all = [Some(Rung::Local), Some(Rung::Http), Some(Rung::Neutral), None];
    let mut orders = vec![vec![]];
    for _ in 0..4 {
        let longer = orders.iter().flat_map(|order: &Vec<usize>| {
            let left = (0..4).filter(|n| !order.contains(n));
            left.map(|n| order.iter().copied().chain([n]).collect())
                .collect::<Vec<_>>()
        });
        orders = longer.collect();
    }
    assert_eq!(orders.len(), 24);
    for order in orders {
        let first = [
            envelope(Record::LiveModel {
                model,
                past: Past::default(),
            }),
            envelope(post.clone()),
        ];
        let rest = order.iter().map(|n| vec![envelope(answer(all[*n]))]);
        let ticks = [first.to_vec()].into_iter().chain(rest);
        let ticks: Vec<TickBatch> = (1..)
            .zip(ticks)
            .map(|(tick, records)| TickBatch {
                tick,
                clock: at,
                records,
                ..TickBatch::default()
            })
            .collect();
        check_all(&ticks, 2).unwrap();
        for folds in [0, u64::MAX, 0b1010] {
            restart_always(&ticks, folds).unwrap();
        }
        let mut end = run(&plan(), &ticks, 1).wanted(u64::MAX);
        end.retain(|(of, _), _| *of == model);
        assert!(end.is_empty(), "the model has answered in the end: {order:?}");
    }
}

/// The generated histories reach what they are meant to reach; a generator that stopped doing so would test nothing.
#[test]
fn histories_cover_the_cases() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut rows, mut inherited, mut alerts, mut resolved, mut unscored, mut sliding) = (0, 0, 0, 0, 0, 0);
    let (mut compared, mut of_entities, mut wanted) = (0, 0, 0);
    let (mut tied, mut liked, mut bonds, mut tagged) = (0, 0, 0, 0);
    let (mut labelled, mut anchored, mut kept_anchored, mut adrift) = (0, 0, 0, 0);
    let (mut bursts, mut cut, mut kept_bursts) = (0, 0, 0);
    let mut erased = 0;
    for _ in 0..600 {
        let history: History = history(60).new_tree(&mut runner).unwrap().current();
        let oracle = followed(&history);
        let views = oracle.views(&plan());
        rows += views.rows.len();
        erased += oracle.kept_out();
        let pairs = |t: &&Tally| t.count == Count::Posts;
        compared += views.tallies.keys().filter(pairs).count();
        of_entities += views
            .tallies
            .keys()
            .filter(pairs)
            .filter(|t| t.entity != Dim::NONE)
            .count();
        wanted += oracle.wanted(&plan()).len();
        sliding += views.rows.keys().filter(|k| k.view == SLIDING).count();
        let of = |view: &str| {
            let at = plan().views.iter().position(|v| v.name == view).unwrap();
            views.rows.keys().filter(|k| usize::from(k.view) == at).count()
        };
        tied += views.tied.children.iter().filter(|child| child.repost).count();
        liked += views.tied.engagement.values().filter(|done| done.likes > 0).count();
        bonds += views.tied.bonds.len();
        tagged += of("tags");
        labelled += of("labels");
        anchored += of("phases");
        kept_anchored += of("kept_phases");
        let burst = |view: &str| {
            let at = plan().views.iter().position(|v| v.name == view).unwrap();
            let rows = views.rows.iter().filter(move |(k, _)| usize::from(k.view) == at);
            rows.map(|(k, acc)| (k.key, acc.posts)).collect::<Vec<_>>()
        };
        bursts += burst("bursts").iter().filter(|(_, posts)| *posts > 1).count();
        kept_bursts += burst("kept_bursts").len();
        // The first of two parts of a run ends, a gap after its last post, behind the start of the second.
        let linked = |two: &[(ViewKey, i32)]| {
            let same = two[0].0.group[..3] == two[1].0.group[..3];
            same && two[0].0.group[3].0.cast_signed() >= two[1].0.start
        };
        let mut parts = burst("bursts");
        parts.sort_by_key(|(key, _)| (key.group[0], key.start));
        cut += parts.windows(2).filter(|two| linked(two)).count();
        adrift += views.tallies.keys().filter(|t| t.count == Count::Adrift).count();
        unscored += views.rows.values().filter(|a| a.scored < a.posts).count();
        inherited += oracle.inherited();
        alerts += views.alerts.len();
        resolved += views.alerts.values().filter(|r| r.is_some()).count();
    }
    let (mut remembered, mut known, mut through) = (0, 0, 0);
    for n in 0..200 {
        let history: History = forgetful_history(60).new_tree(&mut runner).unwrap().current();
        let plan = forgetful_plan(n % 2 == 0);
        let ticks = Delivery::natural(history.len()).ticks(&history);
        remembered += run(&plan, &ticks, 1).live;
        let mut oracle = oracle(&plan);
        ticks.iter().for_each(|batch| oracle.tick(batch, &plan));
        known += oracle.live_posts().len();
        through += oracle.inherited();
    }
    let remembered = usize::try_from(remembered).unwrap();
    println!("posts known {known}, remembered {remembered}, inherited {through}");
    assert!(
        remembered > 15 && remembered * 3 < known * 2,
        "posts are forgotten, and not all of them"
    );
    assert!(through > 15);
    let (mut kept, mut forgotten, mut carried) = (0, 0, 0);
    for _ in 0..200 {
        let history: History = alert_history(60).new_tree(&mut runner).unwrap().current();
        let oracle = followed(&history);
        kept += oracle.views(&plan()).alerts.len();
        forgotten += oracle.forgotten().len();
        carried += oracle.carried();
    }
    println!(
        "rows {rows} sliding {sliding} unscored {unscored} inherited {inherited} alerts {alerts} resolved {resolved} \
         kept {kept} forgotten {forgotten} carried {carried} compared {compared} ({of_entities} of entities) wanted {wanted} \
         labelled {labelled} bursts {bursts} (kept {kept_bursts}, cut {cut}) anchored {anchored} (kept {kept_anchored}) adrift {adrift} reposts {tied} liked {liked} bonds {bonds} tagged {tagged} \
         erased {erased}"
    );
    for n in [
        rows,
        inherited,
        alerts,
        resolved,
        unscored,
        sliding,
        kept,
        forgotten,
        carried,
        compared,
        of_entities,
        wanted,
        labelled,
        anchored,
        kept_anchored,
        adrift,
        bursts,
        kept_bursts,
        cut,
        tied,
        liked,
        bonds,
        tagged,
        erased,
    ] {
        assert!(n > 15, "too few of one kind");
    }
}

fn followed(history: &History) -> Oracle {
    let (mut oracle, plan) = (Oracle::new(), plan());
    let ticks = Delivery::natural(history.len()).ticks(history);
    ticks.iter().for_each(|batch| oracle.tick(batch, &plan));
    oracle
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
