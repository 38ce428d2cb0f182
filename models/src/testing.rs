//! A tiny bundle with random weights, written to a folder, and a plain computation of what it must answer.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub const WIDTH: usize = 8;
pub const INNER: usize = 12;
pub const HEADS: usize = 2;
pub const LAYERS: usize = 2;
pub const POSITIONS: usize = 24;
pub const FEATURES: [usize; 2] = [0, 2];
pub const EPS: f64 = 1e-12;

/// A tensor as rows of numbers; a vector is one row.
#[derive(Clone)]
pub struct Matrix {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

pub type Tensors = BTreeMap<String, Matrix>;

/// What a bundle consists of; change it, then [`Tiny::write`] it.
pub struct Tiny {
    pub base: Tensors,
    pub delta: Tensors,
    pub heads: Tensors,
    pub yaml: String,
    pub vocabulary: Vec<String>,
}

/// Small numbers that only depend on `seed`.
pub fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (((state >> 40) as f32) / (1u64 << 24) as f32 - 0.5) * 0.8
    }
}

fn random(shape: &[usize], next: &mut impl FnMut() -> f32) -> Matrix {
    Matrix {
        shape: shape.to_vec(),
        data: (0..shape.iter().product()).map(|_| next()).collect(),
    }
}

impl Tiny {
    pub fn new() -> Self {
        let mut next = noise(7);
        let mut vocabulary: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
        vocabulary.extend(["good", "bad", "game", "team", "the"].map(str::to_owned));
        vocabulary.extend(('a'..='z').map(String::from));
        vocabulary.extend(('a'..='z').map(|c| format!("##{c}")));

        let mut base = Tensors::new();
        let mut put = |name: String, shape: &[usize]| {
            base.insert(name, random(shape, &mut next));
        };
        put("embeddings.word_embeddings.weight".into(), &[vocabulary.len(), WIDTH]);
        put("embeddings.position_embeddings.weight".into(), &[POSITIONS, WIDTH]);
        put("embeddings.token_type_embeddings.weight".into(), &[2, WIDTH]);
        let mut norms = vec!["embeddings".to_owned()];
        for layer in 0..LAYERS {
            let at = |part: &str| format!("encoder.layer.{layer}.{part}");
            for (part, rows, columns) in [
                ("attention.self.query", WIDTH, WIDTH),
                ("attention.self.key", WIDTH, WIDTH),
                ("attention.self.value", WIDTH, WIDTH),
                ("attention.output.dense", WIDTH, WIDTH),
                ("intermediate.dense", INNER, WIDTH),
                ("output.dense", WIDTH, INNER),
            ] {
                put(at(&format!("{part}.weight")), &[rows, columns]);
                put(at(&format!("{part}.bias")), &[rows]);
            }
            norms.extend([at("attention.output"), at("output")]);
        }
        for norm in norms {
            put(format!("{norm}.LayerNorm.weight"), &[WIDTH]);
            put(format!("{norm}.LayerNorm.bias"), &[WIDTH]);
        }
        let mut heads = Tensors::new();
        for (task, outputs) in [("sentiment", 3), ("toxicity", 1), ("sarcasm", 1), ("emotion", 6)] {
            for (part, shape) in [
                ("fc1.weight", vec![5, WIDTH * FEATURES.len()]),
                ("fc1.bias", vec![5]),
                ("fc2.weight", vec![outputs, 5]),
                ("fc2.bias", vec![outputs]),
            ] {
                heads.insert(format!("{task}.{part}"), random(&shape, &mut next));
            }
        }
        let changed = "encoder.layer.1.output.dense.bias";
        let added = "encoder.layer.0.attention.self.query.weight";
        let delta = Tensors::from([
            (changed.to_owned(), random(&[WIDTH], &mut next)),
            (format!("{added}.lora_a"), random(&[2, WIDTH], &mut next)),
            (format!("{added}.lora_b"), random(&[WIDTH, 2], &mut next)),
        ]);
        Tiny {
            base,
            delta,
            heads,
            yaml: YAML.to_owned(),
            vocabulary,
        }
    }

    /// Writes base and bundle; digests in the manifest are filled in. Returns the bundle's folder.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let (bundle, base) = (folder.join("bundle"), folder.join("bundle/base"));
        fs::create_dir_all(&base).expect("folder");
        fs::write(base.join("config.json"), config()).expect("config");
        fs::write(base.join("tokenizer.json"), tokenizer(&self.vocabulary)).expect("tokenizer");
        write_tensors(&base.join("model.safetensors"), &self.base, Dtype::F32);
        write_tensors(&bundle.join("delta.safetensors"), &self.delta, Dtype::F32);
        write_tensors(&bundle.join("heads.safetensors"), &self.heads, Dtype::F32);
        let sha = |name: &str| {
            use sha2::{Digest, Sha256};
            let bytes = fs::read(base.join(name)).expect("written");
            Sha256::digest(&bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
        };
        let yaml = self
            .yaml
            .replace("WEIGHTS", &sha("model.safetensors"))
            .replace("TOKENIZER", &sha("tokenizer.json"));
        fs::write(bundle.join("model.yaml"), yaml).expect("manifest");
        bundle
    }
}

pub fn write_tensors(path: &Path, tensors: &Tensors, kind: Dtype) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, m)| {
            let bytes = match kind {
                Dtype::F32 => m.data.iter().flat_map(|x| x.to_le_bytes()).collect(),
                _ => m.data.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect(),
            };
            (name.clone(), m.shape.clone(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        (
            name.as_str(),
            TensorView::new(kind, shape.clone(), data).expect("a tensor"),
        )
    });
    fs::write(path, serialize(views, None).expect("serialised")).expect("written");
}

fn config() -> String {
    format!(
        r#"{{"model_type": "bert", "hidden_act": "gelu", "hidden_size": {WIDTH}, "num_hidden_layers": {LAYERS},
        "num_attention_heads": {HEADS}, "intermediate_size": {INNER}, "layer_norm_eps": {EPS:e},
        "max_position_embeddings": {POSITIONS}, "vocab_size": 61, "type_vocab_size": 2, "use_cache": true}}"#
    )
}

fn tokenizer(vocabulary: &[String]) -> String {
    let vocab: serde_json::Map<String, serde_json::Value> = vocabulary
        .iter()
        .enumerate()
        .map(|(id, word)| (word.clone(), id.into()))
        .collect();
    serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab}
    })
    .to_string()
}

const YAML: &str = "\
# a comment
format: 1
name: tiny
version: \"1\"
base: {path: base, weights_sha256: WEIGHTS, tokenizer_sha256: TOKENIZER}
max_tokens: 16
features: {layers: [0, 2], pool: mean}
delta: delta.safetensors
heads: heads.safetensors
tasks:
  sentiment: {kind: softmax, labels: [negative, neutral, positive], temperature: 1.3}
  toxicity: {kind: sigmoid, temperature: 1.0, cutoff: 0.7}
  sarcasm: {kind: sigmoid, temperature: 0.8, cutoff: 0.6}
  emotion: {kind: softmax, labels: [joy, sadness, anger, fear, surprise, neutral], temperature: 1.0}
";
