//! `x · weightᵀ + bias` in 8-bit integers.
//!
//! Weights have a scale per output, made once; inputs have a scale per token, made on the fly. Sums are exact integers, and
//! everything around them is computed value by value, so that a text's answer does not depend on the texts it is batched
//! with.
//!
//! A few input channels of a transformer reach ten times as far as the rest, always the same ones. With one scale per token
//! the others would be left with a few bits. So channels that reach far are divided, and their weights multiplied, by a power
//! of two, which changes no exact product (the idea is SmoothQuant's). How far they reach is learnt from a few texts when
//! the model is loaded ([`super::probe`]).

use super::weights::Weight;
use tch::{Kind, TchError, Tensor};

/// The largest of 8 bits. −128 is not used: so both signs round alike.
const LARGEST: f64 = 127.0;
/// Steps from the least to the greatest input of a token that is not even: its middle is rounded to a step, which may cost
/// one at either end.
const SPAN: f64 = 253.0;
/// Below this a token's inputs are all as good as zero; keeps zero over zero away.
const LEAST: f64 = 1e-30;
/// A channel is taken to reach at least this share of the farthest: a few texts do not show all it can do.
const FLOOR: f64 = 1e-3;

/// How a token's inputs lie around zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// About as far on both sides.
    Even,
    /// Mostly on one side, as what comes from an activation function does.
    Lopsided,
}

/// The weights of a product.
#[derive(Clone)]
pub(super) struct Eighth {
    /// `[in, out]` in 8 bits.
    weight: Weight,
    /// For each output what its sums have to be multiplied with.
    scales: Weight,
    /// What each input is multiplied with first.
    ease: Weight,
    /// For lopsided inputs: the sum of each output's weights.
    sums: Option<Weight>,
}

impl Eighth {
    /// From the exact weights, `[out, in]`, and how far each input reaches.
    pub(super) fn of(weight: &Tensor, reach: &Tensor, lie: Lie) -> Result<Self, TchError> {
        let divisors = divisors(weight, reach)?;
        let weight = weight.f_mul(&divisors)?;
        let factors = weight.f_abs()?.f_amax([1i64].as_slice(), true)?.f_clamp_min_(LEAST)?;
        let eighth = weight.f_div(&factors)?.f_mul_scalar_(LARGEST)?.f_round_()?;
        let sums = match lie {
            Lie::Even => None,
            Lie::Lopsided => {
                let sums = eighth.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
                Some(Weight::of(sums.f_to_kind(Kind::Int)?))
            }
        };
        let eighth = eighth.f_to_kind(Kind::Int8)?.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Eighth {
            weight: Weight::of(eighth),
            scales: Weight::of(factors.f_squeeze_dim(1)?.f_div_scalar(LARGEST)?),
            ease: Weight::of(divisors.f_reciprocal()?),
            sums,
        })
    }

    /// Applies the product to `[rows, in]`.
    pub(super) fn apply(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let x = x.f_mul(&self.ease)?;
        let (sums, by_token) = match &self.sums {
            None => {
                let (eighth, by_token) = even(x)?;
                (eighth.f_internal_int_mm(&self.weight)?, by_token)
            }
            Some(of_weights) => {
                let (eighth, middle, by_token) = lopsided(x)?;
                // In integers: no rounding that could depend on how the rows lie in memory.
                let mut sums = eighth.f_internal_int_mm(&self.weight)?;
                (sums.f_addcmul_(&middle, of_weights)?, by_token)
            }
        };
        let scaled = sums.f_to_kind(Kind::Float)?.f_mul_(&by_token)?;
        bias.f_addcmul(&scaled, &self.scales)
    }
}

/// What each input is divided by: so much that inputs and weights share the burden.
fn divisors(weight: &Tensor, reach: &Tensor) -> Result<Tensor, TchError> {
    let above_floor = |x: Tensor| {
        let floor = x.f_max()?.f_mul_scalar_(FLOOR)?.f_clamp_min_(LEAST)?;
        x.f_maximum(&floor)
    };
    let weights = above_floor(weight.f_abs()?.f_amax([0i64].as_slice(), false)?)?;
    above_floor(reach.shallow_clone())?
        .f_div(&weights)?
        .f_sqrt()?
        .f_log2()?
        .f_round_()?
        .f_exp2()
}

/// 8-bit rows, and what each has to be multiplied with.
fn even(mut x: Tensor) -> Result<(Tensor, Tensor), TchError> {
    let mut greatest = x.f_abs()?.f_amax([1i64].as_slice(), true)?.f_clamp_min_(LEAST)?;
    let factors = greatest.f_reciprocal()?.f_mul_scalar_(LARGEST)?;
    let eighth = x.f_mul_(&factors)?.f_round_()?.f_to_kind(Kind::Int8)?;
    Ok((eighth, greatest.f_mul_scalar_(1.0 / LARGEST)?))
}

/// 8-bit rows around a middle, the middles in steps, and what each row has to be multiplied with. Zero stays zero.
fn lopsided(mut x: Tensor) -> Result<(Tensor, Tensor, Tensor), TchError> {
    // Two passes of many values at a time; LibTorch's `aminmax` over rows goes one by one and takes several times as long.
    let low = x.f_amin([1i64].as_slice(), true)?.f_clamp_max_(0.0)?;
    let high = x.f_amax([1i64].as_slice(), true)?.f_clamp_min_(0.0)?;
    let mut span = high.f_sub(&low)?.f_clamp_min_(LEAST)?;
    let factors = span.f_reciprocal()?.f_mul_scalar_(SPAN)?;
    let middle = high.f_add(&low)?.f_mul_scalar_(0.5)?.f_mul_(&factors)?.f_round_()?;
    let eighth = x.f_mul_(&factors)?.f_round_()?.f_sub_(&middle)?.f_to_kind(Kind::Int8)?;
    Ok((eighth, middle.f_to_kind(Kind::Int)?, span.f_mul_scalar_(1.0 / SPAN)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn random(shape: [i64; 2]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    /// Inputs of which one channel reaches far, weights, a bias, and the exact product.
    fn case(lie: Lie) -> (Tensor, Tensor, Tensor, Tensor) {
        tch::manual_seed(7);
        let far = Tensor::ones([24], (Kind::Float, Device::Cpu));
        let _ = far.get(3).fill_(40.0);
        let x = random([37, 24]) * far;
        let x = if lie == Lie::Lopsided { x.gelu("none") } else { x };
        let (weight, bias) = (random([12, 24]), random([1, 12]).squeeze_dim(0));
        let exact = x.linear(&weight, Some(&bias));
        (x, weight, bias, exact)
    }

    fn reach(x: &Tensor) -> Tensor {
        x.abs().amax([0i64].as_slice(), false)
    }

    fn off(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).square().mean(Kind::Float).sqrt().double_value(&[])
    }

    #[test]
    fn one_far_channel_does_not_cost_the_others_their_bits() {
        for lie in [Lie::Even, Lie::Lopsided] {
            let (x, weight, bias, exact) = case(lie);
            let with = |reach: &Tensor| Eighth::of(&weight, reach, lie).expect("made").apply(&x, &bias);
            let known = off(&with(&reach(&x)).expect("applied"), &exact);
            let unknown = off(&with(&reach(&x).ones_like()).expect("applied"), &exact);
            assert!(known < 0.6 * unknown, "{lie:?}: {known} against {unknown}");
        }
    }

    #[test]
    fn lopsided_inputs_gain_by_being_called_so() {
        let x = case(Lie::Lopsided).0;
        let (eighth, by_token) = even(x.copy()).expect("rounded");
        let called_even = eighth.to_kind(Kind::Float) * by_token;
        let (eighth, middle, by_token) = lopsided(x.copy()).expect("rounded");
        let called_lopsided = (eighth.to_kind(Kind::Float) + middle) * by_token;
        let (one, other) = (off(&called_even, &x), off(&called_lopsided, &x));
        assert!(other < 0.7 * one, "{other} against {one}");
    }

    #[test]
    fn a_row_does_not_know_its_neighbours() {
        for lie in [Lie::Even, Lie::Lopsided] {
            let (x, weight, bias, _) = case(lie);
            let product = Eighth::of(&weight, &reach(&x), lie).expect("made");
            let all = product.apply(&x, &bias).expect("applied");
            for (from, rows) in [(0, 1), (5, 1), (36, 1), (3, 17), (20, 8)] {
                let some = product.apply(&x.narrow(0, from, rows), &bias).expect("applied");
                assert!(some.equal(&all.narrow(0, from, rows)), "{lie:?}, {rows} from {from}");
            }
        }
    }

    #[test]
    fn rows_without_extent_stay_what_they_are() {
        for lie in [Lie::Even, Lie::Lopsided] {
            let weight = Tensor::ones([3, 4], (Kind::Float, Device::Cpu));
            let bias = Tensor::zeros([3], (Kind::Float, Device::Cpu));
            let product = Eighth::of(&weight, &Tensor::zeros([4], (Kind::Float, Device::Cpu)), lie).expect("made");
            for (value, expected) in [(0.0, 0.0), (5.0, 20.0), (-5.0, -20.0)] {
                let out = product.apply(&Tensor::full([2, 4], value, (Kind::Float, Device::Cpu)), &bias);
                let off = (out.expect("applied") - expected).abs().max().double_value(&[]);
                assert!(off < 1e-4, "{lie:?}: {value} is off by {off}");
            }
        }
    }
}
