//! From the files of a checked bundle to tensors on a device, one at a time: 32-bit floats, changes applied.

use super::layout::int;
use crate::bundle::{Blob, BundleError, Change, Encoder, Stored};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::ops::Deref;
use tch::{Device, Kind, TchError, Tensor};

/// A tensor that several threads compute with, each through a handle of its own. Nobody writes to it.
pub(super) struct Weight(Tensor);

impl Weight {
    /// From now on nobody writes to the tensor.
    pub(super) fn of(tensor: Tensor) -> Self {
        Weight(tensor)
    }
}

impl Clone for Weight {
    fn clone(&self) -> Self {
        Weight(self.0.shallow_clone())
    }
}

impl Deref for Weight {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// Named tensors, read when they are asked for.
pub(super) struct Weights<'a> {
    stored: Stored<'a>,
    changed: Option<(Stored<'a>, HashMap<&'a str, &'a Change>)>,
    device: Device,
}

impl<'a> Weights<'a> {
    /// The weights of an encoder and of the heads in its checkpoint.
    pub(super) fn of(encoder: &'a Encoder, device: Device) -> Result<Self, BundleError> {
        let changed = encoder.delta.as_ref().map(|(file, changes)| {
            let by_name = changes.iter().map(|change| match change {
                Change::Replaced { name } | Change::LowRank { name, .. } => (name.as_str(), change),
            });
            Ok((Stored::of([file])?, by_name.collect()))
        });
        Ok(Weights {
            stored: encoder.weights.tensors()?,
            changed: changed.transpose()?,
            device,
        })
    }

    /// The weights in one file.
    pub(super) fn in_file(file: &'a Blob, device: Device) -> Result<Self, BundleError> {
        Ok(Weights {
            stored: Stored::of([file])?,
            changed: None,
            device,
        })
    }

    /// A tensor.
    pub(super) fn get(&self, name: &str) -> Result<Tensor, BundleError> {
        let found = self
            .changed
            .as_ref()
            .and_then(|(file, by_name)| Some((file, by_name.get(name)?)));
        match found {
            None => self.read(&self.stored, name),
            Some((file, Change::Replaced { .. })) => self.read(file, name),
            Some((file, Change::LowRank { a, b, .. })) => {
                let (a, b) = (self.read(file, a)?, self.read(file, b)?);
                let sum = |base: Tensor| base.f_add(&b.f_matmul(&a)?);
                sum(self.read(&self.stored, name)?).map_err(|e| refused(name, &e))
            }
        }
    }

    fn read(&self, file: &Stored<'_>, name: &str) -> Result<Tensor, BundleError> {
        let view = file.floats(name)?;
        // What is not one of the three has been refused.
        let kind = match view.dtype() {
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            _ => Kind::Float,
        };
        copied(&view, kind, self.device).map_err(|e| refused(name, &e))
    }
}

/// LibTorch's complaint with the tensor's name.
pub(super) fn refused(name: &str, e: &TchError) -> BundleError {
    BundleError::Torch(format!("tensor \"{name}\": {e}"))
}

fn copied(view: &TensorView<'_>, kind: Kind, device: Device) -> Result<Tensor, TchError> {
    let shape = view.shape().iter().map(|n| int(*n)).collect::<Result<Vec<_>, _>>()?;
    Tensor::f_from_data_size(view.data(), &shape, kind)?
        .f_to_kind(Kind::Float)?
        .f_to_device(device)
}
