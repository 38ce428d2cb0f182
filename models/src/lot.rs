//! A lot: texts that are scored together, in batches of like length.
//!
//! In: keys and texts. Out: batches of [`Answer`]s. Pure but for the counters; used by the pool for what is waiting and
//! directly by strict mode, where a tick closes only when its texts are scored.

use crate::scorer::{ScoreFailure, Scorer, score_each};
use crate::stats::ScorerStats;
use crossbeam_channel::bounded;
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::score::Score;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What the model says about a text, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: TextKey,
    /// The model.
    pub model: ModelKey,
    /// The score or the failure.
    pub result: Result<Score, ScoreFailure>,
}

/// How large a batch may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Texts.
    pub texts: usize,
    /// Longest text (in tokens, about) times texts.
    pub tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            texts: 32,
            tokens: 4_096,
        }
    }
}

/// Scores all texts and waits for it; the order of the answers is that of the texts.
///
/// Equal inputs make equal batches, whatever the order they come in.
pub fn score_all(
    scorer: &dyn Scorer,
    texts: &[(TextKey, Arc<str>)],
    limits: Limits,
    stats: &ScorerStats,
) -> Vec<Answer> {
    score_all_on(scorer, texts, limits, stats, 1, |_| {})
}

/// The same on several threads, which take the same batches from one list; `scored` hears how many texts have been scored
/// after each batch.
pub fn score_all_on(
    scorer: &dyn Scorer,
    texts: &[(TextKey, Arc<str>)],
    limits: Limits,
    stats: &ScorerStats,
    threads: usize,
    mut scored: impl FnMut(usize),
) -> Vec<Answer> {
    let mut unique: Vec<(TextKey, Arc<str>)> = texts.to_vec();
    unique.sort_unstable_by_key(|(key, _)| *key);
    unique.dedup_by_key(|(key, _)| *key);
    let sized = by_length(scorer, unique);
    let batches: Vec<_> = batches(&sized, limits).collect();
    let mut place: HashMap<TextKey, Answer> = HashMap::with_capacity(sized.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (send, answers) = bounded(batches.len());
        for _ in 0..threads.clamp(1, batches.len().max(1)) {
            let (send, next, batches) = (send.clone(), &next, &batches);
            scope.spawn(move || {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // There is room for all, and the receiver outlives this thread.
                    let _ = send.send(score_batch(scorer, batch, stats));
                }
            });
        }
        drop(send);
        for batch in answers {
            place.extend(batch.into_iter().map(|a| (a.text, a)));
            scored(place.len());
        }
    });
    texts.iter().filter_map(|(key, _)| place.get(key).cloned()).collect()
}

/// Scores a lot batch by batch, shortest first, and hands each batch's answers to `deliver` until it returns false.
pub(crate) fn score_lot(
    scorer: &dyn Scorer,
    texts: Vec<(TextKey, Arc<str>)>,
    limits: Limits,
    stats: &ScorerStats,
    mut deliver: impl FnMut(Vec<Answer>) -> bool,
) {
    let sized = by_length(scorer, texts);
    for batch in batches(&sized, limits) {
        if !deliver(score_batch(scorer, batch, stats)) {
            return;
        }
    }
}

/// A text with about how many tokens it has.
type Sized = (usize, TextKey, Arc<str>);

fn by_length(scorer: &dyn Scorer, texts: Vec<(TextKey, Arc<str>)>) -> Vec<Sized> {
    let sized = texts
        .into_iter()
        .map(|(key, text)| (scorer.length_of(&text), key, text));
    let mut sized: Vec<Sized> = sized.collect();
    sized.sort_unstable_by_key(|(length, key, _)| (*length, *key));
    sized
}

/// Cuts texts of ascending length into batches.
fn batches(sized: &[Sized], limits: Limits) -> impl Iterator<Item = &[Sized]> {
    let mut rest = sized;
    std::iter::from_fn(move || {
        let (batch, later) = rest.split_at_checked(batch_len(rest.iter().map(|(length, ..)| *length), limits))?;
        rest = later;
        Some(batch)
    })
}

fn score_batch(scorer: &dyn Scorer, batch: &[Sized], stats: &ScorerStats) -> Vec<Answer> {
    let started = Instant::now();
    let texts: Vec<&str> = batch.iter().map(|(_, _, text)| &**text).collect();
    let results = score_each(scorer, &texts, stats);
    stats.batch(results.len(), started.elapsed());
    results
        .iter()
        .filter_map(|r| r.as_ref().err())
        .for_each(|failure| stats.failed(failure));
    let model = scorer.model();
    batch
        .iter()
        .zip(results)
        .map(|((_, text, _), result)| Answer {
            text: *text,
            model,
            result,
        })
        .collect()
}

/// How many texts of ascending lengths fit into one batch: at least one.
fn batch_len(lengths: impl Iterator<Item = usize>, limits: Limits) -> usize {
    let fits = |(n, length): &(usize, usize)| *n < limits.texts && (n + 1).saturating_mul(*length) <= limits.tokens;
    lengths.enumerate().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FixtureScorer;
    use crate::scorer::doubles::Fragile;

    fn keyed(texts: &[&str]) -> Vec<(TextKey, Arc<str>)> {
        texts
            .iter()
            .map(|t| (TextKey::of(t.as_bytes()), Arc::from(*t)))
            .collect()
    }

    #[test]
    fn a_batch_is_bounded_by_texts_and_by_tokens() {
        let limits = Limits { texts: 4, tokens: 100 };
        assert_eq!(batch_len([1, 1, 1, 1, 1].into_iter(), limits), 4);
        assert_eq!(batch_len([20, 30, 40, 50].into_iter(), limits), 2);
        assert_eq!(batch_len([500, 500].into_iter(), limits), 1);
    }

    #[test]
    fn threads_share_the_same_batches() {
        let words: Vec<String> = (0..500).map(|n| format!("good {}", "word ".repeat(n % 17))).collect();
        let texts = keyed(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let limits = Limits { texts: 8, tokens: 64 };
        let (alone, together) = (ScorerStats::default(), ScorerStats::default());
        let expected = score_all(&FixtureScorer::default(), &texts, limits, &alone);
        let mut heard = Vec::new();
        let got = score_all_on(&FixtureScorer::default(), &texts, limits, &together, 3, |n| {
            heard.push(n)
        });
        assert_eq!(got, expected);
        assert_eq!(alone.snapshot().batches, together.snapshot().batches);
        assert!(
            heard.is_sorted() && heard.len() as u64 == together.snapshot().batches,
            "{heard:?}"
        );
        assert_eq!(heard.last(), Some(&17), "texts that are equal are scored once");
        assert!(score_all_on(&FixtureScorer::default(), &[], limits, &together, 3, |_| ()).is_empty());
    }

    #[test]
    fn answers_come_in_the_order_of_the_texts_and_repeats_cost_nothing() {
        let stats = ScorerStats::default();
        let texts = keyed(&["good good good", "bad", "good good good", "fail"]);
        let answers = score_all(&Fragile::default(), &texts, Limits { texts: 2, tokens: 100 }, &stats);
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[0], answers[2]);
        assert_eq!(answers[1].result, Ok(FixtureScorer::default().answer("bad")));
        assert!(answers[3].result.is_err());
        let seen = stats.snapshot();
        assert_eq!((seen.texts, seen.failures, seen.batches), (3, 1, 2));
    }
}
