//! `groundswell score`: a model bundle on its own, texts in, JSON lines out.

use super::Failure;
use std::path::Path;

#[cfg(not(feature = "torch"))]
pub(super) fn run(_model: &Path) -> Result<(), Failure> {
    Err(Failure::Other(
        "this build was made without LibTorch (feature \"torch\")".into(),
    ))
}

#[cfg(feature = "torch")]
pub(super) fn run(model: &Path) -> Result<(), Failure> {
    use groundswell_models::{Scorer, ScorerStats, TorchOptions, TorchScorer, score_each};
    use std::io::{BufRead, Write};
    if !model.is_dir() {
        return Err(Failure::Usage(format!(
            "--model: no model folder at \"{}\"",
            model.display()
        )));
    }
    let scorer = TorchScorer::open(model, TorchOptions::default())?;
    let stats = ScorerStats::default();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let batch: Vec<String> = lines.by_ref().take(32).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            return out.flush().map_err(Failure::output);
        }
        let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
        for (text, result) in texts.iter().zip(score_each(&scorer, &texts, &stats)) {
            let line = match result {
                Ok(s) => serde_json::json!({
                    "text": text, "label": s.label(), "sentiment": f64::from(s.sentiment()) / 1e6,
                    "positive": f64::from(s.positive) / 1e6, "neutral": f64::from(s.neutral) / 1e6,
                    "negative": f64::from(s.negative) / 1e6, "toxic": f64::from(s.toxic) / 1e6,
                    "is_toxic": s.is_toxic, "sarcastic": f64::from(s.sarcastic) / 1e6, "is_sarcastic": s.is_sarcastic,
                    "emotion": groundswell_core::score::EMOTIONS.get(usize::from(s.emotion)), "model": scorer.name(),
                }),
                Err(failure) => {
                    serde_json::json!({"text": text, "error": {"code": failure.code(), "message": failure.to_string()}})
                }
            };
            writeln!(out, "{line}").map_err(Failure::output)?;
        }
    }
}
