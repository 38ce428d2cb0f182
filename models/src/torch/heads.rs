//! What stands on an encoder, per task: a network on pooled hidden states, the family's classifier, or a linear layer.
//! Heads compute in 32 bits in every precision: they cost next to nothing.

use super::layout::{Layout, int};
use super::linear::Linear;
use super::weights::Weights;
use crate::bundle::{self, BundleError, Family, HeadSpec};
use tch::{Kind, TchError, Tensor};

/// One vector per text: the mean of its tokens, for each hidden state, side by side.
pub(super) fn pooled(hidden: &[Tensor], layout: &Layout) -> Result<Tensor, TchError> {
    let means = hidden.iter().map(|state| {
        let width = state.size().last().copied().unwrap_or(0);
        let sums = Tensor::f_zeros([layout.texts, width], (state.kind(), state.device()))?;
        sums.f_index_add(0, &layout.rows, state)?.f_div(&layout.lengths)
    });
    Tensor::f_cat(&means.collect::<Result<Vec<_>, _>>()?, 1)
}

/// What a head can look at, one row per text.
pub(super) struct Features {
    /// Pooled hidden states, if a head wants them.
    pub pooled: Option<Tensor>,
    /// The first token's last hidden state, if a head wants it.
    pub first: Option<Tensor>,
}

impl Features {
    /// Those of several runs, one below the other.
    pub(super) fn joined(runs: Vec<Features>) -> Result<Features, TchError> {
        let join = |of: fn(&Features) -> Option<&Tensor>| {
            let parts: Vec<&Tensor> = runs.iter().filter_map(of).collect();
            (!parts.is_empty()).then(|| Tensor::f_cat(&parts, 0)).transpose()
        };
        Ok(Features {
            pooled: join(|features| features.pooled.as_ref())?,
            first: join(|features| features.first.as_ref())?,
        })
    }
}

/// The head of one task.
#[derive(Clone)]
pub(super) struct Head {
    form: Form,
    outputs: usize,
}

#[derive(Clone)]
enum Form {
    /// `last(gelu(dense(pooled)))`
    Mlp { dense: Linear, last: Linear },
    /// `last(f(dense(first)))`, f as the family has it.
    Classifier {
        dense: Linear,
        family: Family,
        last: Linear,
    },
    /// `last(first)`
    Linear(Linear),
}

impl Head {
    /// A head of the bundle; `own` has its encoder's checkpoint, `file` the bundle's heads.
    pub(super) fn of(
        head: &bundle::Head,
        encoder: &bundle::Encoder,
        own: &Weights<'_>,
        file: Option<&Weights<'_>>,
    ) -> Result<Self, BundleError> {
        let linear = |weights: &Weights<'_>, name: &str| Linear::of(weights, name, Kind::Float);
        let form = match &head.form {
            HeadSpec::Mlp => {
                let file = file.ok_or_else(|| BundleError::Torch("the bundle has no file of heads".into()))?;
                Form::Mlp {
                    dense: linear(file, &format!("{}.fc1", head.task))?,
                    last: linear(file, &format!("{}.fc2", head.task))?,
                }
            }
            HeadSpec::Classifier => {
                let [dense, last] = encoder.names.classifier();
                Form::Classifier {
                    dense: linear(own, &dense)?,
                    family: encoder.config.family,
                    last: linear(own, &last)?,
                }
            }
            HeadSpec::Linear(name) => Form::Linear(linear(own, name)?),
        };
        Ok(Head {
            form,
            outputs: head.outputs,
        })
    }

    /// Whether it looks at pooled hidden states, else at the first token.
    pub(super) fn wants_pooled(&self) -> bool {
        matches!(self.form, Form::Mlp { .. })
    }

    /// The logits of all texts, one text after the other.
    pub(super) fn logits(&self, features: &Features, texts: usize) -> Result<Vec<f32>, TchError> {
        let wanted = if self.wants_pooled() {
            &features.pooled
        } else {
            &features.first
        };
        let x = wanted
            .as_ref()
            .ok_or_else(|| TchError::Shape("a head has no input".into()))?;
        let logits = match &self.form {
            Form::Mlp { dense, last } => last.apply(&dense.apply(x)?.f_gelu("none")?)?,
            Form::Classifier { dense, family, last } => {
                let dense = dense.apply(x)?;
                last.apply(&match family {
                    Family::DistilBert => dense.f_relu()?,
                    Family::Bert | Family::Roberta | Family::XlmRoberta => dense.f_tanh()?,
                })?
            }
            Form::Linear(last) => last.apply(x)?,
        };
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
