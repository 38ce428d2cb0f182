//! A BERT encoder over packed tokens: `[tokens, width]` from layer to layer.

use super::layout::{Layout, int};
use super::tokens::Packed;
use super::weights::{Linear, Weights};
use crate::bundle::EncoderConfig;
use tch::{TchError, Tensor};

/// The weights, arranged for computing.
pub(super) struct Encoder {
    words: Tensor,
    /// Positions and segment 0 in one table: a text is always segment 0.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// The encoder that `config` describes, with as many of its layers as are needed.
    pub(super) fn of(weights: &Weights, config: &EncoderConfig, layers: usize) -> Result<Self, TchError> {
        let segment = weights.get("embeddings.token_type_embeddings.weight")?.f_select(0, 0)?;
        Ok(Encoder {
            words: weights.get("embeddings.word_embeddings.weight")?,
            positions: weights.get("embeddings.position_embeddings.weight")?.f_add(&segment)?,
            norm: Norm::of(weights, "embeddings", config)?,
            layers: (0..layers)
                .map(|n| Layer::of(weights, n, config))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The hidden states `wanted` (0 is the embeddings' output) as `[tokens, width]`, in that order.
    pub(super) fn hidden(&self, packed: &Packed, layout: &Layout, wanted: &[usize]) -> Result<Vec<Tensor>, TchError> {
        let device = self.words.device();
        let index = |ids: &[i64]| Tensor::f_from_slice(ids)?.f_to_device(device);
        let words = self.words.f_index_select(0, &index(&packed.ids)?)?;
        let positions = self.positions.f_index_select(0, &index(&packed.positions)?)?;
        let mut states = vec![self.norm.apply(&words.f_add(&positions)?)?];
        for layer in &self.layers {
            let next = layer.apply(&states[states.len() - 1], layout)?;
            states.push(next);
        }
        Ok(wanted.iter().map(|n| states[*n].shallow_clone()).collect())
    }
}

/// One post-norm transformer block.
struct Layer {
    /// Query, key and value of all heads in one product.
    qkv: Linear,
    mixed: Linear,
    mixed_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
    heads: i64,
    width: i64,
}

impl Layer {
    fn of(weights: &Weights, n: usize, config: &EncoderConfig) -> Result<Self, TchError> {
        let linear = |part: &str| Linear::of(weights, &format!("encoder.layer.{n}.{part}"));
        let norm = |part: &str| Norm::of(weights, &format!("encoder.layer.{n}.{part}"), config);
        let qkv = [
            linear("attention.self.query")?,
            linear("attention.self.key")?,
            linear("attention.self.value")?,
        ];
        Ok(Layer {
            qkv: Linear::joined(&qkv)?,
            mixed: linear("attention.output.dense")?,
            mixed_norm: norm("attention.output")?,
            inner: linear("intermediate.dense")?,
            outer: linear("output.dense")?,
            outer_norm: norm("output")?,
            heads: int(config.num_attention_heads)?,
            width: int(config.hidden_size)?,
        })
    }

    fn apply(&self, x: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let attended = self.mixed.apply(&self.attend(x, layout)?)?;
        let x = self.mixed_norm.apply(&attended.f_add(x)?)?;
        let inner = self.inner.apply(&x)?.f_gelu("none")?;
        self.outer_norm.apply(&self.outer.apply(&inner)?.f_add(&x)?)
    }

    fn attend(&self, x: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let qkv = self.qkv.apply(x)?;
        let padded = match &layout.ragged {
            Some(ragged) => qkv.f_index_select(0, &ragged.pad)?,
            None => qkv,
        };
        let parts = padded
            .f_view([layout.batch, layout.longest, 3, self.heads, self.width / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        let (q, k, v) = (parts.f_select(0, 0)?, parts.f_select(0, 1)?, parts.f_select(0, 2)?);
        let mask = layout.ragged.as_ref().map(|ragged| &ragged.mask);
        let mixed = Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false)?;
        let mixed = mixed
            .f_transpose(1, 2)?
            .f_reshape([layout.batch * layout.longest, self.width])?;
        match &layout.ragged {
            Some(ragged) => mixed.f_index_select(0, &ragged.unpad),
            None => Ok(mixed),
        }
    }
}

/// Layer normalisation.
struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    width: i64,
}

impl Norm {
    fn of(weights: &Weights, owner: &str, config: &EncoderConfig) -> Result<Self, TchError> {
        Ok(Norm {
            weight: weights.get(&format!("{owner}.LayerNorm.weight"))?,
            bias: weights.get(&format!("{owner}.LayerNorm.bias"))?,
            eps: config.layer_norm_eps,
            width: int(config.hidden_size)?,
        })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}
