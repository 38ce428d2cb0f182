//! What a precision costs in accuracy: `precision MODEL FILE=sentiment|offensive|irony|emotion...`, lines of JSON.
//!
//! In: a model and files of `label<TAB>text` lines. Every text is scored in fp32, bf16 and int8. Out: for each file and
//! precision the figure the file is judged by, at the model's cut-off, in percent; how far it is from fp32's, with the
//! standard error of that paired difference (bootstrap over texts, fixed seed); texts whose class differs; mean distance of
//! the probabilities. Texts with several labels are left out.

use groundswell_models::eval::{Report, Row, Task};
use groundswell_models::torch::{DeviceChoice, Precision};
use groundswell_models::{TorchOptions, TorchScorer};
use std::error::Error;
use std::path::Path;

type Failed = Box<dyn Error>;
const DRAWS: usize = 500;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, files @ ..] = args.as_slice() else {
        return Err("usage: precision MODEL FILE=sentiment|offensive|irony|emotion...".into());
    };
    let open = |precision| {
        let options = TorchOptions {
            device: DeviceChoice::Cpu,
            threads: 1,
            precision,
        };
        TorchScorer::open(Path::new(model), options)
    };
    let scorers = [Precision::Fp32, Precision::Bf16, Precision::Int8].map(|p| open(p).map(|scorer| (p, scorer)));
    let scorers = scorers.into_iter().collect::<Result<Vec<_>, _>>()?;
    for file in files {
        let (path, task) = file.rsplit_once('=').ok_or("a file needs =TASK")?;
        let task = match task {
            "sentiment" => Task::Sentiment,
            "offensive" => Task::Offensive,
            "irony" => Task::Irony,
            "emotion" => Task::Emotion,
            other => return Err(format!("unknown task \"{other}\"").into()),
        };
        let text = std::fs::read_to_string(path)?;
        let labelled: Vec<(usize, &str)> = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(label, text)| Some((task.class_of(label)?, text)))
            .collect();
        let mut exact: Option<Vec<Row>> = None;
        for (precision, scorer) in &scorers {
            let rows = answers(scorer, &labelled, task)?;
            let cutoff = task.cutoff(scorer.tasks());
            let exact = exact.get_or_insert_with(|| rows.clone());
            println!("{}", line(path, task, cutoff, precision.name(), &rows, exact));
        }
    }
    Ok(())
}

fn answers(scorer: &TorchScorer, labelled: &[(usize, &str)], task: Task) -> Result<Vec<Row>, Failed> {
    let mut rows = Vec::with_capacity(labelled.len());
    for batch in labelled.chunks(32) {
        let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        for (p, (truth, text)) in scorer.probabilities(&texts)?.into_iter().zip(batch) {
            let p = task.of(&p?).ok_or_else(|| format!("no answer for \"{text}\""))?;
            rows.push(Row { truth: *truth, p });
        }
    }
    Ok(rows)
}

fn line(path: &str, task: Task, cutoff: Option<f64>, name: &str, rows: &[Row], exact: &[Row]) -> serde_json::Value {
    let judged = |rows: &[Row]| 100.0 * judged(task, &Report::of(task.classes(), rows, cutoff));
    let guess = |row: &Row| match cutoff {
        Some(cutoff) => usize::from(row.p[1] > cutoff),
        None => (0..row.p.len())
            .max_by(|a, b| row.p[*a].total_cmp(&row.p[*b]))
            .unwrap_or(0),
    };
    let pairs = || rows.iter().zip(exact);
    let apart: f64 = pairs()
        .flat_map(|(a, b)| a.p.iter().zip(&b.p))
        .map(|(a, b)| (a - b).abs())
        .sum();
    let values = rows.iter().map(|row| row.p.len()).sum::<usize>().max(1);
    let mut random = Random(2026);
    let drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let places: Vec<usize> = rows.iter().map(|_| random.below(rows.len())).collect();
            let of = |rows: &[Row]| judged(&places.iter().map(|n| rows[*n].clone()).collect::<Vec<_>>());
            of(rows) - of(exact)
        })
        .collect();
    #[allow(clippy::cast_precision_loss)] // some thousand texts
    let count = |n: usize| n as f64;
    let mean = drawn.iter().sum::<f64>() / count(DRAWS);
    let spread = drawn.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count(DRAWS - 1);
    serde_json::json!({
        "file": path,
        "precision": name,
        "texts": rows.len(),
        "judged": judged(rows),
        "difference": judged(rows) - judged(exact),
        "standard_error": spread.sqrt(),
        "other_class": pairs().filter(|(a, b)| guess(a) != guess(b)).count(),
        "mean_distance": apart / count(values),
    })
}

/// The figure by which the file is judged.
fn judged(task: Task, report: &Report) -> f64 {
    match task {
        Task::Sentiment => report.macro_recall,
        Task::Offensive | Task::Emotion => report.macro_f1,
        Task::Irony => report.f1[1].unwrap_or(0.0),
    }
}

/// Xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap_or(0) % n.max(1)
    }
}
