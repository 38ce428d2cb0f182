//! The [`Scorer`] on LibTorch.

use super::network::{BatchLogits, Network, Shape};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::answer::{Logits, score_of};
use crate::bundle::{Bundle, BundleError, Tasks};
use crate::scorer::{Batch, ScoreFailure, Scorer};
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
    /// The first GPU, or an error.
    Cuda,
}

/// How the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorchOptions {
    /// Where.
    pub device: DeviceChoice,
    /// Threads LibTorch uses inside one forward pass, the calling one included.
    pub threads: usize,
}

impl Default for TorchOptions {
    /// Half the cores: the other half belongs to the dataflow.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        TorchOptions {
            device: DeviceChoice::Auto,
            threads: (cores / 2).max(1),
        }
    }
}

/// A bundle on LibTorch. Several threads may score at once; they share the weights.
pub struct TorchScorer {
    key: ModelKey,
    title: String,
    tasks: Tasks,
    max_tokens: usize,
    tokens: Tokens,
    shape: Shape,
    weights: Mutex<Weights>,
    /// Networks nobody is using: at most as many as threads ever scored at once.
    idle: Mutex<Vec<Network>>,
    threads: i32,
}

thread_local! {
    /// How many threads LibTorch was last told to use from this thread.
    static THREADS: Cell<i32> = const { Cell::new(0) };
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
            DeviceChoice::Cuda if Cuda::is_available() => Device::Cuda(0),
            DeviceChoice::Cuda => return Err(BundleError::Device("cuda".into())),
        };
        let tokens = Tokens::load(&bundle.tokenizer, bundle.manifest.max_tokens)?;
        if tokens.vocabulary() > bundle.config.vocab_size {
            let (known, path) = (bundle.config.vocab_size, bundle.tokenizer.path.clone());
            let why = format!("it has {} tokens, the base model knows {known}", tokens.vocabulary());
            return Err(BundleError::Tokenizer { path, why });
        }
        let shape = Shape::of(&bundle, device);
        let weights = Weights::load(&bundle, device)?;
        let network = Network::of(&weights, &shape).map_err(|e| BundleError::Torch(e.to_string()))?;
        Ok(TorchScorer {
            key: bundle.key,
            title: bundle.title(),
            max_tokens: bundle.manifest.max_tokens,
            tasks: bundle.manifest.tasks,
            tokens,
            shape,
            weights: Mutex::new(weights),
            idle: Mutex::new(vec![network]),
            threads: i32::try_from(options.threads.max(1)).unwrap_or(i32::MAX),
        })
    }

    fn logits(&self, texts: &[&str]) -> Result<(BatchLogits, usize, usize), ScoreFailure> {
        // OpenMP's setting belongs to the calling thread.
        if THREADS.replace(self.threads) != self.threads {
            tch::set_num_threads(self.threads);
        }
        let failed = |e: tch::TchError| ScoreFailure::Model(first_line(&e.to_string()));
        let packed = self.tokens.pack(texts)?;
        let idle = self.idle.lock().pop();
        let network = match idle {
            Some(network) => network,
            None => Network::of(&self.weights.lock(), &self.shape).map_err(failed)?,
        };
        let logits = network.logits(&packed);
        self.idle.lock().push(network);
        Ok((logits.map_err(failed)?, packed.ids.len(), packed.truncated))
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
        let (logits, tokens, truncated) = self.logits(texts)?;
        let score = |n| {
            let of = |task| logits.of(task, n);
            let (sentiment, toxicity) = (of("sentiment"), of("toxicity"));
            score_of(
                &self.tasks,
                Logits {
                    sentiment,
                    toxicity,
                    sarcasm: of("sarcasm"),
                    emotion: of("emotion"),
                },
            )
        };
        Ok(Batch {
            results: (0..texts.len()).map(score).collect(),
            tokens,
            truncated,
        })
    }
}
