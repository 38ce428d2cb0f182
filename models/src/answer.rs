//! From a model's logits to a score: softmax and sigmoid in f64, then fixed point. Pure.
//!
//! A model that knows no neutral has a band instead. Let x = P(positive) − P(negative), and b the band: a text is neutral
//! where |x| ≤ 2b. x is bent so that the band's edge comes to lie at one half (with the default of 0.25 it lies there
//! already), and what it leaves of 1 is P(neutral): the sentiment stays continuous, and the most probable class is neutral
//! within the band and only there.

use crate::bundle::{Choice, Flag, Kind, Tasks};
use crate::scorer::ScoreFailure;
use groundswell_core::score::{EMOTIONS, PPM, Rung, Score};

/// The logits of one text, before temperature. A task the bundle does not have is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logits<'a> {
    /// In the order of the task's labels.
    pub sentiment: &'a [f32],
    /// In the order of the task's labels; mostly one.
    pub toxicity: &'a [f32],
    /// In the order of the task's labels; mostly one.
    pub sarcasm: &'a [f32],
    /// In the order of the task's labels.
    pub emotion: &'a [f32],
}

/// The probabilities of one text. A task the bundle does not have is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probabilities {
    /// Negative, neutral, positive.
    pub sentiment: [f64; 3],
    /// Toxic.
    pub toxicity: Option<f64>,
    /// Sarcastic.
    pub sarcasm: Option<f64>,
    /// In the order of [`EMOTIONS`].
    pub emotion: Option<[f64; EMOTIONS.len()]>,
}

/// The emotion every text has where a bundle has no emotion head.
const NO_EMOTION: u8 = 5;

/// The probabilities for one text's logits.
///
/// # Errors
/// [`ScoreFailure::NotFinite`] if a logit is not a number, or there are not as many as the task has labels.
pub fn probabilities(tasks: &Tasks, logits: Logits<'_>) -> Result<Probabilities, ScoreFailure> {
    let sentiment = by_class(&tasks.sentiment, logits.sentiment, "sentiment")?;
    Ok(Probabilities {
        sentiment: tasks.sentiment.band.map_or(sentiment, |band| banded(sentiment, band)),
        toxicity: (tasks.toxicity.as_ref())
            .map(|task| yes(task, logits.toxicity, "toxicity"))
            .transpose()?,
        sarcasm: (tasks.sarcasm.as_ref())
            .map(|task| yes(task, logits.sarcasm, "sarcasm"))
            .transpose()?,
        emotion: (tasks.emotion.as_ref())
            .map(|task| by_class(task, logits.emotion, "emotion"))
            .transpose()?,
    })
}

/// The score for one text's probabilities.
///
/// # Errors
/// [`ScoreFailure::NotFinite`] if one is not a number.
pub fn score_of(tasks: &Tasks, p: &Probabilities) -> Result<Score, ScoreFailure> {
    let of = |p: f64| Score::ppm(p).ok_or(ScoreFailure::NotFinite { task: "sentiment" });
    let (negative, positive) = (of(p.sentiment[0])?, of(p.sentiment[2])?);
    let (toxic, is_toxic) = flag(tasks.toxicity.as_ref(), p.toxicity, "toxicity")?;
    let (sarcastic, is_sarcastic) = flag(tasks.sarcasm.as_ref(), p.sarcasm, "sarcasm")?;
    Ok(Score {
        positive,
        // What is left, so that the three always sum to one; within half a part per million of its own rounding.
        neutral: (PPM - positive - negative).max(0),
        negative,
        toxic,
        sarcastic,
        emotion: p.emotion.map_or(NO_EMOTION, |all| greatest(&all)),
        is_toxic,
        is_sarcastic,
        rung: Rung::Local,
    })
}

/// The first of the greatest.
fn greatest(all: &[f64; EMOTIONS.len()]) -> u8 {
    let mut best = (NO_EMOTION, f64::NEG_INFINITY);
    for (n, p) in (0u8..).zip(all) {
        if *p > best.1 {
            best = (n, *p);
        }
    }
    best.0
}

fn flag(task: Option<&Flag>, p: Option<f64>, name: &'static str) -> Result<(i32, bool), ScoreFailure> {
    let (Some(task), Some(p)) = (task, p) else {
        return Ok((0, false));
    };
    let failure = || ScoreFailure::NotFinite { task: name };
    let (ppm, cutoff) = (
        Score::ppm(p).ok_or_else(failure)?,
        Score::ppm(task.cutoff).ok_or_else(failure)?,
    );
    // Compared as recorded, so that a row never shows 0.700000 above a cut-off of 0.7.
    Ok((ppm, ppm > cutoff))
}

/// P(yes): of labels that exclude each other the sum, of others the greatest.
fn yes(task: &Flag, logits: &[f32], name: &'static str) -> Result<f64, ScoreFailure> {
    let all = each(task.kind, task.temperature, logits, task.outputs, name)?;
    let chosen = task.yes.iter().filter_map(|n| all.get(*n).copied());
    Ok(match task.kind {
        Kind::Softmax => chosen.sum(),
        Kind::Sigmoid => chosen.fold(0.0, f64::max),
    })
}

/// The probability of each class: of labels that exclude each other the sum, of others the greatest.
fn by_class<const N: usize>(task: &Choice, logits: &[f32], name: &'static str) -> Result<[f64; N], ScoreFailure> {
    let all = each(task.kind, task.temperature, logits, task.classes.len(), name)?;
    let mut classes = [0.0; N];
    for (class, p) in task.classes.iter().zip(all) {
        if let Some(slot) = classes.get_mut(*class) {
            *slot = match task.kind {
                Kind::Softmax => *slot + p,
                Kind::Sigmoid => f64::max(*slot, p),
            };
        }
    }
    Ok(classes)
}

/// The probability of each label, in the order of the logits.
fn each(
    kind: Kind,
    temperature: f64,
    logits: &[f32],
    outputs: usize,
    name: &'static str,
) -> Result<Vec<f64>, ScoreFailure> {
    if logits.len() != outputs || logits.iter().any(|x| !x.is_finite()) {
        return Err(ScoreFailure::NotFinite { task: name });
    }
    let scaled = logits.iter().map(|x| f64::from(*x) / temperature);
    Ok(match kind {
        Kind::Sigmoid => scaled.map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        Kind::Softmax => {
            let greatest = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = scaled.map(|x| (x - greatest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(|e| e / sum).collect()
        }
    })
}

/// Makes room for neutral around P(positive) = ½.
fn banded([negative, _, positive]: [f64; 3], band: f64) -> [f64; 3] {
    let x = positive - negative;
    let (size, edge) = (x.abs(), 2.0 * band);
    let bent = if size <= edge {
        0.5 * size / edge
    } else {
        0.5 + 0.5 * (size - edge) / (1.0 - edge)
    };
    let (up, down) = if x >= 0.0 { (bent, 0.0) } else { (0.0, bent) };
    [down, 1.0 - bent, up]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(classes: &[usize], temperature: f64) -> Choice {
        Choice {
            kind: Kind::Softmax,
            classes: classes.to_vec(),
            temperature,
            band: None,
        }
    }

    fn tasks() -> Tasks {
        let sigmoid = |cutoff| {
            Some(Flag {
                kind: Kind::Sigmoid,
                outputs: 1,
                yes: vec![0],
                temperature: 1.0,
                cutoff,
            })
        };
        Tasks {
            sentiment: choice(&[0, 1, 2], 2.0),
            toxicity: sigmoid(0.7),
            sarcasm: sigmoid(0.5),
            emotion: Some(choice(&[2, 5, 0], 1.0)),
        }
    }

    fn score(tasks: &Tasks, logits: Logits<'_>) -> Result<Score, ScoreFailure> {
        score_of(tasks, &probabilities(tasks, logits)?)
    }

    #[test]
    fn logits_become_a_score() {
        let logits = Logits {
            sentiment: &[0.0, 2.0, 4.0],
            toxicity: &[3.0],
            sarcasm: &[0.0],
            emotion: &[2.0, 1.0, 0.5],
        };
        let score = score(&tasks(), logits).expect("finite");
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
            assert_eq!(score(&tasks(), logits), Err(ScoreFailure::NotFinite { task }));
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
        let score = score(
            &tasks,
            Logits {
                sentiment: &[9.0, 0.0, 0.0],
                ..Logits::default()
            },
        )
        .expect("finite");
        assert_eq!((score.toxic, score.sarcastic, score.emotion), (0, 0, NO_EMOTION));
    }

    #[test]
    fn labels_of_one_class_add_up_and_a_seventh_emotion_counts() {
        let tasks = Tasks {
            sentiment: choice(&[0, 0, 1, 2, 2], 1.0),
            // anger, disgust, joy
            emotion: Some(choice(&[2, 2, 0], 1.0)),
            ..tasks()
        };
        let logits = Logits {
            sentiment: &[0.0; 5],
            toxicity: &[0.0],
            sarcasm: &[0.0],
            emotion: &[1.0, 1.0, 1.5],
        };
        let score = score(&tasks, logits).expect("finite");
        assert_eq!(
            (score.negative, score.neutral, score.positive),
            (400_000, 200_000, 400_000)
        );
        assert_eq!(EMOTIONS[usize::from(score.emotion)], "anger");
    }

    #[test]
    fn a_flag_may_be_one_label_of_several() {
        let flag = |kind, yes: &[usize]| Flag {
            kind,
            outputs: 3,
            yes: yes.to_vec(),
            temperature: 1.0,
            cutoff: 0.5,
        };
        let logits = [0.0, 0.0, 0.0];
        let third = yes(&flag(Kind::Softmax, &[1]), &logits, "toxicity").expect("finite");
        assert!((third - 1.0 / 3.0).abs() < 1e-12);
        let two = yes(&flag(Kind::Softmax, &[1, 2]), &logits, "toxicity").expect("finite");
        assert!((two - 2.0 / 3.0).abs() < 1e-12);
        let any = yes(&flag(Kind::Sigmoid, &[0, 2]), &[-1.0, 9.0, 0.0], "toxicity").expect("finite");
        assert!((any - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_binary_sentiment_is_neutral_within_its_band_and_only_there() {
        for (band, p, label, sentiment) in [
            (0.25, 0.5, "neutral", 0),
            (0.25, 0.75, "neutral", 500_000),
            (0.25, 0.76, "positive", 520_000),
            (0.25, 0.2, "negative", -600_000),
            (0.1, 0.6, "neutral", 500_000),
            (0.1, 0.61, "positive", 512_500),
            (0.1, 0.0, "negative", -1_000_000),
        ] {
            let p: f64 = p;
            let [negative, neutral, positive] = banded([1.0 - p, 0.0, p], band);
            assert!((negative + neutral + positive - 1.0).abs() < 1e-12);
            let probabilities = Probabilities {
                // The edge itself, whatever the last bit of the division says.
                sentiment: [negative, neutral + 1e-9, positive],
                toxicity: None,
                sarcasm: None,
                emotion: None,
            };
            let score = score_of(&tasks(), &probabilities).expect("finite");
            let said = serde_json::to_value(score.label()).expect("a word");
            assert_eq!(
                (said.as_str(), score.sentiment()),
                (Some(label), sentiment),
                "{p} at {band}"
            );
        }
    }
}
