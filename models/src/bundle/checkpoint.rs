//! The weights of a Hugging Face folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
//!
//! Nothing else is opened. Where only a pickle (`.bin`, `.pt`) lies in the folder it is refused by name: reading one means
//! to run the code in it.

use super::BundleError;
use super::digest::Sha;
use super::tensors::{Blob, Stored};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weights of a model, read once.
pub struct Checkpoint {
    files: Vec<Blob>,
    /// Which shard has which tensor; empty where there is one file.
    map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Whether a folder has weights that can be read.
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(WHOLE).is_file() || folder.join(INDEX).is_file()
    }

    /// Reads the weights in a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, BundleError> {
        if !Self::is_in(folder) {
            return Err(match pickle(folder) {
                Some(path) => BundleError::Pickle { path },
                None => BundleError::Missing {
                    what: "the base model's weights file",
                    path: folder.join(WHOLE),
                },
            });
        }
        if folder.join(WHOLE).is_file() {
            let file = Blob::read(folder.join(WHOLE), "the base model's weights file")?;
            return Ok(Checkpoint {
                files: vec![file],
                map: BTreeMap::new(),
            });
        }
        let index = Blob::read(folder.join(INDEX), "the list of the base model's weights files")?;
        let wrong = |place: String, why: String| BundleError::Manifest { place, why };
        let Index { weight_map: map } = serde_json::from_slice(&index.bytes).map_err(|e| {
            wrong(
                format!("{}:{}:{}", index.path.display(), e.line(), e.column()),
                e.to_string(),
            )
        })?;
        let mut names: Vec<&String> = map.values().collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(wrong(
                index.path.display().to_string(),
                "its weight_map is empty".into(),
            ));
        }
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let mut parts = Path::new(name).components();
            let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
            if !plain {
                let why = format!("\"{name}\" is not the name of a file in the same folder");
                return Err(wrong(index.path.display().to_string(), why));
            }
            if is_pickle(Path::new(name)) {
                return Err(BundleError::Pickle {
                    path: folder.join(name),
                });
            }
            files.push(Blob::read(folder.join(name), "one of the base model's weights files")?);
        }
        let checkpoint = Checkpoint { files, map };
        checkpoint.check_map(&index.path)?;
        Ok(checkpoint)
    }

    /// The tensors.
    ///
    /// # Errors
    /// If a file is cut short or not in the safetensors format.
    pub fn tensors(&self) -> Result<Stored<'_>, BundleError> {
        Stored::of(&self.files)
    }

    /// The digest of the file; of shards, that of the lines `sha256sum` prints for them in the order of their names.
    pub fn sha(&self) -> Sha {
        match self.files.as_slice() {
            [one] => one.sha,
            shards => {
                let line = |file: &Blob| {
                    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    format!("{}  {name}\n", file.sha)
                };
                Sha::of(shards.iter().map(line).collect::<String>().as_bytes())
            }
        }
    }

    /// The file, or the folder of several.
    pub fn place(&self) -> PathBuf {
        match self.files.as_slice() {
            [file] => file.path.clone(),
            files => files
                .first()
                .and_then(|file| file.path.parent())
                .map_or_else(PathBuf::new, Path::to_path_buf),
        }
    }

    fn check_map(&self, index: &Path) -> Result<(), BundleError> {
        for file in &self.files {
            let (stored, own) = (Stored::of([file])?, file.path.file_name().unwrap_or_default());
            let listed = self.map.iter().filter(|(_, shard)| own == shard.as_str());
            for (name, shard) in listed {
                if !stored.has(name) {
                    return Err(BundleError::Manifest {
                        place: index.display().to_string(),
                        why: format!("it says that tensor \"{name}\" is in \"{shard}\", where it is not"),
                    });
                }
            }
        }
        Ok(())
    }
}

/// A pickle in the folder that a user may take for the weights.
fn pickle(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| is_pickle(path))
        .collect();
    found.sort_unstable();
    found.into_iter().next()
}

/// Whether a file's name says that it is a pickle.
pub(super) fn is_pickle(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["bin", "pt", "pth", "pkl", "pickle", "ckpt"].contains(&ending.to_lowercase().as_str())
}
