//! A Hugging Face folder without a `model.yaml`, as if it had one: a single sentiment classifier whose config names its
//! labels.

use super::manifest::{Base, EncoderSpec, HeadSpec, Manifest, ONLY, TaskSpec, TaskSpecs};
use std::collections::BTreeMap;
use std::path::Path;

/// What the manifest would say. Its version is left empty: the digest takes its place.
pub(super) fn manifest(folder: &Path) -> Manifest {
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let encoder = EncoderSpec {
        base: Base {
            package: None,
            path: Some(".".into()),
            weights_sha256: None,
            tokenizer_sha256: None,
            unused: Vec::new(),
        },
        max_tokens: None,
        features: None,
        delta: None,
    };
    Manifest {
        name,
        version: String::new(),
        encoders: BTreeMap::from([(ONLY.to_owned(), encoder)]),
        heads: None,
        tasks: TaskSpecs {
            sentiment: TaskSpec {
                head: Some(HeadSpec::Classifier),
                ..TaskSpec::default()
            },
            toxicity: None,
            sarcasm: None,
            emotion: None,
        },
    }
}
