//! Whole pipeline files in, pipelines or mistakes out.

mod extras;
mod good;
mod hostile;
mod mistakes;
mod shadows;

use super::{ConfigErrors, Pipeline, parse};
use std::path::Path;
use tempfile::TempDir;

/// A folder with the files that the tests' pipelines name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in ["posts.jsonl.gz", "votes.ndjson", "cast.yaml", "posts.dat", "posts.json"] {
        std::fs::write(folder.path().join(file), "").expect("written");
    }
    let ca = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("ca.pem"), ca).expect("written");
    for model in ["models/social", "models/next"] {
        std::fs::create_dir_all(folder.path().join(model)).expect("created");
    }
    std::fs::write(folder.path().join("schema.json"), "{\"type\": \"object\"}").expect("written");
    folder
}

fn parse_in(folder: &Path, text: &str) -> Result<Pipeline, ConfigErrors> {
    parse(text, "pipeline.yaml", folder, &|name| match name {
        "SPEED" => Some("60x".into()),
        "PASSWORD_URL" => Some("postgres://me:hunter2@db/x".into()),
        "DATABASE_URL" => Some("postgres://me@db/app?sslmode=verify-full".into()),
        "NOTHING" => Some(String::new()),
        _ => None,
    })
}

/// Every ready pipeline of the repository is right as it is, and says what is in it.
#[test]
fn the_ready_pipelines_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/pipelines");
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    let env = |name: &str| match name {
        "KAFKA" => Some("localhost:9092".to_owned()),
        "DATABASE_URL" => Some("postgres://me@localhost/app".to_owned()),
        "WEBHOOK_URL" => Some("https://hooks.example.com/services/x".to_owned()),
        "WEBHOOK_SECRET" => Some("x".repeat(32)),
        _ => None,
    };
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let (text, name) = (
            std::fs::read_to_string(&path).expect("text"),
            path.display().to_string(),
        );
        let pipeline = parse(&text, &name, &folder, &env).unwrap_or_else(|errors| panic!("{errors}"));
        let named = |word: &str| {
            assert!(
                readme.contains(&format!("`{word}`")),
                "README.md says nothing of `{word}` of {name}"
            )
        };
        named(path.file_name().and_then(|n| n.to_str()).expect("a name"));
        pipeline.graph.views.iter().for_each(|view| named(&view.name));
        pipeline.rules.iter().for_each(|rule| named(&rule.id));
        for source in &pipeline.sources {
            match &source.kind {
                super::SourceKind::Kafka(kafka) => named(&kafka.topic),
                super::SourceKind::Feed(feed) => feed.feeds.iter().for_each(|(name, ..)| named(name)),
                other => panic!("{name}: {other:?}"),
            }
        }
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
    let generated = super::reference_markdown();
    if std::env::var_os("GROUNDSWELL_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("created");
        std::fs::write(&path, &generated).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/reference/config.md is out of date; run GROUNDSWELL_WRITE_DOCS=1 cargo test --release -p groundswell config::"
    );
}
