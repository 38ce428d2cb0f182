//! Encoders and heads together: packed tokens in, logits out. Belongs to one thread at a time; a clone shares the weights.
//!
//! On a CPU a batch goes through the encoder in runs of a few texts: what lies between two products then stays in the
//! cores' own caches, which makes more than the products lose by being smaller.

use super::encoder::Encoder;
use super::heads::{Features, Head, pooled};
use super::layout::Layout;
use super::linear::Precision;
use super::tokens::{Packed, Run};
use super::weights::Weights;
use crate::bundle::{Bundle, BundleError};
use tch::{Device, TchError};

/// A network ready to run.
#[derive(Clone)]
pub(super) struct Network {
    branches: Vec<Branch>,
    device: Device,
    /// Tokens in a run.
    run: usize,
}

/// Tokens in a run for each thread: at 1536 floats for each between the products, they fill a mebibyte and a half.
const RUN: usize = 256;

/// One encoder with its heads.
#[derive(Clone)]
struct Branch {
    encoder: Encoder,
    /// The hidden states that are pooled.
    pooled: Vec<usize>,
    last: usize,
    heads: Vec<(&'static str, Head)>,
}

/// The logits of a batch, by task.
#[derive(Default)]
pub(super) struct BatchLogits {
    tasks: Vec<TaskLogits>,
}

struct TaskLogits {
    task: &'static str,
    outputs: usize,
    all: Vec<f32>,
    /// For each text its place among the logits.
    places: Vec<usize>,
}

impl Network {
    /// The network of a bundle.
    pub(super) fn of(
        bundle: &Bundle,
        device: Device,
        precision: Precision,
        threads: usize,
    ) -> Result<Self, BundleError> {
        let file = bundle.head_file.as_ref().map(|file| Weights::in_file(file, device));
        let file = file.transpose()?;
        let branches = bundle.encoders.iter().enumerate().map(|(n, encoder)| {
            let weights = Weights::of(encoder, device)?;
            let heads = bundle.heads.iter().filter(|head| head.encoder == n);
            let heads = heads.map(|head| Ok((head.task, Head::of(head, encoder, &weights, file.as_ref())?)));
            let heads = heads.collect::<Result<Vec<_>, BundleError>>()?;
            let pooled = match &encoder.features {
                Some(features) if heads.iter().any(|(_, head)| head.wants_pooled()) => features.layers.clone(),
                _ => Vec::new(),
            };
            let deepest = pooled.iter().copied().max().unwrap_or(0);
            let last = if heads.iter().all(|(_, head)| head.wants_pooled()) {
                deepest
            } else {
                encoder.config.layers
            };
            Ok(Branch {
                encoder: Encoder::of(&weights, &encoder.config, &encoder.names, last, precision)?,
                pooled,
                last,
                heads,
            })
        });
        Ok(Network {
            branches: branches.collect::<Result<_, BundleError>>()?,
            device,
            run: if device.is_cuda() {
                usize::MAX
            } else {
                RUN.saturating_mul(threads)
            },
        })
    }

    /// One forward pass; `packed` has the texts as each encoder's tokenizer sees them.
    pub(super) fn logits(&self, packed: &[Packed]) -> Result<BatchLogits, TchError> {
        let _guard = tch::no_grad_guard();
        let mut logits = BatchLogits::default();
        for (branch, packed) in self.branches.iter().zip(packed) {
            let runs = packed.runs(self.run).map(|run| branch.features(&run, self.device));
            let features = Features::joined(runs.collect::<Result<Vec<_>, _>>()?)?;
            for (task, head) in &branch.heads {
                logits.tasks.push(TaskLogits {
                    task,
                    outputs: head.outputs(),
                    all: head.logits(&features, packed.lengths.len())?,
                    places: packed.places.clone(),
                });
            }
        }
        Ok(logits)
    }
}

impl Branch {
    fn features(&self, run: &Run<'_>, device: Device) -> Result<Features, TchError> {
        let layout = Layout::of(run.lengths, device)?;
        let wants_first = self.heads.iter().any(|(_, head)| !head.wants_pooled());
        let wanted: Vec<usize> = self.pooled.iter().copied().chain([self.last]).collect();
        let mut states = self.encoder.hidden(run, &layout, &wanted)?;
        let last = states.pop().filter(|_| wants_first);
        Ok(Features {
            pooled: if states.is_empty() {
                None
            } else {
                Some(pooled(&states, &layout)?)
            },
            first: last.map(|state| state.f_index_select(0, &layout.firsts)).transpose()?,
        })
    }
}

impl BatchLogits {
    /// The logits of the n-th text for a task; empty if there is no such task.
    pub(super) fn of(&self, task: &str, n: usize) -> &[f32] {
        let found = self.tasks.iter().find(|logits| logits.task == task);
        found
            .and_then(|logits| {
                let (place, width) = (*logits.places.get(n)?, logits.outputs);
                logits.all.get(place * width..(place + 1) * width)
            })
            .unwrap_or(&[])
    }
}
