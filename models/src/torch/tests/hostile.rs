//! Texts nobody would write, and tokenizers of other models.

use super::parity::{FAMILIES, folder, scorer};
use super::{CPU, Precision, TorchScorer};
use crate::{ScorerStats, score_each};

#[test]
fn every_text_is_scored_and_what_is_cut_is_counted() {
    let long = "good game, bad team! ".repeat(50_000);
    let blanks = " \t\n".repeat(350_000);
    let word = "a".repeat(1 << 20);
    let texts = [
        "",
        " ",
        &long,
        &blanks,
        &word,
        "😀😀😀👍🏽🇩🇪👨‍👩‍👧",
        "\0\u{1}\u{7}\u{1b}[31m\u{7f}\u{200b}\u{feff}",
        "\u{202e}مرحبا بالعالم שלום",
        "плохая игра 糟糕的比赛 मैच ขอบคุณ",
        "e\u{301}\u{301}\u{301}\u{fffd}",
        "<s></s><mask>[MASK][SEP]<pad><pad>",
    ];
    for case in FAMILIES {
        for precision in [Precision::Fp32, Precision::Int8] {
            let (scorer, stats) = (scorer(case, precision), ScorerStats::default());
            for (text, result) in texts.iter().zip(score_each(&scorer, &texts, &stats)) {
                let shown: String = text.chars().take(20).collect();
                assert!(result.is_ok(), "{case}: \"{shown}\": {result:?}");
            }
            let seen = stats.snapshot();
            assert!(seen.truncated >= 1, "{case}: the long one at least");
            assert_eq!((seen.passes, seen.failures), (1, 0), "{case}");
        }
    }
}

#[test]
fn a_tokenizer_of_another_family_is_refused() {
    let here = tempfile::tempdir().expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("bert").join(file), here.path().join(file)).expect("copied");
    }
    let tokenizer = here.path().join("tokenizer.json");
    std::fs::copy(folder("roberta").join("tokenizer.json"), &tokenizer).expect("copied");
    let said = TorchScorer::open(here.path(), CPU).err().expect("refused").to_string();
    assert!(said.contains("the model knows 92 tokens, 0 to 91"), "{said}");
    for bad in [
        "",
        "{}",
        "not json",
        "{\"version\": \"1.0\", \"model\": {\"type\": \"Magic\"}}",
    ] {
        std::fs::write(&tokenizer, bad).expect("written");
        let said = TorchScorer::open(here.path(), CPU).err().expect("refused").to_string();
        assert!(said.contains("is not a usable tokenizer"), "{said}");
    }
}
