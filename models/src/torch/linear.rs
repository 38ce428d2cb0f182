//! `x · weightᵀ + bias`, in one of three precisions.
//!
//! - `fp32`: the reference.
//! - `bf16`: weights and what goes in and comes out are cut to 8 bits of mantissa; sums are in 32 bits.
//! - `int8`: see [`Eighth`].

use super::eighth::{Eighth, Lie};
use super::weights::{Weight, Weights, refused};
use crate::bundle::BundleError;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

/// How exactly the large products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// 8-bit integers; on the CPU only.
    Int8,
}

impl Precision {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }

    /// The floats in which the products are loaded.
    pub(super) fn kind(self) -> Kind {
        match self {
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp32 | Precision::Int8 => Kind::Float,
        }
    }
}

/// A linear layer.
#[derive(Clone)]
pub(super) struct Linear {
    form: Form,
    bias: Weight,
}

#[derive(Clone)]
enum Form {
    /// `[out, in]`, of the kind it computes in.
    Float(Weight),
    /// In 8-bit integers.
    Int8(Eighth),
}

impl Linear {
    /// The layer called `name`, which computes in `kind`.
    pub(super) fn of(weights: &Weights<'_>, name: &str, kind: Kind) -> Result<Self, BundleError> {
        Self::joined(weights, &[name.to_owned()], kind)
    }

    /// Several layers over the same input as one.
    pub(super) fn joined(weights: &Weights<'_>, names: &[String], kind: Kind) -> Result<Self, BundleError> {
        let all = |part: &str| -> Result<Vec<Tensor>, BundleError> {
            let parts = names.iter().map(|name| weights.get(&format!("{name}.{part}")));
            parts.collect()
        };
        let (weight, bias) = (all("weight")?, all("bias")?);
        let make = || Self::new(&Tensor::f_cat(&weight, 0)?, &Tensor::f_cat(&bias, 0)?, kind);
        make().map_err(|e| refused(&names.join(", "), &e))
    }

    fn new(weight: &Tensor, bias: &Tensor, kind: Kind) -> Result<Self, TchError> {
        Ok(Linear {
            form: Form::Float(Weight::of(weight.f_to_kind(kind)?)),
            bias: Weight::of(bias.f_to_kind(kind)?),
        })
    }

    /// A layer in 32-bit floats as one in 8-bit integers, for inputs like those of `seen`, `[rows, in]`. What rounding adds to
    /// every token alike, which a mean over tokens would not get rid of, is taken off the bias.
    pub(super) fn in_eight_bits(&self, seen: &Tensor, lie: Lie) -> Result<Self, TchError> {
        let Form::Float(weight) = &self.form else {
            return Ok(self.clone());
        };
        let reach = seen.f_abs()?.f_amax([0i64].as_slice(), false)?;
        let eighth = Eighth::of(weight, &reach, lie)?;
        let off = self.apply(seen)?.f_sub(&eighth.apply(seen, &self.bias)?)?;
        let off = off.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        Ok(Linear {
            form: Form::Int8(eighth),
            bias: Weight::of(self.bias.f_add(&off)?),
        })
    }

    /// Applies the layer to `[rows, in]`. What comes out is of the kind the layer computes in: 32-bit floats but for `bf16`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.form {
            Form::Float(weight) if x.kind() == weight.kind() => x.f_linear(weight, Some(&*self.bias)),
            Form::Float(weight) => x.f_to_kind(weight.kind())?.f_linear(weight, Some(&*self.bias)),
            Form::Int8(eighth) => eighth.apply(x, &self.bias),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn every_precision_is_near() {
        tch::manual_seed(7);
        let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let (x, weight, bias) = (random([5, 24]), random([12, 24]), random([1, 12]).squeeze_dim(0));
        let exact = x.linear(&weight, Some(&bias));
        let float = |kind| Linear::new(&weight, &bias, kind).expect("made");
        let eighth = float(Kind::Float).in_eight_bits(&x, Lie::Even).expect("made");
        let layers = [(float(Kind::Float), 1e-5), (float(Kind::BFloat16), 0.1), (eighth, 0.2)];
        for (n, (layer, allowed)) in layers.iter().enumerate() {
            let all = layer.apply(&x).expect("applied").to_kind(Kind::Float);
            let off = (all - &exact).abs().max().double_value(&[]);
            assert!(off <= *allowed, "{n}: {off}");
        }
        let mean = (layers[2].0.apply(&x).expect("applied") - &exact).mean_dim([0i64].as_slice(), false, Kind::Float);
        assert!(
            mean.abs().max().double_value(&[]) < 1e-5,
            "what all rows are off by is taken off"
        );
    }
}
