//! A model bundle: a folder with `model.yaml`, the heads, and what was changed of the base model.
//!
//! In: the folder. Out: all files in memory, checked against digests, names and shapes, and the [`ModelKey`] under which
//! answers are recorded. The key is the digest of everything that decides an answer, so a bundle that differs in a single
//! weight, cut-off or label is another model, and a comment in the manifest is not. No LibTorch here.

mod base;
mod delta;
mod digest;
mod error;
mod manifest;
mod tensors;

pub use base::EncoderConfig;
pub use delta::Change;
pub use error::BundleError;
pub use manifest::{Base, FORMAT, Features, Manifest, Pooling, Sigmoid, SigmoidKind, Softmax, SoftmaxKind, Tasks};
pub use tensors::Blob;

use groundswell_core::id::ModelKey;
use std::path::Path;

/// Goes into every key; raise it when the engine computes other answers from the same files.
const REVISION: &str = "groundswell bundle 1";

/// A bundle, read and checked.
pub struct Bundle {
    /// What `model.yaml` says.
    pub manifest: Manifest,
    /// The digest of all that decides an answer.
    pub key: ModelKey,
    /// The base model's `config.json`.
    pub config: EncoderConfig,
    /// The base model's `tokenizer.json`.
    pub tokenizer: Blob,
    /// The base model's weights.
    pub weights: Blob,
    /// What is changed of them: the file, and what its tensors mean.
    pub delta: Option<(Blob, Vec<Change>)>,
    /// The heads.
    pub heads: Blob,
}

impl Bundle {
    /// Reads the bundle in `folder`.
    ///
    /// # Errors
    /// A [`BundleError`] that names the file and what to do.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join("model.yaml");
        let yaml = Blob::read(path.clone(), "the model bundle's manifest")?;
        let text = std::str::from_utf8(&yaml.bytes).map_err(|e| BundleError::Manifest {
            place: path.display().to_string(),
            why: e.to_string(),
        })?;
        let manifest = Manifest::parse(text, &path)?;

        let base = base::find(&manifest.base, folder)?;
        let config_file = Blob::read(base.join("config.json"), "the base model's config")?;
        let tokenizer = Blob::read(base.join("tokenizer.json"), "the base model's tokenizer")?;
        let weights = Blob::read(base.join("model.safetensors"), "the base model's weights file")?;
        tokenizer.expect(&manifest.base.tokenizer_sha256)?;
        weights.expect(&manifest.base.weights_sha256)?;
        let config = EncoderConfig::parse(&config_file.bytes, &config_file.path)?;
        check_manifest_fits(&manifest, &config, &path)?;
        let own = |name: &String, what| Blob::read(folder.join(name), what);
        let delta = manifest
            .delta
            .as_ref()
            .map(|name| own(name, "the bundle's changed weights"))
            .transpose()?;
        let heads = own(&manifest.heads, "the bundle's heads")?;

        let encoder = config.tensors();
        tensors::check_all(&weights.path, &weights.tensors()?, &encoder)?;
        let delta = delta
            .map(|file| delta::changes(&file, &encoder).map(|changes| (file, changes)))
            .transpose()?;
        let wanted = head_tensors(&manifest, &config, &heads)?;
        tensors::check_all(&heads.path, &heads.tensors()?, &wanted)?;
        tensors::check_known(&heads.path, &heads.tensors()?, &wanted, "task of the bundle")?;

        let key = key_of(
            &manifest,
            &config,
            [
                Some(&tokenizer),
                Some(&weights),
                delta.as_ref().map(|(file, _)| file),
                Some(&heads),
            ],
        )
        .map_err(|e| BundleError::Manifest {
            place: path.display().to_string(),
            why: e.to_string(),
        })?;
        Ok(Bundle {
            manifest,
            key,
            config,
            tokenizer,
            weights,
            delta,
            heads,
        })
    }

    /// Name and version, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.manifest.name, self.manifest.version)
    }
}

fn check_manifest_fits(manifest: &Manifest, config: &EncoderConfig, path: &Path) -> Result<(), BundleError> {
    let problem = |why| {
        Err(BundleError::Manifest {
            place: path.display().to_string(),
            why,
        })
    };
    let (tokens, layers) = (config.max_position_embeddings, config.num_hidden_layers);
    if manifest.max_tokens > tokens {
        return problem(format!(
            "max_tokens is {}; the base model reads at most {tokens}",
            manifest.max_tokens
        ));
    }
    if let Some(layer) = manifest.features.layers.iter().find(|layer| **layer > layers) {
        return problem(format!(
            "features.layers has {layer}; the base model has hidden states 0 to {layers}"
        ));
    }
    Ok(())
}

/// Names and shapes of the heads' tensors. How wide a head is inside, its own `fc1.bias` says.
fn head_tensors(
    manifest: &Manifest,
    config: &EncoderConfig,
    heads: &Blob,
) -> Result<Vec<(String, Vec<usize>)>, BundleError> {
    let file = heads.tensors()?;
    let features = config.hidden_size * manifest.features.layers.len();
    let mut wanted = Vec::new();
    for (task, outputs) in manifest.outputs() {
        let name = format!("{task}.fc1.bias");
        let missing = |_| BundleError::TensorMissing {
            path: heads.path.clone(),
            name: name.clone(),
        };
        let inner: usize = file.tensor(&name).map_err(missing)?.shape().iter().product();
        for (part, shape) in [
            ("fc1.weight", vec![inner, features]),
            ("fc1.bias", vec![inner]),
            ("fc2.weight", vec![outputs, inner]),
            ("fc2.bias", vec![outputs]),
        ] {
            wanted.push((format!("{task}.{part}"), shape));
        }
    }
    Ok(wanted)
}

fn key_of(manifest: &Manifest, config: &EncoderConfig, files: [Option<&Blob>; 4]) -> serde_json::Result<ModelKey> {
    // Both are plain structs of strings and numbers: equal values are written alike.
    let mut content = vec![
        REVISION.to_owned(),
        serde_json::to_string(manifest)?,
        serde_json::to_string(config)?,
    ];
    content.extend(files.map(|file| file.map_or("none".into(), |blob| blob.sha.to_string())));
    Ok(ModelKey::of(content.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests;
