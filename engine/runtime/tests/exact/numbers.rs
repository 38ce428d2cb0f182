//! Numbers of posts and their authors: sums, ends, top posts and calendar columns equal a plain computation from scratch at
//! every tick, for any order, batching, number of workers, and with a restart after every tick.

use crate::batch::Oracle;
use crate::history::{Delivery, History, Step, T0, delivery, forgetful_history, history};
use crate::oracle::{cases, check, restart};
use groundswell_core::expr::Formula;
use groundswell_core::number::NumberSpec;
use groundswell_core::record::{Author, Record};
use groundswell_core::scoring::{Sarcasm, ScoringSpec};
use groundswell_core::spec::{
    Column, Extras, GraphSpec, GroupColumn, LinkSpec, Measure, ViewSpec, WeightSpec, WindowSpec, Zone,
};
use groundswell_operators::graph::Plan;
use proptest::prelude::*;

/// Views over numbers of every kind: `keep` of all, or of one.
fn plan(keep: Option<i64>) -> Plan {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let declared = NumberSpec::declare(
        &names(&["likes", "replies"]),
        &names(&["ratio"]),
        &names(&["followers"]),
    );
    let view = |name: &str, group_by: &[GroupColumn], window, formulas: &[&str], top: Option<(usize, &str)>| {
        let formulas = formulas.iter().enumerate();
        let columns = formulas.flat_map(|(n, text)| {
            let formula = Formula::parse(text, &declared).unwrap();
            Column::of(&format!("c{n}"), &formula)
        });
        let top = top.map(|(k, by)| (k, declared.iter().find(|n| n.name == by).unwrap().clone()));
        ViewSpec {
            name: name.into(),
            group_by: group_by.to_vec(),
            window,
            measures: vec![Measure::Posts, Measure::Sentiment],
            keep,
            extras: Extras {
                zone: Zone::named("America/New_York").unwrap(),
                ..Extras::new(columns.collect(), top, &declared)
            },
        }
    };
    use GroupColumn::{Author, Entity, Hour, HourOfWeek, Label, Thread, Weekday};
    let minute = WindowSpec::Tumble { size: 60_000 };
    let hop = WindowSpec::Hop {
        size: 120_000,
        every: 60_000,
    };
    let sliding = WindowSpec::Sliding {
        size: 180_000,
        every: 30_000,
    };
    let spec = GraphSpec {
        name: "numbers".into(),
        views: vec![
            view(
                "by_author",
                &[Author],
                minute,
                &["100 * (sum(likes) + sum(replies)) / sum(followers)", "stddev(likes)"],
                Some((2, "likes")),
            ),
            view(
                "by_thread",
                &[Thread],
                hop,
                &["max(votes)", "min(replies)", "share(known(likes), posts)"],
                None,
            ),
            view(
                "sliding",
                &[Entity],
                sliding,
                &["mean(ratio)", "max(likes)"],
                Some((3, "votes")),
            ),
            view(
                "labels",
                &[Label, Hour],
                minute,
                &["sum(replies)"],
                Some((1, "followers")),
            ),
            view("plain", &[Weekday, Thread], minute, &[], None),
            view("heat", &[HourOfWeek], sliding, &["mean(likes)"], None),
        ],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        events: None,
        scoring: ScoringSpec {
            views: [("labels".to_owned(), Sarcasm::Exclude)].into(),
            ladder: true,
            ..ScoringSpec::default()
        },
        numbers: declared,
        ties: false,
    };
    Plan::new(&spec, |_| true)
}

/// The fields of a post's record: few values, so that there are ties, and things that are no numbers of ours.
fn fields() -> impl Strategy<Value = Option<String>> {
    let number = || prop_oneof![6 => (0i64..6).prop_map(Some), 1 => Just(Some(1 << 40)), 1 => Just(None)];
    let ratio = prop_oneof![3 => (0i32..=20).prop_map(|n| Some(f64::from(n) / 20.0)), 1 => Just(None)];
    let all = (number(), number(), ratio, any::<bool>()).prop_map(|(likes, replies, ratio, other)| {
        let mut fields = serde_json::json!({"likes": likes, "ratio": ratio, "title": "likes"});
        if other {
            fields["replies"] = replies.into();
        }
        fields.to_string()
    });
    prop::option::weighted(0.8, all)
}

fn author() -> impl Strategy<Value = Step> {
    let numbers = prop::option::weighted(0.85, prop::option::of(prop::sample::select(&[0i64, 10, 1_000][..])));
    (0..3, 0i64..8, numbers).prop_map(|(n, at, followers)| {
        Step::Record(Box::new(Record::Author(Author {
            id: format!("a{n}"),
            observed_at: T0 + at * 10_000,
            numbers: followers.map(|n| serde_json::json!({ "followers": n }).to_string()),
        })))
    })
}

/// A history whose posts have numbers, with records of authors among them.
fn numbered(history: impl Strategy<Value = History>, max: usize) -> impl Strategy<Value = History> {
    let fields = prop::collection::vec(fields(), max * 2);
    let authors = prop::collection::vec((any::<prop::sample::Index>(), author()), 0..max / 4);
    (history, fields, authors).prop_map(|(mut steps, fields, authors)| {
        for (step, fields) in steps.iter_mut().zip(fields) {
            if let Step::Record(record) = step
                && let Record::Post(post) = &mut **record
            {
                post.extra = fields;
                // Where the history gives posts no author.
                if post.author.is_none() && post.id.ends_with(['0', '1', '2']) {
                    post.author = Some(format!("a{}", &post.id[post.id.len() - 1..]));
                }
            }
        }
        for (at, author) in authors {
            steps.insert(at.index(steps.len()), author);
        }
        steps
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn numbers_at_every_tick(history in numbered(history(40), 40), workers in 1..3usize) {
        check(&plan(None), &Delivery::natural(history.len()).ticks(&history), workers)?;
    }

    /// What is forgotten is forgotten with its numbers, and no row notices.
    #[test]
    fn numbers_of_posts_that_are_forgotten(history in numbered(forgetful_history(60), 90), workers in 1..3usize) {
        check(&plan(Some(180_000)), &Delivery::natural(history.len()).ticks(&history), workers)?;
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// Polls in any order and any batching: the newest stands, and the rows are the same.
    #[test]
    fn numbers_in_any_order(
        (history, deliveries) in numbered(history(60), 60).prop_flat_map(|h| {
            let len = h.len();
            (Just(h), prop::collection::vec(delivery(len), 3))
        })
    ) {
        let plan = plan(None);
        let mut base = check(&plan, &Delivery::natural(history.len()).one_tick(&history), 1)?;
        base.alerts.clear();
        for (delivery, workers) in deliveries.iter().zip([1, 2, 4]) {
            let mut end = check(&plan, &delivery.ticks(&history), workers)?;
            end.alerts.clear();
            prop_assert_eq!(&end, &base, "{} workers", workers);
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn numbers_after_a_restart_at_every_tick(
        (history, delivery) in numbered(history(40), 40).prop_flat_map(|h| { let len = h.len(); (Just(h), delivery(len)) }),
        folds in any::<u64>(),
    ) {
        restart(&plan(None), &delivery.ticks(&history), folds)?;
    }

    #[test]
    fn numbers_after_folds_that_forget(history in numbered(forgetful_history(40), 60), folds in any::<u64>()) {
        restart(&plan(Some(180_000)), &Delivery::natural(history.len()).ticks(&history), folds)?;
    }
}

/// The histories reach what they are meant to reach.
#[test]
fn histories_have_numbers() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut full, mut known, mut partly, mut spread, mut joined) = (0, 0, 0, 0, 0);
    let plan = plan(None);
    for _ in 0..200 {
        let history = numbered(history(60), 60).new_tree(&mut runner).unwrap().current();
        let ticks = Delivery::natural(history.len()).ticks(&history);
        let oracle = Oracle::of(&ticks);
        for (row, numbers) in oracle.views(&plan).numbers {
            let spec = &plan.views[usize::from(row.view)];
            full += usize::from(spec.extras.top.as_ref().is_some_and(|top| numbers.top.len() == top.k));
            known += numbers.stats.iter().filter(|stat| stat.known > 1).count();
            partly += numbers.stats.iter().filter(|stat| stat.known == 0).count();
            spread += numbers
                .stats
                .iter()
                .filter(|s| s.bounds.is_some_and(|(a, b)| a < b))
                .count();
            let of_authors = spec.extras.numbers.iter().zip(&numbers.stats);
            joined += of_authors
                .filter(|(used, stat)| used.number.name == "followers" && stat.known > 0)
                .count();
        }
    }
    println!("full {full} known {known} none {partly} spread {spread} joined {joined}");
    for n in [full, known, partly, spread, joined] {
        assert!(n > 30, "too few of one kind");
    }
}
