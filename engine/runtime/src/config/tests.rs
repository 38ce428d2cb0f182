//! Whole pipeline files in, pipelines or mistakes out.

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
