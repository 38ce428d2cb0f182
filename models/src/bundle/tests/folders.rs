//! Hugging Face folders that are not what they should be. Each starts as a good one of `models/parity/fixtures`.

use super::super::{Bundle, BundleError};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::{Path, PathBuf};

/// A copy of a fixture that may be spoilt.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(case: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/fixtures").join(case);
        let to = tempfile::tempdir().expect("folder");
        for entry in fs::read_dir(from).expect("committed") {
            let path = entry.expect("readable").path();
            fs::copy(&path, to.path().join(path.file_name().expect("a name"))).expect("copied");
        }
        Folder(to)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.at(file)).expect("there");
        assert!(text.contains(from), "{file}: {from}");
        fs::write(self.at(file), text.replace(from, to)).expect("written");
    }

    /// Writes the weights again with only the tensors that `keep` keeps, and `extra` if any.
    fn tensors(&self, keep: impl Fn(&str) -> bool, extra: Option<&str>) {
        let bytes = fs::read(self.at("model.safetensors")).expect("there");
        let file = SafeTensors::deserialize(&bytes).expect("whole");
        let mut all: Vec<(String, TensorView<'_>)> = file.tensors();
        all.retain(|(name, _)| keep(name));
        let four = 1.0f32.to_le_bytes();
        if let Some(name) = extra {
            let one = TensorView::new(safetensors::Dtype::F32, vec![1], &four).expect("a tensor");
            all.push((name.into(), one));
        }
        let bytes = safetensors::serialize(all, None).expect("serialised");
        fs::write(self.at("model.safetensors"), bytes).expect("written");
    }

    fn complaint(&self) -> String {
        let error: BundleError = Bundle::open(self.0.path()).err().expect("refused");
        let said = error.to_string();
        assert!(!said.contains('\n'), "one line: {said}");
        said
    }

    fn refused(&self, why: &str) {
        let said = self.complaint();
        assert!(said.contains(why), "{said}");
    }
}

const LAYER: &str = "bert.encoder.layer.1.output.dense.weight";

#[test]
fn tensors_that_lack_or_are_left_over_are_named() {
    let folder = Folder::of("bert");
    folder.tensors(|name| name != LAYER, None);
    folder.refused(&format!("has no tensor \"{LAYER}\""));

    let folder = Folder::of("bert");
    folder.tensors(|name| name != "classifier.bias", None);
    folder.refused("has no tensor \"classifier.bias\"");

    let folder = Folder::of("bert");
    folder.tensors(|_| true, Some("classifier_2.weight"));
    folder.refused("a tensor \"classifier_2.weight\" that belongs to no part of the model its config describes");
    let yaml = "format: 1\nname: a\nversion: '1'\nbase: {path: ., unused: [classifier_]}\ntasks: {sentiment: {}}\n";
    fs::write(folder.at("model.yaml"), yaml).expect("written");
    assert!(Bundle::open(folder.0.path()).is_ok(), "left out on purpose");
}

#[test]
fn a_config_of_another_model_is_noticed() {
    for (from, to, why) in [
        // Half of a model gives answers too, wrong ones.
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 1",
            "a tensor \"bert.encoder.layer.1.",
        ),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "has no tensor \"bert.encoder.layer.2.",
        ),
        (
            "\"vocab_size\": 92",
            "\"vocab_size\": 93",
            "has shape [92, 16], expected [93, 16]",
        ),
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "expected [92, 32]"),
        (
            "\"model_type\": \"bert\"",
            "\"model_type\": \"gpt2\"",
            "model_type is \"gpt2\"",
        ),
        (
            "\"2\": \"positive\"",
            "\"2\": \"positive\", \"3\": \"mixed\"",
            "\"mixed\"; known are negative",
        ),
        (
            "\"negative\": 0",
            "\"negative\": 2",
            "label2id says that \"negative\" is 2",
        ),
    ] {
        let folder = Folder::of("bert");
        folder.replace("config.json", from, to);
        folder.refused(why);
    }
}

#[test]
fn labels_that_say_nothing_or_nothing_of_sentiment_are_refused_with_what_to_write() {
    let folder = Folder::of("bert");
    for (n, label) in ["negative", "neutral", "positive"].iter().enumerate() {
        folder.replace("config.json", label, &format!("LABEL_{n}"));
    }
    folder.refused(
        "the labels are LABEL_0, LABEL_1, LABEL_2, which say nothing; write `tasks: {sentiment: {labels: [negative, \
         neutral, positive]}}` in model.yaml",
    );
    let yaml = |labels: &str| {
        let yaml = format!(
            "format: 1\nname: a\nversion: '1'\nbase: {{path: .}}\ntasks: {{sentiment: {{labels: {labels}}}}}\n"
        );
        fs::write(folder.at("model.yaml"), yaml).expect("written");
    };
    yaml("[positive, neutral, negative]");
    assert_eq!(
        Bundle::open(folder.0.path()).expect("named").tasks.sentiment.classes,
        [2, 1, 0]
    );
    yaml("[negative, positive]");
    folder.refused("tasks.sentiment.labels has 2 labels, the classifier 3");

    let folder = Folder::of("bert");
    folder.replace("config.json", "positive", "joy");
    folder.refused("tasks.sentiment.labels has \"joy\"; known are negative, neutral, positive");

    let folder = Folder::of("bert");
    let yaml = "format: 1\nname: a\nversion: '1'\nbase: {path: .}\n\
                tasks: {sentiment: {labels: [positive, neutral, negative]}}\n";
    fs::write(folder.at("model.yaml"), yaml).expect("written");
    folder.refused("logit 0 is positive, the checkpoint's config.json that it is \"negative\"; correct the wrong one");
}

#[test]
fn pickles_are_refused_by_name_and_not_opened() {
    for name in ["pytorch_model.bin", "model.pt", "model.ckpt"] {
        let folder = Folder::of("bert");
        fs::rename(folder.at("model.safetensors"), folder.at(name)).expect("renamed");
        folder.refused(&format!(
            "{name}\" is a pickle, which runs code when it is read, and is never opened"
        ));
    }
    let folder = Folder::of("two-level");
    folder.replace("model.yaml", "base: {path: .}", "base: {path: .}\nheads: heads.pt");
    folder.refused("heads.pt\" is a pickle");
    let folder = Folder::of("two-level");
    folder.replace("model.yaml", "base: {path: .}", "base: {path: .}\ndelta: delta.bin");
    folder.refused("delta.bin\" is a pickle");
    let folder = Folder::of("sharded");
    folder.replace(
        "model.safetensors.index.json",
        "model-00003-of-00003.safetensors",
        "pytorch_model-00003-of-00003.bin",
    );
    folder.refused("pytorch_model-00003-of-00003.bin\" is a pickle");
}

#[test]
fn files_that_are_cut_short_or_lie_about_each_other_are_named() {
    let folder = Folder::of("bert");
    let whole = fs::read(folder.at("model.safetensors")).expect("there");
    for cut in [whole.len() - 1, 100, 8, 0] {
        fs::write(folder.at("model.safetensors"), &whole[..cut]).expect("written");
        folder.refused("model.safetensors\" is not a whole safetensors file");
    }
    let index = "model.safetensors.index.json";
    let folder = Folder::of("sharded");
    fs::remove_file(folder.at("model-00002-of-00003.safetensors")).expect("removed");
    folder.refused("one of the base model's weights files is missing");
    let folder = Folder::of("sharded");
    folder.replace(index, "model-00002-of-00003", "../elsewhere");
    folder.refused("is not the name of a file in the same folder");
    let folder = Folder::of("sharded");
    fs::copy(
        folder.at("model-00001-of-00003.safetensors"),
        folder.at("model-00002-of-00003.safetensors"),
    )
    .expect("copied");
    let twice = "{\"weight_map\": {\"bert.embeddings.LayerNorm.bias\": \"model-00001-of-00003.safetensors\", \
                 \"bert.embeddings.LayerNorm.weight\": \"model-00002-of-00003.safetensors\"}}";
    fs::write(folder.at(index), twice).expect("written");
    folder.refused("is in another file of the model as well");
    let folder = Folder::of("sharded");
    folder.replace(
        index,
        "\"classifier.bias\": \"model-00003",
        "\"classifier.bias\": \"model-00001",
    );
    folder
        .refused("it says that tensor \"classifier.bias\" is in \"model-00001-of-00003.safetensors\", where it is not");
    let folder = Folder::of("sharded");
    fs::write(folder.at(index), "{\"weight_map\": {}}").expect("written");
    folder.refused("its weight_map is empty");

    let folder = Folder::of("bert");
    fs::rename(folder.at("tokenizer.json"), folder.at("vocab.json")).expect("renamed");
    folder.refused("AutoTokenizer.from_pretrained(folder).save_pretrained(folder)");
}

#[test]
fn the_digest_of_shards_is_that_of_sha256sums_lines() {
    let folder = Folder::of("sharded");
    let bundle = Bundle::open(folder.0.path()).expect("good");
    let sha = bundle.encoders[0].weights.sha().to_string();
    // sha256sum model-*.safetensors | sha256sum
    let yaml = |sha: &str| {
        let base = format!("base: {{path: ., weights_sha256: {sha}}}");
        let yaml = format!("format: 1\nname: a\nversion: '1'\n{base}\ntasks: {{sentiment: {{}}}}\n");
        fs::write(folder.at("model.yaml"), yaml).expect("written");
    };
    yaml(&sha);
    assert_eq!(Bundle::open(folder.0.path()).expect("good").key, bundle.key);
    yaml("00ff");
    folder.refused("the bundle was made with 00ff");
}
