//! Pooling, and the small networks on top: `fc2(gelu(fc1(x)))` per task.

use super::layout::{Layout, int};
use super::weights::{Linear, Weights};
use tch::{TchError, Tensor};

/// One vector per text: the mean of its tokens, for each hidden state, side by side.
pub(super) fn pooled(hidden: &[Tensor], layout: &Layout) -> Result<Tensor, TchError> {
    let means = hidden.iter().map(|state| {
        let width = state.size().last().copied().unwrap_or(0);
        let sums = Tensor::f_zeros([layout.batch, width], (state.kind(), state.device()))?;
        sums.f_index_add(0, &layout.rows, state)?.f_div(&layout.lengths)
    });
    Tensor::f_cat(&means.collect::<Result<Vec<_>, _>>()?, 1)
}

/// The head of one task.
pub(super) struct Head {
    fc1: Linear,
    fc2: Linear,
    outputs: usize,
}

impl Head {
    /// The head of `task`, which has so many logits.
    pub(super) fn of(weights: &Weights, task: &str, outputs: usize) -> Result<Self, TchError> {
        Ok(Head {
            fc1: Linear::of(weights, &format!("{task}.fc1"))?,
            fc2: Linear::of(weights, &format!("{task}.fc2"))?,
            outputs,
        })
    }

    /// The logits of all texts, one text after the other.
    pub(super) fn logits(&self, features: &Tensor, texts: usize) -> Result<Vec<f32>, TchError> {
        let logits = self.fc2.apply(&self.fc1.apply(features)?.f_gelu("none")?)?;
        let logits = logits.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
        let n = texts * self.outputs;
        if logits.size() != [int(texts)?, int(self.outputs)?] {
            return Err(TchError::Shape(format!(
                "a head gave {:?} logits for {texts} texts",
                logits.size()
            )));
        }
        let mut out = vec![0.0; n];
        logits.f_copy_data(&mut out, n)?;
        Ok(out)
    }

    /// Logits per text.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }
}
