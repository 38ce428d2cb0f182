//! Models are compared and switched in several processes as in one.

use crate::process::{PATIENCE, Process};
use crate::world::{Spread, World};
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

const POSTS: u64 = 300;

fn pipeline(workers: usize) -> String {
    format!(
        "name: models\nstate: {{url: \"file:./state\"}}\nworkers: {workers}\ntime: {{clock: event, tick: 20ms}}\n\
         sources:\n  entities: {{type: file, path: entities.jsonl, into: entities}}\n\
         \x20 posts: {{type: file, path: posts.jsonl, into: posts}}\n\
         models: {{live: fixture, shadow: [{{fixture: contrary}}]}}\n\
         views:\n  by_entity: {{group_by: [entity], window: {{tumble: 1h}}}}\n\
         sinks:\n  rows: {{type: file, path: by_entity.out, from: by_entity}}\n\
         serve: {{http: \"127.0.0.1:0\"}}\n"
    )
}

fn input(folder: &Path) {
    let post = |n: u64| {
        let (who, what) = (
            ["Ada", "Bo"][(n % 2) as usize],
            ["good", "awful", "long"][(n % 3) as usize],
        );
        let at = 1_767_225_600_000 + n * 60_000;
        format!(
            "{{\"id\":\"p{n}\",\"author\":\"a{n}\",\"text\":\"{who} played a {what} game {n}\",\"created_at\":{at}}}\n"
        )
    };
    std::fs::write(folder.join("posts.jsonl"), (0..POSTS).map(post).collect::<String>()).unwrap();
    let entities = "{\"id\": \"ada\", \"name\": \"Ada\"}\n{\"id\": \"bo\", \"name\": \"Bo\"}\n";
    std::fs::write(folder.join("entities.jsonl"), entities).unwrap();
}

/// Lets the shadow catch up, promotes it, and stops; the comparison, and the rows of the sink but for their ticks.
fn run(world: &World) -> (Value, Vec<String>) {
    let all = world.start_all();
    all[0].until("serving http://");
    let said = all[0].said();
    let address = said.split("serving http://").nth(1).unwrap();
    let plain = |c: &char| !c.is_whitespace() && *c != '\u{1b}';
    let url = format!("http://{}", address.chars().take_while(plain).collect::<String>());
    let ask = |args: &[&str]| {
        let at = ["--url", url.as_str()];
        let all = ["models"].iter().chain(args).chain(&at).copied();
        let ended = Process::start(all.collect::<Vec<_>>()).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    let began = Instant::now();
    while ask(&["list"])[1]["scored"] != POSTS {
        assert!(began.elapsed() < PATIENCE, "{}", ask(&["list"]));
    }
    let mut compared = ask(&["compare", "contrary"]);
    assert_eq!(compared["all"]["posts"], POSTS);
    compared["entities"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(ToString::to_string);
    let switched = ask(&["promote", "contrary"]);
    assert_eq!(switched["missing"], 0);
    all[0].signal("TERM");
    for process in all {
        let ended = process.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let mut rows = std::collections::BTreeMap::new();
    for line in std::fs::read_to_string(world.path().join("by_entity.out"))
        .unwrap()
        .lines()
    {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let Some(key) = line.get("key") else { continue };
        let id = format!("{key} {}", line["window_start"]);
        line.as_object_mut().unwrap().remove("tick");
        rows.insert(id, line);
    }
    assert!(rows.values().all(|row| row["toxic"] == row["scored"]), "{rows:?}");
    (compared, rows.values().map(ToString::to_string).collect())
}

#[test]
fn models_are_switched_however_work_is_spread() {
    let ends = [(1, 1), (2, 1), (2, 2)].map(|(processes, workers)| {
        let folder = tempfile::tempdir().unwrap();
        input(folder.path());
        run(&World::of(folder, Spread { processes, workers }, &pipeline(workers)).endless())
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}
