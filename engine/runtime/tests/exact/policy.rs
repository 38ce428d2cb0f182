//! How answers count is a function of the record: another policy over the same record asks no model.

use crate::rig::{Rig, graph, post};
use groundswell::engine::{EngineOptions, MemoryLog};
use groundswell_core::record::Record;
use groundswell_core::scoring::{Sarcasm, ScoringSpec};
use groundswell_models::FixtureScorer;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn options(scoring: ScoringSpec) -> EngineOptions {
    let mut options = EngineOptions::new(graph());
    options.graph.scoring = scoring;
    options.scorer = Some(Arc::new(FixtureScorer::default()));
    options
}

#[test]
fn another_policy_sums_anew_and_asks_no_model() {
    let log = MemoryLog::default();
    let mut rig = Rig::start(options(ScoringSpec::default()), &log);
    let texts = [
        "so good",
        "good, obviously /s",
        "bad",
        "this sucks, suuure",
        "you clown, totally the best",
        "it is what it is",
    ];
    let posts: Vec<Record> = (0..60)
        .map(|n| {
            post(
                n,
                if n % 2 == 0 { "a" } else { "b" },
                &format!("{} {}", texts[n as usize % 6], n / 12),
            )
        })
        .collect();
    rig.put(posts);
    rig.drain();
    rig.check();
    let kept = rig.said.lock().unwrap().rows.clone();
    assert!(kept.values().any(|acc| acc.sarcastic > 0), "some are sarcastic");
    rig.engine.stop().unwrap();
    let mut seen = BTreeSet::from([format!("{kept:?}")]);
    for (sarcasm, view) in [
        (Sarcasm::Flip, None),
        (Sarcasm::Discount, None),
        (Sarcasm::Exclude, None),
        (Sarcasm::Keep, Some(Sarcasm::Exclude)),
        (Sarcasm::Keep, None),
    ] {
        let views = view
            .map(|policy| ("by_source".to_owned(), policy))
            .into_iter()
            .collect();
        let scoring = ScoringSpec {
            sarcasm,
            views,
            ..ScoringSpec::default()
        };
        let mut rig = Rig::start(options(scoring), &log);
        rig.drain();
        rig.check();
        let passes = rig.engine.scorer_stats().passes.load(Ordering::Relaxed);
        assert_eq!(passes, 0, "{sarcasm:?} asked the model");
        let said = rig.said.lock().unwrap();
        let rows = said.rows.clone();
        let (posts, scored) = said.counts(0);
        assert_eq!((posts, scored < 60), (60, sarcasm == Sarcasm::Exclude), "{sarcasm:?}");
        let (_, scored) = said.counts(1);
        assert_eq!(scored < 60, sarcasm == Sarcasm::Exclude || view.is_some());
        drop(said);
        if (sarcasm, view) == (Sarcasm::Keep, None) {
            assert_eq!(rows, kept, "back to what it was");
        } else {
            assert!(seen.insert(format!("{rows:?}")), "{sarcasm:?} {view:?} is another");
        }
        rig.engine.stop().unwrap();
    }
}
