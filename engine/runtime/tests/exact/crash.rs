//! Real posts and 737,401 real vote movements, and a process that is killed again and again while it reads them: the
//! views end as if nothing had happened. Needs the data folder (`GROUNDSWELL_DATA`); says so and passes without it.

use crate::batch::Oracle;
use groundswell::config;
use groundswell::engine::{Connections, Engine, EngineOptions, MemoryLog, Shared, State};
use groundswell_connectors::decode::{Collection, Decoder, DecoderSpec};
use groundswell_connectors::file::{FileSource, FileSpec};
use groundswell_core::id::Names;
use groundswell_core::record::{Envelope, Past, Record, TickBatch};
use groundswell_core::spec::{Measure, ViewSpec};
use groundswell_core::store::{Store, StoreOptions};
use groundswell_core::time::DAY;
use groundswell_models::{FixtureScorer, Scorer};
use groundswell_operators::graph::Plan;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const ENTITIES: &str = r#"[
  {"id": "apple", "name": "Apple", "aliases": ["iPhone", "macOS"]},
  {"id": "google", "name": "Google", "aliases": ["Chrome", "Android"]},
  {"id": "rust", "name": "Rust", "aliases": ["rustc"], "exclude": ["rust belt"]},
  {"id": "linux", "name": "Linux", "aliases": ["kernel"]}
]"#;

fn data() -> Option<(PathBuf, PathBuf)> {
    let root = std::env::var_os("GROUNDSWELL_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let (posts, votes) = (root.join("events/hn.jsonl.gz"), root.join("score_updates/hn.jsonl.gz"));
    if posts.exists() && votes.exists() {
        return Some((posts, votes));
    }
    println!("skipped: no data in {} (set GROUNDSWELL_DATA)", root.display());
    None
}

fn lines(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// All records of a file as envelopes, without the engine's own file source.
fn envelopes(source: u16, path: &Path, into: Collection, names: &Names) -> Vec<Envelope> {
    let decoder = Decoder::new(DecoderSpec::new(into)).unwrap();
    let bytes = lines(path);
    let mut offset = 0u64;
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let (record, _) = decoder.decode(None, Some(line.trim_ascii_end()), names).unwrap();
        out.push(Envelope {
            source,
            partition: 0,
            offset,
            order: offset,
            record,
        });
        offset += line.len() as u64;
    }
    out
}

fn pipeline(folder: &Path, posts: &Path, votes: &Path) -> PathBuf {
    let text = format!(
        r#"
name: crash
state: {{url: "file:./state", fold_after: 4MiB}}
time: {{clock: event, tick: 20ms}}
sources:
  entities: {{type: file, path: entities.json, into: entities, format: json}}
  posts: {{type: file, path: "{}", into: posts}}
  votes: {{type: file, path: "{}", into: votes}}
models: {{live: fixture}}
views:
  entity_by_day: {{group_by: [entity], window: {{tumble: 1d, on: created_at}}}}
  by_hour: {{group_by: [source], window: {{tumble: 1h, on: created_at}}}}
sinks:
  entity_by_day: {{type: file, path: entity_by_day.jsonl, from: entity_by_day}}
  by_hour: {{type: file, path: by_hour.jsonl, from: by_hour}}
serve: false
"#,
        posts.display(),
        votes.display()
    );
    std::fs::write(folder.join("entities.json"), ENTITIES).unwrap();
    std::fs::write(folder.join("crash.yaml"), text).unwrap();
    folder.join("crash.yaml")
}

/// Folds a view's changelog file into its rows.
pub(crate) fn folded(path: &Path) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut line: Map<String, Value> = serde_json::from_str(line).unwrap();
        let Some(key) = line.remove("key") else { continue };
        let id = format!("{key} {}", line["window_start"]);
        if line.get("gone") == Some(&json!(true)) {
            assert!(rows.remove(&id).is_some(), "a row is gone that was not there: {id}");
        } else {
            line.retain(|name, _| Measure::SUMS.iter().any(|m| m.name() == name));
            rows.insert(id, Value::Object(line));
        }
    }
    rows
}

pub(crate) fn expected(plan: &Plan, oracle: &Oracle, names: &Names) -> Vec<BTreeMap<String, Value>> {
    let mut views = vec![BTreeMap::new(); plan.declared];
    for (row, acc) in oracle.views(plan).rows {
        let spec: &ViewSpec = &plan.views[usize::from(row.view)];
        let value = |dim| names.get(dim).unwrap().to_string();
        let key: Map<_, _> = spec
            .group_by
            .iter()
            .zip(row.key.group)
            .map(|(c, d)| (c.name().into(), json!(value(d))))
            .collect();
        let start = serde_json::to_value(groundswell_connectors::json::TimeJson(row.key.start)).unwrap();
        let measures: Map<_, _> = Measure::SUMS
            .iter()
            .map(|m| {
                let value = m.value(&acc);
                #[allow(clippy::cast_possible_truncation)]
                let value = if m.is_count() {
                    json!(value.unwrap() as i64)
                } else {
                    json!(value)
                };
                (m.name().to_owned(), value)
            })
            .collect();
        let id = format!("{} {start}", Value::Object(key));
        // Through text, like what it is compared with: reading a float from JSON may cost the last bit.
        let text = Value::Object(measures).to_string();
        views[usize::from(row.view)].insert(id, serde_json::from_str(&text).unwrap());
    }
    views
}

/// Everything recorded, with the facts the fixture scorer must have given.
fn oracle(posts: &Path, votes: &Path, names: &Names) -> (Oracle, usize) {
    let decoder = Decoder::new(DecoderSpec::new(Collection::Entities)).unwrap();
    let entities: Vec<Value> = serde_json::from_str(ENTITIES).unwrap();
    let mut records: Vec<Envelope> = (0u64..)
        .zip(&entities)
        .map(|(offset, e)| {
            let (record, _) = decoder.decode(None, Some(e.to_string().as_bytes()), names).unwrap();
            Envelope {
                source: 0,
                partition: 0,
                offset,
                order: offset,
                record,
            }
        })
        .collect();
    records.extend(envelopes(1, posts, Collection::Posts, names));
    records.extend(envelopes(2, votes, Collection::Votes, names));
    let scorer = FixtureScorer::default();
    let (mut facts, mut texts) = (Vec::new(), BTreeSet::new());
    for envelope in &records {
        if let Record::Post(post) = &envelope.record {
            let text = groundswell_core::id::TextKey::of(post.text.as_bytes());
            if !post.text.is_empty() && texts.insert(text) {
                let score = *scorer.forward(&[&post.text]).unwrap().results[0].as_ref().unwrap();
                let record = Record::Score {
                    text,
                    model: scorer.model(),
                    score,
                };
                facts.push(Envelope {
                    source: 9,
                    partition: 0,
                    offset: 0,
                    order: 0,
                    record,
                });
            }
        }
    }
    let model = Record::LiveModel {
        model: scorer.model(),
        past: Past::default(),
    };
    facts.push(Envelope {
        source: 9,
        partition: 0,
        offset: 0,
        order: 0,
        record: model,
    });
    records.extend(facts);
    (
        Oracle::of(&[TickBatch {
            tick: 1,
            clock: 0,
            records,
            ..TickBatch::default()
        }]),
        texts.len(),
    )
}

/// How often each text was scored, as recorded; opens the state, so nobody else may.
fn facts(state: &Path) -> BTreeMap<String, usize> {
    let (_store, restore) = Store::open(StoreOptions::new(state.display().to_string())).unwrap();
    let mut facts = BTreeMap::new();
    for batch in restore {
        for envelope in batch.unwrap().records {
            if let Record::Score { text, model, .. } = envelope.record {
                *facts.entry(format!("{text}{model}")).or_default() += 1;
            }
        }
    }
    facts
}

#[test]
fn killed_at_random_moments_the_views_end_as_if_nothing_had_happened() {
    let Some((posts, votes)) = data() else { return };
    let kills: usize = std::env::var("GROUNDSWELL_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(50);
    let seed: u64 = std::env::var("GROUNDSWELL_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(7);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = pipeline(folder.path(), &posts, &votes);
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_groundswell"))
            .args(["run", "--until-done"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (mut killed, mut ended_early, began) = (0, 0, Instant::now());
    while killed < kills {
        let mut child = start();
        std::thread::sleep(Duration::from_millis(random.random_range(30..900)));
        match child.try_wait().unwrap() {
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
            Some(status) => {
                assert!(status.success(), "the engine failed by itself: {}", error_of(child));
                // Everything is read: killing it from now on is a kill while it restores, which counts as well.
                ended_early += 1;
                assert!(ended_early < kills, "nothing was left to kill");
            }
        }
        if killed % 10 == 9 {
            for (fact, n) in facts(&folder.path().join("state")) {
                assert_eq!(n, 1, "{fact} was recorded {n} times");
            }
        }
    }
    let child = start();
    let end = child.wait_with_output().unwrap();
    assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    println!(
        "{killed} kills (seed {seed}), {ended_early} runs ended before theirs, in {:.0?}",
        began.elapsed()
    );

    let names = Names::default();
    let (oracle, texts) = oracle(&posts, &votes, &names);
    let parsed = config::load(&file).unwrap();
    let plan = Plan::new(&parsed.graph, |_| false);
    for (spec, expected) in plan.views.iter().zip(expected(&plan, &oracle, &names)) {
        let got = folded(&folder.path().join(format!("{}.jsonl", spec.name)));
        assert_eq!(got.len(), expected.len(), "{}", spec.name);
        for (id, row) in &expected {
            assert_eq!(got.get(id), Some(row), "{} {id}", spec.name);
        }
        println!("{}: {} rows equal the oracle's", spec.name, got.len());
    }
    let facts = facts(&folder.path().join("state"));
    assert_eq!(facts.len(), texts, "every text has been scored");
    assert!(facts.values().all(|n| *n == 1), "and none twice");
}

fn error_of(mut child: std::process::Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn vote_updates_cost_no_forward_pass() {
    let Some((posts, votes)) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = MemoryLog::default();
    let mut passes = Vec::new();
    // The votes come as a second source, so the posts keep their source id when both run.
    for specs in [
        vec![("posts", &posts, Collection::Posts)],
        vec![
            ("posts", &posts, Collection::Posts),
            ("votes", &votes, Collection::Votes),
        ],
    ] {
        let shared = Shared::create(folder.path()).unwrap();
        let view = ViewSpec {
            name: "by_day".into(),
            group_by: vec![],
            window: groundswell_core::spec::WindowSpec::Tumble { size: DAY },
            measures: Measure::SUMS.to_vec(),
            keep: None,
            extras: groundswell_core::spec::Extras::default(),
        };
        let mut options = EngineOptions::new(groundswell_core::spec::GraphSpec {
            name: "votes".into(),
            views: vec![view],
            link: groundswell_core::spec::LinkSpec::default(),
            weight: groundswell_core::spec::WeightSpec::Log1p,
            scoring: Default::default(),
            events: None,
            numbers: Vec::new(),
            ties: false,
        });
        options.scorer = Some(Arc::new(FixtureScorer::default()));
        let sources = specs.into_iter().map(|(name, path, into)| {
            Box::new(FileSource::new(FileSpec::new(name, path, into)).unwrap())
                as Box<dyn groundswell_core::source::Source>
        });
        let connections = Connections {
            sources: sources.collect(),
            ..Connections::default()
        };
        let engine = Engine::start(
            options,
            State::Memory(log.clone()).open().unwrap(),
            &shared,
            connections,
        )
        .unwrap();
        assert!(engine.wait_drained(Duration::from_secs(300)).unwrap(), "drained");
        passes.push(engine.scorer_stats().passes.load(Ordering::Relaxed));
        engine.stop().unwrap();
    }
    let recorded: usize = log
        .ticks()
        .iter()
        .flat_map(|t| &t.records)
        .filter(|e| matches!(e.record, Record::Votes(_)))
        .count();
    assert_eq!(recorded, 737_401, "all vote updates went through");
    assert!(passes[0] > 1_000, "the posts were scored: {} passes", passes[0]);
    assert_eq!(passes[1], 0, "737,401 vote updates over them: no forward pass");
}
