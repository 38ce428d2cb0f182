//! The encoder of all four families over packed tokens: `[tokens, width]` from layer to layer.

use super::eighth::Lie;
use super::layout::{Layout, Sharing, int};
use super::linear::{Linear, Precision};
use super::tokens::{Packed, Run};
use super::weights::{Weight, Weights, refused};
use crate::bundle::{Activation, BundleError, EncoderConfig, Names, Part};
use tch::{Kind, TchError, Tensor};

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
    /// The encoder that `config` describes, with as many of its layers as are needed. In 8 bits the texts of `probe` go
    /// through each layer before it is made small.
    pub(super) fn of(
        weights: &Weights<'_>,
        config: &EncoderConfig,
        names: &Names,
        layers: usize,
        precision: Precision,
        probe: &Packed,
    ) -> Result<Self, BundleError> {
        let mut positions = weights.get(&names.positions())?;
        if config.segments > 0 {
            let segments = weights.get(&names.segments())?;
            positions =
                (|| positions.f_add(&segments.f_select(0, 0)?))().map_err(|e| refused(&names.segments(), &e))?;
        }
        let mut encoder = Encoder {
            words: Weight::of(weights.get(&names.words())?),
            positions: Weight::of(positions),
            norm: Norm::of(weights, &names.embedding_norm(), config)?,
            layers: Vec::with_capacity(layers),
        };
        let made = (0..layers).map(|n| Layer::of(weights, n, config, names, precision.kind()));
        if precision == Precision::Int8 {
            encoder.layers = encoder.in_eight_bits(made, probe)?;
        } else {
            encoder.layers = made.collect::<Result<_, _>>()?;
        }
        Ok(encoder)
    }

    /// One exact layer after the other made small; never more than one of them is in memory.
    fn in_eight_bits(
        &self,
        exact: impl Iterator<Item = Result<Layer, BundleError>>,
        probe: &Packed,
    ) -> Result<Vec<Layer>, BundleError> {
        let _guard = tch::no_grad_guard();
        let failed = |e: TchError| BundleError::Torch(format!("making the model small: {e}"));
        let layout = Layout::of(&probe.lengths, Sharing::Equal, self.words.device()).map_err(failed)?;
        let mut state = self.embedded(&probe.whole()).map_err(failed)?;
        let mut small = Vec::new();
        for layer in exact {
            let layer = layer?;
            let mut seen = Vec::new();
            state = layer
                .through(&state, &layout, |x| {
                    seen.push(x.shallow_clone());
                    Ok(())
                })
                .map_err(failed)?;
            small.push(layer.in_eight_bits(&seen).map_err(failed)?);
        }
        Ok(small)
    }

    fn embedded(&self, run: &Run<'_>) -> Result<Tensor, TchError> {
        let device = self.words.device();
        let index = |ids: &[i64]| Tensor::f_from_slice(ids)?.f_to_device(device);
        let words = self.words.f_index_select(0, &index(run.ids)?)?;
        let positions = self.positions.f_index_select(0, &index(run.positions)?)?;
        self.norm.apply(&words.f_add(&positions)?)
    }

    /// The hidden states `wanted` (0 is the embeddings' output) as `[tokens, width]`, in that order.
    pub(super) fn hidden(&self, run: &Run<'_>, layout: &Layout, wanted: &[usize]) -> Result<Vec<Tensor>, TchError> {
        let mut states = vec![self.embedded(run)?];
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
        kind: Kind,
    ) -> Result<Self, BundleError> {
        let linear = |part| Linear::of(weights, &names.part(n, part), kind);
        let norm = |part| Norm::of(weights, &names.part(n, part), config);
        let qkv = [Part::Query, Part::Key, Part::Value].map(|part| names.part(n, part));
        let size = |n| int(n).map_err(|e| BundleError::Torch(e.to_string()));
        Ok(Layer {
            qkv: Linear::joined(weights, &qkv, kind)?,
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
        self.through(x, layout, |_| Ok(()))
    }

    /// Applies the layer and shows what goes into each product, in the order of [`Layer::in_eight_bits`].
    fn through(
        &self,
        x: &Tensor,
        layout: &Layout,
        mut see: impl FnMut(&Tensor) -> Result<(), TchError>,
    ) -> Result<Tensor, TchError> {
        see(x)?;
        let attended = self.attend(x, layout)?;
        see(&attended)?;
        let x = self.mixed_norm.apply(&x.f_add(&self.mixed.apply(&attended)?)?)?;
        see(&x)?;
        let inner = activated(self.activation, &self.inner.apply(&x)?)?;
        see(&inner)?;
        self.outer_norm.apply(&x.f_add(&self.outer.apply(&inner)?)?)
    }

    /// The layer with its products in 8 bits, for inputs like those that were seen.
    fn in_eight_bits(&self, seen: &[Tensor]) -> Result<Self, TchError> {
        let [qkv, mixed, inner, outer] = seen else {
            return Err(TchError::Shape(format!("{} products were seen, not 4", seen.len())));
        };
        Ok(Layer {
            qkv: self.qkv.in_eight_bits(qkv, Lie::Even)?,
            mixed: self.mixed.in_eight_bits(mixed, Lie::Even)?,
            inner: self.inner.in_eight_bits(inner, Lie::Even)?,
            outer: self.outer.in_eight_bits(outer, Lie::Lopsided)?,
            ..self.clone()
        })
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
