//! Named tensors on a device: the base model's, those the bundle changed in their place, and the heads'.

use super::layout::int;
use crate::bundle::{Blob, Bundle, BundleError};
use safetensors::Dtype;
use std::collections::HashMap;
use tch::{Device, Kind, TchError, Tensor};

/// All tensors by name, 32-bit floats.
pub(super) struct Weights {
    tensors: HashMap<String, Tensor>,
}

impl Weights {
    /// Copies the tensors of a bundle, which has been checked, to a device.
    pub(super) fn load(bundle: &Bundle, device: Device) -> Result<Self, BundleError> {
        let mut weights = Weights {
            tensors: HashMap::new(),
        };
        let needed: Vec<String> = bundle.config.tensors().into_iter().map(|(name, _)| name).collect();
        weights.add(&bundle.weights, device, |name| needed.iter().any(|n| n == name))?;
        if let Some(delta) = &bundle.delta {
            weights.add(delta, device, |_| true)?;
        }
        weights.add(&bundle.heads, device, |_| true)?;
        Ok(weights)
    }

    fn add(&mut self, file: &Blob, device: Device, wanted: impl Fn(&str) -> bool) -> Result<(), BundleError> {
        for (name, view) in file.tensors()?.iter().filter(|(name, _)| wanted(name)) {
            let kind = match view.dtype() {
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::F32 => Kind::Float,
                other => {
                    let (path, name, kind) = (file.path.clone(), name.to_owned(), format!("{other:?}"));
                    return Err(BundleError::Kind { path, name, kind });
                }
            };
            let tensor = copied(view.data(), view.shape(), kind, device)
                .map_err(|e| BundleError::Torch(format!("tensor \"{name}\": {e}")))?;
            self.tensors.insert(name.to_owned(), tensor);
        }
        Ok(())
    }

    /// A tensor; its memory is shared, not copied.
    pub(super) fn get(&self, name: &str) -> Result<Tensor, TchError> {
        let missing = || TchError::TensorNameNotFound(name.into(), "the bundle".into());
        Ok(self.tensors.get(name).ok_or_else(missing)?.shallow_clone())
    }
}

fn copied(bytes: &[u8], shape: &[usize], kind: Kind, device: Device) -> Result<Tensor, TchError> {
    let shape = shape.iter().map(|n| int(*n)).collect::<Result<Vec<_>, _>>()?;
    Tensor::f_from_data_size(bytes, &shape, kind)?
        .f_to_kind(Kind::Float)?
        .f_to_device(device)
}

/// `x · weightᵀ + bias`.
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// The layer called `name`.
    pub(super) fn of(weights: &Weights, name: &str) -> Result<Self, TchError> {
        Ok(Linear {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    /// Several layers over the same input as one.
    pub(super) fn joined(parts: &[Linear]) -> Result<Self, TchError> {
        let of = |f: fn(&Linear) -> &Tensor| Tensor::f_cat(&parts.iter().map(f).collect::<Vec<_>>(), 0);
        Ok(Linear {
            weight: of(|p| &p.weight)?,
            bias: of(|p| &p.bias)?,
        })
    }

    /// Applies the layer.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}
