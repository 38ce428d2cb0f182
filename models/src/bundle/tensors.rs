//! A file of named tensors, whole in memory, checked for names, kinds and shapes before anything computes with it.

use super::{BundleError, digest::Sha};
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// A file that has been read once; what is checked is what is used.
pub struct Blob {
    /// Where it came from.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub sha: Sha,
}

impl Blob {
    /// Reads a file that is called `what` in messages.
    pub(super) fn read(path: PathBuf, what: &'static str) -> Result<Self, BundleError> {
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Blob {
                sha: Sha::of(&bytes),
                path,
                bytes,
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(BundleError::Missing { what, path }),
            Err(source) => Err(BundleError::Read { path, source }),
        }
    }

    /// A file as if it had been read.
    #[cfg(all(test, feature = "torch"))]
    pub(crate) fn for_test(path: PathBuf, bytes: Vec<u8>) -> Self {
        Blob {
            sha: Sha::of(&bytes),
            path,
            bytes,
        }
    }

    /// Compares the digest with the one in the manifest.
    pub(super) fn expect(&self, expected: &str) -> Result<(), BundleError> {
        let actual = self.sha.to_string();
        if actual.eq_ignore_ascii_case(expected.trim()) {
            return Ok(());
        }
        Err(BundleError::Digest {
            path: self.path.clone(),
            expected: expected.trim().into(),
            actual,
        })
    }

    /// The tensors in the file.
    ///
    /// # Errors
    /// If the file is cut short or not in the safetensors format.
    pub fn tensors(&self) -> Result<SafeTensors<'_>, BundleError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| BundleError::Safetensors {
            path: self.path.clone(),
            why: e.to_string(),
        })
    }
}

/// Checks that all `wanted` tensors are in the file, as floats and with these shapes. Others may be there too.
pub(super) fn check_all(
    path: &Path,
    file: &SafeTensors<'_>,
    wanted: &[(String, Vec<usize>)],
) -> Result<(), BundleError> {
    for (name, shape) in wanted {
        if file.tensor(name).is_err() {
            return Err(BundleError::TensorMissing {
                path: path.into(),
                name: name.clone(),
            });
        }
        check_one(path, file, name, shape)?;
    }
    Ok(())
}

/// Checks that every tensor in the file is one of `known`, as floats and with its shape.
pub(super) fn check_known(
    path: &Path,
    file: &SafeTensors<'_>,
    known: &[(String, Vec<usize>)],
    owner: &'static str,
) -> Result<(), BundleError> {
    for name in file.names() {
        match known.iter().find(|(k, _)| k == name) {
            Some((_, shape)) => check_one(path, file, name, shape)?,
            None => {
                return Err(BundleError::TensorUnknown {
                    path: path.into(),
                    name: name.into(),
                    owner,
                });
            }
        }
    }
    Ok(())
}

pub(super) fn check_one(path: &Path, file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<(), BundleError> {
    let actual = float_shape(path, file, name)?;
    if actual == shape {
        return Ok(());
    }
    Err(BundleError::Shape {
        path: path.into(),
        name: name.into(),
        actual,
        expected: shape.to_vec(),
    })
}

/// The shape of a tensor that must be there and hold floats.
pub(super) fn float_shape(path: &Path, file: &SafeTensors<'_>, name: &str) -> Result<Vec<usize>, BundleError> {
    let view = file.tensor(name).map_err(|_| BundleError::TensorMissing {
        path: path.into(),
        name: name.into(),
    })?;
    if !matches!(view.dtype(), Dtype::F16 | Dtype::BF16 | Dtype::F32) {
        return Err(BundleError::Kind {
            path: path.into(),
            name: name.into(),
            kind: format!("{:?}", view.dtype()),
        });
    }
    Ok(view.shape().to_vec())
}
