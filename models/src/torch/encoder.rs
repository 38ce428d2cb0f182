//! The encoder of all four families over packed tokens: `[tokens, width]` from layer to layer.

use super::layout::{Layout, int};
use super::linear::{Linear, Precision};
use super::tokens::Run;
use super::weights::{Weight, Weights, refused};
use crate::bundle::{Activation, BundleError, EncoderConfig, Names, Part};
use tch::{TchError, Tensor};

/// The weights, arranged for computing.
#[derive(Clone)]
pub(super) struct Encoder {
    words: Weight,
    /// Positions and segment 0 in one table: a text is always segment 0.
    positions: Weight,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// The encoder that `config` describes, with as many of its layers as are needed.
    pub(super) fn of(
        weights: &Weights<'_>,
        config: &EncoderConfig,
        names: &Names,
        layers: usize,
        precision: Precision,
    ) -> Result<Self, BundleError> {
        let mut positions = weights.get(&names.positions())?;
        if config.segments > 0 {
            let segments = weights.get(&names.segments())?;
            positions =
                (|| positions.f_add(&segments.f_select(0, 0)?))().map_err(|e| refused(&names.segments(), &e))?;
        }
        Ok(Encoder {
            words: Weight::of(weights.get(&names.words())?),
            positions: Weight::of(positions),
            norm: Norm::of(weights, &names.embedding_norm(), config)?,
            layers: (0..layers)
                .map(|n| Layer::of(weights, n, config, names, precision))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The hidden states `wanted` (0 is the embeddings' output) as `[tokens, width]`, in that order.
    pub(super) fn hidden(&self, run: &Run<'_>, layout: &Layout, wanted: &[usize]) -> Result<Vec<Tensor>, TchError> {
        let device = self.words.device();
        let index = |ids: &[i64]| Tensor::f_from_slice(ids)?.f_to_device(device);
        let words = self.words.f_index_select(0, &index(run.ids)?)?;
        let positions = self.positions.f_index_select(0, &index(run.positions)?)?;
        let mut states = vec![self.norm.apply(&words.f_add(&positions)?)?];
        for layer in &self.layers {
            let next = layer.apply(&states[states.len() - 1], layout)?;
            states.push(next);
        }
        Ok(wanted.iter().map(|n| states[*n].shallow_clone()).collect())
    }
}

/// One post-norm transformer block. The stream between the products and the norms are in 32 bits in every precision.
#[derive(Clone)]
struct Layer {
    /// Query, key and value of all heads in one product.
    qkv: Linear,
    mixed: Linear,
    mixed_norm: Norm,
    inner: Linear,
    activation: Activation,
    outer: Linear,
    outer_norm: Norm,
    heads: i64,
    width: i64,
}

impl Layer {
    fn of(
        weights: &Weights<'_>,
        n: usize,
        config: &EncoderConfig,
        names: &Names,
        precision: Precision,
    ) -> Result<Self, BundleError> {
        let linear = |part| Linear::of(weights, &names.part(n, part), precision);
        let norm = |part| Norm::of(weights, &names.part(n, part), config);
        let qkv = [Part::Query, Part::Key, Part::Value].map(|part| names.part(n, part));
        let size = |n| int(n).map_err(|e| BundleError::Torch(e.to_string()));
        Ok(Layer {
            qkv: Linear::joined(weights, &qkv, precision)?,
            mixed: linear(Part::Mixed)?,
            mixed_norm: norm(Part::MixedNorm)?,
            inner: linear(Part::Inner)?,
            activation: config.activation,
            outer: linear(Part::Outer)?,
            outer_norm: norm(Part::OuterNorm)?,
            heads: size(config.heads)?,
            width: size(config.width)?,
        })
    }

    fn apply(&self, x: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let attended = self.mixed.apply(&self.attend(x, layout)?)?;
        let x = self.mixed_norm.apply(&x.f_add(&attended)?)?;
        let inner = activated(self.activation, &self.inner.apply(&x)?)?;
        self.outer_norm.apply(&x.f_add(&self.outer.apply(&inner)?)?)
    }

    /// Attention, text by text, computed for texts of like length together.
    fn attend(&self, x: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let qkv = self.qkv.apply(x)?;
        let mixed = layout.groups.iter().map(|group| {
            let own = qkv.f_narrow(0, group.start, group.tokens)?;
            let padded = match &group.ragged {
                Some(ragged) => own.f_index_select(0, &ragged.pad)?,
                None => own,
            };
            let parts = padded
                .f_view([group.texts, group.longest, 3, self.heads, self.width / self.heads])?
                .f_permute([2, 0, 3, 1, 4])?;
            let (q, k, v) = (parts.f_select(0, 0)?, parts.f_select(0, 1)?, parts.f_select(0, 2)?);
            let mask = group.ragged.as_ref().map(|ragged| &ragged.mask);
            let mixed = Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false)?;
            let mixed = mixed
                .f_transpose(1, 2)?
                .f_reshape([group.texts * group.longest, self.width])?;
            match &group.ragged {
                Some(ragged) => mixed.f_index_select(0, &ragged.unpad),
                None => Ok(mixed),
            }
        });
        let mut mixed = mixed.collect::<Result<Vec<_>, TchError>>()?;
        match (mixed.len(), mixed.pop()) {
            (1, Some(only)) => Ok(only),
            (_, last) => {
                mixed.extend(last);
                Tensor::f_cat(&mixed, 0)
            }
        }
    }
}

fn activated(activation: Activation, x: &Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::Gelu => x.f_gelu("none"),
        Activation::GeluTanh => x.f_gelu("tanh"),
        Activation::Relu => x.f_relu(),
        Activation::Silu => x.f_silu(),
    }
}

/// Layer normalisation, in 32 bits.
#[derive(Clone)]
struct Norm {
    weight: Weight,
    bias: Weight,
    eps: f64,
    width: i64,
}

impl Norm {
    fn of(weights: &Weights<'_>, name: &str, config: &EncoderConfig) -> Result<Self, BundleError> {
        Ok(Norm {
            weight: Weight::of(weights.get(&format!("{name}.weight"))?),
            bias: Weight::of(weights.get(&format!("{name}.bias"))?),
            eps: config.eps,
            width: int(config.width).map_err(|e| BundleError::Torch(e.to_string()))?,
        })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm([self.width], Some(&*self.weight), Some(&*self.bias), self.eps, true)
    }
}
