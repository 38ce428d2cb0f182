//! Encoder and heads together: packed tokens in, logits out. Belongs to one thread at a time.

use super::encoder::Encoder;
use super::heads::{Head, pooled};
use super::layout::Layout;
use super::tokens::Packed;
use super::weights::Weights;
use crate::bundle::Bundle;
use tch::{Device, TchError};

/// A network ready to run.
pub(super) struct Network {
    encoder: Encoder,
    layers: Vec<usize>,
    heads: Vec<(&'static str, Head)>,
    device: Device,
}

/// The logits of a batch, by task.
pub(super) struct BatchLogits {
    tasks: Vec<(&'static str, usize, Vec<f32>)>,
}

/// What decides the network's form.
pub(super) struct Shape {
    config: crate::bundle::EncoderConfig,
    layers: Vec<usize>,
    outputs: Vec<(&'static str, usize)>,
    device: Device,
}

impl Shape {
    /// The form of a bundle's network.
    pub(super) fn of(bundle: &Bundle, device: Device) -> Self {
        let (config, layers) = (bundle.config.clone(), bundle.manifest.features.layers.clone());
        Shape {
            config,
            layers,
            outputs: bundle.manifest.outputs(),
            device,
        }
    }
}

impl Network {
    /// A network on shared weights.
    pub(super) fn of(weights: &Weights, shape: &Shape) -> Result<Self, TchError> {
        let deepest = shape.layers.iter().copied().max().unwrap_or(0);
        let heads = shape
            .outputs
            .iter()
            .map(|(task, n)| Ok((*task, Head::of(weights, task, *n)?)));
        Ok(Network {
            encoder: Encoder::of(weights, &shape.config, deepest)?,
            layers: shape.layers.clone(),
            heads: heads.collect::<Result<_, TchError>>()?,
            device: shape.device,
        })
    }

    /// One forward pass.
    pub(super) fn logits(&self, packed: &Packed) -> Result<BatchLogits, TchError> {
        let _guard = tch::no_grad_guard();
        let layout = Layout::of(packed, self.device)?;
        let features = pooled(&self.encoder.hidden(packed, &layout, &self.layers)?, &layout)?;
        let tasks = self
            .heads
            .iter()
            .map(|(task, head)| Ok((*task, head.outputs(), head.logits(&features, packed.lengths.len())?)));
        Ok(BatchLogits {
            tasks: tasks.collect::<Result<_, TchError>>()?,
        })
    }
}

impl BatchLogits {
    /// The logits of the n-th text for a task; empty if there is no such task.
    pub(super) fn of(&self, task: &str, n: usize) -> &[f32] {
        let found = self.tasks.iter().find(|(name, ..)| *name == task);
        found
            .and_then(|(_, width, all)| all.get(n * width..(n + 1) * width))
            .unwrap_or(&[])
    }
}
