//! The [`Scorer`] on LibTorch.

use super::linear::Precision;
use super::network::{BatchLogits, Network, logits};
use super::tokens::{Packed, Tokens};
use crate::answer::{Logits, Probabilities, probabilities, score_of};
use crate::bundle::{Bundle, BundleError, Tasks};
use crate::scorer::{Batch, ScoreFailure, Scorer, padding};
use groundswell_core::id::ModelKey;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::path::Path;
use tch::{Cuda, Device};

/// Where the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// A GPU if LibTorch sees one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, or an error.
    Cuda(usize),
}

/// How the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorchOptions {
    /// Where.
    pub device: DeviceChoice,
    /// Threads that share a forward pass, the calling one included.
    pub threads: usize,
    /// How exactly.
    pub precision: Precision,
}

impl Default for TorchOptions {
    /// Half the cores: the other half belongs to the dataflow.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        TorchOptions {
            device: DeviceChoice::Auto,
            threads: (cores / 2).max(1),
            precision: Precision::default(),
        }
    }
}

/// A bundle on LibTorch. Several threads may score at once; they share the weights.
pub struct TorchScorer {
    key: ModelKey,
    title: String,
    tasks: Tasks,
    /// Each encoder's tokenizer.
    tokens: Vec<Tokens>,
    max_tokens: usize,
    network: Mutex<Network>,
    /// Teams nobody is using: at most as many as threads ever scored at once.
    idle: Mutex<Vec<Vec<Network>>>,
    /// Networks in a team, each for a thread.
    team: usize,
}

fn no_such_gpu(n: usize) -> BundleError {
    let there = match Cuda::device_count() {
        _ if !Cuda::is_available() => "this LibTorch sees no GPU".to_owned(),
        1 => "there is one GPU, cuda:0".to_owned(),
        all => format!("there are {all} GPUs, cuda:0 to cuda:{}", all - 1),
    };
    BundleError::Device(format!("cuda:{n}"), there)
}

thread_local! {
    /// Whether LibTorch was told to use no other thread from this one.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

impl TorchScorer {
    /// Opens the bundle in `folder` and loads it.
    ///
    /// # Errors
    /// If the bundle is not usable or the device is not there.
    pub fn open(folder: &Path, options: TorchOptions) -> Result<Self, BundleError> {
        Self::load(Bundle::open(folder)?, options)
    }

    /// Loads a bundle.
    ///
    /// # Errors
    /// If LibTorch cannot, or the device is not there.
    pub fn load(bundle: Bundle, options: TorchOptions) -> Result<Self, BundleError> {
        let device = match options.device {
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Auto => Device::cuda_if_available(),
            DeviceChoice::Cuda(n)
                if Cuda::is_available() && i64::try_from(n).is_ok_and(|n| n < Cuda::device_count()) =>
            {
                Device::Cuda(n)
            }
            DeviceChoice::Cuda(n) => return Err(no_such_gpu(n)),
        };
        if options.precision == Precision::Int8 && device.is_cuda() {
            return Err(BundleError::Precision);
        }
        let tokens = bundle.encoders.iter().map(Tokens::load).collect::<Result<_, _>>()?;
        // A model in another precision gives other answers.
        let (key, title) = match options.precision {
            Precision::Fp32 => (bundle.key, bundle.title.clone()),
            other => {
                let whole = bundle.key.0;
                (
                    ModelKey::of(format!("{whole:032x} {}", other.name()).as_bytes()),
                    format!("{} {}", bundle.title, other.name()),
                )
            }
        };
        Ok(TorchScorer {
            key,
            title,
            max_tokens: bundle.encoders.iter().map(|e| e.max_tokens).max().unwrap_or(0),
            tokens,
            network: Mutex::new(Network::of(&bundle, device, options.precision)?),
            tasks: bundle.tasks,
            idle: Mutex::new(Vec::new()),
            team: if device.is_cuda() { 1 } else { options.threads.max(1) },
        })
    }

    /// How the logits are read: which tasks the bundle has.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The probabilities behind the scores of `texts`, which is not empty.
    ///
    /// # Errors
    /// If the pass failed as a whole.
    pub fn probabilities(&self, texts: &[&str]) -> Result<Vec<Result<Probabilities, ScoreFailure>>, ScoreFailure> {
        let (logits, _) = self.logits(texts)?;
        Ok((0..texts.len()).map(|n| self.read(&logits, n)).collect())
    }

    fn read(&self, logits: &BatchLogits, n: usize) -> Result<Probabilities, ScoreFailure> {
        let logits = Logits {
            sentiment: logits.of("sentiment", n),
            toxicity: logits.of("toxicity", n),
            sarcasm: logits.of("sarcasm", n),
            emotion: logits.of("emotion", n),
        };
        probabilities(&self.tasks, logits)
    }

    pub(super) fn logits(&self, texts: &[&str]) -> Result<(BatchLogits, Vec<Packed>), ScoreFailure> {
        // A team's threads work side by side, each alone. OpenMP's setting belongs to the calling thread.
        if !ALONE.replace(true) {
            tch::set_num_threads(1);
        }
        let packed = self
            .tokens
            .iter()
            .map(|tokens| tokens.pack(texts))
            .collect::<Result<Vec<_>, _>>()?;
        let idle = self.idle.lock().pop();
        let mut team = idle.unwrap_or_else(|| vec![self.network.lock().clone(); self.team]);
        let logits = logits(&mut team, &packed);
        self.idle.lock().push(team);
        let logits = logits.map_err(|e| ScoreFailure::Model(first_line(&e.to_string())))?;
        Ok((logits, packed))
    }
}

/// LibTorch appends a C++ backtrace to its messages.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

impl Scorer for TorchScorer {
    fn model(&self) -> ModelKey {
        self.key
    }

    fn name(&self) -> &str {
        &self.title
    }

    fn length_of(&self, text: &str) -> usize {
        // English has about four bytes to a token.
        (2 + text.len() / 4).min(self.max_tokens)
    }

    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
        let (logits, packed) = self.logits(texts)?;
        let score = |n| score_of(&self.tasks, &self.read(&logits, n)?);
        let cut = |n: &usize| packed.iter().any(|packed| packed.cut.get(*n) == Some(&true));
        Ok(Batch {
            results: (0..texts.len()).map(score).collect(),
            tokens: packed.iter().map(|packed| packed.ids.len()).sum(),
            padding: packed
                .iter()
                .map(|packed| padding(packed.lengths.iter().copied()))
                .sum(),
            truncated: (0..texts.len()).filter(cut).count(),
        })
    }
}
