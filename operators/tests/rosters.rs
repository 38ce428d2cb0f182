//! Linking on real posts: the NBA finals thread with its roster. Skipped, and saying so, without the data folder.

use flate2::read::GzDecoder;
use groundswell_core::id::Dim;
use groundswell_core::record::Entity;
use groundswell_core::spec::{LinkSpec, Method};
use groundswell_operators::matcher::Matcher;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn data() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("GROUNDSWELL_DATA").map_or(default, PathBuf::from)
}

fn roster(path: &Path) -> Vec<Entity> {
    let file: Value = serde_json::from_reader(File::open(path).expect("roster")).expect("json");
    let text = |v: &Value| v.as_str().expect("text").to_owned();
    let player = |p: &Value| Entity {
        id: text(&p[0]),
        name: text(&p[0]),
        aliases: p[2].as_array().expect("aliases").iter().map(text).collect(),
        kind: "player".into(),
        exclude: Vec::new(),
    };
    file["players"]
        .as_array()
        .expect("players")
        .iter()
        .map(player)
        .collect()
}

#[test]
fn links_the_finals_thread() {
    let (roster_path, posts_path) = (
        data().join("entities/nba_finals_2016_roster.json"),
        data().join("events/nba_g7.jsonl.gz"),
    );
    if !roster_path.exists() || !posts_path.exists() {
        println!("skipped: no data at {}; set GROUNDSWELL_DATA", data().display());
        return;
    }
    let entities = roster(&roster_path);
    let posts: Vec<String> = BufReader::new(GzDecoder::new(File::open(&posts_path).expect("posts")))
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(&line.expect("line")).expect("json")["text"]
                .as_str()
                .unwrap_or("")
                .into()
        })
        .collect();
    for (mode, spec) in [
        (
            "exact",
            LinkSpec {
                fuzzy_min: None,
                ..LinkSpec::default()
            },
        ),
        ("exact and fuzzy", LinkSpec::default()),
        (
            "seed",
            LinkSpec {
                seed_compat: true,
                ..LinkSpec::default()
            },
        ),
    ] {
        let matcher = Matcher::build(entities.iter(), &spec);
        let (mut exact, mut fuzzy, mut linked) = (BTreeMap::<Dim, u32>::new(), BTreeMap::<Dim, u32>::new(), 0);
        let start = Instant::now();
        for post in &posts {
            let mentions = matcher.link(post);
            linked += usize::from(!mentions.is_empty());
            for m in mentions {
                *if m.method == Method::Fuzzy {
                    &mut fuzzy
                } else {
                    &mut exact
                }
                .entry(m.entity)
                .or_default() += 1;
            }
        }
        let each = start.elapsed() / u32::try_from(posts.len()).expect("fewer than 4 billion");
        println!("{mode}: {linked} of {} posts linked, {each:?} each", posts.len());
        for e in &entities {
            let count = |found: &BTreeMap<Dim, u32>| found.get(&Dim::of(&e.id)).copied().unwrap_or(0);
            println!("  {:24} {:6} exact {:5} fuzzy", e.name, count(&exact), count(&fuzzy));
        }
        assert!(
            exact.get(&Dim::of("LeBron James")).is_some_and(|n| *n > 1_000),
            "the thread is about him"
        );
    }
}
