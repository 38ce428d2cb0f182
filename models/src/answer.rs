//! From a model's logits to a score: softmax and sigmoid in f64, then fixed point. Pure.

use crate::bundle::{Sigmoid, Softmax, Tasks};
use crate::scorer::ScoreFailure;
use groundswell_core::score::{EMOTIONS, PPM, Rung, Score};

/// The logits of one text, before temperature. A task the bundle does not have is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logits<'a> {
    /// In the order of the task's labels.
    pub sentiment: &'a [f32],
    /// One.
    pub toxicity: &'a [f32],
    /// One.
    pub sarcasm: &'a [f32],
    /// In the order of the task's labels.
    pub emotion: &'a [f32],
}

/// The label every text has where a bundle has no emotion head.
const NO_EMOTION: u8 = 5;

/// The score for one text's logits.
///
/// # Errors
/// [`ScoreFailure::NotFinite`] if a logit is not a number, or there are not as many as the task has labels.
pub fn score_of(tasks: &Tasks, logits: Logits<'_>) -> Result<Score, ScoreFailure> {
    let probabilities = softmax(&tasks.sentiment, logits.sentiment, "sentiment")?;
    let of = |label: &str| {
        let place = tasks.sentiment.labels.iter().position(|l| l == label);
        let p = place.and_then(|i| probabilities.get(i)).copied().unwrap_or(f64::NAN);
        Score::ppm(p).ok_or(ScoreFailure::NotFinite { task: "sentiment" })
    };
    let (positive, negative) = (of("positive")?, of("negative")?);
    let (toxic, is_toxic) = flag(tasks.toxicity.as_ref(), logits.toxicity, "toxicity")?;
    let (sarcastic, is_sarcastic) = flag(tasks.sarcasm.as_ref(), logits.sarcasm, "sarcasm")?;
    Ok(Score {
        positive,
        // What is left, so that the three always sum to one; within half a part per million of its own rounding.
        neutral: (PPM - positive - negative).max(0),
        negative,
        toxic,
        sarcastic,
        emotion: emotion(tasks.emotion.as_ref(), logits.emotion)?,
        is_toxic,
        is_sarcastic,
        rung: Rung::Local,
    })
}

fn flag(task: Option<&Sigmoid>, logits: &[f32], name: &'static str) -> Result<(i32, bool), ScoreFailure> {
    let Some(task) = task else { return Ok((0, false)) };
    let p = sigmoid(task, logits.first().copied().unwrap_or(f32::NAN));
    let failure = || ScoreFailure::NotFinite { task: name };
    let (ppm, cutoff) = (
        Score::ppm(p).ok_or_else(failure)?,
        Score::ppm(task.cutoff).ok_or_else(failure)?,
    );
    // Compared as recorded, so that a row never shows 0.700000 above a cut-off of 0.7.
    Ok((ppm, ppm > cutoff))
}

fn emotion(task: Option<&Softmax>, logits: &[f32]) -> Result<u8, ScoreFailure> {
    let Some(task) = task else { return Ok(NO_EMOTION) };
    let probabilities = softmax(task, logits, "emotion")?;
    let mut best = 0;
    for (i, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = i;
        }
    }
    let index = task
        .labels
        .get(best)
        .and_then(|label| EMOTIONS.iter().position(|e| e == label));
    index
        .and_then(|i| u8::try_from(i).ok())
        .ok_or(ScoreFailure::NotFinite { task: "emotion" })
}

/// P(yes) of a one-logit task.
fn sigmoid(task: &Sigmoid, logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit) / task.temperature).exp())
}

/// The probabilities of a task's labels, in their order.
fn softmax(task: &Softmax, logits: &[f32], name: &'static str) -> Result<Vec<f64>, ScoreFailure> {
    if logits.len() != task.labels.len() || logits.iter().any(|x| !x.is_finite()) {
        return Err(ScoreFailure::NotFinite { task: name });
    }
    let scaled: Vec<f64> = logits.iter().map(|x| f64::from(*x) / task.temperature).collect();
    let greatest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = scaled.iter().map(|x| (x - greatest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    Ok(exponentials.into_iter().map(|e| e / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{SigmoidKind, SoftmaxKind};

    fn softmax_task(labels: &[&str], temperature: f64) -> Softmax {
        Softmax {
            kind: SoftmaxKind::Softmax,
            labels: labels.iter().map(|&l| l.into()).collect(),
            temperature,
        }
    }

    fn tasks() -> Tasks {
        let sigmoid = |cutoff| {
            Some(Sigmoid {
                kind: SigmoidKind::Sigmoid,
                temperature: 1.0,
                cutoff,
            })
        };
        Tasks {
            sentiment: softmax_task(&["negative", "neutral", "positive"], 2.0),
            toxicity: sigmoid(0.7),
            sarcasm: sigmoid(0.5),
            emotion: Some(softmax_task(&["anger", "neutral", "joy"], 1.0)),
        }
    }

    #[test]
    fn logits_become_a_score() {
        let logits = Logits {
            sentiment: &[0.0, 2.0, 4.0],
            toxicity: &[3.0],
            sarcasm: &[0.0],
            emotion: &[2.0, 1.0, 0.5],
        };
        let score = score_of(&tasks(), logits).expect("finite");
        // softmax of (0, 1, 2)
        assert_eq!(
            (score.negative, score.neutral, score.positive),
            (90_031, 244_728, 665_241)
        );
        assert_eq!((score.toxic, score.is_toxic), (952_574, true));
        assert_eq!(
            (score.sarcastic, score.is_sarcastic),
            (500_000, false),
            "strictly above"
        );
        assert_eq!(EMOTIONS[usize::from(score.emotion)], "anger");
    }

    #[test]
    fn a_number_that_is_not_one_is_a_failure_with_the_tasks_name() {
        let good = Logits {
            sentiment: &[0.0; 3],
            toxicity: &[0.0],
            sarcasm: &[0.0],
            emotion: &[0.0; 3],
        };
        let nan: [f32; 3] = [f32::NAN, 0.0, 0.0];
        for (logits, task) in [
            (
                Logits {
                    sentiment: &nan,
                    ..good
                },
                "sentiment",
            ),
            (
                Logits {
                    sentiment: &nan[1..],
                    ..good
                },
                "sentiment",
            ),
            (
                Logits {
                    toxicity: &nan[..1],
                    ..good
                },
                "toxicity",
            ),
            (Logits { sarcasm: &[], ..good }, "sarcasm"),
            (Logits { emotion: &nan, ..good }, "emotion"),
        ] {
            assert_eq!(score_of(&tasks(), logits), Err(ScoreFailure::NotFinite { task }));
        }
    }

    #[test]
    fn a_bundle_may_have_sentiment_only() {
        let tasks = Tasks {
            toxicity: None,
            sarcasm: None,
            emotion: None,
            ..tasks()
        };
        let score = score_of(
            &tasks,
            Logits {
                sentiment: &[9.0, 0.0, 0.0],
                ..Logits::default()
            },
        )
        .expect("finite");
        assert_eq!((score.toxic, score.sarcastic, score.emotion), (0, 0, NO_EMOTION));
    }
}
