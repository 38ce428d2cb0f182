//! Every family against the logits that `transformers` computed, from the folders `models/parity/make.py` writes.

use super::{CPU, Precision, TorchOptions, TorchScorer};
use crate::{Scorer, bundle::Bundle};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) const FAMILIES: [&str; 6] = ["bert", "roberta", "xlm-roberta", "distilbert", "sharded", "two-level"];

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    /// By task, then by text.
    logits: BTreeMap<String, Vec<Vec<f32>>>,
}

pub(super) fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/fixtures").join(case)
}

fn expected(case: &str) -> Expected {
    let json = std::fs::read_to_string(folder(case).join("expected.json")).expect("committed");
    serde_json::from_str(&json).expect("as the script writes it")
}

pub(super) fn scorer(case: &str, precision: Precision) -> TorchScorer {
    let options = TorchOptions { precision, ..CPU };
    TorchScorer::open(&folder(case), options).expect("loaded")
}

/// The greatest distance to the expected logits, texts given `at_once`.
fn distance(scorer: &TorchScorer, expected: &Expected, at_once: usize) -> f32 {
    let mut greatest = 0.0f32;
    for (batch, texts) in expected.texts.chunks(at_once).enumerate() {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (logits, _) = scorer.logits(&texts).expect("a pass");
        for (task, all) in &expected.logits {
            for n in 0..texts.len() {
                let (actual, wanted) = (logits.of(task, n), &all[batch * at_once + n]);
                assert_eq!(actual.len(), wanted.len(), "{task}");
                for (a, b) in actual.iter().zip(wanted) {
                    greatest = greatest.max((a - b).abs());
                }
            }
        }
    }
    greatest
}

#[test]
fn logits_are_those_of_transformers_packed_and_one_by_one() {
    for case in FAMILIES {
        let (scorer, expected) = (scorer(case, Precision::Fp32), expected(case));
        for at_once in [1, 3, expected.texts.len()] {
            let off = distance(&scorer, &expected, at_once);
            assert!(off < 1e-4, "{case}, {at_once} at once: off by {off}");
        }
        let three = TorchScorer::open(&folder(case), TorchOptions { threads: 3, ..CPU }).expect("loaded");
        let off = distance(&three, &expected, expected.texts.len());
        assert!(off < 1e-4, "{case} on three threads: off by {off}");
    }
}

#[test]
fn other_precisions_are_near_and_are_other_models() {
    for case in FAMILIES {
        let (exact, expected) = (scorer(case, Precision::Fp32), expected(case));
        for precision in [Precision::Bf16, Precision::Int8] {
            let rough = scorer(case, precision);
            let off = distance(&rough, &expected, 8);
            // Random weights are ten times as large as trained ones; the logits reach 10.
            assert!(off < 1.5, "{case} in {precision:?}: off by {off}");
            assert!(off > 1e-4, "{case} in {precision:?}: computed in fp32");
            assert_ne!(rough.model(), exact.model());
        }
    }
}

#[test]
fn eight_bits_give_one_answer_in_any_company() {
    for case in FAMILIES {
        let (scorer, expected) = (scorer(case, Precision::Int8), expected(case));
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        let together = scorer.forward(&texts).expect("a pass").results;
        for (text, together) in texts.iter().zip(together) {
            let alone = scorer.forward(&[text]).expect("a pass").results.remove(0);
            let (alone, together) = (alone.expect("a score"), together.expect("a score"));
            // The heads are floats, and may round the other way.
            let off = (alone.sentiment() - together.sentiment()).abs();
            assert!(off <= 2, "{case}, \"{text}\": off by {off} ppm");
        }
    }
}

#[test]
fn a_plain_folder_is_a_model_and_says_what_it_is() {
    let bundle = Bundle::open(&folder("roberta")).expect("good");
    assert!(bundle.title.starts_with("roberta "), "{}", bundle.title);
    // The config names them in the order positive, neutral, negative.
    assert_eq!(bundle.tasks.sentiment.classes, [2, 1, 0]);
    let binary = Bundle::open(&folder("distilbert")).expect("good");
    assert_eq!(binary.tasks.sentiment.classes, [0, 2]);
    assert_eq!(binary.tasks.sentiment.band, Some(0.25));
}

#[test]
fn one_bundle_combines_several_checkpoints() {
    let here = tempfile::tempdir().expect("folder");
    let path = |case| folder(case).display().to_string();
    let yaml = format!(
        "format: 1\nname: combined\nversion: '1'\nencoders:\n  mood: {{base: {{path: '{}'}}}}\n  rest: {{base: {{path: '{}'}}, max_tokens: 12}}\n\
         tasks:\n  sentiment: {{encoder: mood}}\n  \
         toxicity: {{encoder: rest, labels: [no, yes], cutoff: 0.4}}\n",
        path("roberta"),
        path("distilbert"),
    );
    std::fs::write(here.path().join("model.yaml"), &yaml).expect("written");
    let combined = TorchScorer::open(here.path(), CPU).expect("loaded");
    let (mood, rest) = (expected("roberta"), expected("distilbert"));
    let texts = ["good game", "no", ""];
    let (logits, _) = combined.logits(&texts).expect("a pass");
    for (n, text) in texts.iter().enumerate() {
        let place = mood.texts.iter().position(|t| t == text).expect("one of them");
        for (task, wanted) in [
            ("sentiment", &mood.logits["sentiment"][place]),
            ("toxicity", &rest.logits["sentiment"][place]),
        ] {
            for (a, b) in logits.of(task, n).iter().zip(wanted) {
                assert!((a - b).abs() < 1e-4, "{task} of \"{text}\": {a}, expected {b}");
            }
        }
    }
    let batch = combined.forward(&texts).expect("a pass");
    assert_eq!(batch.results.iter().filter(|r| r.is_ok()).count(), 3);
}
