//! How good a model is on labelled texts: accuracy, F1, recall, calibration and confusion. Pure.
//!
//! In: for each text the class it was labelled with and the probabilities a model gives. Out: a [`Report`]. Averages over
//! classes are over those that occur among the labels. Calibration is that of the most likely class, over bins of equal
//! width.

use crate::answer::Probabilities;
use crate::bundle::{self, SENTIMENTS, Tasks};
use groundswell_core::score::EMOTIONS;
use std::fmt;

const BINS: usize = 15;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The task `sentiment`: three classes.
    Sentiment,
    /// The task `toxicity`: offensive or not.
    Offensive,
    /// The task `sarcasm`: ironic or not.
    Irony,
    /// The task `emotion`: the engine's six.
    Emotion,
}

impl Task {
    /// The names of the classes.
    pub fn classes(self) -> &'static [&'static str] {
        match self {
            Task::Sentiment => &SENTIMENTS,
            Task::Offensive | Task::Irony => &["no", "yes"],
            Task::Emotion => &EMOTIONS,
        }
    }

    /// The class a label in a file means, as for the labels of models; `None` if its name is not known.
    pub fn class_of(self, label: &str) -> Option<usize> {
        match self {
            Task::Sentiment => bundle::sentiment_label(label),
            Task::Offensive | Task::Irony => bundle::flag_label(label).map(usize::from),
            Task::Emotion => bundle::emotion_label(label),
        }
    }

    /// The probability of each class; `None` if the model does not have the task.
    pub fn of(self, p: &Probabilities) -> Option<Vec<f64>> {
        let flag = |p: Option<f64>| p.map(|p| vec![1.0 - p, p]);
        match self {
            Task::Sentiment => Some(p.sentiment.to_vec()),
            Task::Offensive => flag(p.toxicity),
            Task::Irony => flag(p.sarcasm),
            Task::Emotion => p.emotion.map(|p| p.to_vec()),
        }
    }

    /// The cut-off of a yes-or-no task in a model.
    pub fn cutoff(self, tasks: &Tasks) -> Option<f64> {
        let flag = match self {
            Task::Offensive => &tasks.toxicity,
            Task::Irony => &tasks.sarcasm,
            Task::Sentiment | Task::Emotion => return None,
        };
        flag.as_ref().map(|flag| flag.cutoff)
    }
}

/// One labelled text with its answer.
#[derive(Clone, Debug)]
pub struct Row {
    /// The class it was labelled with.
    pub truth: usize,
    /// The probability of each class.
    pub p: Vec<f64>,
}

/// The figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The classes' names.
    pub classes: &'static [&'static str],
    /// Texts.
    pub texts: usize,
    /// Share of texts whose class was guessed.
    pub accuracy: f64,
    /// Mean over classes of the harmonic mean of precision and recall.
    pub macro_f1: f64,
    /// Mean over classes of the share that was found.
    pub macro_recall: f64,
    /// Mean distance of confidence and accuracy.
    pub ece: f64,
    /// F1 of each class; `None` for one that no text was labelled with.
    pub f1: Vec<Option<f64>>,
    /// Texts by class labelled, then by class guessed.
    pub confusion: Vec<Vec<usize>>,
}

impl Report {
    /// The figures of `rows`. Guessed is the most likely class; of a yes-or-no task with a cut-off "yes" strictly above it.
    pub fn of(classes: &'static [&'static str], rows: &[Row], cutoff: Option<f64>) -> Self {
        let guess = |row: &Row| match cutoff {
            Some(cutoff) => usize::from(row.p.get(1).is_some_and(|p| *p > cutoff)),
            None => most_likely(&row.p).0,
        };
        let mut confusion = vec![vec![0; classes.len()]; classes.len()];
        for row in rows {
            if let Some(count) = confusion
                .get_mut(row.truth)
                .and_then(|row_of| row_of.get_mut(guess(row)))
            {
                *count += 1;
            }
        }
        let n = confusion.iter().flatten().sum::<usize>();
        let hits = |class: usize| confusion[class][class];
        let labelled = |class: usize| confusion[class].iter().sum::<usize>();
        let guessed = |class: usize| confusion.iter().map(|row| row[class]).sum::<usize>();
        let present: Vec<usize> = (0..classes.len()).filter(|class| labelled(*class) > 0).collect();
        let f1 = |class: usize| share(2 * hits(class), labelled(class) + guessed(class));
        let mean = |of: &dyn Fn(usize) -> f64| {
            let sum: f64 = present.iter().map(|class| of(*class)).sum();
            sum / float(present.len().max(1))
        };
        Report {
            classes,
            texts: n,
            accuracy: share((0..classes.len()).map(hits).sum(), n),
            macro_f1: mean(&f1),
            macro_recall: mean(&|class| share(hits(class), labelled(class))),
            ece: ece(rows),
            f1: (0..classes.len())
                .map(|class| present.contains(&class).then(|| f1(class)))
                .collect(),
            confusion,
        }
    }
}

/// The most likely class and its probability; the first of equals.
fn most_likely(p: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (class, p) in p.iter().enumerate() {
        if *p > best.1 {
            best = (class, *p);
        }
    }
    best
}

/// Expected calibration error.
fn ece(rows: &[Row]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for row in rows {
        let (guess, confidence) = most_likely(&row.p);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 15
        let bin = ((confidence.clamp(0.0, 1.0) * float(BINS)) as usize).min(BINS - 1);
        bins[bin].0 += confidence;
        bins[bin].1 += f64::from(u8::from(guess == row.truth));
    }
    let off: f64 = bins
        .iter()
        .map(|(confidence, correct)| (confidence - correct).abs())
        .sum();
    off / float(rows.len().max(1))
}

fn share(part: usize, whole: usize) -> f64 {
    float(part) / float(whole.max(1))
}

#[allow(clippy::cast_precision_loss)] // counts of texts
fn float(n: usize) -> f64 {
    n as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| 100.0 * x;
        writeln!(
            f,
            "texts {}  accuracy {:.1}  macro-F1 {:.1}  macro-recall {:.1}  ECE {:.3}",
            self.texts,
            percent(self.accuracy),
            percent(self.macro_f1),
            percent(self.macro_recall),
            self.ece
        )?;
        let shown: Vec<usize> = (0..self.classes.len())
            .filter(|c| self.f1[*c].is_some() || self.confusion.iter().any(|row| row[*c] > 0))
            .collect();
        write!(f, "{:>16}", "labelled\\guessed")?;
        for class in &shown {
            write!(f, " {:>9}", self.classes[*class])?;
        }
        write!(f, " {:>9}", "F1")?;
        for class in shown.iter().filter(|class| self.f1[**class].is_some()) {
            write!(f, "\n{:>16}", self.classes[*class])?;
            for guess in &shown {
                write!(f, " {:>9}", self.confusion[*class][*guess])?;
            }
            write!(f, " {:>9.1}", percent(self.f1[*class].unwrap_or(0.0)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(truth: usize, p: &[f64]) -> Row {
        Row { truth, p: p.to_vec() }
    }

    #[test]
    fn figures_are_those_of_the_definition() {
        let rows = [
            row(0, &[0.8, 0.1, 0.1]),
            row(0, &[0.2, 0.7, 0.1]),
            row(1, &[0.1, 0.8, 0.1]),
            row(1, &[0.1, 0.6, 0.3]),
        ];
        let report = Report::of(&SENTIMENTS, &rows, None);
        assert_eq!(report.confusion, [[1, 1, 0], [0, 2, 0], [0, 0, 0]]);
        assert!((report.accuracy - 0.75).abs() < 1e-12);
        // negative 2·1/(2+1), neutral 2·2/(2+3); positive does not occur
        assert!((report.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        assert!((report.macro_recall - 0.75).abs() < 1e-12);
        assert_eq!(report.f1[2], None);
        // One wrong in a bin of its own (0.7), the two sure ones 0.2 each below 1, the last 0.4.
        assert!(
            (report.ece - (0.7 + 0.2 * 2.0 + 0.4) / 4.0).abs() < 1e-12,
            "{}",
            report.ece
        );
    }

    #[test]
    fn a_cutoff_moves_the_guess_and_not_the_calibration() {
        let rows = [row(1, &[0.4, 0.6]), row(0, &[0.9, 0.1])];
        let (at_half, at_most) = (
            Report::of(&["no", "yes"], &rows, Some(0.5)),
            Report::of(&["no", "yes"], &rows, Some(0.6)),
        );
        assert_eq!((at_half.confusion[1][1], at_most.confusion[1][1]), (1, 0));
        assert!((at_half.ece - at_most.ece).abs() < 1e-12);
        assert!(at_half.to_string().contains("accuracy 100.0"), "{at_half}");
    }

    #[test]
    fn labels_of_files_are_read_like_those_of_models() {
        assert_eq!(Task::Offensive.class_of("not_offensive"), Some(0));
        assert_eq!(Task::Irony.class_of("irony"), Some(1));
        assert_eq!(Task::Emotion.class_of("optimism").map(|c| EMOTIONS[c]), Some("joy"));
        assert_eq!(Task::Sentiment.class_of("irony"), None);
    }
}
