//! A model: a bundle with a `model.yaml`, or a plain Hugging Face folder with a sentiment classifier.
//!
//! In: the folder. Out: all files in memory, checked against digests, names and shapes, and the [`ModelKey`] under which
//! answers are recorded. The key is the digest of everything that decides an answer, so a bundle that differs in a single
//! weight, cut-off or label is another model, and a comment in the manifest or another folder is not. No LibTorch here.

mod base;
mod checkpoint;
mod config;
mod delta;
mod digest;
mod error;
mod head;
mod labels;
mod manifest;
mod names;
mod plain;
mod tasks;
mod tensors;

pub use checkpoint::Checkpoint;
pub use config::{Activation, EncoderConfig, Family};
pub use delta::Change;
pub use error::BundleError;
pub use head::Head;
pub use labels::{SENTIMENTS, emotion as emotion_label, flag as flag_label, sentiment as sentiment_label};
pub use manifest::{Base, EncoderSpec, FORMAT, Features, HeadSpec, Kind, Manifest, ONLY, Pooling, TaskSpec, TaskSpecs};
pub use names::{Names, Part};
pub use tasks::{Choice, Flag, Tasks};
pub use tensors::{Blob, Stored};

use groundswell_core::id::ModelKey;
use std::path::Path;

/// Goes into every key; raise it when the engine computes other answers from the same files.
const REVISION: &str = "groundswell bundle 2";

/// Longest input where the manifest names none: the length these families are trained with.
const MAX_TOKENS: usize = 512;

const MANIFEST: &str = "model.yaml";

/// A bundle, read and checked.
pub struct Bundle {
    /// Name and version, for people.
    pub title: String,
    /// The digest of all that decides an answer.
    pub key: ModelKey,
    /// The encoders.
    pub encoders: Vec<Encoder>,
    /// The heads, each on one of them.
    pub heads: Vec<Head>,
    /// The file of the heads on pooled hidden states.
    pub head_file: Option<Blob>,
    /// How the heads' logits are read.
    pub tasks: Tasks,
}

/// One encoder's files.
pub struct Encoder {
    /// Its `config.json`.
    pub config: EncoderConfig,
    /// What its checkpoint calls its tensors.
    pub names: Names,
    /// Its `tokenizer.json`.
    pub tokenizer: Blob,
    /// Its weights.
    pub weights: Checkpoint,
    /// What is changed of them: the file, and what its tensors mean.
    pub delta: Option<(Blob, Vec<Change>)>,
    /// Longest input in tokens.
    pub max_tokens: usize,
    /// The input of heads on pooled hidden states.
    pub features: Option<Features>,
}

impl Bundle {
    /// Reads the model in `folder`.
    ///
    /// # Errors
    /// A [`BundleError`] that names the file and what to do.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let (path, mut manifest) = read_manifest(folder)?;
        let named: Vec<(String, EncoderSpec)> = std::mem::take(&mut manifest.encoders).into_iter().collect();
        let mut encoders = Vec::with_capacity(named.len());
        for (_, spec) in &named {
            encoders.push(Encoder::read(spec, folder, &path)?);
        }
        let head_file = manifest.heads.as_ref().map(|name| {
            let file = folder.join(name);
            if checkpoint::is_pickle(&file) {
                return Err(BundleError::Pickle { path: file });
            }
            Blob::read(file, "the bundle's heads")
        });
        let head_file = head_file.transpose()?;

        let (tasks, heads) = head::resolve(&manifest, &named, &encoders, &path)?;
        head::check_file(&heads, &encoders, head_file.as_ref())?;
        for (n, encoder) in encoders.iter_mut().enumerate() {
            encoder.finish(&heads, n, &named[n].1, folder)?;
        }
        let key = key_of(&encoders, &heads, &tasks, head_file.as_ref()).map_err(|e| BundleError::Manifest {
            place: path.display().to_string(),
            why: e.to_string(),
        })?;
        if manifest.version.is_empty() {
            manifest.version = format!("{:08x}", key.0 >> 96);
        }
        Ok(Bundle {
            title: format!("{} {}", manifest.name, manifest.version),
            key,
            encoders,
            heads,
            head_file,
            tasks,
        })
    }
}

/// The manifest, and the file to name in complaints about it.
fn read_manifest(folder: &Path) -> Result<(std::path::PathBuf, Manifest), BundleError> {
    let path = folder.join(MANIFEST);
    if !path.is_file() && folder.join("config.json").is_file() {
        return Ok((folder.join("config.json"), plain::manifest(folder)));
    }
    let yaml = Blob::read(path.clone(), "the model bundle's manifest")?;
    let text = std::str::from_utf8(&yaml.bytes).map_err(|e| BundleError::Manifest {
        place: path.display().to_string(),
        why: e.to_string(),
    })?;
    let manifest = Manifest::parse(text, &path)?;
    Ok((path, manifest))
}

impl Encoder {
    /// Reads the files, all but what the bundle changes.
    fn read(spec: &EncoderSpec, folder: &Path, manifest: &Path) -> Result<Self, BundleError> {
        let base = base::find(&spec.base, folder)?;
        let config = Blob::read(base.join("config.json"), "the base model's config")?;
        let config = EncoderConfig::parse(&config.bytes, &config.path)?;
        let tokenizer = base.join("tokenizer.json");
        if !tokenizer.is_file() && base.join("vocab.json").is_file() {
            return Err(BundleError::Tokenizer {
                path: tokenizer,
                why: "it is not there, only vocab.json; write it with \
                      `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`"
                    .into(),
            });
        }
        let tokenizer = Blob::read(tokenizer, "the base model's tokenizer")?;
        let weights = Checkpoint::read(&base)?;
        let digest = |path, actual: digest::Sha, expected: &Option<String>| match expected {
            Some(expected) => actual.expect(path, expected),
            None => Ok(()),
        };
        digest(weights.place(), weights.sha(), &spec.base.weights_sha256)?;
        digest(tokenizer.path.clone(), tokenizer.sha, &spec.base.tokenizer_sha256)?;

        let stored = weights.tensors()?;
        let names = Names::of(config.family, stored.names().into_iter()).map_err(|found| BundleError::Encoder {
            path: weights.place(),
            why: match found.as_slice() {
                [] => {
                    "no tensor is called \"...embeddings.word_embeddings.weight\", so there is no encoder in it".into()
                }
                several => format!("it has several encoders, below {}", several.join(", ")),
            },
        })?;
        drop(stored);
        let problem = |why| {
            Err(BundleError::Manifest {
                place: manifest.display().to_string(),
                why,
            })
        };
        let (reads, layers) = (config.longest(), config.layers);
        let max_tokens = spec.max_tokens.unwrap_or(MAX_TOKENS.min(reads));
        if max_tokens > reads {
            return problem(format!(
                "max_tokens is {max_tokens}; the base model reads at most {reads}"
            ));
        }
        if let Some(layer) = spec
            .features
            .iter()
            .flat_map(|f| &f.layers)
            .find(|layer| **layer > layers)
        {
            return problem(format!(
                "features.layers has {layer}; the base model has hidden states 0 to {layers}"
            ));
        }
        Ok(Encoder {
            config,
            names,
            tokenizer,
            weights,
            delta: None,
            max_tokens,
            features: spec.features.clone(),
        })
    }

    /// Checks the weights, now that it is known which heads are among them, and reads what the bundle changes.
    fn finish(&mut self, heads: &[Head], place: usize, spec: &EncoderSpec, folder: &Path) -> Result<(), BundleError> {
        let mut wanted = self.names.encoder(&self.config);
        for head in heads.iter().filter(|head| head.encoder == place) {
            wanted.extend(head.in_checkpoint(self));
        }
        let idle = |name: &str| {
            let left_out = spec.base.unused.iter().any(|start| name.starts_with(start.as_str()));
            left_out || self.names.harmless(name)
        };
        let stored = self.weights.tensors()?;
        stored.check_exactly(
            &wanted,
            idle,
            "part of the model its config describes, and to no head of the bundle (what is left out on purpose goes \
             into `base.unused`)",
        )?;
        drop(stored);
        self.delta = match &spec.delta {
            None => None,
            Some(name) if checkpoint::is_pickle(Path::new(name)) => {
                return Err(BundleError::Pickle {
                    path: folder.join(name),
                });
            }
            Some(name) => {
                let file = Blob::read(folder.join(name), "the bundle's changed weights")?;
                let changes = delta::changes(&file, &wanted)?;
                Some((file, changes))
            }
        };
        Ok(())
    }
}

fn key_of(encoders: &[Encoder], heads: &[Head], tasks: &Tasks, file: Option<&Blob>) -> serde_json::Result<ModelKey> {
    let sha = |blob: Option<&Blob>| blob.map_or("none".into(), |blob| blob.sha.to_string());
    // Plain structs of strings and numbers: equal values are written alike.
    let mut content = vec![
        REVISION.to_owned(),
        serde_json::to_string(tasks)?,
        serde_json::to_string(heads)?,
        sha(file),
    ];
    for encoder in encoders {
        content.extend([
            serde_json::to_string(&(&encoder.config, encoder.max_tokens, &encoder.features))?,
            encoder.tokenizer.sha.to_string(),
            encoder.weights.sha().to_string(),
            sha(encoder.delta.as_ref().map(|(file, _)| file)),
        ]);
    }
    Ok(ModelKey::of(content.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests;
