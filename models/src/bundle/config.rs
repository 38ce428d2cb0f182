//! What a Hugging Face `config.json` says, in one form for all families. Pure.

use super::BundleError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A family of encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// BERT.
    Bert,
    /// RoBERTa.
    Roberta,
    /// XLM-RoBERTa: RoBERTa with another vocabulary.
    XlmRoberta,
    /// DistilBERT.
    #[serde(rename = "distilbert")]
    DistilBert,
}

/// The function between the two halves of a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// Gauss' error function, exact.
    #[serde(rename = "gelu")]
    Gelu,
    /// The same by a hyperbolic tangent.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// max(0, x).
    #[serde(rename = "relu")]
    Relu,
    /// x · sigmoid(x).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
}

/// The part of a `config.json` that decides what is computed and what it means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncoderConfig {
    /// Family.
    pub family: Family,
    /// Activation inside the layers.
    pub activation: Activation,
    /// Width of a hidden state.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside a layer's feed-forward part.
    pub inner: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Rows of the table of positions.
    pub positions: usize,
    /// Tokens known.
    pub vocabulary: usize,
    /// Rows of the table of segments; 0 if there is none.
    pub segments: usize,
    /// The id of padding, from which RoBERTa counts positions.
    pub padding: usize,
    /// The classifier's labels in the order of its logits; empty if the config names none.
    pub labels: Vec<String>,
    /// Whether its labels exclude each other (softmax) or not (sigmoid).
    pub multi_label: bool,
}

#[derive(Deserialize)]
struct Kind {
    model_type: String,
}

/// The keys of BERT and RoBERTa.
#[derive(Deserialize)]
struct Common {
    hidden_act: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    layer_norm_eps: f64,
    max_position_embeddings: usize,
    vocab_size: usize,
    type_vocab_size: usize,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    pad_token_id: Option<usize>,
}

/// The keys of DistilBERT.
#[derive(Deserialize)]
struct Distilled {
    activation: String,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
}

#[derive(Deserialize)]
struct Labelled {
    id2label: Option<BTreeMap<String, String>>,
    label2id: Option<BTreeMap<String, usize>>,
    problem_type: Option<String>,
}

/// DistilBERT's, which its config does not say.
const DISTILLED_EPS: f64 = 1e-12;

impl EncoderConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// With line and column if it is not the JSON expected, or naming what this build cannot run.
    pub(super) fn parse(json: &[u8], path: &Path) -> Result<Self, BundleError> {
        let refused = |why: String| BundleError::Encoder { path: path.into(), why };
        let Kind { model_type } = read(json, path)?;
        let family = match model_type.as_str() {
            "bert" => Family::Bert,
            "roberta" => Family::Roberta,
            "xlm-roberta" => Family::XlmRoberta,
            "distilbert" => Family::DistilBert,
            other => {
                return Err(refused(format!(
                    "model_type is \"{other}\"; encoders of type bert, roberta, xlm-roberta and distilbert can be used"
                )));
            }
        };
        let labelled: Labelled = read(json, path)?;
        let labels = labels(&labelled).map_err(refused)?;
        let multi_label = labelled.problem_type.as_deref() == Some("multi_label_classification");
        let activation = |name: &str| {
            serde_json::from_value(name.into()).map_err(|_| {
                refused(format!(
                    "the activation is \"{name}\"; known are gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, silu and swish"
                ))
            })
        };
        let config = if family == Family::DistilBert {
            let c: Distilled = read(json, path)?;
            EncoderConfig {
                family,
                activation: activation(&c.activation)?,
                width: c.dim,
                layers: c.n_layers,
                heads: c.n_heads,
                inner: c.hidden_dim,
                eps: DISTILLED_EPS,
                positions: c.max_position_embeddings,
                vocabulary: c.vocab_size,
                segments: 0,
                padding: 0,
                labels,
                multi_label,
            }
        } else {
            let c: Common = read(json, path)?;
            if let Some(positions) = c.position_embedding_type.as_deref()
                && positions != "absolute"
            {
                return Err(refused(format!(
                    "position_embedding_type is \"{positions}\"; only \"absolute\" is known"
                )));
            }
            if c.is_decoder == Some(true) {
                return Err(refused("is_decoder is true; only encoders can be used".into()));
            }
            EncoderConfig {
                family,
                activation: activation(&c.hidden_act)?,
                width: c.hidden_size,
                layers: c.num_hidden_layers,
                heads: c.num_attention_heads,
                inner: c.intermediate_size,
                eps: c.layer_norm_eps,
                positions: c.max_position_embeddings,
                vocabulary: c.vocab_size,
                segments: c.type_vocab_size,
                padding: c.pad_token_id.unwrap_or(usize::from(family.counts_from_padding())),
                labels,
                multi_label,
            }
        };
        match config.problem() {
            Some(why) => Err(refused(why)),
            None => Ok(config),
        }
    }

    /// The longest input in tokens.
    pub fn longest(&self) -> usize {
        self.positions.saturating_sub(self.first_position())
    }

    /// The position of a text's first token.
    pub fn first_position(&self) -> usize {
        if self.family.counts_from_padding() {
            self.padding + 1
        } else {
            0
        }
    }

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("hidden size", self.width),
            ("number of attention heads", self.heads),
            ("feed-forward size", self.inner),
            ("vocabulary", self.vocabulary),
        ];
        if let Some((what, _)) = sizes.iter().find(|(_, n)| *n == 0) {
            return Some(format!("its {what} is 0"));
        }
        if !self.width.is_multiple_of(self.heads) {
            return Some(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.width, self.heads
            ));
        }
        if self.longest() < 3 {
            return Some(format!(
                "max_position_embeddings is {}; a text needs at least 3",
                self.positions
            ));
        }
        None
    }
}

impl Family {
    /// RoBERTa's positions start behind the id of padding.
    pub fn counts_from_padding(self) -> bool {
        matches!(self, Family::Roberta | Family::XlmRoberta)
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8], path: &Path) -> Result<T, BundleError> {
    serde_json::from_slice(json).map_err(|e| BundleError::Manifest {
        place: format!("{}:{}:{}", path.display(), e.line(), e.column()),
        why: e.to_string(),
    })
}

/// `id2label` as a list, if `label2id` does not say otherwise.
fn labels(said: &Labelled) -> Result<Vec<String>, String> {
    let Some(by_id) = &said.id2label else {
        return Ok(Vec::new());
    };
    let labels: Vec<String> = (0..by_id.len())
        .map(|n| {
            let name = by_id.get(&n.to_string());
            name.cloned()
                .ok_or_else(|| format!("id2label has {} labels, but none for {n}", by_id.len()))
        })
        .collect::<Result<_, _>>()?;
    for (label, id) in said.label2id.iter().flatten() {
        let other = labels.get(*id).map(String::as_str);
        // A label2id that was left as it came while id2label was named says nothing.
        if other != Some(label) && !super::labels::says_nothing(label) {
            return Err(format!(
                "label2id says that \"{label}\" is {id}, id2label that {id} is \"{}\"; correct the wrong one",
                other.unwrap_or("nothing")
            ));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<EncoderConfig, String> {
        EncoderConfig::parse(json.as_bytes(), Path::new("config.json")).map_err(|e| e.to_string())
    }

    fn config(kind: &str, act: &str, heads: usize, more: &str) -> String {
        format!(
            r#"{{"model_type":"{kind}","hidden_act":"{act}","hidden_size":8,"num_hidden_layers":1,
            "num_attention_heads":{heads},"intermediate_size":16,"layer_norm_eps":1e-12,
            "max_position_embeddings":34,"vocab_size":20,"type_vocab_size":2{more}}}"#
        )
    }

    #[test]
    fn families_differ_in_names_and_positions() {
        let bert = parse(&config("bert", "gelu", 2, "")).expect("good");
        assert_eq!((bert.first_position(), bert.longest()), (0, 34));
        let roberta = parse(&config("roberta", "gelu_new", 2, r#","pad_token_id":1"#)).expect("good");
        assert_eq!((roberta.first_position(), roberta.longest()), (2, 32));
        assert_eq!(roberta.activation, Activation::GeluTanh);
        let distilled = parse(
            r#"{"model_type":"distilbert","activation":"gelu","dim":8,"n_layers":1,"n_heads":2,"hidden_dim":16,
            "max_position_embeddings":34,"vocab_size":20}"#,
        );
        let distilled = distilled.expect("good");
        assert_eq!((distilled.segments, distilled.longest()), (0, 34));
    }

    #[test]
    fn labels_come_in_the_order_of_the_logits() {
        let more =
            r#","id2label":{"1":"b","0":"a","10":"k","2":"c","3":"d","4":"e","5":"f","6":"g","7":"h","8":"i","9":"j"}"#;
        let labels = parse(&config("bert", "gelu", 2, more)).expect("good").labels;
        assert_eq!(labels.join(""), "abcdefghijk");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for (bad, why) in [
            (config("albert", "gelu", 2, ""), "model_type is \"albert\""),
            (config("bert", "mish", 2, ""), "the activation is \"mish\""),
            (config("bert", "gelu", 3, ""), "not a multiple"),
            (config("bert", "gelu", 0, ""), "number of attention heads is 0"),
            (config("bert", "gelu", 2, r#","is_decoder":true"#), "is_decoder is true"),
            (
                config("bert", "gelu", 2, r#","position_embedding_type":"relative_key""#),
                "position_embedding_type is \"relative_key\"",
            ),
            (
                config("bert", "gelu", 2, r#","id2label":{"0":"a","2":"b"}"#),
                "id2label has 2 labels, but none for 1",
            ),
            (
                config(
                    "bert",
                    "gelu",
                    2,
                    r#","id2label":{"0":"neg","1":"pos"},"label2id":{"neg":1,"pos":0}"#,
                ),
                "label2id says that \"neg\" is 1, id2label that 1 is \"pos\"",
            ),
            (
                config("roberta", "gelu", 2, r#","pad_token_id":33"#),
                "max_position_embeddings is 34",
            ),
            ("{\"model_type\":\n7}".to_owned(), "config.json:2:1: invalid type"),
        ] {
            let said = parse(&bad).expect_err("refused");
            assert!(said.contains(why), "{said}");
        }
    }
}
