//! Models are switched under load and the process is killed in the middle, again and again: no output ever shows windows of
//! two models, before or after, and the end is what a computation from scratch with the last model gives.
//!
//! The two models cannot be confused: of one no text is toxic, of the other every text is. A row whose toxic posts are
//! neither none nor all of its scored ones mixes them.

use crate::batch::Oracle;
use crate::crash::{expected, folded};
use groundswell::config;
use groundswell_connectors::decode::{Collection, Decoder, DecoderSpec};
use groundswell_core::id::{Names, TextKey};
use groundswell_core::record::{Envelope, Past, Record, TickBatch};
use groundswell_models::{FixtureScorer, Scorer};
use groundswell_operators::graph::Plan;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const POSTS: u64 = 6_000;
const PATIENCE: Duration = Duration::from_secs(120);
const VIEWS: [&str; 3] = ["by_minute", "by_thread", "by_author"];
const ENTITIES: &str = "{\"id\": \"ada\", \"name\": \"Ada\"}\n{\"id\": \"bo\", \"name\": \"Bo\"}\n";

fn post(n: u64) -> Value {
    let names = ["Ada", "Bo", "nobody"];
    let words = ["good", "bad", "great", "awful", "long", "short"];
    let minute = n * 100 / POSTS;
    json!({
        "id": format!("p{n}"), "source": "s", "thread": format!("t{}", n % 7), "author": format!("a{}", n % 40),
        "text": format!("{} played a {} game, number {n}", names[usize::try_from(n % 3).unwrap()], words[usize::try_from(n % 6).unwrap()]),
        "score": n % 11, "created_at": 1_700_000_000_000 + minute * 60_000 + n % 60 * 1_000,
    })
}

fn pipeline(folder: &Path) -> std::path::PathBuf {
    let sinks: String = VIEWS
        .iter()
        .map(|view| format!("  {view}: {{type: file, path: {view}.jsonl, from: {view}}}\n"))
        .collect();
    let text = format!(
        r#"
name: switch
state: {{url: "file:./state", fold_after: 1MiB}}
time: {{clock: event, tick: 20ms}}
sources:
  entities: {{type: file, path: entities.jsonl, into: entities}}
  posts: {{type: file, path: posts.jsonl, into: posts, pace: "600x"}}
models: {{live: fixture, shadow: [{{fixture: contrary}}]}}
views:
  by_minute: {{group_by: [entity], window: {{tumble: 1m, on: created_at}}}}
  by_thread: {{group_by: [thread], window: {{hop: {{size: 10m, every: 5m}}, on: created_at}}}}
  by_author: {{group_by: [author], window: {{tumble: 1h, on: created_at}}}}
rules:
  toxic: {{view: by_minute, when: "toxic >= 5"}}
sinks:
  alerts: {{type: file, path: alerts.jsonl, from: rules}}
{sinks}
serve: {{http: "127.0.0.1:0"}}
"#
    );
    let posts: String = (0..POSTS).map(|n| format!("{}\n", post(n))).collect();
    std::fs::write(folder.join("posts.jsonl"), posts).unwrap();
    std::fs::write(folder.join("entities.jsonl"), ENTITIES).unwrap();
    std::fs::write(folder.join("switch.yaml"), text).unwrap();
    folder.join("switch.yaml")
}

/// A running process, and where it serves.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(file: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_groundswell"))
            .arg("run")
            .arg(file)
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, url) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("serving ") {
                    let _ = told.send(url.to_owned());
                }
                assert!(!line.contains("panicked"), "{line}");
            }
        });
        let url = url.recv_timeout(PATIENCE).expect("it serves");
        Process { child, url }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut answer = agent().get(format!("{}{path}", self.url)).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }

    /// The name of the live model, once there is one.
    fn live(&self) -> Option<String> {
        let models = self.get("/api/v1/models")?;
        let live = models["data"].as_array()?.iter().find(|m| m["role"] == "live")?;
        Some(live["name"].as_str()?.to_owned())
    }

    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "not so: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Rows as they are served must not mix models either; how many were looked at.
    fn check_served(&self) -> usize {
        let Some(rows) = self.get("/api/v1/views/by_minute?limit=500") else {
            return 0;
        };
        let rows = rows["data"].as_array().cloned().unwrap_or_default();
        let models: BTreeSet<bool> = rows.iter().filter_map(model_of).collect();
        assert!(models.len() < 2, "one answer shows two models");
        rows.len()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)));
    config.build().into()
}

/// Asks for a switch; what the answer said is live, if it came.
fn switch(url: &str, to: &str) -> Option<(u16, Value)> {
    let path = if to == "fixture" {
        "rollback".to_owned()
    } else {
        format!("{to}/promote")
    };
    let asked = agent()
        .post(format!("{url}/api/v1/models/{path}"))
        .send(r#"{"force": true}"#);
    let mut answer = asked.ok()?;
    let status = answer.status().as_u16();
    Some((
        status,
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?,
    ))
}

/// Whether a row is the other model's; `None` if nothing of it is scored. Fails if it is both's.
fn model_of(row: &Value) -> Option<bool> {
    let (toxic, scored) = (row["toxic"].as_u64().unwrap(), row["scored"].as_u64().unwrap());
    assert!(toxic == 0 || toxic == scored, "a window mixes models: {row}");
    (scored > 0).then_some(toxic > 0)
}

/// Follows a sink's file tick by tick: all rows there are at a tick are of one model. How often that changed.
fn check_sink(path: &Path) -> usize {
    let mut rows = BTreeMap::<String, Value>::new();
    let (mut at, mut last, mut switches) = (None, None, 0);
    let mut tick_over = |rows: &BTreeMap<String, Value>, tick: &Value| {
        let models: BTreeSet<bool> = rows.values().filter_map(model_of).collect();
        assert!(
            models.len() < 2,
            "{}: windows of two models at tick {tick}",
            path.display()
        );
        if let Some(model) = models.first() {
            switches += usize::from(last.is_some_and(|last| last != *model));
            last = Some(*model);
        }
    };
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(key) = line.get("key") else { continue };
        if at.as_ref().is_some_and(|at| *at != line["tick"]) {
            tick_over(&rows, at.as_ref().unwrap());
        }
        at = Some(line["tick"].clone());
        let id = format!("{key} {}", line["window_start"]);
        if line.get("gone") == Some(&json!(true)) {
            rows.remove(&id).expect("it was there");
        } else {
            rows.insert(id, line);
        }
    }
    tick_over(&rows, &json!("the last"));
    switches
}

/// No alert that a switch fired is in the sink, and none is over that was never told.
fn check_alerts(path: &Path) -> usize {
    let mut told = BTreeMap::<String, String>::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        let Some(id) = line.get("id").and_then(Value::as_str) else {
            continue;
        };
        let state = line["state"].as_str().unwrap();
        match state {
            "firing" => assert_ne!(line["cause"], "model", "{line:?}"),
            "retracted" => assert!(told.remove(id).is_some(), "never told: {line:?}"),
            _ => assert!(told.contains_key(id), "never told: {line:?}"),
        }
        if state != "retracted" {
            told.insert(id.to_owned(), state.to_owned());
        }
    }
    told.len()
}

/// What has been read, with the facts of a model.
fn oracle(scorer: &dyn Scorer, names: &Names) -> Oracle {
    let mut records = Vec::new();
    let posts: String = (0..POSTS).map(|n| format!("{}\n", post(n))).collect();
    for (source, lines, into) in [
        (0, ENTITIES, Collection::Entities),
        (1, posts.as_str(), Collection::Posts),
    ] {
        let decoder = Decoder::new(DecoderSpec::new(into)).unwrap();
        for (offset, line) in (0..).zip(lines.lines()) {
            let (record, _) = decoder.decode(None, Some(line.as_bytes()), names).unwrap();
            records.push((source, offset, record));
        }
    }
    let texts: BTreeSet<String> = records
        .iter()
        .filter_map(|(.., record)| match record {
            Record::Post(post) => Some(post.text.clone()),
            _ => None,
        })
        .collect();
    for text in texts {
        let score = *scorer.forward(&[&text]).unwrap().results[0].as_ref().unwrap();
        let (text, model) = (TextKey::of(text.as_bytes()), scorer.model());
        records.push((9, 0, Record::Score { text, model, score }));
    }
    let (model, past) = (scorer.model(), Past::default());
    records.push((9, 0, Record::LiveModel { model, past }));
    let envelope = |(source, offset, record)| Envelope {
        source,
        partition: 0,
        offset,
        order: offset,
        record,
    };
    Oracle::of(&[TickBatch {
        tick: 1,
        clock: 0,
        records: records.into_iter().map(envelope).collect(),
        ..TickBatch::default()
    }])
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn killed_while_models_are_switched_no_output_ever_mixes_them() {
    let (kills, seed) = (number("GROUNDSWELL_SWITCHES", 14), number("GROUNDSWELL_SEED", 11));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = pipeline(folder.path());
    let (mut promised, mut answered, mut served) = (None::<String>, 0, 0);
    for _ in 0..kills {
        let process = Process::start(&file);
        // Before that a switch is refused: the past is still being restored.
        process.until("it is ready", || {
            (process.get("/health/ready")?["status"] == "ready").then_some(())
        });
        let live = process.until("a model is live", || process.live());
        if let Some(promised) = promised.take() {
            assert_eq!(live, promised, "a switch that was answered is on record");
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
        served += process.check_served();
        let to = if live == "fixture" { "contrary" } else { "fixture" };
        let url = process.url.clone();
        let asked = std::thread::spawn(move || switch(&url, to));
        std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
        served += process.check_served();
        if random.random_range(0..3) == 0 {
            // It is killed when the switch is done, else in the middle of it.
            let (status, said) = asked.join().unwrap().expect("an answer");
            assert_eq!(status, 200, "{said}");
            promised = Some(to.to_owned());
            process.kill();
        } else {
            process.kill();
            if let Some((200, _)) = asked.join().unwrap() {
                promised = Some(to.to_owned());
            }
        }
        answered += usize::from(promised.is_some());
    }
    // To the end, and to the other model without force: it has scored everything.
    let mut process = Process::start(&file);
    let all = |name: &str| {
        let models = process.get("/api/v1/models")?;
        let model = models["data"].as_array()?.iter().find(|m| m["name"] == name)?.clone();
        (model["texts"] == POSTS && model["scored"] == POSTS).then_some(())
    };
    process.until("the live model has scored all", || {
        all("fixture").or_else(|| all("contrary"))
    });
    if process.live().unwrap() == "contrary" {
        let (status, said) = switch(&process.url, "fixture").unwrap();
        assert_eq!(status, 200, "{said}");
    }
    process.until("the first model has scored all", || all("fixture"));
    process.until("and the other", || all("contrary"));
    let promote = Command::new(env!("CARGO_BIN_EXE_groundswell"))
        .args(["models", "promote", "contrary", "--url", &process.url])
        .output()
        .unwrap();
    assert!(promote.status.success(), "{}", String::from_utf8_lossy(&promote.stderr));
    assert_eq!(process.live().as_deref(), Some("contrary"));
    let comparison = process.get("/api/v1/models/fixture/comparison?limit=1").unwrap();
    assert_eq!(comparison["data"]["all"]["posts"], POSTS);
    assert_eq!(comparison["data"]["entities"].as_array().map(Vec::len), Some(1));
    served += process.check_served();
    rustix_term(&process.child);
    assert!(process.child.wait().unwrap().success());

    let names = Names::default();
    let oracle = oracle(&FixtureScorer::contrary(), &names);
    let plan = Plan::new(&config::load(&file).unwrap().graph, |_| false);
    let mut switches = Vec::new();
    for (spec, expected) in plan.views.iter().zip(expected(&plan, &oracle, &names)) {
        let path = folder.path().join(format!("{}.jsonl", spec.name));
        switches.push(check_sink(&path));
        let got = folded(&path);
        assert_eq!(got.len(), expected.len(), "{}", spec.name);
        for (id, row) in &expected {
            assert_eq!(got.get(id), Some(row), "{} {id}", spec.name);
        }
    }
    let alerts = check_alerts(&folder.path().join("alerts.jsonl"));
    println!(
        "{kills} kills (seed {seed}), {answered} switches answered before theirs, {switches:?} seen by the sinks, {served} served \
         rows looked at, {alerts} alerts told"
    );
    assert!(switches.iter().all(|n| *n >= 2) && served > 0);
}

fn rustix_term(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
