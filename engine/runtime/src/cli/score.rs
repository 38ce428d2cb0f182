//! `groundswell score`: a model on its own. Texts in, JSON lines out; or labelled texts in, figures out.

use super::Failure;
use crate::config::Device;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[cfg(feature = "torch")]
mod eval;
#[cfg(feature = "torch")]
mod texts;

#[derive(Args)]
pub(super) struct ScoreArgs {
    /// The model: a bundle, or a Hugging Face folder with a sentiment classifier.
    #[arg(long)]
    model: PathBuf,
    /// Where it runs: `auto`, `cpu`, or `cuda:N`.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: Device,
    /// How exactly it computes.
    #[arg(long, value_enum, default_value = "fp32")]
    precision: Precision,
    /// Threads; half of the cores if not said.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Measure the model on a file of labelled texts, `label<TAB>text` a line, instead of scoring standard input.
    #[arg(long, requires = "task")]
    eval: Option<PathBuf>,
    /// What the labels are.
    #[arg(long, value_enum, requires = "eval")]
    task: Option<Task>,
}

fn device(word: &str) -> Result<Device, String> {
    Device::named(word).ok_or_else(|| "write auto, cpu, or cuda:N with the number of a GPU".to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    Fp32,
    Bf16,
    Int8,
}

#[derive(Clone, Copy, ValueEnum)]
enum Task {
    Sentiment,
    Offensive,
    Irony,
    Emotion,
}

#[cfg(not(feature = "torch"))]
pub(super) fn run(_args: &ScoreArgs) -> Result<(), Failure> {
    Err(Failure::Other(
        "this build was made without LibTorch (feature \"torch\")".into(),
    ))
}

#[cfg(feature = "torch")]
pub(super) fn run(args: &ScoreArgs) -> Result<(), Failure> {
    use groundswell_models::torch::{DeviceChoice, Precision as Exactly};
    use groundswell_models::{TorchOptions, TorchScorer};
    if !args.model.is_dir() {
        return Err(Failure::Usage(format!(
            "--model: no model folder at \"{}\"",
            args.model.display()
        )));
    }
    let default = TorchOptions::default();
    let options = TorchOptions {
        device: match args.device {
            Device::Auto => DeviceChoice::Auto,
            Device::Cpu => DeviceChoice::Cpu,
            Device::Cuda(n) => DeviceChoice::Cuda(n),
        },
        precision: match args.precision {
            Precision::Fp32 => Exactly::Fp32,
            Precision::Bf16 => Exactly::Bf16,
            Precision::Int8 => Exactly::Int8,
        },
        threads: args.threads.map_or(default.threads, usize::from),
    };
    let scorer = TorchScorer::open(&args.model, options)?;
    match (&args.eval, args.task) {
        (Some(file), Some(task)) => eval::run(&scorer, file, task),
        _ => texts::run(&scorer),
    }
}
