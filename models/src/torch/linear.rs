//! `x · weightᵀ + bias`, in one of three precisions.
//!
//! - `fp32`: the reference.
//! - `bf16`: weights and what goes in and comes out are cut to 8 bits of mantissa; sums are in 32 bits.
//! - `int8`: weights in 8 bits with a scale per output channel, made once; inputs in 8 bits with a scale per token, made
//!   on the fly. Sums are exact integers, so that a text's answer does not depend on the texts it is batched with.

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
    /// `[in, out]` in 8 bits, and a scale per output.
    Int8 { weight: Weight, scales: Weight },
}

/// The largest of 8 bits. −128 is not used: so both signs round alike.
const LARGEST: f64 = 127.0;
/// Below this a token's inputs are all as good as zero; keeps zero over zero away.
const LEAST: f64 = 1e-30;

impl Linear {
    /// The layer called `name`.
    pub(super) fn of(weights: &Weights<'_>, name: &str, precision: Precision) -> Result<Self, BundleError> {
        Self::joined(weights, &[name.to_owned()], precision)
    }

    /// Several layers over the same input as one.
    pub(super) fn joined(weights: &Weights<'_>, names: &[String], precision: Precision) -> Result<Self, BundleError> {
        let all = |part: &str| -> Result<Vec<Tensor>, BundleError> {
            let parts = names.iter().map(|name| weights.get(&format!("{name}.{part}")));
            parts.collect()
        };
        let (weight, bias) = (all("weight")?, all("bias")?);
        let make = || Self::new(&Tensor::f_cat(&weight, 0)?, Tensor::f_cat(&bias, 0)?, precision);
        make().map_err(|e| refused(&names.join(", "), &e))
    }

    fn new(weight: &Tensor, bias: Tensor, precision: Precision) -> Result<Self, TchError> {
        let (form, bias) = match precision {
            Precision::Fp32 => (Form::Float(Weight::of(weight.shallow_clone())), bias),
            Precision::Bf16 => (
                Form::Float(Weight::of(weight.f_to_kind(Kind::BFloat16)?)),
                bias.f_to_kind(Kind::BFloat16)?,
            ),
            Precision::Int8 => {
                let (eighth, scales) = quantised(weight)?;
                let weight = Weight::of(eighth.f_transpose(0, 1)?.f_contiguous()?);
                let scales = Weight::of(scales.f_squeeze_dim(1)?);
                (Form::Int8 { weight, scales }, bias)
            }
        };
        Ok(Linear {
            form,
            bias: Weight::of(bias),
        })
    }

    /// Applies the layer to `[rows, in]`. What comes out is of the kind the layer computes in: 32-bit floats but for `bf16`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.form {
            Form::Float(weight) if x.kind() == weight.kind() => x.f_linear(weight, Some(&*self.bias)),
            Form::Float(weight) => x.f_to_kind(weight.kind())?.f_linear(weight, Some(&*self.bias)),
            Form::Int8 { weight, scales } => {
                let (eighth, by_token) = quantised(x)?;
                let sums = eighth.f_internal_int_mm(weight)?;
                let scaled = sums.f_to_kind(Kind::Float)?.f_mul_(&by_token)?;
                self.bias.f_addcmul(&scaled, scales)
            }
        }
    }
}

/// 8-bit rows, and what each has to be multiplied with.
fn quantised(x: &Tensor) -> Result<(Tensor, Tensor), TchError> {
    let mut greatest = x.f_abs()?.f_amax([1i64].as_slice(), true)?.f_clamp_min_(LEAST)?;
    let factors = greatest.f_reciprocal()?.f_mul_scalar_(LARGEST)?;
    let eighth = x.f_mul(&factors)?.f_round_()?.f_to_kind(Kind::Int8)?;
    Ok((eighth, greatest.f_mul_scalar_(1.0 / LARGEST)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn eight_bits_are_near_and_a_row_does_not_know_its_neighbours() {
        tch::manual_seed(7);
        let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let (x, weight, bias) = (random([5, 24]), random([12, 24]), random([1, 12]).squeeze_dim(0));
        let exact = x.linear(&weight, Some(&bias));
        for (precision, allowed) in [(Precision::Fp32, 1e-5), (Precision::Bf16, 0.1), (Precision::Int8, 0.2)] {
            let layer = Linear::new(&weight, bias.shallow_clone(), precision).expect("made");
            let all = layer.apply(&x).expect("applied");
            let off = (all.to_kind(Kind::Float) - &exact).abs().max().double_value(&[]);
            assert!(off <= allowed, "{precision:?}: {off}");
            for row in 0..5 {
                let alone = layer.apply(&x.narrow(0, row, 1)).expect("applied");
                let off = (alone - all.narrow(0, row, 1)).abs().max().double_value(&[]);
                let allowed = if precision == Precision::Int8 { 0.0 } else { allowed };
                assert!(off <= allowed, "{precision:?}, row {row}: {off}");
            }
        }
    }

    #[test]
    fn rows_of_zeros_stay_zeros() {
        let layer = Linear::new(
            &Tensor::ones([3, 4], (Kind::Float, Device::Cpu)),
            Tensor::zeros([3], (Kind::Float, Device::Cpu)),
            Precision::Int8,
        )
        .expect("made");
        let out = layer
            .apply(&Tensor::zeros([2, 4], (Kind::Float, Device::Cpu)))
            .expect("applied");
        assert!(out.abs().max().double_value(&[]) == 0.0);
    }
}
