//! A pipeline over the files of a history, in as many processes as asked, and what its sinks hold at the end.

use crate::history::History;
use crate::process::{Process, hosts_file};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How work is spread.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub processes: usize,
    pub workers: usize,
}

/// A pipeline in a folder of its own.
pub struct World {
    folder: TempDir,
    pub spread: Spread,
    hosts: PathBuf,
    until_done: bool,
}

const VIEWS: [&str; 5] = ["by_minute", "by_thread", "by_author", "lately", "kept"];

impl World {
    /// `time` are the keys of the section of that name, `pace` that of posts and votes.
    pub fn new(history: History, spread: Spread, time: &str, pace: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        history.write(folder.path());
        let sinks: String = VIEWS
            .iter()
            .map(|view| format!("  {view}: {{type: file, path: {view}.out, from: {view}}}\n"))
            .collect();
        let text = format!(
            r#"
name: spread
state: {{url: "file:./state", fold_after: 1MiB}}
workers: {}
time: {{clock: event, {time}}}
sources:
  entities: {{type: file, path: entities.jsonl, into: entities}}
  posts: {{type: file, path: posts.jsonl, into: posts, pace: {pace}}}
  votes: {{type: file, path: votes.jsonl, into: votes, pace: {pace}}}
  threads: {{type: file, path: threads.jsonl, into: threads}}
models: {{live: fixture}}
views:
  by_minute: {{group_by: [entity], window: {{tumble: 1m, on: created_at}}}}
  by_thread: {{group_by: [thread, source], window: {{hop: {{size: 10m, every: 5m}}, on: created_at}}}}
  by_author: {{group_by: [author], window: {{tumble: 1h, on: created_at}}}}
  lately: {{group_by: [entity], window: {{sliding: {{size: 30m, every: 1m}}, on: created_at}}}}
  kept: {{group_by: [source], window: {{tumble: 5m, on: created_at}}, keep: 15m}}
rules:
  sour: {{view: by_minute, when: "sentiment < -0.1", clear: "sentiment > 0.1", min_posts: 2}}
  busy: {{view: by_thread, when: "posts >= 4"}}
sinks:
  alerts: {{type: file, path: alerts.out, from: rules}}
  dead: {{type: file, path: dead.out, from: dead_letters}}
{sinks}
serve: {{http: "127.0.0.1:0"}}
"#,
            spread.workers
        );
        World::of(folder, spread, &text)
    }

    /// A pipeline of the test's own over the files of a folder.
    pub fn of(folder: TempDir, spread: Spread, text: &str) -> World {
        std::fs::write(folder.path().join("pipeline.yaml"), text).unwrap();
        let hosts = hosts_file(folder.path(), spread.processes);
        World {
            folder,
            spread,
            hosts,
            until_done: true,
        }
    }

    /// The same, running until it is asked to stop.
    pub fn endless(self) -> World {
        World {
            until_done: false,
            ..self
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts one of the processes.
    pub fn start(&self, process: usize) -> Process {
        let mut args = vec![
            "run".to_owned(),
            self.path().join("pipeline.yaml").display().to_string(),
        ];
        if self.until_done {
            args.push("--until-done".into());
        }
        if self.spread.processes > 1 {
            args.extend(["--processes".into(), self.spread.processes.to_string()]);
            args.extend(["--process".into(), process.to_string()]);
            args.extend(["--hosts".into(), self.hosts.display().to_string()]);
        }
        Process::start(args)
    }

    pub fn start_all(&self) -> Vec<Process> {
        (0..self.spread.processes).map(|process| self.start(process)).collect()
    }

    /// Runs all processes to their end; what process 0 wrote to standard output.
    pub fn run(&self) -> String {
        let all: Vec<_> = self.start_all().into_iter().map(Process::end).collect();
        for (process, ended) in all.iter().enumerate() {
            assert_eq!(
                ended.code,
                Some(0),
                "process {process} of {:?}:\n{}",
                self.spread,
                ended.stderr
            );
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
        all.into_iter().next().unwrap().stdout
    }

    /// How much a sink has written.
    pub fn written(&self) -> u64 {
        std::fs::metadata(self.path().join("by_author.out")).map_or(0, |file| file.len())
    }

    /// What all sinks hold.
    pub fn tables(&self) -> Tables {
        let file = |name: &str| self.path().join(format!("{name}.out"));
        Tables {
            views: VIEWS.map(|view| (view, view_rows(&file(view)))).into(),
            alerts: alerts(&file("alerts")),
            dead: dead(&file("dead")),
        }
    }
}

/// The state that the sinks' files lead to.
#[derive(Debug, PartialEq)]
pub struct Tables {
    pub views: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// Standing alerts, with what does not depend on the moment they fired.
    pub alerts: BTreeMap<String, Value>,
    /// Dead letters by source and position.
    pub dead: BTreeMap<String, Value>,
}

impl Tables {
    /// Asserts that another run led to the same, and names the first difference.
    pub fn assert_equal(&self, other: &Tables, what: &str) {
        for (view, rows) in &self.views {
            assert_rows(rows, &other.views[view], &format!("{what}: {view}"));
        }
        assert_rows(&self.alerts, &other.alerts, &format!("{what}: alerts"));
        assert_rows(&self.dead, &other.dead, &format!("{what}: dead letters"));
    }
}

fn assert_rows(left: &BTreeMap<String, Value>, right: &BTreeMap<String, Value>, what: &str) {
    for (key, row) in left {
        assert_eq!(Some(row), right.get(key), "{what}: {key}");
    }
    for key in right.keys() {
        assert!(left.contains_key(key), "{what}: {key} should not be");
    }
}

fn lines(file: &Path) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Map<String, Value>| !line.contains_key("progress"))
        .collect()
}

fn view_rows(file: &Path) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for mut line in lines(file) {
        let Some(key) = line.remove("key") else { continue };
        let sliding = file.ends_with("lately.out");
        let id = if sliding {
            key.to_string()
        } else {
            format!("{key} {}", line["window_start"])
        };
        line.remove("tick");
        if sliding {
            // A row that did not change since is not written again when its window moves.
            line.remove("window_start");
            line.remove("window_end");
        }
        if line.get("gone") == Some(&Value::Bool(true)) {
            assert!(rows.remove(&id).is_some(), "a row is gone that was not there: {id}");
        } else {
            rows.insert(id, Value::Object(line));
        }
    }
    rows
}

fn alerts(file: &Path) -> BTreeMap<String, Value> {
    let mut alerts = BTreeMap::new();
    for mut line in lines(file) {
        let Some(Value::String(id)) = line.remove("id") else {
            continue;
        };
        // What it was at the moment, which is another one in every run.
        for moment in ["at", "cause", "value", "posts", "evidence"] {
            line.remove(moment).unwrap();
        }
        if line["state"] == "retracted" {
            alerts.remove(&id).unwrap();
        } else {
            alerts.insert(id, Value::Object(line));
        }
    }
    alerts
}

/// Transitions with all they say but their tick, in no order.
pub fn whole_alerts(world: &World) -> Vec<String> {
    let mut all: Vec<String> = lines(&world.path().join("alerts.out"))
        .into_iter()
        .filter(|line| line.contains_key("id"))
        .map(|mut line| {
            line.remove("at");
            Value::Object(line).to_string()
        })
        .collect();
    all.sort();
    all
}

fn dead(file: &Path) -> BTreeMap<String, Value> {
    let mut dead = BTreeMap::new();
    for mut line in lines(file) {
        if line.remove("tick").is_none() {
            continue;
        }
        let key = format!("{} {}", line["source"], line["offset"]);
        assert_eq!(dead.insert(key, Value::Object(line)), None, "a dead letter came twice");
    }
    dead
}
