//! What each family calls its tensors, and how large they must be. Pure.

use super::config::{EncoderConfig, Family};

/// A named tensor and its shape.
pub(super) type Shaped = (String, Vec<usize>);

/// A part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the parts
pub enum Part {
    Query,
    Key,
    Value,
    /// Behind the attention heads.
    Mixed,
    MixedNorm,
    /// First half of the feed-forward part.
    Inner,
    /// Second half.
    Outer,
    OuterNorm,
}

/// What a checkpoint calls its tensors.
#[derive(Clone, Debug)]
pub struct Names {
    family: Family,
    prefix: String,
}

/// The table by which the encoder in a checkpoint is found.
const WORDS: &str = "embeddings.word_embeddings.weight";

impl Names {
    /// The names in a checkpoint with these tensors; in front of the encoder's may stand `bert.` or whatever its class
    /// called it. `Err` has the prefixes that were found: none, or several.
    pub(super) fn of<'a>(family: Family, tensors: impl Iterator<Item = &'a str>) -> Result<Self, Vec<String>> {
        let mut prefixes: Vec<String> = tensors
            .filter_map(|name| name.strip_suffix(WORDS))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .map(str::to_owned)
            .collect();
        prefixes.sort_unstable();
        match <[String; 1]>::try_from(prefixes) {
            Ok([prefix]) => Ok(Names { family, prefix }),
            Err(prefixes) => Err(prefixes),
        }
    }

    /// The table of words.
    pub fn words(&self) -> String {
        format!("{}{WORDS}", self.prefix)
    }

    /// The table of positions.
    pub fn positions(&self) -> String {
        format!("{}embeddings.position_embeddings.weight", self.prefix)
    }

    /// The table of segments.
    pub fn segments(&self) -> String {
        format!("{}embeddings.token_type_embeddings.weight", self.prefix)
    }

    /// The norm of the embeddings.
    pub fn embedding_norm(&self) -> String {
        format!("{}embeddings.LayerNorm", self.prefix)
    }

    /// A part of the n-th layer; `.weight` and `.bias` follow.
    pub fn part(&self, n: usize, part: Part) -> String {
        let (layers, name) = match (self.family, part) {
            (Family::DistilBert, part) => (
                "transformer.layer",
                match part {
                    Part::Query => "attention.q_lin",
                    Part::Key => "attention.k_lin",
                    Part::Value => "attention.v_lin",
                    Part::Mixed => "attention.out_lin",
                    Part::MixedNorm => "sa_layer_norm",
                    Part::Inner => "ffn.lin1",
                    Part::Outer => "ffn.lin2",
                    Part::OuterNorm => "output_layer_norm",
                },
            ),
            (_, part) => (
                "encoder.layer",
                match part {
                    Part::Query => "attention.self.query",
                    Part::Key => "attention.self.key",
                    Part::Value => "attention.self.value",
                    Part::Mixed => "attention.output.dense",
                    Part::MixedNorm => "attention.output.LayerNorm",
                    Part::Inner => "intermediate.dense",
                    Part::Outer => "output.dense",
                    Part::OuterNorm => "output.LayerNorm",
                },
            ),
        };
        format!("{}{layers}.{n}.{name}", self.prefix)
    }

    /// The two layers of the checkpoint's classifier: a dense one and the one that gives the logits.
    pub fn classifier(&self) -> [String; 2] {
        match self.family {
            Family::Bert => [format!("{}pooler.dense", self.prefix), "classifier".into()],
            Family::Roberta | Family::XlmRoberta => ["classifier.dense".into(), "classifier.out_proj".into()],
            Family::DistilBert => ["pre_classifier".into(), "classifier".into()],
        }
    }

    /// Whether a tensor may be in a checkpoint without being used: buffers, and what pretraining left behind.
    pub(super) fn harmless(&self, name: &str) -> bool {
        let own = name.strip_prefix(&self.prefix).unwrap_or(name);
        own.ends_with("position_ids")
            || own == "embeddings.token_type_ids"
            || own.starts_with("pooler.")
            || [
                "cls.",
                "lm_head.",
                "vocab_transform.",
                "vocab_layer_norm.",
                "vocab_projector.",
            ]
            .iter()
            .any(|left| name.starts_with(left))
    }

    /// Names and shapes of all tensors of the encoder.
    pub(super) fn encoder(&self, config: &EncoderConfig) -> Vec<Shaped> {
        let (width, inner) = (config.width, config.inner);
        let mut all = vec![
            (self.words(), vec![config.vocabulary, width]),
            (self.positions(), vec![config.positions, width]),
        ];
        if config.segments > 0 {
            all.push((self.segments(), vec![config.segments, width]));
        }
        let mut norm = |name: String| {
            all.push((format!("{name}.weight"), vec![width]));
            all.push((format!("{name}.bias"), vec![width]));
        };
        norm(self.embedding_norm());
        for layer in 0..config.layers {
            norm(self.part(layer, Part::MixedNorm));
            norm(self.part(layer, Part::OuterNorm));
        }
        for layer in 0..config.layers {
            for (part, rows, columns) in [
                (Part::Query, width, width),
                (Part::Key, width, width),
                (Part::Value, width, width),
                (Part::Mixed, width, width),
                (Part::Inner, inner, width),
                (Part::Outer, width, inner),
            ] {
                all.extend(linear(&self.part(layer, part), rows, columns));
            }
        }
        all
    }
}

/// The two tensors of a linear layer.
pub(super) fn linear(name: &str, rows: usize, columns: usize) -> [Shaped; 2] {
    [
        (format!("{name}.weight"), vec![rows, columns]),
        (format!("{name}.bias"), vec![rows]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_is_found_behind_any_prefix() {
        let names = |tensors: &[&str]| Names::of(Family::Roberta, tensors.iter().copied());
        let found = names(&["x", "roberta.embeddings.word_embeddings.weight"]).expect("one");
        assert_eq!(found.part(3, Part::Inner), "roberta.encoder.layer.3.intermediate.dense");
        assert_eq!(names(&[WORDS]).expect("one").words(), WORDS);
        assert!(names(&["word_embeddings.weight", "notembeddings.word_embeddings.weight"]).is_err());
        let two = names(&[WORDS, "b.embeddings.word_embeddings.weight"]).expect_err("two");
        assert_eq!(two, ["", "b."]);
        assert!(found.harmless("roberta.embeddings.position_ids") && found.harmless("lm_head.bias"));
        assert!(!found.harmless("roberta.encoder.layer.12.output.dense.bias") && !found.harmless("classifier.weight"));
    }
}
