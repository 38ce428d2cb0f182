//! Dead letters are replayed in several processes as in one, with the same answers.

use crate::process::Process;
use crate::world::{Spread, World};
use std::path::Path;

/// Posts that were written once, and half of them twice, the second time well.
const POSTS: u64 = 60;

fn pipeline(map: &str, workers: usize) -> String {
    format!(
        "name: letters\nstate: {{url: \"file:./state\"}}\nworkers: {workers}\ntime: {{clock: event, tick: 20ms}}\n\
         sources:\n  posts: {{type: file, path: posts.jsonl, into: posts{map}}}\n\
         models: {{live: fixture}}\n\
         views:\n  by_author: {{group_by: [author], window: {{tumble: 1d}}}}\n\
         sinks:\n  rows: {{type: file, path: by_author.out, from: by_author}}\n\
         \x20 dead_letters: {{type: file, path: dead.out, from: dead_letters}}\n\
         serve: {{http: \"127.0.0.1:0\"}}\n"
    )
}

fn input(folder: &Path) {
    let post = |n: u64, text: &str, key: &str| {
        format!(
            "{{\"id\":\"p{n}\",\"author\":\"a{n}\",\"text\":\"{text}\",\"{key}\":{}}}\n",
            1_767_225_600_000 + n
        )
    };
    let bad = (0..POSTS).map(|n| post(n, "i love it", "when"));
    let both = format!("\"when\":{0},\"created_at\":{0}", 1_767_225_600_000_u64);
    let good =
        (0..POSTS / 2).map(|n| format!("{{\"id\":\"p{n}\",\"author\":\"a{n}\",\"text\":\"i hate it\",{both}}}\n"));
    let all: String = bad.chain(good).chain(["garbage\n".to_owned()]).collect();
    std::fs::write(folder.join("posts.jsonl"), all).unwrap();
}

/// Lets it run until `said`, asks for replays so many times, stops it; what the replays answered.
fn run(world: &World, replays: usize) -> Vec<String> {
    let all = world.start_all();
    all[0].until("serving http://");
    let said = all[0].said();
    let address = said.split("serving http://").nth(1).unwrap();
    let address: String = address
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '\u{1b}')
        .collect();
    let pipeline = world.path().join("pipeline.yaml").display().to_string();
    let url = format!("http://{address}");
    let ask = || {
        let ended = Process::start(["dlq", "replay", &pipeline, "--url", &url]).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let answers = (0..replays).map(|_| ask()).collect();
    all[0].signal("TERM");
    for process in all {
        let ended = process.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    answers
}

#[test]
fn replays_answer_the_same_however_work_is_spread() {
    for (processes, workers) in [(1, 2), (2, 1), (2, 2)] {
        let folder = tempfile::tempdir().unwrap();
        input(folder.path());
        let spread = Spread { processes, workers };
        let world = World::of(folder, spread, &pipeline("", workers));
        world.run();
        let dead = || std::fs::read_to_string(world.path().join("dead.out")).unwrap();
        let letters = |dead: &str| dead.lines().filter(|line| line.contains("\"code\"")).count() as u64;
        assert_eq!(letters(&dead()), POSTS + 1, "{}", dead());

        std::fs::write(
            world.path().join("pipeline.yaml"),
            pipeline(", map: {created_at: when}", workers),
        )
        .unwrap();
        let world = world.endless();
        let answers = run(&world, 2);
        println!("{spread:?}: {answers:?}");
        // Half of them are older than what stands.
        let half = POSTS / 2;
        let first = format!("{half} accepted, {half} duplicate, 1 still bad, 0 refused");
        assert!(answers[0].contains(&first), "{spread:?}: {}", answers[0]);
        let second = format!("0 accepted, {POSTS} duplicate, 1 still bad, 0 refused");
        assert!(answers[1].contains(&second), "{spread:?}: {}", answers[1]);
    }
}
