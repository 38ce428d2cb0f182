//! What a good bundle gives, and what each kind of bad one says.

mod folders;

use super::*;
use crate::testing::{Tiny, write_tensors};
use safetensors::Dtype;
use std::fs;

fn open(tiny: &Tiny) -> Result<Bundle, BundleError> {
    let folder = tempfile::tempdir().expect("folder");
    Bundle::open(&tiny.write(folder.path()))
}

fn complaint(tiny: &Tiny) -> String {
    open(tiny).err().expect("refused").to_string()
}

fn with_yaml(from: &str, to: &str) -> Tiny {
    let tiny = Tiny::new();
    assert!(tiny.yaml.contains(from), "{from}");
    Tiny {
        yaml: tiny.yaml.replace(from, to),
        ..tiny
    }
}

#[test]
fn the_key_changes_with_everything_that_decides_an_answer_and_with_nothing_else() {
    let key = open(&Tiny::new()).expect("good").key;
    assert_eq!(open(&Tiny::new()).expect("good").key, key);
    assert_eq!(open(&with_yaml("# a comment\n", "")).expect("good").key, key);

    let mut changed = [
        Tiny::new(),
        Tiny::new(),
        Tiny::new(),
        with_yaml("cutoff: 0.7", "cutoff: 0.71"),
        Tiny::new(),
    ];
    changed[0].base.values_mut().next().expect("some").data[0] += 0.5;
    changed[1].delta.values_mut().next().expect("some").data[0] += 0.5;
    changed[2].heads.values_mut().next().expect("some").data[0] += 0.5;
    changed[4].vocabulary.swap(10, 11);
    let mut keys: Vec<ModelKey> = changed.iter().map(|tiny| open(tiny).expect("good").key).collect();
    keys.push(key);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6);
}

#[test]
fn a_bad_manifest_is_told_with_its_place() {
    for (from, to, why) in [
        ("max_tokens: 16", "max_tokns: 16", "model.yaml:6:1"),
        (
            "max_tokens: 16",
            "max_tokns: 16",
            "6:1: unknown field `max_tokns`, expected one of format, name, version, base, max_tokens, features, delta, encoders, heads, tasks",
        ),
        ("max_tokens: 16", "max_tokens: many", "model.yaml:6:13"),
        ("max_tokens: 16", "max_tokens: 2", "a text needs at least 3"),
        ("max_tokens: 16", "max_tokens: 25", "the base model reads at most 24"),
        (
            "layers: [0, 2]",
            "layers: [0, 3]",
            "features.layers has 3; the base model has hidden states 0 to 2",
        ),
        ("layers: [0, 2]", "layers: []", "name at least one"),
        (
            "[negative, neutral, positive]",
            "[negative, neutral, neutral]",
            "labels must have negative and positive",
        ),
        (
            "surprise",
            "boredom",
            "tasks.emotion.labels has \"boredom\"; known are joy",
        ),
        (
            "temperature: 1.3",
            "temperature: 0",
            "tasks.sentiment.temperature is 0; it must be above 0",
        ),
        (
            "temperature: 0.8",
            "temperature: .nan",
            "model.yaml:13:41: non-finite float",
        ),
        (
            "cutoff: 0.7",
            "cutoff: 70",
            "tasks.toxicity.cutoff is 70; it must be between 0 and 1",
        ),
        (
            "path: base",
            "package: other==1",
            "the base model \"other==1\" is not known",
        ),
        ("path: base, ", "", "base needs either a package or a path"),
        ("max_tokens: 16", "encoders: {}", "either a `base` or `encoders`"),
        (
            "labels: [negative",
            "cutoff: 0.5, labels: [negative",
            "only toxicity and sarcasm have one",
        ),
        (
            "labels: [negative",
            "encoder: other, labels: [negative",
            "tasks.sentiment.encoder is \"other\"; there are base",
        ),
        (
            "format: 1",
            "format: 2\nnew_thing: 3",
            "has format 2; this version of Groundswell reads format 1",
        ),
        (
            "heads: heads.safetensors",
            "heads: no.safetensors",
            "the bundle's heads is missing: there is no \"",
        ),
        (
            "path: base",
            "path: elsewhere",
            "the base model's config is missing: there is no \"",
        ),
        ("WEIGHTS", "00ff", "the bundle was made with 00ff; fetch it again"),
        ("TOKENIZER", "00ff", "tokenizer.json\" has SHA-256"),
    ] {
        let said = complaint(&with_yaml(from, to));
        assert!(said.contains(why), "{to}: {said}");
        assert!(!said.contains('\n'), "one line: {said}");
    }
}

#[test]
fn wrong_tensors_are_told_by_name() {
    let mut missing = Tiny::new();
    missing.base.remove("embeddings.LayerNorm.bias");
    assert!(complaint(&missing).contains("has no tensor \"embeddings.LayerNorm.bias\""));

    let mut no_head = Tiny::new();
    no_head.heads.remove("emotion.fc1.bias");
    assert!(complaint(&no_head).contains("has no tensor \"emotion.fc1.bias\""));

    let mut misnamed = Tiny::new();
    let tensor = misnamed.delta.pop_last().expect("one").1;
    misnamed.delta.insert("encoder.layer.9.bias".into(), tensor);
    assert!(complaint(&misnamed).contains("\"encoder.layer.9.bias\" that belongs to no part of the base model"));

    let mut wide = Tiny::new();
    wide.heads.get_mut("sarcasm.fc2.weight").expect("there").shape = vec![5, 1];
    let said = complaint(&wide);
    assert!(
        said.contains("\"sarcasm.fc2.weight\"") && said.contains("has shape [5, 1], expected [1, 5]"),
        "{said}"
    );
}

#[test]
fn damaged_files_are_told_from_wrong_ones() {
    let folder = tempfile::tempdir().expect("folder");
    let bundle = Tiny::new().write(folder.path());
    let heads = bundle.join("heads.safetensors");
    let whole = fs::read(&heads).expect("there");
    for cut in [whole.len() - 1, 40, 4, 0] {
        fs::write(&heads, &whole[..cut]).expect("written");
        let said = Bundle::open(&bundle).err().expect("refused").to_string();
        assert!(
            said.contains("heads.safetensors\" is not a whole safetensors file"),
            "{cut}: {said}"
        );
    }
    write_tensors(&heads, &Tiny::new().heads, Dtype::F64);
    let said = Bundle::open(&bundle).err().expect("refused").to_string();
    assert!(
        said.contains("holds F64, expected 16- or 32-bit floating point"),
        "{said}"
    );

    fs::write(bundle.join("model.yaml"), b"\xff\xfe\x00").expect("written");
    assert!(
        Bundle::open(&bundle)
            .err()
            .expect("refused")
            .to_string()
            .contains("model.yaml: invalid utf-8")
    );
    let said = Bundle::open(&folder.path().join("nowhere"))
        .err()
        .expect("refused")
        .to_string();
    assert!(
        said.contains("the model bundle's manifest is missing: there is no \""),
        "{said}"
    );
}

#[test]
fn a_base_that_was_not_fetched_says_where_it_was_looked_for() {
    let error = BundleError::BaseMissing {
        package: "p==1".into(),
        looked: vec!["/a".into(), "/b".into()],
    };
    assert_eq!(
        error.to_string(),
        "the base model \"p==1\" is missing (looked in \"/a\", \"/b\"); run `make setup`"
    );
}
