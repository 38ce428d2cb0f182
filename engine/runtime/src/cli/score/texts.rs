//! Texts from standard input, one a line, as JSON lines in the same order. A text that cannot be scored gets a line that
//! says why, and is counted; the counts go to standard error at the end.

use super::super::Failure;
use super::super::out::note;
use groundswell_core::id::TextKey;
use groundswell_core::score::EMOTIONS;
use groundswell_models::{Answer, Limits, Scorer, ScorerStats, score_all};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::sync::Arc;

/// Lines that are read before they are scored: enough to batch texts of like length.
const LINES: usize = 128;

pub(super) fn run(scorer: &dyn Scorer) -> Result<(), Failure> {
    let stats = ScorerStats::default();
    let mut input = std::io::stdin().lock();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut all, mut failed) = (0usize, 0usize);
    loop {
        let lines = read(&mut input)?;
        if lines.is_empty() {
            break;
        }
        let texts: Vec<(TextKey, Arc<str>)> = lines
            .iter()
            .filter_map(|line| line.as_ref().ok())
            .map(|text| (TextKey::of(text.as_bytes()), text.clone()))
            .collect();
        let mut answers = score_all(scorer, &texts, Limits::default(), &stats).into_iter();
        for line in &lines {
            let object = match line {
                Ok(text) => answers.next().map(|answer| object(text, &answer, scorer.name())),
                Err(lossy) => Some(failure(lossy, "text_not_utf8", "the text is not UTF-8")),
            };
            all += 1;
            failed += usize::from(object.as_ref().is_none_or(|object| object.get("error").is_some()));
            if let Some(object) = object {
                writeln!(out, "{object}").map_err(Failure::output)?;
            }
        }
        out.flush().map_err(Failure::output)?;
    }
    let truncated = stats.snapshot().truncated;
    note(format_args!(
        "scored {} texts, {failed} failed, {truncated} cut to the model's length",
        all - failed
    ));
    Ok(())
}

/// The next lines; what is not UTF-8 as the nearest that is.
fn read(input: &mut impl BufRead) -> Result<Vec<Result<Arc<str>, String>>, Failure> {
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while lines.len() < LINES {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.push(match std::str::from_utf8(line) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(String::from_utf8_lossy(line).into_owned()),
        });
    }
    Ok(lines)
}

fn object(text: &str, answer: &Answer, model: &str) -> Value {
    let unit = |ppm: i32| f64::from(ppm) / 1e6;
    match &answer.result {
        Ok(s) => json!({
            "text": text, "label": s.label(), "sentiment": unit(s.sentiment()),
            "positive": unit(s.positive), "neutral": unit(s.neutral), "negative": unit(s.negative),
            "toxic": unit(s.toxic), "is_toxic": s.is_toxic, "sarcastic": unit(s.sarcastic),
            "is_sarcastic": s.is_sarcastic, "emotion": EMOTIONS.get(usize::from(s.emotion)), "model": model,
        }),
        Err(why) => failure(text, why.code(), &why.to_string()),
    }
}

fn failure(text: &str, code: &str, message: &str) -> Value {
    json!({"text": text, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind_are_read() {
        let mut input: &[u8] = b"a\r\n\nb\xff\nlast";
        let lines = read(&mut input).unwrap_or_default();
        let shown: Vec<Result<&str, &str>> = lines.iter().map(|l| l.as_deref().map_err(String::as_str)).collect();
        assert_eq!(shown, [Ok("a"), Ok(""), Err("b\u{fffd}"), Ok("last")]);
    }
}
