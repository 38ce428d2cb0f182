//! Named tensors on a device: the base model's, those the bundle changed in their place, and the heads'.

use super::layout::int;
use crate::bundle::{Blob, Bundle, BundleError, Change};
use safetensors::{Dtype, SafeTensors};
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
        if let Some((file, changes)) = &bundle.delta {
            weights.change(file, changes, device)?;
        }
        weights.add(&bundle.heads, device, |_| true)?;
        Ok(weights)
    }

    fn add(&mut self, file: &Blob, device: Device, wanted: impl Fn(&str) -> bool) -> Result<(), BundleError> {
        let tensors = file.tensors()?;
        for name in tensors.names().into_iter().filter(|name| wanted(name)) {
            let tensor = read(file, &tensors, name, device)?;
            self.tensors.insert(name.to_owned(), tensor);
        }
        Ok(())
    }

    fn change(&mut self, file: &Blob, changes: &[Change], device: Device) -> Result<(), BundleError> {
        let tensors = file.tensors()?;
        for change in changes {
            let (name, tensor) = match change {
                Change::Replaced { name } => (name, read(file, &tensors, name, device)?),
                Change::LowRank { name, a, b } => {
                    let (a, b) = (read(file, &tensors, a, device)?, read(file, &tensors, b, device)?);
                    let sum = self.get(name).and_then(|base| base.f_add(&b.f_matmul(&a)?));
                    (name, sum.map_err(|e| refused(name, &e))?)
                }
            };
            self.tensors.insert(name.clone(), tensor);
        }
        Ok(())
    }

    /// A tensor; its memory is shared, not copied.
    pub(super) fn get(&self, name: &str) -> Result<Tensor, TchError> {
        let missing = || TchError::TensorNameNotFound(name.into(), "the bundle".into());
        Ok(self.tensors.get(name).ok_or_else(missing)?.shallow_clone())
    }
}

/// A tensor of a file as 32-bit floats.
fn read(file: &Blob, tensors: &SafeTensors<'_>, name: &str, device: Device) -> Result<Tensor, BundleError> {
    let missing = |_| BundleError::TensorMissing {
        path: file.path.clone(),
        name: name.to_owned(),
    };
    let view = tensors.tensor(name).map_err(missing)?;
    let kind = match view.dtype() {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        other => {
            let (path, name, kind) = (file.path.clone(), name.to_owned(), format!("{other:?}"));
            return Err(BundleError::Kind { path, name, kind });
        }
    };
    copied(view.data(), view.shape(), kind, device).map_err(|e| refused(name, &e))
}

fn refused(name: &str, e: &TchError) -> BundleError {
    BundleError::Torch(format!("tensor \"{name}\": {e}"))
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
