//! Files of named tensors, whole in memory, checked for names, kinds and shapes before anything computes with them.

use super::names::Shaped;
use super::{BundleError, digest::Sha};
use safetensors::tensor::TensorView;
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
}

/// The tensors of one file, or of several that belong together.
pub struct Stored<'a> {
    files: Vec<(&'a Path, SafeTensors<'a>)>,
}

impl<'a> Stored<'a> {
    /// The tensors in `files`, of which there is at least one.
    ///
    /// # Errors
    /// If a file is cut short or not in the safetensors format, or two have a tensor of one name.
    pub fn of(files: impl IntoIterator<Item = &'a Blob>) -> Result<Self, BundleError> {
        let mut stored = Stored { files: Vec::new() };
        for file in files {
            let tensors = SafeTensors::deserialize(&file.bytes).map_err(|e| BundleError::Safetensors {
                path: file.path.clone(),
                why: e.to_string(),
            })?;
            if let Some(name) = tensors.names().into_iter().find(|name| stored.find(name).is_some()) {
                return Err(BundleError::Manifest {
                    place: file.path.display().to_string(),
                    why: format!("tensor \"{name}\" is in another file of the model as well"),
                });
            }
            stored.files.push((&file.path, tensors));
        }
        Ok(stored)
    }

    /// Where it is from, for messages: the file, or the folder of several.
    pub fn place(&self) -> PathBuf {
        match self.files.as_slice() {
            [(path, _)] => path.to_path_buf(),
            [(path, _), ..] => path.parent().unwrap_or(path).to_path_buf(),
            [] => PathBuf::new(),
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.iter().flat_map(|(_, tensors)| tensors.names()).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A tensor that must be there and hold floats.
    ///
    /// # Errors
    /// If it is not, or does not.
    pub fn floats(&self, name: &str) -> Result<TensorView<'_>, BundleError> {
        let missing = || BundleError::TensorMissing {
            path: self.place(),
            name: name.into(),
        };
        let (path, view) = self.find(name).ok_or_else(missing)?;
        if matches!(view.dtype(), Dtype::F16 | Dtype::BF16 | Dtype::F32) {
            return Ok(view);
        }
        Err(BundleError::Kind {
            path: path.into(),
            name: name.into(),
            kind: format!("{:?}", view.dtype()),
        })
    }

    /// Checks that a tensor is there, holds floats and has a shape.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<(), BundleError> {
        let actual = self.floats(name)?.shape().to_vec();
        if actual == shape {
            return Ok(());
        }
        let path = self.find(name).map(|(path, _)| path.into());
        Err(BundleError::Shape {
            path: path.unwrap_or_else(|| self.place()),
            name: name.into(),
            actual,
            expected: shape.to_vec(),
        })
    }

    /// Checks that all `wanted` are there, and nothing else but what is `idle`.
    pub(super) fn check_exactly(
        &self,
        wanted: &[Shaped],
        idle: impl Fn(&str) -> bool,
        owner: &'static str,
    ) -> Result<(), BundleError> {
        for (name, shape) in wanted {
            self.check(name, shape)?;
        }
        let known: std::collections::HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        match self
            .names()
            .into_iter()
            .find(|name| !known.contains(name) && !idle(name))
        {
            Some(name) => Err(BundleError::TensorUnknown {
                path: self.place(),
                name: name.into(),
                owner,
            }),
            None => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Option<(&'a Path, TensorView<'_>)> {
        self.files
            .iter()
            .find_map(|(path, tensors)| tensors.tensor(name).ok().map(|view| (*path, view)))
    }
}
