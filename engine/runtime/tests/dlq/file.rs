//! The whole story with a file: garbage in, a map mended, a restart, replays.

use crate::program::{Running, groundswell};
use crate::world::{counts, dlq, eventually, letters, post, ready, rows, said};
use serde_json::Value;
use std::path::Path;

const MENDED: &str = ", map: {created_at: when}";
const VOTES_MENDED: &str = ", map: {observed_at: when}";

fn write(folder: &Path, map: &str, votes: &str) {
    let pipeline = format!(
        "name: letters\nstate: {{url: \"file:./state\"}}\ntime: {{clock: event, tick: 5ms, strict: true}}\n\
         sources:\n  posts: {{type: file, path: posts.jsonl, into: posts{map}}}\n  \
         votes: {{type: file, path: votes.jsonl, into: votes{votes}}}\n\
         models: {{live: fixture}}\n\
         views:\n  by_minute: {{group_by: [author], window: {{tumble: 1m}}}}\n  total: {{group_by: [], window: {{tumble: 1d}}}}\n\
         serve: {{http: \"127.0.0.1:0\"}}\n"
    );
    std::fs::write(folder.join("p.yaml"), pipeline).unwrap();
}

/// Good ones, ones that need the map, one of those older than what follows it, and garbage.
fn input(folder: &Path) {
    let posts = [
        post("a", "i love it", 1, true),
        post("b", "i hate it", 2, false),
        post("a", "i hate it now", 3, false),
        post("a", "love love love", 4, true),
        "{\"id\": \"g\", oops \u{1b}[31m".to_owned(),
        post("c", "meh", 5, false),
    ];
    std::fs::write(folder.join("posts.jsonl"), posts.join("\n") + "\n").unwrap();
    let votes = [
        r#"{"id":"a","score":10,"observed_at":1767229200000,"when":1767229200000}"#,
        r#"{"id":"b","score":500,"when":1767229200000}"#,
        r#"{"id":"a","score":99,"when":1767225900000}"#,
    ];
    std::fs::write(folder.join("votes.jsonl"), votes.join("\n") + "\n").unwrap();
}

fn start(folder: &Path, read: [u64; 2]) -> Running {
    let running = Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://");
    ready(running.addr());
    let settled = |source, read| {
        let [all, accepted, duplicate, dead, _] = counts(running.addr(), source);
        all == read && all == accepted + duplicate + dead
    };
    eventually("read and complete", || {
        settled("posts", read[0]) && settled("votes", read[1])
    });
    running
}

fn replay(folder: &Path, running: &Running, more: &[&str]) -> String {
    let url = format!("http://{}", running.addr());
    let args = [&["replay", "p.yaml", "--url", &url], more].concat();
    said(&dlq(folder, &args)).to_owned()
}

fn of_garbage(letters: &[Value]) -> Vec<u64> {
    let garbage = letters.iter().filter(|l| l["code"] == "invalid_json");
    garbage.map(|l| l["attempt"].as_u64().unwrap()).collect()
}

#[test]
fn a_mended_map_brings_letters_back_and_garbage_stops_coming() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    input(folder);

    // What should have been: the same input under the mended map from the start.
    let wanted = tempfile::tempdir().unwrap();
    input(wanted.path());
    write(wanted.path(), MENDED, VOTES_MENDED);
    let running = start(wanted.path(), [6, 3]);
    let views = |running: &Running| ["by_minute", "total"].map(|view| rows(running.addr(), view));
    let expected = views(&running);
    assert_eq!(running.stop().code, Some(0));

    write(folder, "", "");
    let running = start(folder, [6, 3]);
    assert_eq!(counts(running.addr(), "posts"), [6, 2, 0, 4, 0]);
    assert_ne!(views(&running), expected);
    eventually("the letters are written", || letters(folder, &[]).len() == 6);

    // Looking at them, beside the running engine.
    let table = dlq(folder, &["list", "p.yaml", "--limit", "2"]);
    let table = said(&table);
    assert!(
        table.contains("6 letters in the sink \"dead_letters\", the newest 2 of them above"),
        "{table}"
    );
    assert!(
        table.contains("missing_field  posts\n") && table.contains("3      decode"),
        "{table}"
    );
    let garbage = letters(folder, &[]);
    let garbage = garbage.iter().find(|l| l["code"] == "invalid_json").unwrap();
    let at = format!("posts/0/{}", garbage["offset"]);
    let shown = dlq(folder, &["show", "p.yaml", &at]);
    assert!(
        said(&shown).contains("invalid_json") && !shown.stdout.contains('\u{1b}'),
        "{}",
        shown.stdout
    );
    assert_eq!(
        said(&dlq(folder, &["show", "p.yaml", &at, "--raw"])),
        "{\"id\": \"g\", oops \u{1b}[31m"
    );
    for (args, code, words) in [
        (vec!["list", "p.yaml", "--sink", "dead"], 2, "no sink \"dead\""),
        (vec!["list", "p.yaml", "--since", "soon"], 2, "\"soon\" is no time"),
        (vec!["show", "p.yaml", "posts"], 2, "not a position"),
        (
            vec!["show", "p.yaml", "posts/0/999999"],
            1,
            "no such letter at posts/0/999999",
        ),
        (vec!["replay", "p.yaml"], 2, "any free port"),
        (
            vec!["replay", "p.yaml", "--source", "post"],
            2,
            "no source \"post\" in the pipeline, which has posts, votes",
        ),
        (
            vec!["replay", "p.yaml", "--url", "http://127.0.0.1:1"],
            3,
            "cannot reach http://127.0.0.1:1",
        ),
    ] {
        let ended = dlq(folder, &args);
        assert!(
            ended.code == Some(code) && ended.stderr.contains(words),
            "{args:?}: {ended:?}"
        );
    }
    let none = dlq(folder, &["list", "p.yaml", "--stage", "window"]);
    assert_eq!(said(&none), "0 letters in the sink \"dead_letters\"\n");

    // Nothing has changed yet: all of them are still bad, and trying records nothing.
    let tried = replay(folder, &running, &["--dry-run"]);
    assert!(
        tried.contains("tried 6 letters") && tried.contains("0 good, 6 still bad, 0 refused"),
        "{tried}"
    );
    assert_eq!(
        (letters(folder, &[]).len(), counts(running.addr(), "posts")),
        (6, [6, 2, 0, 4, 0])
    );
    assert_eq!(running.stop().code, Some(0));

    write(folder, MENDED, VOTES_MENDED);
    let running = start(folder, [0, 0]);
    let tried = replay(folder, &running, &["--dry-run"]);
    assert!(tried.contains("5 good, 1 still bad"), "{tried}");
    assert_eq!(counts(running.addr(), "posts"), [0; 5]);
    let one = replay(folder, &running, &["--source", "votes", "--limit", "1"]);
    assert!(
        one.contains("replayed 1 letters") && one.contains("1 accepted"),
        "{one}"
    );
    let done = replay(folder, &running, &[]);
    // An older text of `a`, older votes of `a`, and the votes that came back before.
    assert!(
        done.contains("2 accepted, 3 duplicate, 1 still bad, 0 refused"),
        "{done}"
    );
    assert!(done.contains("1 still bad: invalid_json (first posts/0/"), "{done}");
    assert_eq!(views(&running), expected);
    assert_eq!(counts(running.addr(), "posts"), [4, 2, 1, 1, 4]);
    assert_eq!(counts(running.addr(), "votes"), [3, 1, 2, 0, 3]);
    eventually("the garbage is a letter again", || {
        of_garbage(&letters(folder, &[])) == [1, 2]
    });

    // Again, over a restart: nothing changes but the garbage's count, and that ends.
    for attempt in 3..=5 {
        let again = replay(folder, &running, &[]);
        assert!(
            again.contains("0 accepted, 5 duplicate, 1 still bad, 0 refused"),
            "{again}"
        );
        assert_eq!(views(&running), expected);
        eventually("the garbage is a letter again", || {
            of_garbage(&letters(folder, &[])) == (1..=attempt).collect::<Vec<_>>()
        });
    }
    assert_eq!(running.stop().code, Some(0));
    let running = start(folder, [0, 0]);
    for _ in 0..2 {
        let last = replay(folder, &running, &["--stage", "decode"]);
        assert!(
            last.contains("0 accepted, 5 duplicate, 0 still bad, 1 refused"),
            "{last}"
        );
        assert!(last.contains("still bad after 5 attempts"), "{last}");
    }
    assert_eq!(views(&running), expected);
    assert_eq!(counts(running.addr(), "posts"), [6, 0, 6, 0, 6]);
    assert_eq!(running.stop().code, Some(0));
    assert_eq!(of_garbage(&letters(folder, &[])), [1, 2, 3, 4, 5]);
    assert_eq!(letters(folder, &[]).len(), 10);

    // The record itself is what it says.
    let running = start(folder, [0, 0]);
    assert_eq!(views(&running), expected);
    assert_eq!(running.stop().code, Some(0));
}
