//! The network against a plain computation, and against the figures that came with the real bundle.

mod hostile;
mod parity;
mod plain;

use super::*;
use crate::bundle::Bundle;
use crate::testing::Tiny;
use crate::{Limits, ScoreFailure, Scorer, ScorerStats, score_all};
use groundswell_core::id::TextKey;
use groundswell_core::score::{PPM, Score};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokens::Tokens;

/// As the tiny bundle's manifest has it.
const MAX_TOKENS: usize = 16;

const CPU: TorchOptions = TorchOptions {
    device: DeviceChoice::Cpu,
    threads: 1,
    precision: Precision::Fp32,
};

fn tiny() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let bundle = Tiny::new().write(folder.path());
    (folder, bundle)
}

fn all_scores(scorer: &TorchScorer, texts: &[&str]) -> Vec<Score> {
    scorer
        .forward(texts)
        .expect("a pass")
        .results
        .into_iter()
        .map(|r| r.expect("a score"))
        .collect()
}

fn near(a: i32, b: f64) -> bool {
    (f64::from(a) / f64::from(PPM) - b).abs() < 1e-4
}

#[test]
fn agrees_with_a_plain_computation() {
    let (_folder, path) = tiny();
    let scorer = TorchScorer::open(&path, CPU).expect("loaded");
    let texts = [
        "good game",
        "",
        "the bad team",
        "the good the bad team game",
        "zzz qq",
        "good good good good good good",
    ];
    let tokens = Tokens::load(&Bundle::open(&path).expect("good").encoders[0]).expect("loaded");
    for (text, score) in texts.iter().zip(all_scores(&scorer, &texts)) {
        let ids = tokens.pack(&[text]).expect("tokens").ids;
        let expected = plain::probabilities(&Tiny::new(), &ids);
        for (name, actual, p) in [
            ("negative", score.negative, expected.sentiment[0]),
            ("neutral", score.neutral, expected.sentiment[1]),
            ("positive", score.positive, expected.sentiment[2]),
            ("toxic", score.toxic, expected.toxicity),
            ("sarcastic", score.sarcastic, expected.sarcasm),
        ] {
            assert!(near(actual, p), "\"{text}\": {name} is {actual}, expected {p}");
        }
        assert_eq!(usize::from(score.emotion), expected.emotion, "\"{text}\"");
    }
}

#[test]
fn company_does_not_matter() {
    let (_folder, path) = tiny();
    let scorer = TorchScorer::open(&path, CPU).expect("loaded");
    let texts = ["good", "the bad team the bad team the bad team", "game of the team", ""];
    for (text, together) in texts.iter().zip(all_scores(&scorer, &texts)) {
        let alone = all_scores(&scorer, &[text])[0];
        assert!((alone.sentiment() - together.sentiment()).abs() <= 2, "\"{text}\"");
    }
}

#[test]
fn long_texts_are_cut_and_counted() {
    let (_folder, path) = tiny();
    let scorer = TorchScorer::open(&path, CPU).expect("loaded");
    let long = "good ".repeat(40);
    let huge = "bad game ".repeat(200_000);
    let fits = "good ".repeat(MAX_TOKENS - 2);
    let batch = scorer.forward(&[&long, "good", &huge, &fits]).expect("a pass");
    assert_eq!(batch.truncated, 2);
    assert_eq!(batch.tokens, MAX_TOKENS + 3 + MAX_TOKENS + MAX_TOKENS);
    assert_eq!(
        batch.results[0], batch.results[3],
        "what is beyond the limit changes nothing"
    );
}

#[test]
fn weights_that_are_not_numbers_fail_the_text_and_not_the_process() {
    let mut broken = Tiny::new();
    broken.heads.get_mut("toxicity.fc2.bias").expect("there").data[0] = f32::NAN;
    let folder = tempfile::tempdir().expect("folder");
    let scorer = TorchScorer::open(&broken.write(folder.path()), CPU).expect("loaded");
    let batch = scorer.forward(&["good", "bad"]).expect("a pass");
    assert_eq!(
        batch.results,
        vec![Err(ScoreFailure::NotFinite { task: "toxicity" }); 2]
    );
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut large = Tiny::new();
    large.vocabulary.push("surplus".into());
    let folder = tempfile::tempdir().expect("folder");
    let error = TorchScorer::open(&large.write(folder.path()), CPU)
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains("\"surplus\" is number 61, the model knows 61 tokens, 0 to 60"),
        "{error}"
    );
}

#[test]
fn threads_share_one_scorer() {
    let (_folder, path) = tiny();
    let scorer = TorchScorer::open(&path, CPU).expect("loaded");
    let expected = all_scores(&scorer, &["good game"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(all_scores(&scorer, &["good game"]), expected)));
        }
    });
}

#[derive(Deserialize)]
struct Fixture {
    text: String,
    sentiment: Vec<f64>,
    toxicity: f64,
    sarcasm: f64,
    emotion: Vec<f64>,
}

/// The bundle of this repository, or a printed reason why it cannot be tested here.
fn social() -> Option<(Bundle, Vec<Fixture>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("social");
    let Ok(fixtures) = std::fs::read_to_string(folder.join("fixtures.json")) else {
        println!("skipped: there is no models/social/fixtures.json");
        return None;
    };
    match Bundle::open(&folder) {
        Ok(bundle) => Some((bundle, serde_json::from_str(&fixtures).expect("fixtures.json is JSON"))),
        Err(e @ crate::BundleError::BaseMissing { .. }) => {
            println!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn the_real_bundle_answers_as_in_training() {
    let Some((bundle, fixtures)) = social() else { return };
    let classes = bundle.tasks.sentiment.classes.clone();
    let emotions = bundle.tasks.emotion.as_ref().expect("there").classes.clone();
    let scorer = TorchScorer::load(bundle, CPU).expect("loaded");
    let keyed: Vec<(TextKey, Arc<str>)> = fixtures
        .iter()
        .map(|f| (TextKey::of(f.text.as_bytes()), Arc::from(f.text.as_str())))
        .collect();
    let stats = ScorerStats::default();
    let answers = score_all(&scorer, &keyed, Limits::default(), &stats);
    assert_eq!(answers.len(), fixtures.len());
    for (fixture, answer) in fixtures.iter().zip(answers) {
        let score = answer.result.expect("a score");
        let sentiment = |class: usize| {
            let place = classes.iter().position(|c| *c == class).expect("a label");
            fixture.sentiment[place]
        };
        for (name, actual, p) in [
            ("negative", score.negative, sentiment(0)),
            ("neutral", score.neutral, sentiment(1)),
            ("positive", score.positive, sentiment(2)),
            ("toxic", score.toxic, fixture.toxicity),
            ("sarcastic", score.sarcastic, fixture.sarcasm),
        ] {
            assert!(
                near(actual, p),
                "\"{}\": {name} is {actual}, in training {p}",
                fixture.text
            );
        }
        let place = emotions
            .iter()
            .position(|class| *class == usize::from(score.emotion))
            .expect("known");
        let greatest = fixture.emotion.iter().copied().fold(0.0, f64::max);
        assert!((fixture.emotion[place] - greatest).abs() < 1e-4, "\"{}\"", fixture.text);
        assert_eq!(score.positive + score.neutral + score.negative, PPM);
    }
}

#[test]
fn the_base_models_tokenizer_loads_if_it_was_fetched() {
    let Some((bundle, _)) = social() else { return };
    let packed = Tokens::load(&bundle.encoders[0])
        .expect("loaded")
        .pack(&["Hello, world!", ""])
        .expect("tokens");
    assert_eq!(packed.ids, [101, 102, 101, 7592, 1010, 2088, 999, 102]);
    assert_eq!(packed.positions, [0, 1, 0, 1, 2, 3, 4, 5]);
    assert_eq!((packed.lengths, packed.places), (vec![2, 6], vec![1, 0]));
    assert_eq!(packed.cut, [false, false]);
}

#[test]
fn a_gpu_that_is_not_there_is_refused_by_its_number() {
    let (_folder, path) = tiny();
    let device = DeviceChoice::Cuda(99);
    let error = TorchScorer::open(&path, TorchOptions { device, ..CPU }).err();
    let error = error.map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("device \"cuda:99\" is not available: "), "{error}");
    assert!(
        error.contains("no GPU") || error.contains("GPUs") || error.contains("one GPU"),
        "{error}"
    );
}
