//! The table agrees with itself, and with the words that other code knows.

use super::super::pipeline::{Clock, Collection, DeletedBody, FileFormat, Precision, Schemas, TimeUnit};
use super::*;
use groundswell_core::scoring::Sarcasm;
use groundswell_core::spec::{GroupColumn, MAX_WEIGHT, Measure};

fn all<T: Copy>(variants: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    variants.iter().copied().map(name).collect()
}

#[test]
fn the_table_agrees_with_itself_and_the_core() {
    for (i, k) in KEYS.iter().enumerate() {
        assert!(KEYS[..i].iter().all(|o| o.path != k.path), "{} twice", k.path);
        if let Some((parent, _)) = k.path.trim_end_matches(".*").rsplit_once('.') {
            assert!(
                parent.ends_with('*') || find(parent).is_some(),
                "{} has no parent",
                k.path
            );
        }
        assert!(!k.about.is_empty(), "{} says nothing", k.path);
    }
    let words = |path| match find(path).map(|k| k.kind) {
        Some(Choice(words) | Choices(words)) => words,
        other => panic!("{path} is {other:?}"),
    };
    assert_eq!(words("views.*.measures"), Measure::ALL.map(Measure::name));
    assert_eq!(words("views.*.group_by"), GroupColumn::ALL.map(GroupColumn::name));
    assert_eq!(words("time.clock"), all(Clock::ALL, Clock::name));
    assert_eq!(words("sources.*.into"), all(Collection::ALL, Collection::name));
    assert_eq!(words("sources.*.format")[1..4], all(FileFormat::ALL, FileFormat::name));
    assert_eq!(words("sources.*.format")[4..], all(Schemas::ALL, Schemas::name));
    assert_eq!(
        words("sources.*.deleted_body"),
        all(DeletedBody::ALL, DeletedBody::name)
    );
    assert_eq!(words("sources.*.map.*.unit"), all(TimeUnit::ALL, TimeUnit::name));
    assert_eq!(words("scoring.sarcasm"), Sarcasm::ALL.map(Sarcasm::name));
    assert_eq!(words("views.*.sarcasm"), Sarcasm::ALL.map(Sarcasm::name));
    assert_eq!(words("models.live.precision"), all(Precision::ALL, Precision::name));
    assert_eq!(words("models.shadow.precision"), words("models.live.precision"));
    assert_eq!(find("weight.max").map(|k| k.kind), Some(Integer(1, MAX_WEIGHT)));
}
