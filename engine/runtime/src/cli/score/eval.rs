//! A model measured on labelled texts.

use super::super::Failure;
use super::super::out::{note, say};
use groundswell_models::eval::{Report, Row, Task};
use groundswell_models::{ScoreFailure, Scorer, TorchScorer};
use std::path::Path;

/// Texts in one pass.
const BATCH: usize = 32;

impl From<super::Task> for Task {
    fn from(task: super::Task) -> Self {
        match task {
            super::Task::Sentiment => Task::Sentiment,
            super::Task::Offensive => Task::Offensive,
            super::Task::Irony => Task::Irony,
            super::Task::Emotion => Task::Emotion,
        }
    }
}

pub(super) fn run(scorer: &TorchScorer, path: &Path, task: super::Task) -> Result<(), Failure> {
    let task = Task::from(task);
    let bytes =
        std::fs::read(path).map_err(|e| Failure::Usage(format!("--eval: cannot read \"{}\": {e}", path.display())))?;
    let labelled =
        Labelled::parse(&bytes, task).map_err(|why| Failure::Usage(format!("--eval: {}:{why}", path.display())))?;
    let (rows, failed) = answers(scorer, &labelled.texts, task)?;
    say(format_args!("{} on {}", scorer.name(), path.display()))?;
    let cutoff = task.cutoff(scorer.tasks());
    if let Some(cutoff) = cutoff {
        say(format_args!("\"yes\" above {cutoff}, the model's cut-off"))?;
    }
    say(Report::of(task.classes(), &rows, cutoff))?;
    if cutoff.is_some_and(|cutoff| cutoff != 0.5) {
        say("\"yes\" above 0.5")?;
        say(Report::of(task.classes(), &rows, Some(0.5)))?;
    }
    if labelled.several > 0 {
        note(format_args!(
            "{} texts with several labels were left out",
            labelled.several
        ));
    }
    if failed > 0 {
        note(format_args!("{failed} texts could not be scored and were left out"));
    }
    Ok(())
}

/// What a file says.
struct Labelled<'a> {
    texts: Vec<(usize, &'a str)>,
    /// Texts with several labels of different classes, which have no right answer.
    several: usize,
}

impl<'a> Labelled<'a> {
    /// Reads `label<TAB>text` lines; several labels are separated by commas. `Err` has the line and what is wrong.
    fn parse(bytes: &'a [u8], task: Task) -> Result<Self, String> {
        let mut labelled = Labelled {
            texts: Vec::new(),
            several: 0,
        };
        for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let at = |why: String| format!("{}: {why}", n + 1);
            let line = std::str::from_utf8(line).map_err(|_| at("not UTF-8".into()))?;
            let (label, text) = line
                .split_once('\t')
                .ok_or_else(|| at("no tab; a line is a label, a tab and a text".into()))?;
            let class = |label: &str| {
                let unknown = || {
                    at(format!(
                        "the label \"{label}\" is not one of {}",
                        task.classes().join(", ")
                    ))
                };
                task.class_of(label).ok_or_else(unknown)
            };
            let mut classes = label.split(',').map(class).collect::<Result<Vec<_>, _>>()?;
            classes.dedup();
            match classes.as_slice() {
                [class] => labelled.texts.push((*class, text.trim_end_matches('\r'))),
                _ => labelled.several += 1,
            }
        }
        if labelled.texts.is_empty() {
            return Err(" no labelled text in it".into());
        }
        Ok(labelled)
    }
}

/// The probabilities of all texts that can be scored, and how many cannot.
fn answers(scorer: &TorchScorer, texts: &[(usize, &str)], task: Task) -> Result<(Vec<Row>, usize), Failure> {
    let mut sorted: Vec<&(usize, &str)> = texts.iter().collect();
    sorted.sort_by_key(|(_, text)| scorer.length_of(text));
    let (mut rows, mut failed) = (Vec::with_capacity(texts.len()), 0);
    for batch in sorted.chunks(BATCH) {
        let only: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        let results = scorer
            .probabilities(&only)
            .unwrap_or_else(|_| one_by_one(scorer, &only));
        for ((truth, _), result) in batch.iter().zip(results) {
            let Ok(p) = result else {
                failed += 1;
                continue;
            };
            let Some(p) = task.of(&p) else {
                return Err(Failure::Usage(format!(
                    "--task: \"{}\" has no head for it",
                    scorer.name()
                )));
            };
            rows.push(Row { truth: *truth, p });
        }
    }
    Ok((rows, failed))
}

/// After a pass that failed as a whole.
fn one_by_one(scorer: &TorchScorer, texts: &[&str]) -> Vec<Result<groundswell_models::Probabilities, ScoreFailure>> {
    let alone = |text: &&str| scorer.probabilities(&[text]).and_then(|mut all| all.swap_remove(0));
    texts.iter().map(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_mistakes_have_their_line() {
        let file = b"joy\ta good day\noptimism,joy\tboth are joy\nanger,joy\ttorn\n\n";
        let labelled = Labelled::parse(file, Task::Emotion).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((labelled.texts.len(), labelled.several), (2, 1));
        for (file, why) in [
            (
                &b"joy\ta\nblue\tb"[..],
                "2: the label \"blue\" is not one of joy, sadness",
            ),
            (b"joy a", "1: no tab"),
            (b"joy\t\xff", "1: not UTF-8"),
            (b"\n", "no labelled text"),
        ] {
            let said = Labelled::parse(file, Task::Emotion).err().unwrap_or_default();
            assert!(said.contains(why), "{said}");
        }
    }
}
